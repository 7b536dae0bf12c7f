// `/metrics` in each framework, over bare sockets.

import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import Router from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import Koa from 'koa'
import { Profiler, span } from 'ioprofiler'
import { request, serve } from './support/raw.mjs'

const OPENMETRICS = { headers: { Accept: 'application/openmetrics-text; version=1.0.0; charset=utf-8' } }
const page = (req, res) => span('db', 'SELECT 1', () => res.end('page'))

/** Applications with a page and `/metrics`, by name: each one line. */
const applications = {
  http: (profiler) => {
    const metrics = profiler.metrics()
    return http.createServer((req, res) => (req.url.startsWith('/metrics') ? metrics(req, res) : page(req, res)))
  },
  'http, by path': (profiler) => http.createServer(profiler.metrics('/metrics')),
  express: (profiler) => http.createServer(express().get('/metrics', profiler.metrics()).get('/', page)),
  'express, first of all': (profiler) => http.createServer(express().use(profiler.metrics('/metrics')).get('/', page)),
  'express 4': (profiler) => http.createServer(express4().get('/metrics', profiler.metrics()).get('/', page)),
  koa: (profiler) => http.createServer(new Koa().use(profiler.koa()).use(profiler.metrics('/metrics')).use((ctx) => { ctx.body = 'page' }).callback()),
  '@koa/router': (profiler) => {
    const router = new Router().get('/metrics', profiler.metrics()).get('/', (ctx) => { ctx.body = 'page' })
    return http.createServer(new Koa().use(profiler.koa()).use(router.routes()).callback())
  },
  fastify: async (profiler) => {
    const app = fastify()
    app.register(profiler.fastify())
    app.get('/metrics', profiler.metrics())
    app.get('/', async () => 'page')
    await app.ready()
    return app.server
  },
}

for (const [name, application] of Object.entries(applications)) {
  test(`/metrics: ${name}`, async (t) => {
    const profiler = new Profiler({ metrics: true })
    t.after(() => profiler.shutdown())
    const port = await serve(t, await application(profiler))
    const other = await request(port, '/')
    assert.deepEqual([other.status, other.body], name === 'http, by path' ? [404, 'not found\n'] : [200, 'page'])
    profiler.count('scraped.registrations', 5, { plan: 'pro' })

    const text = await request(port, '/metrics')
    assert.equal(text.status, 200)
    assert.match(text.headers['content-type'], /^text\/plain; version=0\.0\.4/)
    assert.match(text.body, /^scraped_registrations_total\{[^}]*plan="pro"[^}]*\} 5$/m)
    assert.match(text.body, /^# TYPE ioprofiler_request_duration_seconds histogram$/m)
    const openmetrics = await request(port, '/metrics?x=1', OPENMETRICS)
    assert.match(openmetrics.headers['content-type'], /^application\/openmetrics-text; version=1\.0\.0/)
    assert.match(openmetrics.body, /\n# EOF\n$/)

    const head = await request(port, '/metrics', { method: 'HEAD' })
    assert.deepEqual([head.status, head.body, head.headers['content-type']], [200, '', text.headers['content-type']])
    assert.ok(Number(head.headers['content-length']) > 1_000)
    const post = await request(port, '/metrics', { method: 'POST', body: 'x' })
    // Routers answer themselves what they have no route for.
    if (/^http|first|^koa$/.test(name)) assert.deepEqual([post.status, post.headers.allow, post.body], [405, 'GET, HEAD', 'GET or HEAD\n'])
    else assert.ok([404, 405].includes(post.status))
  })
}

test('where nothing is counted, a scrape says why', async (t) => {
  const profiler = new Profiler()
  t.after(() => profiler.shutdown())
  const port = await serve(t, http.createServer(profiler.metrics()))
  const { status, headers, body } = await request(port, '/metrics')
  assert.deepEqual([status, headers['content-type']], [503, 'text/plain; charset=utf-8'])
  assert.match(body, /^nothing is counted: write \[prometheus\] into the configuration file/)
})

test('many scrapes at once: each is answered', async (t) => {
  const profiler = new Profiler({ config: { prometheus: { leave_out: ['status'] } } })
  t.after(() => profiler.shutdown())
  for (let number = 0; number < 500; number++) profiler.begin({ path: '/' }).setRoute(`/route${number}`).end(200)
  const answers = await Promise.all(Array.from({ length: 200 }, () => profiler.prometheus()))
  const [made, refused] = [answers.filter(({ status }) => status === 200), answers.filter(({ status }) => status !== 200)]
  assert.ok(made.length > 0)
  for (const { body } of made) assert.ok(body.includes('route="/route499"') || body.includes('route="other"'))
  for (const { status, body } of refused) assert.deepEqual([status, body], [503, 'too many scrapes at once, or no thread to be had\n'])
})

test('a client that leaves before the answer harms nobody', async (t) => {
  const profiler = new Profiler({ metrics: true })
  t.after(() => profiler.shutdown())
  const port = await serve(t, http.createServer(profiler.metrics()))
  for (let number = 0; number < 20; number++) {
    await new Promise((resolve) => {
      const asked = http.get({ port, host: '127.0.0.1', path: '/metrics', agent: false })
      asked.on('error', resolve)
      asked.on('socket', (socket) => socket.on('connect', () => setImmediate(() => asked.destroy())))
      asked.on('close', resolve)
    })
  }
  assert.equal((await request(port, '/metrics')).status, 200)
})
