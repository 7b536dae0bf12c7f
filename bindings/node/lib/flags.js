'use strict'
// Flags of the running request. The core decides; what a request has read is remembered here, since a
// native call for each read would cost more than the read.
//
// The first few flags that a request asks for are decided one by one; one that asks for more has all
// others that this thread knows decided in one go. What is remembered holds for a second at most, so
// that a kill switch arrives in long requests too. Only what was read is told to the core: that is an
// exposure.

const { native, answer } = require('./board.js')
const { storage, state } = require('./context.js')

// A flag on a sheet, in words of 4 bytes; `Ahead` of src/flags.rs is the same.
const WORDS = 4
const FLAG = 2
const READS = 3
const STATE_SHIFT = 16
const ORDER_SHIFT = 20
const MOST_READS = (1 << ORDER_SHIFT) - 1

const ON = 1
const DARK = 2
/** The caller's default answers. */
const DEFAULT = 3
const UNDECIDED = 4

/** So many are decided one by one. */
const ONE_BY_ONE = 3
/** So many are decided ahead. */
const MOST_AHEAD = 256
/** So many names are known by heart; the core decides the others each time. */
const MOST_KNOWN = 4096
const POOLED = 64

/** Names to their places on sheets. */
const places = new Map()
/** The core's numbers of those flags, in the same order. */
const numbers = []
const pool = []

/** What a request has read, and what was decided ahead for it. */
class Sheet {
  constructor() {
    this.buffer = null
    this.words = null
    /** Flags that stand on it. */
    this.known = 0
    this.second = 0
    /** Flags that were read. */
    this.read = 0
    this.isAhead = false
    this.#grow()
  }

  static take() {
    const sheet = pool.length === 0 ? new Sheet() : pool.pop()
    sheet.second = state.second
    return sheet
  }

  /** Its request needs it no more; what was read has been told. */
  release() {
    if (pool.length >= POOLED) return
    const { words } = this
    for (let word = 0; word < this.known * WORDS; word += WORDS) {
      words[word + FLAG] = (words[word + FLAG] & 0xffff) | (UNDECIDED << STATE_SHIFT)
      words[word + READS] = 0
    }
    this.read = 0
    this.isAhead = false
    pool.push(this)
  }

  /** Takes the flags in that were met meanwhile. */
  #grow() {
    if (this.words === null || this.words.length < numbers.length * WORDS) {
      const size = Math.max(64, 1 << (32 - Math.clz32(numbers.length)))
      const larger = new ArrayBuffer(size * WORDS * 4)
      if (this.buffer !== null) new Uint8Array(larger).set(new Uint8Array(this.buffer))
      this.buffer = larger
      this.words = new Uint32Array(larger)
    }
    for (; this.known < numbers.length; this.known++) {
      this.words[this.known * WORDS + FLAG] = numbers[this.known] | (UNDECIDED << STATE_SHIFT)
    }
  }

  /** The state of a flag that was not decided yet; −1 where it cannot be. */
  decide(request, place) {
    if (place >= this.known) this.#grow()
    const ahead = !this.isAhead && this.read >= ONE_BY_ONE && place < MOST_AHEAD
    if (ahead) this.isAhead = true
    const [from, to] = ahead ? [0, Math.min(this.known, MOST_AHEAD)] : [place, place + 1]
    native.ahead(request.low, request.high, this.buffer, from, to)
    return answer[0] === 1 ? this.words[place * WORDS + FLAG] >>> STATE_SHIFT : -1
  }
}

/** 0 off, 1 on, 2 dark: as the core has it, and counted by it. */
function asked(low, high, name, fallback) {
  native.flag(low, high, native.flagNumber(String(name)), fallback)
  return answer[0]
}

/** A flag's place on sheets; `undefined` where there are too many. */
function meet(name) {
  if (numbers.length >= MOST_KNOWN) return undefined
  const number = native.flagNumber(String(name))
  if (number === 0) return undefined
  places.set(name, numbers.length)
  return numbers.push(number) - 1
}

