'use strict'
// Fastify 5: `app.register(profiler.fastify())`.

const { HttpObserver, enter, visitOf } = require('../http.js')

function plugin(profiler) {
  const observer = new HttpObserver(profiler)
  function ioprofiler(app, _options, done) {
    app.addHook('onRequest', (request, reply, next) => {
      const known = visitOf(request.raw)
      const visit = known ?? observer.begin(request.raw, reply.raw)
      if (visit === null) return next()
      visit.host = request
      // Of a path that no route matches there is none.
      visit.route = () => request.routeOptions?.url
      if (known !== null) return next()
      return enter(visit, next)
    })
    app.addHook('onError', (request, _reply, error, next) => {
      visitOf(request.raw)?.request.setError(error)
      next()
    })
    done()
  }
  // Its hooks are for the whole application, not only for what is registered inside.
  ioprofiler[Symbol.for('skip-override')] = true
  ioprofiler[Symbol.for('fastify.display-name')] = 'ioprofiler'
  return ioprofiler
}

module.exports = { plugin }
