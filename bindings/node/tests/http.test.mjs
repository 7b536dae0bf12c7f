// node:http servers, over bare sockets: what is observed, what is shown, and that nothing else
// changes.

import assert from 'node:assert/strict'
import http from 'node:http'
import zlib from 'node:zlib'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { Profiler, span } from 'ioprofiler'
import { exchange, request, serve, timeless } from './support/raw.mjs'

const SECRET = 'the operator\'s secret, 32 bytes at least'
const PAGE = '<!DOCTYPE html><html><head><title>é</title></head><body><h1>Listing</h1></body></html>'

/** Answers of every kind that an application makes. */
const pages = {
  '/page': (req, res) => {
    span('db', 'SELECT 1', () => {})
    res.setHeader('Content-Type', 'text/html; charset=utf-8')
    res.setHeader('ETag', '"v1"')
    res.end(PAGE)
  },
  '/written-head': (req, res) => {
    res.writeHead(201, 'Made', { 'Content-Type': 'text/html', 'Content-Length': Buffer.byteLength(PAGE), 'X-Twice': ['a', 'b'] })
    res.write(PAGE.slice(0, 20))
    res.end(PAGE.slice(20))
  },
  '/flat-head': (req, res) => res.writeHead(200, ['Content-Type', 'text/html', 'X-Twice', 'a', 'X-Twice', 'b']).end(PAGE),
  '/stream': async (req, res) => {
    res.setHeader('Content-Type', 'text/html')
    res.write('<html><body>')
    await sleep(2)
    await span('db', 'while it streams', () => sleep(1))
    res.write('rows')
    await new Promise((resolve) => res.write('more', resolve))
    res.end('</body></html>')
  },
  '/gzip': (req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/html', 'Content-Encoding': 'gzip' })
    res.end(zlib.gzipSync(PAGE))
  },
  '/json': (req, res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"a":1}'),
  '/empty': (req, res) => res.writeHead(204).end(),
  '/not-modified': (req, res) => {
    res.setHeader('Content-Type', 'text/html')
    if (req.headers['if-none-match'] === '"v1"') res.writeHead(304).end()
    else res.end(PAGE)
  },
  '/redirect': (req, res) => res.writeHead(302, { Location: '/page', 'Set-Cookie': ['a=1', 'b=2'] }).end(),
  '/flushed': async (req, res) => {
    res.setHeader('Content-Type', 'text/plain')
    res.flushHeaders()
    await sleep(2)
    res.end('later')
  },
  '/echo': async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    span('db', `INSERT ${body}`, () => {})
    res.end(`${body.length} bytes`)
  },
  '/error': () => { throw new Error('broken') },
}

function app(req, res) {
  const page = pages[req.url.split('?')[0]]
  if (page === undefined) return res.writeHead(404).end('no such page')
  return Promise.resolve().then(() => page(req, res)).catch(() => res.writeHead(500).end('failed'))
}

/** A profiler whose finished profiles are kept. */
function watching(t, options = {}) {
  const profiles = []
  const profiler = new Profiler({ gate: 'token', gateSecret: SECRET, onProfile: (profile) => profiles.push(profile), ...options })
  t.after(() => profiler.shutdown())
  const next = async (count) => {
    for (let tries = 0; profiles.length < count && tries < 500; tries++) await sleep(2)
    return profiles.map((profile) => profile.data)
  }
  return { profiler, profiles, next }
}

const token = (profiler) => /^(\S+?=[^;]+)/.exec(profiler.grant('rasmus', { host: 'shop.example' }))[1]

test('requests are begun and ended, with their facts and calls', async (t) => {
  const { next } = watching(t)
  const port = await serve(t, http.createServer(app))
  await request(port, '/page?a=1', { headers: { 'X-Request-Id': 'req-1', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } })
  await request(port, '/echo', { method: 'POST', body: 'x'.repeat(70_000), headers: { 'X-Request-Id': 'not modest!' } })
  await request(port, '/stream')
  const [page, echo, stream] = await next(3)
  assert.equal(page.id, 'req-1')
  assert.deepEqual([page.facts.method, page.facts.path, page.facts.query, page.facts.status, page.facts.bytes_out], ['GET', '/page', 'a=1', 200, Buffer.byteLength(PAGE)])
  assert.deepEqual([page.facts.scheme, page.facts.host, page.facts.protocol, page.facts.peer], ['http', 'shop.example', 'HTTP/1.1', '127.0.0.1'])
  assert.match(page.facts.traceparent, /^00-0af/)
  assert.equal(page.calls[0].detail, 'SELECT 1')
  assert.match(echo.id, /^[0-9a-f]{32}$/)
  assert.equal(echo.calls[0].detail_cut_from, 70_007)
  assert.equal(stream.calls[0].after_answer, true)
  assert.ok(stream.app_ns < stream.page_ns)
})

