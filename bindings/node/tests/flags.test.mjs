// Flags from files, in requests, and through OpenFeature.

import assert from 'node:assert/strict'
import http from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { OpenFeature } from '@openfeature/server-sdk'
import { Profiler, current, dark, decide, explain, flag, flagData, span, variant } from 'ioprofiler'
import { IoprofilerProvider } from 'ioprofiler/openfeature'
import { request, serve } from './support/raw.mjs'

const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-flags-'))
after(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'flags.toml')
writeFileSync(file, `
[flags.new_search]
enabled = "on"

[flags.old_cart]
enabled = "off"

[flags.grid]
enabled = "on"
users = { "5020244" = "green" }
groups = { staff = "blue" }
variants = { blue = 1, green = 2 }

[flags.half]
enabled = 50
bucket_by = "user"

[flags.by_plan]
enabled = 50
bucket_by = "plan"

[flags.new_ranking]
dark = 100

[flags.look]
enabled = "green"
variants = { green = 2 }
data = { green = { boost = 1.5 } }

[flags.shown]
groups = { staff = "on" }
${Array.from({ length: 300 }, (_, number) => `[flags.many${number}]\nenabled = "${number % 2 === 0 ? 'on' : 'off'}"`).join('\n')}
`)
const profiler = new Profiler({ instrument: false, flags: [file], flagsRequired: true })

/** Runs a function in a request of a user. */
function as(user, fn) {
  const request = profiler.begin({ path: '/' })
  if (user !== undefined) request.setUser(user)
  const result = request.run(fn, request)
  return { result, data: request.finish(200).data }
}

test('flags are decided, and what was read is exposed, with its count', () => {
  const { result, data } = as('7', (request) => {
    for (let i = 0; i < 4; i++) assert.equal(flag('new_search'), true)
    assert.equal(request.flag('new_search'), true)
    return [flag('old_cart'), flag('nowhere'), flag('nowhere', true), variant('new_search')]
  })
  assert.deepEqual(result, [false, false, true, 'on'])
  const read = JSON.stringify(data.flags)
  assert.match(read, /new_search/)
  assert.doesNotMatch(read, /half/)
  assert.match(read, /"count":6/)
})

test('who the request is about decides, also when that is known late', () => {
  const { result } = as(undefined, (request) => {
    const before = variant('half')
    request.setUser('5020244')
    return [before, decide('grid'), decide('grid', false, '8')]
  })
  assert.deepEqual([result[1].state, result[1].variant, result[1].reason], ['on', 'green', 'user'])
  assert.notEqual(result[2].variant, 'green')
  const staff = as('9', (request) => {
    request.addGroup('staff')
    return decide('grid')
  }).result
  assert.deepEqual([staff.variant, staff.reason, staff.group], ['blue', 'group', 'staff'])
  const users = Array.from({ length: 200 }, (_, user) => as(String(user), () => flag('half')).result)
  const on = users.filter(Boolean).length
  assert.ok(on > 60 && on < 140)
  assert.deepEqual(users, Array.from({ length: 200 }, (_, user) => as(String(user), () => flag('half')).result))
})

test('many flags in one request: each once, in the order of their reading', () => {
  for (const names of [Array.from({ length: 300 }, (_, number) => `many${number}`), ['many7', 'many2', 'many299', 'many4', 'many5', 'many7']]) {
    const { result, data } = as('7', () => names.map((name) => flag(name)))
    assert.deepEqual(result, names.map((name) => Number(name.slice(4)) % 2 === 0))
    const counts = new Map()
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
    assert.deepEqual(data.flags.exposures.map(({ flag, count }) => [flag, count]), [...counts])
  }
})

test('what was not read yet follows who it is about, what was read stays', () => {
  const { result, data } = as(undefined, (request) => {
    const names = ['many1', 'many2', 'many3', 'many4', 'half', 'by_plan', 'new_search']
    names.forEach((name) => flag(name))
    request.setAttribute('plan', 'gold').setUser('5020244')
    return [flag('half'), request.decide('half').reason, request.decide('by_plan').reason === 'no_unit', flag('new_search'), variant('grid')]
  })
  assert.deepEqual(result.slice(1), ['percent', false, true, 'green'])
  const kept = data.flags.exposures.filter(({ flag }) => flag === 'half').map(({ reason, count }) => [reason, count])
  assert.deepEqual(kept, [['no_unit', 1], ['percent', 2]])
  assert.equal(data.flags.exposures.find(({ flag }) => flag === 'new_search').count, 2)
})

test('a snapshot shows what was read so far', () => {
  as('7', (request) => {
    flag('new_search')
    flag('new_search')
    const shown = () => request.snapshot().data.flags.exposures.map(({ flag, count }) => [flag, count])
    assert.deepEqual(shown(), [['new_search', 2]])
    flag('new_search')
    assert.deepEqual(shown(), [['new_search', 3]])
  })
})

