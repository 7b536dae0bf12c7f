'use strict'
// pg: each query is a call of whoever asked for it.
//
// A pool that is busy runs `connect`'s callback, and with it the next query, in the context of the
// request that gives its connection back. So what waits for a connection is bound to its own context,
// and what a connection does for itself is nobody's.
//
// What `pool.query` does in between is the library's alone, and is told who asked instead: to enter a
// context twice a query would cost more than the rest of it.

const { Category, askingContext, askingNow, awaitingConnection, beginIn, bound, calledBack, calledFrom, endByEvents, endThrown, endedBy, endingPromise, inContext, oncePer, outsideRequests, quietly, recordingContext, setTarget, state, stillRecording, tellingWhyNone, toldWhyNone } = require('./tools.js')

const PG = new Category('pg', { dialect: 'postgresql' })

function textOf(config) {
  if (typeof config === 'string') return config
  return config?.text ?? config?.name ?? config?.cursor?.text ?? ''
}

const rowsOf = (result) => result?.rowCount ?? result?.rows?.length ?? 0

function countRows(recorder, index, result) {
  recorder.setRows(index, Array.isArray(result) ? result.reduce((rows, one) => rows + rowsOf(one), 0) : rowsOf(result))
}

const targetOf = oncePer((client) => `${client.host}:${client.port}/${client.database}`)

/** A query object of its own class: a cursor, a stream. */
function submitted(context, index, config) {
  if (typeof config.callback === 'function') {
    config.callback = calledBack(context, index, config.callback, countRows)
    return
  }
  endByEvents(context, index, config, ['end', 'close'])
  // A stream reads its own cursor.
  if (typeof config.read === 'function' && typeof config.pipe !== 'function') cursors.set(config, { context, index })
}

/** Cursors that were not read yet, with the call of their query; then null. */
const cursors = new WeakMap()

/** Reading from a cursor is a call; its first read is the query's. */
function reading(cursor) {
  const first = cursors.get(cursor)
  if (first === undefined) return null
  if (first !== null) {
    cursors.set(cursor, null)
    return first
  }
  const context = recordingContext()
  return context === null ? null : { context, index: beginIn(context, PG, cursor.text) }
}

const countRead = (recorder, index, rows) => recorder.setRows(index, rows.length)

function hookCursor(Cursor, wraps) {
  wraps.wrap(Cursor.prototype, 'read', (read) => function (rows, callback) {
    const call = quietly(() => reading(this))
    if (!call) return read.call(this, rows, callback)
    const { context, index } = call
    if (typeof callback === 'function') return read.call(this, rows, calledBack(context, index, callback, countRead))
    return endingPromise(context, index, read.call(this, rows), countRead)
  })
}

function hookClient(exports, wraps) {
  const { Client } = exports
  wraps.wrap(Client.prototype, 'query', (query) => function (config, values, callback) {
    const asked = poolAsks
    poolAsks = null
    const context = asked === null ? recordingContext() : stillRecording(asked)
    if (context === null) return query.apply(this, arguments)
    let index = -1
    try {
      index = beginIn(context, PG, textOf(config))
      setTarget(context, index, targetOf(this))
      if (asked !== null && typeof callback === 'function') callback = endedBy(context, index, callback, countRows)
      else if (typeof values === 'function') values = calledBack(context, index, values, countRows)
      else if (typeof callback === 'function') callback = calledBack(context, index, callback, countRows)
      else if (typeof config?.submit === 'function') submitted(context, index, config)
      else if (typeof config?.callback === 'function') config = { ...config, callback: calledBack(context, index, config.callback, countRows) }
    } catch {
      state.failures++
    }
    let result
    try {
      result = query.call(this, config, values, callback)
    } catch (error) {
      endThrown(context, index, error)
      throw error
    }
    return typeof result?.then === 'function' ? endingPromise(context, index, result, countRows) : result
  })
  wraps.wrap(Client.prototype, 'connect', (connect) => connecting(outsideRequests(connect), targetOf))
}

/** A pool's client connects: whoever waits for it is told by the pool. */
let isPools = false

/** The pool whose own `query` asks it for a connection now, and in which context; else null. */
let queriedPool = null
let queriedIn = null

/** The context of the `pool.query` that asks its connection now; else null. */
let poolAsks = null

/** A method that connects, by a callback or a promise. */
function connecting(connect, target) {
  return function (callback, ...rest) {
    const failed = isPools ? undefined : quietly(() => awaitingConnection(PG, () => target(this)))
    if (failed === undefined) return connect.call(this, callback, ...rest)
    if (typeof callback === 'function') return connect.call(this, toldWhyNone(failed, callback), ...rest)
    const promise = connect.call(this, callback, ...rest)
    return typeof promise?.then === 'function' ? tellingWhyNone(failed, promise) : promise
  }
}

const targetOfPool = oncePer((pool) => targetOf(new pool.Client(pool.options)))

/** What a `pool.query` waits for its connection with: the query is of whoever asked the pool. */
function askingConnection(context, pool, callback) {
  const asking = askingNow(context, PG, () => targetOfPool(pool))
  return (error, client, release) => {
    if (error) asking.failed(error)
    else poolAsks = context
    try {
      if (asking.site === 0) return callback(error, client, release)
      return calledFrom(context, asking.site, () => callback(error, client, release))
    } finally {
      poolAsks = null
    }
  }
}

function connectingPool(connect) {
  const byOthers = connecting(function (callback, ...rest) {
    return connect.call(this, bound(callback), ...rest)
  }, targetOfPool)
  return function (callback, ...rest) {
    if (queriedPool !== this || typeof callback !== 'function') return byOthers.call(this, callback, ...rest)
    queriedPool = null
    return connect.call(this, quietly(() => askingConnection(queriedIn, this, callback)) ?? callback, ...rest)
  }
}

function queryingPool(query) {
  return function (text, values, callback) {
    const context = askingContext()
    if (context === undefined) return query.apply(this, arguments)
    if (typeof values === 'function') values = inContext(context, values)
    else if (typeof callback === 'function') callback = inContext(context, callback)
    queriedPool = this
    queriedIn = context
    try {
      return query.call(this, text, values, callback)
    } finally {
      queriedPool = null
      queriedIn = null
    }
  }
}

function hookPool(Pool, wraps) {
  const { prototype } = Pool
  wraps.wrap(prototype, 'connect', connectingPool)
  wraps.wrap(prototype, 'query', queryingPool)
  if (typeof prototype.newClient !== 'function') return
  wraps.wrap(prototype, 'newClient', (newClient) => function (...args) {
    isPools = true
    try {
      return newClient.apply(this, args)
    } finally {
      isPools = false
    }
  })
}

module.exports = {
  name: 'pg',
  packages: {
    pg: { 'lib/index.js': hookClient },
    'pg-pool': { 'index.js': hookPool },
    'pg-cursor': { 'index.js': hookCursor },
  },
}
