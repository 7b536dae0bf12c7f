'use strict'
// One unit of work under observation, from its begin to its one end.

const { native, answer, clock } = require('./board.js')
const { storage, Context, state } = require('./context.js')
const { Recorder } = require('./recorder.js')
const { Profile } = require('./profile.js')
const { textOf } = require('./text.js')
const { attribute, dataIn, decideIn, explainIn, forget, stateIn, ON } = require('./flags.js')

const NOTABLE = new Set(['string', 'number', 'boolean'])
const FINISHED = 0
const ABORTED = 1
// Whether it is ended where somebody wants its calls, which were not handed over yet.
const IF_UNWANTED = 0
const ANYWAY = 1
const ONLY_ASK = 2
const FACTS = { user: 1, visitor: 2, group: 3, viewer: 4, error: 5 }

class Request {
  /** Of a handle; for `Profiler.begin`. */
  constructor(profiler, low, high) {
    this.profiler = profiler
    this.low = low
    this.high = high
    /** Where calls are taken down; null once it has ended, or where calls are not recorded. */
    this.recorder = (low & 1) === 1 ? Recorder.take(low, high) : null
    /** What runs in it and in no scope. */
    this.root = new Context(this, 0, 0)
    this.ended = false
    this.profile = null
    /** What it has read of flags. */
    this.flags = null
    /** Where the application is still to be asked whom it is about: the visit. */
    this.visit = null
    // What the core is told when somebody reads it: when the first byte left (0: not yet), with which
    // status, and the route.
    this.leftAt = 0
    this.status = 0
    this.route = undefined
  }

  /** Whether it does nothing: the profiler could have no further request. */
  get isNone() {
    return this.low === 0 && this.high === 0
  }

  /** Whether its calls are recorded now. */
  get isRecording() {
    return this.recorder !== null
  }

  /** The host's id, else a made-up one of 32 hex digits; empty for none, and after the end. */
  get id() {
    return native.requestId(this.low, this.high)
  }

  /** Runs a function in this request; what it starts asynchronously stays in it. */
  run(fn, ...args) {
    return storage.run(this.root, fn, ...args)
  }

  /** A function that runs in this request whenever it is called. */
  bind(fn) {
    const root = this.root
    return function (...args) {
      return storage.run(root, () => fn.apply(this, args))
    }
  }

