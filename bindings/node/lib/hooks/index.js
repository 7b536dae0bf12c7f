'use strict'
// Which libraries can be hooked, and one set of hooks for all profilers of this thread: a hook only
// asks which request runs now, so it does not matter whose that is.

const { Loader } = require('./loader.js')
const { Wraps, quietly } = require('./tools.js')

const LIBRARIES = [
  require('./pg.js'),
  require('./mysql2.js'),
  require('./ioredis.js'),
  require('./redis.js'),
  require('./memcache.js'),
  require('./mongodb.js'),
  require('./sqlite.js'),
  require('./outgoing.js'),
  require('./templates.js'),
]

const BY_SPAN = 'no hook for it: mark its calls with span(), or record its OpenTelemetry spans'
/** Libraries whose calls one would miss. */
const UNKNOWN = new Map(
  ['mysql', 'postgres', 'tedious', 'oracledb', 'cassandra-driver', '@elastic/elasticsearch', '@prisma/client', 'kafkajs', 'amqplib', '@grpc/grpc-js', 'aerospike', 'sqlite3', 'neo4j-driver'].map((name) => [name, BY_SPAN]),
)

/** The names that the option `instrument` knows. */
function names() {
  return [...LIBRARIES.map((library) => library.name), 'bullmq']
}

/** The packages that can be hooked. */
function packages() {
  const bullmq = require('./bullmq.js')(() => undefined)
  return [...LIBRARIES, bullmq].flatMap((library) => Object.keys(library.packages))
}

/** Packages that cannot be hooked, and what to do about it. */
function unknown() {
  return [...UNKNOWN]
}

/** Profilers that have hooked, the first one first, and what they hear of it. */
const users = new Map()
let chosen = null
let loader = null
let wraps = null
/** Hooks for modules of Node that the application may load yet: by their names. */
const awaited = new Map()
/** What was reported so far: for those that come later. */
let reports = []

function report(name, hint) {
  reports.push([name, hint])
  for (const hear of users.values()) hear(name, hint)
}

/** Hooks for a profiler; `what` is true for all, or names. `hear` is told name and hint. */
function hook(profiler, what, hear) {
  const wanted = new Set(what === true ? names() : what)
  for (const [name, hint] of reports) hear(name, hint)
  users.set(profiler, hear)
  if (chosen !== null && [...wanted].every((name) => chosen.has(name))) return
  unhookAll()
  chosen = new Set([...(chosen ?? []), ...wanted])
  reports = []
  const bullmq = require('./bullmq.js')(() => users.keys().next().value)
  const libraries = [...LIBRARIES, bullmq].filter((library) => chosen.has(library.name))
  wraps = new Wraps()
  for (const library of libraries) {
    library.builtin?.(wraps, report)
    for (const [name, hookModule] of Object.entries(library.onceLoaded ?? {})) awaited.set(name, hookModule)
  }
  loader = new Loader(libraries, UNKNOWN, report, look)
  loader.start()
  look()
}

/** Hooks those modules of Node that were loaded meanwhile: nothing tells when they are. */
function look() {
  for (const [name, hookModule] of awaited) {
    if (!process.moduleLoadList?.includes(`NativeModule ${name.replace('node:', '')}`)) continue
    awaited.delete(name)
    quietly(() => {
      hookModule(process.getBuiltinModule(name), wraps)
      report(name, undefined)
    })
  }
}

function unhookAll() {
  loader?.undo()
  wraps?.undo()
  loader = null
  wraps = null
  awaited.clear()
}

/** Undoes a profiler's hooks; the last one's undoing puts everything back. */
function unhook(profiler) {
  users.delete(profiler)
  if (users.size !== 0) return
  unhookAll()
  chosen = null
  reports = []
}

/** Whether a library is hooked now, by its name in the option `instrument`. */
function isHooked(name) {
  return chosen?.has(name) === true
}

module.exports = { hook, unhook, isHooked, look, names, packages, unknown }
