'use strict'
// The application's own logs: morgan's line gets the compact note, pino's and winston's lines the id
// of the request in which they are written.

const { current } = require('./request.js')
const { visitOf } = require('./http.js')
const { state } = require('./context.js')

/** `-` where there is no note: morgan's own sign for nothing. */
function morganToken(req) {
  try {
    const visit = visitOf(req)
    if (visit === null || visit.request.ended) return undefined
    visit.learnRoute()
    return visit.request.compactNote()
  } catch {
    state.failures++
    return undefined
  }
}

function fields() {
  try {
    const request = current()
    return request === undefined ? {} : { request_id: request.id }
  } catch {
    state.failures++
    return {}
  }
}

const pinoMixin = () => fields()

const winstonFormat = {
  transform: (info) => Object.assign(info, fields()),
}

module.exports = { morganToken, pinoMixin, winstonFormat }
