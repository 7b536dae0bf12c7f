// The same for CommonJS.

import ioprofiler = require('ioprofiler')

const profiler: ioprofiler.Profiler = new ioprofiler.Profiler()
const five: number = ioprofiler.span('db', 'SELECT 5', () => 5)

export = { profiler, five }
