// Express 4 and 5, Fastify 5 and Koa 3: one line each, real applications.

import assert from 'node:assert/strict'
import http from 'node:http'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import compression from 'compression'
import express5 from 'express'
import fastify from 'fastify'
import Koa from 'koa'
import Router from '@koa/router'
import passport from 'passport'
import { Strategy as Bearer } from 'passport-http-bearer'
import { Profiler, span } from 'ioprofiler'
import { request, serve, timeless } from './support/raw.mjs'

const express4 = createRequire(import.meta.url)('express4')
const PAGE = '<!DOCTYPE html><html><body><h1>Listing</h1></body></html>'
const USERS = { rasmus: { name: 'rasmus', isStaff: true }, guest: { name: 'guest', isStaff: false } }

function watching(t, options = {}) {
  const profiles = []
  const profiler = new Profiler({ onProfile: (profile) => profiles.push(profile.data), ...options })
  t.after(() => profiler.shutdown())
  const next = async (count) => {
    for (let tries = 0; profiles.length < count && tries < 500; tries++) await sleep(2)
    return profiles
  }
  return { profiler, profiles, next }
}

function expressApp(express, profiler) {
  const app = express()
  app.use(profiler.express())
  app.use(express.json())
  app.use(express.urlencoded({ extended: false }))
  const auth = new passport.Passport()
  auth.use(new Bearer((token, done) => done(null, USERS[token] ?? false)))
  const users = express.Router({ mergeParams: true })
  users.get('/favorites/:listing', async (req, res) => {
    await span('db', `favorites of ${req.params.user}`, () => sleep(1))
    res.send(PAGE)
  })
  users.post('/', (req, res) => span('db', `body of ${req.params.user}`, () => res.json({ body: req.body, user: req.params.user })))
  app.use('/users/:user', users)
  app.get('/', (req, res) => res.send(PAGE))
  app.get('/staff', auth.authenticate('bearer', { session: false }), (req, res) => res.send(PAGE))
  app.get('/small', compression({ threshold: 0 }), (req, res) => res.send(PAGE))
  app.get('/fails', () => { throw new Error('broken') })
  const admin = express()
  admin.get('/stats/:day', (req, res) => res.send(PAGE))
  app.use('/admin', admin)
  return http.createServer(app)
}

