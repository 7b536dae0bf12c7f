'use strict'
// What a request has done so far, or did. It never changes.

const { native } = require('./board.js')

class Profile {
  #held
  /** The calls that the core was not given yet; dropped at the first look. */
  #recorder
  #data = null

  constructor(held, recorder) {
    this.#held = held
    this.#recorder = recorder
  }

  #look() {
    const recorder = this.#recorder
    if (recorder !== null) {
      this.#recorder = null
      recorder.handToProfile(this.#held)
    }
    return this.#held
  }

  /** For those in this package that show it. */
  static held(profile) {
    return profile.#look()
  }

  /** Everything, as plain data; the format of `json()`. */
  get data() {
    this.#data ??= JSON.parse(this.json())
    return this.#data
  }

  /** The call list and the table. Holds SQL and keys: for those whom the gate lets through. */
  text() {
    return native.profileRender(this.#look(), 'text')
  }

  /** As text, with fingerprints for details: what may be pasted anywhere. */
  ticket() {
    return native.profileRender(this.#look(), 'ticket')
  }

  /** As JSON, with all details. */
  json() {
    return native.profileRender(this.#look(), 'json')
  }

  /** The panel as a page of its own. */
  html() {
    return native.profileRender(this.#look(), 'html')
  }

  /** The value of a `Server-Timing` header. */
  serverTiming() {
    return native.profileRender(this.#look(), 'server-timing')
  }

  /** A trace file for Perfetto and speedscope. */
  trace() {
    return native.profileRender(this.#look(), 'trace')
  }

  toString() {
    return this.text()
  }

  toJSON() {
    return this.data
  }

  /**
   * Fails with the text table where the calls of a category are not as many as they should be.
   * `expected` is a number, or `{ min, max }`.
   */
  assertCalls(category, expected) {
    const { min = 0, max = Infinity } = typeof expected === 'number' ? { min: expected, max: expected } : Object(expected)
    const wrong = wrongBudget(expected)
    if (wrong !== undefined || typeof min !== 'number' || typeof max !== 'number' || !(min <= max)) {
      throw new TypeError(`assertCalls: ${wrong ? `${wrong}: ` : ''}expected must be a number, or { min, max }`)
    }
    const calls = this.calls(category)
    if (calls >= min && calls <= max) return this
    const { AssertionError } = require('node:assert')
    const wanted = min === max ? `${min}` : max === Infinity ? `at least ${min}` : min === 0 ? `at most ${max}` : `${min} to ${max}`
    throw new AssertionError({
      message: `${calls} calls of ${category}, wanted ${wanted}:\n\n${this.text()}`,
      actual: calls,
      expected: wanted,
      operator: 'assertCalls',
      stackStartFn: Profile.prototype.assertCalls,
    })
  }

  /** How many calls of a category there were, listed or not; without one, of all. */
  calls(category) {
    const totals = this.data.categories.filter((total) => category === undefined || total.category === category)
    return totals.reduce((sum, total) => sum + total.calls, 0)
  }
}

/** What is wrong with a budget: a key that it cannot have, or '' where it bounds nothing; undefined if nothing. */
function wrongBudget(expected) {
  if (typeof expected === 'number') return undefined
  if (typeof expected !== 'object' || expected === null) return ''
  const names = Object.keys(expected)
  return names.length === 0 ? '' : names.find((name) => name !== 'min' && name !== 'max')
}

module.exports = { Profile }
