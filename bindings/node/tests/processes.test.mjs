// Worker threads, clusters, and processes that end in the middle of things.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Profiler, span } from 'ioprofiler'
import { request } from './support/raw.mjs'

const folder = join(dirname(fileURLToPath(import.meta.url)), 'support', 'workers')
const file = (name) => join(folder, name)

async function runWorker(number, end) {
  const worker = new Worker(file('worker.mjs'), { workerData: { number, end } })
  worker.on('error', () => {})
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  const message = await new Promise((resolve) => worker.once('message', resolve))
  if (end === 'busy') await sleep(1)
  if (end !== undefined && end !== 'throw') await worker.terminate()
  await exited
  return message
}

test('worker threads are made and ended, 20 in a loop, in every way', async () => {
  const profiler = new Profiler({ instrument: false })
  for (let number = 0; number < 20; number++) {
    const end = [undefined, 'throw', 'busy', 'idle'][number % 4]
    assert.deepEqual(await runWorker(number, end), { calls: 100, path: `worker ${number}` })
  }
  // The main thread's requests are none the worse.
  const mine = profiler.begin({ path: '/' })
  mine.run(() => span('db', 'SELECT 1', () => {}))
  assert.equal(mine.finish().data.calls.length, 1)
})

test('worker threads record at the same time, and no one sees another\'s calls', async () => {
  const messages = await Promise.all(Array.from({ length: 8 }, (_, number) => runWorker(number)))
  messages.forEach((message, number) => assert.deepEqual(message, { calls: 100, path: `worker ${number}` }))
})

test('the addon is loaded only in workers, and unloaded with them', async () => {
  const script = `
    const { Worker } = require('node:worker_threads')
    const next = (number) => number === 10 ? console.log('done') : new Worker(${JSON.stringify(file('worker.mjs'))}, { workerData: { number } }).on('exit', () => next(number + 1))
    next(0)`
  const { stdout } = await run(['-e', script])
  assert.equal(stdout, 'done\n')
})

function run(args) {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: folder, timeout: 60_000 }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, signal: error?.signal ?? null, stdout, stderr }))
  })
}

test('a process ends as it would without us, with what was finished counted, and in the log', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'ioprofiler-exit-'))
  t.after(() => rmSync(place, { recursive: true }))
  const wanted = Array.from({ length: 300 }, (_, index) => `GET /${index} HTTP/1.1 1`)
  const cases = [['', 0], ['exit', 3], ['throw', 1]]
  for (const [how, code] of cases) {
    const log = join(place, `${how}.log`)
    const ended = await run([file('exit.mjs'), how, log])
    assert.deepEqual([ended.code, ended.signal], [code, null], how)
    assert.match(ended.stderr, /^finished 300$/m)
    assert.deepEqual(readFileSync(log, 'utf8').trim().split('\n'), wanted, how)
  }
  // A signal that nobody handles ends it at once, wherever it is: no line is torn.
  const log = join(place, 'term.log')
  assert.equal((await run([file('exit.mjs'), 'term', log])).signal, 'SIGTERM')
  const lines = existsSync(log) ? readFileSync(log, 'utf8') : ''
  assert.deepEqual(lines.split('\n').slice(0, -1), wanted.slice(0, lines.split('\n').length - 1))
})

test('a pipe that nobody reads does not keep a process', async () => {
  const child = spawn(process.execPath, [file('exit.mjs'), '', '-'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.pause()
  let said = ''
  child.stderr.on('data', (chunk) => { said += chunk })
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
  assert.match(said, /^finished 300$/m)
  child.stdout.destroy()
})

let hasUsing = true
try {
  new Function('{ using x = null }')
} catch {
  hasUsing = false
}

// Node 20 and 22 have no such declarations; for them `[Symbol.dispose]` is tested among the spans.
if (hasUsing) test('`using` ends calls', async () => {
  const { stdout, stderr } = await run([file('using.cjs')])
  assert.equal(stderr, '')
  assert.deepEqual(JSON.parse(stdout), [['page.html', 'ok', null], ['SELECT 1', 'ok', 0], ['SELECT 2', 'error', null]])
})

test('a cluster: each worker shows its own request', async (t) => {
  const primary = spawn(process.execPath, [file('cluster.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => primary.kill('SIGKILL'))
  const [port] = await once(primary.stdout, 'data')
  const seen = new Set()
  for (let i = 0; i < 10; i++) {
    const { headers, body } = await request(Number(port), '/?ioprofiler=text')
    assert.match(body, new RegExp(`\\[db\\] .* of ${headers['x-pid']} .*TOTAL CALLS +1`, 's'))
    seen.add(headers['x-pid'])
  }
  assert.equal(seen.size, 2)
  primary.stdin.end()
  const [code] = await once(primary, 'exit')
  assert.equal(code, 0)
})
