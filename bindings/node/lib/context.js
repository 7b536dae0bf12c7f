'use strict'
// Which request, and which open scope, the running code is in.
//
// A leaf only reads the context; only a scope replaces it. What runs synchronously inside a leaf is
// known by a stack of its own, the two variables below: setting them costs nothing, and nothing
// asynchronous ever sees them.

const { AsyncLocalStorage } = require('node:async_hooks')

const storage = new AsyncLocalStorage()

/** A request and an open scope (or an open asynchronous leaf) of it. Never changes. */
class Context {
  constructor(request, parent, flags) {
    this.request = request
    /** The index of its record, plus one; 0 for none. */
    this.parent = parent
    /** PART_OF_LEAF in a leaf, else 0. */
    this.flags = flags
  }
}

const state = {
  /** Whether any profiler records. */
  on: false,
  /** Calls outside any request. */
  outside: 0,
  /** Calls begun or ended after their request. */
  late: 0,
  /** What went wrong in code of ours, and was kept from the host. */
  failures: 0,
}

module.exports = { storage, Context, state }
