// Compiled by `tsc --strict`, never run: the interface as TypeScript sees it.

import http from 'node:http'
import ioprofiler, {
  Profiler, Profile, Span, category, count, current, dark, decide, deploy, event, explain, flag, flagData, gauge, record, scope, span, timing, variant,
  type Decision, type Exposition, type Kept, type LogEvent, type Series,
} from 'ioprofiler'

const profiler = new Profiler({
  record: 'always',
  gate: ['token', (req) => req.user?.isStaff],
  gateSecret: 'x'.repeat(32),
  onLog: (event: LogEvent) => event.message.length,
  onProfile: (profile: Profile) => profile.text(),
  instrument: ['pg'],
  requestIdHeader: null,
})

const shard = category('dbshard01', { dialect: 'mysql' })
const five: number = span(shard, 'SELECT 5', () => 5)
const six: number = span(shard, () => 6)
const rows: Promise<string[]> = span('db', 'SELECT 1', async (call) => {
  call.rows(1).target('db07').hits(1)
  return ['a']
})
const text: string = scope('template', 'x.html', () => 'html')

function manual(): void {
  using call = span('db', 'SELECT 1')
  const same: Span = call.bytes(5)
  same.end('error')
}

async function job(): Promise<number> {
  const { result, profile } = await record(async () => 5)
  profile.assertCalls('pg', { max: 5 }).assertCalls('redis', 0)
  const request = profiler.begin({ kind: 'job', name: 'mail' })
  const done: number = await request.run(async (number: number) => number, 5)
  request.setRoute('/x').setUser(5).setError(new Error('x'))
  const calls: string[] = request.finish(200, 5).data.calls.map((call) => call.detail)
  current()?.detach('later').end()
  return result + done + calls.length + (await profiler.job('x', () => 5))
}

http.createServer(profiler.listener((req, res) => res.end(req.url)))
const cookie: string = profiler.grant('rasmus', { host: 'etsy.example' })
profiler.recording = 'asked'

const decision: Decision = decide('grid', false, { user: 5, groups: ['staff'], attributes: { plan: 'gold', seats: 3 } })
const flags: [boolean, string, unknown, string] = [flag('new_search', true), variant('grid'), flagData('look', '5'), explain('grid')]
const ran: boolean = dark('new_ranking', () => 5)
const ranLater: false | Promise<true> = dark('new_ranking', async () => 5)
new Profiler({ gate: 'flag:staff' })
const problems: string[] = profiler.reloadFlags()
const version: string | undefined = profiler.stats().flagsVersion

const counting = new Profiler({ configFile: 'ioprofiler.toml', config: { keep: { slowest: 3 }, webhook: [{ url: 'http://chat.example/' }] }, metrics: true })
function counted(): [number, string | undefined] {
  count('registrations')
  counting.count('registrations', 2n, { plan: 'pro', trial: true, from: undefined })
  gauge('queue', 17, { of: 'mail' })
  timing('mail.sent', performance.now())
  event('cache emptied', { who: 'erika', why: 'nonsense' })
  deploy(process.env.GIT_SHA, { what: 'new search' })
  const series: Series[] = counting.series()
  const kept: Kept[] = counting.kept()
  const profile: Profile | undefined = kept[0]?.profile
  const p95: number | null | undefined = series[0]?.samples[0]?.p95
  return [p95 ?? 0, profile?.text()]
}
async function scraped(): Promise<string> {
  const { status, body }: Exposition = await counting.prometheus('text/plain')
  return `${status} ${body}`
}
http.createServer(counting.metrics('/metrics'))
// @ts-expect-error: a count is a number
count('registrations', '1')

// @ts-expect-error: no such mode
profiler.recording = 'sometimes'
// @ts-expect-error: no such option
new Profiler({ recrod: 'always' })
// @ts-expect-error: requests are begun by a profiler
new ioprofiler.Request()
// @ts-expect-error: a dialect that does not exist
category('x', { dialect: 'klingon' })

export { five, six, rows, text, manual, job, cookie, decision, flags, ran, ranLater, problems, version, counted, scraped }
