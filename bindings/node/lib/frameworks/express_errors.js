'use strict'
// What a handler of Express's threw, or gave to `next`.
//
// It passes the application's handlers of errors, of which one of ours becomes the first. No method of
// Express is wrapped, since its frames would stand in the stack that Express shows in development.

const { state } = require('../context.js')
const { visitOf } = require('../http.js')
const { routerOf } = require('./express_route.js')

/** A handler of errors is known by its four parameters. */
const OF_ERRORS = 4

const watched = new WeakSet()

function noteError(error, req, res, next) {
  visitOf(req)?.request.setError(error)
  next(error)
}

/**
 * From now on the errors of an application are seen. Called by the middleware, at its first request:
 * by then the application is whole. Only what comes after the middleware is touched, since the router
 * is on its way through the layers.
 */
function watchErrors(app, middleware) {
  try {
    const router = routerOf(app)
    if (router === undefined || watched.has(router)) return
    watched.add(router)
    const { stack } = router
    const own = stack.findIndex(({ handle }) => handle === middleware)
    const first = stack.findIndex(({ handle }, at) => at > own && handle?.length === OF_ERRORS)
    router.use(noteError)
    if (own !== -1 && first !== -1) stack.splice(first, 0, stack.pop())
  } catch {
    state.failures++
  }
}

module.exports = { watchErrors }