  #fact(which, value) {
    if (value === undefined || value === null || this.ended) return this
    native.fact(this.low, this.high, which, textOf(value))
    // Who it is about may decide flags anew.
    if (this.flags !== null) forget(this)
    return this
  }

  /** The route's template: `/listing/:id`, never the raw path. */
  setRoute(route) {
    if (route !== undefined && route !== null && !this.ended) this.route = textOf(route)
    return this
  }

  /** The user's id. */
  setUser(user) {
    return this.#fact(FACTS.user, user)
  }

  /** The browser's id. */
  setVisitor(visitor) {
    return this.#fact(FACTS.visitor, visitor)
  }

  /** One more group of the user; at most 64. */
  addGroup(group) {
    return this.#fact(FACTS.group, group)
  }

  /** Who looks at the profile. */
  setViewer(viewer) {
    return this.#fact(FACTS.viewer, viewer)
  }

  /** What went wrong. */
  setError(error) {
    if (error === undefined || error === null) return this
    return this.#fact(FACTS.error, messageOf(error))
  }

  /** Sets a note for the log: text, number or bool; or several, by an object. The last value wins. */
  note(name, value) {
    if (this.ended) return this
    if (typeof name === 'object' && name !== null) this.#notes(name)
    else if (value !== undefined && value !== null) {
      native.note(this.low, this.high, textOf(name), NOTABLE.has(typeof value) ? value : textOf(value))
    }
    return this
  }

  #notes(notes) {
    try {
      for (const [name, value] of Object.entries(notes)) {
        // One level is enough: a note is no object.
        if (value !== undefined && value !== null) this.note(textOf(name), value)
      }
    } catch {
      state.failures++
    }
  }

  /** Whether a flag is on in this request. `fallback` answers where no file names it. */
  flag(name, fallback = false) {
    return !this.ended && stateIn(this, name, fallback === true) === ON
  }

  /** The variant that a flag is in. */
  variant(name, fallback = false) {
    return this.decide(name, fallback).variant
  }

  /** State, variant and reason of a flag; with `who`, for somebody else than the request's own. */
  decide(name, fallback = false, who = undefined) {
    return decideIn(this.ended ? null : this, name, fallback, who)
  }

  /** Runs new code unseen where its flag is dark in this request. */
  dark(name, work) {
    return this.run(require('./dark.js').dark, name, work)
  }

  /** The data that the file gives the variant which a flag is in; with `who`, for somebody else. */
  flagData(name, who = undefined) {
    return dataIn(this.ended ? null : this, name, who)
  }

  /** Why a flag is what it is, rule by rule. */
  explain(name) {
    return explainIn(this.ended ? null : this, name)
  }

  /** One more thing that flags may be bucketed by. Before a flag is first asked for. */
  setAttribute(name, value) {
    if (this.ended) return this
    native.requestSetAttribute(this.low, this.high, textOf(name), attribute(value))
    forget(this)
    return this
  }

  /** From now on it goes by the newest flags: for requests that last long. */
  refreshFlags() {
    forget(this)
    native.requestRefreshFlags(this.low, this.high)
    return this
  }

  /** Tells the core what was kept here until now. */
  tell() {
    const { flags } = this
    this.flags = null
    native.tell(this.low, this.high, this.leftAt, this.route, flags?.buffer, flags?.known, this.status)
    flags?.release()
  }

  /** The compact note as it is now, in the profiler's `noteFormat`; undefined without one. */
  compactNote() {
    this.tell()
    if (this.recorder !== null && this.profiler.noteNeedsCalls) this.recorder.handOver()
    return native.requestCompactNote(this.low, this.high) ?? undefined
  }

  /** The answer's first byte leaves: later calls are marked `after answer`. */
  firstByte(status = 0) {
    this.status = typeof status === 'number' ? status >>> 0 : 0
    if (this.leftAt !== 0) return
    native.tick()
    this.leftAt = clock[0]
  }

  /** What it has done so far. Any number of times. */
  snapshot() {
    if (this.ended) return this.profile ?? new Profile(native.requestSnapshot(0, 0), null)
    this.tell()
    if (this.recorder !== null) this.recorder.handOver()
    return new Profile(native.requestSnapshot(this.low, this.high), null)
  }

  /** Ends it, once; gives its profile. Later calls change nothing, and give the same. */
  finish(status = 0, bytes = 0) {
    return this.#finishWith(FINISHED, status, bytes)
  }

  /** Ends it: the client left before the answer was whole. */
  abort(status = 0, bytes = 0) {
    return this.#finishWith(ABORTED, status, bytes)
  }

  #finishWith(how, status, bytes) {
    if (this.ended) return this.profile ?? new Profile(native.requestSnapshot(0, 0), null)
    const recorder = this.recorder
    // Where a sink will read it on a thread of ours, the calls must be there before the end.
    this.#end(how, status, bytes, ONLY_ASK)
    if (recorder !== null && answer[0] === 1) recorder.handOver()
    const held = native.requestFinish(this.low, this.high, how, numberOf(status), numberOf(bytes))
    this.#close()
    if (recorder !== null) recorder.keep()
    this.profile = new Profile(held, recorder)
    this.profiler.ended(this, this.profile)
    return this.profile
  }

  /** Ends it without making a profile: the cheapest, and all that a web server needs. */
  end(status = 0, bytes = 0, aborted = false) {
    if (this.ended) return
    if (this.profiler.wantsProfiles) {
      this.#finishWith(aborted ? ABORTED : FINISHED, status, bytes)
      return
    }
    const recorder = this.recorder
    const how = aborted ? ABORTED : FINISHED
    this.#end(how, status, bytes, IF_UNWANTED)
    if (answer[0] === 1) {
      if (recorder !== null) recorder.handOver()
      native.finish(this.low, this.high, how, status, bytes, ANYWAY)
    }
    this.#close()
    if (recorder !== null) recorder.release()
  }

  /** Tells what was kept here, and ends it, or asks whether that may be: `answer[0]` is 1 where not. */
  #end(how, status, bytes, mode) {
    const { flags } = this
    this.flags = null
    // Spilled calls are the core's already.
    const recorder = this.recorder !== null && !this.recorder.spilled ? this.recorder : null
    native.finish(
      this.low, this.high, how, status, bytes, mode, this.leftAt, this.route, flags?.buffer, flags?.known,
      recorder?.buffer, recorder?.handed, recorder?.count,
    )
    flags?.release()
  }

  #close() {
    this.ended = true
    this.visit = null
    this.recorder = null
    this.profiler.forget(this)
  }

  /** Begins a job that knows this request as its parent, and outlives it. */
  detach(name) {
    if (this.ended) return this.profiler.begin({ kind: 'job', name })
    const [low, high] = native.requestDetach(this.low, this.high, textOf(name))
    return this.profiler.adopt(low, high)
  }

  /** Ends a call of it. */
  endCall(index, outcome) {
    const recorder = this.recorder
    if (recorder === null) state.late++
    else recorder.end(index, outcome)
  }
}

const numberOf = (value) => (typeof value === 'number' ? value : 0)

function messageOf(error) {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  } catch {
    return 'error'
  }
}

/** The request that the running code is in, if there is one. */
function current() {
  const context = storage.getStore()
  return context === undefined || context.request.ended ? undefined : context.request
}

/** Sets a note on the running request, if there is one. */
function note(name, value) {
  current()?.note(name, value)
}

module.exports = { Request, current, messageOf, note }
