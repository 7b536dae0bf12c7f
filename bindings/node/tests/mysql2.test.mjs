// mysql2 on a real MariaDB.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import mysql from 'mysql2'
import promised from 'mysql2/promise'
import { span } from 'ioprofiler'
import { freePort, mariadb, needs } from './support/servers.mjs'
import { brief, callsOf, interleaved, profiler } from './support/requests.mjs'

describe('mysql2', { skip: needs('mariadbd', 'mariadb-install-db') }, () => {
  let options
  let pool
  before(async () => {
    options = await mariadb()
    pool = promised.createPool({ ...options, connectionLimit: 1 })
  })
  after(() => pool.end())

  test('it is hooked, and says so', () => {
    assert.ok(profiler.hooks.some(({ name, hooked }) => /^mysql2 \d/.test(name) && hooked))
  })

  test('queries of all kinds are calls, with rows and outcome', async () => {
    const callbacks = mysql.createPool({ ...options, connectionLimit: 1 })
    const { calls } = await callsOf(async () => {
      await pool.query('SELECT 1 UNION SELECT 2')
      await pool.query('SELECT ? AS secret', ['5020244'])
      await pool.execute('SELECT ? AS prepared', ['x'])
      await assert.rejects(pool.query('SELECT nonsense'), /nonsense/)
      await assert.rejects(pool.execute('SELECT worse'), /worse/)
      const connection = await pool.getConnection()
      await connection.query('CREATE TEMPORARY TABLE t (a INT)')
      await connection.query({ sql: 'INSERT INTO t VALUES (1), (2), (3)' })
      connection.release()
      await new Promise((resolve, reject) => callbacks.query('SELECT 1 AS called', (error) => (error ? reject(error) : resolve())))
      await new Promise((resolve, reject) => callbacks.execute('SELECT ? AS called', [1], (error) => (error ? reject(error) : resolve())))
      await new Promise((resolve, reject) => callbacks.query('SELECT 2 AS streamed').on('error', reject).on('end', resolve))
    })
    assert.deepEqual(brief(calls), [
      'mysql SELECT 1 UNION SELECT 2 ok',
      'mysql SELECT ? AS secret ok',
      'mysql SELECT ? AS prepared ok',
      'mysql SELECT nonsense error',
      'mysql SELECT worse error',
      'mysql CREATE TEMPORARY TABLE t (a INT) ok',
      'mysql INSERT INTO t VALUES (1), (2), (3) ok',
      'mysql SELECT 1 AS called ok',
      'mysql SELECT ? AS called ok',
      'mysql SELECT 2 AS streamed ok',
    ])
    assert.deepEqual([calls[0].rows, calls[6].rows], [2, 3])
    assert.equal(calls[0].target, `127.0.0.1:${options.port}/shop`)
    await new Promise((resolve) => callbacks.end(resolve))
  })

  test('a busy pool of one: each query is its own request\'s', async () => {
    const callbacks = mysql.createPool({ ...options, connectionLimit: 1 })
    const details = await interleaved(20, async (index) => {
      await pool.query(`SELECT SLEEP(0.002), '${index} a'`)
      await pool.execute(`SELECT '${index} b'`)
      await new Promise((resolve, reject) => callbacks.query(`SELECT '${index} c'`, (error) => (error ? reject(error) : callbacks.query(`SELECT '${index} d'`, resolve))))
      await new Promise((resolve) => callbacks.getConnection((error, connection) => connection.query(`SELECT '${index} e'`, () => {
        connection.release()
        resolve()
      })))
    })
    details.forEach((own, index) => {
      assert.deepEqual(own, [`SELECT SLEEP(0.002), '${index} a'`, ...['b', 'c', 'd', 'e'].map((letter) => `SELECT '${index} ${letter}'`)])
    })
    await new Promise((resolve) => callbacks.end(resolve))
  })

  test('10,000 interleaved requests over pools of 1 and 10', async () => {
    for (const connectionLimit of [1, 10]) {
      const busy = promised.createPool({ ...options, connectionLimit })
      const details = await interleaved(5_000, (index) => Promise.all([busy.query(`SELECT ${index}`), busy.execute('SELECT ?', [index])]))
      details.forEach((own, index) => assert.deepEqual(own.sort(), [`SELECT ${index}`, 'SELECT ?']))
      await busy.end()
    }
  })

  test('where there is no server, that is a call of whoever asked', async () => {
    const port = await freePort()
    const dead = promised.createPool({ host: '127.0.0.1', port, database: 'shop' })
    const { calls } = await callsOf(async () => {
      await assert.rejects(dead.query('SELECT 1'), /ECONNREFUSED/)
      await assert.rejects(dead.getConnection(), /ECONNREFUSED/)
      await assert.rejects(promised.createConnection({ host: '127.0.0.1', port, database: 'shop' }), /ECONNREFUSED/)
      await assert.rejects(promised.createConnection(`mysql://root@127.0.0.1:${port}/shop`), /ECONNREFUSED/)
    })
    assert.deepEqual(brief(calls), Array(4).fill('mysql connect error'))
    for (const call of calls) assert.deepEqual([call.target, call.duration_ns > 0], [`127.0.0.1:${port}/shop`, true])
    await dead.end()
  })

  test('listeners of a query run in its own request, whoever connected', async () => {
    const connected = await callsOf(() => mysql.createConnection(options))
    const connection = connected.result
    const open = profiler.begin({ path: '/other' })
    const { calls } = await callsOf(() => new Promise((resolve, reject) => {
      connection.query('SELECT 1 AS one').on('error', reject).on('result', () => span('app', 'a row', () => {})).on('end', resolve)
    }))
    open.end()
    assert.deepEqual(brief(calls), ['mysql SELECT 1 AS one ok', 'app a row ok'])
    connection.destroy()
  })

  test('a call that the application marks has the query\'s detail', async () => {
    const details = await interleaved(5, (index) => span('dbshard01', 'find', () => pool.query(`SELECT ${index}`)))
    assert.deepEqual(details, [['SELECT 0'], ['SELECT 1'], ['SELECT 2'], ['SELECT 3'], ['SELECT 4']])
  })

  test('whoever asked is named, through a busy pool too', async () => {
    const { profile } = await profiler.record(() => Promise.all([pool.query('SELECT 1'), pool.execute('SELECT 2')]))
    assert.deepEqual(profile.data.calls.map(({ detail, caller }) => [detail, caller?.file.split('/').pop()]), [['SELECT 1', 'mysql2.test.mjs'], ['SELECT 2', 'mysql2.test.mjs']])
  })

  test('as many calls as the server counted', async () => {
    const questions = async () => Number((await pool.query('SHOW SESSION STATUS LIKE \'Questions\''))[0][0].Value)
    const before = await questions()
    const { calls } = await callsOf(async () => {
      for (let i = 0; i < 30; i++) await pool.query('SELECT ?', [i])
    })
    assert.equal((await questions()) - before - 1, calls.length)
  })
})
