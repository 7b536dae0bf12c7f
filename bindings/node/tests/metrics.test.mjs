// What requests did and what the application counts itself: added up, sent, kept, and equal to a count by hand.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import http from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Profiler, count, deploy, event, gauge, scope, span, timing } from 'ioprofiler'
import { PYTHON, needsPython } from './support/programs.mjs'

const QUIET = { instrument: false }

function make(t, options) {
  // What is done wrong here on purpose is said, too.
  const profiler = new Profiler({ ...QUIET, onLog() {}, ...options })
  t.after(() => profiler.shutdown())
  return profiler
}

function folder(t) {
  const place = mkdtempSync(join(tmpdir(), 'ioprofiler-metrics-'))
  t.after(() => rmSync(place, { recursive: true }))
  return place
}

/** The samples of a metric, by the values of its labels, `route category`; of all versions. */
function samples(profiler, name) {
  const all = profiler.series().flatMap((series) => series.samples.filter((sample) => sample.name === name))
  return Object.fromEntries(all.map((sample) => [Object.values(sample.labels).join(' '), sample]))
}

const counts = (profiler, name) => Object.fromEntries(Object.entries(samples(profiler, name)).map(([labels, { count }]) => [labels, count]))

/** A page with so many calls of each kind; adds what it does to a count by hand. */
function page(profiler, route, number, by) {
  const request = profiler.begin({ method: 'GET', path: `/${route}/${number}` })
  request.setRoute(route)
  const add = (what, category, more = 1) => {
    const key = `web ${route} ${category}`
    by[what] ??= {}
    by[what][key] = (by[what][key] ?? 0) + more
  }
  request.run(() => {
    for (let call = 0; call < number % 7; call++) {
      // A target each, and details that a join could confuse.
      span('db', `SELECT ${call}\0`, (one) => one.target(`db${call}`).rows(call))
      add('calls', 'db')
    }
    scope('template', 'x.html', () => {
      span('memcache_get', 'keys: a, b', (one) => one.hits(2).misses(1))
      // The driver's call inside of ours is the same call.
      span('search', 'q', () => span('http', 'GET /q', () => {}))
    })
    for (const category of ['template', 'memcache_get', 'search']) add('calls', category)
    add('hits', 'memcache_get', 2)
    add('misses', 'memcache_get', 1)
    if (number % 3 === 0) {
      assert.throws(() => span('db', 'SELECT nonsense', () => { throw new Error('nonsense') }))
      add('calls', 'db')
      add('errors', 'db')
    }
  })
  return request
}

test('calls of requests that nobody reads are added up, each once', (t) => {
  const profiler = make(t, { metrics: true })
  const by = {}
  for (let number = 0; number < 200; number++) page(profiler, number % 2 === 0 ? '/listing/:id' : '/shop/:name', number, by).end(200, 5)
  assert.ok(profiler.flush(5_000))
  assert.deepEqual(counts(profiler, 'call.duration'), by.calls)
  assert.deepEqual(counts(profiler, 'call.errors'), by.errors)
  const nonzero = (name) => Object.fromEntries(Object.entries(counts(profiler, name)).filter(([, count]) => count !== 0))
  assert.deepEqual(nonzero('call.hits'), by.hits)
  assert.deepEqual(nonzero('call.misses'), by.misses)
  assert.deepEqual(counts(profiler, 'request.duration'), { 'web /listing/:id GET 200 ok': 100, 'web /shop/:name GET 200 ok': 100 })
})