test('somebody else, a variant\'s data, and why', () => {
  const { result, data } = as('7', (request) => [
    decide('grid', false, { user: '5020244' }).variant,
    request.decide('grid', false, { groups: ['staff'] }).variant,
    decide('by_plan', false, { attributes: { plan: 0.5 } }).reason,
    decide('half', false, { visitor: 'x' }).reason,
    flagData('look'),
    flagData('new_search'),
    flagData('nowhere'),
    explain('grid'),
  ])
  assert.deepEqual(result.slice(0, 7), ['green', 'blue', 'percent', 'no_unit', { boost: 1.5 }, undefined, undefined])
  assert.match(result[7], /^grid: on.*users +no: .*enabled/s)
  assert.ok(data.flags.exposures.some(({ flag, other }) => flag === 'grid' && other))
})

test('dark code runs unseen, its calls are marked, its errors swallowed and counted', async () => {
  const before = profiler.stats()
  const request = profiler.begin({ path: '/' })
  const ran = await request.run(async () => [
    dark('new_ranking', () => span('db', 'SELECT 1', () => 'dropped')),
    await dark('new_ranking', async () => {
      await null
      await span('db', 'SELECT 2', async () => {})
      throw new Error('nobody sees it')
    }),
    dark('new_ranking', () => { throw new Error('nor this') }),
    dark('new_search', () => assert.fail('it is on, not dark')),
    dark('nowhere', () => assert.fail('there is no such flag')),
    request.dark('new_ranking', () => {}),
    span('db', 'SELECT 3', () => 'seen'),
  ])
  assert.deepEqual(ran, [true, true, true, false, false, true, 'seen'])
  const { data } = request.finish(200)
  const calls = data.calls.map(({ detail, category, dark, outcome }) => [category, detail, dark, outcome])
  assert.deepEqual(calls, [
    ['dark:new_ranking', '', true, 'ok'],
    ['db', 'SELECT 1', true, 'ok'],
    ['dark:new_ranking', '', true, 'error'],
    ['db', 'SELECT 2', true, 'ok'],
    ['dark:new_ranking', '', true, 'error'],
    ['dark:new_ranking', '', true, 'ok'],
    ['db', 'SELECT 3', undefined, 'ok'],
  ])
  const after = profiler.stats()
  assert.deepEqual([after.darkRuns - before.darkRuns, after.darkErrors - before.darkErrors], [4, 2])
})

test('flags that the viewer chooses: only past the gate, and that answer is theirs alone', async (t) => {
  const secret = 's'.repeat(32)
  const choosing = new Profiler({ flags: file, gate: 'token', gateSecret: secret })
  t.after(() => choosing.shutdown())
  const port = await serve(t, http.createServer((req, res) => {
    if (req.url.includes('head')) res.writeHead(200, { 'Cache-Control': 'public', ETag: '"x"', Vary: 'Accept' })
    else res.setHeader('ETag', '"x"')
    res.end(`${flag('old_cart')} ${variant('grid')} ${flag('new_search')} ${req.headers['if-none-match'] ?? ''}`)
  }))
  const Cookie = choosing.grant('ann', { host: 'shop.example' }).split(';')[0].replace('__Host-', '')
  const query = '?ioflags=old_cart:on,grid:blue,new_search:off'
  for (const path of ['/', '/head']) {
    const refused = await request(port, path + query, { headers: { 'If-None-Match': '"x"' } })
    assert.equal(refused.body, 'false on true "x"')
    assert.equal(refused.headers['etag'], '"x"')
    assert.notEqual(refused.headers['cache-control'], 'private, no-store')
    const chosen = await request(port, path + query, { headers: { Cookie, 'If-None-Match': '"x"' } })
    // A kill switch beats the viewer.
    assert.equal(chosen.body, 'false blue false ')
    assert.equal(chosen.headers['cache-control'], 'private, no-store')
    assert.equal(chosen.headers.etag, undefined)
    const shown = await request(port, `${path}${query}&ioprofiler=text`, { headers: { Cookie } })
    assert.match(shown.body, /flag +grid +blue, override/)
    assert.equal(shown.raw.toString().match(/Vary: Cookie/gi)?.length ?? 1, 1)
  }
  const byCookie = await request(port, '/', { headers: { Cookie: `${Cookie}; ioprofiler_flags=grid:green` } })
  assert.equal(byCookie.body, 'false green true ')
  assert.ok(choosing.stats().refused.length > 0)
})

