// Requests of a profiler that hooks everything, and what they recorded.

import { Profiler } from 'ioprofiler'

export const profiler = new Profiler()

/** Runs a function in a request of its own; gives its result and calls. */
export async function callsOf(fn) {
  const request = profiler.begin({ method: 'GET', path: '/' })
  const result = await request.run(fn)
  return { result, calls: request.finish(200).data.calls }
}

/** Runs as many functions at once, each in a request of its own; gives the details of each. */
export async function interleaved(count, fn) {
  const all = await Promise.all(Array.from({ length: count }, (_, index) => callsOf(() => fn(index))))
  return all.map(({ calls }) => calls.map((call) => call.detail))
}

export const brief = (calls) => calls.map(({ category, detail, outcome }) => `${category} ${detail} ${outcome}`)
