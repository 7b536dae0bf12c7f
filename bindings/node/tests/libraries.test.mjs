// Libraries that need no server: templates, HTTP clients, SQLite.

import assert from 'node:assert/strict'
import http from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import ejs from 'ejs'
import express from 'express'
import handlebars from 'handlebars'
import hbs from 'hbs'
import nunjucks from 'nunjucks'
import pug from 'pug'
import { fetch as undiciFetch, request as undiciRequest } from 'undici'
import { Profiler, span } from 'ioprofiler'
import { request as ask, serve } from './support/raw.mjs'
import { brief, callsOf, profiler } from './support/requests.mjs'

const require = createRequire(import.meta.url)
const views = join(dirname(fileURLToPath(import.meta.url)), 'support', 'views')
const view = (name) => join(views, name)
const nested = (calls) => calls.map(({ category, detail, parent }) => `${category} ${detail.replace(/^.*support\/views\//, '')} in ${parent ?? 'none'}`)

test('nunjucks and handlebars: includes and partials are nested', async () => {
  const environment = nunjucks.configure(views)
  handlebars.registerPartial('part', readFileSync(view('part.hbs'), 'utf8'))
  const template = handlebars.compile(readFileSync(view('page.hbs'), 'utf8'))
  const { calls } = await callsOf(() => {
    assert.equal(environment.render('page.njk', { name: 'x' }), '<html><body><p>part</p>\nx</body></html>\n')
    assert.equal(template({ name: 'x' }), '<html><body><p>part</p>\nx</body></html>\n')
  })
  assert.deepEqual(nested(calls), ['template page.njk in none', 'template part.njk in 0', 'template  in none', 'template part in 2'])
  // What is compiled for a partial is that partial; what was compiled beforehand is seen as well.
  handlebars.registerPartial('outer', '{{> part}}')
  const beforehand = handlebars.template(new Function(`return ${handlebars.precompile('{{> outer}}')}`)())
  const both = await callsOf(() => [beforehand({}), beforehand({})])
  assert.deepEqual(nested(both.calls).slice(-3), ['template  in none', `template outer in ${both.calls.length - 3}`, `template part in ${both.calls.length - 2}`])
})

test('ejs (its CommonJS form) and pug', async () => {
  const cjs = require('ejs')
  const { calls } = await callsOf(async () => {
    assert.match(await cjs.renderFile(view('page.ejs')), /<p>a<\/p>\n<p>b<\/p>/)
    assert.match(pug.renderFile(view('page.pug'), { name: 'x' }), /<p>part<\/p><p>x<\/p>/)
    assert.equal(pug.compileFile(view('part.pug'))(), '<p>part</p>')
  })
  assert.deepEqual(nested(calls), [
    'template page.ejs in none',
    'template part.ejs in 0',
    'template part.ejs in 0',
    'template page.pug in none',
    'template part.pug in none',
  ])
})

test('ejs, imported', async () => {
  while (ejs.compile.toString().includes('new Template')) await new Promise(setImmediate)
  const { calls } = await callsOf(async () => {
    assert.match(await ejs.renderFile(view('page.ejs')), /<p>a<\/p>\n<p>b<\/p>/)
    assert.equal(ejs.render('<%= 1 + 1 %>'), '2')
  })
  assert.deepEqual(nested(calls), ['template page.ejs in none', 'template part.ejs in 0', 'template part.ejs in 0', 'template  in none'])
})

test('views of Express are scopes, with what they include', async (t) => {
  const app = express()
  const profiles = []
  const watching = new Profiler({ onProfile: (profile) => profiles.push(profile.data) })
  t.after(() => watching.shutdown())
  app.use(watching.express())
  app.set('views', views)
  hbs.registerPartial('part', readFileSync(view('part.hbs'), 'utf8'))
  app.engine('hbs', hbs.__express)
  for (const engine of ['ejs', 'pug', 'hbs']) {
    app.get(`/${engine}`, (req, res) => res.render(`page.${engine}`, { name: span('db', 'name', () => 'x') }))
  }
  profiler.uninstrument()
  t.after(() => profiler.instrument())
  const port = await serve(t, http.createServer(app))
  for (const engine of ['ejs', 'pug', 'hbs']) assert.equal((await ask(port, `/${engine}`)).status, 200)
  while (profiles.length < 3) await new Promise(setImmediate)
  assert.deepEqual(profiles.map(({ calls }) => nested(calls)), [
    ['db name in none', 'template page.ejs in none', 'template part.ejs in 1', 'template part.ejs in 1'],
    ['db name in none', 'template page.pug in none'],
    ['db name in none', 'template page.hbs in none', 'template part in 1'],
  ])
})

test('fetch, undici and node:http are calls of whoever asked', async (t) => {
  const port = await serve(t, http.createServer((req, res) => {
    if (req.url === '/broken') return req.socket.destroy()
    return setTimeout(() => res.end('x'.repeat(10)), 2)
  }))
  const origin = `http://127.0.0.1:${port}`
  const get = (path) => new Promise((resolve, reject) => http.get(origin + path, (res) => res.resume().on('end', resolve)).on('error', reject))
  const { calls } = await callsOf(async () => {
    await (await fetch(`${origin}/fetched?a=1`)).text()
    await (await undiciFetch(`${origin}/undici`)).text()
    await (await undiciRequest(`${origin}/requested`, { method: 'POST', body: 'x' })).body.text()
    await get('/got')
    await assert.rejects(fetch(`${origin}/broken`))
    await assert.rejects(get('/broken'))
  })
  assert.deepEqual(brief(calls), [
    'http GET /fetched?a=1 ok',
    'http GET /undici ok',
    'http POST /requested ok',
    'http GET /got ok',
    'http GET /broken error',
    'http GET /broken error',
  ])
  assert.ok(calls.every(({ target }) => target === `127.0.0.1:${port}`))
  const all = await Promise.all(Array.from({ length: 20 }, (_, index) => callsOf(async () => {
    await (await fetch(`${origin}/${index}/a`)).text()
    await get(`/${index}/b`)
  })))
  all.forEach(({ calls }, index) => assert.deepEqual(calls.map(({ detail }) => detail), [`GET /${index}/a`, `GET /${index}/b`]))
})