test('their times are added up, whether somebody reads details or not', (t) => {
  // The same ticks, read here and by the collector.
  const profiler = make(t, { metrics: true })
  const ticks = { db: 0, cache: 0 }
  for (let number = 0; number < 50; number++) {
    const request = profiler.begin({ path: '/' })
    request.setRoute('/timed')
    request.run(() => {
      for (const category of ['db', 'cache', 'cache']) span(category, 'x', () => { for (let until = performance.now() + 0.02; performance.now() < until;); })
    })
    const { doubles } = request.recorder
    for (const [index, category] of ['db', 'cache', 'cache'].entries()) ticks[category] += doubles[index * 7 + 1] - doubles[index * 7]
    request.end(200)
  }
  assert.ok(profiler.flush(5_000))
  const { 'web /timed db': db, 'web /timed cache': cache } = samples(profiler, 'call.duration')
  assert.deepEqual([db.count, cache.count], [50, 100])
  assert.ok(Math.abs(db.sum / cache.sum - ticks.db / ticks.cache) < 1e-4, `${db.sum / cache.sum} is not ${ticks.db / ticks.cache}`)
  const io = samples(profiler, 'request.io')['web /timed'].count
  // Each sum is rounded on its own.
  assert.ok(io <= db.sum + cache.sum + 1_000 && io > 0)
})

test('so are calls past the limits, calls that are open, and those of profiles that were read', (t) => {
  const profiler = make(t, { metrics: true, maxSpans: 100 })
  const many = profiler.begin({ path: '/' })
  many.setRoute('/many')
  many.run(() => { for (let call = 0; call < 3_000; call++) span('db', 'SELECT 1', () => {}) })
  many.end(200)
  const open = profiler.begin({ path: '/' })
  open.setRoute('/open')
  open.run(() => span('db', 'SELECT 1'))
  open.end(200)
  const read = profiler.begin({ path: '/' })
  read.setRoute('/read')
  read.run(() => span('db', 'SELECT 1', () => {}))
  assert.equal(read.snapshot().data.calls.length, 1)
  read.run(() => span('db', 'SELECT 2', () => {}))
  assert.deepEqual(read.finish(200).data.calls.map(({ detail }) => detail), ['SELECT 1', 'SELECT 2'])
  const looked = profiler.begin({ path: '/' })
  looked.setRoute('/looked')
  looked.run(() => span('db', 'SELECT 1', () => {}))
  looked.snapshot()
  looked.run(() => span('db', 'SELECT 2', () => {}))
  looked.end(200)
  assert.ok(profiler.flush(5_000))
  assert.deepEqual(counts(profiler, 'call.duration'), { 'web /many db': 3_000, 'web /open db': 1, 'web /read db': 2, 'web /looked db': 2 })
})

