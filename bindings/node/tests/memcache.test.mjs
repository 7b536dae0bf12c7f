// memjs and memcached on a real memcached.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import memjs from 'memjs'
import Memcached from 'memcached'
import { memcached, needs } from './support/servers.mjs'
import { brief, callsOf, interleaved, profiler } from './support/requests.mjs'

describe('memcache', { skip: needs('memcached') }, () => {
  let js
  let third
  before(async () => {
    const { port } = await memcached()
    js = memjs.Client.create(`127.0.0.1:${port}`)
    third = new Memcached(`127.0.0.1:${port}`, { poolSize: 1 })
  })
  after(() => {
    js.close()
    third.end()
  })

  test('both are hooked, and say so', () => {
    for (const pattern of [/^memjs \d/, /^memcached \d/]) assert.ok(profiler.hooks.some(({ name, hooked }) => pattern.test(name) && hooked))
  })

  test('memjs: what was found is told', async () => {
    const { calls } = await callsOf(async () => {
      await js.set('a', 'value', { expires: 60 })
      assert.equal(String((await js.get('a')).value), 'value')
      await js.get('none')
      await new Promise((resolve, reject) => js.get('a', (error) => (error ? reject(error) : resolve())))
      await js.delete('a')
    })
    assert.deepEqual(brief(calls), [
      'memcache_set Cache SET, keys: a ok',
      'memcache_get Cache HIT, keys: a ok',
      'memcache_get Cache MISS, keys: none ok',
      'memcache_get Cache HIT, keys: a ok',
      'memcache_delete Cache DELETE, keys: a ok',
    ])
    assert.deepEqual(calls.slice(1, 3).map(({ hits, misses }) => [hits, misses]), [[1, 0], [0, 1]])
  })

  test('memcached: what was found is told', async () => {
    const call = (name) => promisify(third[name]).bind(third)
    const { calls } = await callsOf(async () => {
      await call('set')('b', 'value', 60)
      assert.equal(await call('get')('b'), 'value')
      await call('get')('none')
      await call('getMulti')(['b', 'none'])
      await call('get')(['b', 'none'])
      await call('del')('b')
      await call('delete')('b')
      await call('increment')('none', 1)
      await call('decr')('none', 1)
    })
    assert.deepEqual(brief(calls), [
      'memcache_set Cache SET, keys: b ok',
      'memcache_get Cache HIT, keys: b ok',
      'memcache_get Cache MISS, keys: none ok',
      'memcache_get_multi Cache 1/2 HIT, missed: none ok',
      'memcache_get_multi Cache 1/2 HIT, missed: none ok',
      'memcache_delete Cache DELETE, keys: b ok',
      'memcache_delete Cache DELETE, keys: b ok',
      'memcache_increment Cache INCREMENT, keys: none ok',
      'memcache_decrement Cache DECREMENT, keys: none ok',
    ])
  })

  test('interleaved requests on one connection are kept apart', async () => {
    const expected = Array.from({ length: 300 }, (_, index) => [`Cache MISS, keys: ${index}a`, `Cache MISS, keys: ${index}b`])
    assert.deepEqual(await interleaved(300, async (index) => {
      await js.get(`${index}a`)
      await js.get(`${index}b`)
    }), expected)
    const get = promisify(third.get).bind(third)
    assert.deepEqual(await interleaved(300, async (index) => {
      await get(`${index}a`)
      await new Promise((resolve) => third.get(`${index}b`, resolve))
    }), expected)
  })
})
