'use strict'
// The answer to a request that asked for its profile: asks the gate's function, holds the body back,
// and puts the profile in. Which answers may carry one, and how, the core decides.
//
// While the gate is not known to be open nothing is held, and nothing is changed: a refused request
// gets its answer through the very calls that the application made.

const { native } = require('./board.js')
const { state } = require('./context.js')
const { askWho } = require('./flags.js')
const { Profile } = require('./profile.js')
const { messageOf } = require('./request.js')

/** Nothing was decided yet. */
const BEFORE = 0
/** The gate is open; the head is known, the body is not. */
const HEADED = 1
/** The body is held back, or thrown away, to its end. */
const HOLDING = 2
/** The rest of the body is not wanted: something stands in its place. */
const SWALLOWING = 3
/** The answer goes its own way. */
const OVER = 4

class Answer {
  constructor(visit, asked) {
    this.visit = visit
    this.res = visit.res
    this.form = asked.form
    this.asked = asked
    this.phase = BEFORE
    this.chunks = []
    this.size = 0
    const { res } = this
    res.write = (...args) => this.write(...args)
    res.end = (...args) => this.end(...args)
    res.flushHeaders = () => this.flushHeaders()
  }

  /** Gives the answer its own methods back. */
  #letGo() {
    this.phase = OVER
    this.#forgetMethods()
  }

  #forgetMethods() {
    const { res } = this
    delete res.write
    delete res.end
    delete res.flushHeaders
    delete res.headersSent
  }

  /** Whether the gate is open. Asks its function, once, now that the handler has run. */
  #isOpen() {
    const { asked, visit } = this
    if (asked.verdict === 'undecided') {
      const { request } = visit
      if (request.visit !== null) askWho(request)
      const { low, high } = request
      let decided = native.gateAskFlag(visit.profiler.number, low, high, asked.reason)
      if (decided.verdict === 'undecided') decided = native.gateDecide(decided.reason, this.#askFunction())
      asked.verdict = decided.verdict
      asked.reason = decided.reason
    }
    if (asked.verdict === 'open') return true
    native.gateRefused(visit.profiler.number, asked.reason)
    return false
  }

  #askFunction() {
    const { profiler, host } = this.visit
    try {
      const answer = profiler.options.predicate(host)
      if (answer !== null && typeof answer === 'object' && typeof answer.then === 'function') {
        answer.then(undefined, () => {})
        profiler.saySeldom('gate', 'the gate\'s function gave a promise: it must answer at once; taken for no')
        return 'failed'
      }
      return answer ? 'yes' : 'no'
    } catch (error) {
      profiler.saySeldom('gate', `the gate's function threw ${messageOf(error)}; taken for no`, 'the gate\'s function threw')
      return 'failed'
    }
  }

  /** The application or Node writes the head. Whether that is for later. */
  takesHead(args) {
    if (this.phase === OVER) return false
    if (this.phase === BEFORE) {
      if (!this.#isOpen()) {
        this.#letGo()
        return false
      }
      this.phase = HEADED
      Object.defineProperty(this.res, 'headersSent', { value: true, configurable: true })
    }
    if (this.phase === HEADED) setHead(this.res, args)
    return true
  }

  /** The head, where the application has not written it. `false` where the gate is closed. */
  #head() {
    return this.phase !== BEFORE || this.takesHead([this.res.statusCode])
  }

  #described(length) {
    const { res, visit } = this
    const { maxPage, bufferStreams } = visit.profiler.options
    const headers = []
    for (const [name, value] of Object.entries(res.getHeaders())) {
      for (const one of Array.isArray(value) ? value : [value]) headers.push(name, String(one))
    }
    const given = Number(res.getHeader('content-length') ?? NaN)
    return {
      method: visit.req.method,
      status: res.statusCode,
      headers,
      length: length ?? (Number.isNaN(given) ? -1 : given),
      cap: maxPage,
      bufferStreams,
    }
  }

  /** What is done with the body, now that as much is known of it as will be. */
  #plan(length) {
    if (this.visit.request.isNone) return this.#notShown('not-shown; not-observed')
    const plan = native.answerPlan(this.#described(length), this.form)
    if (plan === 'hold') this.phase = HOLDING
    else if (plan === 'replace') this.#replace()
    else this.#notShown(plan)
  }

  write(chunk, encoding, callback) {
    const { res } = this
    if (!this.#contained(() => this.#head()) || this.phase === OVER) return res.write(chunk, encoding, callback)
    if (this.phase === HEADED) this.#contained(() => this.#plan())
    if (this.phase === OVER) return res.write(chunk, encoding, callback)
    this.#keep(chunk, encoding)
    const done = typeof encoding === 'function' ? encoding : callback
    if (typeof done === 'function') process.nextTick(done)
    return true
  }

  end(chunk, encoding, callback) {
    const { res } = this
    if (typeof chunk === 'function') [chunk, encoding, callback] = [undefined, undefined, chunk]
    else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding]
    if (!this.#contained(() => this.#head()) || this.phase === OVER) return res.end(chunk, encoding, callback)
    if (this.phase === HEADED) this.#contained(() => this.#plan(lengthOf(chunk, encoding)))
    if (this.phase === OVER) return res.end(chunk, encoding, callback)
    if (chunk !== undefined && chunk !== null) this.#keep(chunk, encoding)
    if (typeof callback === 'function') res.once('finish', callback)
    if (this.phase === OVER) return res.end()
    if (this.phase === HOLDING) {
      this.#contained(() => (this.form === '1' ? this.#panel() : this.#replace()))
    }
    if (this.phase === SWALLOWING) this.#forgetMethods()
    return res
  }

  flushHeaders() {
    const { res } = this
    if (!this.#contained(() => this.#head()) || this.phase === OVER) return res.flushHeaders()
    if (this.phase === HEADED) this.#contained(() => this.#plan())
    if (this.phase === OVER) res.flushHeaders()
  }

  /** Runs a part of ours. Where it fails, the answer goes on as it is. */
  #contained(part) {
    try {
      return part() ?? true
    } catch {
      state.failures++
      this.#flush()
      return true
    }
  }

  #keep(chunk, encoding) {
    if (this.phase !== HOLDING || this.form !== '1') return
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8') : Buffer.from(chunk)
    this.chunks.push(bytes)
    this.size += bytes.length
    if (this.size > this.visit.profiler.options.maxPage) this.#notShown('not-shown; too-large')
  }

  /** Lets out what was held, and whatever comes. */
  #flush() {
    const { res, chunks } = this
    this.#letGo()
    this.chunks = []
    for (const chunk of chunks) res.write(chunk)
  }

  /** The headers of an answer whose gate is open. */
  #open(profile, reason) {
    const { res, visit } = this
    openHeaders(res)
    visit.isPrivate = false
    if (reason) res.setHeader('X-Ioprofiler', reason)
    if (visit.request.isNone) return
    res.setHeader('X-Ioprofiler-Request', visit.request.id)
    const timing = profile.serverTiming()
    if (timing !== '') res.appendHeader('Server-Timing', timing)
  }

  #snapshot() {
    this.visit.learnRoute()
    this.visit.request.firstByte(this.res.statusCode)
    return this.visit.request.snapshot()
  }

  #notShown(reason) {
    // The head has not left, whatever the application was told.
    delete this.res.headersSent
    this.#open(this.#snapshot(), reason)
    this.#flush()
  }

  #panel() {
    const { res } = this
    delete res.headersSent
    const profile = this.#snapshot()
    const body = Buffer.concat(this.chunks)
    const page = native.answerPage(this.#described(body.length), body, Profile.held(profile))
    this.#open(profile, page.notShown)
    if (page.body) this.#mend(page.body.length, false)
    this.chunks = []
    this.#letGo()
    res.end(page.body ?? body)
  }

  #replace() {
    const { res } = this
    delete res.headersSent
    const profile = this.#snapshot()
    const made = native.answerReplacement(Profile.held(profile), this.form, res.statusCode)
    this.#mend(Buffer.byteLength(made.body), true)
    res.setHeader('Content-Type', made.contentType)
    res.setHeader('Content-Length', Buffer.byteLength(made.body))
    // A detail may look like HTML; the answer is none.
    res.setHeader('X-Content-Type-Options', 'nosniff')
    if (made.status !== res.statusCode) res.statusMessage = ''
    res.statusCode = made.status
    this.#open(profile, null)
    this.phase = SWALLOWING
    const proto = Object.getPrototypeOf(res)
    this.visit.answer = null
    proto.end.call(res, made.body)
    this.visit.answer = this
  }

  /** Headers that spoke of the body that was. */
  #mend(length, replaced) {
    const { res } = this
    const hadLength = res.hasHeader('content-length')
    for (const name of native.answerStaleHeaders(replaced)) res.removeHeader(name)
    if (hadLength) res.setHeader('Content-Length', length)
  }
}

