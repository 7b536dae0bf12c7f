'use strict'
// `/metrics`: what a scrape of Prometheus reads, as a handler of any framework.
//
// The text is made on a thread of the core's; the event loop only passes it on.

const { native } = require('./board.js')
const { state } = require('./context.js')
const { textOf } = require('./text.js')

const PLAIN = 'text/plain; charset=utf-8'
const WRONG_METHOD = { status: 405, contentType: PLAIN, body: 'GET or HEAD\n' }

/** What a scrape is answered with, by its `Accept` header. */
async function expose(profiler, accept) {
  const { status, contentType, body } = await native.profilerPrometheus(profiler, textOf(accept))
  return { status, contentType, body }
}

async function answerTo(profiler, { method, headers }) {
  if (method !== 'GET' && method !== 'HEAD') return WRONG_METHOD
  try {
    return await expose(profiler, headers.accept)
  } catch {
    state.failures++
    return { status: 503, contentType: PLAIN, body: 'nothing can be read now\n' }
  }
}

function headersOf({ status, contentType }) {
  return status === 405 ? { 'Content-Type': contentType, Allow: 'GET, HEAD' } : { 'Content-Type': contentType }
}

async function forNode(profiler, req, res) {
  const answer = await answerTo(profiler, req)
  // The client may have left meanwhile.
  if (res.headersSent || res.destroyed) return
  res.writeHead(answer.status, { ...headersOf(answer), 'Content-Length': Buffer.byteLength(answer.body) })
  res.end(req.method === 'HEAD' ? undefined : answer.body)
}

async function forKoa(profiler, ctx) {
  const answer = await answerTo(profiler, ctx.req)
  ctx.status = answer.status
  ctx.set(headersOf(answer))
  ctx.body = answer.body
}

async function forFastify(profiler, request, reply) {
  const answer = await answerTo(profiler, request.raw)
  return reply.code(answer.status).headers(headersOf(answer)).send(answer.body)
}

const pathOf = (url) => url.split('?', 1)[0]

/**
 * A handler for node:http, Express, Koa and Fastify: each calls it in its own way. With a path it
 * answers that and passes everything else on.
 */
function handler(profiler, path) {
  const isOther = (asked) => path !== undefined && asked !== path
  return function ioprofilerMetrics(first, second, third) {
    if (first.raw !== undefined && second?.raw !== undefined) return forFastify(profiler, first, second)
    if (first.req !== undefined && first.res !== undefined) {
      return isOther(first.path) ? second() : forKoa(profiler, first)
    }
    if (!isOther(pathOf(first.url))) return forNode(profiler, first, second)
    if (typeof third === 'function') return third()
    second.writeHead(404, { 'Content-Type': PLAIN }).end('not found\n')
  }
}

module.exports = { expose, handler }
