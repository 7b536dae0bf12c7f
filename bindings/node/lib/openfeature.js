'use strict'
// A provider for OpenFeature's server SDK: the flags of the running request.

const { decide } = require('./flags.js')

const REASONS = {
  killed: 'DISABLED',
  shed: 'DISABLED',
  override: 'TARGETING_MATCH',
  user: 'TARGETING_MATCH',
  group: 'TARGETING_MATCH',
  on: 'STATIC',
  percent: 'SPLIT',
  dark: 'SPLIT',
  off: 'STATIC',
}
const ERRORS = { not_found: 'FLAG_NOT_FOUND', error: 'PARSE_ERROR', no_unit: 'TARGETING_KEY_MISSING' }

/** `targetingKey` asks for another user; without it, for the running request's own. */
function resolve(name, fallback, context, valueOf) {
  const decision = decide(name, fallback === true, context?.targetingKey)
  const error = ERRORS[decision.reason]
  if (error !== undefined) return { value: fallback, reason: 'ERROR', errorCode: error }
  return {
    value: valueOf(decision),
    variant: decision.variant,
    reason: REASONS[decision.reason] ?? 'UNKNOWN',
    flagMetadata: { state: decision.state, reason: decision.reason, ...(decision.group === undefined || decision.group === null ? {} : { group: decision.group }) },
  }
}

const mismatch = (fallback) => Promise.resolve({ value: fallback, reason: 'ERROR', errorCode: 'TYPE_MISMATCH' })

class IoprofilerProvider {
  metadata = { name: 'ioprofiler' }
  runsOn = 'server'

  /** Whether the flag is on. */
  resolveBooleanEvaluation(name, fallback, context) {
    return Promise.resolve(resolve(name, fallback, context, ({ state }) => state === 'on'))
  }

  /** Its variant. */
  resolveStringEvaluation(name, fallback, context) {
    return Promise.resolve(resolve(name, fallback, context, ({ variant }) => variant))
  }

  resolveNumberEvaluation(name, fallback) {
    return mismatch(fallback)
  }

  resolveObjectEvaluation(name, fallback) {
    return mismatch(fallback)
  }
}

module.exports = { IoprofilerProvider }
