'use strict'
// Requests that the application makes: node:http and node:https, undici and fetch, by the channels
// that they publish where the application asks.

const { subscribe, unsubscribe } = require('node:diagnostics_channel')
const { EventEmitter } = require('node:events')
const { Category, beginIn, endOnce, endWith, quietly, recordingContext, setTarget } = require('./tools.js')

const HTTP = new Category('http', { dialect: 'path' })

/** undici's requests to their calls. */
const calls = new WeakMap()

/** Begins a call; null where nothing is recorded. */
function begin(request, host) {
  const context = recordingContext()
  if (context === null) return null
  const index = beginIn(context, HTTP, `${request.method} ${request.path}`)
  setTarget(context, index, host())
  return { context, index }
}

function endUndici(request, error) {
  const call = calls.get(request)
  calls.delete(request)
  if (call !== undefined) endWith(call.context, call.index, error)
}

const CHANNELS = {
  'http.client.request.start': ({ request }) => {
    const call = begin(request, () => String(request.getHeader('host') ?? request.host))
    if (call === null) return
    const end = endOnce(call.context, call.index)
    request.once(EventEmitter.errorMonitor, (error) => end(error ?? true))
    // Its answer has come whole, or nobody waits for it any more.
    request.once('close', () => end(null))
  },
  'undici:request:create': ({ request }) => {
    const call = begin(request, () => new URL(request.origin).host)
    if (call !== null) calls.set(request, call)
  },
  'undici:request:trailers': ({ request }) => endUndici(request, null),
  'undici:request:error': ({ request, error }) => endUndici(request, error ?? true),
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
