// The interface of ioprofiler: see every call that one web request made.
//
//     import { Profiler, span } from 'ioprofiler'
//     const profiler = new Profiler({ gate: (req) => req.user?.isStaff })
//     app.use(profiler.express())
//     const rows = await span('dbshard01', sql, () => db.query(sql))
//
// What the words mean is in the README. Nothing here throws into your pages but wrong options.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

/** Whether calls are recorded: of every request, of those that asked for their profile, of none. */
export type Recording = 'always' | 'asked' | 'off'

/**
 * A way through the gate: a signed token (`grant`, `ioprofiler token mint`); whoever is at this machine
 * while `ioprofiler gate open` holds; everyone; those for whom a flag is on when the handler has run
 * (overrides do not count); or a function of yours. The function is called only for requests that
 * asked, after the handler and before the answer's head leaves, with the request as your framework has
 * it (Express and Node: `req`; Fastify: its request; Koa: `ctx`). It must answer at once: a promise, and
 * an exception, are a no.
 *
 * Who is let through by a token, at this machine or as one of everyone may choose flags as well:
 * `?ioflags=new_search:on,cart:off`, or the same in the cookie `ioprofiler_flags`.
 */
export type GateWay = 'token' | 'this-machine' | 'everyone' | `flag:${string}` | ((request: any) => unknown)

/** Something that the operator should know. */
export interface LogEvent {
  /** `gate`, `limit`, `misuse`, `queue`, `panic`, `callback`, `log`, `flags`, `stuck`, `sink`. */
  kind: string
  /** One line. */
  message: string
}

export interface ProfilerOptions {
  /** Default: `always`. */
  record?: Recording
  /** Who may see a profile. Default: nobody. */
  gate?: GateWay | readonly GateWay[]
  /** For `gate: 'token'`: a secret of 32 bytes at least; a list to change it over. */
  gateSecret?: string | readonly string[]
  /** The query's parameter that asks. Default: `ioprofiler`. */
  gateParameter?: string
  /** The application's build, shown in profiles. */
  build?: string
  /**
   * What is hooked, before or after it is loaded: HTTP servers and all libraries (`true`, the
   * default), HTTP servers and these libraries, or nothing (`false`).
   */
  instrument?: boolean | readonly string[]
  /** The largest page, in bytes, that is held back to carry the panel. Default: 4 MiB. */
  maxPage?: number
  /** Whether a page whose length is not known beforehand is held back too, when asked. Default: no. */
  bufferStreams?: boolean
  /** The header whose value becomes the request's id; `null` makes one up. Default: `x-request-id`. */
  requestIdHeader?: string | null
  /** Calls that one request lists; further ones are only counted. Default: 2,000. */
  maxSpans?: number
  /** Bytes of details that one request keeps. Default: 256 KiB. */
  maxDetailBytes?: number
  /** Bytes that all live requests of the process keep. Default: 64 MiB. */
  maxMemory?: number
  /** Requests that live at once; past it requests are not observed. Default: 10,000. */
  maxLiveRequests?: number
  /** After so many ms an unfinished page is abandoned. Default: 15 minutes. */
  requestTtl?: number
  /** The same for jobs and commands. Default: 24 hours. */
  jobTtl?: number
  /** Starts no thread: finished profiles reach the sinks in `flush`. */
  threadless?: boolean
  /** The files with the flags, TOML or JSON: later ones lie over earlier ones, key by key. */
  flags?: string | readonly string[]
  /**
   * Whom a request is about, for flags: called with the request as your framework has it, once, before
   * its first flag is decided. All but `user`, `visitor` and `groups` are attributes.
   */
  flagContext?: (request: any) => {
    user?: string | number | null | undefined
    visitor?: string | null | undefined
    groups?: Iterable<string> | null | undefined
    [attribute: string]: unknown
  }
  /** Whether the constructor fails where a flags file is missing or wrong. Default: no. */
  flagsRequired?: boolean
  /**
   * A folder for what crosses processes: the last good flags, what each process counted and keeps, and
   * what it is doing. Processes that share it are one set of series.
   */
  stateDir?: string
  /**
   * The file that says what is counted, kept and sent, in TOML: Graphite, StatsD, Prometheus, OTLP,
   * Ganglia, webhooks. `examples/monitoring/ioprofiler.toml` of the repository has all its keys. What is
   * wrong with it throws: file, line, column, key, and what is allowed.
   */
  configFile?: string
  /**
   * The same as an object, with the file's own keys: `{ graphite: { address: 'carbon:2003' } }`. What it
   * says replaces what the file says; sinks are added. Options of this object replace both.
   */
  config?: Record<string, unknown>
  /** Whether finished requests are added up though nobody is sent anything. Default: where it is of use. */
  metrics?: boolean
  /**
   * A line for each finished request, in the language of Apache's `LogFormat`, or `json` (the default):
   * written by a thread of ours, appended to a file or to a stream of the process.
   */
  accessLog?: { file: string; format?: string } | { to: 'stdout' | 'stderr'; format?: string }
  /** What stands in the compact note: `'%{user_id}n %{app_us}n'`. */
  noteFormat?: string
  /**
   * The header of every answer that carries the compact note, for the log of a server in front, which
   * must take it off. Default: none.
   */
  noteHeader?: string
  /** Where the profiler says what went wrong, once a minute and kind. Default: a warning of the process. */
  onLog?: (event: LogEvent) => void
  /** Takes each finished profile, in a microtask after the request's end. For tests and consoles. */
  onProfile?: (profile: Profile) => void
}

