// As index.d.ts, for `import`.

import * as ioprofiler from './index.js'

export * from './index.js'
export default ioprofiler
