'use strict'
// The native part, and the memory through which its raw callbacks answer: see src/board.rs.

const { markAsUntransferable } = require('node:worker_threads')
const native = require('../native.js')

markAsUntransferable(native.board)

module.exports = {
  native,
  /** `clock[0]` is what the last `native.tick()` read. */
  clock: new Float64Array(native.board, 0, 1),
  /** What the last raw callback answered: a handle's halves, or a number in the first. */
  answer: new Uint32Array(native.board, 8, 2),
}