test('a closed gate changes not one byte', async (t) => {
  const { profiler } = watching(t, { gate: ['token', () => false] })
  const port = await serve(t, http.createServer(app))
  const headers = { 'If-None-Match': '"v1"', Range: 'bytes=0-3' }
  const asks = [
    ['', {}],
    ['?ioprofiler=1', {}],
    ['?ioprofiler=text', {}],
    ['?ioprofiler=nonsense', {}],
    ['', { 'X-Ioprofiler': 'json' }],
    ['', { Cookie: 'ioprofiler_ask=1.99999999999; ioprofiler=iop1.forged' }],
    ['?ioprofiler=1', { 'X-Ioprofiler-Token': 'iop1.a.b.c.d.e' }],
  ]
  const all = async () => {
    const answers = []
    for (const path of [...Object.keys(pages), '/absent']) {
      for (const method of ['GET', 'HEAD', 'POST']) {
        for (const [query, asking] of asks) {
          answers.push([path, method, query, timeless((await request(port, path + query, { method, headers: { ...headers, ...asking } })).raw)])
        }
      }
    }
    return answers
  }
  const observed = await all()
  profiler.uninstrument()
  const bare = await all()
  assert.equal(observed.length, 273)
  observed.forEach((answer, index) => assert.equal(answer.join(' '), bare[index].join(' ')))
  assert.ok(profiler.stats().refused.length > 0)
})

test('whoever has a token sees the panel in the page, kept out of every cache', async (t) => {
  const { profiler, next } = watching(t)
  const port = await serve(t, http.createServer(app))
  const headers = { Cookie: token(profiler), 'If-None-Match': '"v1"' }
  for (const path of ['/page', '/written-head', '/flat-head', '/not-modified']) {
    const { status, headers: answered, body, bytes } = await request(port, `${path}?ioprofiler=1`, { headers })
    assert.equal(status, path === '/written-head' ? 201 : 200, path)
    assert.ok(body.startsWith('<!DOCTYPE html><html><head><title>é</title></head><body><h1>Listing</h1>'), path)
    assert.ok(body.includes('ioprofiler') && body.endsWith('</body></html>'), path)
    assert.equal(Number(answered['content-length']), bytes.length, path)
    assert.equal(answered['cache-control'], 'private, no-store')
    assert.equal(answered.etag, undefined)
    assert.match(answered['x-ioprofiler-request'], /^[0-9a-f]{32}$/)
    assert.equal(answered['x-ioprofiler'], undefined, path)
    if (path.endsWith('head')) assert.equal(answered['x-twice'], 'b')
  }
  const [page] = await next(4)
  assert.equal(page.facts.viewer, 'rasmus')
  assert.match(page.calls[0].caller.file, /http\.test\.mjs$/)
  assert.ok(page.facts.bytes_out > PAGE.length)
})

test('what could make it a 304 is taken off, and the raw headers stay as many', async (t) => {
  const { profiler } = watching(t)
  const port = await serve(t, http.createServer((req, res) => {
    res.setHeader('Content-Type', 'application/json')
    res.end(JSON.stringify({ headers: Object.keys(req.headers), raw: req.rawHeaders }))
  }))
  const headers = { Cookie: token(profiler), 'If-None-Match': '"v1"', Range: 'bytes=0-1', 'X-Other': 'b' }
  const { body } = await request(port, '/page?ioprofiler=1', { headers })
  const { headers: seen, raw } = JSON.parse(body)
  assert.deepEqual(seen.filter((name) => ['if-none-match', 'range', 'x-other'].includes(name)), ['x-other'])
  const from = raw.indexOf('X-Ioprofiler-Removed')
  assert.deepEqual(raw.slice(from, from + 6), ['X-Ioprofiler-Removed', 'If-None-Match', 'X-Ioprofiler-Removed', 'Range', 'X-Other', 'b'])
})