test('a scrape says what series() says, as Prometheus\'s own parser reads it', { skip: needsPython('prometheus_client', 'python3-prometheus-client') }, async (t) => {
  const parse = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families as text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
read = openmetrics if sys.argv[1] == 'openmetrics' else text
samples = [[s.name, s.labels, s.value] for family in read(sys.stdin.read()) for s in family.samples]
print(json.dumps(samples))
`
  const profiler = make(t, { metrics: true })
  const by = {}
  for (let number = 0; number < 60; number++) page(profiler, '/listing/:id', number, by).end(200, 5)
  profiler.count('registrations', 3, { plan: 'pro', country: 'de' })
  assert.ok(profiler.flush(5_000))
  for (const [accept, format] of [['', 'text'], ['application/openmetrics-text; version=1.0.0', 'openmetrics']]) {
    const { status, contentType, body } = await profiler.prometheus(accept)
    assert.equal(status, 200)
    assert.match(contentType, format === 'text' ? /^text\/plain; version=0\.0\.4/ : /^application\/openmetrics-text/)
    const read = JSON.parse((await runs(PYTHON, ['-c', parse, format], body)).stdout)
    const found = read.filter(([name, labels]) => /call_duration\w*_count$/.test(name) && labels.route === '/listing/:id')
    assert.deepEqual(Object.fromEntries(found.map(([, labels, value]) => [`web ${labels.route} ${labels.category}`, value])), by.calls)
    const [own] = read.filter(([name]) => name === 'registrations_total')
    assert.deepEqual([own[1].plan, own[1].country, own[2]], ['pro', 'de', 3])
  }
})

/** Runs a program; gives what it said, or null where it failed. */
function runs(program, args, input = '') {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: 60_000, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error) console.error(stderr)
      resolve(error ? null : { stdout, stderr })
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

/** What the application counted itself: `name;label=value` → value. */
function own(profiler) {
  const values = {}
  for (const { samples: all } of profiler.series()) {
    for (const { name, labels, count: counted, value, sum } of all) {
      const key = [name, ...Object.entries(labels).map((pair) => pair.join('='))].join(';')
      values[key] = sum === undefined ? (value ?? counted) : [counted, sum]
    }
  }
  return values
}

test('counters, gauges and timings, with labels, in a request and outside', (t) => {
  const profiler = make(t, { metrics: true })
  for (let number = 0; number < 1_000; number++) profiler.count('own.registrations', number % 3, { plan: number % 2 ? 'pro' : 'free' })
  profiler.count('own.registrations')
  profiler.gauge('own.queue', 17.5)
  profiler.gauge('own.queue', -3)
  profiler.timing('own.mail', 120)
  profiler.timing('own.mail', 0.5)
  profiler.timing('own.mail', 1, { to: 'ann', tries: 2, again: true, why: null, when: undefined })
  profiler.begin({ path: '/' }).run(() => {
    count('own.inside', 2n)
    gauge('own.depth', 4, { of: 'queue' })
    timing('own.step', 3)
  })
  const values = own(profiler)
  assert.equal(values['own.registrations;plan=free'], 500)
  assert.equal(values['own.registrations;plan=pro'], 499)
  assert.equal(values['own.registrations'], 1)
  assert.equal(values['own.queue'], -3)
  assert.deepEqual(values['own.mail'], [2, 120_500_000])
  assert.deepEqual(values['own.mail;again=true;to=ann;tries=2'], [1, 1_000_000])
  assert.equal(values['own.inside'], 2)
  assert.equal(values['own.depth;of=queue'], 4)
  assert.deepEqual(values['own.step'], [1, 3_000_000])
})

test('code that names no profiler speaks to the running request\'s', (t) => {
  const [first, second] = [make(t, { metrics: true }), make(t, { metrics: true, build: 'second' })]
  second.begin({ path: '/' }).run(() => count('own.whose'))
  assert.equal(own(second)['own.whose'], 1)
  assert.equal(own(first)['own.whose'], undefined)
})

test('what is no value, and hostile names and labels, harm nobody', (t) => {
  const profiler = make(t, { metrics: true })
  const thrower = { toString() { throw new Error('no') } }
  const lost = [ // each is one value
    () => profiler.count('own.bad', -1), () => profiler.count('own.bad', 1.5), () => profiler.count('own.bad', NaN), () => profiler.count('own.bad', 'x'),
    () => profiler.count('own.bad', {}), () => profiler.count('own.bad', null), () => profiler.count('', 1), () => profiler.count(undefined), () => profiler.gauge('own.bad', Infinity),
    () => profiler.gauge('own.bad'), () => profiler.timing('own.bad', -5), () => profiler.timing('own.bad', NaN), () => profiler.timing('own.bad', 1e300),
    () => profiler.count('x'.repeat(10_000)), () => profiler.count('own.bad', 1, { label: 'y'.repeat(10_000) }), () => profiler.count(thrower),
    () => profiler.count('own.bad', 1, Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`l${index}`, 'v']))),
  ]
  for (const one of lost) one()
  const dropped = () => profiler.series()[0].samples.find(({ name, labels }) => name === 'profiler.dropped' && labels.reason === 'metrics').count
  assert.equal(dropped(), lost.length)
  assert.equal(profiler.stats().lostMetrics, lost.length)
  // Labels cannot be forged, nor a request's text break another series.
  profiler.count('own.a\0plan\0pro', 1)
  profiler.count('own.b', 1, { 'x;y=': 'a;z=1\0q', 'ü\n': '"\\|:' })
  profiler.count('own.c', 2, 'no labels')
  profiler.count('own.c', 2, new Proxy({}, { ownKeys() { throw new Error('no') } }))
  profiler.count('own.c', 2, { get a() { throw new Error('no') } })
  profiler.count(Symbol('own.d'), 2)
  const hostile = { get who() { throw new Error('no') } }
  for (const about of [hostile, null, 5, thrower]) {
    profiler.event('x', about)
    profiler.deploy('1', about)
    profiler.event(thrower, about)
  }
  const values = own(profiler)
  assert.equal(values['own.a\0plan\0pro'], 1)
  assert.equal(values['own.b;x_y_=a_z=1\ufffdq;ü\n="\\|:'], 1)
  assert.equal(values['own.c'], 6)
  assert.equal(values['Symbol(own.d)'], 2)
  assert.equal(dropped(), lost.length)
})

test('worker threads count on their own', async (t) => {
  const script = `
    const { Profiler } = require('ioprofiler')
    const { parentPort, workerData } = require('node:worker_threads')
    const profiler = new Profiler(workerData)
    for (let number = 0; number < 1000; number++) profiler.count('own.of.worker')
    profiler.shutdown(5000)
    parentPort.postMessage('done')`
  const stateDir = folder(t)
  const options = { ...QUIET, stateDir }
  const workers = Array.from({ length: 4 }, () => new Worker(script, { eval: true, workerData: options }))
  await Promise.all(workers.map((worker) => once(worker, 'exit')))
  // With a state_dir they are one set of series, also those that ended.
  const profiler = make(t, { stateDir })
  for (const deadline = Date.now() + 30_000; own(profiler)['own.of.worker'] !== 4_000 && Date.now() < deadline; await sleep(100));
  assert.equal(own(profiler)['own.of.worker'], 4_000)
})

test('profilers of one process are told apart, unless the configuration names them', async () => {
  const script = `
    const { Profiler } = require('ioprofiler')
    const options = { instrument: false, metrics: true }
    const all = [options, { ...options, build: '1' }, { ...options, config: { worker: 'web-1' } }]
    Promise.all(all.map((one) => new Profiler(one).prometheus())).then((shown) => {
      console.log(JSON.stringify([process.pid, ...shown.map(({ body }) => /worker="([^"]*)"/.exec(body)[1])]))
    })`
  const [pid, ...workers] = JSON.parse((await runs(process.execPath, ['-e', script])).stdout)
  assert.deepEqual(workers, [`${pid}`, `${pid}-1`, 'web-1'])
})

/** A server that keeps the lines it is sent, as carbon does. */
async function carbon(t) {
  const lines = []
  const server = createServer((socket) => {
    let rest = ''
    socket.on('data', (chunk) => {
      const all = (rest + chunk).split('\n')
      rest = all.pop()
      lines.push(...all)
    })
    socket.on('error', () => {})
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { lines, address: `127.0.0.1:${server.address().port}` }
}

async function until(what, done) {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) if (done()) return
  assert.fail(`${what} does not come`)
}

test('what is configured is sent: to carbon by the file, to StatsD and a webhook by the object', async (t) => {
  const { lines, address } = await carbon(t)
  const datagrams = []
  const socket = createSocket('udp4', (message) => datagrams.push(...message.toString().split('\n')))
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
  t.after(() => socket.close())
  const told = []
  const hooks = http.createServer((req, res) => {
    let body = ''
    req.on('data', (chunk) => { body += chunk }).on('end', () => {
      told.push(JSON.parse(body).text)
      res.end()
    })
  })
  await new Promise((resolve) => hooks.listen(0, '127.0.0.1', resolve))
  t.after(() => hooks.close())
  const configFile = join(folder(t), 'ioprofiler.toml')
  writeFileSync(configFile, `worker = "web-1"\n[graphite]\naddress = "${address}"\nprefix = "shop"\ninterval = "1s"\n`)
  const profiler = make(t, {
    configFile,
    config: {
      statsd: { address: `127.0.0.1:${socket.address().port}`, prefix: 'shop', interval: 1 },
      webhook: [{ url: `http://127.0.0.1:${hooks.address().port}/`, template: '{"text": "{{text}}"}' }],
    },
  })
  profiler.count('registrations', 5)
  const request = profiler.begin({ method: 'GET', path: '/' })
  request.setRoute('/')
  request.run(() => span('dbshard01', 'SELECT 1', () => {}))
  request.end(200)
  profiler.event('cache emptied', { who: 'erika', why: 'it was full of nonsense' })
  profiler.deploy('8c1f', { who: 'erika', what: 'new search' })
  profiler.deploy('8c1f', { who: 'erika', what: 'new search' })
  const sent = (path) => lines.some((line) => line.startsWith('shop.') && line.includes(path))
  await until('the counter at carbon', () => sent('registrations'))
  await until('the call at carbon', () => sent('dbshard01'))
  await until('the counter at StatsD', () => datagrams.some((one) => /^shop\.\S*registrations\S*:5\|c$/.test(one)))
  await until('two notices', () => told.length >= 2)
  assert.match(told.join('\n'), /cache emptied, by erika \(it was full of nonsense\)/)
  assert.match(told.join('\n'), /deploy 8c1f: new search, by erika/)
  const of = Object.fromEntries(profiler.stats().sinks.map(({ name, ...rest }) => [name, rest]))
  assert.deepEqual(Object.keys(of).sort(), ['graphite', 'statsd', 'webhook'])
  assert.ok(of.graphite.sent > 0 && of.graphite.failures === 0 && of.graphite.why === '')
  assert.equal(told.length, 2)
  // What is counted from now on is counted under the version.
  profiler.begin({ path: '/' }).setRoute('/later').end(200)
  const later = profiler.series().find(({ samples: all }) => all.some(({ name, labels }) => name === 'request.duration' && labels.route === '/later'))
  assert.equal(later.version, '8c1f')
})

