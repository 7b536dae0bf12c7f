// What one request records: spans, scopes, promises, manual calls, limits, ends.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { AsyncLocalStorage } from 'node:async_hooks'
import { Profiler, category, current, note, record, scope, span } from 'ioprofiler'

const profiler = new Profiler({ instrument: false })

function begin(facts = { method: 'GET', path: '/listing/5773453', query: 'ioprofiler=1' }) {
  return profiler.begin(facts)
}

/** The calls that a function makes in a request of its own. */
async function callsOf(fn) {
  const request = begin()
  await request.run(fn)
  return request.finish(200, 0).data.calls
}

const brief = (calls) => calls.map(({ category, detail, outcome, parent }) => [category, detail, outcome, parent])

test('synchronous calls are listed in order with their scope', async () => {
  const calls = await callsOf(() => {
    assert.equal(span('db', 'SELECT 1', () => 41), 41)
    scope('template', 'listing.html', () => {
      scope('template', 'header.html', () => span('cache', 'a', (call) => call.hits(1).misses(0).target('mc01')))
      span('db', 'SELECT 2', (call) => call.error())
    })
    span('db', 'SELECT 3', (call) => call.rows(7).bytes(99).detail('SELECT 3, changed'))
  })
  assert.deepEqual(brief(calls), [
    ['db', 'SELECT 1', 'ok', undefined],
    ['template', 'listing.html', 'ok', undefined],
    ['template', 'header.html', 'ok', 1],
    ['cache', 'a', 'ok', 2],
    ['db', 'SELECT 2', 'error', 1],
    ['db', 'SELECT 3, changed', 'ok', undefined],
  ])
  assert.deepEqual([calls[3].hits, calls[3].misses, calls[3].target], [1, 0, 'mc01'])
  assert.deepEqual([calls[5].rows, calls[5].bytes], [7, 99])
})

test('thrown and rejected are outcomes, and passed on', async () => {
  const broken = new Error('no such table')
  const aborted = new DOMException('left', 'AbortError')
  const calls = await callsOf(async () => {
    assert.throws(() => span('db', 'thrown', () => { throw broken }), broken)
    assert.throws(() => scope('template', 'thrown.html', () => { throw broken }), broken)
    await assert.rejects(span('db', 'rejected', () => Promise.reject(broken)), broken)
    await assert.rejects(span('db', 'async', async () => { throw broken }), broken)
    await assert.rejects(span('db', 'aborted', async () => { throw aborted }), aborted)
    await assert.rejects(scope('template', 'async.html', async () => { await null; throw broken }), broken)
    assert.equal(await span('db', 'fine', () => Promise.resolve(5)), 5)
    assert.throws(() => span('db', 'null', () => { throw null }), (error) => error === null)
  })
  assert.deepEqual(calls.map((call) => call.outcome), ['error', 'error', 'error', 'error', 'cancelled', 'error', 'ok', 'error'])
})

test('a rejection that nobody handles stays unhandled', async (t) => {
  const seen = []
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (error) => seen.push(error))
  t.after(() => {
    process.removeAllListeners('unhandledRejection')
    for (const listener of listeners) process.on('unhandledRejection', listener)
  })
  await callsOf(() => { span('db', 'x', () => Promise.reject(new Error('lost'))) })
  await sleep(20)
  assert.deepEqual(seen.map((error) => error.message), ['lost'])
})

test('what an async scope awaits happens inside it, interleaved or not', async () => {
  const calls = await callsOf(() => Promise.all(
    ['a', 'b', 'c'].map((name, index) =>
      scope('template', `${name}.html`, async () => {
        await sleep(3 * (3 - index))
        await span('db', `of ${name}`, () => sleep(2))
        await scope('template', `${name}/part.html`, async () => {
          await sleep(1)
          span('cache', `of ${name}/part`, () => {})
        })
      }))))
  const parent = (call) => calls[call.parent]?.detail
  for (const name of ['a', 'b', 'c']) {
    assert.equal(parent(calls.find((call) => call.detail === `of ${name}`)), `${name}.html`)
    assert.equal(parent(calls.find((call) => call.detail === `of ${name}/part`)), `${name}/part.html`)
    assert.equal(parent(calls.find((call) => call.detail === `${name}/part.html`)), `${name}.html`)
  }
})

