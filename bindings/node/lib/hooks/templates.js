'use strict'
// Templates: ejs, pug, handlebars, nunjucks, and the views of Express. What a template includes while
// it runs is nested; what pug includes when it compiles cannot be seen.

const { isAbsolute, relative, sep } = require('node:path')
const { scope, Category } = require('../span.js')
const { state, storage } = require('../context.js')
const { oncePer } = require('./tools.js')

const TEMPLATE = new Category('template', { kind: 'scope' })

/** The view of Express whose engine runs now: its template is the same call. */
let openView

/** A template's name: as it lies below one of its folders, else below the working directory. */
function nameOf(path, folders = []) {
  if (typeof path !== 'string' || path === '') return ''
  if (!isAbsolute(path)) return path
  const below = [...folders.filter((folder) => typeof folder === 'string'), process.cwd()].map((folder) => relative(folder, path))
  return below.find((name) => !name.startsWith(`..${sep}`) && !isAbsolute(name)) ?? path
}

function run(path, folders, render) {
  if (!state.on || storage.getStore() === undefined) return render()
  if (path !== undefined && path === openView) {
    openView = undefined
    return render()
  }
  return scope(TEMPLATE, nameOf(path, folders), render)
}

/** A compiled template that is a scope. */
function observed(template, path) {
  const wrapped = function (...args) {
    return run(path, undefined, () => template.apply(this, args))
  }
  return Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(template))
}

function hookCompile(exports, wraps) {
  wraps.wrap(exports, 'compile', (compile) => function (text, options, ...rest) {
    const template = compile.call(this, text, options, ...rest)
    return typeof template === 'function' ? observed(template, options?.filename) : template
  })
}

/** Whether the running code is directly in a template. */
function isInTemplate({ request: { recorder }, parent }) {
  return parent !== 0 && recorder !== null && recorder.categoryOf(parent - 1) === (TEMPLATE.number & 0xffff)
}

/** Its templates have no names. Directly in another one, of a view or a partial, it is that one's own. */
function runNameless(render) {
  const context = storage.getStore()
  return context !== undefined && isInTemplate(context) ? render() : run(undefined, undefined, render)
}

function hookHandlebars(runtime, wraps) {
  wraps.wrap(runtime, 'template', (template) => function (...args) {
    const made = template.apply(this, args)
    const wrapped = function (...given) {
      return runNameless(() => made.apply(this, given))
    }
    return Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(made))
  })
  wraps.wrap(runtime, 'invokePartial', (invokePartial) => function (partial, context, options) {
    return run(options?.name, undefined, () => invokePartial.call(this, partial, context, options))
  })
}

const foldersOf = oncePer((environment) => environment.loaders.flatMap(({ searchPaths }) => searchPaths ?? []))

function hookNunjucks({ Template }, wraps) {
  wraps.wrap(Template.prototype, 'render', (render) => function (...args) {
    return run(this.path ?? undefined, foldersOf(this.env), () => render.apply(this, args))
  })
}

/** Its callback tells the end, and may come later. */
function hookView(View, wraps) {
  wraps.wrap(View.prototype, 'render', (render) => function (options, callback) {
    if (!state.on || storage.getStore() === undefined || typeof callback !== 'function') return render.call(this, options, callback)
    const outer = openView
    openView = this.path
    const call = scope(TEMPLATE, nameOf(this.path, [this.root].flat()))
    try {
      return call.run(() => render.call(this, options, function (error, ...rest) {
        call.end(error ? 'error' : 'ok')
        return callback.call(this, error, ...rest)
      }))
    } catch (error) {
      call.end('error')
      throw error
    } finally {
      openView = outer
    }
  })
}

module.exports = {
  name: 'templates',
  packages: {
    ejs: { 'lib/cjs/ejs.js': hookCompile, 'lib/ejs.js': hookCompile },
    pug: { 'lib/index.js': hookCompile },
    handlebars: { 'dist/cjs/handlebars/runtime.js': hookHandlebars },
    nunjucks: { 'src/environment.js': hookNunjucks },
    express: { 'lib/view.js': hookView },
  },
  modules: {
    ejs: { file: 'lib/esm/ejs.js', hook: hookCompile },
  },
}
