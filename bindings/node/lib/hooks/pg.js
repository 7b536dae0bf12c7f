'use strict'
// pg: each query is a call of whoever asked for it.
//
// A pool that is busy runs `connect`'s callback, and with it the next query, in the context of the
// request that gives its connection back. So what waits for a connection is bound to its own context.

const { Category, Span, beginCall, callbackIndex, contextNow, endByEvents, endThrown, endingCallback, endingPromise, inContext, quietly } = require('./tools.js')

const PG = new Category('pg', { dialect: 'postgresql' })

function textOf(config) {
  if (typeof config === 'string') return config
  return config?.text ?? config?.name ?? config?.cursor?.text ?? ''
}

function countRows(call, result) {
  const results = Array.isArray(result) ? result : [result]
  call.rows(results.reduce((rows, one) => rows + (one?.rowCount ?? one?.rows?.length ?? 0), 0))
}

function targetOf(client) {
  return `${client.host}:${client.port}/${client.database}`
}

/** A query object of its own class, as cursors and streams are. */
function submitted(call, config) {
  const { callback } = config
  if (typeof callback === 'function') {
    config.callback = endingCallback(call, callback, countRows)
  } else if (typeof config.once === 'function') {
    endByEvents(call, config, ['end', 'close'])
  } else {
    // A cursor: it is asked again and again, and nothing tells its end.
    quietly(() => Span.endWith(call, 0))
  }
}

function hookClient(exports, wraps) {
  const { Client } = exports
  wraps.wrap(Client.prototype, 'query', (query) => function (config, ...rest) {
    const call = quietly(() => beginCall(PG, textOf(config))?.target(targetOf(this))) ?? null
    if (call === null) return query.call(this, config, ...rest)
    const args = [config, ...rest]
    quietly(() => {
      const at = callbackIndex(args)
      if (at > 0) args[at] = endingCallback(call, args[at], countRows)
      else if (typeof config?.submit === 'function') submitted(call, config)
      else if (typeof config?.callback === 'function') args[0] = { ...config, callback: endingCallback(call, config.callback, countRows) }
    })
    let result
    try {
      result = query.apply(this, args)
    } catch (error) {
      endThrown(call, error)
      throw error
    }
    return typeof result?.then === 'function' ? endingPromise(call, result, countRows) : result
  })
}

function hookPool(Pool, wraps) {
  wraps.wrap(Pool.prototype, 'connect', (connect) => function (callback, ...rest) {
    const context = typeof callback === 'function' ? quietly(contextNow) : undefined
    return connect.call(this, context === undefined ? callback : inContext(context, callback), ...rest)
  })
}

module.exports = {
  name: 'pg',
  packages: {
    pg: { 'lib/index.js': hookClient },
    'pg-pool': { 'index.js': hookPool },
  },
}
