'use strict'
// For everything that has an OpenTelemetry instrumentation and no hook here: a span processor that
// shows its spans as calls, and a sampler that lets it see those that are not sampled.

const { isHooked } = require('./hooks')
const { Category, beginIn, endWith, quietly, recordingContext } = require('./hooks/tools.js')
const { storage } = require('./context.js')

/** What OpenTelemetry says of a client's call, in its older names and its newer ones. */
const SYSTEM = ['db.system.name', 'db.system', 'rpc.system.name', 'rpc.system', 'messaging.system']
const DETAIL = ['db.query.text', 'db.statement', 'url.full', 'http.url', 'rpc.method', 'messaging.destination.name']
const METHOD = ['http.request.method', 'http.method']
const HOST = ['server.address', 'net.peer.name', 'net.sock.peer.addr']
const PORT = ['server.port', 'net.peer.port']
const DATABASE = ['db.namespace', 'db.name']
const DIALECTS = { postgresql: 'postgresql', mysql: 'mysql', mariadb: 'mysql', sqlite: 'sqlite', redis: 'keys', memcached: 'keys', http: 'path' }

/** Instrumentations that say what a hook of ours says: their names' ends, and the hook. */
const SAME = {
  bullmq: 'bullmq',
  http: 'http',
  ioredis: 'ioredis',
  memcached: 'memcache',
  mongodb: 'mongodb',
  mysql2: 'mysql2',
  pg: 'pg',
  redis: 'redis',
  'redis-4': 'redis',
  undici: 'http',
}

/** SpanKind.CLIENT and SpanKind.PRODUCER. */
const OUTGOING = new Set([2, 3])
/** SpanStatusCode.ERROR. */
const FAILED = 2
/** SamplingDecision. */
const NOT_RECORD = 0
const RECORD = 1

const categories = new Map()

function categoryOf(attributes) {
  const name = String(first(attributes, SYSTEM) ?? (first(attributes, METHOD) === undefined ? 'otel' : 'http'))
  if (!categories.has(name)) categories.set(name, new Category(name, { dialect: DIALECTS[name] ?? 'generic' }))
  return categories.get(name)
}

function detailOf({ name, attributes = {} }) {
  const detail = String(first(attributes, DETAIL) ?? name)
  const method = first(attributes, METHOD)
  return method === undefined ? detail : `${method} ${detail}`
}

function targetOf(attributes) {
  const [host, port, database] = [HOST, PORT, DATABASE].map((names) => first(attributes, names))
  if (host === undefined) return undefined
  return `${host}${port === undefined ? '' : `:${port}`}${database === undefined ? '' : `/${database}`}`
}

function first(attributes, names) {
  for (const name of names) if (attributes[name] !== undefined && attributes[name] !== '') return attributes[name]
  return undefined
}

/** Whether a hook of ours sees the same call. */
function isSeen(span) {
  const scope = span.instrumentationScope ?? span.instrumentationLibrary
  const name = /instrumentation-([\w-]+)$/.exec(scope?.name ?? '')?.[1]
  return name !== undefined && isHooked(SAME[name])
}

/** Begins a call where a client's span begins, and ends it with that. */
class IoprofilerSpanProcessor {
  #calls = new WeakMap()

  onStart(span) {
    quietly(() => {
      if (!OUTGOING.has(span.kind) || isSeen(span)) return
      const context = recordingContext()
      if (context === null) return
      const index = beginIn(context, categoryOf(span.attributes ?? {}), detailOf(span))
      this.#calls.set(span, { context, index })
    })
  }

  onEnd(span) {
    quietly(() => {
      const call = this.#calls.get(span)
      if (call === undefined) return
      this.#calls.delete(span)
      const { context, index } = call
      const { recorder } = context.request
      // Some instrumentations tell only at the end what it was.
      recorder?.setDetail(index, detailOf(span))
      const target = targetOf(span.attributes ?? {})
      if (target !== undefined) recorder?.setTarget(index, target)
      endWith(context, index, span.status?.code === FAILED)
    })
  }

  forceFlush() {
    return Promise.resolve()
  }

  shutdown() {
    return Promise.resolve()
  }
}

/** A sampler that records, inside requests, what the other one drops; nothing more is exported. */
function recording(sampler) {
  return {
    shouldSample(...args) {
      const result = sampler.shouldSample(...args)
      const isWanted = result.decision === NOT_RECORD && storage.getStore() !== undefined
      return isWanted ? { ...result, decision: RECORD } : result
    },
    toString: () => `ioprofiler.recording(${sampler})`,
  }
}

module.exports = { IoprofilerSpanProcessor, recording }
