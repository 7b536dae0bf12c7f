'use strict'
// memjs and memcached: `memcache_get`, `memcache_set` and so on, with what was found.

const { Category, beginIn, calledBack, endThrown, endedBy, quietly, recordingContext, wordingOf } = require('./tools.js')

const categories = new Map()

function categoryOf(name) {
  if (!categories.has(name)) categories.set(name, new Category(`memcache_${name}`, { dialect: 'keys' }))
  return categories.get(name)
}

const ASKED = wordingOf((key) => `Cache GET, keys: ${key}`)
const HIT = wordingOf((key) => `Cache HIT, keys: ${key}`)
const MISS = wordingOf((key) => `Cache MISS, keys: ${key}`)

function foundOne(recorder, index, isFound, key) {
  recorder.setFound(index, isFound ? 1 : 0, isFound ? 0 : 1)
  recorder.word(index, isFound ? HIT : MISS, key)
}

/** Of several, what is missing. */
function foundMany(recorder, index, values, keys) {
  const missed = keys.filter((key) => values?.[key] === undefined)
  const hits = keys.length - missed.length
  recorder.setFound(index, hits, missed.length)
  recorder.setDetail(index, `Cache ${hits}/${keys.length} HIT${missed.length === 0 ? '' : `, missed: ${missed.join(', ')}`}`)
}

function severalKeys(keys) {
  return quietly(() => (Array.isArray(keys) ? keys.join(', ') : String(keys))) ?? ''
}

// memjs makes a promise by calling the same method again, with a callback of its own: that is the
// call, and its callback needs nobody's context.
let isOwn = false

function promised(client, method, args) {
  isOwn = true
  try {
    return method.apply(client, args)
  } finally {
    isOwn = false
  }
}

const plainly = (client, method, args) => method.apply(client, args)

/** A method `(key, callback)` that reads; `tell` says what was found. */
function reading(category, tell, without, method) {
  return function (key, callback) {
    if (typeof callback !== 'function') return without(this, method, arguments)
    const own = isOwn
    isOwn = false
    const context = recordingContext()
    if (context === null) return method.apply(this, arguments)
    const keys = typeof key === 'string' ? key : severalKeys(key)
    const index = beginIn(context, category, keys)
    context.request.recorder.word(index, ASKED, keys)
    const back = own ? endedBy(context, index, callback, tell, key) : calledBack(context, index, callback, tell, key)
    try {
      return method.call(this, key, back)
    } catch (error) {
      endThrown(context, index, error)
      throw error
    }
  }
}

/** A method `(key, …, callback, …)`. */
function writing(category, verb, without, method) {
  return function (...args) {
    const at = args.findIndex((arg) => typeof arg === 'function')
    if (at < 1) return without(this, method, args)
    const own = isOwn
    isOwn = false
    const context = recordingContext()
    if (context === null) return method.apply(this, args)
    const index = beginIn(context, category, `Cache ${verb}, keys: ${severalKeys(args[0])}`)
    args[at] = own ? endedBy(context, index, args[at]) : calledBack(context, index, args[at])
    try {
      return method.apply(this, args)
    } catch (error) {
      endThrown(context, index, error)
      throw error
    }
  }
}

const WRITES = ['set', 'add', 'replace', 'append', 'prepend', 'touch']

function hookMemjs({ Client }, wraps) {
  const { prototype } = Client
  const tell = (recorder, index, value, key) => foundOne(recorder, index, value !== null, key)
  wraps.wrap(prototype, 'get', (get) => reading(categoryOf('get'), tell, promised, get))
  for (const name of [...WRITES, 'delete', 'increment', 'decrement']) {
    wraps.wrap(prototype, name, (method) => writing(categoryOf(name), name.toUpperCase(), promised, method))
  }
}

const MEMCACHED = {
  ...Object.fromEntries(WRITES.map((name) => [name, name])),
  cas: 'cas',
  del: 'delete',
  delete: 'delete',
  incr: 'increment',
  increment: 'increment',
  decr: 'decrement',
  decrement: 'decrement',
}

function hookMemcached(Client, wraps) {
  const { prototype } = Client
  const one = (recorder, index, value, key) => foundOne(recorder, index, value !== undefined && value !== false, key)
  wraps.wrap(prototype, 'get', (get) => {
    const seen = reading(categoryOf('get'), one, plainly, get)
    // It calls `getMulti` for several.
    return function (key, callback) {
      return Array.isArray(key) ? get.apply(this, arguments) : seen.call(this, key, callback)
    }
  })
  wraps.wrap(prototype, 'gets', (gets) => reading(categoryOf('get'), one, plainly, gets))
  wraps.wrap(prototype, 'getMulti', (getMulti) => reading(categoryOf('get_multi'), foundMany, plainly, getMulti))
  for (const [name, verb] of Object.entries(MEMCACHED)) {
    wraps.wrap(prototype, name, (method) => writing(categoryOf(verb), verb.toUpperCase(), plainly, method))
  }
}

module.exports = {
  name: 'memcache',
  packages: {
    memjs: { 'lib/memjs/memjs.js': hookMemjs },
    memcached: { 'lib/memcached.js': hookMemcached },
  },
}
