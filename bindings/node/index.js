'use strict'
// What applications see. Documented in index.d.ts.

const { Profiler, count, deploy, event, gauge, record, timing } = require('./lib/profiler.js')
const { Profile } = require('./lib/profile.js')
const { Request, current, note } = require('./lib/request.js')
const { decide, explain, flag, flagData, variant } = require('./lib/flags.js')
const { dark } = require('./lib/dark.js')
const { Category, Span, scope, span } = require('./lib/span.js')

/** A category made once, at start: `const shard = category('dbshard01', { dialect: 'mysql' })`. */
function category(name, options) {
  return new Category(name, options)
}

module.exports = {
  Profiler, Profile, Request, Category, Span,
  category, count, current, dark, decide, deploy, event, explain, flag, flagData, gauge, note, record, scope, span, timing, variant,
}
