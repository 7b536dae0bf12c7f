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
const { textOf } = require('./text.js')

// A flag on a sheet, in words of 4 bytes; `Ahead` of src/flags.rs is the same. Its state stands lowest,
// above it how often it was read, so that a further read is one addition.
const WORDS = 4
const FLAG = 1
const READ = 1 << 3
const STATE = READ - 1
const ORDER_SHIFT = 16

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

/** Names to their first words on sheets. */
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
    /** Flags that were read. */
    this.reads = 0
    this.isAhead = false
    this.#grow()
  }

  static take() {
    return pool.length === 0 ? new Sheet() : pool.pop()
  }

  /** Its request needs it no more; what was read has been told. */
  release() {
    if (pool.length >= POOLED) return
    const { words } = this
    for (let word = 0; word < this.known * WORDS; word += WORDS) words[word] = UNDECIDED
    this.reads = 0
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
      this.words[this.known * WORDS] = UNDECIDED
      this.words[this.known * WORDS + FLAG] = numbers[this.known]
    }
  }

  /** Reads a flag for the first time. Its state; −1 where it cannot be decided. */
  readFirst(request, word) {
    if (word >= this.known * WORDS) this.#grow()
    if (this.words[word] === UNDECIDED && !this.#decide(request, word / WORDS)) return -1
    const { words } = this
    words[word] += READ
    words[word + FLAG] = (words[word + FLAG] & 0xffff) | (this.reads++ << ORDER_SHIFT)
    return words[word] & STATE
  }

  /** Decides a flag; and all others, where many are read. */
  #decide(request, place) {
    const ahead = !this.isAhead && this.reads >= ONE_BY_ONE && place < MOST_AHEAD
    if (ahead) return this.#decideAll(request)
    native.ahead(request.low, request.high, this.buffer, place, place + 1)
    return answer[0] === 1
  }

  /** What was decided stays as it is: it may have been read. */
  #decideAll(request) {
    this.isAhead = true
    const { words } = this
    const to = Math.min(this.known, MOST_AHEAD)
    for (let from = 0; from < to; from++) {
      if (words[from * WORDS] !== UNDECIDED) continue
      let end = from + 1
      while (end < to && words[end * WORDS] === UNDECIDED) end++
      native.ahead(request.low, request.high, this.buffer, from, end)
      if (answer[0] !== 1) return false
      from = end
    }
    return true
  }
}

/** 0 off, 1 on, 2 dark: as the core has it, and counted by it. */
function asked(low, high, name, fallback) {
  native.flag(low, high, numberOf(name), fallback)
  return answer[0]
}

/** A flag's first word on sheets; `undefined` where there are too many. */
function meet(name) {
  if (numbers.length >= MOST_KNOWN) return undefined
  const number = numberOf(name)
  if (number === 0) return undefined
  const word = numbers.length * WORDS
  numbers.push(number)
  places.set(name, word)
  return word
}

/** 0 off, 1 on, 2 dark. */
function stateIn(request, name, fallback) {
  const sheet = request.flags
  const word = places.get(name)
  if (sheet === null || word === undefined) return readFirst(request, name, fallback)
  const { words } = sheet
  const read = words[word]
  if (!(read >= READ)) return readFirst(request, name, fallback)
  words[word] = read + READ
  const decided = read & STATE
  return decided === DEFAULT && fallback ? ON : decided
}

/** A flag that was not read yet, or of which nothing is known yet. */
function readFirst(request, name, fallback) {
  if (request.visit !== null) askWho(request)
  const sheet = (request.flags ??= Sheet.take())
  const word = places.get(name) ?? meet(name)
  const decided = word === undefined ? -1 : sheet.readFirst(request, word)
  if (decided === -1) return asked(request.low, request.high, name, fallback)
  return decided === DEFAULT && fallback ? ON : decided
}