test('a flag opens the gate, for whom it is on when the handler has run', async (t) => {
  for (const gate of ['flag:shown', ['flag:shown', (req) => req.url.includes('also')]]) {
    const profiler = new Profiler({ flags: file, gate, onLog: () => {} })
    t.after(() => profiler.shutdown())
    const port = await serve(t, http.createServer((req, res) => {
      if (req.headers.authorization === 'staff') current().addGroup('staff')
      res.setHeader('Content-Type', 'text/html')
      res.end('<html><body>page</body></html>')
    }))
    const staff = await request(port, '/?ioprofiler=1', { headers: { Authorization: 'staff' } })
    assert.match(staff.body, /page.*ioprofiler/s)
    assert.equal((await request(port, '/?ioprofiler=1')).body, '<html><body>page</body></html>')
    // The gate's own look at its flag is no exposure, and knows no overrides.
    assert.equal((await request(port, '/?ioprofiler=1&ioflags=shown:on')).body, '<html><body>page</body></html>')
    const also = await request(port, '/?ioprofiler=text&also')
    assert.equal(also.body.startsWith('# GET'), gate !== 'flag:shown')
    profiler.uninstrument()
  }
  assert.throws(() => new Profiler({ gate: 'flag:' }), /gate: "flag:" is not allowed; allowed: .*"flag:NAME"/)
  assert.throws(() => new Profiler({ gate: `flag:${'x'.repeat(500)}` }), /gate: "flag:x+" is not known/)
})

