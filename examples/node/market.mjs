// The market in Node: listings, shops and members of two shards, and the cache in front of them.
//
// The same tables, keys and templates as the shop in Rust (`examples/shop`), so it runs on its servers
// too: `DBSHARD01_URL` and `DBSHARD02_URL` (`mysql://` or `postgres://user:password@host:port/database`)
// and `MEMCACHED=host:port`. Without them the shards are two SQLite files, filled at start, and the
// cache is in this process.
//
// The drivers are hooked; `span` gives their calls the shard's name, and sees the cache in this process,
// which does no I/O that a hook could.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { span } from 'ioprofiler'

const LISTING = 'listing_id, shop_id, title, description, category, materials, price_cents, quantity'
const SHOP = 'shop_id, name, headline, city'
const MEMBER = 'user_id, name, city'
export const FIRST_LISTING = 5_770_000
const [LISTINGS, SHOPS, MEMBERS] = [400, 16, 90]
const [FIRST_SHOP, FIRST_MEMBER] = [6_000, 5_020_000]

/** A shard: `run(sql, values)` gives rows, or promises them. */
class Shard {
  constructor(name, run) {
    this.name = name
    this.run = run
  }

  async query(sql, ...values) {
    return span(this.name, sql, () => this.run(sql, values))
  }
}

/** What memcache is where there is none. */
class LocalCache {
  #values = new Map()

  async get(key) {
    return span('memcache_get', `Cache GET, keys: ${key}`, (call) => {
      const value = this.#values.get(key)
      if (value === undefined) call.detail(`Cache MISS, keys: ${key}`).misses(1)
      else call.detail(`Cache HIT, keys: ${key}`).hits(1)
      return value
    })
  }

  async set(key, value) {
    span('memcache_set', `Cache SET, keys: ${key}`, (call) => {
      call.bytes(value.length)
      this.#values.set(key, value)
    })
  }
}

/** Odd listings, shops and members are on the first shard, even ones on the second. */
class Market {
  #shards
  #cache

  constructor(shards, cache) {
    this.#shards = shards
    this.#cache = cache
  }

  #shard(number) {
    return this.#shards[1 - (number % 2)]
  }

  /** A row by its number: from the cache, or from its shard and then kept. */
  async #cached(kind, number, table, columns) {
    if (!Number.isSafeInteger(number)) return null
    const key = `${kind}:${number}`
    const kept = await this.#cache.get(key)
    if (kept) return JSON.parse(kept)
    const [id] = columns.split(',')
    const [row] = await this.#shard(number).query(`SELECT ${columns} FROM ${table} WHERE ${id} = ?`, number)
    if (row === undefined) return null
    await this.#cache.set(key, JSON.stringify(row))
    return row
  }

  listing(number) {
    return this.#cached('listing', number, 'Listing', LISTING)
  }

  shop(number) {
    return this.#cached('shop', number, 'Shop', SHOP)
  }

  async countFavorites(listing) {
    const [row] = await this.#shard(listing).query('SELECT count(*) AS favorites FROM FavoriteListingUser WHERE listing_id = ?', listing)
    return Number(row.favorites)
  }

  /** The members who liked a listing last. */
  async fans(listing, most) {
    const sql = 'SELECT user_id FROM FavoriteListingUser WHERE listing_id = ? ORDER BY created DESC, user_id LIMIT 6'
    const rows = await this.#shard(listing).query(sql, listing)
    const members = await Promise.all(rows.slice(0, most).map((row) => this.#cached('member', row.user_id, 'Member', MEMBER)))
    return members.filter((member) => member !== null)
  }

  /** What else the shop sells. */
  moreOfShop({ shop_id, listing_id }) {
    const sql = `SELECT ${LISTING} FROM Listing WHERE shop_id = ? AND listing_id <> ? ORDER BY listing_id DESC LIMIT 4`
    return this.#shard(shop_id).query(sql, shop_id, listing_id)
  }

  /** Similar things of other people, which for fairness come from the other shard. */
  similar({ listing_id, category, price_cents }) {
    const sql = `SELECT ${LISTING} FROM Listing WHERE category = ? AND price_cents <= ? ORDER BY price_cents DESC, listing_id LIMIT 4`
    return this.#shard(listing_id + 1).query(sql, category, price_cents)
  }
}

/** The shards and the cache that the environment names; else embedded ones. */
export async function openMarket() {
  const urls = [process.env.DBSHARD01_URL, process.env.DBSHARD02_URL]
  if (urls.some(Boolean) && !urls.every(Boolean)) {
    throw new Error('DBSHARD01_URL and DBSHARD02_URL: set both, or none for SQLite files')
  }
  const shards = urls.every(Boolean) ? await Promise.all(urls.map(serverShard)) : await embeddedShards()
  return new Market(shards, await openCache(process.env.MEMCACHED))
}

async function openCache(address) {
  if (address === undefined) return new LocalCache()
  const { Client } = (await import('memjs')).default
  const client = Client.create(address)
  return {
    get: async (key) => (await client.get(key)).value,
    set: (key, value) => client.set(key, value, { expires: 0 }),
  }
}

async function serverShard(url, place) {
  const shard = await connect(url, place)
  try {
    await shard.run('SELECT listing_id FROM Listing LIMIT 1', [])
  } catch (error) {
    const why = `${shard.name.toUpperCase()}_URL: ${error.message || error.code}`
    throw new Error(`${why}; fill it first, with the same environment: cargo run --release --example shop`)
  }
  return shard
}

async function connect(url, place) {
  const { protocol } = new URL(url)
  const name = `dbshard0${place + 1}`
  if (protocol === 'postgres:' || protocol === 'postgresql:') {
    const { default: pg } = await import('pg')
    // Its numbers are of 64 bits, and so strings, unless one says that they are small.
    pg.types.setTypeParser(20, Number)
    const pool = new pg.Pool({ connectionString: url, max: 4 })
    // A connection that breaks while nobody uses it: the next query takes another.
    pool.on('error', () => {})
    const numbered = (sql) => sql.split('?').reduce((text, part, at) => `${text}$${at}${part}`)
    return new Shard(name, async (sql, values) => (await pool.query(numbered(sql), values)).rows)
  }
  if (protocol === 'mysql:') {
    const { createPool } = await import('mysql2/promise')
    const pool = createPool({ uri: url, connectionLimit: 4 })
    return new Shard(name, async (sql, values) => (await pool.execute(sql, values))[0])
  }
  throw new Error(`${name.toUpperCase()}_URL: ${protocol}// is not known; allowed: mysql:// and postgres://`)
}

async function embeddedShards() {
  const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-shop-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit())
  const Sqlite = await sqlite()
  return [1, 0].map((parity) => {
    const name = `dbshard0${2 - parity}`
    const database = new Sqlite(join(folder, `${name}.sqlite`))
    fill(database, parity)
    return new Shard(name, (sql, values) => database.prepare(sql).all(...values))
  })
}

