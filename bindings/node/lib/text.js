'use strict'
// Anything as text, without an exception: what the application gives is its own.

const { state } = require('./context.js')

/** Bytes are read as UTF-8, up to what is kept of a detail. */
const MOST_BYTES = 8192

function textOf(value) {
  if (typeof value === 'string') return value
  if (value === undefined || value === null) return ''
  try {
    if (ArrayBuffer.isView(value)) {
      return Buffer.from(value.buffer, value.byteOffset, Math.min(value.byteLength, MOST_BYTES)).toString()
    }
    return String(value)
  } catch {
    state.failures++
    return ''
  }
}

module.exports = { textOf }
