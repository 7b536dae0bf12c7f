// Applications that know nothing of us, OpenTelemetry's spans, jobs, the doctor, and a panic inside.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { Queue, QueueEvents, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Profiler, span } from 'ioprofiler'
import { IoprofilerSpanProcessor } from 'ioprofiler/otel'
import { request } from './support/raw.mjs'
import { brief, callsOf } from './support/requests.mjs'
import { freePort, needs, postgresql, redis } from './support/servers.mjs'

const here = dirname(fileURLToPath(import.meta.url))

test('an application from npm, instrumented from outside: its calls are the server\'s own count', { skip: needs('redis-server') }, async (t) => {
  const server = await redis()
  const port = await freePort()
  const program = join(here, 'node_modules', 'redis-commander', 'bin', 'redis-commander.js')
  const args = ['--import', 'ioprofiler/auto', program, '--address', '127.0.0.1', '--port', String(port), '--redis-host', server.host, '--redis-port', String(server.port), '--no-save']
  const app = spawn(process.execPath, args, { cwd: here, env: { ...process.env, IOPROFILER_OPTIONS: '{"gate":"everyone"}' }, stdio: 'ignore' })
  t.after(() => app.kill())
  const client = new Redis(server)
  t.after(() => client.disconnect())
  for (let i = 0; i < 20; i++) await client.set(`key:${i}`, i)
  const tree = '/apiv2/keystree/R:127.0.0.1:PORT:0/?ioprofiler=json'.replace('PORT', server.port)
  const ask = async (path) => {
    for (let tries = 0; ; tries++) {
      try {
        const answer = await request(port, path)
        if (answer.status === 200) return answer
      } catch (error) {
        if (tries > 200) throw error
      }
      if (tries > 200) throw new Error(`no answer to ${path}`)
      await sleep(50)
    }
  }
  await ask('/')
  await ask(tree)
  const processed = async () => Number(/total_commands_processed:(\d+)/.exec(await client.info('stats'))[1])
  const before = await processed()
  const { body } = await ask(tree)
  const after = await processed()
  const profile = JSON.parse(body)
  const calls = profile.calls.filter(({ category }) => category === 'redis')
  // A pipeline is one call of several commands.
  const commands = calls.reduce((sum, { detail }) => sum + Number(/^(?:pipeline|MULTI) of (\d+)/.exec(detail)?.[1] ?? 1), 0)
  assert.ok(commands > 0)
  assert.equal(commands, after - before - 1)
})

test('another one, on PostgreSQL: its queries are the server\'s own count', { skip: needs('postgres', 'initdb') }, async (t) => {
  const options = await postgresql('shop', ['log_statement=all', 'log_line_prefix=%a|'])
  const client = new pg.Client(options)
  await client.connect()
  await client.query(`
    CREATE TABLE shop (id INT PRIMARY KEY, name TEXT);
    CREATE TABLE listing (id INT PRIMARY KEY, title TEXT, shop_id INT REFERENCES shop);
    INSERT INTO shop VALUES (1, 'Pots');
    INSERT INTO listing VALUES (1, 'Clay pot', 1), (2, 'Wool hat', 1);
  `)
  await client.end()
  const port = await freePort()
  const url = `postgres://${options.user}:${encodeURIComponent(options.password)}@${options.host}:${options.port}/${options.database}?application_name=foreign`
  const program = join(here, 'node_modules', 'postgraphile', 'cli.js')
  const app = spawn(process.execPath, ['--import', 'ioprofiler/auto', program, '-c', url, '-n', '127.0.0.1', '-p', String(port), '--disable-query-log'], {
    cwd: here,
    env: { ...process.env, IOPROFILER_OPTIONS: '{"gate":"everyone"}' },
    stdio: 'ignore',
  })
  t.after(async () => {
    app.kill()
    await once(app, 'exit')
  })
  const query = '{ allListings { nodes { title shopByShopId { name } } } a: listingById(id: 1) { title } b: listingById(id: 2) { title } }'
  const ask = () => request(port, '/graphql?ioprofiler=json', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ query }) })
  for (let tries = 0; ; tries++) {
    try {
      if ((await ask()).status === 200) break
    } catch (error) {
      if (tries > 300) throw error
    }
    await sleep(50)
  }
  const statements = () => readFileSync(options.logFile, 'utf8').split('\n').filter((line) => /^foreign\|LOG: {2}(statement|execute)/.test(line)).length
  const before = statements()
  const profile = JSON.parse((await ask()).body)
  for (let tries = 0; statements() - before < profile.calls.length && tries < 100; tries++) await sleep(20)
  assert.equal(statements() - before, profile.calls.length)
  assert.ok(profile.calls.length >= 3)
  assert.deepEqual(profile.categories.map(({ category, calls }) => [category, calls]), [['pg', profile.calls.length]])
})

