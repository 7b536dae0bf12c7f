'use strict'
// A provider for OpenFeature's server SDK: the flags of the running request; with a targeting key or
// attributes in the evaluation context, of that user. A boolean is whether the flag is on, a string
// its variant; numbers and objects are the data of its variant.

const { dataIn, decideIn, running } = require('./flags.js')

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
  no_unit: 'DEFAULT',
}
const ERRORS = { not_found: 'FLAG_NOT_FOUND', error: 'PARSE_ERROR' }

/** Whom an evaluation context is about; `undefined` for the running request's own. */
function subject(context) {
  const { targetingKey, visitor, groups, ...attributes } = context ?? {}
  if (targetingKey === undefined && visitor === undefined && groups === undefined && Object.keys(attributes).length === 0) return undefined
  const told = Object.entries(attributes).filter(([, value]) => value !== undefined && value !== null)
  return { user: targetingKey, visitor, groups: groups === undefined ? [] : [groups].flat(), attributes: Object.fromEntries(told) }
}

/** What was decided, as OpenFeature wants it; `valueOf` gives the value, or a mismatch. */
async function resolve(name, fallback, context, valueOf) {
  const request = running()
  const who = subject(context)
  const decision = decideIn(request, name, fallback === true, who)
  const { state, variant, reason, group } = decision
  const errorCode = ERRORS[reason]
  if (errorCode !== undefined) return { value: fallback, reason: 'ERROR', errorCode }
  const value = valueOf(decision, () => dataIn(request, name, who))
  if (value === MISMATCH) return { value: fallback, variant, reason: 'ERROR', errorCode: 'TYPE_MISMATCH', errorMessage: `the data of ${name}'s variant ${variant} is of another type` }
  const flagMetadata = group === undefined || group === null ? { state, reason } : { state, reason, group }
  return { value, variant, reason: REASONS[reason] ?? 'UNKNOWN', flagMetadata }
}

const MISMATCH = Symbol('mismatch')

/** The data of the variant, where it is of the wanted type; without data the default. */
function dataOf(fallback, isWanted) {
  return (_, readData) => {
    const data = readData()
    if (data === undefined) return fallback
    return isWanted(data) ? data : MISMATCH
  }
}

class IoprofilerProvider {
  metadata = { name: 'ioprofiler' }
  runsOn = 'server'

  /** Whether the flag is on. */
  resolveBooleanEvaluation(name, fallback, context) {
    return resolve(name, fallback, context, ({ state }) => state === 'on')
  }

  /** Its variant. */
  resolveStringEvaluation(name, fallback, context) {
    return resolve(name, fallback, context, ({ variant }) => variant)
  }

  /** The data of its variant. */
  resolveNumberEvaluation(name, fallback, context) {
    return resolve(name, fallback, context, dataOf(fallback, (data) => typeof data === 'number'))
  }

  /** The data of its variant. */
  resolveObjectEvaluation(name, fallback, context) {
    return resolve(name, fallback, context, dataOf(fallback, (data) => typeof data === 'object' && data !== null))
  }
}

module.exports = { IoprofilerProvider }
