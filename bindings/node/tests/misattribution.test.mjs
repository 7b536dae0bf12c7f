// What drivers do to contexts by themselves, and that the hooks are not taken in by it.
//
// In the first half of each test nothing of ours runs: an AsyncLocalStorage is read where tracers read
// it, when the driver starts a query, and the query turns out to be in another request's. In the second
// half the same application runs with the hooks, and each query is its own request's.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import mysql from 'mysql2'
import pg from 'pg'
import { Profiler, current, span } from 'ioprofiler'
import { pgPool } from './support/pools.mjs'
import { mariadb, needs, postgresql, redis } from './support/servers.mjs'

const NAMES = ['A', 'B', 'C']

/** Runs as many at once as there are names, each in the context of its name. */
function naively(run) {
  const als = new AsyncLocalStorage()
  const seen = []
  const see = (what) => seen.push(`${what} in ${als.getStore()}`)
  return { seen, see, als, done: () => Promise.all(NAMES.map((name) => als.run(name, () => run(name)))) }
}

/** The same with the hooks, each in a request of its own: what each request has seen. */
async function observed(t, run) {
  const profiler = new Profiler()
  t.after(() => profiler.shutdown())
  return Promise.all(NAMES.map(async (name) => {
    const request = profiler.begin({ path: `/${name}` })
    await request.run(() => run(name))
    return request.finish().data.calls.map(({ detail }) => detail)
  }))
}

/** A subscriber to the start of what a driver publishes. */
function listen(t, channel, see) {
  const subscribers = { start: see, end() {}, asyncStart() {}, asyncEnd() {}, error() {} }
  diagnostics.tracingChannel(channel).subscribe(subscribers)
  t.after(() => diagnostics.tracingChannel(channel).unsubscribe(subscribers))
}

test('pg: a busy pool', { skip: needs('postgres', 'initdb') }, async (t) => {
  const options = await postgresql()
  const pool = pgPool({ ...options, max: 1 })
  t.after(() => pool.end())
  const { seen, see, als, done } = naively(async (name) => {
    await new Promise((resolve) => pool.query(`SELECT '${name}'`, () => {
      see(`callback of ${name}`)
      resolve()
    }))
  })
  const { query: original } = pg.Client.prototype
  pg.Client.prototype.query = function (text, ...rest) {
    see(text)
    return original.call(this, text, ...rest)
  }
  await done()
  pg.Client.prototype.query = original
  const queries = seen.filter((one) => one.startsWith('SELECT'))
  assert.deepEqual(queries, ["SELECT 'A' in A", "SELECT 'B' in A", "SELECT 'C' in A"])
  assert.ok(seen.includes('callback of C in A'))
  als.disable()

  assert.deepEqual(await observed(t, async (name) => {
    await new Promise((resolve) => pool.query(`SELECT '${name}'`, () => span('app', `callback of ${name}`, resolve)))
  }), NAMES.map((name) => [`SELECT '${name}'`, `callback of ${name}`]))
})

test('pg: listeners of a query', { skip: needs('postgres', 'initdb') }, async (t) => {
  const options = await postgresql()
  const run = async (client, see, name) => {
    const query = client.query(new pg.Query(`SELECT '${name}'`))
    await new Promise((resolve, reject) => query.on('row', () => see(name)).on('end', resolve).on('error', reject))
  }
  // A connects, and its context stays that of the connection's events.
  const connect = async (als) => {
    const client = new pg.Client(options)
    await als.run('A', () => client.connect())
    return client
  }
  const { seen, see, als } = naively()
  const first = await connect(als)
  for (const name of NAMES) await als.run(name, () => run(first, see, name))
  await first.end()
  assert.deepEqual(seen, ['A in A', 'B in A', 'C in A'])
  als.disable()

  const profiler = new Profiler()
  t.after(() => profiler.shutdown())
  const requests = NAMES.map((name) => profiler.begin({ path: `/${name}` }))
  const client = new pg.Client(options)
  await requests[0].run(() => client.connect())
  for (const [at, name] of NAMES.entries()) await requests[at].run(() => run(client, () => span('app', `row of ${name}`, () => {}), name))
  await client.end()
  assert.deepEqual(
    requests.map((request) => request.finish().data.calls.map(({ detail }) => detail)),
    NAMES.map((name) => [`SELECT '${name}'`, `row of ${name}`]),
  )
})

