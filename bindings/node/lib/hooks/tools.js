'use strict'
// What hooks are made of: wraps that can be undone, and calls that are ended by callbacks, promises
// and events. A wrap does what it wraps, whatever goes wrong in it.

const { EventEmitter } = require('node:events')
const { state, storage } = require('../context.js')
const { Category, Span, beginCall, contextNow, follow, inContext, outcomeOf, OK } = require('../span.js')

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

/** The index of the last argument that is a function; −1 for none. */
function callbackIndex(args) {
  const last = args.length - 1
  return last >= 0 && typeof args[last] === 'function' ? last : -1
}

/**
 * The callback of a call: ends it, and runs the application's own in the context in which it was
 * given, not in that of whoever gives a connection back. `onResult` says what the call brought.
 */
function endingCallback(call, callback, onResult) {
  const context = contextNow()
  const theirs = context === undefined ? callback : inContext(context, callback)
  return function (error, ...results) {
    quietly(() => {
      if (!error && onResult !== undefined) onResult(call, ...results)
      Span.endWith(call, error ? outcomeOf(error) : OK)
    })
    return theirs.call(this, error, ...results)
  }
}

/** The promise of a call: ends it. Settled alike; where nobody handles it, unhandled alike. */
function endingPromise(call, promise, onResult) {
  if (onResult === undefined) return follow(promise, call)
  return promise.then(
    (result) => {
      quietly(() => {
        onResult(call, result)
        Span.endWith(call, OK)
      })
      return result
    },
    (error) => {
      Span.endWith(call, outcomeOf(error))
      throw error
    },
  )
}

/** Ends a call by the events of an emitter: an error that nobody listens for still throws. */
function endByEvents(call, emitter, events) {
  emitter.once(EventEmitter.errorMonitor, (error) => quietly(() => Span.endWith(call, outcomeOf(error))))
  for (const event of events) emitter.once(event, () => quietly(() => Span.endWith(call, OK)))
}

/** Ends a call that threw. */
function endThrown(call, error) {
  quietly(() => Span.endWith(call, outcomeOf(error)))
}

/** A method that connects: what a connection does for itself, now and later, is no request's. */
function outsideRequests(method) {
  return function (...args) {
    if (storage.getStore() === undefined) return method.apply(this, args)
    return storage.exit(() => method.apply(this, args))
  }
}

module.exports = { Wraps, Category, Span, beginCall, callbackIndex, contextNow, endByEvents, endThrown, endingCallback, endingPromise, inContext, outcomeOf, outsideRequests, quietly, OK }
