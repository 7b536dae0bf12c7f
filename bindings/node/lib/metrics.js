'use strict'
// What the application counts itself: counters, gauges and timings, by name and labels.
//
// A value crosses over at once, so that nothing is lost with a thread or a process. What is no value is
// counted by the core as lost, and said once a minute; nothing here throws.

const { native } = require('./board.js')
const { state } = require('./context.js')
const { textOf } = require('./text.js')

/** Names and values of labels, as the native part takes them; undefined where there are none. */
function joined(labels) {
  if (typeof labels !== 'object' || labels === null) return undefined
  let all
  try {
    for (const name of Object.keys(labels)) {
      const pair = `${clean(name)}\0${clean(labels[name])}`
      all = all === undefined ? pair : `${all}\0${pair}`
    }
  } catch {
    state.failures++
  }
  return all
}

function clean(value) {
  const text = textOf(value)
  return text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text
}

/** A value as a number: NaN where it is none. */
function numberOf(value) {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' || (typeof value === 'string' && value !== '') ? Number(value) : NaN
}

function count(profiler, name, by, labels) {
  native.count(profiler, textOf(name), numberOf(by), labels === undefined ? undefined : joined(labels))
}

function gauge(profiler, name, value, labels) {
  native.gauge(profiler, textOf(name), numberOf(value), labels === undefined ? undefined : joined(labels))
}

function timing(profiler, name, milliseconds, labels) {
  native.timing(profiler, textOf(name), numberOf(milliseconds), labels === undefined ? undefined : joined(labels))
}

/** A text that may be left out. */
function optional(value) {
  return value === undefined || value === null ? undefined : textOf(value)
}

function event(profiler, what, about) {
  const { who, why } = about ?? {}
  native.profilerEvent(profiler, textOf(what), optional(who), optional(why))
}

/** `false` where there is no version to tell. */
function deploy(profiler, version, about) {
  const text = textOf(version)
  if (text === '') return false
  const { what, who, why } = about ?? {}
  native.profilerDeploy(profiler, text, optional(what), optional(who), optional(why))
  return true
}

module.exports = { count, gauge, timing, event, deploy }