for (const [name, express] of [['Express 5', express5], ['Express 4', express4]]) {
  test(`${name}: routes are templates, calls are the request's`, async (t) => {
    const { profiler, next } = watching(t)
    const port = await serve(t, expressApp(express, profiler))
    const paths = ['/', '/users/42/favorites/7', '/admin/stats/monday', '/nowhere', '/users/9/nowhere']
    for (const path of paths) await request(port, path)
    await request(port, '/users/%C3%A9', { method: 'POST', body: '{"a":1}', headers: { 'Content-Type': 'application/json' } })
    const profiles = await next(6)
    assert.deepEqual(profiles.map(({ facts }) => [facts.path, facts.route]), [
      ['/', '/'],
      ['/users/42/favorites/7', '/users/:user/favorites/:listing'],
      ['/admin/stats/monday', '/admin/stats/:day'],
      ['/nowhere', 'unknown'],
      ['/users/9/nowhere', 'unknown'],
      ['/users/%C3%A9', '/users/:user'],
    ])
    assert.deepEqual(profiles[1].calls.map((call) => call.detail), ['favorites of 42'])
  })

  test(`${name}: errors are named, whoever answers them`, async (t) => {
    t.mock.method(console, 'error', () => {})
    const { profiler, next } = watching(t)
    const app = express()
    app.use(profiler.express())
    app.use(express.json())
    const router = express.Router()
    router.get('/fails', () => { throw new Error('broken') })
    router.get('/given', (req, res, next) => next(Object.assign(new TypeError('given'), { status: 403 })))
    router.get('/left', (req, res, next) => next('route'), () => assert.fail('it was left'))
    router.get('/left', (req, res) => res.send(PAGE))
    app.use('/in', router)
    const seen = []
    app.use((error, req, res, next) => {
      seen.push(error.message)
      next(error)
    })
    app.use('/in/given', (error, req, res, _next) => res.status(409).send('mended'))
    const port = await serve(t, http.createServer(app))
    for (const path of ['/in/fails', '/in/given', '/in/left', '/nowhere', '/in/fails']) await request(port, path)
    await request(port, '/', { method: 'POST', body: '{', headers: { 'Content-Type': 'application/json' } })
    const profiles = await next(6)
    assert.deepEqual(profiles.map(({ facts }) => [facts.path, facts.status, facts.error]), [
      ['/in/fails', 500, 'Error: broken'],
      ['/in/given', 409, 'TypeError: given'],
      ['/in/left', 200, undefined],
      ['/nowhere', 404, undefined],
      ['/in/fails', 500, 'Error: broken'],
      ['/', 400, profiles[5].facts.error],
    ])
    assert.match(profiles[5].facts.error, /^SyntaxError: /)
    assert.equal(seen.length, 4)
  })

  test(`${name}: the gate is asked behind real authentication`, async (t) => {
    const { profiler } = watching(t, { gate: (req) => req.user?.isStaff })
    const port = await serve(t, expressApp(express, profiler))
    const as = (user) => ({ headers: { Authorization: `Bearer ${user}` } })
    const shown = await request(port, '/staff?ioprofiler=1', as('rasmus'))
    assert.match(shown.body, /<h1>Listing<\/h1>.*ioprofiler.*<\/body><\/html>$/s)
    assert.equal(shown.headers['cache-control'], 'private, no-store')
    for (const path of ['/staff?ioprofiler=1', '/staff?ioprofiler=text']) {
      assert.equal((await request(port, path, as('guest'))).body, PAGE)
      assert.equal((await request(port, path, as('nobody'))).status, 401)
    }
    assert.equal((await request(port, '/?ioprofiler=1', as('rasmus'))).body, PAGE)
  })

  test(`${name}: what is shown names the route`, async (t) => {
    const { profiler } = watching(t, { gate: () => true })
    const port = await serve(t, expressApp(express, profiler))
    const routeOf = async (path) => JSON.parse((await request(port, `${path}?ioprofiler=json`)).body).facts.route
    assert.equal(await routeOf('/users/42/favorites/7'), '/users/:user/favorites/:listing')
    assert.equal(await routeOf('/admin/stats/monday'), '/admin/stats/:day')
    assert.equal(await routeOf('/nowhere'), 'unknown')
  })

  test(`${name}: a closed gate changes not one byte`, async (t) => {
    const { profiler } = watching(t, { gate: (req) => req.user?.isStaff })
    const port = await serve(t, expressApp(express, profiler))
    const all = async () => {
      const answers = []
      for (const path of ['/', '/?ioprofiler=1', '/staff?ioprofiler=text', '/users/1/favorites/2?ioprofiler=1', '/small?ioprofiler=1', '/nowhere?ioprofiler=1', '/fails?ioprofiler=1']) {
        for (const headers of [{}, { 'Accept-Encoding': 'gzip' }, { 'If-None-Match': 'W/"39-ZtV0ONcpPiVHk2lb+k0C7E4fB3w"' }]) {
          answers.push(timeless((await request(port, path, { headers })).raw))
        }
      }
      return answers
    }
    t.mock.method(console, 'error', () => {})
    const observed = await all()
    profiler.uninstrument()
    profiler.disable()
    const bare = await all()
    observed.forEach((answer, index) => assert.equal(answer, bare[index]))
  })

  test(`${name}: compressed pages stay as they are, small ones are shown`, async (t) => {
    const { profiler } = watching(t, { gate: () => true })
    const port = await serve(t, expressApp(express, profiler))
    const bare = await request(port, '/small', { headers: { 'Accept-Encoding': 'gzip' } })
    const gzip = await request(port, '/small?ioprofiler=1', { headers: { 'Accept-Encoding': 'gzip' } })
    assert.equal(gzip.headers['x-ioprofiler'], 'not-shown; content-encoding')
    assert.deepEqual(gzip.bytes, bare.bytes)
    const plain = await request(port, '/small?ioprofiler=1')
    assert.match(plain.body, /<h1>Listing.*ioprofiler/s)
  })

  test(`${name}: without hooks the middleware does it alone, bodies that are parsed included`, async (t) => {
    const { profiler, next } = watching(t, { instrument: false, gate: () => true })
    const port = await serve(t, expressApp(express, profiler))
    const { body } = await request(port, '/users/42/favorites/7?ioprofiler=1')
    assert.match(body, /favorites of 42/)
    await request(port, '/users/43', { method: 'POST', body: '{"a":1}', headers: { 'Content-Type': 'application/json' } })
    const [shown, posted] = await next(2)
    assert.equal(shown.facts.route, '/users/:user/favorites/:listing')
    assert.deepEqual([posted.facts.route, posted.calls.map(({ detail }) => detail)], ['/users/:user', ['body of 43']])
  })
}

function fastifyApp(profiler) {
  const app = fastify()
  app.register(profiler.fastify())
  app.decorateRequest('user', null)
  app.addHook('preHandler', async (req) => { req.user = USERS[req.headers.authorization] ?? null })
  app.register(async (users) => {
    users.get('/:user/favorites', async (req, reply) => {
      await span('db', `favorites of ${req.params.user}`, () => sleep(1))
      return reply.type('text/html').send(PAGE)
    })
    users.post('/', async (req) => span('db', 'body', () => ({ body: req.body })))
  }, { prefix: '/users' })
  app.get('/fails', async () => { throw new Error('broken') })
  return app
}

