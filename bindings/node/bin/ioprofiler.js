#!/usr/bin/env node
'use strict'
// `npx ioprofiler doctor`: what of the application in this folder will be seen, and what will not.

const { existsSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

const USAGE = `usage: ioprofiler doctor

Says what of the application in this folder ioprofiler sees: the runtime, the native part, and each
library that it could hook; of the options in IOPROFILER_OPTIONS, whether they are right, what is wrong
with the flags, and who sees profiles. Ends with status 1 where something is wrong or will not be seen.`

/** Who sees profiles, by a word of the option gate. */
const SEEN_BY = {
  everyone: 'everyone sees profiles: for machines that nobody else can reach',
  'this-machine': 'whoever is at this machine sees profiles, while `ioprofiler gate open` holds',
  token: 'whoever has a token sees profiles',
}

/** What a check found: a line, and whether all is well. */
function say(ok, text) {
  console.log(`${ok ? 'ok   ' : 'FAIL '} ${text}`)
  return ok
}

function loadPackage() {
  try {
    return require('../index.js')
  } catch (error) {
    say(false, `the native part cannot be loaded: ${error.message.split('\n')[0]}`)
    return null
  }
}

/** The options that `ioprofiler/auto` would take, and whether they are right. */
function optionsOf(Profiler) {
  const given = process.env.IOPROFILER_OPTIONS
  const bare = () => new Profiler({ onLog: () => {} })
  if (!given) {
    console.log('note  options in code are not looked at: give them as JSON in IOPROFILER_OPTIONS')
    return [bare(), true]
  }
  let options
  try {
    options = JSON.parse(given)
  } catch (error) {
    return [bare(), say(false, `IOPROFILER_OPTIONS: not JSON: ${error.message}`)]
  }
  try {
    const profiler = new Profiler({ gate: 'this-machine', ...options, onLog: () => {} })
    const isRight = say(true, 'IOPROFILER_OPTIONS are right')
    return [profiler, [sayFlags(profiler), sayGate(profiler), isRight].every(Boolean)]
  } catch (error) {
    return [bare(), say(false, `IOPROFILER_OPTIONS: ${error.message}`)]
  }
}

function sayFlags(profiler) {
  const { flags } = profiler.options.native
  if (flags.length === 0) return true
  const problems = profiler.reloadFlags()
  for (const problem of problems) say(false, `flags: ${problem}`)
  return problems.length === 0 ? say(true, `flags: nothing is wrong in ${flags.length} file${flags.length === 1 ? '' : 's'}`) : false
}

function sayGate(profiler) {
  const { gate } = profiler.options.native
  if (gate === '') return say(false, 'gate: nobody sees profiles; allowed: "token", "this-machine", "everyone", "flag:NAME"')
  for (const way of gate.split(',')) say(true, `gate: ${SEEN_BY[way] ?? `those for whom the flag ${way.slice('flag:'.length)} is on see profiles`}`)
  return true
}

function doctor() {
  const [major] = process.versions.node.split('.').map(Number)
  let well = say(major >= 20, `node ${process.versions.node} (20 or newer)`)
  const loaded = loadPackage()
  if (loaded === null) return false
  well = say(true, `ioprofiler ${require('../package.json').version}, its native part is loaded`) && well
  const [profiler, isRight] = optionsOf(loaded.Profiler)
  well = isRight && well
  const { packages, unknown } = require('../lib/hooks')
  const folder = join(process.cwd(), 'node_modules')
  const here = createRequire(join(process.cwd(), 'package.json'))
  for (const name of packages().filter((one) => existsSync(join(folder, one)))) {
    try {
      here(name)
    } catch (error) {
      well = say(false, `${name}: it cannot be loaded: ${error.message.split('\n')[0]}`) && well
    }
  }
  for (const { name, hooked, hint } of profiler.hooks) {
    well = say(hooked, hooked ? `${name} is hooked` : `${name} is not hooked: ${hint}`) && well
  }
  // These need not be loaded to know it.
  const seen = new Set(profiler.hooks.map(({ name }) => name.split(' ')[0]))
  for (const [name, hint] of unknown()) {
    if (existsSync(join(folder, name)) && !seen.has(name)) well = say(false, `${name} is not hooked: ${hint}`)
  }
  const request = profiler.begin({ kind: 'command', name: 'doctor', asked: true })
  request.run(() => loaded.span('doctor', 'a call', () => {}))
  well = say(request.finish().calls('doctor') === 1, 'a call of a request is recorded') && well
  profiler.shutdown()
  return well
}

if (process.argv.length === 3 && process.argv[2] === 'doctor') {
  // Libraries may have left things running.
  process.exit(doctor() ? 0 : 1)
} else if (process.argv.slice(2).some((word) => ['-h', '--help', 'help'].includes(word))) {
  console.log(USAGE)
} else {
  console.error(USAGE)
  process.exit(2)
}
