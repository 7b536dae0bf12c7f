// The same for `import`: one copy of everything, whichever way it is loaded.

import ioprofiler from './index.js'

export const { Profiler, Profile, Request, Category, Span, category, current, dark, decide, explain, flag, flagData, note, record, scope, span, variant } = ioprofiler
export default ioprofiler
