'use strict'
// mysql2, with callbacks and with promises (which call the same methods): each query is a call of
// whoever asked for it.
//
// Its own channels would say who runs the query, and that is, where the pool is busy, whoever gave
// the connection back. So what waits for a connection is bound to its own context.

const { Category, beginCall, callbackIndex, contextNow, endByEvents, endThrown, endingCallback, inContext, quietly } = require('./tools.js')

const MYSQL = new Category('mysql', { dialect: 'mysql' })

function countRows(call, rows) {
  if (Array.isArray(rows)) call.rows(rows.length)
  else if (rows?.affectedRows !== undefined) call.rows(rows.affectedRows)
}

function targetOf({ config }) {
  const server = config.socketPath ?? `${config.host ?? 'localhost'}:${config.port ?? 3306}`
  return config.database ? `${server}/${config.database}` : server
}

function run(method) {
  return function (sql, ...rest) {
    const text = typeof sql === 'string' ? sql : (sql?.sql ?? '')
    const call = quietly(() => beginCall(MYSQL, text)?.target(targetOf(this))) ?? null
    if (call === null) return method.call(this, sql, ...rest)
    const args = [sql, ...rest]
    const byCallback = quietly(() => {
      const at = callbackIndex(args)
      if (at > 0) {
        args[at] = endingCallback(call, args[at], countRows)
        return true
      }
      // A pool makes the command first, and hands that over.
      if (typeof sql?.onResult !== 'function') return false
      sql.onResult = endingCallback(call, sql.onResult, countRows)
      return true
    })
    let command
    try {
      command = method.apply(this, args)
    } catch (error) {
      endThrown(call, error)
      throw error
    }
    if (!byCallback && typeof command?.once === 'function') endByEvents(call, command, ['end'])
    return command
  }
}

function hookConnection(BaseConnection, wraps) {
  wraps.wrap(BaseConnection.prototype, 'query', run)
  wraps.wrap(BaseConnection.prototype, 'execute', run)
}

function hookPool(BasePool, wraps) {
  wraps.wrap(BasePool.prototype, 'getConnection', (getConnection) => function (callback, ...rest) {
    const context = typeof callback === 'function' ? quietly(contextNow) : undefined
    return getConnection.call(this, context === undefined ? callback : inContext(context, callback), ...rest)
  })
}

module.exports = {
  name: 'mysql2',
  packages: {
    mysql2: { 'lib/base/connection.js': hookConnection, 'lib/base/pool.js': hookPool },
  },
}
