import type { Profiler } from './index.mjs'

/** The profiler that `--import ioprofiler/auto` has made. */
export declare const profiler: Profiler
