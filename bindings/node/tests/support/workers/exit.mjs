// A process that ends while much is recorded, and says so at its very end.

import { Profiler, span } from 'ioprofiler'

const profiler = new Profiler({ instrument: true })
const open = profiler.begin({ path: '/open' })
open.run(() => span('db', 'never ends'))
for (let i = 0; i < 1_000; i++) {
  const request = profiler.begin({ path: `/${i}` })
  request.run(() => span('db', 'SELECT 1', () => {}))
  request.end(200)
}
process.on('exit', () => console.log(`finished ${profiler.stats().finished}`))
const how = process.argv[2]
if (how === 'exit') process.exit(3)
if (how === 'throw') throw new Error('as told')
if (how === 'term') process.kill(process.pid, 'SIGTERM')
