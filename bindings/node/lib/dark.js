'use strict'
// New code that runs beside the old, unseen.

const { native } = require('./board.js')
const { DARK, running, stateOf } = require('./flags.js')
const { isThenable, scope } = require('./span.js')

/**
 * Runs new code where its flag is dark: what it gives is dropped, what it throws is swallowed and
 * counted. Says whether it ran; where it gives a promise, once that is settled.
 */
function dark(name, work) {
  if (stateOf(name, false) !== DARK) return false
  const { low, high } = running() ?? { low: 0, high: 0 }
  const ended = (failed) => {
    native.darkEnd(low, high, failed)
    return true
  }
  let result
  try {
    result = scope(`dark:${name}`, '', () => work())
  } catch {
    return ended(true)
  }
  if (!isThenable(result)) return ended(false)
  return Promise.resolve(result).then(() => ended(false), () => ended(true))
}

module.exports = { dark }