test('text, JSON and tickets stand in place of any body', async (t) => {
  const { profiler } = watching(t)
  const port = await serve(t, http.createServer(app))
  const headers = { Cookie: token(profiler) }
  for (const path of ['/page', '/stream', '/gzip', '/json', '/empty', '/redirect', '/flushed', '/written-head', '/absent']) {
    const { status, headers: answered, body } = await request(port, `${path}?ioprofiler=text`, { headers })
    const own = { '/empty': 204, '/redirect': 302, '/written-head': 201, '/absent': 404 }[path] ?? 200
    assert.match(body, new RegExp(`^# GET ${path}\\?ioprofiler=text ${own} `), path)
    assert.equal(status, own === 204 ? 200 : own, path)
    assert.equal(answered['content-type'], 'text/plain; charset=utf-8')
    assert.equal(answered['x-content-type-options'], 'nosniff')
    assert.equal(answered['content-encoding'], undefined)
    if (path === '/stream') assert.match(body, /while it streams/)
    if (path === '/redirect') assert.equal(answered.location, '/page')
  }
  const json = await request(port, '/page?ioprofiler=json', { headers })
  assert.equal(JSON.parse(json.body).calls[0].detail, 'SELECT 1')
  const ticket = await request(port, '/page', { headers: { ...headers, 'X-Ioprofiler': 'ticket' } })
  assert.match(ticket.body, /SELECT \?/)
})

test('where it cannot be shown the body stays, and the reason is said', async (t) => {
  const { profiler } = watching(t, { maxPage: 100 })
  const port = await serve(t, http.createServer(app))
  const bare = new Map()
  const paths = { '/stream': 'streaming', '/gzip': 'content-encoding', '/json': 'content-type', '/empty': 'status', '/redirect': 'no-content-type', '/flushed': 'content-type' }
  for (const path of Object.keys(paths)) bare.set(path, (await request(port, path)).bytes)
  const headers = { Cookie: token(profiler) }
  for (const [path, reason] of Object.entries(paths)) {
    const { headers: answered, bytes } = await request(port, `${path}?ioprofiler=1`, { headers })
    assert.equal(answered['x-ioprofiler'], `not-shown; ${reason}`, path)
    assert.equal(answered['cache-control'], 'private, no-store')
    assert.deepEqual(bytes, bare.get(path), path)
  }
  const head = await request(port, '/page?ioprofiler=1', { method: 'HEAD', headers })
  assert.equal(head.headers['x-ioprofiler'], 'not-shown; head')
  assert.equal(head.body, '')
})

test('streams are held back where that was asked for, up to a cap', async (t) => {
  const { profiler } = watching(t, { bufferStreams: true, maxPage: 1_000 })
  const port = await serve(t, http.createServer((req, res) => {
    if (req.url.startsWith('/stream')) return app(req, res)
    res.setHeader('Content-Type', 'text/html')
    for (let i = 0; i < 30; i++) res.write('x'.repeat(100))
    res.end('</body>')
  }))
  const headers = { Cookie: token(profiler) }
  const shown = await request(port, '/stream?ioprofiler=1', { headers })
  assert.match(shown.body, /^<html><body>rowsmore.*ioprofiler.*<\/body><\/html>$/s)
  const large = await request(port, '/large?ioprofiler=1', { headers })
  assert.equal(large.headers['x-ioprofiler'], 'not-shown; too-large')
  assert.equal(large.body, `${'x'.repeat(3_000)}</body>`)
})

