// The READMEs' JavaScript is run, each block after the other, with a shop around it; and its commands.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import http from 'node:http'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import passport from 'passport'
import { Strategy as Bearer } from 'passport-http-bearer'
import { Profiler } from 'ioprofiler'
import { request, serve } from './support/raw.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const top = join(here, '..', '..', '..')
const own = readFileSync(join(here, '..', 'README.md'), 'utf8')
const whole = readFileSync(join(top, 'README.md'), 'utf8')
const front = whole.split('\n## In Node\n')[1].split('\n## ')[0]
const blocks = (text, language) => [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block]) => block)

const USERS = { ann: { id: 5, name: 'ann', isStaff: true }, bob: { id: 6, name: 'bob', isStaff: false } }
passport.use(new Bearer((token, done) => done(null, USERS[token] ?? false)))

const FLAGS = `
[flags.new_search]
enabled = "on"
[flags.more_of_shop]
enabled = "on"
[flags.grid]
enabled = "green"
variants = { green = 2 }
data = { green = { columns = 3 } }
[flags.new_ranking]
dark = 100
`

/** A module of all blocks, their imports first; what it makes is given as `names`. */
async function run(t, text, names) {
  const folder = mkdtempSync(join(here, '.readme-'))
  const before = process.cwd()
  t.after(() => {
    process.chdir(before)
    rmSync(folder, { recursive: true })
  })
  writeFileSync(join(folder, 'flags.toml'), FLAGS)
  writeFileSync(join(folder, 'ioprofiler.toml'), '[prometheus]\n')
  const all = blocks(text, 'js').join('\n').replaceAll(/\/var\/(log|lib)\/shop/g, folder)
  const imports = [...new Set(all.match(/^import .*$/gm))]
  // One name may be imported in several blocks.
  const code = all.replace(/^import .*$/gm, '')
  const module = `${imports.join('\n')}
const ranked = []
const db = { query: async () => ['a row'], find: async (id) => ({ id }) }
const page = (listing) => \`<html><body>\${JSON.stringify(listing)}</body></html>\`
const moreOf = async () => ['more']
const renderListing = () => {}
const rankAnew = () => ranked.push('anew')
${code}
export { ranked, ${names} }
`
  const path = join(folder, 'readme.mjs')
  writeFileSync(path, module)
  process.chdir(folder)
  return { ...(await import(pathToFileURL(path).href)), folder }
}

