// The same for `import`: one copy of everything, whichever way it is loaded.

import ioprofiler from './index.js'

export const {
  Profiler, Profile, Request, Category, Span,
  category, count, current, dark, decide, deploy, event, explain, flag, flagData, gauge, note, record, scope, span, timing, variant,
} = ioprofiler
export default ioprofiler