/** Asks the application, once, whom a request is about: its option `flagContext`. */
function askWho(request) {
  const { visit, profiler } = request
  request.visit = null
  try {
    const { user, visitor, groups, ...attributes } = Object(profiler.options.flagContext(visit.host))
    request.setUser(user).setVisitor(visitor)
    for (const group of listOf(groups)) request.addGroup(group)
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null) request.setAttribute(name, value)
    }
  } catch (error) {
    state.failures++
    profiler.saySeldom('callback', `flagContext failed: ${error instanceof Error ? error.message : 'an exception'}`, 'flagContext failed')
  }
}

/** Groups, of which one may be given by itself. */
function listOf(groups) {
  return groups === undefined || groups === null ? [] : typeof groups === 'string' ? [groups] : groups
}

/** The core's number of a name; 0 is never found. */
const numberOf = (name) => native.flagNumber(textOf(name))

/** Tells the core what was read, and asks it anew from now on. */
function forget(request) {
  const sheet = request.flags
  if (sheet === null) return
  request.flags = null
  native.tell(request.low, request.high, 0, undefined, sheet.buffer, sheet.known)
  sheet.release()
}

/** Each second: so that a kill switch arrives in requests that go on. */
function forgetAll(requests) {
  for (const request of requests) if (request.flags !== null) forget(request)
}

/** The running request, while it goes on. */
function running() {
  const context = storage.getStore()
  return context === undefined || context.request.ended ? null : context.request
}

function stateOf(name, fallback) {
  const context = storage.getStore()
  if (context === undefined || context.request.ended) return asked(0, 0, name, fallback)
  return stateIn(context.request, name, fallback)
}

/** Whether a flag is on. `fallback` answers where no file names it, or it is broken. */
function flag(name, fallback = false) {
  return stateOf(name, fallback === true) === ON
}

/** A request's handle, with all told that was read so far; of none where there is none. */
function handle(request) {
  if (request === null) return [0, 0]
  if (request.visit !== null) askWho(request)
  forget(request)
  return [request.low, request.high]
}

/** A value as flags are bucketed by it, in every language. */
function attribute(value) {
  return typeof value === 'number' ? native.flagAttribute(value) : textOf(value)
}

/** Somebody, as the native part takes it: a user's id, or an object. */
function subject(who) {
  if (who === undefined || who === null) return undefined
  if (typeof who !== 'object') return { user: textOf(who), groups: [], attributes: [] }
  const text = (value) => (value === undefined || value === null ? undefined : textOf(value))
  try {
    return {
      user: text(who.user),
      visitor: text(who.visitor),
      groups: Array.from(listOf(who.groups), textOf),
      attributes: Object.entries(who.attributes ?? {}).flatMap(([name, value]) => [name, attribute(value)]),
    }
  } catch {
    // Nobody that can be read: about nobody, not about the running request's own.
    state.failures++
    return { groups: [], attributes: [] }
  }
}

/** State, variant, reason and group of a flag; with `who`, for somebody else. */
function decideIn(request, name, fallback, who) {
  return native.flagDecide(...handle(request), numberOf(name), fallback === true, subject(who))
}

/** The data that the file gives the variant which the flag is in; with `who`, for somebody else. */
function dataIn(request, name, who) {
  const profiler = request?.profiler.number ?? 0
  const data = native.flagData(...handle(request), numberOf(name), profiler, subject(who))
  return data === undefined || data === null ? undefined : JSON.parse(data)
}

/** Why a flag is what it is, rule by rule. It is no exposure. */
function explainIn(request, name) {
  return native.flagExplain(...handle(request), numberOf(name))
}

const decide = (name, fallback = false, who = undefined) => decideIn(running(), name, fallback, who)
const variant = (name, fallback = false) => decide(name, fallback).variant
const flagData = (name, who = undefined) => dataIn(running(), name, who)
const explain = (name) => explainIn(running(), name)

module.exports = { flag, variant, decide, flagData, explain, decideIn, dataIn, explainIn, askWho, attribute, stateIn, stateOf, running, forget, forgetAll, ON, DARK }
