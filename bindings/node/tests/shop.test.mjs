// The shop in Node: embedded, on real servers of both kinds, and in a real browser.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { browser } from './support/browser.mjs'
import { PASSWORD, USER, mariadb, memcached, needs, postgresql } from './support/servers.mjs'
import { request } from './support/raw.mjs'

const SHOP = fileURLToPath(new URL('../../../examples/node/shop.mjs', import.meta.url))
const RESOLVER = new URL('./support/resolve_here.mjs', import.meta.url).href
const LISTING = 5_770_001

/** The shop as a process of its own; gives its port. */
async function open(t, environment = {}) {
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, ...environment }
  const shop = spawn(process.execPath, ['--import', RESOLVER, SHOP, '0'], { cwd: dirname(SHOP), env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    shop.kill()
    await once(shop, 'exit')
  })
  const [line] = await once(createInterface(shop.stdout), 'line')
  return Number(new URL(line).port)
}

/** A listing as text, twice, and as a page. */
async function visit(port) {
  const text = async () => (await request(port, `/listing/${LISTING}?ioprofiler=text`)).body
  const [first, again] = [await text(), await text()]
  for (const shown of [first, again]) {
    assert.match(shown, /\[template\] .* listing\.html .*\n {2}\[template\] .* part\/buy\.html .*\n {4}\[template\] .* part\/heart\.html/)
    assert.match(shown, /^dbshard01 .*\n.*(?:\n.*)*^dbshard02 /m)
    assert.match(shown, /market\.mjs:\d+/)
    assert.match(shown, /flag favorites on, on/)
    assert.match(shown, new RegExp(`note listing = ${LISTING}`))
  }
  assert.match(first, /Cache MISS, keys: listing:5770001/)
  assert.match(again, /Cache HIT, keys: listing:5770001/)
  assert.ok(first.match(/SELECT listing_id/g).length > again.match(/SELECT listing_id/g).length)
  const page = await request(port, `/listing/${LISTING}?ioprofiler=1`)
  assert.match(page.body, /Clay pot.*TOTAL CALLS/s)
  assert.equal((await request(port, '/listing/5')).status, 404)
  assert.equal((await request(port, '/listing/pot')).status, 404)
  return { first, again, page: page.body }
}

test('the shop, embedded', async (t) => {
  const { first } = await visit(await open(t))
  assert.match(first, /\[dbshard01\.sqlite\] .* SELECT listing_id, .* \(1 row\)/)
  assert.match(first, /\[dbshard02\.sqlite\] .* WHERE category = \?/)
})

const TABLES = [
  'CREATE TABLE Shop (shop_id BIGINT, name VARCHAR(60), headline VARCHAR(200), city VARCHAR(60))',
  'CREATE TABLE Member (user_id BIGINT, name VARCHAR(60), city VARCHAR(60))',
  'CREATE TABLE FavoriteListingUser (listing_id BIGINT, user_id BIGINT, created BIGINT)',
  'CREATE TABLE Listing (listing_id BIGINT, shop_id BIGINT, title VARCHAR(200), description VARCHAR(200), category VARCHAR(30), materials VARCHAR(100), price_cents BIGINT, quantity BIGINT)',
  "INSERT INTO Listing VALUES (5770001, 6001, 'Clay pot', 'Of clay.', 'ceramics', 'clay', 1850, 1)",
  "INSERT INTO Shop VALUES (6001, 'Pots', 'Of clay', 'Brooklyn')",
  "INSERT INTO Member VALUES (5020001, 'Ann', 'Portland')",
  'INSERT INTO FavoriteListingUser VALUES (5770001, 5020001, 1)',
]

