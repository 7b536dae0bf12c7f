'use strict'
// Where a request's calls are taken down until somebody reads them: numbers in an ArrayBuffer that
// the native part reads (`Record` in src/hand.rs), details as the strings that they are.
//
// Nothing here crosses over but the clock. A page that nobody looks at never hands its calls over;
// one that is read does so once, by one join and one crossing. Past SPILL_* each call is handed over
// as it comes, and the core keeps the request's limits.

const { native, clock, answer } = require('./board.js')

const tick = native.tick

// Offsets in a record, in 8 and in 4 bytes.
const DOUBLES = 7
const END = 1
const WORDS = 14
const ABOUT = 4
const PARENT = 5
const SITE = 6
const LOW = 7
const HITS = 9
const MISSES = 10
/** Ours alone: the wording of its detail, which the native part does not read. */
const WORDING = 13

const RECORD_BYTES = 56
const FIRST_CAPACITY = 64
const SPILL_SPANS = 2048
const SPILL_CHARS = 256 * 1024
/** Characters that all requests of this thread keep before they spill. */
const SPILL_ALL_CHARS = 16 * 1024 * 1024
/** A longer detail is cut at its begin. */
const MAX_DETAIL = 8192
/** Recorders of larger pages, and more of them, are left to the garbage collector. */
const POOLED_CAPACITY = 1024
const POOLED = 256

// Flags of a record's ABOUT.
const OUTCOME_SHIFT = 16
const PART_OF_LEAF = 1 << 18
const HAS_TARGET = 1 << 19
const CUT = 1 << 20
const COUNTED = 1 << 24
const HITS_AND_MISSES = 3 << 24

const OK = 0
const ERROR = 1
const CANCELLED = 2

const pool = []
let charsOfAll = 0

class Recorder {
  constructor() {
    this.capacity = FIRST_CAPACITY
    this.buffer = new ArrayBuffer(FIRST_CAPACITY * RECORD_BYTES)
    this.doubles = new Float64Array(this.buffer)
    this.words = new Uint32Array(this.buffer)
    this.details = new Array(FIRST_CAPACITY).fill('')
    this.targets = null
    this.isWorded = false
    this.count = 0
    /** Records below were handed over. */
    this.handed = 0
    this.chars = 0
    /** Calls are handed over as they come. */
    this.spilled = false
    /** Records that are free again, once spilled. */
    this.free = null
    /** The handle of the request. */
    this.low = 0
    this.high = 0
    /** Takes the caller's number down, where the request was asked for. */
    this.findSite = null
    /** The caller of what has none of its own now. */
    this.askedFrom = 0
  }

  /** A recorder for a request. */
  static take(low, high) {
    const recorder = pool.length === 0 ? new Recorder() : pool.pop()
    recorder.low = low
    recorder.high = high
    return recorder
  }

  /** The request has ended; a profile keeps its calls, and is left to the garbage collector. */
  keep() {
    charsOfAll -= this.chars
  }

  /** The request has ended, and nobody reads its calls any more. */
  release() {
    charsOfAll -= this.chars
    if (this.capacity > POOLED_CAPACITY || pool.length >= POOLED) return
    // Only what was used: these strings are the page's.
    this.details.fill('', 0, this.count)
    if (this.targets !== null) this.targets.fill('', 0, this.count)
    this.isWorded = false
    this.count = 0
    this.handed = 0
    this.chars = 0
    this.spilled = false
    this.free = null
    this.findSite = null
    pool.push(this)
  }

  /** Takes a call down. `parent` is the index of the record it happened in, plus one. */
  begin(about, parent, detail) {
    const index = this.count
    const length = detail.length
    if (
      index === this.capacity ||
      this.spilled ||
      length > MAX_DETAIL ||
      this.chars > SPILL_CHARS ||
      this.findSite !== null
    ) {
      return this.beginSlow(about, parent, detail)
    }
    this.count = index + 1
    this.chars += length
    charsOfAll += length
    const word = index * WORDS
    const words = this.words
    words[word + ABOUT] = about
    words[word + PARENT] = parent
    words[word + SITE] = 0
    words[word + WORDING] = 0
    this.details[index] = detail
    const double = index * DOUBLES
    const doubles = this.doubles
    doubles[double + END] = 0
    tick()
    doubles[double] = clock[0]
    return index
  }

  beginSlow(about, parent, detail) {
    const fits = this.count < SPILL_SPANS && this.chars <= SPILL_CHARS && charsOfAll <= SPILL_ALL_CHARS
    if (!fits && !this.spilled) {
      this.handOver()
      this.spilled = true
      this.free = []
    }
    const index = this.spilled && this.free.length !== 0 ? this.free.pop() : this.count++
    if (index >= this.capacity) this.grow()
    const word = index * WORDS
    let kept = detail
    let flags = 0
    if (detail.length > MAX_DETAIL) {
      kept = beginning(detail)
      this.words[word + LOW] = Math.min(Buffer.byteLength(detail), 0xffffffff)
      flags = CUT
    }
    this.words[word + ABOUT] = about | flags
    this.words[word + PARENT] = parent
    this.words[word + SITE] = this.siteNow()
    this.words[word + WORDING] = 0
    const double = index * DOUBLES
    this.doubles[double + END] = 0
    tick()
    this.doubles[double] = clock[0]
    if (this.spilled) {
      native.hand(this.low, this.high, this.buffer, index, index + 1, kept, undefined)
    } else {
      this.details[index] = kept
      this.chars += kept.length
      charsOfAll += kept.length
    }
    return index
  }

  /** The application's line that runs now; 0 where nobody wants to know. */
  siteNow() {
    return this.findSite === null ? 0 : this.findSite() || this.askedFrom
  }

