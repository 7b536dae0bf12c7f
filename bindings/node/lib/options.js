'use strict'
// The constructor's options: checked here, so that a wrong one fails at once and says what is
// allowed. What the core decides (ranges, the gate's ways) it says itself.

const { validateHeaderName } = require('node:http')
const board = require('./board.js')

const GATE_WAYS = ['token', 'this-machine', 'everyone']

const NUMBERS = {
  maxSpans: 'maxSpans',
  maxDetailBytes: 'maxDetailBytes',
  maxMemory: 'maxMemory',
  maxLiveRequests: 'maxLiveRequests',
  requestTtl: 'requestTtlMs',
  jobTtl: 'jobTtlMs',
}

/** What the native part takes as 32 bits; the core's own limits are below. */
const MOST = { maxSpans: 0xffffffff, maxDetailBytes: 0xffffffff, maxLiveRequests: 0xffffffff }

/** How the core names options. */
const CORE_NAMES = /\b(gate_secret|gate_parameter|max_spans|max_detail_bytes|max_memory|max_live_requests|request_ttl|job_ttl|flags_required|state_dir|note_format|access_log)\b/g

const KNOWN = new Set([
  'record',
  'gate',
  'gateSecret',
  'gateParameter',
  'build',
  'instrument',
  'maxPage',
  'bufferStreams',
  'requestIdHeader',
  'onLog',
  'onProfile',
  'threadless',
  'accessLog',
  'noteFormat',
  'flags',
  'flagContext',
  'flagsRequired',
  'stateDir',
  'noteHeader',
  'configFile',
  'config',
  'metrics',
  ...Object.keys(NUMBERS),
])

function wrong(option, value, allowed) {
  let shown
  try {
    shown = typeof value === 'function' ? 'a function' : JSON.stringify(value)
  } catch {
    shown = typeof value
  }
  return new TypeError(`${option}: ${shown} is not allowed; allowed: ${allowed}`)
}

function optional(given, option, type, allowed) {
  const value = given[option]
  if (value === undefined || value === null) return undefined
  if (typeof value !== type) throw wrong(option, value, allowed)
  return value
}

/** The gate as the core takes it, and the host's own rule if there is one. */
function gate(given) {
  const ways = given === undefined || given === null ? [] : Array.isArray(given) ? given : [given]
  let predicate = null
  const words = []
  for (const way of ways) {
    if (typeof way === 'function') {
      if (predicate !== null) throw new TypeError('gate: two functions; at most one is allowed')
      predicate = way
      words.push('callable')
    } else if (GATE_WAYS.includes(way) || (typeof way === 'string' && /^flag:[^,]+$/.test(way))) {
      words.push(way)
    } else {
      throw wrong('gate', way, `${GATE_WAYS.map((word) => `"${word}"`).join(', ')}, "flag:NAME", a function, or a list of them`)
    }
  }
  return { words: words.join(','), predicate }
}

function instrument(given) {
  if (given === undefined || given === null || given === true) return true
  if (given === false) return false
  if (Array.isArray(given) && given.every((name) => typeof name === 'string')) {
    const { names } = require('./hooks')
    const unknown = given.find((name) => !names().includes(name))
    if (unknown !== undefined) {
      throw wrong('instrument', unknown, `the libraries ${names().join(', ')}`)
    }
    return given
  }
  throw wrong('instrument', given, 'true, false, or a list of libraries')
}

/** Where a line for each finished request goes. */
function accessLog(given) {
  if (given === undefined || given === null) return undefined
  const allowed = '{ file: PATH } or { to: "stdout" or "stderr" }, with a format'
  if (typeof given !== 'object') throw wrong('accessLog', given, allowed)
  const { file, to, format = 'json', ...more } = given
  const isFile = file !== undefined
  const target = isFile ? file : to
  if (Object.keys(more).length !== 0 || typeof format !== 'string' || typeof target !== 'string') throw wrong('accessLog', given, allowed)
  if (isFile ? to !== undefined : !['stdout', 'stderr'].includes(target)) throw wrong('accessLog', given, allowed)
  return { target, isFile, format }
}

/** What is counted, kept and sent: an object with the file's keys, as JSON. */
function config(given) {
  if (given === undefined || given === null) return undefined
  const allowed = 'an object with the keys of the configuration file: { keep: { slowest: 3 } }'
  if (typeof given !== 'object' || Array.isArray(given)) throw wrong('config', given, allowed)
  try {
    return JSON.stringify(given)
  } catch (error) {
    throw new TypeError(`config: cannot be written as JSON (${error.message.split('\n', 1)[0]}); allowed: ${allowed}`)
  }
}

