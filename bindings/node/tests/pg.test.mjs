// pg on a real PostgreSQL.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { span } from 'ioprofiler'
import { pgPool } from './support/pools.mjs'
import { freePort, needs, postgresql } from './support/servers.mjs'
import { brief, callsOf, interleaved, profiler } from './support/requests.mjs'

describe('pg', { skip: needs('postgres', 'initdb') }, () => {
  let options
  let pool
  before(async () => {
    options = await postgresql('shop', ['log_statement=all', 'log_line_prefix=%a|'])
    pool = pgPool({ ...options, max: 1 })
  })
  after(() => pool.end())

  const ask = (client, text, values) => new Promise((resolve, reject) => client.query(text, values, (error, result) => (error ? reject(error) : resolve(result))))

  test('it is hooked, and says so', () => {
    assert.ok(profiler.hooks.some(({ name, hooked }) => /^pg \d/.test(name) && hooked))
  })

  test('queries of all kinds are calls, with rows and outcome', async () => {
    const { calls } = await callsOf(async () => {
      await pool.query('SELECT generate_series(1, 3)')
      await pool.query({ text: 'SELECT $1::int', values: [5] })
      await pool.query({ name: 'again', text: 'SELECT $1::text', values: ['x'] })
      await ask(pool, 'SELECT $1::int AS called', [1])
      await assert.rejects(pool.query('SELECT nonsense'), /nonsense/)
      await assert.rejects(ask(pool, 'SELECT more nonsense'), /more/)
      const client = await pool.connect()
      const results = await client.query('SELECT 1; SELECT generate_series(1, 4)')
      assert.equal(results.length, 2)
      const cursor = client.query(new Cursor('SELECT generate_series(1, 100)'))
      assert.equal((await cursor.read(10)).length, 10)
      await new Promise((resolve, reject) => cursor.read(20, (error) => (error ? reject(error) : resolve())))
      await cursor.close()
      let streamed = 0
      for await (const row of client.query(new QueryStream('SELECT generate_series(1, 250) AS n'))) streamed += row.n > 0 ? 1 : 0
      assert.equal(streamed, 250)
      const query = new pg.Query('SELECT 7 AS seven')
      client.query(query)
      await new Promise((resolve) => query.on('end', resolve))
      client.release()
    })
    assert.deepEqual(brief(calls), [
      'pg SELECT generate_series(1, 3) ok',
      'pg SELECT $1::int ok',
      'pg SELECT $1::text ok',
      'pg SELECT $1::int AS called ok',
      'pg SELECT nonsense error',
      'pg SELECT more nonsense error',
      'pg SELECT 1; SELECT generate_series(1, 4) ok',
      'pg SELECT generate_series(1, 100) ok',
      'pg SELECT generate_series(1, 100) ok',
      'pg SELECT generate_series(1, 250) AS n ok',
      'pg SELECT 7 AS seven ok',
    ])
    assert.deepEqual([calls[0].rows, calls[1].rows, calls[6].rows, calls[7].rows, calls[8].rows], [3, 1, 5, 10, 20])
    assert.equal(calls[0].target, `127.0.0.1:${options.port}/shop`)
  })

  test('a busy pool of one: each query is its own request\'s', async () => {
    const details = await interleaved(20, async (index) => {
      await pool.query(`SELECT pg_sleep(0.002), '${index} a'`)
      await ask(pool, `SELECT '${index} b'`)
      const client = await pool.connect()
      await client.query(`SELECT '${index} c'`)
      client.release()
      // What runs in a callback is the request's too.
      await new Promise((resolve, reject) => pool.query(`SELECT '${index} d'`, (error) => (error ? reject(error) : pool.query(`SELECT '${index} e'`, resolve))))
    })
    details.forEach((own, index) => {
      assert.deepEqual(own, [`SELECT pg_sleep(0.002), '${index} a'`, ...['b', 'c', 'd', 'e'].map((letter) => `SELECT '${index} ${letter}'`)])
    })
  })

  test('10,000 interleaved requests over pools of 1 and 10', async () => {
    for (const max of [1, 10]) {
      const busy = pgPool({ ...options, max })
      const details = await interleaved(5_000, (index) => Promise.all([busy.query(`SELECT ${index}`), busy.query('SELECT $1::int', [index])]))
      details.forEach((own, index) => assert.deepEqual(own.sort(), ['SELECT $1::int', `SELECT ${index}`]))
      await busy.end()
    }
  })

  test('a call that the application marks has the query\'s detail', async () => {
    const { calls } = await callsOf(async () => {
      await span('dbshard01', 'find listing', () => pool.query('SELECT 1'))
      await span('dbshard01', 'find listing', async () => pool.query('SELECT 2'))
    })
    assert.deepEqual(brief(calls), ['dbshard01 SELECT 1 ok', 'dbshard01 SELECT 2 ok'])
  })

  test('a busy pool keeps a marked call and its query one', async () => {
    const details = await interleaved(5, (index) => span('dbshard01', 'find', () => pool.query(`SELECT ${index}`)))
    assert.deepEqual(details, [['SELECT 0'], ['SELECT 1'], ['SELECT 2'], ['SELECT 3'], ['SELECT 4']])
  })

  test('whoever asked is named, through a busy pool too', async () => {
    const line = () => Number(/:(\d+):\d+\)?$/.exec(new Error().stack.split('\n')[2])[1])
    const wanted = []
    const { profile } = await profiler.record(async () => {
      wanted.push(line())
      const first = pool.query('SELECT 1')
      wanted.push(line())
      const second = ask(pool, 'SELECT 2')
      const client = await pool.connect()
      wanted.push(line())
      await client.query('SELECT 3')
      client.release()
      await Promise.all([first, second])
    })
    const callers = profile.data.calls.map(({ caller }) => [caller?.file.split('/').pop(), caller?.line])
    assert.deepEqual([callers[0], callers[2]], [['pg.test.mjs', wanted[0] + 1], ['pg.test.mjs', wanted[2] + 1]])
    assert.equal(callers[1][0], 'pg.test.mjs')
  })

  test('as many calls as the server counted', async () => {
    const counted = pgPool({ ...options, max: 3, application_name: 'counted' })
    const { calls } = await callsOf(async () => {
      await Promise.all(Array.from({ length: 30 }, (_, index) => counted.query(index % 2 === 0 ? 'SELECT 1' : { text: 'SELECT $1::int', values: [index] })))
      const client = await counted.connect()
      await client.query('BEGIN')
      await assert.rejects(client.query('SELECT nonsense'))
      await client.query('ROLLBACK')
      client.release()
    })
    await counted.end()
    const statements = () => readFileSync(options.logFile, 'utf8').split('\n').filter((line) => /^counted\|LOG: {2}(statement|execute)/.test(line)).length
    // What is wrong is logged as an error and its statement as well.
    for (let tries = 0; statements() < calls.length && tries < 100; tries++) await sleep(20)
    assert.equal(statements(), calls.length)
    assert.equal(calls.length, 33)
  })

  test('where there is no server, that is a call of whoever asked', async () => {
    const nowhere = { host: '127.0.0.1', port: await freePort(), database: 'shop' }
    const dead = new pg.Pool(nowhere)
    const target = `127.0.0.1:${nowhere.port}/shop`
    const all = await Promise.all(['a', 'b'].map((name) => callsOf(async () => {
      await assert.rejects(dead.query(`SELECT '${name}'`), /ECONNREFUSED/)
      await assert.rejects(dead.connect(), /ECONNREFUSED/)
      await new Promise((resolve) => dead.connect((error) => resolve(assert.match(error.message, /ECONNREFUSED/))))
      await assert.rejects(new pg.Client(nowhere).connect(), /ECONNREFUSED/)
      await new Promise((resolve) => new pg.Client(nowhere).connect((error) => resolve(assert.match(error.message, /ECONNREFUSED/))))
    })))
    for (const { calls } of all) {
      assert.deepEqual(brief(calls), Array(5).fill('pg connect error'))
      for (const call of calls) assert.deepEqual([call.target, call.duration_ns > 0], [target, true])
    }
    await dead.end()
  })

  test('who waits for a connection in vain has a call as long as that', async () => {
    const small = new pg.Pool({ ...options, max: 1 })
    const client = await small.connect()
    // Not before: to connect may itself take longer.
    small.options.connectionTimeoutMillis = 50
    const { calls } = await callsOf(() => assert.rejects(small.query('SELECT 1'), /timeout exceeded/))
    assert.deepEqual(brief(calls), ['pg connect error'])
    assert.ok(calls[0].duration_ns > 40e6, `${calls[0].duration_ns}`)
    client.release()
    await small.end()
  })

  test('what a pool does for a new connection is seen by whoever waited for it, its timers by nobody', async () => {
    const own = pgPool({ ...options, max: 1 })
    own.on('connect', (client) => client.query("SET application_name = 'own'"))
    const { calls } = await callsOf(async () => {
      await own.query('SELECT 1')
      const client = new pg.Client(options)
      await new Promise((resolve, reject) => client.connect((error) => {
        span('app', 'connected', () => {})
        return error ? reject(error) : resolve()
      }))
      await client.end()
    })
    assert.deepEqual(calls.map(({ detail }) => detail), ["SET application_name = 'own'", 'SELECT 1', 'connected'])
    await own.end()
  })

  test('undone, it is as it was', async () => {
    const hooked = pg.Client.prototype.query
    profiler.uninstrument()
    assert.notEqual(pg.Client.prototype.query, hooked)
    const { calls } = await callsOf(() => pool.query('SELECT 1'))
    assert.deepEqual(calls, [])
    profiler.instrument()
    assert.equal((await callsOf(() => pool.query('SELECT 1'))).calls.length, 1)
  })
})
