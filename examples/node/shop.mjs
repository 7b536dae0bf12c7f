// The shop's listing page under Express: `npm --prefix examples/node start`.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import express from 'express'
import nunjucks from 'nunjucks'
import { Profiler, current, flag, note } from 'ioprofiler'
import { FIRST_LISTING, openMarket } from './market.mjs'

const SHOP = new URL('../shop/', import.meta.url)
/** Who is looking: the shop has no accounts, so it is always this member. */
const YOU = 5_020_244

/** Shown to everyone, because nobody but you can reach it: elsewhere say who may look. */
const profiler = new Profiler({
  gate: 'everyone',
  build: 'example',
  flags: [fileURLToPath(new URL('flags.toml', SHOP)), 'emergency.toml'],
})
const market = await openMarket()

const app = express()
app.use(profiler.express())

const templates = new nunjucks.Environment(new nunjucks.FileSystemLoader(fileURLToPath(new URL('templates', SHOP))))
templates.addFilter('price', (cents) => `$${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`)
templates.addFilter('tone', (listing) => listing % 12)
templates.addGlobal('include', (name, values) => new nunjucks.runtime.SafeString(templates.render(name, values)))
templates.express(app)

app.get('/listing/:id', async (req, res, next) => {
  current()?.setUser(YOU)
  const listing = await market.listing(Number(req.params.id))
  if (listing === null) return next()
  note('listing', listing.listing_id)
  // Where no file names a flag, the page is whole. What needs nothing of each other is asked for at once.
  const [shop, favorites, fans, more, similar] = await Promise.all([
    market.shop(listing.shop_id),
    flag('favorites', true) ? market.countFavorites(listing.listing_id) : null,
    flag('fans', true) ? market.fans(listing.listing_id, 6) : [],
    flag('more_of_shop', true) ? market.moreOfShop(listing) : [],
    flag('similar', true) ? market.similar(listing) : [],
  ])
  res.render('listing.html', { listing, shop, favorites, fans: orNone(fans), more: orNone(cards(more)), similar: orNone(cards(similar)) })
})

const cards = (listings) => listings.map((listing) => ({ listing, shop: null, favorites: null }))
/** In Jinja's templates an empty list is false. */
const orNone = (list) => (list.length === 0 ? null : list)

const style = readFileSync(new URL('shop.css', SHOP))
app.get('/static/shop.css', (req, res) => res.type('css').send(style))
app.get('/static/picture/:kind/:tone', (req, res) => {
  const hue = (parseInt(req.params.tone, 10) % 12) * 30
  res.type('svg').send(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 180"><rect width="240" height="180" fill="hsl(${hue} 38% 86%)"/><circle cx="120" cy="90" r="46" fill="hsl(${hue} 42% 48%)"/></svg>`)
})

const port = Number(process.argv[2] ?? 8080)
const server = app.listen(port, '127.0.0.1', (error) => {
  if (error) throw error
  console.log(`http://127.0.0.1:${server.address().port}/listing/${FIRST_LISTING}?ioprofiler=1`)
})