test('the shop on PostgreSQL and memcached', { skip: needs('postgres', 'initdb', 'memcached') }, async (t) => {
  const options = await postgresql()
  for (const database of ['market01', 'market02']) {
    const admin = new pg.Client(options)
    await admin.connect()
    await admin.query(`CREATE DATABASE ${database}`)
    await admin.end()
    const client = new pg.Client({ ...options, database })
    await client.connect()
    await client.query(TABLES.join(';'))
    await client.end()
  }
  const url = (database) => `postgres://${USER}:${encodeURIComponent(PASSWORD)}@${options.host}:${options.port}/${database}`
  const cache = await memcached()
  const { first, page } = await visit(await open(t, { DBSHARD01_URL: url('market01'), DBSHARD02_URL: url('market02'), MEMCACHED: `127.0.0.1:${cache.port}` }))
  assert.match(first, new RegExp(`\\[127\\.0\\.0\\.1:${options.port}/market01\\] .* WHERE listing_id = \\$1 +\\(1 row\\)`))
  assert.match(first, /hooked: .*pg \d.*memjs \d|hooked: .*memjs \d.*pg \d/)
  assert.match(page, /Ann of Portland/)
})

test('the shop on MariaDB and memcached', { skip: needs('mariadbd', 'mariadb-install-db', 'memcached') }, async (t) => {
  const options = await mariadb()
  const client = await mysql.createConnection({ ...options, user: USER, multipleStatements: true })
  await client.query(TABLES.join(';'))
  await client.end()
  const url = `mysql://${USER}:${encodeURIComponent(PASSWORD)}@${options.host}:${options.port}/shop`
  const cache = await memcached()
  const { again, page } = await visit(await open(t, { DBSHARD01_URL: url, DBSHARD02_URL: url, MEMCACHED: `127.0.0.1:${cache.port}` }))
  assert.match(again, new RegExp(`\\[127\\.0\\.0\\.1:${options.port}/shop\\] .* WHERE listing_id = \\?`))
  assert.match(page, /Ann of Portland/)
})

test('the shop in a browser: the panel opens, and the page stays as it is', { skip: needs('chromedriver', 'chromium') }, async (t) => {
  const port = await open(t)
  const window = await browser(t)
  await window.go(`http://127.0.0.1:${port}/listing/${LISTING}`)
  const bare = await window.run('return [document.title, document.querySelector("h1").textContent, document.querySelectorAll("ioprofiler-panel, [id^=ioprofiler]").length]')
  await window.go(`http://127.0.0.1:${port}/listing/${LISTING}?ioprofiler=1`)
  assert.deepEqual(await window.run('return [document.title, document.querySelector("h1").textContent]'), bare.slice(0, 2))
  const panel = await window.run(`
    const host = [...document.querySelectorAll('*')].find((element) => element.shadowRoot)
    const root = host ? host.shadowRoot : document
    for (const details of root.querySelectorAll('details')) details.open = true
    return root.textContent ?? root.body.textContent
  `)
  for (const wanted of ['dbshard01', 'dbshard02', 'memcache_get', 'listing.html', 'TOTAL CALLS', 'SELECT count(*) AS favorites']) assert.ok(panel.includes(wanted), wanted)
  await window.picture('shop')
  assert.deepEqual(await window.complaints(), [])
})

test('shards that nobody filled are said', { skip: needs('postgres', 'initdb'), timeout: 60_000 }, async () => {
  const { host, port } = await postgresql()
  const url = `postgres://${USER}:${encodeURIComponent(PASSWORD)}@${host}:${port}/shop`
  const shop = spawn(process.execPath, ['--import', RESOLVER, SHOP, '0'], { env: { ...process.env, DBSHARD01_URL: url, DBSHARD02_URL: url }, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  shop.stderr.on('data', (chunk) => { said += chunk })
  const [code] = await once(shop, 'close')
  assert.equal(code, 1)
  assert.match(said, /DBSHARD0[12]_URL: .*Listing.*; fill it first, with the same environment: cargo run --release --example shop/i)
})

test('half an environment, and a database that it does not know, are said', async () => {
  for (const [environment, message] of [
    [{ DBSHARD01_URL: 'postgres://x' }, /set both, or none/],
    [{ DBSHARD01_URL: 'oracle://x', DBSHARD02_URL: 'oracle://y' }, /DBSHARD01_URL: oracle:\/\/ is not known; allowed: mysql:\/\/ and postgres:\/\//],
  ]) {
    const shop = spawn(process.execPath, ['--import', RESOLVER, SHOP, '0'], { env: { ...process.env, ...environment }, stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    shop.stderr.on('data', (chunk) => { said += chunk })
    const [code] = await once(shop, 'close')
    assert.equal(code, 1)
    assert.match(said, message)
  }
})