test('a leaf inside a leaf is one call with the inner detail', async () => {
  const driver = (sql) => span('pg', sql, () => sleep(1))
  const calls = await callsOf(async () => {
    await span('orm', 'find sync', () => driver('SELECT 1'))
    await span('orm', 'find async', async () => { await sleep(1); await driver('SELECT 2') })
    await driver('SELECT 3')
    span('orm', 'outer', () => span('orm', 'middle', () => span('pg', 'inner', () => {})))
  })
  assert.deepEqual(brief(calls), [
    ['orm', 'SELECT 1', 'ok', undefined],
    ['orm', 'SELECT 2', 'ok', undefined],
    ['pg', 'SELECT 3', 'ok', undefined],
    ['orm', 'middle', 'ok', undefined],
  ])
})

test('two calls that one leaf did not make are two, though they overlap', async () => {
  const calls = await callsOf(async () => {
    const first = span('db', 'first', () => sleep(5))
    const second = span('db', 'second', () => sleep(1))
    await Promise.all([first, second])
  })
  assert.deepEqual(calls.map((call) => call.detail), ['first', 'second'])
})

test('calls by hand are ended once, by `using` or by end()', async () => {
  const calls = await callsOf(() => {
    const call = span('db', 'by hand')
    call.rows(3)
    call.end('error')
    call.end()
    call.rows(4)
    const disposed = scope('template', 'using')
    disposed[Symbol.dispose]()
    span('db', 'never ended')
  })
  assert.deepEqual(brief(calls), [
    ['db', 'by hand', 'error', undefined],
    ['template', 'using', 'ok', undefined],
    ['db', 'never ended', 'open', undefined],
  ])
  assert.equal(calls[0].rows, 3)
})

test('what is no function is none: the call is ended by hand', async () => {
  const calls = await callsOf(() => {
    for (const fn of [null, 5, {}]) span('db', 'x', fn).end()
    assert.equal(scope('template', 'y', 'z').isNone, false)
  })
  assert.deepEqual(calls.map(({ outcome }) => outcome), ['ok', 'ok', 'ok', 'open'])
  assert.equal(span('db', 'outside', null).isNone, true)
})

test('a thenable is awaited, as `await` would', async () => {
  let ran = 0
  const query = { then(resolve) { ran++; resolve('rows') } }
  const calls = await callsOf(async () => assert.equal(await span('db', 'lazy', () => query), 'rows'))
  assert.equal(ran, 1)
  assert.equal(calls[0].outcome, 'ok')
})

test('a category keeps the kind of its first use, and names are cut', async () => {
  const shard = category('dbshard07', { dialect: 'mysql' })
  const calls = await callsOf(() => {
    span(shard, 'SELECT "x"', () => {})
    scope('dbshard07', 'still a leaf', () => span('db', 'part of it', () => {}))
    span('x'.repeat(100), '', () => {})
    span(undefined, '', () => {})
    span('two words', '', () => {})
  })
  assert.deepEqual(calls.map((call) => call.category), ['dbshard07', 'dbshard07', 'x'.repeat(64), 'undefined', 'two_words'])
  assert.equal(calls[1].kind, 'leaf')
  assert.throws(() => category('x', { kind: 'twig' }), /"twig" is not one of "leaf", "scope"/)
  assert.throws(() => category('x', { dialect: 'klingon' }), /dialect "klingon" is not one of "generic"/)
})

test('details may be anything', async () => {
  const hostile = { toString() { throw new Error('no') } }
  const long = 'é'.repeat(10_000)
  const calls = await callsOf(() => {
    span('db', 'a\0b', () => {})
    span('db', undefined, () => {})
    span('db', Buffer.from('bytes'), () => {})
    span('db', 17, () => {})
    span('db', hostile, () => {})
    span('db', '\ud800 lone', () => {})
    span('db', long, () => {})
    span('db', 'x', (call) => call.detail('late'.repeat(5_000)).target('t'.repeat(20_000)))
  })
  assert.deepEqual(calls.slice(0, 6).map((call) => call.detail), ['a\0b', '', 'bytes', '17', '', '\ufffd lone'])
  assert.equal(calls[6].detail, 'é'.repeat(4_096))
  assert.equal(calls[6].detail_cut_from, 20_000)
  assert.equal(calls[7].detail.length, 8_192)
  assert.equal(calls[7].detail_cut_from, 20_000)
})

test('a snapshot shows what is open, and the same call goes on', async () => {
  const request = begin()
  const profiles = await request.run(async () => {
    const open = span('db', 'long', () => sleep(20))
    scope('template', 'x.html', () => span('db', 'short', () => {}))
    const manual = span('cache', 'get')
    const first = request.snapshot()
    manual.hits(4).detail('Cache HIT').target('mc01').end()
    await open
    span('db', 'later', () => {})
    return [first, request.snapshot()]
  })
  assert.deepEqual(profiles[0].data.calls.map((call) => call.outcome), ['open', 'ok', 'ok', 'open'])
  const calls = profiles[1].data.calls
  assert.deepEqual(calls.map((call) => call.outcome), ['ok', 'ok', 'ok', 'ok', 'ok'])
  assert.deepEqual([calls[3].detail, calls[3].hits, calls[3].target], ['Cache HIT', 4, 'mc01'])
  assert.equal(calls[2].parent, 1)
  assert.equal(calls[4].after_answer, true)
  assert.equal(request.finish().data.calls.length, 5)
})