/** The files with the flags. */
function flagFiles(given) {
  const files = given === undefined || given === null ? [] : [given].flat()
  if (!files.every((file) => typeof file === 'string' && file !== '')) throw wrong('flags', given, 'a path, or a list of paths')
  return files
}

/** What went wrong with options, in the names that they have here; keys of a configuration stay as they are. */
function told(error, given) {
  const isOfConfig = error.message.startsWith('config:') || (given?.configFile && error.message.startsWith(given.configFile))
  if (!isOfConfig) {
    error.message = error.message.replace(CORE_NAMES, (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()))
  }
  error.code = 'ERR_IOPROFILER_OPTION'
  return error
}

/** A header's name. */
function header(given, option, allowed) {
  if (typeof given !== 'string') throw wrong(option, given, allowed)
  try {
    validateHeaderName(given)
  } catch {
    throw wrong(option, given, allowed)
  }
  return given
}

function check(given) {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) throw wrong('options', given, 'an object')
  for (const name of Object.keys(given)) {
    if (KNOWN.has(name)) continue
    const known = [...KNOWN].sort()
    throw new TypeError(`${name}: no such option${board.native.didYouMean(name, known) || ';'} known: ${known.join(', ')}`)
  }
  const { words, predicate } = gate(given.gate)
  const secrets = given.gateSecret === undefined ? [] : [given.gateSecret].flat()
  if (!secrets.every((secret) => typeof secret === 'string')) {
    throw new TypeError('gateSecret: must be a string of 32 bytes at least, or a list of them')
  }
  const native = {
    gate: words,
    gateSecrets: secrets,
    record: optional(given, 'record', 'string', '"always", "asked" or "off"'),
    gateParameter: optional(given, 'gateParameter', 'string', 'a string'),
    build: optional(given, 'build', 'string', 'a string'),
    threadless: optional(given, 'threadless', 'boolean', 'true or false') ?? false,
    flags: flagFiles(given.flags),
    flagsRequired: optional(given, 'flagsRequired', 'boolean', 'true or false') ?? false,
    stateDir: optional(given, 'stateDir', 'string', 'a folder'),
    configFile: optional(given, 'configFile', 'string', 'a path'),
    config: config(given.config),
    metrics: optional(given, 'metrics', 'boolean', 'true or false'),
    accessLog: accessLog(given.accessLog),
    noteFormat: optional(given, 'noteFormat', 'string', 'a format, such as "%{user_id}n %{app_us}n"'),
  }
  const noteHeader = given.noteHeader === undefined || given.noteHeader === null ? null : header(given.noteHeader, 'noteHeader', 'a header\'s name')
  if (noteHeader !== null && native.noteFormat === undefined) throw new TypeError('noteHeader: needs noteFormat, which says what stands in it')
  for (const [option, name] of Object.entries(NUMBERS)) {
    const value = optional(given, option, 'number', 'a number')
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0)) throw wrong(option, value, 'a whole number')
    if (value > MOST[option]) throw wrong(option, value, `at most ${MOST[option]}`)
    if (value !== undefined) native[name] = value
  }
  const maxPage = optional(given, 'maxPage', 'number', 'a number of bytes') ?? 4 << 20
  if (!(maxPage >= 0)) throw wrong('maxPage', maxPage, 'a number of bytes')
  return {
    native,
    predicate,
    instrument: instrument(given.instrument),
    maxPage,
    noteHeader,
    bufferStreams: optional(given, 'bufferStreams', 'boolean', 'true or false') ?? false,
    requestIdHeader: requestIdHeader(given.requestIdHeader),
    flagContext: optional(given, 'flagContext', 'function', 'a function') ?? null,
    onLog: optional(given, 'onLog', 'function', 'a function') ?? warn,
    onProfile: optional(given, 'onProfile', 'function', 'a function') ?? null,
  }
}

/** The header whose value becomes the request's id; null makes one up for each. */
function requestIdHeader(given) {
  if (given === null || given === false) return null
  if (given === undefined) return 'x-request-id'
  return header(given, 'requestIdHeader', 'a header\'s name, or null').toLowerCase()
}

/** Node's own way to say something about a program. */
function warn({ kind, message }) {
  process.emitWarning(message, { type: 'IoprofilerWarning', code: `IOPROFILER_${kind.toUpperCase()}` })
}

module.exports = { check, told }
