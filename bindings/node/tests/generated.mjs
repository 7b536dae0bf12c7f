// Makes native.js and native.d.ts anew, and fails where they differ from what is committed.
// `node generated.mjs --write` commits to the difference.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const tests = dirname(fileURLToPath(import.meta.url))
const here = dirname(tests)
const folder = mkdtempSync(join(tmpdir(), 'ioprofiler-generated-'))
const files = ['native.js', 'native.d.ts']
try {
  const napi = join(tests, 'node_modules', '.bin', 'napi')
  const made = ['--js', files[0], '--dts', files[1], '--output-dir', folder]
  execFileSync(napi, ['build', '--platform', ...made], { cwd: here, stdio: ['ignore', 'ignore', 'inherit'] })
  for (const file of files) {
    if (process.argv.includes('--write')) cpSync(join(folder, file), join(here, file))
    else if (readFileSync(join(folder, file), 'utf8') !== readFileSync(join(here, file), 'utf8')) {
      console.error(`${file} is not what the source makes: run \`npm run generated -- --write\` in bindings/node/tests`)
      process.exitCode = 1
    }
  }
} finally {
  rmSync(folder, { recursive: true })
}