test('totals are exact past every limit', async () => {
  const small = new Profiler({ instrument: false, maxSpans: 10 })
  const request = small.begin({ method: 'GET', path: '/' })
  await request.run(async () => {
    for (let i = 0; i < 5_000; i++) span('db', `SELECT ${i}`, (call) => call.rows(2))
    const open = Array.from({ length: 300 }, () => span('db', 'async', () => sleep(5)))
    await Promise.allSettled([...open, span('db', 'fails', () => Promise.reject(new Error('x')))])
    scope('template', 'x', () => span('cache', 'inside', () => {}))
  })
  const { calls, categories, unlisted, limit } = request.finish().data
  assert.deepEqual([calls.length, unlisted, limit], [10, 5_293, 'max_spans'])
  assert.deepEqual(categories.map(({ category, calls, rows, errors, open }) => [category, calls, rows, errors, open]), [
    ['db', 5_301, 10_000, 1, 0],
    ['template', 1, 0, 0, 0],
    ['cache', 1, 0, 0, 0],
  ])
})

test('what is kept of details is bounded', async () => {
  const small = new Profiler({ instrument: false, maxDetailBytes: 1_000 })
  const request = small.begin({ method: 'GET', path: '/' })
  request.run(() => {
    for (let i = 0; i < 100; i++) span('db', 'x'.repeat(90), () => {})
  })
  const { calls, limit } = request.finish().data
  assert.equal(calls.length, 100)
  assert.equal(calls.filter((call) => call.detail !== '').length, 11)
  assert.equal(limit, 'max_detail_bytes')
})

test('many pages of every size one after the other use the same memory again', async () => {
  for (const spans of [0, 1, 63, 64, 65, 500, 2_047, 2_048, 2_049, 4_000, 3]) {
    const request = begin()
    request.run(() => { for (let i = 0; i < spans; i++) span('db', `${spans}:${i}`, () => {}) })
    if (spans % 2 === 0) {
      request.end(200, 0)
      continue
    }
    const { calls, categories, unlisted } = request.finish(200, 0).data
    assert.equal(calls.length + unlisted, spans)
    assert.equal(categories[0]?.calls ?? 0, spans)
    assert.ok(calls.every((call, index) => call.detail === `${spans}:${index}`))
  }
})

test('nothing is recorded outside a request or after its end', async () => {
  const before = profiler.stats()
  assert.equal(span('db', 'outside', () => 5), 5)
  assert.equal(span('db', 'outside').isNone, true)
  const request = begin()
  let late
  await request.run(async () => {
    late = span('db', 'late', () => sleep(10))
    setTimeout(() => span('db', 'too late', () => {}), 5)
  })
  const profile = request.finish()
  await late
  await sleep(10)
  assert.deepEqual(profile.data.calls.map((call) => [call.detail, call.outcome]), [['late', 'open']])
  assert.equal(request.finish(500), profile)
  request.end()
  const after = profiler.stats()
  assert.equal(after.callsOutside - before.callsOutside, 2)
  assert.equal(after.lateSpans - before.lateSpans, 2)
  assert.equal(current(), undefined)
})

test('record can be changed at run time', () => {
  assert.equal(profiler.recording, 'always')
  profiler.disable()
  const off = begin()
  assert.equal(off.isRecording, false)
  assert.equal(off.run(() => span('db', 'x', () => 7)), 7)
  assert.equal(off.finish().data.recorded, false)
  profiler.enable()
  profiler.recording = 'asked'
  assert.equal(begin().isRecording, false)
  assert.equal(profiler.begin({ path: '/', asked: true }).isRecording, true)
  profiler.recording = 'always'
  assert.throws(() => { profiler.recording = 'sometimes' }, /"sometimes" is not one of "always", "asked", "off"/)
})