test('what is unsent is sent at the end: by shutdown(), and by the end of the process', async (t) => {
  for (const how of ['profiler.shutdown(5000)', '', 'process.exit(0)']) {
    const { lines, address } = await carbon(t)
    const config = { graphite: { address, prefix: 'shop', interval: '1h' } }
    const script = `
      const { Profiler, count } = require('ioprofiler')
      const profiler = new Profiler(${JSON.stringify({ ...QUIET, config })})
      count('registrations', 7)
      profiler.begin({ path: '/' }).end(200)
      ${how}`
    assert.ok(await runs(process.execPath, ['-e', script]))
    await until(`the counter, by ${how || 'the end'}`, () => lines.some((line) => / 7 \d+$/.test(line) && line.includes('registrations')))
  }
})

test('a server that takes nothing holds the end up no longer than its deadline', async (t) => {
  // It accepts, and never reads; more is sent than the buffers between take.
  const server = createServer((socket) => socket.pause().on('error', () => {}))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const config = { graphite: { address: `127.0.0.1:${server.address().port}`, interval: '1h' } }
  const script = `
    const { Profiler } = require('ioprofiler')
    const profiler = new Profiler(${JSON.stringify({ ...QUIET, config })})
    for (let number = 0; number < 1500; number++) profiler.count('x'.repeat(100) + number)
    profiler.shutdown(100)
    console.log('ended')`
  assert.equal((await runs(process.execPath, ['-e', script])).stdout, 'ended\n')
})

