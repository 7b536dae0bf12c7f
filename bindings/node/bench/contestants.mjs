// One contestant, in a process of its own: prints nanoseconds.

import { AsyncLocalStorage } from 'node:async_hooks'
import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const require = createRequire(import.meta.url)
const [name] = process.argv.slice(2)
const quick = process.argv.includes('--quick')
const SPANS = 100
/**
 * Of what takes microseconds a sample need not be of 200,000: Sentry keeps all spans of one until it
 * is over, some kilobytes each.
 */
const FEW = 20_000
const DETAILS = Array.from({ length: 64 }, (_, index) => `SELECT listing_id, title, price FROM listings WHERE shop_id = ${1000 + index} AND a = 1`.padEnd(80))

let sink = 0
const work = () => {
  sink++
}
const promised = () => Promise.resolve(sink)
const asynchronous = async () => {
  await null
  sink++
}

function cpu() {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}

/**
 * The lower quartile of the ns of one of `count` operations that `batch` does, after warming up: what
 * else the machine does only ever adds.
 */
async function time(batch, count, operations = 200_000) {
  const samples = []
  for (let sample = 0; sample < (quick ? 15 : 45); sample++) {
    const rounds = Math.max(1, Math.floor(operations / count))
    const begun = cpu()
    for (let round = 0; round < rounds; round++) {
      const done = batch()
      if (done !== undefined) await done
    }
    samples.push((cpu() - begun) / (rounds * count))
    // Whatever a contestant left for later is done now, and not counted: what piles up ends in no memory.
    await new Promise(setImmediate)
  }
  const warm = samples.slice(samples.length / 3).sort((a, b) => a - b)
  return warm[Math.floor(warm.length / 4)]
}

/** As `time`, of a part that the batch times itself, by the wall clock: the least of its samples. */
function timePart(part) {
  let least = Infinity
  for (let sample = 0; sample < (quick ? 20 : 60); sample++) {
    let total = 0n
    for (let round = 0; round < 200; round++) total += part()
    least = Math.min(least, Number(total) / 200)
  }
  return least
}

function ours(options) {
  const { Profiler, ...rest } = require('ioprofiler')
  return { profiler: new Profiler({ instrument: false, ...options }), ...rest }
}

/** A batch of spans in a request of ours; the request's own cost is taken off by the caller. */
function inRequest({ profiler }, spans) {
  return () => {
    const request = profiler.begin(FACTS)
    request.run(spans)
    request.end(200, 0)
  }
}
const FACTS = { method: 'GET', path: '/listing/5773453' }

async function otel(off) {
  const { trace } = await import('@opentelemetry/api')
  if (!off) {
    const { NodeTracerProvider } = await import('@opentelemetry/sdk-trace-node')
    const { BatchSpanProcessor, InMemorySpanExporter } = await import('@opentelemetry/sdk-trace-base')
    const exporter = new InMemorySpanExporter()
    new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 50 })] }).register()
    setInterval(() => exporter.reset(), 50).unref()
  }
  return trace.getTracer('bench')
}

async function sentry() {
  const Sentry = await import('@sentry/node')
  const transport = () => ({ send: () => Promise.resolve({}), flush: () => Promise.resolve(true) })
  Sentry.init({ dsn: 'https://key@127.0.0.1/1', tracesSampleRate: 1, defaultIntegrations: false, transport })
  return Sentry
}

const spanOf = (tracer, index) => tracer.startActiveSpan('dbshard01', (span) => {
  span.setAttribute('db.statement', DETAILS[index & 63])
  work()
  span.end()
})

function each(run) {
  for (let index = 0; index < SPANS; index++) run(index)
}

async function eachAwaited(run) {
  for (let index = 0; index < SPANS; index++) await run(index)
}

