'use strict'
// For everything that has an OpenTelemetry instrumentation and no hook here: a span processor that
// shows its spans as calls.

const { Span, beginCall, outcomeOf, quietly, Category, OK } = require('./hooks/tools.js')

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
      const call = beginCall(categoryOf(attributes), String(first(attributes, DETAIL) ?? span.name))
      if (call !== null) this.#calls.set(span, call)
    })
  }

  onEnd(span) {
    quietly(() => {
      const call = this.#calls.get(span)
      if (call === undefined) return
      this.#calls.delete(span)
      const { attributes = {} } = span
      // Some instrumentations tell only at the end what it was.
      const detail = first(attributes, DETAIL)
      if (detail !== undefined) call.detail(String(detail))
      const [host, port] = [first(attributes, HOST), first(attributes, PORT)]
      if (host !== undefined) call.target(port === undefined ? String(host) : `${host}:${port}`)
      Span.endWith(call, span.status?.code === FAILED ? outcomeOf(undefined) : OK)
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
