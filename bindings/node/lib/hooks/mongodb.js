'use strict'
// mongodb: each operation is a call of whoever asked for it, its wait for a connection and its retries
// included. Every one goes through one function of the driver's; what a connection does for itself
// (watching servers, authentication) does not.
//
// The detail says the shape of what was asked, without values: `find listings {price: {$gt: ?}}`.

const { Category, beginIn, endThrown, endingPromise, oncePer, outsideRequests, recordingContext, setTarget, state } = require('./tools.js')

const MONGODB = new Category('mongodb', { dialect: 'generic' })
const MOST_CHARS = 1024
const MOST_DEPTH = 8
const MOST_KEYS = 32

/** The shape of a document, up to a length; values are `?`. */
function shapeOf(value, depth = 0) {
  if (value === null || typeof value !== 'object' || value._bsontype !== undefined) return '?'
  if (Array.isArray(value)) {
    if (depth >= MOST_DEPTH) return '[…]'
    const parts = value.slice(0, MOST_KEYS).map((one) => shapeOf(one, depth + 1))
    // Of many values one is enough.
    if (parts.every((part) => part === '?')) return parts.length === 0 ? '[]' : '[?]'
    return `[${parts.join(', ')}${value.length > MOST_KEYS ? ', …' : ''}]`
  }
  const isPlain = Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null
  if (!isPlain && !(value instanceof Map)) return '?'
  if (depth >= MOST_DEPTH) return '{…}'
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  const parts = entries.slice(0, MOST_KEYS).map(([key, one]) => `${key}: ${shapeOf(one, depth + 1)}`)
  return `{${parts.join(', ')}${entries.length > MOST_KEYS ? ', …' : ''}}`
}

/** What an operation is about, besides its name and its collection. */
function argumentsOf(operation) {
  const { pipeline, documents, statements, filter, query, key, options } = operation
  if (Array.isArray(pipeline)) return shapeOf(pipeline)
  if (Array.isArray(documents)) return `${documents.length} document${documents.length === 1 ? '' : 's'}`
  if (Array.isArray(statements) && statements.length !== 0) {
    const [{ q, u }] = statements
    const more = statements.length > 1 ? `, and ${statements.length - 1} more` : ''
    return (u === undefined ? shapeOf(q) : `${shapeOf(q)} ${shapeOf(u)}`) + more
  }
  if (typeof key === 'string') return `${key} ${shapeOf(query ?? {})}`
  const asked = filter ?? query
  if (asked === undefined) return ''
  return options?.sort === undefined ? shapeOf(asked) : `${shapeOf(asked)} sorted`
}

function collectionOf({ ns, target, collection, collectionName }) {
  const name = collectionName ?? collection?.collectionName ?? (typeof target === 'string' ? target : ns?.collection)
  return name === '$cmd' ? undefined : name
}

function describe(operation) {
  const { ns, commandName, command } = operation
  const isOwnCommand = commandName === 'runCommand' || commandName === undefined
  const name = isOwnCommand && command !== undefined ? Object.keys(command)[0] : (commandName ?? operation.constructor.name)
  const text = [name, collectionOf(operation), argumentsOf(operation)].filter(Boolean).join(' ')
  return text.length > MOST_CHARS ? `${text.slice(0, MOST_CHARS)}…` : text
}

const serversOf = oncePer((client) => (client.options?.hosts ?? client.s?.options?.hosts ?? []).map(String).join(','))

function countRows(recorder, index, result) {
  const rows = result?.batchSize ?? result?.insertedCount ?? result?.deletedCount ?? result?.n ?? (result?.matchedCount === undefined ? undefined : result.modifiedCount + (result.upsertedCount ?? 0))
  if (typeof rows === 'number') recorder.setRows(index, rows)
}

function hookOperations(exports, wraps) {
  wraps.wrap(exports, 'executeOperation', (executeOperation) => function (client, operation, ...rest) {
    const context = recordingContext()
    if (context === null) return executeOperation.call(this, client, operation, ...rest)
    let index = -1
    try {
      index = beginIn(context, MONGODB, describe(operation))
      setTarget(context, index, operation.ns?.db ? `${serversOf(client)}/${operation.ns.db}` : serversOf(client))
    } catch {
      state.failures++
    }
    let promise
    try {
      promise = executeOperation.call(this, client, operation, ...rest)
    } catch (error) {
      endThrown(context, index, error)
      throw error
    }
    return typeof promise?.then === 'function' ? endingPromise(context, index, promise, countRows) : promise
  })
}

function hookClient({ MongoClient }, wraps) {
  wraps.wrap(MongoClient.prototype, 'connect', outsideRequests)
}

module.exports = {
  name: 'mongodb',
  packages: {
    mongodb: { 'lib/operations/execute_operation.js': hookOperations, 'lib/mongo_client.js': hookClient },
  },
}
