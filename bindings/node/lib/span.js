'use strict'
// Spans: one timed call, around a function or from a begin to an end.
//
// The functions here run in every page, many times. They take nothing apart, allocate nothing for a
// synchronous call, and whatever goes wrong in them the host's function is run and its outcome
// passed on.

const { storage, Context, state } = require('./context.js')
const { Category, numberOf, SCOPE } = require('./category.js')
const { OK, ERROR, CANCELLED, PART_OF_LEAF } = require('./recorder.js')
const { textOf } = require('./text.js')

const AsyncFunction = (async () => {}).constructor
const OUTCOMES = new Map([['ok', OK], ['error', ERROR], ['cancelled', CANCELLED]])

// The leaf that runs synchronously now: its recorder, and its index plus one.
let leafOf = null
let leafAt = 0

/** One timed call that is ended by hand. */
class Span {
  #request
  #index
  #outcome = OK
  /** What it means to be inside: PART_OF_LEAF, or nothing in a scope. */
  #flags

  constructor(request, index, flags) {
    this.#request = request
    this.#index = index
    this.#flags = flags
  }

  /** Whether it does nothing: there is no request, or its calls are not recorded. */
  get isNone() {
    return this.#request === null
  }

  #recorder() {
    return this.#request === null ? null : this.#request.recorder
  }

  #count(which, count) {
    const recorder = this.#recorder()
    if (recorder !== null) recorder.setCount(this.#index, which, typeof count === 'number' ? count : countOf(count))
    return this
  }

  /** How many keys were found. */
  hits(count) {
    return this.#count(0, count)
  }

  /** How many keys were not found. */
  misses(count) {
    return this.#count(1, count)
  }

  /** How many rows were returned or changed. */
  rows(count) {
    return this.#count(2, count)
  }

  /** How many bytes were read or written. */
  bytes(count) {
    return this.#count(3, count)
  }

  /** Replaces the detail by what is known only afterwards: `Cache HIT, keys: …`. */
  detail(detail) {
    const recorder = this.#recorder()
    if (recorder !== null) recorder.setDetail(this.#index, textOf(detail))
    return this
  }

  /** Which server or file the call goes to, where that is more than the category says. */
  target(target) {
    const recorder = this.#recorder()
    if (recorder !== null) recorder.setTarget(this.#index, textOf(target))
    return this
  }

  /** It fails, though it ends without an exception. */
  error() {
    this.#outcome = ERROR
    return this
  }

  /** Ends it, the first time: `ok` (or what `error()` said), `error` or `cancelled`. */
  end(outcome) {
    const request = this.#request
    if (request === null) return
    this.#request = null
    request.endCall(this.#index, OUTCOMES.get(outcome) ?? this.#outcome)
  }

  /** Runs a function inside this call, as if it had been begun around it. */
  run(fn) {
    const recorder = this.#recorder()
    return recorder === null ? fn() : storage.run(Span.contextOf(this), fn)
  }

  [Symbol.dispose ?? Symbol.for('Symbol.dispose')]() {
    this.end()
  }

  /** The context of what runs inside it. */
  static contextOf(span) {
    return new Context(span.#request, span.#index + 1, span.#flags)
  }

  /** For what ends it by result or exception. */
  static endWith(span, outcome) {
    const request = span.#request
    if (request === null) return
    span.#request = null
    request.endCall(span.#index, outcome === OK ? span.#outcome : outcome)
  }
}

/** A count that is no number: 0, unless it can be made one. */
function countOf(count) {
  return typeof count === 'bigint' || typeof count === 'string' ? Number(count) || 0 : 0
}

const NONE = Object.freeze(new Span(null, -1, 0))

function outcomeOf(error) {
  try {
    return error !== null && typeof error === 'object' && error.name === 'AbortError' ? CANCELLED : ERROR
  } catch {
    return ERROR
  }
}

/** Takes the begin of a call down. */
function take(context, recorder, number, detail) {
  const text = typeof detail === 'string' ? detail : textOf(detail)
  const about = number & 0xffff
  if (leafOf === recorder) return recorder.begin(about | PART_OF_LEAF, leafAt, text)
  return recorder.begin(about | context.flags, context.parent, text)
}

/** As `take`; no exception gets out. −1 is none, and ending that does nothing. */
function takeSafely(context, recorder, number, detail) {
  try {
    return take(context, recorder, number, detail)
  } catch {
    state.failures++
    return -1
  }
}

/** What is not recorded: a function is run, whether a detail stands before it or not. */
function unrecorded(detail, fn) {
  if (typeof fn === 'function') return fn(NONE)
  return typeof detail === 'function' ? detail(NONE) : NONE
}

function span(category, detail, fn) {
  if (!state.on) return typeof fn === 'function' ? fn(NONE) : unrecorded(detail, fn)
  const context = storage.getStore()
  if (context === undefined) {
    state.outside++
    return unrecorded(detail, fn)
  }
  return spanIn(context, numberOf(category, false), detail, fn)
}

function scope(category, detail, fn) {
  if (!state.on) return unrecorded(detail, fn)
  const context = storage.getStore()
  if (context === undefined) {
    state.outside++
    return unrecorded(detail, fn)
  }
  return spanIn(context, numberOf(category, true), detail, fn)
}

function spanIn(context, number, detail, fn) {
  const request = context.request
  const recorder = request.recorder
  if (recorder === null) {
    if (request.ended) state.late++
    return unrecorded(detail, fn)
  }
  // Work must not be left undone because its detail was forgotten.
  if (typeof detail === 'function' && typeof fn !== 'function') return spanIn(context, number, '', detail)
  const index = takeSafely(context, recorder, number, detail)
  const call = new Span(request, index, number >= SCOPE ? 0 : PART_OF_LEAF)
  if (typeof fn !== 'function') return call
  if (number >= SCOPE || fn.constructor === AsyncFunction) return runIn(call, number, fn)
  // A synchronous leaf, or one whose promise the function only passes on.
  const outerOf = leafOf
  const outerAt = leafAt
  leafOf = recorder
  leafAt = index + 1
  let result
  try {
    result = fn(call)
  } catch (error) {
    leafOf = outerOf
    leafAt = outerAt
    Span.endWith(call, outcomeOf(error))
    throw error
  }
  leafOf = outerOf
  leafAt = outerAt
  if (isThenable(result)) return follow(result, call)
  Span.endWith(call, OK)
  return result
}

/** A scope, or an async function: what it begins later must find it too. */
function runIn(call, number, fn) {
  const outerOf = leafOf
  // Inside, the context says it all, unless this is a scope inside a leaf.
  if (number < SCOPE) leafOf = null
  let result
  try {
    result = storage.run(Span.contextOf(call), fn, call)
  } catch (error) {
    leafOf = outerOf
    Span.endWith(call, outcomeOf(error))
    throw error
  }
  leafOf = outerOf
  if (isThenable(result)) return follow(result, call)
  Span.endWith(call, OK)
  return result
}

function isThenable(value) {
  return value !== null && typeof value === 'object' && typeof value.then === 'function'
}

/** Ends a call when its promise is settled. The promise given is settled alike. */
function follow(result, call) {
  const promise = result instanceof Promise ? result : Promise.resolve(result)
  return promise.then(
    (value) => {
      Span.endWith(call, OK)
      return value
    },
    (error) => {
      Span.endWith(call, outcomeOf(error))
      throw error
    },
  )
}

/** For hooks: the context of the request that runs now, if its calls are recorded; else null. */
function recordingContext() {
  if (!state.on) return null
  const context = storage.getStore()
  if (context === undefined) {
    state.outside++
    return null
  }
  return stillRecording(context)
}

/** For hooks: a context, if its request's calls are recorded still; else null. */
function stillRecording(context) {
  const { request } = context
  if (request.recorder !== null) return context
  if (request.ended) state.late++
  return null
}

/** For hooks: begins a call of a category that knows its number. Its index. */
function beginIn(context, category, detail) {
  return takeSafely(context, context.request.recorder, category.number, detail)
}

/** For hooks: ends what `beginIn` began. */
function endIn(context, index, outcome) {
  context.request.endCall(index, outcome)
}

/**
 * For hooks: what the running code is in, to be kept for a callback that something else will call.
 * `undefined` where there is no request.
 */
function contextNow() {
  const context = storage.getStore()
  if (context === undefined || leafOf === null || context.request.recorder !== leafOf) return context
  return new Context(context.request, leafAt, PART_OF_LEAF)
}

/** A callback that runs in a context that was kept, whoever calls it. */
function inContext(context, callback) {
  return function (...args) {
    return storage.run(context, () => callback.apply(this, args))
  }
}

module.exports = { span, scope, Span, NONE, Category, beginIn, endIn, recordingContext, stillRecording, contextNow, inContext, isThenable, outcomeOf, OK }