/** 0 off, 1 on, 2 dark. */
function stateIn(request, name, fallback) {
  let sheet = request.flags
  if (sheet === null || sheet.second !== state.second) {
    forget(request)
    sheet = request.flags = Sheet.take()
  }
  const place = places.get(name) ?? meet(name)
  if (place === undefined) return asked(request.low, request.high, name, fallback)
  const word = place * WORDS
  const { words } = sheet
  let decided = place < sheet.known ? words[word + FLAG] >>> STATE_SHIFT : UNDECIDED
  if (decided === UNDECIDED) {
    decided = sheet.decide(request, place)
    if (decided === -1) return asked(request.low, request.high, name, fallback)
  }
  count(sheet, word)
  if (decided === DEFAULT) return fallback ? ON : 0
  return decided
}

function count(sheet, word) {
  const { words } = sheet
  const reads = words[word + READS]
  if (reads === 0) words[word + READS] = (sheet.read++ << ORDER_SHIFT) | 1
  else if ((reads & MOST_READS) !== MOST_READS) words[word + READS] = reads + 1
}

/** Tells the core what was read, and asks it anew from now on. */
function forget(request) {
  const sheet = request.flags
  if (sheet === null) return
  request.flags = null
  native.tell(request.low, request.high, 0, undefined, sheet.buffer, sheet.known)
  sheet.release()
}

/** The running request, while it goes on. */
function running() {
  const context = storage.getStore()
  return context === undefined || context.request.ended ? null : context.request
}

function stateOf(name, fallback) {
  const request = running()
  return request === null ? asked(0, 0, name, fallback) : stateIn(request, name, fallback)
}

/** Whether a flag is on. `fallback` answers where no file names it, or it is broken. */
function flag(name, fallback = false) {
  return stateOf(name, fallback === true) === ON
}

/** A request's handle, with all told that was read so far; of none where there is none. */
function handle(request) {
  if (request === null) return [0, 0]
  forget(request)
  return [request.low, request.high]
}

/** A value as flags are bucketed by it, in every language. */
function attribute(value) {
  return typeof value === 'number' ? native.flagAttribute(value) : String(value)
}

/** Somebody, as the native part takes it: a user's id, or an object. */
function subject(who) {
  if (who === undefined || who === null) return undefined
  if (typeof who !== 'object') return { user: String(who), groups: [], attributes: [] }
  const text = (value) => (value === undefined || value === null ? undefined : String(value))
  return {
    user: text(who.user),
    visitor: text(who.visitor),
    groups: Array.from(who.groups ?? [], String),
    attributes: Object.entries(who.attributes ?? {}).flatMap(([name, value]) => [name, attribute(value)]),
  }
}

/** State, variant, reason and group of a flag; with `who`, for somebody else. */
function decideIn(request, name, fallback, who) {
  return native.flagDecide(...handle(request), native.flagNumber(String(name)), fallback === true, subject(who))
}

/** The data that the file gives the variant which the flag is in; with `who`, for somebody else. */
function dataIn(request, name, who) {
  const profiler = request?.profiler.number ?? 0
  const data = native.flagData(...handle(request), native.flagNumber(String(name)), profiler, subject(who))
  return data === undefined || data === null ? undefined : JSON.parse(data)
}

/** Why a flag is what it is, rule by rule. It is no exposure. */
function explainIn(request, name) {
  return native.flagExplain(...handle(request), native.flagNumber(String(name)))
}

const decide = (name, fallback = false, who = undefined) => decideIn(running(), name, fallback, who)
const variant = (name, fallback = false) => decide(name, fallback).variant
const flagData = (name, who = undefined) => dataIn(running(), name, who)
const explain = (name) => explainIn(running(), name)

module.exports = { flag, variant, decide, flagData, explain, decideIn, dataIn, explainIn, attribute, stateIn, stateOf, running, forget, ON, DARK }
