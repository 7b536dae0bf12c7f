// Two workers of a cluster behind one port, each with a profiler of its own.

import cluster from 'node:cluster'
import http from 'node:http'
import { Profiler, span } from 'ioprofiler'

const profiler = new Profiler({ gate: 'everyone', onLog: () => {} })

if (cluster.isPrimary) {
  let listening = 0
  for (let i = 0; i < 2; i++) cluster.fork()
  cluster.on('listening', (_, { port }) => {
    if (++listening === 2) process.stdout.write(`${port}\n`)
  })
  process.stdin.on('end', () => cluster.disconnect(() => process.exit(0))).resume()
} else {
  http
    .createServer((req, res) => {
      span('db', `of ${process.pid}`, () => {})
      res.setHeader('X-Pid', process.pid)
      res.end('page')
    })
    .listen(0, '127.0.0.1')
  process.on('disconnect', () => process.exit(0))
}