let Sqlite
try {
  Sqlite = require('better-sqlite3')
  new Sqlite(':memory:').close()
} catch {
  console.log('skipped: better-sqlite3: its native part was not built here')
  Sqlite = null
}

test('better-sqlite3: statements are calls', { skip: Sqlite === null }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-sqlite-'))
  const database = new Sqlite(join(folder, 'dbshard01.sqlite'))
  const { calls } = await callsOf(() => {
    database.exec('CREATE TABLE t (a)')
    const insert = database.prepare('INSERT INTO t VALUES (?)')
    for (let i = 0; i < 3; i++) insert.run(i)
    assert.equal(database.prepare('SELECT * FROM t').all().length, 3)
    assert.equal(database.prepare('SELECT * FROM t WHERE a = ?').get(9), undefined)
    assert.throws(() => insert.run({}, {}))
    assert.deepEqual([...database.prepare('SELECT a FROM t').iterate()], [{ a: 0 }, { a: 1 }, { a: 2 }])
    for (const row of database.prepare('SELECT a FROM t WHERE a > ?').iterate(0)) if (row.a === 1) break
  })
  database.close()
  rmSync(folder, { recursive: true })
  assert.deepEqual(calls.map(({ target, detail, outcome, rows }) => [target, detail, outcome, rows]), [
    ['dbshard01.sqlite', 'CREATE TABLE t (a)', 'ok', undefined],
    ['dbshard01.sqlite', 'INSERT INTO t VALUES (?)', 'ok', 1],
    ['dbshard01.sqlite', 'INSERT INTO t VALUES (?)', 'ok', 1],
    ['dbshard01.sqlite', 'INSERT INTO t VALUES (?)', 'ok', 1],
    ['dbshard01.sqlite', 'SELECT * FROM t', 'ok', 3],
    ['dbshard01.sqlite', 'SELECT * FROM t WHERE a = ?', 'ok', 0],
    ['dbshard01.sqlite', 'INSERT INTO t VALUES (?)', 'error', undefined],
    ['dbshard01.sqlite', 'SELECT a FROM t', 'ok', 3],
    ['dbshard01.sqlite', 'SELECT a FROM t WHERE a > ?', 'ok', 1],
  ])
})

test('better-sqlite3: a statement that was there before the hook', { skip: Sqlite === null }, async () => {
  profiler.uninstrument()
  const statement = new Sqlite(':memory:').prepare('SELECT 1 AS one')
  profiler.instrument()
  const { calls } = await callsOf(() => assert.deepEqual(statement.get(), { one: 1 }))
  assert.deepEqual(brief(calls), ['sqlite SELECT 1 AS one ok'])
})

// Node 20 has none; later ones say that it is experimental when it is loaded.
if (require('node:module').isBuiltin('node:sqlite')) test('node:sqlite: not loaded by us, hooked once the application has', async () => {
  assert.ok(!process.moduleLoadList.includes('NativeModule sqlite'))
  const { DatabaseSync } = require('node:sqlite')
  const until = Date.now() + 5_000
  profiler.begin({ path: '/' }).end()
  while (!profiler.hooks.some(({ name }) => name === 'node:sqlite') && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50))
  const database = new DatabaseSync(':memory:')
  const { calls } = await callsOf(() => {
    database.exec('CREATE TABLE t (a)')
    database.prepare('INSERT INTO t VALUES (?), (?)').run(1, 2)
    assert.equal(database.prepare('SELECT * FROM t').all().length, 2)
    assert.equal([...database.prepare('SELECT a FROM t').iterate()].length, 2)
    assert.throws(() => database.exec('nonsense'))
  })
  assert.deepEqual(calls.map(({ detail, outcome, rows }) => [detail, outcome, rows]), [
    ['CREATE TABLE t (a)', 'ok', undefined],
    ['INSERT INTO t VALUES (?), (?)', 'ok', 2],
    ['SELECT * FROM t', 'ok', 2],
    ['SELECT a FROM t', 'ok', 2],
    ['nonsense', 'error', undefined],
  ])
})

test('hooks can be chosen, undone, and shared by profilers', async () => {
  profiler.uninstrument()
  const original = pug.compile
  const chosen = new Profiler({ instrument: ['pg'] })
  assert.equal(pug.compile, original)
  chosen.instrument()
  assert.equal(pug.compile, original)
  chosen.uninstrument()
  const first = new Profiler({ instrument: ['templates'] })
  const second = new Profiler()
  assert.notEqual(pug.compile, original)
  first.uninstrument()
  assert.notEqual(pug.compile, original)
  assert.ok(second.hooks.some(({ name }) => name.startsWith('pug ')))
  second.shutdown()
  assert.equal(pug.compile, original)
  profiler.instrument()
})

test('a table says what is hooked and what is not', async () => {
  require('mysql')
  const request = profiler.begin({ path: '/' })
  const text = request.finish().text()
  assert.match(text, /hooked: .*node:http/)
  assert.match(text, /mysql 2\.\d.*span\(\)/)
})
