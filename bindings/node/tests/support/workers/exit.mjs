// A process that ends while much is recorded and logged, and says so at its very end.

import { Profiler, span } from 'ioprofiler'

const [how, file] = process.argv.slice(2)
const accessLog = file === '-' ? { to: 'stdout', format: '%r' } : { file, format: '%r %{calls}n' }
const profiler = new Profiler({ accessLog })
const open = profiler.begin({ path: '/open' })
open.run(() => span('db', 'never ends'))
for (let i = 0; i < 300; i++) {
  const request = profiler.begin({ method: 'GET', path: `/${i}`, protocol: 'HTTP/1.1' })
  request.run(() => span('db', 'SELECT 1', () => {}))
  request.end(200)
}
process.on('exit', () => console.error(`finished ${profiler.stats().finished}`))
if (how === 'exit') process.exit(3)
if (how === 'throw') throw new Error('as told')
if (how === 'term') process.kill(process.pid, 'SIGTERM')