/** Nobody but the viewer may have this answer. */
function openHeaders(res) {
  const edits = native.answerOpenHeaders()
  for (let index = 0; index < edits.length; index += 3) {
    const [edit, name, value] = edits.slice(index, index + 3)
    if (edit === 'set') res.setHeader(name, value)
    else if (edit === 'append') res.appendHeader(name, value)
    else res.removeHeader(name)
  }
}

/** What `writeHead` was called with, kept for later. */
function setHead(res, [status, second, third]) {
  res.statusCode = status
  if (typeof second === 'string') res.statusMessage = second
  const headers = typeof second === 'string' ? third : (third ?? second)
  if (headers === undefined || headers === null) return
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value)
    return
  }
  const pairs = Array.isArray(headers[0]) ? headers : pairsOf(headers)
  for (const [name] of pairs) res.removeHeader(name)
  for (const [name, value] of pairs) res.appendHeader(name, value)
}

function pairsOf(flat) {
  const pairs = []
  for (let index = 0; index + 1 < flat.length; index += 2) pairs.push([flat[index], flat[index + 1]])
  return pairs
}

function lengthOf(chunk, encoding) {
  if (chunk === undefined || chunk === null) return 0
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, typeof encoding === 'string' ? encoding : 'utf8') : chunk.byteLength
}

module.exports = { Answer, openHeaders, setHead }