test('jobs are requests, also detached ones', async () => {
  const profiles = []
  const seen = new Profiler({ instrument: false, onProfile: (profile) => profiles.push(profile) })
  assert.equal(await seen.job('mail', async () => span('smtp', 'send', () => sleep(1)).then(() => 'sent')), 'sent')
  await assert.rejects(seen.job('mail', () => { throw new Error('refused') }), /refused/)
  const parent = seen.begin({ method: 'GET', path: '/', id: 'req-5' })
  const job = parent.detach('thumbnails')
  parent.end(200)
  job.run(() => span('s3', 'put', () => {}))
  job.end()
  await sleep(1)
  assert.deepEqual(profiles.map(({ data }) => [data.facts.kind, data.facts.path, data.calls.length, data.facts.error]), [
    ['job', 'mail', 1, undefined],
    ['job', 'mail', 0, 'Error: refused'],
    ['web', '/', 0, undefined],
    ['job', 'thumbnails', 1, undefined],
  ])
  assert.equal(profiles[3].data.parent_id, 'req-5')
})

test('facts of all kinds are taken, hostile ones too', () => {
  const request = begin({ method: 'GET', path: '/a\0b', query: 'q=\ud800', host: 5, id: 'x', protocol: null })
  request.setRoute('/a').setUser(7).setVisitor('v').addGroup('staff').addGroup('beta').setViewer('me').setError(new TypeError('bad'))
  const { facts, id } = request.finish(200, 2 ** 40).data
  assert.equal(id, 'x')
  assert.equal(facts.path, '/a\ufffdb')
  assert.deepEqual([facts.route, facts.user, facts.visitor, facts.groups, facts.viewer, facts.error, facts.bytes_out], ['/a', '7', 'v', ['staff', 'beta'], 'me', 'TypeError: bad', 2 ** 40])
  assert.throws(() => begin({ kind: 'cron' }), /"cron" is not one of "web", "job", "command"/)
})

test('whatever is given, nothing is thrown into the page', async () => {
  const hostile = { toString() { throw new Error('no') }, get x() { throw new Error('nor this') } }
  const things = [hostile, Symbol('x'), Object.create(null), null, undefined, 5n, () => {}, [], new Proxy({}, { get() { throw new Error('proxy') }, ownKeys() { throw new Error('proxy') } })]
  for (const thing of things) {
    const request = begin({ method: thing, path: thing, query: thing, id: thing, viewer: thing })
    request.setRoute(thing).setUser(thing).setVisitor(thing).addGroup(thing).setViewer(thing).setError(thing).note(thing, thing).note('a', thing).note(thing).setAttribute(thing, thing)
    request.run(() => {
      span(thing, thing, () => {})
      // A function in the detail's place is what is to be run.
      if (typeof thing === 'function') scope(thing, thing)
      else scope(thing, thing).end(thing)
      const call = span('db', 'x')
      call.hits(thing).misses(thing).rows(thing).bytes(thing).detail(thing).target(thing).end(thing)
      note(thing, thing)
      note(thing)
      request.detach(thing).end(thing, thing)
      request.firstByte(thing)
    })
    assert.equal(typeof request.compactNote(), 'undefined')
    const { data } = request.finish(thing, thing)
    assert.equal(data.categories.length > 0, true)
    assert.equal(typeof request.finish().text(), 'string')
  }
})

