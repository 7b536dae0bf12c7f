// What a call costs in Node, beside other tracers and the least that any could cost.
//
//   npm --prefix bindings/node/bench ci && npm --prefix bindings/node/bench start
//   … -- --quick           fewer repetitions, for a look
//   … -- span page         only these sections
//
// Each contestant runs in processes of its own, several times, in turns with the others; shown is the
// median of the processes, and the least and the most of them. Times are of the process's CPU, so that
// others on the machine disturb less; what runs on other threads of the process counts too.

import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { needs, postgresql, stopServers } from '../tests/support/programs.mjs'

const contestants = fileURLToPath(new URL('contestants.mjs', import.meta.url))
const page = fileURLToPath(new URL('page.mjs', import.meta.url))

/** Sections: a title, then contestants with their targets in ns. */
const SECTIONS = [
  ['span', 'a synchronous span with an 80-byte detail, in a request, context lookup included (ns)', [
    ['floor', 'the least: two readings of the clock, one look for the context'],
    ['span', 'ioprofiler', 90],
    ['span-arg', 'ioprofiler, saying its rows and target'],
    ['scope', 'ioprofiler, a scope'],
    ['otel', 'OpenTelemetry, batch processor, in-memory exporter'],
    ['sentry', 'Sentry, no-op transport'],
  ]],
  ['async', 'an asynchronous span (ns)', [
    ['bare', 'the bare promise'],
    ['async-floor', 'the least: two readings of the clock, the promise that sees the end'],
    ['async', 'ioprofiler', 250],
    ['bare-async', 'the bare async function'],
    ['async-function', 'ioprofiler, of an async function'],
    ['otel-async', 'OpenTelemetry'],
    ['sentry-async', 'Sentry'],
  ]],
  ['off', 'where nothing is recorded (ns)', [
    ['call', 'the bare call'],
    ['off', 'ioprofiler, off', 2],
    ['outside', 'ioprofiler, outside a request', 20],
    ['otel-off', 'OpenTelemetry, no provider'],
    ['sentry-off', 'Sentry, not initialised'],
  ]],
  ['request', 'a request (ns)', [
    ['empty', 'begun and ended'],
    ['end', 'the end of one with 100 spans, when nobody asked', 3000],
    ['finish', 'the same, giving its profile, which nobody reads', 3000],
    ['end-counted', 'the end of one with 100 spans, whose calls are added up'],
    ['text', 'the same, and its text'],
    ['note', 'a note'],
  ]],
  ['flags', 'flags by name, of 200 (ns)', [
    ['names', 'the bare loop over their names'],
    ['map', 'the least: one look into a Map'],
    ['flag-of', 'request.flag(name), read before', 20],
    ['flag', 'flag(name), read before: with the look for the context', 20],
    ['flags-first', 'the first read of each of 200 in a request, each'],
    ['flags-ahead', 'the call that decides all 200', 1200],
  ]],
  ['metrics', 'a metric of the application\'s own (ns)', [
    ['counter-map', 'the least: one look into a Map, one addition'],
    ['count', 'ioprofiler, a counter'],
    ['count-labels', 'ioprofiler, a counter with two labels'],
    ['gauge', 'ioprofiler, a gauge'],
    ['timing', 'ioprofiler, a timing'],
    ['prom-count', 'prom-client, a counter'],
    ['prom-labels', 'prom-client, a counter with two labels'],
    ['prom-timing', 'prom-client, a histogram'],
    ['otel-count', 'OpenTelemetry, a counter'],
    ['otel-labels', 'OpenTelemetry, a counter with two attributes'],
    ['otel-timing', 'OpenTelemetry, a histogram'],
  ]],
  ['pg', 'a query of pg, one connection, real server (ns of CPU)', [
    ['pg-bare', 'the bare query'],
    ['pg', 'ioprofiler'],
  ]],
]

const quick = process.argv.includes('--quick')
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const processes = quick ? 2 : 7
const env = { ...process.env }

/** What a contestant is measured against, by name. */
const OVER = {
  async: 'bare',
  'async-floor': 'bare',
  'async-function': 'bare-async',
  'otel-async': 'bare-async',
  'sentry-async': 'bare-async',
  off: 'call',
  outside: 'call',
  'otel-off': 'call',
  'sentry-off': 'call',
  pg: 'pg-bare',
  map: 'names',
  flag: 'names',
  'flag-of': 'names',
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]

/** Times of contestants by name, one a round: of what else the machine does all get their share. */
function measure(names) {
  const times = new Map(names.map((name) => [name, []]))
  for (let round = 0; round < processes; round++) {
    for (const name of names) {
      const args = [contestants, name, ...(quick ? ['--quick'] : [])]
      times.get(name).push(Number(execFileSync(process.execPath, args, { encoding: 'utf8', env })))
    }
  }
  return times
}

/** A contestant's times, and those above what it is measured against. */
function shown(times, name) {
  const own = times.get(name)
  const base = times.get(OVER[name])
  return { own, over: base === undefined ? undefined : own.map((time, round) => time - base[round]) }
}

const range = (numbers, digits) => `[${Math.min(...numbers).toFixed(digits)}–${Math.max(...numbers).toFixed(digits)}]`

function print(times, [name, label, target]) {
  const { own, over } = shown(times, name)
  const digits = median(own) < 100 ? 1 : 0
  const reached = median(over ?? own)
  const verdict = target === undefined ? '' : `  (to reach: ${target}, ${reached <= target ? 'reached' : 'MISSED'})`
  const more = over === undefined ? '' : `  +${median(over).toFixed(digits)} ${range(over, digits)}`
  console.log(`  ${median(own).toFixed(digits).padStart(9)} ${range(own, digits).padEnd(18)}${more.padEnd(26)} ${label}${verdict}`)
}

const wants = (section) => only.length === 0 || only.includes(section)

console.log(`node ${process.version}, ${cpus()[0].model}, ${processes} processes each${quick ? ', quick: for a look only' : ''}\n`)
if (wants('pg') && !needs('postgres', 'initdb')) env.BENCH_PG = JSON.stringify(await postgresql())
for (const [key, title, rows] of SECTIONS) {
  if (!wants(key) || (key === 'pg' && env.BENCH_PG === undefined)) continue
  console.log(title)
  const times = measure(rows.map(([name]) => name))
  for (const row of rows) print(times, row)
  if (key === 'span') {
    const ratios = times.get('span').map((time, round) => Math.min(times.get('otel')[round], times.get('sentry')[round]) / time)
    console.log(`  ${median(ratios).toFixed(1)} × ${range(ratios, 1)} faster than the fastest tracer  (to reach: 14, ${median(ratios) >= 14 ? 'reached' : 'MISSED'})`)
  }
  if (times.has('floor')) console.log(`  ${median(times.get('span').map((time, round) => time / times.get('floor')[round])).toFixed(2)} × the least`)
  console.log()
}
await stopServers()
if (wants('page')) execFileSync(process.execPath, [page, ...(quick ? ['--quick'] : [])], { stdio: 'inherit' })
