// What a call costs in Node, beside other tracers and the least that any could cost.
//
//   npm --prefix bindings/node/bench ci && npm --prefix bindings/node/bench start
//   … -- --quick           fewer repetitions
//   … -- span page         only these
//
// Each contestant runs in processes of its own, several times; shown is the median of the processes'
// medians. Times are of the process's CPU, so that others on the machine disturb less; what runs on
// other threads of the process counts too.

import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'

const contestants = fileURLToPath(new URL('contestants.mjs', import.meta.url))
const page = fileURLToPath(new URL('page.mjs', import.meta.url))

/** Sections: a title, then contestants with their targets in ns, and what they are compared with. */
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
    ['async', 'ioprofiler', 250],
    ['bare-async', 'the bare async function'],
    ['async-function', 'ioprofiler, of an async function'],
    ['otel-async', 'OpenTelemetry'],
  ]],
  ['off', 'where nothing is recorded (ns)', [
    ['call', 'the bare call'],
    ['off', 'ioprofiler, off', 2],
    ['outside', 'ioprofiler, outside a request', 20],
    ['otel-off', 'OpenTelemetry, no provider'],
  ]],
  ['request', 'a request (ns)', [
    ['empty', 'begun and ended'],
    ['end', 'the end of one with 100 spans, when nobody asked', 3000],
    ['finish', 'the same, giving its profile, which nobody reads', 3000],
    ['text', 'the same, and its text'],
    ['note', 'a note'],
  ]],
]

const quick = process.argv.includes('--quick')
const only = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const processes = quick ? 1 : 5

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

function measure(name) {
  const args = ['--expose-gc', contestants, name, ...(quick ? ['--quick'] : [])]
  return median(Array.from({ length: processes }, () => Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))))
}

/** What a contestant is measured against, by name. */
const OVER = { async: 'bare', 'async-function': 'bare-async', 'otel-async': 'bare-async', off: 'call', outside: 'call', 'otel-off': 'call' }

console.log(`node ${process.version}, ${cpus()[0].model}, ${processes} processes each${quick ? ', quick: for a look only' : ''}\n`)
for (const [key, title, rows] of SECTIONS) {
  if (only.length !== 0 && !only.includes(key)) continue
  console.log(title)
  const times = new Map()
  for (const [name, label, target] of rows) {
    times.set(name, measure(name))
    const over = OVER[name] === undefined ? undefined : times.get(name) - times.get(OVER[name])
    const shown = over ?? times.get(name)
    const verdict = target === undefined ? '' : shown <= target ? `  (to reach: ${target}, reached)` : `  (to reach: ${target}, MISSED)`
    console.log(`  ${times.get(name).toFixed(1).padStart(9)}${over === undefined ? '' : `  +${over.toFixed(1)}`.padEnd(10)}  ${label}${verdict}`)
  }
  if (key === 'span') {
    const fastest = Math.min(times.get('otel'), times.get('sentry'))
    const ratio = fastest / times.get('span')
    console.log(`  ${ratio.toFixed(1)} × faster than the fastest tracer  (to reach: 14, ${ratio >= 14 ? 'reached' : 'MISSED'})`)
  }
  console.log()
}
if (only.length === 0 || only.includes('page')) {
  execFileSync(process.execPath, [page, ...(quick ? ['--quick'] : [])], { stdio: 'inherit' })
}
