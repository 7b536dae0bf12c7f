'use strict'
// For everything that has an OpenTelemetry instrumentation and no hook here: a span processor that
// shows its spans as calls.

const { Category, beginIn, endWith, quietly, recordingContext } = require('./hooks/tools.js')

/** What OpenTelemetry says of a client's call, in its older names and its newer ones. */
const SYSTEM = ['db.system.name', 'db.system', 'rpc.system', 'messaging.system']
const DETAIL = ['db.query.text', 'db.statement', 'url.full', 'http.url', 'rpc.method', 'messaging.destination.name']
const HOST = ['server.address', 'net.peer.name', 'net.sock.peer.addr']
const PORT = ['server.port', 'net.peer.port']
const DIALECTS = { postgresql: 'postgresql', mysql: 'mysql', mariadb: 'mysql', sqlite: 'sqlite', redis: 'keys', memcached: 'keys' }

/** SpanKind.CLIENT and SpanKind.PRODUCER. */
const OUTGOING = new Set([2, 3])
/** SpanStatusCode.ERROR. */
const FAILED = 2

const categories = new Map()

function categoryOf(attributes) {
  const name = String(first(attributes, SYSTEM) ?? 'http')
  if (!categories.has(name)) categories.set(name, new Category(name, { dialect: DIALECTS[name] ?? (name === 'http' ? 'path' : 'generic') }))
  return categories.get(name)
}

function first(attributes, names) {
  for (const name of names) if (attributes[name] !== undefined) return attributes[name]
  return undefined
}

/** Begins a call where a client's span begins, and ends it with that. */
class IoprofilerSpanProcessor {
  #calls = new WeakMap()

  onStart(span) {
    quietly(() => {
      if (!OUTGOING.has(span.kind)) return
      const { attributes = {} } = span
      const context = recordingContext()
      if (context === null) return
      const index = beginIn(context, categoryOf(attributes), String(first(attributes, DETAIL) ?? span.name))
      this.#calls.set(span, { context, index })
    })
  }

  onEnd(span) {
    quietly(() => {
      const call = this.#calls.get(span)
      if (call === undefined) return
      this.#calls.delete(span)
      const { attributes = {} } = span
      // Some instrumentations tell only at the end what it was.
      const { context, index } = call
      const { recorder } = context.request
      const [detail, host, port] = [DETAIL, HOST, PORT].map((names) => first(attributes, names))
      if (detail !== undefined) recorder?.setDetail(index, String(detail))
      if (host !== undefined) recorder?.setTarget(index, port === undefined ? String(host) : `${host}:${port}`)
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

module.exports = { IoprofilerSpanProcessor }
