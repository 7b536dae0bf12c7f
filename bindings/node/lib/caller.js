'use strict'
// The application's own line that made a call: the first frame that is neither Node's, nor a
// package's, nor ours. It takes some microseconds, so only requests that asked are looked at.

const { relative, sep } = require('node:path')
const { fileURLToPath } = require('node:url')
const { native } = require('./board.js')

const OURS = __dirname + sep
const FOREIGN = `${sep}node_modules${sep}`
const DEPTH = 48
const MOST_KNOWN = 8192

/** `file:line` to the core's number. */
const known = new Map()

function frames() {
  const { prepareStackTrace, stackTraceLimit } = Error
  const holder = {}
  try {
    Error.stackTraceLimit = DEPTH
    Error.prepareStackTrace = (_, callSites) => callSites
    Error.captureStackTrace(holder, findSite)
    return Array.isArray(holder.stack) ? holder.stack : []
  } finally {
    Error.prepareStackTrace = prepareStackTrace
    Error.stackTraceLimit = stackTraceLimit
  }
}

function pathOf(frame) {
  const name = frame.getFileName()
  if (!name || name.startsWith('node:')) return null
  const path = name.startsWith('file:') ? fileURLToPath(name) : name
  return path.startsWith(OURS) || path.includes(FOREIGN) ? null : path
}

/** The number of the place that makes the call; 0 for none. */
function findSite() {
  try {
    for (const frame of frames()) {
      const path = pathOf(frame)
      if (path === null) continue
      return numberOf(path, frame.getLineNumber() ?? 0)
    }
  } catch {
    // A frame that cannot be read is no caller.
  }
  return 0
}

function numberOf(path, line) {
  const key = `${path}:${line}`
  let number = known.get(key)
  if (number === undefined) {
    const here = relative(process.cwd(), path)
    number = native.site(here.startsWith('..') ? path : here, line)
    if (known.size < MOST_KNOWN) known.set(key, number)
  }
  return number
}

/** From now on the callers of this request's calls are taken down. */
function watchCallers(request) {
  if (request.recorder !== null) request.recorder.findSite = findSite
}

module.exports = { watchCallers }
