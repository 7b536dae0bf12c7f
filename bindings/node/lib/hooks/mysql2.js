'use strict'
// mysql2, with callbacks and with promises (which call the same methods): each query is a call of
// whoever asked for it.
//
// Its own channels would say who runs the query, and that is, where the pool is busy, whoever gave
// the connection back. So what waits for a connection is bound to its own context.

const { Category, awaitingConnection, beginIn, calledBack, endByEvents, endThrown, oncePer, outsideRequests, quietly, recordingContext, setTarget, state, tellingWhyNone, toldWhyNone } = require('./tools.js')

const MYSQL = new Category('mysql', { dialect: 'mysql' })

function countRows(recorder, index, rows) {
  if (Array.isArray(rows)) recorder.setRows(index, rows.length)
  else if (rows?.affectedRows !== undefined) recorder.setRows(index, rows.affectedRows)
}

const targetOf = oncePer(({ config }) => {
  const server = config.socketPath ?? `${config.host ?? 'localhost'}:${config.port ?? 3306}`
  return config.database ? `${server}/${config.database}` : server
})

function run(method) {
  return function (sql, values, callback) {
    const context = recordingContext()
    if (context === null) return method.apply(this, arguments)
    let index = -1
    let isCalledBack = true
    try {
      index = beginIn(context, MYSQL, typeof sql === 'string' ? sql : sql?.sql)
      setTarget(context, index, targetOf(this))
      if (typeof values === 'function') values = calledBack(context, index, values, countRows)
      else if (typeof callback === 'function') callback = calledBack(context, index, callback, countRows)
      // A pool makes the command first, and hands that over.
      else if (typeof sql?.onResult === 'function') sql.onResult = calledBack(context, index, sql.onResult, countRows)
      else isCalledBack = false
    } catch {
      state.failures++
    }
    let command
    try {
      command = method.call(this, sql, values, callback)
    } catch (error) {
      endThrown(context, index, error)
      throw error
    }
    if (!isCalledBack && typeof command?.once === 'function') endByEvents(context, index, command, ['end'])
    return command
  }
}

function hookConnection(BaseConnection, wraps) {
  wraps.wrap(BaseConnection.prototype, 'query', run)
  wraps.wrap(BaseConnection.prototype, 'execute', run)
}

function hookPool(BasePool, wraps) {
  // A connection that it makes for the purpose belongs to no request either.
  wraps.wrap(BasePool.prototype, 'getConnection', (getConnection) => {
    const outside = outsideRequests(getConnection)
    return function (callback, ...rest) {
      const failed = quietly(() => awaitingConnection(MYSQL, () => targetOf({ config: this.config.connectionConfig })))
      const told = failed !== undefined && typeof callback === 'function' ? toldWhyNone(failed, callback) : callback
      return outside.call(this, told, ...rest)
    }
  })
}

/** What options or an address say of the server. */
function targetOfOptions(options) {
  if (typeof options !== 'string') return targetOf({ config: options })
  const { hostname, port, pathname } = new URL(options)
  return targetOf({ config: { host: hostname, port: port || undefined, database: pathname.slice(1) } })
}

/** A single connection that is waited for; of a pool's, the pool tells. */
function hookPromises(promises, wraps) {
  wraps.wrap(promises, 'createConnection', (createConnection) => function (options, ...rest) {
    const failed = quietly(() => awaitingConnection(MYSQL, () => targetOfOptions(options)))
    const promise = createConnection.call(this, options, ...rest)
    return failed === undefined ? promise : tellingWhyNone(failed, promise)
  })
}

module.exports = {
  name: 'mysql2',
  packages: {
    mysql2: {
      'promise.js': hookPromises,
      'lib/base/connection.js': hookConnection,
      'lib/base/pool.js': hookPool,
    },
  },
}
