'use strict'
// BullMQ: each job that a worker processes is a request of its own.

const { storage, state } = require('../context.js')

function hookWorker(profiler) {
  return ({ Worker }, wraps) => {
    wraps.wrap(Worker.prototype, 'callProcessJob', (callProcessJob) => function (job, ...rest) {
      let request
      try {
        request = profiler().begin({ kind: 'job', name: `${this.name}:${job?.name ?? ''}`, id: job?.id === undefined ? undefined : `${this.name}-${job.id}` })
      } catch {
        state.failures++
        return callProcessJob.call(this, job, ...rest)
      }
      return observed(request, () => storage.run(request.root, () => callProcessJob.call(this, job, ...rest)))
    })
  }
}

async function observed(request, run) {
  try {
    return await run()
  } catch (error) {
    request.setError(error)
    throw error
  } finally {
    request.end()
  }
}

/** Jobs are the requests of whichever profiler instruments first. */
module.exports = (profiler) => ({
  name: 'bullmq',
  packages: {
    bullmq: { 'dist/cjs/classes/worker.js': hookWorker(profiler) },
  },
})
