// Flags from files, in requests, and through OpenFeature.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { OpenFeature } from '@openfeature/server-sdk'
import { Profiler, decide, flag, variant } from 'ioprofiler'
import { IoprofilerProvider } from 'ioprofiler/openfeature'

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
  const [on, grid, nowhere, other, number] = await request.run(async () => [
    await client.getBooleanValue('new_search', false),
    await client.getStringDetails('grid', 'none'),
    await client.getBooleanDetails('nowhere', true),
    await client.getStringValue('grid', 'none', { targetingKey: '8' }),
    await client.getNumberDetails('grid', 3),
  ])
  request.end(200)
  assert.equal(on, true)
  assert.deepEqual([grid.value, grid.variant, grid.reason, grid.flagMetadata.reason], ['green', 'green', 'TARGETING_MATCH', 'user'])
  assert.deepEqual([nowhere.value, nowhere.errorCode], [true, 'FLAG_NOT_FOUND'])
  assert.notEqual(other, 'green')
  assert.deepEqual([number.value, number.errorCode], [3, 'TYPE_MISMATCH'])
  await OpenFeature.close()
})

test('a wrong file fails only where that was asked for', () => {
  const wrong = join(folder, 'wrong.toml')
  writeFileSync(wrong, '[flags.x]\nenabld = "on"\n')
  assert.throws(() => new Profiler({ instrument: false, flags: wrong, flagsRequired: true }), /wrong\.toml.*enabld/s)
  assert.ok(new Profiler({ instrument: false, flags: wrong, onLog: () => {} }))
  assert.throws(() => new Profiler({ flags: [5] }), /flags: \[5\] is not allowed/)
})