/** What is known of a request at its begin. */
export interface Facts {
  /** Default: `web`. */
  kind?: 'web' | 'job' | 'command'
  /** The name of a job or a command. */
  name?: string
  method?: string
  /** The raw path, without the query. */
  path?: string
  /** The raw query, without `?`. */
  query?: string
  scheme?: string
  host?: string
  /** `HTTP/1.1`. */
  protocol?: string
  /** The peer's address. */
  peer?: string
  /** The request's id, where you have one; else one is made up. */
  id?: string
  /** The W3C header. */
  traceparent?: string
  /** Who looks at the profile. */
  viewer?: string
  /** Whether it asked for its profile: under `record: 'asked'` only such requests record calls. */
  asked?: boolean
}

/** What is hooked, or was seen and is not. */
export interface Hook {
  /** `pg 8.23.1`. */
  name: string
  hooked: boolean
  /** Why not, and what to do. */
  hint?: string
}

/** Counters of this process. */
export interface Stats {
  begun: number
  finished: number
  aborted: number
  abandoned: number
  live: number
  memory: number
  refusedLive: number
  refusedMemory: number
  unlisted: number
  untimed: number
  callsOutside: number
  lateSpans: number
  staleHandles: number
  busy: number
  lostFacts: number
  categoriesOverflowed: number
  queued: number
  queueDropped: number
  panics: number
  lostNotes: number
  /** Values of metrics of your own that were not taken, and events. */
  lostMetrics: number
  lostEvents: number
  logWritten: number
  logDropped: number
  logFailed: number
  logCut: number
  exposuresUnlisted: number
  darkRuns: number
  darkErrors: number
  /** As profiles show it; undefined without flags. */
  flagsVersion?: string | undefined
  /** Milliseconds since the Unix epoch; 0: never. */
  flagsLookedAt: number
  flagsChangedAt: number
  flagsReloads: number
  /** Things that are wrong in the files now. */
  flagsErrors: number
  /** What went wrong in code of ours and was kept from the application, in this thread. */
  failures: number
  refused: { reason: string; count: number }[]
  /** What became of the values that each sink was given. */
  sinks: SinkStats[]
}

/** A sink: produced is sent, dropped, or waits still. */
export interface SinkStats {
  /** `graphite`. */
  name: string
  produced: number
  sent: number
  dropped: number
  /** Attempts that failed. */
  failures: number
  /** Why the last one did; empty where none has. */
  why: string
}

/** What tells series of one name apart: at most 8, with the name at most 128 bytes. Empty ones are none. */
export type Labels = Record<string, string | number | boolean | null | undefined>

