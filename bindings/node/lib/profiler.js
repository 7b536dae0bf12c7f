'use strict'
// The instance: options in, requests out.

const { native, answer } = require('./board.js')
const { storage, state } = require('./context.js')
const { forgetAll } = require('./flags.js')
const metrics = require('./metrics.js')
const { Profile } = require('./profile.js')
const { Request, current } = require('./request.js')
const { textOf } = require('./text.js')
const options = require('./options.js')

const KINDS = { web: 0, job: 1, command: 2 }
/** How often what went wrong is fetched from the core, in ms. */
const LOG_INTERVAL = 1000
/** How often the same is said, in ms. */
const SAY_INTERVAL = 60_000
/** How long the end of the process may wait for sinks, in ms. */
const EXIT_DEADLINE = 200

/** The profilers of this thread whose calls are recorded. */
const recording = new Set()
const all = new Set()
let watchesExit = false

class Profiler {
  #number
  #options
  #log
  #timer = null
  #instrumentation = null
  #saidAt = new Map()

  constructor(given = {}) {
    let checked
    try {
      checked = options.check(given)
      this.#number = native.profilerNew(checked.native)
    } catch (error) {
      throw options.told(error, given)
    }
    this.#options = checked
    this.#log = checked.onLog
    /** Requests that go on: for `inFlight()`. */
    this.open = new Set()
    /** Whether somebody in this thread takes each finished profile. */
    this.wantsProfiles = checked.onProfile !== null
    /** Whether a compact note says something of a request's calls. */
    this.noteNeedsCalls = native.profilerNoteNeedsCalls(this.#number)
    all.add(this)
    this.#recordChanged()
    if (!watchesExit) process.on('exit', flushAll)
    watchesExit = true
    if (checked.instrument) this.instrument()
    // What the core found wrong at once, such as a flags' file: not only when the first request comes.
    // `onLog` may use the profiler, so not before it is made.
    queueMicrotask(() => this.#fetchLog())
  }

  /** The core's number of it, for this package's own parts. */
  get number() {
    return this.#number
  }

  get options() {
    return this.#options
  }

  /** Begins a request. Where none can be had it does nothing, and is counted. */
  begin(facts = {}) {
    const { kind = 'web', name } = facts
    const code = KINDS[kind]
    if (code === undefined) {
      throw new TypeError(`kind: ${JSON.stringify(kind)} is not one of "web", "job", "command"`)
    }
    const fields = [
      facts.method ?? '',
      facts.path ?? name ?? '',
      facts.query,
      facts.scheme,
      facts.host,
      facts.protocol,
      facts.peer,
      facts.id,
      facts.traceparent,
      facts.viewer,
      '',
    ]
    const joined = fields.map((field) => textOf(field).replaceAll('\0', '\ufffd'))
    return this.beginJoined(code, facts.asked === true, joined.join('\0'))
  }

  /** As `begin`, with facts as the native part takes them. */
  beginJoined(code, asked, joined) {
    native.begin(this.#number, code, asked ? 1 : 0, joined)
    return this.adopt(answer[0], answer[1])
  }

  /** The request of a handle that was just made. */
  adopt(low, high) {
    const request = new Request(this, low, high)
    if (request.isNone) {
      request.ended = true
      return request
    }
    this.open.add(request)
    if (this.#timer === null) this.#startTimer()
    return request
  }

  /** A request has ended. */
  forget(request) {
    this.open.delete(request)
  }

  /** A profile was made of a request that has ended. */
  ended(request, profile) {
    const { onProfile } = this.#options
    if (onProfile === null) return
    queueMicrotask(() => {
      try {
        onProfile(profile)
      } catch (error) {
        state.failures++
        this.saySeldom('callback', `onProfile failed: ${error instanceof Error ? error.message : 'an exception'}`, 'onProfile failed')
      }
    })
  }

  /**
   * Runs a function as a job, a request of its own, and ends that with it. A failure of the function
   * is the job's error, and passed on.
   */
  async job(name, fn) {
    if (typeof fn !== 'function') throw new TypeError('job: the second argument must be a function')
    const request = this.begin({ kind: 'job', name })
    try {
      return await request.run(fn, request)
    } catch (error) {
      request.setError(error)
      throw error
    } finally {
      request.end()
    }
  }

  /** Runs a function in a request of its own; gives its result and the profile. For tests. */
  async record(fn, facts = { kind: 'job', name: fn?.name || 'record' }) {
    if (typeof fn !== 'function') throw new TypeError('record: the argument must be a function')
    const request = this.begin({ ...facts, asked: true })
    const { watchCallers } = require('./caller.js')
    watchCallers(request)
    try {
      const result = await request.run(fn, request)
      return { result, profile: request.finish() }
    } catch (error) {
      request.setError(error)
      request.finish()
      throw error
    }
  }

  /** The requests that go on now, oldest first, as plain data, each with its open calls only. */
  inFlight() {
    for (const request of this.open) {
      request.tell()
      if (request.recorder !== null) request.recorder.handOver()
    }
    return native.profilerInFlight(this.#number).map((json) => JSON.parse(json))
  }

  /** Whether calls are recorded: `always`, `asked` or `off`. Setting it concerns later requests. */
  get recording() {
    return native.profilerRecord(this.#number)
  }

  set recording(record) {
    native.profilerSetRecord(this.#number, String(record))
    this.#recordChanged()
  }

  /** Records nothing from now on, until `enable()`. */
  disable() {
    native.profilerDisable(this.#number)
    this.#recordChanged()
  }

  /** Records again as before `disable()`. */
  enable() {
    native.profilerEnable(this.#number)
    this.#recordChanged()
  }

  #recordChanged() {
    if (this.recording === 'off') recording.delete(this)
    else recording.add(this)
    state.on = recording.size !== 0
  }

  /** Hooks what is loaded and what will be: HTTP servers and libraries. The constructor has done so. */
  instrument(what = this.#options.instrument || true) {
    if (this.#instrumentation === null) {
      const { Instrumentation } = require('./instrumentation.js')
      this.#instrumentation = new Instrumentation(this, Array.isArray(what) ? what : true)
    }
    return this
  }

  /** Undoes every hook. */
  uninstrument() {
    this.#instrumentation?.undo()
    this.#instrumentation = null
    return this
  }

  /** What is hooked, and what was seen and is not: `{ name, hooked, hint }`. */
  get hooks() {
    return this.#instrumentation === null ? [] : this.#instrumentation.hooks()
  }

  /** The middleware for Express 4 and 5. */
  express() {
    return require('./frameworks/express.js').middleware(this)
  }

  /** The plugin for Fastify 5: `app.register(profiler.fastify())`. */
  fastify() {
    return require('./frameworks/fastify.js').plugin(this)
  }

  /** The middleware for Koa 2 and 3: the first one. */
  koa() {
    return require('./frameworks/koa.js').middleware(this)
  }

  /** A listener of `node:http` servers, observed: `http.createServer(profiler.listener(handler))`. */
  listener(handler) {
    return require('./http.js').listener(this, handler)
  }

  /**
   * A token for the application's own staff page, as the value of a `Set-Cookie` header: `who` may
   * look at profiles of `host`. For an hour, unless `seconds` says something else; a day at most.
   */
  grant(who, { host, seconds = 3600, https = true } = {}) {
    return native.gateGrant(this.#number, String(who), String(host ?? ''), seconds, https)
  }

  /** A token for morgan: `morgan.token('ioprofiler', profiler.morgan())`, then `:ioprofiler`. */
  morgan() {
    return require('./logs.js').morganToken
  }

  /** A mixin for pino: `pino({ mixin: profiler.pino() })` puts the request's id into each line. */
  pino() {
    return require('./logs.js').pinoMixin
  }

  /** A format for winston: `format.combine(profiler.winston(), format.json())`, likewise. */
  winston() {
    return require('./logs.js').winstonFormat
  }

  /** Opens the access log's file again: after it was moved away. It notices that by itself as well. */
  reopenLogs() {
    native.profilerReopenLogs(this.#number)
  }

  /** Looks at the flags' files now, instead of within a second; gives what is wrong with them. */
  reloadFlags() {
    return native.profilerReloadFlags(this.#number)
  }

  /** Adds to a counter of the application's own. */
  count(name, by = 1, labels = undefined) {
    if (this.#timer === null) this.#startTimer()
    metrics.count(this.#number, name, by, labels)
  }

  /** Sets a gauge of the application's own. */
  gauge(name, value, labels = undefined) {
    if (this.#timer === null) this.#startTimer()
    metrics.gauge(this.#number, name, value, labels)
  }

  /** Counts how many milliseconds something of the application's own took. */
  timing(name, milliseconds, labels = undefined) {
    if (this.#timer === null) this.#startTimer()
    metrics.timing(this.#number, name, milliseconds, labels)
  }

  /** Says that something was done to the site: `{ who, why }` are told with it. */
  event(what, about = undefined) {
    if (this.#timer === null) this.#startTimer()
    metrics.event(this.#number, what, about)
  }

  /** A version of the application went live: `{ what, who, why }` are told with it. */
  deploy(version, about = undefined) {
    if (this.#timer === null) this.#startTimer()
    if (!metrics.deploy(this.#number, version, about)) this.say('misuse', 'deploy: there is no version, and nothing was told')
  }

  /** Everything counted so far, as plain data. It may wait, blocking: for tests and consoles. */
  series() {
    return JSON.parse(native.profilerSeries(this.#number))
  }

  /** The requests that are kept: `{ reason, at, profile }`. It may wait, blocking: for staff pages. */
  kept() {
    return native.profilerKept(this.#number).map(({ reason, at, profile }) => ({ reason, at, profile: new Profile(profile, null) }))
  }

  /** What a scrape of Prometheus reads, by its `Accept` header: a promise. */
  prometheus(accept = '') {
    return require('./scrape.js').expose(this.#number, accept)
  }

  /** A handler that answers scrapes, for node:http and every framework; with a path, of that only. */
  metrics(path = undefined) {
    return require('./scrape.js').handler(this.#number, path)
  }

  /** What happened in this process so far: plain counters. */
  stats() {
    this.countMissed()
    const stats = native.profilerStats(this.#number)
    stats.failures = state.failures
    return stats
  }

  /** Tells the core what only this side saw. */
  countMissed() {
    if (state.outside === 0 && state.late === 0) return
    native.countMissed(state.outside, state.late)
    state.outside = 0
    state.late = 0
  }

  /** Says something to whoever runs the application, through `onLog`. */
  say(kind, message) {
    try {
      this.#log({ kind, message })
    } catch {
      state.failures++
    }
  }

  /** As `say`, at most once a minute of what `key` names: for what each request may bring about. */
  saySeldom(kind, message, key = message) {
    const now = performance.now()
    if (now - (this.#saidAt.get(key) ?? -Infinity) < SAY_INTERVAL) return
    this.#saidAt.set(key, now)
    this.say(kind, message)
  }

  #startTimer() {
    // Outside of any context: it must not keep a request's memory.
    this.#timer = storage.run(undefined, () => setInterval(() => this.#fetchLog(), LOG_INTERVAL))
    // It must not keep the process alive, nor belong to the request that started it.
    this.#timer.unref()
  }

  #fetchLog() {
    forgetAll(this.open)
    this.countMissed()
    this.#instrumentation?.look()
    for (const event of native.profilerLog(this.#number)) this.say(event.kind, event.message)
  }

  /**
   * Waits, blocking, until what was finished has reached the sinks: at most `within` ms. `false`
   * when that was too short.
   */
  flush(within = EXIT_DEADLINE) {
    const flushed = native.profilerFlush(this.#number, within)
    this.#fetchLog()
    return flushed
  }

  /** Undoes every hook, flushes, and ends the collector's thread. */
  shutdown(within = EXIT_DEADLINE) {
    this.uninstrument()
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    recording.delete(this)
    state.on = recording.size !== 0
    all.delete(this)
    const flushed = native.profilerShutdown(this.#number, within)
    this.#fetchLog()
    return flushed
  }
}

/** At the thread's end: what was finished reaches the sinks, within a deadline. */
function flushAll() {
  for (const profiler of all) {
    try {
      native.profilerFlush(profiler.number, EXIT_DEADLINE)
    } catch {
      state.failures++
    }
  }
}

/** Runs a function in a request of its own; gives its result and the profile. For tests. */
function record(fn) {
  const [first] = all
  if (first === undefined) throw new Error('record: there is no profiler; make one first')
  return first.record(fn)
}

/** The profiler that code which names none speaks to: the running request's, else the first one. */
function profilerNow() {
  const request = current()
  if (request !== undefined) return request.profiler
  const [first] = all
  return first
}

/** Adds to a counter of the application's own. */
function count(name, by = 1, labels = undefined) {
  profilerNow()?.count(name, by, labels)
}

/** Sets a gauge of the application's own. */
function gauge(name, value, labels = undefined) {
  profilerNow()?.gauge(name, value, labels)
}

/** Counts how many milliseconds something of the application's own took. */
function timing(name, milliseconds, labels = undefined) {
  profilerNow()?.timing(name, milliseconds, labels)
}

/** Says that something was done to the site. */
function event(what, about = undefined) {
  profilerNow()?.event(what, about)
}

/** A version of the application went live. */
function deploy(version, about = undefined) {
  profilerNow()?.deploy(version, about)
}

module.exports = { Profiler, count, deploy, event, gauge, record, timing }
