// A page of Express with 106 reads of memcached and 20 queries of PostgreSQL, on real servers: plain,
// with ioprofiler, and with OpenTelemetry's spans around the same calls. Beside them what the least
// tracer pays, one AsyncLocalStorage that is in use, and the plain page again, which shows how much of
// a difference means nothing.
//
// The answer differs by Node: before 24, an AsyncLocalStorage makes each promise and each socket dearer,
// whoever uses it. Another Node's: npx -p node@24 node page.mjs
//
//   node page.mjs [--quick] [KIND …]

import { execFileSync, fork } from 'node:child_process'
import http from 'node:http'
import { once } from 'node:events'
import { memcached, needs, postgresql, stopServers } from '../tests/support/programs.mjs'

const quick = process.argv.includes('--quick')
const KINDS = {
  plain: 'plain',
  again: 'plain, again',
  context: 'plain, with an AsyncLocalStorage',
  ioprofiler: 'ioprofiler',
  otel: 'OpenTelemetry',
}
const GETS = 106
const QUERIES = 20
const TARGET = 2
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })

async function serve(kind, { pg: options, port }) {
  const { createRequire } = await import('node:module')
  const require = createRequire(import.meta.url)
  const express = require('express')
  let first = (req, res, next) => next()
  let around = (_category, _detail, run) => run()
  if (kind === 'ioprofiler') {
    const { Profiler } = require('ioprofiler')
    first = new Profiler().express()
  } else if (kind === 'context') {
    const { AsyncLocalStorage } = require('node:async_hooks')
    const storage = new AsyncLocalStorage()
    first = (req, res, next) => storage.run({ req }, next)
  } else if (kind === 'otel') {
    around = spansOf(require)
  }
  const pg = require('pg')
  const memjs = require('memjs')
  const pool = new pg.Pool({ ...options, max: 4 })
  // The server may be stopped before its connections have ended.
  pool.on('error', () => {})
  const cache = memjs.Client.create(`127.0.0.1:${port}`)
  for (let i = 0; i < GETS; i++) await cache.set(`listing:${i}`, `{"listing_id":${i},"title":"Clay pot"}`, { expires: 0 })
  const app = express()
  app.use(first)
  app.get('/page', async (req, res) => {
    await around('request', '/page', async () => {
      for (let i = 0; i < GETS; i++) await around('memcache_get', `listing:${i}`, () => cache.get(`listing:${i}`))
      for (let i = 0; i < QUERIES; i++) await around('pg', 'SELECT $1::int', () => pool.query('SELECT $1::int', [i]))
      res.send('<html><body>page</body></html>')
    })
  })
  const server = app.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
  process.on('message', () => process.send(process.cpuUsage()))
  process.on('disconnect', () => process.exit())
}

/** OpenTelemetry as it is meant to be used in production, but for where its spans go. */
function spansOf(require) {
  const { trace } = require('@opentelemetry/api')
  const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node')
  const { BatchSpanProcessor, InMemorySpanExporter } = require('@opentelemetry/sdk-trace-base')
  const exporter = new InMemorySpanExporter()
  new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] }).register()
  setInterval(() => exporter.reset(), 1000).unref()
  const tracer = trace.getTracer('bench')
  return (category, detail, run) => tracer.startActiveSpan(category, async (span) => {
    span.setAttribute('db.statement', detail)
    try {
      return await run()
    } finally {
      span.end()
    }
  })
}

function get(port) {
  return new Promise((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', path: '/page', agent }, (res) => res.resume().on('end', resolve)).on('error', reject)
  })
}

/**
 * Several generations of processes, since two processes of the same program differ by some per cent;
 * in each many short turns, in an order that is drawn anew each time, so that what else the machine
 * does meets all kinds.
 */
async function measure() {
  const wanted = process.argv.slice(2).filter((word) => KINDS[word] !== undefined)
  const kinds = wanted.length === 0 ? Object.keys(KINDS) : ['plain', ...wanted.filter((kind) => kind !== 'plain')]
  const [generations, warm, rounds, pages] = quick ? [2, 10, 10, 10] : [24, 15, 10, 20]
  const isPinned = pin(process.pid, OTHERS)
  const servers = { pg: await postgresql(), port: (await memcached()).port }
  const times = new Map(kinds.map((kind) => [kind, []]))
  for (let generation = 0; generation < generations; generation++) {
    const children = await Promise.all(shuffled(kinds).map((kind) => spawn(kind, servers)))
    for (let round = -warm; round < rounds; round++) {
      for (const child of shuffled(children)) {
        const before = await child.cpu()
        for (let i = 0; i < pages; i++) await get(child.port)
        const spent = (await child.cpu() - before) / pages
        if (round >= 0) child.times.push(spent)
      }
    }
    for (const child of children) {
      times.get(child.kind).push(median(child.times))
      child.end()
    }
  }
  console.log(`a page of Express with ${GETS} cache reads and ${QUERIES} queries (µs of CPU; Node ${process.versions.node}, ${generations} processes each, ${rounds} turns of ${pages} pages${isPinned ? ', on a processor of their own' : ''})`)
  const plain = times.get('plain')
  for (const [kind, spent] of times) {
    const more = spent.map((time, generation) => (time / plain[generation] - 1) * 100)
    const [low, high] = doubt(more)
    const verdict = kind === 'ioprofiler' ? `  (to reach: ${TARGET} %, ${median(more) <= TARGET ? 'reached' : 'MISSED'})` : ''
    const shown = kind === 'plain' ? '' : `  ${signed(median(more))} % [${signed(low)}, ${signed(high)}]`
    console.log(`  ${median(spent).toFixed(0).padStart(9)}  ${KINDS[kind]}${shown}${verdict}`)
  }
  await stopServers()
  process.exit(0)
}

async function spawn(kind, servers) {
  const child = fork(process.argv[1], [kind, JSON.stringify(servers)])
  pin(child.pid, PAGES)
  const [{ port }] = await once(child, 'message')
  const cpu = async () => {
    child.send('cpu')
    const [{ user, system }] = await once(child, 'message')
    return user + system
  }
  return { kind, port, cpu, times: [], end: () => child.disconnect() }
}

/** The processors of the pages, and of whoever asks for them; of the servers too. */
const PAGES = '0'
const OTHERS = '1'

/** Keeps a process on one processor, where the system can; what it starts later stays there. */
function pin(pid, processor) {
  try {
    execFileSync('taskset', ['-acp', processor, String(pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const signed = (number) => `${number < 0 ? '−' : '+'}${Math.abs(number).toFixed(1)}`

function shuffled(list) {
  return list.map((one) => [Math.random(), one]).sort(([a], [b]) => a - b).map(([, one]) => one)
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

/** Where the median lies in 95 of 100 such measurements: by drawing from this one again. */
function doubt(numbers) {
  const medians = Array.from({ length: 500 }, () => median(numbers.map(() => numbers[Math.floor(Math.random() * numbers.length)])))
  medians.sort((a, b) => a - b)
  return [medians[12], medians[487]]
}

if (process.send) await serve(process.argv[2], JSON.parse(process.argv[3]))
else if (needs('memcached', 'postgres', 'initdb')) console.log('the page: left out, since it needs memcached and PostgreSQL')
else await measure()
