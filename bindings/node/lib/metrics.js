'use strict'
// What the application counts itself: counters, gauges and timings, by name and labels.
//
// A value crosses over at once, so that nothing is lost with a thread or a process; a name does not, but
// the first time, for its text costs more than counting. What is no value is counted by the core as lost,
// and said once a minute; nothing here throws.

const { native, answer } = require('./board.js')
const { state } = require('./context.js')
const { textOf } = require('./text.js')

/** A name, or a name with some labels, which has a number if it was used. */
class Known {
  constructor() {
    this.number = 0
    /** By a further label's name, then by its value. */
    this.further = null
  }

  get(label, value) {
    return this.further?.get(label)?.get(value)
  }

  make(label, value) {
    this.further ??= new Map()
    let values = this.further.get(label)
    if (values === undefined) this.further.set(label, (values = new Map()))
    let known = values.get(value)
    if (known === undefined) values.set(value, (known = new Known()))
    return known
  }
}

const names = new Known()
/** The core has at most 2,000, in as many orders of their labels as somebody writes. */
const MOST_KNOWN = 8192
let known = 0

/** Names and values of labels, as the native part takes them; undefined where there are none. */
function joined(labels) {
  let all
  for (const label in labels) {
    const pair = `${clean(label)}\0${clean(labels[label])}`
    all = all === undefined ? pair : `${all}\0${pair}`
  }
  return all
}

function clean(value) {
  const text = textOf(value)
  return text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text
}

/** The number of a metric; 0 where it can be none. */
function numberOf(name, labels) {
  try {
    const given = typeof labels === 'object' && labels !== null ? labels : undefined
    let found = names.get('', name)
    if (given !== undefined) {
      for (const label in given) {
        if (found === undefined) break
        found = found.get(label, given[label])
      }
    }
    return found !== undefined && found.number !== 0 ? found.number : look(name, given)
  } catch {
    // What the labels say cannot be had: better without them than not counted.
    state.failures++
    return look(name, undefined)
  }
}

/** Asks the core, and remembers the answer. */
function look(name, labels) {
  native.metric(textOf(name), labels === undefined ? undefined : joined(labels))
  const number = answer[0]
  if (number !== 0 && known < MOST_KNOWN) remember(name, labels, number)
  return number
}

function remember(name, labels, number) {
  // What is no text may be another one tomorrow.
  if (typeof name !== 'string') return
  const pairs = []
  for (const label in labels) {
    const value = labels[label]
    if (value !== null && (typeof value === 'object' || typeof value === 'function')) return
    pairs.push([label, value])
  }
  known += 1 + pairs.length
  pairs.reduce((found, [label, value]) => found.make(label, value), names.make('', name)).number = number
}

/** A value as a number: NaN where it is none. */
function valueOf(value) {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' || (typeof value === 'string' && value !== '') ? Number(value) : NaN
}

function count(profiler, name, by, labels) {
  native.count(profiler, numberOf(name, labels), valueOf(by))
}

function gauge(profiler, name, value, labels) {
  native.gauge(profiler, numberOf(name, labels), valueOf(value))
}

function timing(profiler, name, milliseconds, labels) {
  native.timing(profiler, numberOf(name, labels), valueOf(milliseconds))
}

/** A text that may be left out. */
function optional(value) {
  return value === undefined || value === null ? undefined : textOf(value)
}

function event(profiler, what, about) {
  try {
    const { who, why } = about ?? {}
    native.profilerEvent(profiler, textOf(what), optional(who), optional(why))
  } catch {
    state.failures++
  }
}

/** `false` where there is no version to tell. */
function deploy(profiler, version, about) {
  const text = textOf(version)
  if (text === '') return false
  try {
    const { what, who, why } = about ?? {}
    native.profilerDeploy(profiler, text, optional(what), optional(who), optional(why))
  } catch {
    state.failures++
  }
  return true
}

module.exports = { count, gauge, timing, event, deploy }