const all = {
  async floor() {
    // The clock is chosen when the first profiler is made.
    ours()
    const { native, clock } = require('../lib/board.js')
    const storage = new AsyncLocalStorage()
    return storage.run({ one: 1 }, () => time(() => each(() => {
      sink += storage.getStore().one
      native.tick()
      sink += clock[0]
      native.tick()
      sink += clock[0]
    }), SPANS))
  },
  span() {
    const our = ours()
    return time(inRequest(our, () => each((index) => our.span('dbshard01', DETAILS[index & 63], work))), SPANS)
  },
  'span-arg'() {
    const our = ours()
    const told = (call) => call.rows(1).target('db07')
    return time(inRequest(our, () => each((index) => our.span('dbshard01', DETAILS[index & 63], told))), SPANS)
  },
  scope() {
    const our = ours()
    return time(inRequest(our, () => each((index) => our.scope('template', DETAILS[index & 63], work))), SPANS)
  },
  async otel() {
    const tracer = await otel()
    return time(() => tracer.startActiveSpan('request', (root) => {
      each((index) => spanOf(tracer, index))
      root.end()
      return new Promise(setImmediate)
    }), SPANS)
  },
  async sentry() {
    const Sentry = await sentry()
    return time(() => Sentry.startSpan({ name: 'request', forceTransaction: true }, () => {
      each((index) => Sentry.startSpan({ name: DETAILS[index & 63], op: 'db' }, work))
    }), SPANS, FEW)
  },
  bare() {
    const our = ours()
    return time(() => our.profiler.begin(FACTS).run(() => eachAwaited(promised)), SPANS)
  },
  /** Two readings of the clock, and the promise that whoever wants to see its end must make. */
  async 'async-floor'() {
    const our = ours()
    const { native, clock } = require('../lib/board.js')
    const seen = () => {
      native.tick()
      sink += clock[0]
      return promised().then((value) => {
        native.tick()
        sink += clock[0]
        return value
      }, (error) => {
        throw error
      })
    }
    return time(() => our.profiler.begin(FACTS).run(() => eachAwaited(seen)), SPANS)
  },
  async async() {
    const our = ours()
    return time(async () => {
      const request = our.profiler.begin(FACTS)
      await request.run(() => eachAwaited((index) => our.span('dbshard01', DETAILS[index & 63], promised)))
      request.end(200, 0)
    }, SPANS)
  },
  'bare-async'() {
    const our = ours()
    return time(() => our.profiler.begin(FACTS).run(() => eachAwaited(asynchronous)), SPANS)
  },
  async 'async-function'() {
    const our = ours()
    return time(async () => {
      const request = our.profiler.begin(FACTS)
      await request.run(() => eachAwaited((index) => our.span('dbshard01', DETAILS[index & 63], asynchronous)))
      request.end(200, 0)
    }, SPANS)
  },
  async 'otel-async'() {
    const tracer = await otel()
    const one = (index) => tracer.startActiveSpan('dbshard01', async (span) => {
      span.setAttribute('db.statement', DETAILS[index & 63])
      await asynchronous()
      span.end()
    })
    return time(() => tracer.startActiveSpan('request', async (root) => {
      await eachAwaited(one)
      root.end()
      await new Promise(setImmediate)
    }), SPANS)
  },
  async 'sentry-async'() {
    const Sentry = await sentry()
    return time(() => Sentry.startSpan({ name: 'request', forceTransaction: true }, () => (
      eachAwaited((index) => Sentry.startSpan({ name: DETAILS[index & 63], op: 'db' }, asynchronous))
    )), SPANS, FEW)
  },
  call: () => time(() => each((index) => {
    sink += DETAILS[index & 63].length
    work()
  }), SPANS),
  off() {
    const our = ours()
    our.profiler.disable()
    return time(() => each((index) => {
      sink += DETAILS[index & 63].length
      our.span('dbshard01', DETAILS[index & 63], work)
    }), SPANS)
  },
  outside() {
    const our = ours()
    return time(() => each((index) => {
      sink += DETAILS[index & 63].length
      our.span('dbshard01', DETAILS[index & 63], work)
    }), SPANS)
  },
  async 'otel-off'() {
    const tracer = await otel(true)
    return time(() => each((index) => spanOf(tracer, index)), SPANS)
  },
  async 'sentry-off'() {
    const Sentry = await import('@sentry/node')
    return time(() => each((index) => Sentry.startSpan({ name: DETAILS[index & 63], op: 'db' }, work)), SPANS)
  },
  empty() {
    const { profiler } = ours()
    return time(() => profiler.begin(FACTS).end(200, 0), 1)
  },
  end: () => ofHundred((request) => request.end(200, 0)),
  'end-counted': () => ofHundred((request) => request.end(200, 0), { metrics: true }),
  finish: () => ofHundred((request) => request.finish(200, 0)),
  text: () => ofHundred((request) => request.finish(200, 0).text()),
  note() {
    const our = ours()
    return time(inRequest(our, () => each((index) => our.note('user_id', index))), SPANS)
  },
}

