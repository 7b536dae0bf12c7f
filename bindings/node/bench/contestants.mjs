// One contestant, in a process of its own: prints nanoseconds.

import { AsyncLocalStorage } from 'node:async_hooks'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const [name] = process.argv.slice(2)
const quick = process.argv.includes('--quick')
const SPANS = 100
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

/** Median ns of one of `count` operations that `batch` does, after warming up. */
async function time(batch, count) {
  const samples = []
  for (let sample = 0; sample < (quick ? 15 : 45); sample++) {
    const rounds = Math.max(1, Math.floor(200_000 / count))
    const begun = cpu()
    for (let round = 0; round < rounds; round++) await batch()
    samples.push((cpu() - begun) / (rounds * count))
  }
  const warm = samples.slice(samples.length / 3).sort((a, b) => a - b)
  return warm[Math.floor(warm.length / 2)]
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

function ours() {
  const { Profiler, ...rest } = require('ioprofiler')
  return { profiler: new Profiler({ instrument: false }), ...rest }
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
    const Sentry = await import('@sentry/node')
    const transport = () => ({ send: () => Promise.resolve({}), flush: () => Promise.resolve(true) })
    Sentry.init({ dsn: 'https://key@127.0.0.1/1', tracesSampleRate: 1, defaultIntegrations: false, transport })
    return time(() => Sentry.startSpan({ name: 'request', forceTransaction: true }, () => {
      each((index) => Sentry.startSpan({ name: DETAILS[index & 63], op: 'db' }, work))
    }), SPANS)
  },
  bare() {
    const our = ours()
    return time(() => our.profiler.begin(FACTS).run(() => eachAwaited(promised)), SPANS)
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
  empty() {
    const { profiler } = ours()
    return time(() => profiler.begin(FACTS).end(200, 0), 1)
  },
  end: () => ofHundred((request) => request.end(200, 0)),
  finish: () => ofHundred((request) => request.finish(200, 0)),
  text: () => ofHundred((request) => request.finish(200, 0).text()),
  note() {
    const our = ours()
    return time(inRequest(our, () => each((index) => our.note('user_id', index))), SPANS)
  },
}

function ofHundred(end) {
  const our = ours()
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