/** What was counted, of one version of the application. */
export interface Series {
  /** The version that was running, where it is known. */
  version: string | null
  /** When counting began, and when it was read: nanoseconds since the Unix epoch, rounded. */
  since: number
  at: number
  samples: Sample[]
}

/** One series. Times are in nanoseconds, but gauges of time in seconds. */
export interface Sample {
  /** `call.duration`, or the name of a metric of your own. */
  name: string
  labels: Record<string, string>
  /** Of a counter and of durations: how many (of a counter of time: how long). */
  count?: number
  /** Of a gauge. */
  value?: number
  /** Of durations, from here on; null where there was none. */
  sum?: number
  mean?: number | null
  p50?: number | null
  p95?: number | null
  p99?: number | null
  max?: number | null
}

/** A request that is kept. */
export interface Kept {
  /** It was among the slowest of its route, or it failed. */
  reason: 'slow' | 'error'
  /** When it began: milliseconds since the Unix epoch. */
  at: number
  /** What it did; its details are fingerprints, unless `config: { keep: { details: 'full' } }` says otherwise. */
  profile: Profile
}

/** What a scrape of Prometheus is answered with. */
export interface Exposition {
  /** 200; or 503 where nothing is counted or can be read now, and the body says why. */
  status: number
  /** The header `Content-Type`. */
  contentType: string
  body: string
}

/** What records: its options, its gate. Make one at start. */
export class Profiler {
  /** Wrong options throw, with the code `ERR_IOPROFILER_OPTION` and a message that says what is allowed. */
  constructor(options?: ProfilerOptions)

  /** Begins a request. Where none can be had it does nothing, and is counted. */
  begin(facts?: Facts): Request
  /** Runs a function as a job, a request of its own, and ends that with it. */
  job<T>(name: string, fn: (request: Request) => T | PromiseLike<T>): Promise<T>
  /** Runs a function in a request of its own; gives its result and the profile. For tests. */
  record<T>(fn: (request: Request) => T | PromiseLike<T>): Promise<{ result: T; profile: Profile }>

  /** The middleware for Express 4 and 5: `app.use(profiler.express())`, first of all. */
  express(): (req: any, res: any, next: (error?: any) => void) => void
  /** The plugin for Fastify 5: `app.register(profiler.fastify())`. */
  fastify(): (app: any, options: any, done: (error?: Error) => void) => void
  /** The middleware for Koa 2 and 3: `app.use(profiler.koa())`, first of all. */
  koa(): (ctx: any, next: () => Promise<any>) => Promise<any>
  /** A listener whose requests are observed: for `instrument: false`. */
  listener<Q extends typeof IncomingMessage, S extends typeof ServerResponse<InstanceType<Q>>>(
    handler: RequestListener<Q, S>,
  ): RequestListener<Q, S>

  /** Hooks HTTP servers and libraries, before or after they are loaded. The constructor has done so. */
  instrument(what?: boolean | readonly string[]): this
  /** Undoes every hook. */
  uninstrument(): this
  /** What is hooked, and what was seen and is not. */
  readonly hooks: Hook[]

  /** Whether calls are recorded now. Setting it concerns requests that begin later. */
  recording: Recording
  /** Records nothing from now on, until `enable()`. */
  disable(): void
  enable(): void

  /** The requests that go on now, oldest first, each with its open calls only. */
  inFlight(): ProfileData[]
  /**
   * A token for your own staff page, as the value of a `Set-Cookie` header: `who` may look at profiles
   * of `host` for `seconds` (an hour by default, a day at most).
   */
  grant(who: string, options: { host: string; seconds?: number; https?: boolean }): string
  stats(): Stats