  grow() {
    this.capacity *= 2
    const larger = new ArrayBuffer(this.capacity * RECORD_BYTES)
    new Uint8Array(larger).set(new Uint8Array(this.buffer))
    this.buffer = larger
    this.doubles = new Float64Array(larger)
    this.words = new Uint32Array(larger)
  }

  /** A call is over; the first end counts. */
  end(index, outcome) {
    const end = index * DOUBLES + END
    if (index < 0 || this.doubles[end] !== 0) return
    tick()
    this.doubles[end] = clock[0]
    if (outcome !== OK) this.words[index * WORDS + ABOUT] |= outcome << OUTCOME_SHIFT
    if (index < this.handed || this.spilled) this.endLate(index)
  }

  endLate(index) {
    native.late(this.buffer, index, undefined, undefined)
    if (this.spilled && index >= this.handed) this.free.push(index)
  }

  /** The number of a call's category. */
  categoryOf(index) {
    return this.words[index * WORDS + ABOUT] & 0xffff
  }

  /** It was begun earlier, at `ticks`, when nobody knew yet that it would be a call. */
  beganAt(index, ticks) {
    if (index >= this.handed && !this.spilled) this.doubles[index * DOUBLES] = ticks
  }

  /** `which`: 0 hits, 1 misses, 2 rows, 3 bytes. Before the call's end. */
  setCount(index, which, count) {
    if (index < 0) return
    const word = index * WORDS
    this.words[word + HITS + which] = count < 0 ? 0 : Math.min(count, 0xffffffff)
    this.words[word + ABOUT] |= COUNTED << which
  }

  setRows(index, rows) {
    this.setCount(index, 2, rows)
  }

  /** What a look for keys brought, known at its end. */
  setFound(index, hits, misses) {
    if (index < 0) return
    const word = index * WORDS
    this.words[word + HITS] = hits
    this.words[word + MISSES] = misses
    this.words[word + ABOUT] |= HITS_AND_MISSES
  }

  setDetail(index, detail) {
    if (index < 0) return
    if (index < this.handed || this.spilled) {
      native.late(this.buffer, index, detail.length > MAX_DETAIL ? beginning(detail) : detail, undefined)
      return
    }
    const word = index * WORDS
    this.words[word + WORDING] = 0
    if (detail.length > MAX_DETAIL) {
      this.words[word + LOW] = Math.min(Buffer.byteLength(detail), 0xffffffff)
      this.words[word + ABOUT] |= CUT
      detail = beginning(detail)
    } else {
      this.words[word + ABOUT] &= ~CUT
    }
    const more = detail.length - this.details[index].length
    this.chars += more
    charsOfAll += more
    this.details[index] = detail
  }

  /**
   * Says how the detail is worded, once somebody reads it: a page that nobody looks at does not pay
   * for the words. `about` is what the call was begun with.
   */
  word(index, wording, about) {
    if (index < 0) return
    if (index < this.handed || this.spilled) {
      this.setDetail(index, wordings[wording](about))
      return
    }
    this.isWorded = true
    this.words[index * WORDS + WORDING] = wording
  }

  /** Writes down what was only said to be worded. */
  #writeWords(from, to) {
    for (let index = from; index < to; index++) {
      const word = index * WORDS + WORDING
      const wording = this.words[word]
      if (wording === 0) continue
      this.words[word] = 0
      this.details[index] = wordings[wording](this.details[index])
    }
  }

  setTarget(index, target) {
    if (index < 0) return
    const kept = target.length > MAX_DETAIL ? beginning(target) : target
    if (index < this.handed || this.spilled) {
      native.late(this.buffer, index, undefined, kept)
      return
    }
    this.targets ??= new Array(this.capacity).fill('')
    this.targets[index] = kept
    this.words[index * WORDS + ABOUT] |= HAS_TARGET
  }

  /** Gives what was not handed over yet to the core, open calls as open ones. */
  handOver() {
    const hand = (from, to, details, targets) => {
      native.hand(this.low, this.high, this.buffer, from, to, details, targets)
      return answer[0]
    }
    this.handTo(hand)
  }

  /** As `handOver`, into the profile of a request that has ended. */
  handToProfile(profile) {
    const hand = (from, to, details, targets) =>
      native.profileHand(profile, this.buffer, from, to, details, targets)
    this.handTo(hand)
  }

  handTo(hand) {
    const from = this.handed
    const to = this.spilled ? from : this.count
    if (from === to) return
    if (this.isWorded) this.#writeWords(from, to)
    const details = from === 0 && to === this.details.length ? this.details : this.details.slice(from, to)
    if (hand(from, to, details.join('\0'), this.targetsOf(from, to)) !== 0) {
      // A detail with a NUL in it: one by one, each may contain anything.
      for (let index = from; index < to; index++) {
        hand(index, index + 1, this.details[index], this.targetsOf(index, index + 1))
      }
    }
    this.handed = to
  }

  targetsOf(from, to) {
    if (this.targets === null) return ''
    const targets = []
    for (let index = from; index < to; index++) {
      if ((this.words[index * WORDS + ABOUT] & HAS_TARGET) !== 0) targets.push(this.targets[index])
    }
    return targets.join('\0')
  }
}

/** How details are worded, by number; 0 is as they are. */
const wordings = [(about) => about]

/** The number of a wording: a function of what a call was begun with. */
function wordingOf(make) {
  return wordings.push(make) - 1
}

/** The beginning of a text, copied, so that it does not keep the rest alive. */
function beginning(text) {
  return Buffer.from(text.slice(0, MAX_DETAIL)).toString()
}

module.exports = { Recorder, wordingOf, OK, ERROR, CANCELLED, PART_OF_LEAF }
