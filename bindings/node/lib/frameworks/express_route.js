'use strict'
// The template of the route that answered, in Express.
//
// Express keeps a route's own template (`req.route.path`), but of what routers are mounted at only
// the path as it came (`req.baseUrl`), which is no template: `/users/42`. So the mounts are walked
// again, by the layers' own matchers, and each is shown with its parameters' names.

const MOST_DEPTH = 16

function templateOf(path) {
  if (path instanceof RegExp) return String(path)
  if (Array.isArray(path)) return path.map(templateOf).join('|')
  return String(path)
}

/** `/users/42/` with `{ id: '42' }` is `/users/:id`. */
function named(path, params) {
  const names = Object.entries(params ?? {})
  return path
    .split('/')
    .map((part) => {
      const found = names.find(([, value]) => String(value) === decode(part))
      return found === undefined ? part : `:${found[0]}`
    })
    .join('/')
}

function decode(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** The mounts on the way to `rest`, as templates; null where there is no such way. */
function mounts(router, rest, depth) {
  if (rest === '') return ''
  const stack = router?.stack
  if (!Array.isArray(stack) || depth > MOST_DEPTH) return null
  for (const layer of stack) {
    // Only routers have a stack.
    if (layer.route || !Array.isArray(layer.handle?.stack)) continue
    const found = matched(layer, rest)
    if (found === null) continue
    const further = mounts(layer.handle, rest.slice(found.path.length), depth + 1)
    if (further !== null) return found.template + further
  }
  return null
}

/** Where a layer matches the beginning of a path. It is asked as Express asks it, and put back. */
function matched(layer, rest) {
  const { path, params } = layer
  try {
    if (typeof layer.match !== 'function') return null
    const answer = layer.match(rest)
    // Newer routers answer by what they found, older ones leave it on the layer.
    const found = typeof answer === 'object' && answer !== null ? answer : layer
    if (!answer || !found.path || !rest.startsWith(found.path)) return null
    const template = typeof found.pattern === 'string' ? found.pattern : named(found.path, found.params)
    return { path: found.path, template }
  } catch {
    return null
  } finally {
    layer.path = path
    layer.params = params
  }
}

/** The router of an application; Express 4's own `router` throws. */
function routerOf(app) {
  return app?._router ?? app?.router
}

function routeOf(req) {
  const path = req.route?.path
  if (path === undefined) return undefined
  const own = templateOf(path)
  const { app, baseUrl } = req
  if (!baseUrl) return own
  // Where this application is itself mounted, by templates that are only known if they are literal.
  const outer = app?.path?.() ?? ''
  if (!baseUrl.startsWith(outer)) return undefined
  const mounted = mounts(routerOf(app), baseUrl.slice(outer.length), 0)
  if (mounted === null) return undefined
  const prefix = outer + mounted
  return own === '/' ? prefix : prefix + own
}

module.exports = { routeOf, routerOf }
