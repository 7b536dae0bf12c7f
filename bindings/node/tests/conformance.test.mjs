// The cases that every binding runs: tests/vectors of the repository.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Profiler, category, decide, span } from 'ioprofiler'

const require = createRequire(import.meta.url)
// Beside what applications see: the gate at a given second, requests as HTTP servers begin them.
const { native } = require('../lib/board.js')

const read = (name) => JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}`, import.meta.url), 'utf8'))
const flags = read('flags.json')
const gate = read('gate.json')
const fingerprints = read('fingerprint.json')

/** A decision as the vectors say it. */
function told({ state, variant, reason, group }) {
  if (reason === 'not_found') return { state: 'default', reason }
  return { state, variant, reason: group ? `${reason}:${group}` : reason }
}

for (const [name, document] of Object.entries(flags.documents)) {
  const cases = flags.decisions.filter((one) => one.document === name)

  test(`flags of ${name}: ${cases.length} decisions, in requests and about others`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-vectors-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'flags.json')
    writeFileSync(file, JSON.stringify(document))
    const profiler = new Profiler({ instrument: false, flags: file, flagsRequired: true })
    assert.ok(cases.length > 100)
    for (const { flag, who, state, variant, reason } of cases) {
      const wanted = state === 'default' ? { state, reason } : { state, variant, reason }
      const { user, visitor, groups = [], attributes = {}, overrides = {}, request: id } = who
      const chosen = Object.entries(overrides).map((pair) => pair.join(':')).join(',')
      const request = profiler.beginJoined(0, false, ['GET', '/', '', '', '', '', '', id ?? '', '', '', chosen].join('\0'))
      request.setUser(user).setVisitor(visitor)
      for (const group of groups) request.addGroup(group)
      for (const [attribute, value] of Object.entries(attributes)) request.setAttribute(attribute, value)
      const why = JSON.stringify({ flag, who })
      // By the short way first: what it says must be what the long way explains.
      const isOn = request.flag(flag)
      const withDefault = request.flag(flag, true)
      const decision = request.decide(flag)
      if (flag === 'by_request' && id === undefined) assert.ok(['percent', 'off'].includes(decision.reason), why)
      else assert.deepEqual(told(decision), wanted, why)
      assert.equal(isOn, decision.state === 'on', why)
      assert.equal(withDefault, state === 'default' ? true : isOn, why)
      request.end()
      if (Object.keys(overrides).length !== 0 || id !== undefined || (flag === 'by_request')) continue
      const bare = profiler.begin({ path: '/' })
      assert.deepEqual(told(bare.decide(flag, false, { user, visitor, groups, attributes })), wanted, why)
      bare.end()
    }
  })
}

test('numbers are written alike in every language', () => {
  assert.ok(flags.number.length > 5)
  for (const { number, text } of flags.number) assert.equal(native.flagAttribute(number), text)
})

test(`the gate: ${gate.cases.length} cases`, () => {
  assert.ok(gate.cases.length > 90)
  for (const one of gate.cases) {
    const { name, secrets, parameter, now, query, host, expect } = one
    const ways = one.gate.split(',').map((way) => way.trim()).filter((way) => way !== '')
    const profiler = new Profiler({
      instrument: false,
      gate: ways.map((way) => (way === 'callable' ? () => true : way)),
      gateSecret: secrets,
      onLog: () => {},
      ...(parameter === undefined || parameter === null ? {} : { gateParameter: parameter }),
    })
    const headers = [['Cookie', one.cookies], ['X-IoProfiler', one.x_ioprofiler], ['x-ioprofiler-TOKEN', one.x_ioprofiler_token]]
    const given = headers.flatMap(([header, values]) => values.flatMap((value) => [header, value]))
    const asked = native.gateAsked(profiler.number, query, host ?? undefined, given, now) ?? null
    assert.equal(asked !== null, expect.asked, name)
    if (asked === null) continue
    const reason = native.gateReason(asked.reason) ?? undefined
    assert.deepEqual(
      [asked.form, asked.verdict, asked.viewer ?? undefined, reason],
      [expect.form, expect.verdict, expect.who ?? undefined, expect.reason ?? undefined],
      name,
    )
    profiler.shutdown()
  }
})

test(`fingerprints: ${fingerprints.length} texts`, () => {
  const profiler = new Profiler({ instrument: false })
  let ran = 0
  for (const { dialect, in: text, out, cut } of fingerprints) {
    // What a line of text shows otherwise.
    if (cut || !/^[!-~]([ -~]*[!-~])?$/.test(out) || out.includes('  ') || out.includes('\\')) continue
    const request = profiler.begin({ path: '/' })
    request.run(() => span(category(`vector_${dialect}`, { dialect }), text, () => {}))
    const [, line] = request.finish().ticket().split('\n')
    assert.equal(/^\[\w+\] [\d.]+ ms (.*?) {2}@[\d.]+$/.exec(line)?.[1], out, text)
    ran++
  }
  assert.ok(ran > 50)
})

test('what is decided outside a request is about nobody', () => {
  assert.deepEqual(told(decide('a flag that no file names')), { state: 'default', reason: 'not_found' })
})
