'use strict'
// memjs and memcached: `memcache_get`, `memcache_set` and so on, with what was found.

const { Category, beginCall, callbackIndex, endThrown, endingCallback, endingPromise, quietly } = require('./tools.js')

const categories = new Map()

function categoryOf(name) {
  if (!categories.has(name)) categories.set(name, new Category(`memcache_${name}`, { dialect: 'keys' }))
  return categories.get(name)
}

const keysOf = (key) => (Array.isArray(key) ? key.join(', ') : String(key))

/** `Cache HIT, keys: a`; of several, what is missing. */
function tellFound(call, keys, found) {
  const missed = keys.filter((key) => !found(key))
  call.hits(keys.length - missed.length).misses(missed.length)
  if (keys.length === 1) call.detail(`Cache ${missed.length === 0 ? 'HIT' : 'MISS'}, keys: ${keys[0]}`)
  else call.detail(`Cache ${keys.length - missed.length}/${keys.length} HIT${missed.length === 0 ? '' : `, missed: ${missed.join(', ')}`}`)
}

/** A method `(key, …, callback)`; without a callback it gives a promise. */
function run(category, verb, onResult, method) {
  return function (key, ...rest) {
    const call = quietly(() => beginCall(category, `Cache ${verb}, keys: ${keysOf(key)}`)) ?? null
    if (call === null) return method.call(this, key, ...rest)
    const tell = onResult === undefined ? undefined : (span, ...results) => onResult(span, key, ...results)
    const args = [key, ...rest]
    const at = callbackIndex(args)
    if (at > 0) args[at] = endingCallback(call, args[at], tell)
    let result
    try {
      result = method.apply(this, args)
    } catch (error) {
      endThrown(call, error)
      throw error
    }
    if (at > 0) return result
    if (typeof result?.then === 'function') return endingPromise(call, result, tell)
    call.end()
    return result
  }
}

const WRITES = ['set', 'add', 'replace', 'append', 'prepend', 'touch']

function hookMemjs({ Client }, wraps) {
  const { prototype } = Client
  const isFound = (result) => (Buffer.isBuffer(result) || typeof result !== 'object' || result === null ? result : result.value) !== null
  wraps.wrap(prototype, 'get', (get) =>
    withoutCallback(run(categoryOf('get'), 'GET', (call, key, result) => tellFound(call, [String(key)], () => isFound(result)), get), get))
  for (const name of [...WRITES, 'delete', 'increment', 'decrement']) {
    const verb = name.toUpperCase()
    wraps.wrap(prototype, name, (method) => withoutCallback(run(categoryOf(name), verb, undefined, method), method))
  }
}

/** memjs makes a promise by calling the same method again, with a callback: that is the same call. */
let inside = false
function withoutCallback(observed, method) {
  return function (...args) {
    if (inside) return method.apply(this, args)
    inside = true
    try {
      return observed.apply(this, args)
    } finally {
      inside = false
    }
  }
}

function hookMemcached(Client, wraps) {
  const { prototype } = Client
  const one = (call, key, value) => tellFound(call, [String(key)], () => value !== undefined && value !== false)
  const many = (call, keys, values) => tellFound(call, keys.map(String), (key) => values?.[key] !== undefined)
  wraps.wrap(prototype, 'get', (get) => function (key, ...rest) {
    // It calls `getMulti` for several.
    if (Array.isArray(key)) return get.call(this, key, ...rest)
    return run(categoryOf('get'), 'GET', one, get).call(this, key, ...rest)
  })
  wraps.wrap(prototype, 'gets', (gets) => run(categoryOf('get'), 'GET', one, gets))
  wraps.wrap(prototype, 'getMulti', (getMulti) => run(categoryOf('get_multi'), 'GET', many, getMulti))
  for (const [name, category] of [...WRITES.map((write) => [write, write]), ['cas', 'cas'], ['del', 'delete'], ['incr', 'increment'], ['decr', 'decrement']]) {
    wraps.wrap(prototype, name, (method) => run(categoryOf(category), category.toUpperCase(), undefined, method))
  }
}

module.exports = {
  name: 'memcache',
  packages: {
    memjs: { 'lib/memjs/memjs.js': hookMemjs },
    memcached: { 'lib/memcached.js': hookMemcached },
  },
}