test('the package\'s README runs', async (t) => {
  process.env.IOPROFILER_SECRET = 's'.repeat(32)
  const said = []
  t.mock.method(console, 'log', (...words) => said.push(words.join(' ')))
  const made = await run(t, own, 'app, profiler, flagged, logging, counting, html, log, other, profile, note')
  assert.equal(made.html, '<p>5</p>')
  assert.match(said[0], /^green \[object Object\]$/)
  assert.match(said[1], /^on on new_search: on, because on/)
  assert.equal(said[2], 'true')
  assert.deepEqual(made.ranked, ['anew'])
  assert.equal(made.profile.calls('pg'), 0)
  const page = made.logging.begin({ method: 'GET', path: '/cart' })
  page.run(() => made.note({ user_id: 5020244, cart: '3 things' }))
  page.end(200, 5)
  assert.ok(made.logging.flush(5_000))
  assert.match(readFileSync(join(made.folder, 'access.log'), 'utf8'), / 5020244 3%20things \d+ \d+\n/)

  // Who is let through: the very lines, behind real authentication.
  const port = await serve(t, http.createServer(made.app))
  const as = (name) => ({ headers: { Authorization: `Bearer ${name}` } })
  assert.match((await request(port, '/staff?ioprofiler=1', as('ann'))).body, /for staff.*ioprofiler/s)
  assert.equal((await request(port, '/staff?ioprofiler=1', as('bob'))).body, '<html><body>for staff</body></html>')
  assert.equal((await request(port, '/staff?ioprofiler=1')).status, 401)
  assert.equal((await request(port, '/listing/5?ioprofiler=1')).body, '<html><body>1</body></html>')
  const granted = await request(port, '/staff/profiles', { ...as('ann'), method: 'POST' })
  assert.equal(granted.status, 204)
  assert.match(granted.headers['set-cookie'], /^ioprofiler=iop1\./)
  assert.equal((await request(port, '/staff/profiles', { ...as('bob'), method: 'POST' })).status, 403)

  made.counting.begin({ path: '/' }).end(200)
  assert.ok(made.counting.flush(5_000))
  const scraped = await request(port, '/metrics')
  assert.equal(scraped.status, 200)
  for (const line of [/^queue_length\{?.* 17$/m, /^mail_sent_seconds_count.* 1$/m, /^ioprofiler_deploy_timestamp.*version="8c1f"/m]) assert.match(scraped.body, line)
  for (const one of [made.profiler, made.flagged, made.logging, made.counting]) one.shutdown()
})

test('the front page\'s lines run', async (t) => {
  const made = await run(t, front, 'app, profiler, profile')
  made.profile.assertCalls('pg', 0)
  const port = await serve(t, http.createServer(made.app))
  assert.equal((await request(port, '/listing/7?ioprofiler=1')).body, '<html><body>{"id":"7","more":["more"]}</body></html>')
  made.profiler.shutdown()
})

test('the cookie of the front page asks', async (t) => {
  const [line] = blocks(whole, 'js').filter((block) => block.includes('document.cookie'))
  const document = {}
  new Function('document', line)(document)
  const [cookie, path] = document.cookie.split(';')
  assert.equal(path, 'path=/')
  const profiler = new Profiler({ gate: 'everyone', instrument: false })
  t.after(() => profiler.shutdown())
  const answer = (req, res) => res.setHeader('Content-Type', 'text/html').end('<html><body>page</body></html>')
  const port = await serve(t, http.createServer(profiler.listener(answer)))
  assert.match((await request(port, '/', { headers: { Cookie: cookie } })).body, /page.*ioprofiler/s)
  assert.match((await request(port, '/', { headers: { 'X-Ioprofiler': 'text' } })).body, /TOTAL CALLS/)
})

test('commands name what is there', () => {
  const commands = [...blocks(own, 'sh'), ...blocks(front, 'sh')].join('\n')
  for (const [, folder] of commands.matchAll(/--prefix (\S+)/g)) assert.ok(existsSync(join(top, folder, 'package.json')), folder)
  for (const text of [own, front]) assert.match(blocks(text, 'sh').join('\n'), /^npm install \.\.\/ioprofiler\/bindings\/node$/m)
  assert.ok(existsSync(join(top, 'bindings/node/scripts/build.js')))
  const { scripts } = JSON.parse(readFileSync(join(top, 'examples/node/package.json'), 'utf8'))
  assert.equal(scripts.start, 'node shop.mjs')
  // As `npx ioprofiler` finds it.
  assert.match(execFileSync(join(here, 'node_modules', '.bin', 'ioprofiler'), ['--help'], { encoding: 'utf8' }), /usage: ioprofiler doctor/)
})

test('no block is overlooked', () => {
  assert.ok(blocks(own, 'js').length >= 12)
  for (const text of [own, front]) assert.equal(text.split('```').length - 1, 2 * text.match(/^```\w+$/gm).length)
})

test('the README knows every option, every name and every library', async () => {
  const { names } = await import('../lib/hooks/index.js').then((module) => module.default)
  for (const name of names()) assert.ok(own.includes(`\`${name}\``), name)
  const types = readFileSync(join(here, '..', 'index.d.ts'), 'utf8')
  const exported = Object.keys(await import('ioprofiler')).filter((name) => name !== 'default')
  for (const name of exported) assert.match(types, new RegExp(`export (?:function|class) ${name}\\b`), name)
  const { execPath } = process
  const known = execFileSync(execPath, ['-e', `try { new (require('ioprofiler').Profiler)({ x: 1 }) } catch (error) { console.log(error.message) }`], { cwd: here, encoding: 'utf8' })
  const listed = known.split('known: ')[1].trim().split(', ')
  const documented = [...types.split('export interface ProfilerOptions {')[1].split('\n}')[0].matchAll(/^ {2}(\w+)\?: /gm)].map(([, name]) => name)
  assert.deepEqual(listed, documented.sort())
})