test('a profile renders itself', () => {
  const request = begin()
  request.run(() => span(category('dbshard01', { dialect: 'mysql' }), 'SELECT * FROM t WHERE id = 5', (call) => call.rows(1)))
  const profile = request.finish(200, 12)
  assert.match(profile.text(), /^# GET \/listing\/5773453\?ioprofiler=1 200 .*\n\[dbshard01\] \d+\.\d{3} ms SELECT \* FROM t WHERE id = 5 {2}\(1 row\) @/)
  assert.match(profile.ticket(), /WHERE id = \?/)
  assert.match(profile.html(), /^<!DOCTYPE html>/i)
  assert.match(profile.serverTiming(), /dbshard01/)
  assert.ok(JSON.parse(profile.trace()))
  assert.equal(String(profile), profile.text())
  const { format, version } = JSON.parse(JSON.stringify(profile))
  assert.deepEqual({ format, version }, { format: 'ioprofiler.profile', version: 1 })
})

test('budgets fail with the text table', async () => {
  const { result, profile } = await record(async () => {
    for (let i = 0; i < 3; i++) await span('pg', `SELECT ${i}`, () => sleep(1))
    return 'done'
  })
  assert.equal(result, 'done')
  assert.equal(profile.assertCalls('pg', { max: 3 }).assertCalls('redis', 0).calls('pg'), 3)
  assert.throws(() => profile.assertCalls('pg', { max: 2 }), (error) => {
    assert.equal(error.code, 'ERR_ASSERTION')
    assert.match(error.message, /^3 calls of pg, wanted at most 2:\n\n# job .*SELECT 1.*TOTAL CALLS/s)
    return true
  })
  assert.throws(() => profile.assertCalls('pg', { min: 4 }), /wanted at least 4/)
  assert.throws(() => profile.assertCalls('pg', 4), /wanted 4/)
  assert.throws(() => profile.assertCalls('pg', 'few'), TypeError)
  // A budget that bounds nothing would pass for ever.
  assert.throws(() => profile.assertCalls('pg', { maximum: 2 }), /assertCalls: maximum: expected must be a number, or \{ min, max \}/)
  assert.throws(() => profile.assertCalls('pg', {}), /assertCalls: expected must be a number, or \{ min, max \}/)
  const [call] = profile.data.calls
  assert.match(call.caller.file, /spans\.test\.mjs$/)
})

test('without a detail a function is run all the same', async () => {
  const work = (call) => call.rows(2) && 41
  assert.deepEqual([span('db', work), scope('template', work)], [41, 41])
  const calls = await callsOf(async () => {
    assert.equal(span('db', work), 41)
    assert.equal(await span('db', async () => 42), 42)
    assert.equal(scope('template', () => 43), 43)
  })
  assert.deepEqual(brief(calls), [['db', '', 'ok', undefined], ['db', '', 'ok', undefined], ['template', '', 'ok', undefined]])
  profiler.disable()
  assert.deepEqual([span('db', work), scope('template', work)], [41, 41])
  profiler.enable()
})

test('a job without a function says so', async () => {
  await assert.rejects(profiler.job('nightly'), /^TypeError: job: the second argument must be a function/)
  await assert.rejects(profiler.record('nightly'), /^TypeError: record: the argument must be a function/)
})

test('other contexts of the application stay as they are', async () => {
  const theirs = new AsyncLocalStorage()
  await callsOf(() => theirs.run('theirs', async () => {
    await scope('template', 'x', async () => {
      await sleep(1)
      assert.equal(theirs.getStore(), 'theirs')
    })
    assert.equal(theirs.getStore(), 'theirs')
  }))
})

test('wrong options fail at once and say what is allowed', () => {
  const wrong = [
    [{ record: 'sometimes' }, /record: "sometimes" is not one of "always", "asked", "off"/],
    [{ blah: 1 }, /blah: no such option; known: .*record/],
    [{ recrod: 'always' }, /recrod: no such option; did you mean `record`\? known: .*record/],
    [{ gate: 'open' }, /gate: "open" is not allowed; allowed: "token"/],
    [{ gate: 'token' }, /gate: "token" needs a secret/],
    [{ gate: 'token', gateSecret: 'short' }, /5 bytes; allowed: 32 at least/],
    [{ gate: [() => true, () => true] }, /gate: two functions; at most one is allowed/],
    [{ gate: 'token' }, /needs a secret; gateSecret: 0 given/],
    [{ maxSpans: 0 }, /maxSpans: 0 is not between 1 and 1000000/],
    [{ maxSpans: 1e12 }, /maxSpans: 1000000000000 is not allowed; allowed: at most 4294967295/],
    [{ requestTtl: 0 }, /requestTtl \(in ms\): 0 is not between/],
    [{ noteFormat: '%{a}n', noteHeader: 'X Y' }, /noteHeader: "X Y" is not allowed; allowed: a header's name/],
    [{ requestIdHeader: 'a b' }, /requestIdHeader: "a b" is not allowed; allowed: a header's name, or null/],
    [{ flags: '/nowhere/flags.toml', flagsRequired: true }, /flagsRequired is set, and:\n\/nowhere\/flags.toml: error: there is no such file/],
    [[], /an object/],
    [{ maxSpans: 1.5 }, /maxSpans: 1.5 is not allowed; allowed: a whole number/],
    [{ instrument: ['cobol'] }, /instrument: "cobol" is not allowed/],
    [{ onLog: 'stderr' }, /onLog: "stderr" is not allowed; allowed: a function/],
    [null, /an object/],
  ]
  for (const [options, message] of wrong) {
    assert.throws(() => new Profiler(options), (error) => message.test(error.message) && error.code === 'ERR_IOPROFILER_OPTION', String(message))
  }
})

test('requests in flight show their open calls', async () => {
  const flying = new Profiler({ instrument: false })
  const request = flying.begin({ method: 'GET', path: '/slow' })
  const slow = request.run(() => span('db', 'slow', () => sleep(10)))
  const live = flying.inFlight()
  assert.deepEqual(live.map((data) => [data.facts.path, data.calls.map((call) => call.detail)]), [['/slow', ['slow']]])
  await slow
  request.end(200)
  assert.deepEqual(flying.inFlight(), [])
})
