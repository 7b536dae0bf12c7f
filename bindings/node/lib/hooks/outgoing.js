'use strict'
// Requests that the application makes: node:http and node:https, undici and fetch, by the channels
// that they publish where the application asks.

const { subscribe, unsubscribe } = require('node:diagnostics_channel')
const { EventEmitter } = require('node:events')
const { Category, Span, beginCall, outcomeOf, quietly, OK } = require('./tools.js')

const HTTP = new Category('http', { dialect: 'path' })

/** undici's requests to their calls. */
const calls = new WeakMap()

function endUndici(request, outcome) {
  const call = calls.get(request)
  calls.delete(request)
  if (call !== undefined) Span.endWith(call, outcome)
}

const CHANNELS = {
  'http.client.request.start': ({ request }) => {
    const host = request.getHeader('host') ?? request.host
    const call = beginCall(HTTP, `${request.method} ${request.path}`)?.target(String(host))
    if (!call) return
    request.once(EventEmitter.errorMonitor, (error) => quietly(() => Span.endWith(call, outcomeOf(error))))
    // Its answer has come whole, or nobody waits for it any more.
    request.once('close', () => quietly(() => Span.endWith(call, OK)))
  },
  'undici:request:create': ({ request }) => {
    const call = beginCall(HTTP, `${request.method} ${request.path}`)?.target(new URL(request.origin).host)
    if (call) calls.set(request, call)
  },
  'undici:request:trailers': ({ request }) => endUndici(request, OK),
  'undici:request:error': ({ request, error }) => endUndici(request, outcomeOf(error)),
}

module.exports = {
  name: 'http',
  packages: {},
  builtin(wraps, report) {
    for (const [name, take] of Object.entries(CHANNELS)) {
      const subscriber = (message) => quietly(() => take(message))
      subscribe(name, subscriber)
      wraps.onUndo(() => unsubscribe(name, subscriber))
    }
    report('node:http client', undefined)
    report('undici', undefined)
  },
}
