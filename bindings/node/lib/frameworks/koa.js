'use strict'
// Koa 2 and 3: `app.use(profiler.koa())`, first of all.

const { HttpObserver, enter, visitOf } = require('../http.js')

function middleware(profiler) {
  const observer = new HttpObserver(profiler)
  return async function ioprofiler(ctx, next) {
    const known = visitOf(ctx.req)
    const visit = known ?? observer.begin(ctx.req, ctx.res)
    if (visit === null) return next()
    visit.host = ctx
    // What koa-router and @koa/router leave behind.
    visit.route = () => ctx._matchedRoute
    try {
      return await (known !== null ? next() : enter(visit, next))
    } catch (error) {
      visit.request.setError(error)
      throw error
    }
  }
}

module.exports = { middleware }
