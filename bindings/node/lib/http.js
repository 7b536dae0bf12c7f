'use strict'
// Requests of node:http servers: begun by Node's own diagnostics channel, ended when the answer is
// closed. No prototype is patched; an answer gets one own method, `writeHead`, to see its first byte
// leave. What a request that asked gets besides is in answer.js.

const { subscribe, unsubscribe } = require('node:diagnostics_channel')
const { native } = require('./board.js')
const { storage, state } = require('./context.js')
const { Answer, openHeaders, setHead } = require('./answer.js')
const { watchCallers } = require('./caller.js')
const { routeOf } = require('./frameworks/express_route.js')

const STARTED = 'http.server.request.start'
const kVisit = Symbol('ioprofiler.visit')
const MODEST_ID = /^[\w.:/+=@-]{1,128}$/

/** One request to a server, and its answer. */
class Visit {
  constructor(profiler, request, req, res, wantedOfAnswer, isPrivate) {
    this.profiler = profiler
    this.wantedOfAnswer = wantedOfAnswer
    /** The viewer chose flags, so the answer is theirs alone. */
    this.isPrivate = isPrivate
    this.request = request
    this.req = req
    this.res = res
    this.socket = req.socket
    /** What the gate's function is shown: the framework's own request, where there is one. */
    this.host = req
    /** Gives the route's template, once the answer is there. */
    this.route = null
    this.written = 0
    this.answer = null
  }

  /** The head of the answer leaves. */
  firstByte(status) {
    const { res } = this
    // Of a body whose length Node knows, nothing has to be counted.
    if (typeof res._contentLength !== 'number' && !res.hasHeader('content-length')) this.written = this.socket?.bytesWritten ?? 0
    this.request.firstByte(status)
    const { noteHeader } = this.profiler.options
    if (noteHeader === null || res.headersSent) return
    this.learnRoute()
    const note = this.request.compactNote()
    if (note !== undefined) res.setHeader(noteHeader, note)
  }

  /** The route's template, now that the handler has run. */
  learnRoute() {
    const { req, request } = this
    // Express leaves it on the request, also where its middleware was not asked for.
    const route = this.route?.() ?? (req.route === undefined ? undefined : routeOf(req))
    if (route !== undefined && route !== null) request.setRoute(route)
  }

  end() {
    const { res, request } = this
    if (request.ended) return
    this.learnRoute()
    for (const name of this.wantedOfAnswer) {
      const value = res.getHeader(name)
      if (value !== undefined) native.header(request.low, request.high, name, String(value))
    }
    request.end(res.statusCode, this.bytes(), !res.writableFinished)
  }

  /** Bytes of the answer's body that were sent. */
  bytes() {
    const { res, req } = this
    if (!res.headersSent || req.method === 'HEAD' || res.statusCode === 204 || res.statusCode === 304) return 0
    const length = res._contentLength ?? Number(res.getHeader('content-length'))
    if (res.writableFinished && length >= 0) return length
    const sent = (this.socket?.bytesWritten ?? 0) - this.written - (res._header?.length ?? 0)
    return Math.max(sent, 0)
  }
}

function onClose() {
  const visit = this[kVisit]
  try {
    visit.end()
  } catch {
    state.failures++
  }
}

/** An answer's own `writeHead`: sees the first byte leave, and passes everything on. */
function writeHead(...args) {
  const visit = this[kVisit]
  try {
    if (visit.answer !== null && visit.answer.takesHead(args)) return this
    if (visit.isPrivate) args = privately(this, args)
    visit.firstByte(typeof args[0] === 'number' ? args[0] : this.statusCode)
  } catch {
    state.failures++
  }
  return Object.getPrototypeOf(this).writeHead.apply(this, args)
}

/** The head of an answer that is its viewer's alone. */
function privately(res, args) {
  setHead(res, args)
  openHeaders(res)
  return [res.statusCode]
}

/** Whether a request may concern the gate at all: most do not, and are looked at no further. */
function mayAsk(req, parameter) {
  const { headers, url } = req
  if (url.includes(parameter) || headers['x-ioprofiler'] !== undefined) return true
  const { cookie } = headers
  return cookie !== undefined && cookie.includes('ioprofiler_ask')
}

/** Whether it may choose flags. */
function mayOverride({ headers, url }) {
  return url.includes('ioflags') || headers.cookie?.includes('ioprofiler_flags') === true
}

/** Observes the requests of servers for a profiler. */
class HttpObserver {
  constructor(profiler) {
    this.profiler = profiler
    this.parameter = native.gateParameter(profiler.number)
    this.wanted = native.profilerWantedHeaders(profiler.number, false)
    this.wantedOfAnswer = native.profilerWantedHeaders(profiler.number, true)
    this.onStart = ({ request, response }) => {
      const visit = this.begin(request, response)
      if (visit !== null) storage.enterWith(visit.request.root)
    }
  }

