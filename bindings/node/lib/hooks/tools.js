'use strict'
// What hooks are made of: wraps that can be undone, and calls that are ended by callbacks, promises
// and events. A wrap does what it wraps, whatever goes wrong in it.

const { EventEmitter } = require('node:events')
const { native, clock } = require('../board.js')
const { wordingOf } = require('../recorder.js')
const { state, storage } = require('../context.js')
const { Category, beginIn, contextNow, endIn, inContext, outcomeOf, recordingContext, stillRecording, OK } = require('../span.js')

/** Replaces methods, and puts them back. */
class Wraps {
  #undo = []

  /** Replaces `target[name]` by what `make` makes of it. */
  wrap(target, name, make) {
    const original = target?.[name]
    if (typeof original !== 'function') throw new Error(`there is no ${name}`)
    const own = Object.getOwnPropertyDescriptor(target, name)
    const wrapped = make(original)
    Object.defineProperty(wrapped, 'name', { value: original.name, configurable: true })
    Object.defineProperty(wrapped, 'length', { value: original.length, configurable: true })
    for (const key of Reflect.ownKeys(original)) {
      if (!Object.hasOwn(wrapped, key)) Object.defineProperty(wrapped, key, Object.getOwnPropertyDescriptor(original, key))
    }
    if (own?.get !== undefined && !own.configurable) throw new Error(`${name} cannot be replaced`)
    Object.defineProperty(target, name, { value: wrapped, writable: true, enumerable: own?.enumerable ?? true, configurable: true })
    this.#undo.push(() => {
      // Somebody else may have wrapped ours.
      if (target[name] !== wrapped) return
      if (own === undefined) delete target[name]
      else Object.defineProperty(target, name, own)
    })
  }

  /** What else is to be undone. */
  onUndo(undo) {
    this.#undo.push(undo)
  }

  undo() {
    for (const undo of this.#undo.reverse()) undo()
    this.#undo = []
  }
}

/** Runs a part of ours whose failure nobody must see. */
function quietly(part) {
  try {
    return part()
  } catch {
    state.failures++
    return undefined
  }
}

/** What `make` says of an object, made once: the server of a client does not change. */
function oncePer(make) {
  const known = new WeakMap()
  return (of) => {
    let made = known.get(of)
    if (made === undefined) known.set(of, (made = make(of)))
    return made
  }
}

/** Which server a call goes to. */
function setTarget(context, index, target) {
  context.request.recorder?.setTarget(index, target)
}

/** Ends a call, and says before what it brought: `tell(recorder, index, result, about)`. */
function endWith(context, index, error, tell, result, about) {
  try {
    if (!error && tell !== undefined) {
      const { recorder } = context.request
      if (recorder !== null) tell(recorder, index, result, about)
    }
    endIn(context, index, error ? outcomeOf(error) : OK)
  } catch {
    state.failures++
  }
}

/** Ends a call that threw. */
function endThrown(context, index, error) {
  endWith(context, index, error ?? true)
}

/** The library's own callback of a call, `(error, result, more)`: ends it. */
function endedBy(context, index, callback, tell, about) {
  return (error, result, more) => {
    endWith(context, index, error, tell, result, about)
    callback(error, result, more)
  }
}

/**
 * The application's callback of a call: ends it, and runs in the context in which it was given, not
 * in that of whoever gives a connection back.
 */
function calledBack(context, index, callback, tell, about) {
  const given = contextNow()
  return function (error, result) {
    endWith(context, index, error, tell, result, about)
    return storage.run(given, Reflect.apply, callback, this, arguments)
  }
}

/** The promise of a call: ends it. Settled alike; where nobody handles it, unhandled alike. */
function endingPromise(context, index, promise, tell, about) {
  return promise.then(
    (result) => {
      endWith(context, index, null, tell, result, about)
      return result
    },
    (error) => {
      endThrown(context, index, error)
      throw error
    },
  )
}

/**
 * Ends a call by the events of an emitter, whose listeners run where the application asked, not in
 * what the connection happens to be in. An error that nobody listens for still throws.
 */
function endByEvents(context, index, emitter, events) {
  const given = contextNow()
  const { emit } = emitter
  const value = function () {
    return storage.run(given, Reflect.apply, emit, this, arguments)
  }
  Object.defineProperty(emitter, 'emit', { value, writable: true, configurable: true })
  const end = endOnce(context, index)
  emitter.once(EventEmitter.errorMonitor, (error) => end(error ?? true))
  for (const event of events) emitter.once(event, () => end(null))
}

/** Ends a call by whichever of several ends comes first. */
function endOnce(context, index) {
  let isOpen = true
  return (error, tell, result) => {
    if (isOpen) endWith(context, index, error, tell, result)
    isOpen = false
  }
}

/**
 * A callback of the application, bound to the context in which it was given. A library's own, which
 * asks for what the application wanted, is shown as called from where the application did.
 */
function bound(callback) {
  if (typeof callback !== 'function') return callback
  const context = contextNow()
  if (context === undefined) return callback
  const site = context.request.recorder?.siteNow() ?? 0
  if (site === 0) return inContext(context, callback)
  return function (...args) {
    return storage.run(context, calledFrom, context, site, () => callback.apply(this, args))
  }
}

function calledFrom({ request }, site, call) {
  const { recorder } = request
  if (recorder === null) return call()
  recorder.askedFrom = site
  try {
    return call()
  } finally {
    recorder.askedFrom = 0
  }
}

/** The context of the running request, if its calls are recorded; else undefined. Counts nothing. */
function askingContext() {
  const context = state.on ? contextNow() : undefined
  return context === undefined || context.request.recorder === null ? undefined : context
}

/**
 * Whoever asks for a connection now: from which line, and a function that is told why there is none.
 * Only then it is a call, as long as the wait was; else the query is.
 */
function askingNow(context, category, targetOf) {
  native.tick()
  const begun = clock[0]
  const site = context.request.recorder.siteNow()
  const failed = (error) => quietly(() => calledFrom(context, site, () => {
    const index = beginIn(context, category, 'connect')
    context.request.recorder.beganAt(index, begun)
    setTarget(context, index, targetOf())
    endThrown(context, index, error)
  }))
  return { site, failed }
}

/** As `askingNow`, of the running request: the function that is told, or undefined. */
function awaitingConnection(category, targetOf) {
  const context = askingContext()
  return context === undefined ? undefined : askingNow(context, category, targetOf).failed
}

/** A callback that is told why there is no connection. */
function toldWhyNone(failed, callback) {
  return function (error) {
    if (error) failed(error)
    return Reflect.apply(callback, this, arguments)
  }
}

/** The promise of a connection, likewise. Settled alike. */
function tellingWhyNone(failed, promise) {
  return promise.then(undefined, (error) => {
    failed(error)
    throw error
  })
}

/** A method that connects: what a connection does for itself, now and later, is no request's. */
function outsideRequests(method) {
  return function (...args) {
    if (storage.getStore() === undefined) return method.apply(this, args)
    // Not `exit`, which takes all of Node's hooks down and puts them up again.
    return storage.run(undefined, Reflect.apply, method, this, args.map(bound))
  }
}

module.exports = { Wraps, Category, OK, askingContext, askingNow, awaitingConnection, beginIn, bound, calledBack, calledFrom, endByEvents, endIn, endOnce, endThrown, endWith, endedBy, endingPromise, inContext, oncePer, outcomeOf, outsideRequests, quietly, recordingContext, setTarget, state, stillRecording, tellingWhyNone, toldWhyNone, wordingOf }
