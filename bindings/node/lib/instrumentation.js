'use strict'
// What a profiler has hooked, and undoes again: servers by Node's channels, libraries by hooks/.

const { native } = require('./board.js')
const { HttpObserver } = require('./http.js')
const { hook, look, unhook } = require('./hooks')

class Instrumentation {
  #profiler
  #observer
  #hooks = new Map()

  /** `what`: true for all libraries, or their names. */
  constructor(profiler, what) {
    this.#profiler = profiler
    this.#observer = new HttpObserver(profiler)
    this.#observer.start()
    this.#hear('node:http', undefined)
    hook(profiler, what, (name, hint) => this.#hear(name, hint))
  }

  #hear(name, hint) {
    this.#hooks.set(name, { name, hooked: hint === undefined, hint })
    native.profilerHook(this.#profiler.number, name, hint)
  }

  /** Hooks what was loaded meanwhile, where nothing tells. */
  look() {
    look()
  }

  hooks() {
    return [...this.#hooks.values()]
  }

  undo() {
    this.#observer.stop()
    unhook(this.#profiler)
    for (const { name, hooked } of this.#hooks.values()) {
      if (hooked) native.profilerHook(this.#profiler.number, name, 'its hook was undone')
    }
  }
}

module.exports = { Instrumentation }
