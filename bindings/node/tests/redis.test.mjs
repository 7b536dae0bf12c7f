// ioredis and redis on a real Redis.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Cluster, Redis } from 'ioredis'
import { createClient } from 'redis'
import { span } from 'ioprofiler'
import { freePort, needs, redis } from './support/servers.mjs'
import { brief, callsOf, interleaved, profiler } from './support/requests.mjs'

describe('Redis', { skip: needs('redis-server') }, () => {
  let options
  let io
  let node
  before(async () => {
    options = await redis()
    io = new Redis(options)
    node = createClient({ socket: options })
    await node.connect()
  })
  after(async () => {
    io.disconnect()
    await node.close()
  })

  test('both are hooked, and say so', () => {
    for (const pattern of [/^ioredis \d/, /^@redis\/client \d/]) assert.ok(profiler.hooks.some(({ name, hooked }) => pattern.test(name) && hooked))
  })

  test('commands are calls, without their values', async () => {
    const own = async (client) => (await callsOf(async () => {
      await client.set('a', 'secret')
      await client.get('a')
      await client.get('none')
      await (client === io ? client.mget('a', 'none') : client.mGet(['a', 'none']))
      await client.del('a')
      await assert.rejects(client === io ? client.call('NONSENSE') : client.sendCommand(['NONSENSE']))
    })).calls
    for (const client of [io, node]) {
      const calls = await own(client)
      assert.deepEqual(brief(calls), ['redis SET a ok', 'redis GET a ok', 'redis GET none ok', 'redis MGET a none ok', 'redis DEL a ok', 'redis NONSENSE error'])
      assert.deepEqual(calls.slice(1, 4).map(({ hits, misses }) => [hits, misses]), [[1, 0], [0, 1], [1, 1]])
      assert.equal(calls[0].target, `127.0.0.1:${options.port}`)
    }
  })

  test('a pipeline and a transaction are one call each', async () => {
    const { calls } = await callsOf(async () => {
      await io.pipeline().set('p', '1').get('p').exec()
      await io.multi().incr('n').get('n').exec()
      await node.multi().set('m', '1').get('m').exec()
      await node.multi().set('m', '1').get('m').execAsPipeline()
    })
    assert.deepEqual(calls.map(({ detail }) => detail), [
      'pipeline of 2: SET p; GET p',
      'MULTI of 2: INCR n; GET n',
      'MULTI of 2: SET m; GET m',
      'pipeline of 2: SET m; GET m',
    ])
  })

  const expected = (count) => Array.from({ length: count }, (_, index) => [`GET ${index} a`, `GET ${index} b`])

  test('automatic pipelines: each command is its own request\'s', async (t) => {
    const automatic = new Redis({ ...options, enableAutoPipelining: true })
    t.after(() => automatic.disconnect())
    await automatic.ping()
    const details = await interleaved(200, async (index) => {
      await automatic.get(`${index} a`)
      await automatic.get(`${index} b`)
    })
    assert.deepEqual(details, expected(200))
  })

  test('the offline queue: each command is its own request\'s, its wait timed', async (t) => {
    const late = new Redis({ ...options, lazyConnect: true })
    t.after(() => late.disconnect())
    const details = await interleaved(20, async (index) => {
      await late.get(`${index} a`)
      await late.get(`${index} b`)
    })
    assert.deepEqual(details, expected(20))
    const offline = createClient({ socket: options })
    t.after(() => offline.destroy())
    const asked = interleaved(20, async (index) => {
      // The first one connects: what the connection does for itself is nobody's.
      if (index === 0) await offline.connect()
      else while (!offline.isOpen) await new Promise(setImmediate)
      await offline.get(`${index} a`)
      await offline.get(`${index} b`)
    })
    assert.deepEqual(await asked, expected(20))
  })

  test('5,000 interleaved requests on one connection', async () => {
    for (const client of [io, node]) {
      const details = await interleaved(2_500, async (index) => {
        await client.get(`${index} a`)
        await client.get(`${index} b`)
      })
      assert.deepEqual(details, expected(2_500))
    }
  })

  test('as many calls as the server counted', async () => {
    const processed = async () => Number(/total_commands_processed:(\d+)/.exec(await io.info('stats'))[1])
    const before = await processed()
    const { calls } = await callsOf(async () => {
      for (let i = 0; i < 30; i++) await Promise.all([io.get(`${i}`), node.get(`${i}`)])
    })
    assert.equal((await processed()) - before - 1, calls.length)
  })

  test('a cluster: each command is its own request\'s, also those that wait for it', async () => {
    // A cluster of one, with all slots.
    const server = await redis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'])
    const admin = new Redis(server)
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    while (!(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok')) await new Promise((resolve) => setTimeout(resolve, 50))
    admin.disconnect()
    const cluster = new Cluster([server], { redisOptions: { host: server.host } })
    const details = await interleaved(50, async (index) => {
      await cluster.get(`${index} a`)
      await cluster.get(`${index} b`)
    })
    assert.deepEqual(details, expected(50))
    cluster.disconnect()
  })

  test('where there is no server, that is a call of whoever asked', async () => {
    const port = await freePort()
    const dead = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: false } })
    dead.on('error', () => {})
    const { calls } = await callsOf(() => assert.rejects(dead.connect(), /ECONNREFUSED/))
    assert.deepEqual(brief(calls), ['redis connect error'])
    assert.equal(calls[0].target, `127.0.0.1:${port}`)
  })

  test('a call that the application marks has the command\'s detail', async () => {
    const { calls } = await callsOf(() => span('sessions', 'read', () => io.get('s')))
    assert.deepEqual(brief(calls), ['sessions GET s ok'])
  })

  test('failures that nobody handles stay unhandled', async (t) => {
    const seen = []
    const listeners = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', (error) => seen.push(error))
    t.after(() => {
      process.removeAllListeners('unhandledRejection')
      for (const listener of listeners) process.on('unhandledRejection', listener)
    })
    await callsOf(async () => {
      io.call('NONSENSE')
      node.sendCommand(['NONSENSE'])
      await io.ping()
      await node.ping()
      await new Promise(setImmediate)
    })
    assert.equal(seen.length, 2)
  })
})
