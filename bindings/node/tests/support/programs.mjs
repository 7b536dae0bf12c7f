// Real servers: PostgreSQL, MariaDB, Redis, memcached and SecantusDB (for MongoDB's driver), each in a folder of its own on a port of its
// own, stopped with the process.
//
// Where one is not installed a test that needs it is skipped, saying so; with
// IOPROFILER_TEST_SERVERS=required in the environment it fails instead.

import { execFileSync, spawn } from 'node:child_process'
import { accessSync, constants, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'

const PATIENCE = 60_000
const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../../../target', import.meta.url))
/** Where `install.mjs` puts a server that speaks MongoDB's protocol. */
export const SECANTUS = join(TARGET, 'secantus')
export const USER = 'shop'
/** Not a secret: it guards made-up goods for as long as a test runs. */
export const PASSWORD = 'in love with clay'
const stops = []
const isRoot = process.getuid() === 0

/** Stops all that were started. */
export function stopServers() {
  return Promise.all(stops.splice(0).map((stop) => stop()))
}

function find(name) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin', join(SECANTUS, 'bin')]
  try {
    const versions = readdirSync('/usr/lib/postgresql').sort().reverse()
    folders.push(...versions.map((version) => `/usr/lib/postgresql/${version}/bin`))
  } catch {
    // Debian's place; elsewhere it is on the path.
  }
  for (const folder of folders) {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return join(folder, name)
    } catch {
      // The next one.
    }
  }
  return null
}

/** Skips a test, saying so, where programs are missing. */
export function needs(...programs) {
  const missing = programs.find((program) => find(program) === null)
  return missing === undefined ? false : skipping(missing)
}

/** Debian's Python, for which Debian's modules are. */
export const PYTHON = '/usr/bin/python3'

/** The same where a module of Debian's Python is missing, which a package has. */
export function needsPython(module, debianPackage) {
  try {
    execFileSync(PYTHON, ['-c', `import ${module}`], { stdio: 'ignore' })
    return false
  } catch {
    return skipping(debianPackage)
  }
}

function skipping(missing) {
  if (process.env.IOPROFILER_TEST_SERVERS === 'required') throw new Error(`${missing} is not installed, and IOPROFILER_TEST_SERVERS=required`)
  console.log(`skipped: ${missing}: not installed`)
  return `${missing} is not installed`
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

/** A program, as another user if named, that ends with this process. */
function command(program, args, user) {
  const setpriv = find('setpriv')
  if (setpriv === null) return [program, args]
  const as = user === undefined ? [] : ['--reuid', user, '--regid', user, '--clear-groups']
  return [setpriv, [...as, '--pdeathsig', 'TERM', '--', program, ...args]]
}

function run(program, args, user, env) {
  const [file, all] = command(program, args, user)
  execFileSync(file, all, { stdio: 'ignore', env: { ...process.env, ...env } })
}

/** A folder in that of what is built. */
export const folderOf = (name) => join(TARGET, name)

/** Starts a program that listens on a port, with its log in a folder; gives the port. */
export function launch(folder, name, argsFor) {
  return start(folder, find(name), argsFor)
}

async function start(folder, program, argsFor, { user, signal = 'SIGTERM' } = {}) {
  const port = await freePort()
  const log = join(folder, 'log')
  const [file, args] = command(program, argsFor(port), user)
  const child = spawn(file, args, { stdio: ['ignore', openSync(log, 'a'), openSync(log, 'a')] })
  stops.push(async () => {
    child.kill(signal)
    for (let tries = 0; child.exitCode === null && child.signalCode === null && tries < 500; tries++) await sleep(20)
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  for (const deadline = Date.now() + PATIENCE; Date.now() < deadline && child.exitCode === null; await sleep(30)) {
    if (await listens(port)) return port
  }
  throw new Error(`${program} does not start:\n${readFileSync(log, 'utf8')}`)
}

function folder(name) {
  return mkdtempSync(join(tmpdir(), `ioprofiler-test-${name}-`))
}

async function until(what, done) {
  for (const deadline = Date.now() + PATIENCE; Date.now() < deadline; await sleep(50)) {
    try {
      done()
      return
    } catch {
      // Not yet.
    }
  }
  throw new Error(`${what} does not succeed`)
}

/** `settings` such as `log_statement=all`; what the server says is in `logFile`. */
export async function postgresql(database = 'shop', further = []) {
  const place = folder('postgresql')
  const data = join(place, 'data')
  const password = join(place, 'password')
  writeFileSync(password, PASSWORD)
  // It refuses to run as root.
  const user = isRoot ? 'postgres' : undefined
  if (isRoot) execFileSync('chown', ['-R', user, place])
  run(find('initdb'), ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync', '--username', USER, '--pgdata', data, '--pwfile', password], user)
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'shared_preload_libraries=', ...further]
  const port = await start(place, find('postgres'), (port) => ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])], { user, signal: 'SIGINT' })
  await until('createdb', () => run(find('createdb'), ['-h', '127.0.0.1', '-U', USER, '-p', String(port), database], undefined, { PGPASSWORD: PASSWORD }))
  return { host: '127.0.0.1', port, user: USER, password: PASSWORD, database, logFile: join(place, 'log') }
}

export async function mariadb(database = 'shop') {
  const place = folder('mariadb')
  const data = join(place, 'data')
  const asRoot = isRoot ? ['--user=root'] : []
  run(find('mariadb-install-db'), ['--no-defaults', '--skip-test-db', '--auth-root-authentication-method=normal', `--datadir=${data}`, ...asRoot])
  const first = join(place, 'first.sql')
  writeFileSync(first, `CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}';\nCREATE DATABASE ${database} CHARACTER SET utf8mb4;\nGRANT ALL ON ${database}.* TO '${USER}'@'%';\nDELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\n`)
  const port = await start(place, find('mariadbd'), (port) => [
    '--no-defaults', '--bind-address=127.0.0.1', '--skip-name-resolve', '--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=32M',
    `--datadir=${data}`, `--socket=${join(place, 'socket')}`, `--pid-file=${join(place, 'pid')}`, `--init-file=${first}`, `--port=${port}`, ...asRoot,
  ])
  return { host: '127.0.0.1', port, user: USER, password: PASSWORD, database }
}

export async function redis(further = []) {
  const place = folder('redis')
  const port = await start(place, find('redis-server'), (port) => ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no', '--dir', place, ...further])
  return { host: '127.0.0.1', port }
}

export async function memcached() {
  const place = folder('memcached')
  const asUser = isRoot ? ['-u', 'nobody'] : []
  const port = await start(place, find('memcached'), (port) => ['-l', '127.0.0.1', '-U', '0', '-m', '64', '-p', String(port), ...asUser])
  return { host: '127.0.0.1', port }
}

/** SecantusDB, which speaks MongoDB's protocol, on WiredTiger: MongoDB itself is in no registry. */
export async function mongodb() {
  const place = folder('mongodb')
  const port = await start(place, find('secantusd-py'), (port) => ['--host', '127.0.0.1', '--port', String(port), '--storage-path', join(place, 'data')])
  return { host: '127.0.0.1', port }
}
