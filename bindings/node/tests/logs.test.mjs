// Notes, access logs, and the application's own logs.

import assert from 'node:assert/strict'
import http from 'node:http'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import express from 'express'
import morgan from 'morgan'
import pino from 'pino'
import winston from 'winston'
import { Profiler, note, span } from 'ioprofiler'
import { request, serve } from './support/raw.mjs'

function folder(t) {
  const made = mkdtempSync(join(tmpdir(), 'ioprofiler-logs-'))
  t.after(() => rmSync(made, { recursive: true }))
  return made
}

/** What is written to a stream, line by line. */
function lines() {
  const written = []
  const stream = new Writable({
    write(chunk, _, done) {
      written.push(...chunk.toString().trim().split('\n'))
      done()
    },
  })
  return { written, stream }
}

test('notes are in the profile and in the access log', async (t) => {
  const file = join(folder(t), 'access.log')
  const format = '%h "%r" %>s %b "%{Referer}i" "%{Content-Type}o" %{user_id}n %{cart}n %{ratio}n %{staff}n %{calls}n %{absent}n'
  const profiles = []
  const profiler = new Profiler({ accessLog: { file, format }, onProfile: (profile) => profiles.push(profile.data), threadless: true })
  t.after(() => profiler.shutdown())
  const port = await serve(t, http.createServer((req, res) => {
    note('user_id', 1)
    note({ user_id: 5020244, cart: '3 things', ratio: 0.5, staff: true, nothing: undefined })
    span('db', 'SELECT 1', () => {})
    res.setHeader('Content-Type', 'text/plain')
    res.end('page')
  }))
  await request(port, '/listing?a=1', { headers: { Referer: 'http://x/"quoted"' } })
  while (profiles.length === 0) await new Promise(setImmediate)
  assert.ok(profiler.flush(5_000))
  assert.equal(readFileSync(file, 'utf8'), '127.0.0.1 "GET /listing?a=1 HTTP/1.1" 200 4 "http://x/\\"quoted\\"" "text/plain" 5020244 3%20things 0.5 true 1 -\n')
  note('outside', 1)
})

test('a log that names no calls has its lines all the same', async (t) => {
  const file = join(folder(t), 'access.log')
  const profiler = new Profiler({ accessLog: { file, format: '%{path}n %>s' }, instrument: false, threadless: true })
  t.after(() => profiler.shutdown())
  for (let i = 0; i < 3; i++) {
    const one = profiler.begin({ method: 'GET', path: `/${i}` })
    one.run(() => span('db', 'SELECT 1', () => {}))
    one.end(200 + i)
  }
  assert.ok(profiler.flush(5_000))
  assert.deepEqual(readFileSync(file, 'utf8').trim().split('\n').map((line) => line.split(' ')[1]), ['200', '201', '202'])
})

test('the compact note is a header for the server in front, and morgan\'s token', async (t) => {
  const profiler = new Profiler({ noteFormat: '%{user_id}n %{calls}n %{route}n', noteHeader: 'X-Note' })
  t.after(() => profiler.shutdown())
  const { written, stream } = lines()
  const app = express()
  app.use(profiler.express())
  morgan.token('ioprofiler', profiler.morgan())
  app.use(morgan(':method :url :status :ioprofiler', { stream }))
  app.get('/page/:number', (req, res) => {
    note('user_id', 5020244)
    span('db', 'SELECT 1', () => {})
    res.send('page')
  })
  const port = await serve(t, http.createServer(app))
  const { headers } = await request(port, '/page/7')
  assert.equal(headers['x-note'], '5020244 1 /page/:number')
  assert.equal((await request(port, '/nowhere')).headers['x-note'], '- 0 unknown')
  while (written.length < 2) await new Promise(setImmediate)
  assert.deepEqual(written, ['GET /page/7 200 5020244 1 /page/:number', 'GET /nowhere 404 - 0 unknown'])
})

test('lines of pino and winston name their request', async () => {
  const profiler = new Profiler({ instrument: false })
  const pinos = lines()
  const winstons = lines()
  const first = pino({ mixin: profiler.pino() }, pinos.stream)
  const second = winston.createLogger({
    format: winston.format.combine(profiler.winston(), winston.format.json()),
    transports: [new winston.transports.Stream({ stream: winstons.stream })],
  })
  const one = profiler.begin({ path: '/', id: 'req-1' })
  for (const log of [first, second]) {
    log.info('before')
    one.run(() => log.info('inside'))
  }
  one.end()
  await new Promise(setImmediate)
  for (const { written } of [pinos, winstons]) {
    assert.deepEqual(written.map((line) => JSON.parse(line).request_id), [undefined, 'req-1'])
  }
})

test('wrong formats fail at once and say where', () => {
  const wrong = [
    [{ accessLog: { file: '/tmp/x', format: '%Z' } }, /%Z/],
    [{ accessLog: { to: 'syslog' } }, /accessLog: .* is not allowed; allowed: \{ file: PATH \}/],
    [{ accessLog: 'x' }, /accessLog/],
    [{ noteFormat: '%Z' }, /%Z/],
    [{ noteHeader: 'X-Note' }, /noteHeader: needs noteFormat/],
  ]
  for (const [options, message] of wrong) assert.throws(() => new Profiler(options), message)
})
