'use strict'
// Builds the native part with cargo and puts it where native.js looks for it.
//
//   node scripts/build.js               the library as it is shipped
//   node scripts/build.js --debug       quickly
//   node scripts/build.js --if-missing  only where no prebuilt package fits and it was not built yet
//
// Run by `npm install`. It needs cargo, and the repository around this folder.

const { execFileSync } = require('node:child_process')
const { copyFileSync, existsSync, renameSync } = require('node:fs')
const { join, resolve } = require('node:path')

const here = resolve(__dirname, '..')
const top = resolve(here, '..', '..')
const flags = process.argv.slice(2)

function platform() {
  const { arch, platform } = process
  if (platform !== 'linux') return `${platform}-${arch}`
  const glibc = process.report.getReport().header.glibcVersionRuntime
  return `linux-${arch}-${glibc ? 'gnu' : 'musl'}`
}

function isPrebuilt() {
  try {
    require.resolve(`@ioprofiler/lib-${platform()}`)
    return true
  } catch {
    return false
  }
}

function main() {
  const built = join(here, `ioprofiler.${platform()}.node`)
  if (flags.includes('--if-missing') && (isPrebuilt() || existsSync(built))) return
  if (!existsSync(join(top, 'Cargo.toml'))) {
    throw new Error(`ioprofiler: there is no prebuilt package for ${platform()}, and no source to build from`)
  }
  const profile = flags.includes('--debug') ? 'dev' : 'dist'
  const features = flags.includes('--injected-panic') ? ['--features', 'injected-panic'] : []
  // A musl addon is a shared library, which Rust does not make there by default.
  const env = platform().endsWith('musl')
    ? { ...process.env, RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} -C target-feature=-crt-static` }
    : process.env
  const output = execFileSync(
    'cargo',
    ['build', '--package', 'ioprofiler-node', '--profile', profile, '--message-format', 'json-render-diagnostics', ...features],
    { cwd: top, env, stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
  )
  const library = output
    .toString()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter((message) => message.reason === 'compiler-artifact' && message.target.name === 'ioprofiler_node')
    .flatMap((message) => message.filenames)
    .find((file) => /\.(so|dylib)$/.test(file))
  const target = flags.includes('--injected-panic') ? built.replace('.node', '.panics.node') : built
  // Renamed, since a running process may have the old one mapped.
  copyFileSync(library, `${target}.new`)
  renameSync(`${target}.new`, target)
  console.log(`built ${target}`)
}

try {
  main()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