Object.assign(all, {
  context() {
    const storage = new AsyncLocalStorage()
    return storage.run({ one: 1 }, () => time(() => each(() => {
      sink += storage.getStore().one
    }), SPANS))
  },
  names: () => time(() => each((index) => {
    sink += NAMES[index % NAMES.length].length
  }), SPANS),
  map() {
    const states = new Map(NAMES.map((name) => [name, name.length]))
    return time(() => each((index) => {
      sink += states.get(NAMES[index % NAMES.length])
    }), SPANS)
  },
  flag: () => ofFlags((our) => each((index) => {
    sink += our.flag(NAMES[index % NAMES.length]) ? 1 : 0
  })),
  'flag-of': () => ofFlags((our, request) => each((index) => {
    sink += request.flag(NAMES[index % NAMES.length]) ? 1 : 0
  })),
  /** All 200 flags, read once in a request of its own; the request is taken off. */
  async 'flags-first'() {
    const our = ours(FLAGS)
    let total = 0
    const read = () => {
      const request = our.profiler.begin(FACTS)
      request.setUser('5020244')
      const begun = process.hrtime.bigint()
      for (let index = 0; index < NAMES.length; index++) sink += request.flag(NAMES[index]) ? 1 : 0
      total += Number(process.hrtime.bigint() - begun)
      request.end(200, 0)
    }
    return leastOf(read, () => total, () => { total = 0 }, NAMES.length)
  },
  /** The native call alone that decides them. */
  async 'flags-ahead'() {
    const our = ours(FLAGS)
    const { native } = require('../lib/board.js')
    let total = 0
    const read = () => {
      const request = our.profiler.begin(FACTS)
      request.setUser('5020244')
      NAMES.forEach((name) => request.flag(name))
      const { buffer } = request.flags
      const begun = process.hrtime.bigint()
      native.ahead(request.low, request.high, buffer, 0, NAMES.length)
      total += Number(process.hrtime.bigint() - begun)
      request.end(200, 0)
    }
    return leastOf(read, () => total, () => { total = 0 }, 1)
  },
  'counter-map'() {
    const counters = new Map([['registrations', new Float64Array(1)], ['logins', new Float64Array(1)]])
    return time(() => each((index) => { counters.get(index & 1 ? 'registrations' : 'logins')[0] += 1 }), SPANS)
  },
  count: () => ofMetrics((our) => our.count('registrations')),
  'count-labels': () => ofMetrics((our, index) => our.count('registrations', 1, LABELS[index & 3])),
  gauge: () => ofMetrics((our, index) => our.gauge('queue.length', index)),
  timing: () => ofMetrics((our, index) => our.timing('mail.sent', index)),
  'prom-count': () => ofProm('Counter', [], (counter) => counter.inc()),
  'prom-labels': () => ofProm('Counter', ['plan', 'country'], (counter, index) => counter.inc(LABELS[index & 3], 1)),
  'prom-timing': () => ofProm('Histogram', [], (histogram, index) => histogram.observe(index)),
  'otel-count': () => ofOtelMetrics('createCounter', (counter) => counter.add(1)),
  'otel-labels': () => ofOtelMetrics('createCounter', (counter, index) => counter.add(1, LABELS[index & 3])),
  'otel-timing': () => ofOtelMetrics('createHistogram', (histogram, index) => histogram.record(index)),
  pg: () => ofQueries(true),
  'pg-bare': () => ofQueries(false),
})

// Keys of an object are strings as literals are.
const NAMES = Object.keys(Object.fromEntries(Array.from({ length: 200 }, (_, number) => [`feature_flag_${number}`, 0])))
const FLAGS = { flags: flagsFile() }

/** Half of them on or off for all, a quarter by percentage, a quarter by user. */
function flagsFile() {
  const path = join(tmpdir(), `ioprofiler-bench-${process.pid}.json`)
  const kinds = [{ enabled: 'on' }, { enabled: 'off' }, { enabled: 50, bucket_by: 'user' }, { enabled: 'off', users: { 5020244: 'on' } }]
  writeFileSync(path, JSON.stringify({ flags: Object.fromEntries(NAMES.map((name, number) => [name, kinds[number % kinds.length]])) }))
  process.on('exit', () => rmSync(path, { force: true }))
  return path
}

function ofFlags(reads) {
  const our = ours(FLAGS)
  const request = our.profiler.begin(FACTS)
  request.setUser('5020244')
  return request.run(() => time(() => reads(our, request), SPANS))
}

/** The least of many rounds, each of many runs that time themselves. */
async function leastOf(run, total, reset, count) {
  let least = Infinity
  for (let round = 0; round < (quick ? 20 : 60); round++) {
    reset()
    for (let i = 0; i < 200; i++) run()
    least = Math.min(least, total() / 200 / count)
    await null
  }
  return least
}

/** A query of pg on a real server, one after the other, of one connection; CPU time of this process. */
async function ofQueries(hooked) {
  const our = ours(hooked ? { instrument: ['pg'] } : {})
  const pool = new (require('pg').Pool)({ ...JSON.parse(process.env.BENCH_PG), max: 1 })
  const page = async () => {
    for (let i = 0; i < 20; i++) await pool.query('SELECT $1::int', [i])
  }
  return time(async () => {
    const request = our.profiler.begin(FACTS)
    await request.run(page)
    request.end(200, 0)
  }, 20, 4_000)
}

const LABELS = ['de', 'fr', 'pl', 'us'].map((country) => ({ plan: 'pro', country }))

/** By a profiler that counts, as code that has it does. */
function ofMetrics(one) {
  const { profiler } = ours({ metrics: true })
  return time(() => each((index) => one(profiler, index)), SPANS)
}

async function ofProm(kind, labelNames, one) {
  const { default: prom } = await import('prom-client')
  const metric = new prom[kind]({ name: 'registrations', help: 'of ours', labelNames })
  return time(() => each((index) => one(metric, index)), SPANS)
}

async function ofOtelMetrics(kind, one) {
  const { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } = await import('@opentelemetry/sdk-metrics')
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const readers = [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000 })]
  const metric = new MeterProvider({ readers }).getMeter('bench')[kind]('registrations')
  return time(() => each((index) => one(metric, index)), SPANS)
}

function ofHundred(end, options) {
  const our = ours(options)
  return timePart(() => {
    const request = our.profiler.begin(FACTS)
    request.run(() => each((index) => our.span('dbshard01', DETAILS[index & 63], work)))
    const begun = process.hrtime.bigint()
    end(request)
    return process.hrtime.bigint() - begun
  })
}

console.log(await all[name]())
process.exit(0)