  start() {
    subscribe(STARTED, this.onStart)
  }

  stop() {
    unsubscribe(STARTED, this.onStart)
  }

  /** Begins a visit; null where the request is observed already, or something went wrong. */
  begin(req, res) {
    if (req[kVisit] !== undefined) return null
    try {
      return this.#begin(req, res)
    } catch {
      state.failures++
      return null
    }
  }

  #begin(req, res) {
    const asked = mayAsk(req, this.parameter) ? this.#asked(req) : null
    const overrides = mayOverride(req) ? this.#overrides(req) : null
    const request = this.profiler.beginJoined(0, asked !== null, this.#facts(req, asked?.viewer ?? '', overrides ?? ''))
    const visit = new Visit(this.profiler, request, req, res, this.wantedOfAnswer, overrides !== null)
    if (this.profiler.options.flagContext !== null) request.visit = visit
    req[kVisit] = visit
    res[kVisit] = visit
    res.writeHead = writeHead
    res.on('close', onClose)
    if (asked?.verdict === 'open' || overrides !== null) makeUnconditional(req)
    if (asked !== null) {
      watchCallers(request)
      visit.answer = new Answer(visit, asked)
    }
    return visit
  }

  #facts(req, viewer, overrides) {
    let facts = factsOf(req, viewer, overrides, this.profiler.options.requestIdHeader)
    for (const name of this.wanted) {
      const value = req.headers[name.toLowerCase()]
      if (value !== undefined) facts += `\0${name}\0${value}`
    }
    return facts
  }

  /** What the gate says at begin. Refusals are counted here, and are like not asking. */
  #asked(req) {
    const [, query] = splitUrl(req.url)
    const { number } = this.profiler
    const asked = native.gateAsked(number, query, req.headers.host, req.rawHeaders)
    if (asked === null || asked === undefined) return null
    if (asked.verdict === 'closed') {
      native.gateRefused(number, asked.reason)
      return null
    }
    return asked
  }

  /** What the viewer wants flags to be, where the gate is open already. */
  #overrides(req) {
    const [, query] = splitUrl(req.url)
    return native.gateFlagOverrides(this.profiler.number, query, req.headers.host, req.rawHeaders) ?? null
  }
}

function splitUrl(url) {
  const mark = url.indexOf('?')
  return mark === -1 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)]
}

/** The facts that are known at begin, as the native part takes them. No HTTP header has a NUL. */
function factsOf(req, viewer, overrides, idHeader) {
  const [path, query] = splitUrl(req.url)
  const { headers, socket } = req
  const given = idHeader === null ? undefined : headers[idHeader]
  const id = given !== undefined && MODEST_ID.test(given) ? given : ''
  const scheme = socket?.encrypted ? 'https' : 'http'
  return `${req.method}\0${path}\0${query}\0${scheme}\0${headers.host ?? ''}\0HTTP/${req.httpVersion}\0${socket?.remoteAddress ?? ''}\0${id}\0${headers.traceparent ?? ''}\0${viewer}\0${overrides}`
}

/** A header that says nothing, in the place of one that was taken off. Its value is that one's name. */
const REMOVED = 'X-Ioprofiler-Removed'

/**
 * Takes off what could turn the page that was asked about into a 304 or a part of it. The raw ones
 * stay as many as they were: Node counts them once (26), and reads them again after the channel.
 */
function makeUnconditional(req) {
  const names = native.gateConditionalHeaders(req.method)
  for (const name of names) delete req.headers[name]
  const raw = req.rawHeaders
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if (names.includes(raw[index].toLowerCase())) raw.splice(index, 2, REMOVED, raw[index])
  }
}

/** The visit of a request, as Node or a framework has it; null for none. */
function visitOf(req) {
  return req[kVisit] ?? null
}

/**
 * Runs a visit's handler in its request, and the listeners of its body: these are called from the
 * connection, which without the channel is in no request.
 */
function enter(visit, handler) {
  const { root } = visit.request
  const { emit } = visit.req
  const value = function () {
    return storage.run(root, Reflect.apply, emit, this, arguments)
  }
  Object.defineProperty(visit.req, 'emit', { value, writable: true, configurable: true })
  return storage.run(root, handler)
}

/** A listener whose requests are observed, also without the channel. */
function listener(profiler, handler) {
  const observer = new HttpObserver(profiler)
  return function (req, res) {
    const visit = observer.begin(req, res)
    return visit === null ? handler.call(this, req, res) : enter(visit, () => handler.call(this, req, res))
  }
}

module.exports = { HttpObserver, enter, listener, visitOf }