/** better-sqlite3, or Node's own where that was not built. */
async function sqlite() {
  const { default: Database } = await import('better-sqlite3')
  try {
    new Database(':memory:').close()
    return Database
  } catch (error) {
    const own = process.getBuiltinModule?.('node:sqlite')
    if (own === undefined) throw error
    return own.DatabaseSync
  }
}

function fill(database, parity) {
  const kinds = [['ceramics', 'Clay pot'], ['knitwear', 'Wool hat'], ['woodwork', 'Birch bowl'], ['paper goods', 'Folded lamp']]
  const mine = (first, count) => Array.from({ length: count }, (_, at) => first + at).filter((number) => number % 2 === parity)
  database.exec(`
    BEGIN;
    CREATE TABLE Shop (shop_id BIGINT PRIMARY KEY, name, headline, city, owner_id BIGINT);
    CREATE TABLE Member (user_id BIGINT PRIMARY KEY, name, city);
    CREATE TABLE FavoriteListingUser (listing_id BIGINT, user_id BIGINT, created BIGINT);
    CREATE TABLE Listing (listing_id BIGINT PRIMARY KEY, shop_id BIGINT, title, description, category,
      materials, price_cents BIGINT, quantity BIGINT, created BIGINT);
  `)
  const insert = (table, rows) => {
    const statement = database.prepare(`INSERT INTO ${table} VALUES (${rows[0].map(() => '?').join(', ')})`)
    for (const row of rows) statement.run(...row)
  }
  const shops = mine(FIRST_SHOP, SHOPS)
  const members = mine(FIRST_MEMBER, MEMBERS)
  const listings = mine(FIRST_LISTING, LISTINGS)
  insert('Shop', shops.map((shop) => [shop, `Shop${shop}`, 'Made by hand', 'Brooklyn', 0]))
  insert('Member', members.map((member) => [member, `Member ${member}`, 'Portland']))
  insert('Listing', listings.map((listing, place) => {
    const [kind, title] = kinds[place % kinds.length]
    return [listing, shops[place % shops.length], `${title} ${listing}`, 'One of a kind.', kind, 'clay', 900 + 37 * place, 3, place]
  }))
  insert('FavoriteListingUser', listings.flatMap((listing, place) => members.slice(0, place % 7).map((member) => [listing, member, place])))
  database.exec('COMMIT')
}
