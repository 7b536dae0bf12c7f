// An application instrumented from outside: `node --import ioprofiler/auto server.js`.
//
// Options come as JSON from the environment's IOPROFILER_OPTIONS: `{"gate":"everyone"}`. Without them
// whoever is at this machine sees profiles, while `ioprofiler gate open` holds.

import { Profiler } from './index.mjs'

const given = process.env.IOPROFILER_OPTIONS
let options
try {
  options = given === undefined || given === '' ? {} : JSON.parse(given)
} catch (error) {
  throw new TypeError(`IOPROFILER_OPTIONS: not JSON: ${error.message}`)
}

export const profiler = new Profiler({ gate: 'this-machine', ...options })
