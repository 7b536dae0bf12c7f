'use strict'
// better-sqlite3 and node:sqlite: synchronous, so each statement that runs is a call.

const { getBuiltin } = require('./builtin.js')
const { Category, beginCall, endThrown, quietly } = require('./tools.js')

const SQLITE = new Category('sqlite', { dialect: 'sqlite' })

function observed(method, textOf, onResult) {
  return function (...args) {
    const call = quietly(() => beginCall(SQLITE, textOf(this, args))) ?? null
    if (call === null) return method.apply(this, args)
    let result
    try {
      result = method.apply(this, args)
    } catch (error) {
      endThrown(call, error)
      throw error
    }
    quietly(() => {
      onResult?.(call, result)
      call.end()
    })
    return result
  }
}

const RESULTS = {
  run: (call, result) => call.rows(Number(result?.changes ?? 0)),
  get: (call, row) => call.rows(row === undefined ? 0 : 1),
  all: (call, rows) => call.rows(rows.length),
}

function hookStatements(prototype, textOf, wraps) {
  for (const [name, onResult] of Object.entries(RESULTS)) {
    wraps.wrap(prototype, name, (method) => observed(method, textOf, onResult))
  }
}

function hookBetterSqlite3(Database, wraps) {
  let seen = null
  wraps.wrap(Database.prototype, 'prepare', (prepare) => function (...args) {
    const statement = prepare.apply(this, args)
    // Its class is not exported: it is met with the first statement.
    const prototype = Object.getPrototypeOf(statement)
    if (seen !== prototype) {
      seen = prototype
      quietly(() => hookStatements(prototype, ({ source }) => source, wraps))
    }
    return statement
  })
  wraps.wrap(Database.prototype, 'exec', (exec) => observed(exec, (_, [sql]) => sql))
}

function hookNodeSqlite(sqlite, wraps) {
  hookStatements(sqlite.StatementSync.prototype, (statement) => statement.sourceSQL, wraps)
  wraps.wrap(sqlite.DatabaseSync.prototype, 'exec', (exec) => observed(exec, (_, [sql]) => sql))
}

module.exports = {
  name: 'sqlite',
  packages: {
    'better-sqlite3': { 'lib/database.js': hookBetterSqlite3 },
  },
  /** Part of Node, where it is there without a warning. */
  builtin(wraps, report) {
    const sqlite = getBuiltin('node:sqlite')
    if (sqlite === undefined) return
    hookNodeSqlite(sqlite, wraps)
    report('node:sqlite', undefined)
  },
}