  /**
   * Adds a whole number to a counter of your own. It needs no registration; a process has at most 2,000,
   * each name with other labels counted. What is no value, or too much, is counted and said once a minute.
   */
  count(name: string, by?: number | bigint, labels?: Labels): void
  /** Sets a gauge. Of several processes, the value that was set last counts. */
  gauge(name: string, value: number | bigint, labels?: Labels): void
  /** Counts how many milliseconds something took. */
  timing(name: string, milliseconds: number, labels?: Labels): void
  /** Says that something was done to the site: it goes to every sink that takes events. */
  event(what: string, about?: { who?: string; why?: string }): void
  /**
   * A version of the application went live: an event, once for a version, and what is counted from now
   * on is counted under it. Without a version nothing is told, and `onLog` hears of it.
   */
  deploy(version: string | undefined, about?: { what?: string; who?: string; why?: string }): void
  /**
   * Everything counted so far, one for each version of the application. It may wait, blocking, for a
   * second at most: for tests and consoles.
   */
  series(): Series[]
  /**
   * The requests of this process that are kept: by route the slowest first, then those that failed.
   * It may wait likewise: for staff pages.
   */
  kept(): Kept[]
  /** What a scrape reads, by its `Accept` header. Made on a thread of the profiler's. */
  prometheus(accept?: string): Promise<Exposition>
  /**
   * A handler that answers scrapes, GET and HEAD, in OpenMetrics or the text format: for node:http,
   * Express, Koa and Fastify alike. With a path it answers that, and passes everything else on. Nothing of a
   * request's details is in it, so it needs no gate.
   */
  metrics(path?: string): (request: any, response?: any, next?: any) => any

  /**
   * Looks at the flags' files now, instead of within a second; gives what is wrong with them. For
   * programs with `threadless`, and for tests.
   */
  reloadFlags(): string[]

  /** A token for morgan: `morgan.token('ioprofiler', profiler.morgan())`, then `:ioprofiler`. */
  morgan(): (req: IncomingMessage) => string | undefined
  /** A mixin for pino: `pino({ mixin: profiler.pino() })` puts the request's id into each line. */
  pino(): () => object
  /** A format for winston: `format.combine(profiler.winston(), format.json())`, likewise. */
  winston(): { transform(info: any): any }
  /** Opens the access log's file again: after it was moved away. It notices that by itself as well. */
  reopenLogs(): void

  /** Waits, blocking, until what was finished has reached the sinks; at most `within` ms (200). */
  flush(within?: number): boolean
  /** Undoes every hook, flushes, and ends the collector. */
  shutdown(within?: number): boolean
}

/** One unit of work under observation. */
export class Request {
  private constructor()
  /** It does nothing: the profiler could have no further request. */
  readonly isNone: boolean
  readonly isRecording: boolean
  readonly id: string

  /** Runs a function in this request; what it starts asynchronously stays in it. */
  run<A extends unknown[], T>(fn: (...args: A) => T, ...args: A): T
  /** A function that runs in this request whenever it is called. */
  bind<F extends (...args: any[]) => unknown>(fn: F): F

  /** The route's template: `/listing/:id`, never the raw path. */
  setRoute(route: string): this
  setUser(user: string | number): this
  /** The browser's id. */
  setVisitor(visitor: string): this
  /** One more group of the user; at most 64. */
  addGroup(group: string): this
  /** Who looks at the profile. */
  setViewer(viewer: string): this
  setError(error: unknown): this
  /** Sets a note for the log: a named value. The last one wins. */
  note(name: string, value: NoteValue): this
  note(notes: Record<string, NoteValue>): this
  /** Whether a flag is on in this request. `fallback` answers where no file names it. */
  flag(name: string, fallback?: boolean): boolean
  /** The variant that a flag is in. */
  variant(name: string, fallback?: boolean): string
  /** State, variant and reason of a flag; with `who`, for somebody else than the request's own. */
  decide(name: string, fallback?: boolean, who?: Who): Decision
  /** The data that the file gives the variant which a flag is in. */
  flagData(name: string, who?: Who): unknown
  /** Why a flag is what it is, rule by rule. It is no exposure. */
  explain(name: string): string
  /** As `dark()`, in this request. */
  dark<T>(name: string, work: () => T): Ran<T>
  /** One more thing that flags may be bucketed by. Before a flag is first asked for. */
  setAttribute(name: string, value: string | number | boolean): this
  /** From now on it goes by the newest flags: for requests that last long. */
  refreshFlags(): this
  /** The compact note as it is now, in the profiler's `noteFormat`; undefined without one. */
  compactNote(): string | undefined
  /** The answer's first byte leaves: later calls are marked. */
  firstByte(status?: number): void

