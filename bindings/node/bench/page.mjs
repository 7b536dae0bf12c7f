// A page of Express with 106 reads of memcached and 20 queries of PostgreSQL, on real servers: plain,
// with ioprofiler, and with OpenTelemetry's spans around the same calls.

import { fork } from 'node:child_process'
import http from 'node:http'
import { once } from 'node:events'
import { memcached, needs, postgresql } from '../tests/support/servers.mjs'

const quick = process.argv.includes('--quick')
const KINDS = ['plain', 'ioprofiler', 'otel']

if (process.send) await serve(process.argv[2], JSON.parse(process.argv[3]))
else if (needs('memcached', 'postgres', 'initdb')) console.log('the page: left out, since it needs memcached and PostgreSQL')
else await measure()

async function serve(kind, { pg: options, port }) {
  const { createRequire } = await import('node:module')
  const require = createRequire(import.meta.url)
  const express = require('express')
  let profiler = null
  let around = (_category, _detail, run) => run()
  if (kind === 'ioprofiler') {
    const { Profiler } = require('ioprofiler')
    profiler = new Profiler()
  } else if (kind === 'otel') {
    const { trace } = require('@opentelemetry/api')
    const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node')
    const { BatchSpanProcessor, InMemorySpanExporter } = require('@opentelemetry/sdk-trace-base')
    const exporter = new InMemorySpanExporter()
    new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] }).register()
    setInterval(() => exporter.reset(), 1000).unref()
    const tracer = trace.getTracer('bench')
    around = (category, detail, run) => tracer.startActiveSpan(category, async (span) => {
      span.setAttribute('db.statement', detail)
      try {
        return await run()
      } finally {
        span.end()
      }
    })
  }
  const pg = require('pg')
  const memjs = require('memjs')
  const pool = new pg.Pool({ ...options, max: 4 })
  const cache = memjs.Client.create(`127.0.0.1:${port}`)
  const app = express()
  if (profiler !== null) app.use(profiler.express())
  app.get('/page', async (req, res) => {
    const run = async () => {
      for (let i = 0; i < 106; i++) await around('memcache_get', `listing:${i}`, () => cache.get(`listing:${i}`))
      for (let i = 0; i < 20; i++) await around('pg', 'SELECT $1::int', () => pool.query('SELECT $1::int', [i]))
      res.send('<html><body>page</body></html>')
    }
    await around('request', '/page', run)
  })
  const server = app.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
  process.on('message', () => process.send(process.cpuUsage()))
}

function get(port) {
  return new Promise((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', path: '/page', agent: false }, (res) => res.resume().on('end', resolve)).on('error', reject)
  })
}

async function measure() {
  const servers = { pg: await postgresql(), port: (await memcached()).port }
  const children = []
  for (const kind of KINDS) {
    const child = fork(process.argv[1], [kind, JSON.stringify(servers)])
    const [{ port }] = await once(child, 'message')
    children.push({ kind, child, port, times: [] })
  }
  const cpu = async (child) => {
    child.send('cpu')
    const [{ user, system }] = await once(child, 'message')
    return user + system
  }
  const pages = quick ? 20 : 100
  // In turns, so that what else the machine does meets all of them.
  for (let round = 0; round < (quick ? 6 : 16); round++) {
    for (const one of children) {
      const before = await cpu(one.child)
      for (let i = 0; i < pages; i++) await get(one.port)
      if (round > 1) one.times.push((await cpu(one.child) - before) / pages)
    }
  }
  console.log('a page of Express with 106 cache reads and 20 queries (µs of CPU)')
  const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]
  const plain = median(children[0].times)
  for (const { kind, times, child } of children) {
    const more = (median(times) / plain - 1) * 100
    const verdict = kind === 'ioprofiler' ? `  (to reach: 2 %, ${more <= 2 ? 'reached' : 'MISSED'})` : ''
    console.log(`  ${median(times).toFixed(0).padStart(9)}  ${kind.padEnd(12)} ${kind === 'plain' ? '' : `+${more.toFixed(1)} %`}${verdict}`)
    child.kill()
  }
  process.exit(0)
}