test('whom a request is about, the application is asked once, before its first flag', async (t) => {
  const asked = []
  const said = []
  const flagContext = (req) => {
    asked.push(req.url)
    if (req.url === '/broken') throw new Error('no session')
    return req.url === '/nobody' ? undefined : { user: req.headers['x-user'], groups: req.headers['x-user'] === '9' ? ['staff'] : null, plan: 'gold', none: undefined }
  }
  const profiler = new Profiler({ flags: file, flagContext, gate: 'flag:shown', onLog: ({ message }) => said.push(message) })
  t.after(() => profiler.shutdown())
  const port = await serve(t, http.createServer((req, res) => {
    if (req.url.startsWith('/none')) return res.end('no flag')
    const told = [variant('grid'), decide('grid').reason, variant('grid'), decide('by_plan').reason !== 'no_unit']
    return res.end(told.join(' '))
  }))
  const ask = async (path, user) => (await request(port, path, { headers: user === undefined ? {} : { 'X-User': user } })).body
  assert.equal(await ask('/', '5020244'), 'green user green true')
  assert.equal(await ask('/', '9'), 'blue group blue true')
  assert.equal(await ask('/nobody', '9'), 'on on on false')
  assert.equal(await ask('/none'), 'no flag')
  assert.equal(await ask('/broken', '9'), 'on on on false')
  assert.deepEqual(asked, ['/', '/', '/nobody', '/broken'])
  assert.match(said.join(), /flagContext failed: no session/)
  // The gate's flag knows it too.
  assert.match(await ask('/none?ioprofiler=text', '9'), /^# GET/)
  assert.equal(await ask('/none?ioprofiler=text', '8'), 'no flag')
  assert.throws(() => new Profiler({ flagContext: 5 }), /flagContext: 5 is not allowed; allowed: a function/)
})

test('whatever is asked, nothing is thrown', () => {
  const hostile = { toString() { throw new Error('no') } }
  as('7', (request) => {
    for (const name of [hostile, undefined, null, 5, Symbol('x'), {}, 'x'.repeat(100_000), '']) {
      assert.equal(flag(name), false)
      assert.equal(flag(name, true), true)
      assert.equal(request.flag(name), false)
      assert.equal(variant(name), 'off')
      assert.equal(flagData(name), undefined)
      assert.equal(typeof explain(name), 'string')
      assert.equal(dark(name, () => assert.fail('not dark')), false)
    }
    for (const who of [{ groups: 5 }, { groups: 'staff' }, { user: hostile }, { attributes: 5 }, [], new Map(), hostile]) assert.equal(typeof decide('grid', false, who).variant, 'string')
    assert.equal(decide('grid', false, { groups: 'staff' }).variant, 'blue')
  })
})

test('a change of the files reaches running programs, and long requests after a look', async () => {
  const changing = join(folder, 'changing.toml')
  writeFileSync(changing, '[flags.changes]\nenabled = "on"\n')
  const own = new Profiler({ instrument: false, flags: changing, threadless: true })
  const request = own.begin({ path: '/' })
  assert.equal(request.flag('changes'), true)
  writeFileSync(changing, '[flags.changes]\nenabled = "off"\n')
  assert.deepEqual(own.reloadFlags(), [])
  assert.equal(own.begin({ path: '/' }).flag('changes'), false)
  assert.equal(request.flag('changes'), true, 'it goes by what it began with')
  request.refreshFlags()
  assert.equal(request.flag('changes'), false)
  const { exposures } = request.finish().data.flags
  assert.deepEqual(exposures.map(({ variant, count }) => [variant, count]), [['on', 2], ['off', 1]])
  writeFileSync(changing, '[flags.changes]\nenabld = "on"\n')
  assert.match(own.reloadFlags().join(), /changing\.toml.*enabld/)
  assert.match(own.stats().flagsVersion, /^[0-9a-f]{16}$/)
  assert.ok(own.stats().flagsErrors > 0)
})

test('outside a request, and after its end', () => {
  assert.equal(flag('nowhere', true), true)
  const request = profiler.begin({ path: '/' })
  request.end()
  assert.equal(request.flag('new_search'), false)
})

test('the provider for OpenFeature answers for the running request', async () => {
  await OpenFeature.setProviderAndWait(new IoprofilerProvider())
  const client = OpenFeature.getClient()
  const request = profiler.begin({ path: '/' }).setUser('5020244')
  const [on, grid, nowhere, boost, none, mismatch, without] = await request.run(async () => [
    await client.getBooleanValue('new_search', false),
    await client.getStringDetails('grid', 'none'),
    await client.getBooleanDetails('nowhere', true),
    await client.getObjectDetails('look', {}),
    await client.getObjectDetails('new_search', { default: true }),
    await client.getNumberDetails('look', 3),
    await client.getNumberValue('grid', 3),
  ])
  const { exposures } = request.finish(200).data.flags
  assert.equal(on, true)
  assert.deepEqual([grid.value, grid.variant, grid.reason, grid.flagMetadata.reason], ['green', 'green', 'TARGETING_MATCH', 'user'])
  assert.deepEqual([nowhere.value, nowhere.errorCode], [true, 'FLAG_NOT_FOUND'])
  assert.deepEqual([boost.value, boost.variant], [{ boost: 1.5 }, 'green'])
  assert.deepEqual(none.value, { default: true })
  assert.deepEqual([mismatch.value, mismatch.errorCode, mismatch.errorMessage], [3, 'TYPE_MISMATCH', "the data of look's variant green is of another type"])
  assert.equal(without, 3)
  assert.ok(exposures.some(({ flag, count }) => flag === 'new_search' && count >= 2))

  // About somebody else, in a request and outside of any.
  const others = async () => [
    await client.getStringValue('grid', 'none', { targetingKey: '8' }),
    await client.getStringValue('grid', 'none', { targetingKey: '5020244' }),
    await client.getStringDetails('grid', 'none', { groups: ['staff', 'beta'] }),
    await client.getBooleanDetails('by_plan', true, { plan: 'gold' }),
    await client.getBooleanDetails('half', true, { visitor: 'nobody known' }),
    await client.getObjectValue('look', {}, { targetingKey: '8' }),
  ]
  for (const told of [await profiler.begin({ path: '/' }).run(others), await others()]) {
    assert.deepEqual(told.slice(0, 2), ['on', 'green'])
    assert.deepEqual([told[2].value, told[2].flagMetadata], ['blue', { state: 'on', reason: 'group', group: 'staff' }])
    assert.deepEqual([told[3].value, told[3].flagMetadata.reason === 'no_unit'], [decide('by_plan', false, { attributes: { plan: 'gold' } }).state === 'on', false])
    assert.deepEqual([told[4].value, told[4].reason], [false, 'DEFAULT'])
    assert.deepEqual(told[5], { boost: 1.5 })
  }
  await OpenFeature.close()
})

test('a wrong file fails only where that was asked for', () => {
  const wrong = join(folder, 'wrong.toml')
  writeFileSync(wrong, '[flags.x]\nenabld = "on"\n')
  assert.throws(() => new Profiler({ instrument: false, flags: wrong, flagsRequired: true }), /wrong\.toml.*enabld/s)
  assert.ok(new Profiler({ instrument: false, flags: wrong, onLog: () => {} }))
  assert.throws(() => new Profiler({ flags: [5] }), /flags: \[5\] is not allowed/)
})

test('what is wrong with a file is said before any request, to who may use the profiler by then', async (t) => {
  const wrong = join(folder, 'early.toml')
  writeFileSync(wrong, '[flags.x]\nenabeld = "on"\n')
  const said = []
  const profiler = new Profiler({ instrument: false, flags: wrong, onLog: ({ kind, message }) => said.push([profiler instanceof Profiler, kind, message]) })
  t.after(() => profiler.shutdown())
  await null
  assert.deepEqual(said[0], [true, 'flags', `${wrong}:2:1: error: a flag has no \`enabeld\`; did you mean \`enabled\`?`])
  assert.equal(said.length, 2)
})