  /** What it has done so far. Any number of times. */
  snapshot(): Profile
  /** Ends it, once; gives its profile. */
  finish(status?: number, bytes?: number): Profile
  /** Ends it: the client left. */
  abort(status?: number, bytes?: number): Profile
  /** Ends it without making a profile: the cheapest. */
  end(status?: number, bytes?: number, aborted?: boolean): void
  /** Begins a job that knows this request as its parent, and outlives it. */
  detach(name: string): Request
}

export interface ProfileCall {
  category: string
  kind: 'leaf' | 'scope'
  target?: string
  detail: string
  /** The detail's whole length in bytes, where it was cut. */
  detail_cut_from?: number
  start_ns: number
  duration_ns: number
  outcome: 'ok' | 'error' | 'cancelled' | 'open'
  hits?: number
  misses?: number
  rows?: number
  bytes?: number
  /** The index in `calls` of the scope it happened in. */
  parent?: number
  caller?: { file: string; line: number }
  /** Part of dark work. */
  dark?: boolean
  after_answer: boolean
  lane: number
}

export interface ProfileCategory {
  category: string
  kind: 'leaf' | 'scope'
  calls: number
  time_ns: number
  self_ns: number
  errors: number
  cancelled: number
  open: number
  hits: number
  misses: number
  rows: number
  bytes: number
}

/** A profile as plain data: the format of `Profile.json()`, of which these are the main fields. */
export interface ProfileData {
  format: 'ioprofiler.profile'
  /** 1: stable, fields are only added. */
  version: number
  id: string
  parent_id?: string
  state: 'live' | 'finished' | 'aborted' | 'abandoned'
  started_at: string
  page_ns: number
  app_ns: number
  facts: Record<string, any>
  categories: ProfileCategory[]
  calls: ProfileCall[]
  recorded: boolean
  unlisted: number
  limit?: string
  [further: string]: any
}

/** What a request has done so far, or did. It never changes. */
export class Profile {
  private constructor()
  readonly data: ProfileData
  /** The call list and the table. Holds SQL and keys. */
  text(): string
  /** As text, with fingerprints for details: what may be pasted anywhere. */
  ticket(): string
  json(): string
  /** The panel as a page of its own. */
  html(): string
  /** The value of a `Server-Timing` header. */
  serverTiming(): string
  /** A trace file for Perfetto and speedscope. */
  trace(): string
  toJSON(): ProfileData
  /** How many calls of a category there were, listed or not; without one, of all. */
  calls(category?: string): number
  /** Fails with the text table where the calls of a category are not as many as they should be. */
  assertCalls(category: string, expected: number | { min?: number; max?: number }): this
}

/** One timed call. */
export class Span {
  private constructor()
  /** It does nothing: there is no request, or its calls are not recorded. */
  readonly isNone: boolean
  /** How many keys were found. */
  hits(count: number): this
  /** How many keys were not found. */
  misses(count: number): this
  /** How many rows were returned or changed. */
  rows(count: number): this
  /** How many bytes were read or written. */
  bytes(count: number): this
  /** Replaces the detail by what is known only afterwards: `Cache HIT, keys: …`. */
  detail(detail: Detail): this
  /** Which server or file the call goes to, where that is more than the category says. */
  target(target: string): this
  /** It fails, though it ends without an exception. */
  error(): this
  /** Runs a function inside this call, as if it had been begun around it. */
  run<T>(fn: () => T): T
  /** Ends it, the first time. */
  end(outcome?: 'ok' | 'error' | 'cancelled'): void
  /** Ends it: for `using`. */
  [Symbol.dispose](): void
}

/** What a call was. Anything but a string is made one; undefined is empty. At most 8 KiB are kept. */
export type Detail = string | number | bigint | boolean | null | undefined | object

/** How details are written, and so how their literals are found for fingerprints. */
export type Dialect = 'generic' | 'mysql' | 'postgresql' | 'sqlite' | 'keys' | 'path'

/** A category that knows its number: the cheapest to begin a span with. */
export class Category {
  private constructor()
  readonly name: string
}