test('the gate\'s function is asked after the handler, and only for those that ask', async (t) => {
  const asked = []
  const said = []
  const gate = (req) => {
    asked.push(req.url)
    if (req.url.includes('throws')) throw new Error('no session')
    if (req.url.includes('promise')) return Promise.resolve(true)
    return req.user?.isStaff
  }
  const { profiler } = watching(t, { gate, onLog: (event) => said.push(event.message) })
  const port = await serve(t, http.createServer(async (req, res) => {
    await sleep(1)
    if (req.headers.authorization === 'staff') req.user = { isStaff: true }
    await app(req, res)
  }))
  const shown = await request(port, '/page?ioprofiler=1', { headers: { Authorization: 'staff' } })
  assert.match(shown.body, /<h1>Listing<\/h1>.*ioprofiler/s)
  assert.equal((await request(port, '/page?ioprofiler=1')).body, PAGE)
  assert.equal((await request(port, '/page?ioprofiler=1&throws')).body, PAGE)
  assert.equal((await request(port, '/page?ioprofiler=1&promise')).body, PAGE)
  assert.equal((await request(port, '/page', { headers: { Authorization: 'staff' } })).body, PAGE)
  assert.equal(asked.length, 4)
  assert.match(said.join(), /must answer at once/)
  assert.match(said.join(), /the gate's function threw Error: no session; taken for no/)
  // What everybody can bring about is said once a minute.
  for (const why of ['promise', 'throws']) assert.equal((await request(port, `/page?ioprofiler=1&${why}`)).body, PAGE)
  assert.equal(said.filter((message) => message.includes("the gate's function")).length, 2)
  assert.deepEqual(profiler.stats().refused.map(({ reason }) => reason).sort(), ['the callable failed', 'the callable said no'])
})

test('keep-alive and pipelined requests are kept apart', async (t) => {
  const { next } = watching(t)
  const port = await serve(t, http.createServer(async (req, res) => {
    const number = Number(req.url.slice(1))
    let body = ''
    for await (const chunk of req) body += chunk
    await span('db', `${number} before`, () => sleep((7 - number) % 5))
    setImmediate(() => span('db', `${number} after`, () => res.end(body)))
  }))
  let bytes = ''
  for (let number = 0; number < 8; number++) {
    const last = number === 7 ? 'Connection: close\r\n' : ''
    bytes += `POST /${number} HTTP/1.1\r\nHost: x\r\n${last}Content-Length: 2\r\n\r\n${10 + number}`
  }
  const raw = (await exchange(port, bytes)).toString()
  assert.deepEqual(raw.match(/\r\n\r\n(?:2\r\n)?1\d/g).map((found) => found.slice(-2)), ['10', '11', '12', '13', '14', '15', '16', '17'])
  for (const data of await next(8)) {
    const number = data.facts.path.slice(1)
    assert.deepEqual(data.calls.map((call) => call.detail), [`${number} before`, `${number} after`])
  }
})

test('a client that leaves aborts its request', async (t) => {
  const { next, profiler } = watching(t)
  const port = await serve(t, http.createServer((req, res) => {
    res.write('some')
    span('db', 'slow', () => sleep(30))
  }))
  await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /left HTTP/1.1\r\nHost: x\r\n\r\n'))
    socket.once('data', () => socket.destroy())
    socket.once('close', resolve)
  })
  const [left] = await next(1)
  assert.deepEqual([left.state, left.facts.path, left.calls[0].outcome], ['aborted', '/left', 'open'])
  assert.ok(profiler.stats().aborted >= 1)
})

test('without hooks a listener can be wrapped', async (t) => {
  const { profiler, next } = watching(t, { instrument: false })
  const port = await serve(t, http.createServer(profiler.listener(app)))
  assert.equal((await request(port, '/page')).body, PAGE)
  const shown = await request(port, '/page?ioprofiler=1', { headers: { Cookie: token(profiler) } })
  assert.match(shown.body, /ioprofiler/)
  assert.equal((await next(2))[0].calls.length, 1)
})

test('a wrapped listener sees what a request\'s own events do, on one connection after the other', async (t) => {
  const { profiler, next } = watching(t, { instrument: false })
  const port = await serve(t, http.createServer(profiler.listener((req, res) => {
    req.on('data', () => span('db', `data of ${req.url}`, () => {}))
    req.on('end', () => span('db', `end of ${req.url}`, () => res.end(req.url)))
  })))
  const one = (path, last) => `POST ${path} HTTP/1.1\r\nHost: x\r\n${last}Content-Length: 2\r\n\r\nxx`
  await exchange(port, one('/a', '') + one('/b', '') + one('/c', 'Connection: close\r\n'))
  const profiles = await next(3)
  assert.deepEqual(profiles.map(({ calls }) => calls.map(({ detail }) => detail)), ['/a', '/b', '/c'].map((path) => [`data of ${path}`, `end of ${path}`]))
})

test('two profilers: the first one observes', async (t) => {
  const first = watching(t)
  const second = watching(t)
  const port = await serve(t, http.createServer(app))
  await request(port, '/page')
  assert.equal((await first.next(1)).length, 1)
  assert.equal(second.profiles.length, 0)
})

test('a failure of ours is the host\'s never', async (t) => {
  const { profiler } = watching(t, { onProfile: () => { throw new Error('sink') }, onLog: () => { throw new Error('log') } })
  const port = await serve(t, http.createServer((req, res) => {
    // As broken as a host's objects can be.
    Object.defineProperty(res, 'getHeaders', { value: () => { throw new Error('getHeaders') } })
    res.setHeader('Content-Type', 'text/html')
    res.write(PAGE.slice(0, 30))
    res.end(PAGE.slice(30))
  }))
  const { body } = await request(port, '/page?ioprofiler=1', { headers: { Cookie: token(profiler) } })
  assert.equal(body, PAGE)
  assert.ok(profiler.stats().failures > 0)
})
