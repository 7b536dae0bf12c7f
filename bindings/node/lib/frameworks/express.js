'use strict'
// Express 4 and 5: `app.use(profiler.express())`, first of all.

const { HttpObserver, enter, visitOf } = require('../http.js')
const { routeOf } = require('./express_route.js')
const { watchErrors } = require('./express_errors.js')

function middleware(profiler) {
  const observer = new HttpObserver(profiler)
  return function ioprofiler(req, res, next) {
    const known = visitOf(req)
    const visit = known ?? observer.begin(req, res)
    if (visit === null) return next()
    visit.host = req
    visit.route = () => routeOf(req)
    watchErrors(req.app, ioprofiler)
    if (known !== null) return next()
    return enter(visit, next)
  }
}

module.exports = { middleware }