/** A category, made once, at start. The kind and dialect of a name's first use hold. */
export function category(name: string, options?: { kind?: 'leaf' | 'scope'; dialect?: Dialect }): Category

/**
 * Times a call of the running request: I/O, which contains no other. Runs the function and gives what
 * it gives; where that is a promise, the call ends when it is settled. Thrown and rejected are the
 * outcome `error` (an `AbortError`: `cancelled`), and are passed on.
 *
 * Outside a request it only runs the function.
 */
export function span<T>(category: string | Category, detail: Detail, fn: (call: Span) => T): T
export function span<T>(category: string | Category, fn: (call: Span) => T): T
/** A call that is ended by hand, or by `using`. */
export function span(category: string | Category, detail?: Detail): Span

/** As `span`, of a template or a function: what runs inside happens in it. */
export function scope<T>(category: string | Category, detail: Detail, fn: (call: Span) => T): T
export function scope<T>(category: string | Category, fn: (call: Span) => T): T
export function scope(category: string | Category, detail?: Detail): Span

/** What a flag resolved to, and why. */
export interface Decision {
  state: 'off' | 'on' | 'dark'
  /** `on` or `off` where the flag has no variants, `dark` where it is dark. */
  variant: string
  /** `killed`, `shed`, `override`, `user`, `group`, `on`, `percent`, `dark`, `off`, `no_unit`, `not_found`, `error`. */
  reason: string
  /** The group that decided, where one did. */
  group?: string | null
}

/** Somebody whom a flag is asked about: a user's id, or what is known of them. */
export type Who =
  | string
  | number
  | {
      user?: string | number
      visitor?: string
      groups?: Iterable<string>
      attributes?: Record<string, string | number | boolean>
    }

/**
 * Whether a flag is on for the running request's visitor and user (`current()?.setUser(…)`). It is
 * decided once in a request; what was read, and only that, is in the profile and in the log, with how
 * often. `fallback` answers where no file names the flag, or it is broken. Outside a request, what is
 * killed, shed or on for all is so too, and a percentage is off.
 */
export function flag(name: string, fallback?: boolean): boolean
/** The variant that a flag is in: `on` or `off` where it has no others, `dark` where it is dark. */
export function variant(name: string, fallback?: boolean): string
/** State, variant and reason; with `who`, for somebody else than the running request's own. */
export function decide(name: string, fallback?: boolean, who?: Who): Decision
/** The data that the file gives the variant which a flag is in; undefined where it gives none. */
export function flagData(name: string, who?: Who): unknown
/** Why a flag is what it is, rule by rule, with the bucket. It is no exposure. */
export function explain(name: string): string

/** Whether work ran: of work that gives a promise, once that is settled. */
export type Ran<T> = T extends PromiseLike<unknown> ? false | Promise<true> : boolean

/**
 * Runs new code beside the old, unseen, where its flag is dark: `dark = 30` in the file. Its calls are
 * marked, what it gives is dropped, what it throws or rejects is swallowed and counted, and its time is
 * a row of its own. `false` where the flag is not dark, and nothing ran.
 */
export function dark<T>(name: string, work: () => T): Ran<T>

/** What a note may be; anything else is made a string, and null and undefined are passed over. */
export type NoteValue = string | number | boolean | null | undefined

/** Sets a note on the running request, for its line in the log; or several. */
export function note(name: string, value: NoteValue): void
export function note(notes: Record<string, NoteValue>): void

/**
 * Adds to a counter of your own, as `Profiler.count`: of the running request's profiler, or of the first
 * one of this thread. Without one it does nothing. So do these four.
 */
export function count(name: string, by?: number | bigint, labels?: Labels): void
export function gauge(name: string, value: number | bigint, labels?: Labels): void
export function timing(name: string, milliseconds: number, labels?: Labels): void
export function event(what: string, about?: { who?: string; why?: string }): void
export function deploy(version: string | undefined, about?: { what?: string; who?: string; why?: string }): void

/** The request that the running code is in. */
export function current(): Request | undefined

/** Runs a function in a request of the first profiler; gives its result and the profile. For tests. */
export function record<T>(fn: (request: Request) => T | PromiseLike<T>): Promise<{ result: T; profile: Profile }>
