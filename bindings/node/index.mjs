// The same for `import`: one copy of everything, whichever way it is loaded.

import ioprofiler from './index.js'

export const { Profiler, Profile, Request, Category, Span, category, current, note, record, scope, span } = ioprofiler
export default ioprofiler