test('OpenTelemetry\'s client spans are calls', async () => {
  const provider = new NodeTracerProvider({ spanProcessors: [new IoprofilerSpanProcessor()] })
  const tracer = provider.getTracer('test')
  const { calls } = await callsOf(() => {
    const query = tracer.startSpan('find', { kind: SpanKind.CLIENT, attributes: { 'db.system': 'mongodb', 'server.address': 'db07', 'server.port': 27017 } })
    tracer.startSpan('inside', { kind: SpanKind.INTERNAL }).end()
    query.setAttribute('db.query.text', '{"find":"listings"}')
    query.end()
    const failed = tracer.startSpan('GET', { kind: SpanKind.CLIENT, attributes: { 'http.request.method': 'GET', 'url.full': 'http://x/y' } })
    failed.setStatus({ code: SpanStatusCode.ERROR })
    failed.end()
  })
  assert.deepEqual(brief(calls), ['mongodb {"find":"listings"} ok', 'http GET http://x/y error'])
  assert.equal(calls[0].target, 'db07:27017')
  tracer.startSpan('outside', { kind: SpanKind.CLIENT }).end()
  await provider.shutdown()
})

test('OpenTelemetry\'s own instrumentation feeds what is not hooked, sampled or not, and nothing twice', { skip: needs('postgres', 'initdb') }, async () => {
  const { password, ...options } = await postgresql()
  for (const [instrument, wanted] of [[['ioredis'], ['postgresql SELECT 1 ok', 'postgresql SELECT nonsense error']], [['pg'], ['pg SELECT 1 ok', 'pg SELECT nonsense error']]]) {
    const { code, stdout, stderr } = await run(['support/traced.cjs', JSON.stringify({ ...options, password }), JSON.stringify(instrument)])
    assert.equal(code, 0, stderr)
    const { calls, exported, target } = JSON.parse(stdout)
    assert.deepEqual(calls.filter((call) => call.includes('SELECT')), wanted)
    assert.equal(target, `127.0.0.1:${options.port}/shop`)
    // Nothing was sampled, so nothing is exported.
    assert.equal(exported, 0)
  }
})

test('jobs of BullMQ are requests', { skip: needs('redis-server') }, async (t) => {
  const connection = { ...(await redis()), maxRetriesPerRequest: null }
  const profiles = []
  const watching = new Profiler({ onProfile: (profile) => profiles.push(profile.data) })
  // One profiler's requests at a time: the first that instruments.
  const { profiler } = await import('./support/requests.mjs')
  profiler.uninstrument()
  t.after(() => {
    watching.shutdown()
    profiler.instrument()
  })
  const queue = new Queue('mail', { connection })
  const events = new QueueEvents('mail', { connection })
  const cache = new Redis(connection)
  const worker = new Worker('mail', async (job) => {
    await cache.get(`of ${job.name}`)
    if (job.name === 'bad') throw new Error('refused')
    return 'sent'
  }, { connection, concurrency: 2 })
  t.after(async () => {
    await worker.close()
    await events.close()
    await queue.close()
    cache.disconnect()
  })
  const good = await queue.add('good', {})
  const bad = await queue.add('bad', {})
  assert.equal(await good.waitUntilFinished(events), 'sent')
  await assert.rejects(bad.waitUntilFinished(events), /refused/)
  const jobs = profiles.filter(({ facts }) => facts.path.startsWith('mail:')).sort((a, b) => (a.facts.path < b.facts.path ? 1 : -1))
  assert.deepEqual(jobs.map(({ facts, calls }) => [facts.kind, facts.path, facts.error, ...calls.map(({ detail }) => detail)]), [
    ['job', 'mail:good', undefined, 'GET of good'],
    ['job', 'mail:bad', 'Error: refused', 'GET of bad'],
  ])
})

const run = (args, options) => new Promise((resolve) => {
  execFile(process.execPath, args, { cwd: here, ...options }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }))
})

