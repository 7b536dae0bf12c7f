'use strict'
// better-sqlite3 and node:sqlite: synchronous, so each statement that runs is a call.

const { basename } = require('node:path')
const { Category, beginIn, endOnce, endThrown, endWith, quietly, recordingContext, setTarget, state } = require('./tools.js')

const SQLITE = new Category('sqlite', { dialect: 'sqlite' })

/** Statements to the databases that made them. */
const databases = new WeakMap()

/** Begins a call; −1 where that failed. `describe` gives its text and its database. */
function begin(context, describe, object, args) {
  try {
    const [text, database] = describe(object, args)
    const index = beginIn(context, SQLITE, text)
    const file = fileOf(database)
    if (file !== '') setTarget(context, index, file)
    return index
  } catch {
    state.failures++
    return -1
  }
}

/** Its name, in better-sqlite3 and in node:sqlite; none in memory. */
function fileOf(database) {
  const path = database?.name ?? database?.location?.() ?? ''
  return path === ':memory:' ? '' : basename(path)
}

function observed(method, describe, tell) {
  return function (...args) {
    const context = recordingContext()
    if (context === null) return method.apply(this, args)
    const index = begin(context, describe, this, args)
    let result
    try {
      result = method.apply(this, args)
    } catch (error) {
      endThrown(context, index, error)
      throw error
    }
    if (tell === iterated) return iterated(context, index, result)
    endWith(context, index, null, tell, result)
    return result
  }
}

/** It goes on for as long as somebody takes rows from it. */
function iterated(context, index, iterator) {
  let rows = 0
  const ended = endOnce(context, index)
  const end = (error) => ended(error, (recorder) => recorder.setRows(index, rows))
  const { next, return: leave } = iterator
  iterator.next = function () {
    try {
      const step = Reflect.apply(next, this, arguments)
      if (step.done) end(null)
      else rows++
      return step
    } catch (error) {
      end(error ?? true)
      throw error
    }
  }
  iterator.return = function () {
    end(null)
    return leave === undefined ? { done: true, value: undefined } : Reflect.apply(leave, this, arguments)
  }
  return iterator
}

const RESULTS = {
  run: (recorder, index, result) => recorder.setRows(index, Number(result?.changes ?? 0)),
  get: (recorder, index, row) => recorder.setRows(index, row === undefined ? 0 : 1),
  all: (recorder, index, rows) => recorder.setRows(index, rows.length),
  iterate: iterated,
}

function hookStatements(prototype, textOf, wraps) {
  const describe = (statement) => [textOf(statement), databases.get(statement)]
  for (const [name, tell] of Object.entries(RESULTS)) {
    wraps.wrap(prototype, name, (method) => observed(method, describe, tell))
  }
}

/** What a database does itself, and whose its statements are. `met` sees each statement. */
function hookDatabase(prototype, wraps, met) {
  wraps.wrap(prototype, 'prepare', (prepare) => function (...args) {
    const statement = prepare.apply(this, args)
    quietly(() => {
      databases.set(statement, this)
      met?.(statement)
    })
    return statement
  })
  wraps.wrap(prototype, 'exec', (exec) => observed(exec, (database, [sql]) => [sql, database]))
}

function hookBetterSqlite3(Database, wraps) {
  let seen = null
  // Their class is not exported: it is met with the first statement.
  const met = (statement) => {
    const prototype = Object.getPrototypeOf(statement)
    if (seen === prototype) return
    seen = prototype
    hookStatements(prototype, ({ source }) => source, wraps)
  }
  // Where there may be statements already.
  if (Object.keys(require.cache).some((file) => file.endsWith('better_sqlite3.node'))) {
    quietly(() => {
      const database = new Database(':memory:')
      met(database.prepare('SELECT 1'))
      database.close()
    })
  }
  hookDatabase(Database.prototype, wraps, met)
}

function hookNodeSqlite({ DatabaseSync, StatementSync }, wraps) {
  hookStatements(StatementSync.prototype, (statement) => statement.sourceSQL, wraps)
  hookDatabase(DatabaseSync.prototype, wraps)
}

module.exports = {
  name: 'sqlite',
  packages: {
    'better-sqlite3': { 'lib/database.js': hookBetterSqlite3 },
  },
  /** Part of Node, but loading it may say that it is experimental: that is the application's to do. */
  onceLoaded: { 'node:sqlite': hookNodeSqlite },
}
