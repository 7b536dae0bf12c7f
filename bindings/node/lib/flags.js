'use strict'
// Flags of the running request. The core decides; what a request has read is remembered here, since a
// native call for each read would cost more than the read. It is remembered for a second at most, so
// that a kill switch arrives in long requests too, and each read counts.

const { native, answer } = require('./board.js')
const { storage, state } = require('./context.js')

const ON = 1

/** Names to numbers. The core has a bound for them; beyond it a name is looked up each time. */
const numbers = new Map()
const MOST_KNOWN = 4096

function numberOf(name) {
  let number = numbers.get(name)
  if (number === undefined) {
    number = native.flagNumber(String(name))
    if (numbers.size < MOST_KNOWN) numbers.set(name, number)
  }
  return number
}

/** What a request has read. */
class Memo {
  constructor() {
    this.second = state.second
    this.entries = new Map()
  }
}

/** A flag as it was decided; `again` counts further reads. */
class Entry {
  constructor(number, decided, fallback) {
    this.number = number
    this.state = decided
    this.fallback = fallback
    this.again = 0
  }
}

/** 0 off, 1 on, 2 dark. */
function stateIn(request, name, fallback) {
  let memo = request.flags
  if (memo === null || memo.second !== state.second) {
    forget(request)
    memo = request.flags = new Memo()
  }
  const entry = memo.entries.get(name)
  if (entry !== undefined && entry.fallback === fallback) {
    entry.again++
    return entry.state
  }
  const number = numberOf(name)
  native.flag(request.low, request.high, number, fallback)
  const decided = answer[0]
  if (entry === undefined) memo.entries.set(name, new Entry(number, decided, fallback))
  return decided
}

/** Tells the core how often each flag was read, and asks it anew from now on. */
function forget(request) {
  const memo = request.flags
  request.flags = null
  if (memo === null) return
  for (const entry of memo.entries.values()) {
    if (entry.again !== 0) native.reread(request.low, request.high, entry.number, entry.again)
  }
}

/** The running request, while it goes on. */
function running() {
  const context = storage.getStore()
  return context === undefined || context.request.ended ? null : context.request
}

function stateOf(name, fallback) {
  const request = running()
  if (request !== null) return stateIn(request, name, fallback)
  native.flag(0, 0, numberOf(name), fallback)
  return answer[0]
}

/** Whether a flag is on. `fallback` answers where no file names it, or it is broken. */
function flag(name, fallback = false) {
  return stateOf(name, fallback === true) === ON
}

/** State, variant, reason and group of a flag. */
function decide(name, fallback = false, user = undefined) {
  const request = running()
  const [low, high] = request === null ? [0, 0] : [request.low, request.high]
  return native.flagDecide(low, high, numberOf(name), fallback === true, user === undefined ? undefined : String(user))
}

/** The variant of a flag: `on` or `off` where it has no others, `dark` where it is dark. */
function variant(name, fallback = false) {
  return decide(name, fallback).variant
}

module.exports = { flag, variant, decide, stateIn, forget, ON }