test('slow requests and failed ones are kept, call by call, as fingerprints', async (t) => {
  const profiler = make(t, { config: { keep: { slowest: 2, errors: 1 } } })
  for (const [number, wait] of [1, 30, 2, 20, 3].entries()) {
    const request = profiler.begin({ method: 'GET', path: `/listing/${number}` })
    request.setRoute('/listing/:id')
    await request.run(() => span('db', `SELECT * FROM t WHERE id = ${number}`, () => sleep(wait)))
    request.end(200)
  }
  const failed = profiler.begin({ method: 'GET', path: '/broken' })
  failed.setRoute('/broken')
  failed.run(() => span('db', "SELECT 'secret'", () => {}))
  failed.end(500)
  assert.ok(profiler.flush(5_000))
  const kept = profiler.kept()
  assert.deepEqual(kept.map(({ reason, profile }) => [reason, profile.data.facts.route]), [['error', '/broken'], ['slow', '/listing/:id'], ['slow', '/listing/:id']])
  const [broken, slowest, slower] = kept
  assert.ok(slowest.profile.data.page_ns >= slower.profile.data.page_ns)
  assert.deepEqual(broken.profile.data.calls.map(({ detail }) => detail), ['SELECT ?'])
  assert.match(slowest.profile.text(), /\[db\] .* SELECT \* FROM t WHERE id = \?/)
  assert.equal(slowest.profile.calls('db'), 1)
  assert.ok(Math.abs(broken.at - Date.parse(broken.profile.data.started_at)) <= 1)
  // Who asks for full details gets them.
  const full = make(t, { config: { keep: { details: 'full' } } })
  const request = full.begin({ path: '/' })
  request.run(() => span('db', 'SELECT 5', () => {}))
  request.end(200)
  assert.ok(full.flush(5_000))
  assert.equal(full.kept()[0].profile.data.calls[0].detail, 'SELECT 5')
  // Nothing is kept where nobody said so.
  assert.deepEqual(make(t, { metrics: true }).kept(), [])
})

