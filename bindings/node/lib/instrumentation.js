'use strict'
// What a profiler has hooked, and undoes again: servers by Node's channels, libraries by hooks/.

const { native } = require('./board.js')
const { HttpObserver } = require('./http.js')

class Instrumentation {
  #profiler
  #observer

  constructor(profiler) {
    this.#profiler = profiler
    this.#observer = new HttpObserver(profiler)
    this.#observer.start()
    native.profilerHook(profiler.number, 'node:http', undefined)
  }

  hooks() {
    return [{ name: 'node:http', hooked: true, hint: undefined }]
  }

  undo() {
    this.#observer.stop()
    native.profilerHook(this.#profiler.number, 'node:http', 'was undone')
  }
}

module.exports = { Instrumentation }
