// Installs what Debian has no package of: a server that speaks MongoDB's protocol, from PyPI, into the
// repository's own target folder.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { SECANTUS } from './programs.mjs'

const VERSION = '0.7.0b3'

if (!existsSync(join(SECANTUS, 'bin', 'secantusd-py'))) {
  execFileSync('python3', ['-m', 'venv', SECANTUS], { stdio: 'inherit' })
  execFileSync(join(SECANTUS, 'bin', 'pip'), ['install', '--quiet', `secantusdb==${VERSION}`], { stdio: 'inherit' })
}
