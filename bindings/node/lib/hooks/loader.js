'use strict'
// Hooks libraries when they are loaded, by `require` or `import`, and those that are loaded already.
//
// Every file of a CommonJS package goes through `Module.prototype.load` once, also where an ES module
// imports it. That is the one method of Node's that is replaced, and put back with the last hook.

const Module = require('node:module')
const { existsSync, readFileSync, realpathSync } = require('node:fs')
const { dirname, join, sep } = require('node:path')
const { pathToFileURL } = require('node:url')
const { state } = require('../context.js')
const { Wraps } = require('./tools.js')

const FOLDER = `${sep}node_modules${sep}`

/** Of a file of a package: its name, the folder it lies in, the file inside. */
function parts(filename) {
  const at = filename.lastIndexOf(FOLDER)
  if (at === -1) return null
  const rest = filename.slice(at + FOLDER.length).split(sep)
  const length = rest[0].startsWith('@') ? 2 : 1
  return {
    name: rest.slice(0, length).join('/'),
    folder: filename.slice(0, at + FOLDER.length) + rest.slice(0, length).join(sep),
    file: rest.slice(length).join('/'),
  }
}

/** A file of a package that the running program would find. */
function findInstalled(name, file) {
  for (const start of [process.argv[1] === undefined ? undefined : dirname(process.argv[1]), process.cwd()]) {
    for (let folder = start; folder !== undefined; folder = dirname(folder) === folder ? undefined : dirname(folder)) {
      const path = join(folder, 'node_modules', name, file)
      if (existsSync(path)) return realpathSync(path)
    }
  }
  return undefined
}

function versionOf(folder) {
  try {
    return JSON.parse(readFileSync(`${folder}${sep}package.json`, 'utf8')).version ?? ''
  } catch {
    return ''
  }
}

class Loader {
  #libraries
  #byPackage = new Map()
  #unknown
  #wraps = new Wraps()
  #hooked = new Set()
  #report
  #onLoad
  #isUndone = false

  /**
   * `unknown` are packages that are known and not hooked, with what to do about it. `onLoad` hears of
   * each file.
   */
  constructor(libraries, unknown, report, onLoad) {
    this.#onLoad = onLoad
    this.#libraries = libraries
    this.#unknown = unknown
    this.#report = report
    for (const library of libraries) {
      for (const [name, files] of Object.entries(library.packages)) {
        const known = this.#byPackage.get(name) ?? []
        known.push(files)
        this.#byPackage.set(name, known)
      }
    }
  }

  start() {
    const loader = this
    this.#wraps.wrap(Module.prototype, 'load', (load) => function (filename) {
      const result = load.apply(this, arguments)
      loader.#loaded(this, filename)
      loader.#onLoad()
      return result
    })
    for (const [filename, module] of Object.entries(require.cache)) {
      if (module?.loaded) this.#loaded(module, filename)
    }
    this.#importModules()
  }

  /**
   * Packages that have an ES module of their own beside their CommonJS: nothing tells when that is
   * loaded, so it is loaded here, if the application has it.
   */
  #importModules() {
    const modules = this.#libraries.flatMap((library) => Object.entries(library.modules ?? {}))
    for (const [name, { file, hook }] of modules) {
      const path = findInstalled(name, file)
      if (path === undefined) continue
      const folder = path.slice(0, -file.length - 1)
      import(pathToFileURL(path).href).then(
        (namespace) => {
          if (!this.#isUndone) this.#hook(hook, namespace.default, { name, folder, file })
        },
        () => { state.failures++ },
      )
    }
  }

  undo() {
    this.#isUndone = true
    this.#wraps.undo()
    this.#hooked.clear()
  }

  #loaded(module, filename) {
    if (!filename.includes(FOLDER)) return
    try {
      const found = parts(filename)
      if (found === null) return
      for (const files of this.#byPackage.get(found.name) ?? []) {
        const hook = files[found.file]
        if (hook !== undefined) this.#hook(hook, module.exports, found)
      }
      if (this.#unknown.has(found.name)) this.#sayUnknown(found)
    } catch {
      state.failures++
    }
  }

  #hook(hook, exported, found) {
    const key = `${found.folder}/${found.file}`
    if (this.#hooked.has(key)) return
    this.#hooked.add(key)
    const version = versionOf(found.folder)
    const name = `${found.name} ${version}`.trim()
    try {
      hook(exported, this.#wraps, version)
      this.#report(name, undefined)
    } catch (error) {
      this.#report(name, `it is not as it was when this hook was written: ${error.message}`)
    }
  }

  #sayUnknown(found) {
    if (this.#hooked.has(found.name)) return
    this.#hooked.add(found.name)
    this.#report(`${found.name} ${versionOf(found.folder)}`.trim(), this.#unknown.get(found.name))
  }
}

module.exports = { Loader }