test('a request that hangs is reported, and is in flight', async (t) => {
  const said = []
  const profiler = make(t, { config: { metrics: true, stuck_after: 0.1 }, onLog: ({ kind, message }) => said.push(`${kind}: ${message}`) })
  // Whoever looks is there once something has ended.
  profiler.begin({ path: '/' }).end(200)
  const request = profiler.begin({ method: 'GET', path: '/report' })
  request.setRoute('/report')
  request.run(() => span('db', 'SELECT pg_sleep(100)'))
  assert.equal(profiler.inFlight()[0].calls[0].detail, 'SELECT pg_sleep(100)')
  await until('the report', () => said.some((one) => /^stuck: GET \/report for .*\[db\] /.test(one)))
  request.end(200)
})

test('wrong options say what is allowed', (t) => {
  const place = folder(t)
  const file = join(place, 'ioprofiler.toml')
  writeFileSync(file, '[keep]\nslowest = 5\nduring = "5 minutes"\n')
  const cases = [
    [{ config: { keep: { slowset: 3 } } }, 'config: keep.slowset: unknown; did you mean `slowest`?'],
    [{ config: { stuck_after: '1ms' } }, 'config: stuck_after: '],
    [{ config: { graphite: {} } }, 'config: graphite'],
    [{ config: 'keep' }, 'config: "keep" is not allowed; allowed: an object with the keys of the configuration file'],
    [{ config: [1] }, 'config: [1] is not allowed; allowed: an object'],
    [{ config: { keep: { slowest: 3n } } }, 'config: cannot be written as JSON'],
    [{ configFile: file }, `${file}:3:10: keep.during: "5 minutes" is no duration; write "500ms", "10s"`],
    [{ configFile: join(place, 'none.toml') }, `${join(place, 'none.toml')}: cannot be read`],
    [{ configFile: 5 }, 'configFile: 5 is not allowed; allowed: a path'],
    [{ metrics: 'yes' }, 'metrics: "yes" is not allowed; allowed: true or false'],
  ]
  for (const [options, message] of cases) {
    assert.throws(() => new Profiler({ ...QUIET, ...options }), (error) => {
      assert.equal(error.code, 'ERR_IOPROFILER_OPTION')
      assert.ok(error.message.startsWith(message), error.message)
      return true
    })
  }
})

test('a deploy without a version is said, and told to nobody', (t) => {
  const said = []
  const profiler = make(t, { metrics: true, onLog: ({ kind, message }) => said.push(`${kind}: ${message}`) })
  profiler.deploy(undefined, { who: 'erika' })
  assert.deepEqual(said, ['misuse: deploy: there is no version, and nothing was told'])
  assert.deepEqual(samples(profiler, 'deploy.timestamp'), {})
  profiler.begin({ path: '/' }).run(() => {
    event('cache emptied')
    deploy('9d20')
  })
  assert.ok(profiler.flush(5_000))
  assert.deepEqual(Object.keys(samples(profiler, 'deploy.timestamp')), ['9d20'])
})

test('a thread that ends while a scrape is made for it ends well', async () => {
  const script = `
    const { Profiler } = require('ioprofiler')
    const profiler = new Profiler({ instrument: false, metrics: true })
    for (let number = 0; number < 3; number++) profiler.prometheus('')
    process.exit(5)`
  for (let number = 0; number < 20; number++) {
    const [code] = await once(new Worker(script, { eval: true }), 'exit')
    assert.equal(code, 5)
  }
})