test('Fastify: routes, calls, the gate', async (t) => {
  const { profiler, next } = watching(t, { gate: (req) => req.user?.isStaff })
  const app = fastifyApp(profiler)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  const { port } = app.server.address()
  const shown = await request(port, '/users/42/favorites?ioprofiler=1', { headers: { Authorization: 'rasmus' } })
  assert.match(shown.body, /<h1>Listing.*favorites of 42.*<\/body><\/html>$/s)
  assert.equal(Number(shown.headers['content-length']), shown.bytes.length)
  const text = await request(port, '/users?ioprofiler=text', { method: 'POST', body: '{"a":1}', headers: { Authorization: 'rasmus', 'Content-Type': 'application/json' } })
  assert.match(text.body, /^# POST \/users\?ioprofiler=text 200 /)
  assert.equal((await request(port, '/users/42/favorites?ioprofiler=1', { headers: { Authorization: 'guest' } })).body, PAGE)
  await request(port, '/fails')
  await request(port, '/nowhere')
  const profiles = await next(5)
  assert.deepEqual(profiles.map(({ facts }) => [facts.status, facts.route, facts.error]), [
    [200, '/users/:user/favorites', undefined],
    [200, '/users', undefined],
    [200, '/users/:user/favorites', undefined],
    [500, '/fails', 'Error: broken'],
    [404, 'unknown', undefined],
  ])
  assert.deepEqual(profiles[0].calls.map((call) => call.detail), ['favorites of 42'])
})

test('Fastify: a closed gate changes not one byte', async (t) => {
  const { profiler } = watching(t, { gate: () => false })
  const app = fastifyApp(profiler)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  const { port } = app.server.address()
  const all = async () => {
    const answers = []
    for (const path of ['/users/42/favorites', '/users/42/favorites?ioprofiler=1', '/users/42/favorites?ioprofiler=text', '/fails?ioprofiler=1', '/nowhere?ioprofiler=1']) {
      answers.push(timeless((await request(port, path)).raw))
    }
    return answers
  }
  const observed = await all()
  profiler.uninstrument()
  profiler.disable()
  assert.deepEqual(observed, await all())
})

test('Fastify: without hooks the plugin does it alone, bodies that are parsed included', async (t) => {
  const { profiler, next } = watching(t, { instrument: false })
  const app = fastifyApp(profiler)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  await request(app.server.address().port, '/users', { method: 'POST', body: '{"a":1}', headers: { 'Content-Type': 'application/json' } })
  assert.deepEqual((await next(1))[0].calls.map(({ detail }) => detail), ['body'])
})

function koaApp(profiler) {
  const app = new Koa()
  app.silent = true
  app.use(profiler.koa())
  app.use((ctx, next) => {
    ctx.state.user = USERS[ctx.get('authorization')]
    return next()
  })
  const router = new Router()
  router.get('/users/:user/favorites', async (ctx) => {
    await span('db', `favorites of ${ctx.params.user}`, () => sleep(1))
    ctx.type = 'html'
    ctx.body = PAGE
  })
  router.get('/fails', () => { throw new Error('broken') })
  router.post('/users', async (ctx) => {
    // As body parsers do it: by events, outside of any promise.
    await new Promise((resolve) => ctx.req.on('data', () => {}).on('end', () => span('db', 'body', resolve)))
    ctx.body = 'taken'
  })
  app.use(router.routes())
  return http.createServer(app.callback())
}

test('Koa: routes, calls, the gate', async (t) => {
  const { profiler, next } = watching(t, { gate: (ctx) => ctx.state.user?.isStaff })
  const port = await serve(t, koaApp(profiler))
  const shown = await request(port, '/users/42/favorites?ioprofiler=1', { headers: { Authorization: 'rasmus' } })
  assert.match(shown.body, /<h1>Listing.*favorites of 42.*<\/body><\/html>$/s)
  assert.equal((await request(port, '/users/42/favorites?ioprofiler=1', { headers: { Authorization: 'guest' } })).body, PAGE)
  await request(port, '/fails')
  await request(port, '/nowhere')
  const profiles = await next(4)
  assert.deepEqual(profiles.map(({ facts }) => [facts.status, facts.route, facts.error]), [
    [200, '/users/:user/favorites', undefined],
    [200, '/users/:user/favorites', undefined],
    [500, '/fails', 'Error: broken'],
    [404, 'unknown', undefined],
  ])
  assert.deepEqual(profiles[0].calls.map((call) => call.detail), ['favorites of 42'])
})

test('Koa: without hooks the middleware does it alone, bodies that are parsed included', async (t) => {
  const { profiler, next } = watching(t, { instrument: false })
  const port = await serve(t, koaApp(profiler))
  await request(port, '/users', { method: 'POST', body: 'x' })
  await request(port, '/users/42/favorites')
  const profiles = await next(2)
  assert.deepEqual(profiles.map(({ calls }) => calls.map(({ detail }) => detail)), [['body'], ['favorites of 42']])
})
