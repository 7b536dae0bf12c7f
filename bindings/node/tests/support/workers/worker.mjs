// A worker that records, and ends as it is told: by itself, in the middle, or by an exception.

import { parentPort, workerData } from 'node:worker_threads'
import { Profiler, span } from 'ioprofiler'

const profiler = new Profiler({ build: 'worker' })
const request = profiler.begin({ kind: 'job', name: `worker ${workerData.number}` })
request.run(() => {
  for (let i = 0; i < 100; i++) span('db', `SELECT ${i}`, () => {})
})
const { data } = request.finish()
parentPort.postMessage({ calls: data.calls.length, path: data.facts.path })
if (workerData.end === 'throw') throw new Error('as told')
if (workerData.end === 'busy') {
  for (;;) {
    const busy = profiler.begin({ path: '/' })
    busy.run(() => span('db', 'SELECT 1', () => {}))
    busy.end()
  }
}