test('mysql2: a busy pool, by what the driver itself publishes', { skip: needs('mariadbd', 'mariadb-install-db') }, async (t) => {
  const options = await mariadb()
  const pool = mysql.createPool({ ...options, connectionLimit: 1 })
  t.after(() => new Promise((resolve) => pool.end(resolve)))
  const ask = (name, called) => new Promise((resolve, reject) => pool.query(`SELECT '${name}'`, (error) => {
    called()
    return error ? reject(error) : resolve()
  }))
  const { seen, see, als, done } = naively((name) => ask(name, () => see(`callback of ${name}`)))
  listen(t, 'mysql2:query', ({ query }) => see(query))
  await done()
  const queries = seen.filter((one) => one.startsWith('SELECT'))
  assert.deepEqual(queries, ["SELECT 'A' in A", "SELECT 'B' in A", "SELECT 'C' in A"])
  assert.ok(seen.includes('callback of C in A'))
  als.disable()

  assert.deepEqual(
    await observed(t, (name) => ask(name, () => span('app', `callback of ${name}`, () => {}))),
    NAMES.map((name) => [`SELECT '${name}'`, `callback of ${name}`]),
  )
})

test('ioredis: automatic pipelines and the offline queue', { skip: needs('redis-server') }, async (t) => {
  const server = await redis()
  const client = new Redis({ ...server, enableAutoPipelining: true })
  t.after(() => client.disconnect())
  await client.ping()
  const pipelined = naively((name) => client.get(`pipelined:${name}`))
  listen(t, 'ioredis:command', ({ command, args }) => pipelined.see(`${command} ${args?.[0]}`))
  await pipelined.done()
  const gets = pipelined.seen.filter((one) => one.includes('pipelined:'))
  assert.deepEqual(gets, NAMES.map((name) => `get pipelined:${name} in A`))
  pipelined.als.disable()
  assert.deepEqual(await observed(t, (name) => client.get(`pipelined:${name}`)), NAMES.map((name) => [`GET pipelined:${name}`]))

  const offline = (als) => {
    const late = new Redis({ ...server, lazyConnect: true })
    t.after(() => late.disconnect())
    return late
  }
  const first = offline()
  const queued = naively((name) => first.get(`queued:${name}`))
  listen(t, 'ioredis:command', ({ command, args }) => queued.see(`${command} ${args?.[0]}`))
  await queued.done()
  const late = queued.seen.filter((one) => one.includes('queued:'))
  assert.notDeepEqual(late, NAMES.map((name) => `get queued:${name} in ${name}`))
  queued.als.disable()
  const second = offline()
  assert.deepEqual(await observed(t, (name) => second.get(`queued:${name}`)), NAMES.map((name) => [`GET queued:${name}`]))
})

test('none is better than a wrong one: what runs after its request is nobody\'s', async (t) => {
  const profiler = new Profiler()
  t.after(() => profiler.shutdown())
  const before = profiler.stats()
  const first = profiler.begin({ path: '/first' })
  const tick = new Promise((resolve) => first.run(() => setTimeout(() => {
    assert.equal(current(), undefined)
    span('late', 'after its request', () => {})
    resolve()
  }, 20)))
  first.end(200)
  const second = profiler.begin({ path: '/second' })
  await second.run(() => tick)
  assert.deepEqual(second.finish().data.calls, [])
  assert.equal(profiler.stats().lateSpans - before.lateSpans, 1)
})
