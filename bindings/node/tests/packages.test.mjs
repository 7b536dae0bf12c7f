// The packages as they would be published: the main one, and one for each platform with the native part.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const own = join(here, '..')
const napi = join(here, 'node_modules', '.bin', 'napi')

/** Without cargo, so that nothing can be built. */
function run(program, args, cwd) {
  const PATH = [dirname(process.execPath), '/usr/bin', '/bin'].join(':')
  return execFileSync(program, args, { cwd, encoding: 'utf8', env: { PATH, HOME: process.env.HOME }, stdio: ['ignore', 'pipe', 'pipe'] })
}

const pack = (folder, to) => join(to, JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', to, folder], to))[0].filename)

test('they are installed without a compiler, in a fresh folder, and work', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-packages-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const manifest = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8'))

  // One folder a platform, as napi's own tool makes them.
  copyFileSync(join(own, 'package.json'), join(folder, 'package.json'))
  run(process.execPath, [napi, 'create-npm-dirs', '--cwd', folder], folder)
  const platforms = readdirSync(join(folder, 'npm')).sort()
  assert.equal(platforms.length, manifest.napi.targets.length)
  for (const platform of platforms) {
    const { name, version, os, cpu, main } = JSON.parse(readFileSync(join(folder, 'npm', platform, 'package.json'), 'utf8'))
    assert.equal(name, `@ioprofiler/lib-${platform}`)
    assert.equal(version, manifest.version)
    assert.deepEqual([os.length, cpu.length, main], [1, 1, `ioprofiler.${platform}.node`])
  }

  // This platform's, and the main one with all of them as optional dependencies.
  const built = readdirSync(own).find((file) => /^ioprofiler\.[\w-]+\.node$/.test(file))
  const platform = /^ioprofiler\.([\w-]+)\.node$/.exec(built)[1]
  copyFileSync(join(own, built), join(folder, 'npm', platform, built))
  const library = pack(join(folder, 'npm', platform), folder)
  const main = pack(own, folder)

  const app = join(folder, 'app')
  mkdirSync(app)
  writeFileSync(join(app, 'package.json'), '{"name":"app","private":true,"type":"module"}')
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', main, library], app)
  const installed = readdirSync(join(app, 'node_modules', 'ioprofiler'))
  assert.ok(!installed.some((file) => file.endsWith('.node') || ['src', 'tests', 'bench', 'Cargo.toml', 'build.rs'].includes(file)), installed.join())
  for (const file of ['index.js', 'index.mjs', 'index.d.ts', 'index.d.mts', 'auto.mjs', 'native.js', 'lib', 'bin', 'README.md']) assert.ok(installed.includes(file), file)

  const code = (load) => `${load}
    const { profile } = await record(() => span('db', 'SELECT 1', () => 1))
    console.log(profile.calls('db'))`
  const make = 'new Profiler({ instrument: false })\n'
  writeFileSync(join(app, 'module.mjs'), code(`import { Profiler, record, span } from 'ioprofiler'\n${make}`))
  writeFileSync(join(app, 'common.cjs'), `(async () => {${code(`const { Profiler, record, span } = require('ioprofiler')\n${make}`)}})()`)
  // One copy of everything, whichever way it is loaded.
  writeFileSync(join(app, 'both.mjs'), code(`import { createRequire } from 'node:module'
    import { Profiler, record } from 'ioprofiler'
    import * as otel from 'ioprofiler/otel'
    import * as openfeature from 'ioprofiler/openfeature'
    const { span } = createRequire(import.meta.url)('ioprofiler')
    if (!otel.IoprofilerSpanProcessor || !openfeature.IoprofilerProvider) throw new Error('not exported')
    ${make}`))
  for (const file of ['module.mjs', 'common.cjs', 'both.mjs']) assert.equal(run(process.execPath, [file], app).trim(), '1', file)
  assert.match(run(process.execPath, [join('node_modules', '.bin', 'ioprofiler'), 'doctor'], app), /ok {4}ioprofiler 0\.1\.0, its native part is loaded/)
})

test('where there is neither a package for the platform nor a source, the installation says so', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-packages-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'package.json'), '{"name":"app","private":true}')
  const main = pack(own, folder)
  assert.throws(() => run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--foreground-scripts', main], folder), (error) => {
    assert.match(error.stdout + error.stderr, /ioprofiler: there is no prebuilt package for [\w-]+, and no source to build from/)
    return true
  })
})