test('the doctor says what will be seen', async () => {
  const doctor = join(here, '..', 'bin', 'ioprofiler.js')
  const found = await run([doctor, 'doctor'])
  assert.match(found.stdout, /ok {4}pg \d.* is hooked/)
  // The tests have one library that there is no hook for.
  assert.match(found.stdout, /FAIL {2}mysql is not hooked: no hook for it: mark its calls with span\(\)/)
  assert.equal(found.stdout.match(/^FAIL/gm).length, 1)
  assert.equal(found.code, 1)
  const elsewhere = await run([doctor, 'doctor'], { cwd: dirname(doctor) })
  assert.equal(elsewhere.code, 0, elsewhere.stdout)
  assert.equal((await run([doctor])).code, 2)
  const wrong = await run([doctor, 'doctor'], { cwd: dirname(doctor), env: { ...process.env, IOPROFILER_OPTIONS: '{"gate":"open"}' } })
  assert.match(wrong.stdout, /FAIL {2}IOPROFILER_OPTIONS: gate: "open" is not allowed/)
})

test('the doctor says what is wrong with flags, and who sees profiles', async () => {
  const doctor = join(here, '..', 'bin', 'ioprofiler.js')
  const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-doctor-'))
  const file = join(folder, 'flags.toml')
  writeFileSync(file, '[flags.new_search]\nenabeld = 10\n')
  const asked = (options) => run([doctor, 'doctor'], { cwd: folder, env: { ...process.env, IOPROFILER_OPTIONS: options } })
  const typo = await asked(JSON.stringify({ flags: [file], gate: 'everyone' }))
  assert.match(typo.stdout, /FAIL {2}flags: .*flags\.toml:2:1: error: a flag has no `enabeld`; did you mean `enabled`\?/)
  assert.match(typo.stdout, /ok {4}gate: everyone sees profiles/)
  assert.equal(typo.code, 1)
  const missing = await asked(JSON.stringify({ flags: [join(folder, 'nowhere.toml')] }))
  assert.match(missing.stdout, /FAIL {2}flags: .*nowhere\.toml: error: there is no such file/)
  assert.match(missing.stdout, /ok {4}gate: whoever is at this machine sees profiles, while `ioprofiler gate open` holds/)
  writeFileSync(file, '[flags.new_search]\nenabled = 10\n')
  const closed = await asked(JSON.stringify({ flags: [file], gate: [] }))
  assert.match(closed.stdout, /ok {4}flags: nothing is wrong in 1 file/)
  assert.match(closed.stdout, /FAIL {2}gate: nobody sees profiles; allowed: .*"everyone"/)
  const unset = await asked('')
  assert.match(unset.stdout, /note {2}options in code are not looked at: give them as JSON in IOPROFILER_OPTIONS/)
  assert.equal(unset.code, 0, unset.stdout)
  assert.match((await asked('{gate')).stdout, /FAIL {2}IOPROFILER_OPTIONS: not JSON: /)
  rmSync(folder, { recursive: true })
})

test('wrong options from the environment fail at once', async () => {
  const ended = await run(['--import', 'ioprofiler/auto', '-e', '0'], { env: { ...process.env, IOPROFILER_OPTIONS: '{' } })
  assert.equal(ended.code, 1)
  assert.match(ended.stderr, /IOPROFILER_OPTIONS: not JSON/)
})

const panics = `ioprofiler.${process.platform}-${process.arch}${process.platform === 'linux' ? '-gnu' : ''}.panics.node`

test('a panic inside is contained', { skip: !existsSync(join(here, '..', panics)) && 'not built' }, () => {
  const native = createRequire(import.meta.url)(join(here, '..', panics))
  assert.throws(() => native.panicInNapi(), /injected/)
  const number = native.profilerNew({ gate: '', gateSecrets: [], flags: [], flagsRequired: false, threadless: true })
  assert.equal(native.profilerStats(number).panics, 0)
  native.panicInRaw()
  assert.equal(native.profilerStats(number).panics, 1)
  assert.equal(span('db', 'SELECT 1', () => 1), 1)
})

test('every function of the native part contains panics', () => {
  const sources = readdirSync(join(here, '..', 'src')).map((file) => readFileSync(join(here, '..', 'src', file), 'utf8')).join('\n')
  const functions = [...sources.matchAll(/#\[napi(\([^\]]*\))?\]\s*(?:pub(?:\(\w+\))? )?fn (\w+)/g)]
  assert.ok(functions.length > 40)
  const bare = functions.filter(([, how]) => !how?.includes('catch_unwind')).map(([, , name]) => name)
  // It runs before there is anything to call.
  assert.deepEqual(bare, ['add_raw_callbacks'])
})
