//! The instance: options in, requests out.

mod logs;

use crate::clock::Clock;
use crate::collect::options::{CollectorOptions, MetricsOptions};
use crate::collect::sink::access_log::{AccessLog, Control};
use crate::collect::{Collector, Log, LogEvent, Sink, SinkKind};
use crate::error::Error;
use crate::facts::Facts;
use crate::flags::source::{FlagFiles, Source};
use crate::flags::{Flags, Snapshot, Store};
use crate::fork::Forever;
use crate::gate::{Gate, Refusal};
use crate::lane::context;
use crate::lane::process::{self, Process};
use crate::lane::slot::{Allowance, Held, Slot};
use crate::log_format::NoteFormat;
use crate::profile::{Hook, ProfileData, RequestKind, State};
use crate::request::{Profile, Request, What, build};
use crate::stats::Stats;
use crate::{clock, fork};
pub use logs::WantedHeaders;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Whether calls are recorded. Notes and flags work all the same.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Record {
    /// Of every request: a page cannot feel it, and the slow ones are already there.
    #[default]
    Always,
    /// Of those that asked for their profile.
    Asked,
    /// Of none.
    Off,
}

impl Record {
    /// From `always`, `asked` or `off`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "always" => Ok(Self::Always),
            "asked" => Ok(Self::Asked),
            "off" => Ok(Self::Off),
            _ => Err(Error::new(format!(
                "record: {text:?} is not one of \"always\", \"asked\", \"off\""
            ))),
        }
    }
}

/// A profiler: what a process, or one application in it, records with. Cheap to clone.
///
/// Its options live as long as the process, so make one at start, not one a request.
#[derive(Clone, Debug)]
pub struct Profiler {
    pub(crate) shared: &'static Shared,
}

/// What all clones of a profiler share. Leaked: it survives forks, and nothing in it moves.
pub(crate) struct Shared {
    pub(crate) number: u32,
    pub(crate) options: Options,
    pub(crate) host: String,
    record: AtomicU8,
    /// What `record` was before `disable()`.
    before_disable: AtomicU8,
    hooks: parking_lot::Mutex<Vec<Hook>>,
    keys: RandomState,
    pub(crate) collector: Collector,
    pub(crate) flags: Store,
    pub(crate) source: Option<Source>,
    refused: [AtomicU64; Refusal::ALL.len()],
    lost_facts: AtomicU64,
    /// The second in which a page last swept.
    swept_at: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profiler")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) allowance: Allowance,
    pub(crate) gate: Gate,
    pub(crate) build_id: Option<String>,
    pub(crate) note_format: Option<NoteFormat>,
    pub(crate) access_logs: Vec<(AccessLog, Arc<Control>)>,
    wanted: WantedHeaders,
    max_live: u32,
    request_ttl: Duration,
    job_ttl: Duration,
}

/// Profilers are found by number, since a slot can keep no reference that its next use would not
/// have to replace at some cost.
const MAX_PROFILERS: usize = 1_024;
static PROFILERS: [Forever<Shared>; MAX_PROFILERS] = [const { Forever::empty() }; MAX_PROFILERS];
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Makes a [`Profiler`]. Every option has a default that is right for production.
pub struct ProfilerBuilder {
    record: Record,
    gate: Gate,
    build_id: Option<String>,
    clock: Clock,
    max_spans: u32,
    max_detail_bytes: u32,
    max_memory: usize,
    max_live_requests: u32,
    request_ttl: Duration,
    job_ttl: Duration,
    threadless: bool,
    pub(crate) flag_files: FlagFiles,
    sinks: Vec<SinkKind>,
    access_logs: Vec<AccessLog>,
    note_format: Option<NoteFormat>,
    log: Option<Log>,
    pub(crate) metrics: MetricsOptions,
}

impl std::fmt::Debug for ProfilerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProfilerBuilder")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

impl Default for ProfilerBuilder {
    fn default() -> Self {
        Self {
            record: Record::Always,
            gate: Gate::closed(),
            build_id: None,
            clock: Clock::System,
            max_spans: 2_000,
            max_detail_bytes: 256 << 10,
            max_memory: 64 << 20,
            max_live_requests: 10_000,
            request_ttl: Duration::from_secs(15 * 60),
            job_ttl: Duration::from_secs(24 * 60 * 60),
            threadless: false,
            flag_files: FlagFiles::default(),
            sinks: Vec::new(),
            access_logs: Vec::new(),
            note_format: None,
            log: None,
            metrics: MetricsOptions::default(),
        }
    }
}

impl ProfilerBuilder {
    /// Whether calls are recorded. Default: always.
    #[must_use]
    pub fn record(mut self, record: Record) -> Self {
        self.record = record;
        self
    }

    /// Who may see a profile. Default: nobody.
    #[must_use]
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// The application's build, shown in profiles.
    #[must_use]
    pub fn build_id(mut self, build: impl Into<String>) -> Self {
        self.build_id = Some(build.into());
        self
    }

    /// The clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Calls that one request lists; further ones are only counted. Default 2,000.
    #[must_use]
    pub fn max_spans(mut self, spans: u32) -> Self {
        self.max_spans = spans;
        self
    }

    /// Bytes of details that one request keeps; further details are left out. Default 256 KiB.
    #[must_use]
    pub fn max_detail_bytes(mut self, bytes: u32) -> Self {
        self.max_detail_bytes = bytes;
        self
    }

    /// Bytes that all live requests of the process keep; past it calls are only counted. Default
    /// 64 MiB.
    #[must_use]
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Requests that live at once; past it there is [`Request::none`]. Default 10,000.
    #[must_use]
    pub fn max_live_requests(mut self, requests: u32) -> Self {
        self.max_live_requests = requests;
        self
    }

    /// After so long an unfinished page is abandoned. Default 15 minutes.
    #[must_use]
    pub fn request_ttl(mut self, ttl: Duration) -> Self {
        self.request_ttl = ttl;
        self
    }

    /// As [`ProfilerBuilder::request_ttl`], for jobs and commands. Default 24 hours.
    #[must_use]
    pub fn job_ttl(mut self, ttl: Duration) -> Self {
        self.job_ttl = ttl;
        self
    }

    /// Starts no thread: finished profiles reach the sinks in [`Profiler::flush`].
    #[must_use]
    pub fn threadless(mut self, threadless: bool) -> Self {
        self.threadless = threadless;
        self
    }

    /// One more place that finished profiles go to. It is made anew in each process that uses it,
    /// so that a child of a fork never shares a socket or a lock with its parent.
    #[must_use]
    pub fn sink<S: Sink>(mut self, make: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.sinks.push(SinkKind {
            make: Box::new(move || Box::new(make())),
            wants: S::wants,
            reads_calls: true,
        });
        self
    }

    /// Where the profiler says what went wrong, once a minute and kind. Called by the collector's
    /// thread, or by whoever flushes; never by a page.
    #[must_use]
    pub fn on_log(mut self, log: impl Fn(&LogEvent) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for log in &self.access_logs {
            log.check()?;
        }
        self.metrics.check(self.threadless)?;
        let range = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::new(format!(
                "{name}: {value} is not between {least} and {most}"
            )))
        };
        range("max_spans", self.max_spans.into(), 1, 1_000_000)?;
        range("max_detail_bytes", self.max_detail_bytes.into(), 0, 1 << 30)?;
        range("max_memory", self.max_memory as u64, 1 << 20, 1 << 40)?;
        range(
            "max_live_requests",
            self.max_live_requests.into(),
            1,
            process::MAX_SLOTS as u64,
        )?;
        range(
            "request_ttl (in ms)",
            as_millis(self.request_ttl),
            1,
            86_400_000 * 365,
        )?;
        range(
            "job_ttl (in ms)",
            as_millis(self.job_ttl),
            1,
            86_400_000 * 365,
        )
    }

    /// Makes the profiler. No thread, no socket yet, and no file but those of the flags.
    ///
    /// # Errors
    /// An option is out of its range, an access log's file cannot be opened, `state_dir` cannot be
    /// made or is open to others, a flags file is wrong and
    /// [`flags_required`](Self::flags_required) is set, or a process has 1,024 profilers already.
    pub fn build(mut self) -> Result<Profiler, Error> {
        self.check()?;
        let wanted = WantedHeaders::of(&self.access_logs, self.note_format.as_ref());
        let access_logs = self.take_access_logs();
        self.clock.start();
        self.metrics.build_id = self.build_id.clone();
        self.metrics.state_dir = self.flag_files.prepare_state_dir()?;
        let (source, mut look) = self.flag_files.open()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = PROFILERS.get(number as usize).ok_or_else(|| {
            Error::new(format!(
                "a process has at most {MAX_PROFILERS} profilers: make one at start"
            ))
        })?;
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            number,
            options: Options {
                allowance: Allowance {
                    spans: self.max_spans,
                    bytes: self.max_detail_bytes,
                    memory: self.max_memory,
                },
                gate: self.gate,
                build_id: self.build_id,
                note_format: self.note_format,
                access_logs,
                wanted,
                max_live: self.max_live_requests,
                request_ttl: self.request_ttl,
                job_ttl: self.job_ttl,
            },
            host: if clock::is_manual() {
                "web0022".to_owned()
            } else {
                fork::host_name()
            },
            record: AtomicU8::new(self.record as u8),
            before_disable: AtomicU8::new(self.record as u8),
            hooks: parking_lot::Mutex::new(Vec::new()),
            keys: RandomState::new(),
            collector: Collector::new(CollectorOptions {
                sinks: self.sinks,
                log: self.log,
                threadless: self.threadless,
                looks: source.is_some(),
                metrics: self.metrics,
            }),
            flags: Store::of_source(&mut look),
            source,
            refused: [const { AtomicU64::new(0) }; Refusal::ALL.len()],
            lost_facts: AtomicU64::new(0),
            swept_at: AtomicU64::new(0),
        }));
        place.replace(shared);
        if shared.source.is_some() {
            shared.flags.looked();
        }
        static FORGOTTEN: fn(&'static Slot, u32) = Shared::forgotten;
        process::on_forgotten(&FORGOTTEN);
        let _ = process::process();
        if shared.options.gate.is_everyone() {
            let event = LogEvent::new(
                "gate",
                "the gate is open to everyone: whoever asks sees this process's SQL",
            );
            shared.collector.log(shared, event);
        }
        shared.say_of_flags(look.events);
        Ok(Profiler { shared })
    }
}

fn as_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Profiler {
    /// Options.
    #[must_use]
    pub fn builder() -> ProfilerBuilder {
        ProfilerBuilder::default()
    }

    /// Begins a request. Never fails: where none can be had it gives [`Request::none`], and counts.
    pub fn begin(&self, facts: &Facts<'_>) -> Request {
        Request::begin(self.shared, facts)
    }

    /// Who may see a profile.
    #[must_use]
    pub fn gate(&self) -> &'static Gate {
        &self.shared.options.gate
    }

    /// Whether calls are recorded now.
    #[must_use]
    pub fn record(&self) -> Record {
        self.shared.mode()
    }

    /// Changes it, for requests that begin from now on.
    pub fn set_record(&self, record: Record) {
        self.shared.record.store(record as u8, Ordering::Relaxed);
    }

    /// Records nothing from now on, until [`Profiler::enable`].
    pub fn disable(&self) {
        let before = self
            .shared
            .record
            .swap(Record::Off as u8, Ordering::Relaxed);
        if before != Record::Off as u8 {
            self.shared.before_disable.store(before, Ordering::Relaxed);
        }
    }

    /// Records again as before [`Profiler::disable`].
    pub fn enable(&self) {
        let before = self.shared.before_disable.load(Ordering::Relaxed);
        self.shared.record.store(before, Ordering::Relaxed);
    }

    /// The flags, outside of any request.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags {
            profiler: self.shared,
        }
    }

    /// Replaces the flags, for requests that begin from now on; gives what they were. See
    /// [`Flags::set`].
    pub fn set_flags(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.flags().set(snapshot)
    }

    /// The requests that live now, oldest first, each with its open calls only.
    #[must_use]
    pub fn in_flight(&self) -> Vec<ProfileData> {
        self.shared.oldest_in_flight(usize::MAX).1
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::collect(self.shared)
    }

    /// Says that a library's calls are recorded, or were seen and are not.
    pub fn hook(&self, hook: Hook) {
        let mut hooks = self.shared.hooks.lock();
        match hooks.iter_mut().find(|known| known.name == hook.name) {
            Some(known) => *known = hook,
            None => hooks.push(hook),
        }
    }

    /// Somebody asked for a profile and may not see it. Counted, and logged once a minute and
    /// reason; the answer stays as it is.
    pub fn refused(&self, reason: Refusal) {
        if let Some(counter) = self.shared.refused.get(reason.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.collector.wake_later(self.shared);
    }

    /// Waits until all profiles that were finished before this call have reached the sinks.
    /// `false` when the time is over first.
    pub fn flush(&self, within: Duration) -> bool {
        self.shared.collector.flush(self.shared, within)
    }

    /// Flushes, and ends the collector's thread. Later profiles reach no sink, and are counted.
    pub fn shutdown(&self, within: Duration) -> bool {
        self.shared.collector.shutdown(self.shared, within)
    }
}

/// The profilers of this process, in the order in which they were made.
pub(crate) fn each() -> impl Iterator<Item = &'static Shared> {
    let made = NEXT.load(Ordering::Relaxed) as usize;
    PROFILERS.iter().take(made).filter_map(Forever::get)
}

impl Shared {
    #[inline]
    pub(crate) fn of_slot(slot: &Slot) -> Option<&'static Self> {
        PROFILERS
            .get(slot.owner.load(Ordering::Relaxed) as usize)?
            .get()
    }

    #[inline]
    fn mode(&self) -> Record {
        match self.record.load(Ordering::Relaxed) {
            0 => Record::Always,
            1 => Record::Asked,
            _ => Record::Off,
        }
    }

    #[inline]
    pub(crate) fn records(&self, facts: &Facts<'_>) -> bool {
        match self.mode() {
            Record::Always => true,
            Record::Asked => facts.asked,
            Record::Off => false,
        }
    }

    #[inline]
    pub(crate) fn take_slot(&'static self) -> Option<(&'static Process, &'static Slot)> {
        let process = process::process()?;
        if process.in_use() >= self.options.max_live as usize {
            if self.may_sweep() {
                self.sweep(process);
            }
            if process.in_use() >= self.options.max_live as usize {
                process
                    .counters
                    .refused_live
                    .fetch_add(1, Ordering::Relaxed);
                return None;
            }
        }
        let slot = process.take_slot();
        if slot.is_none() {
            process
                .counters
                .refused_memory
                .fetch_add(1, Ordering::Relaxed);
        }
        Some((process, slot?))
    }

    /// Once a second: a page that finds no place must not look at all of them each time.
    fn may_sweep(&self) -> bool {
        let now = clock::coarse_seconds();
        let last = self.swept_at.load(Ordering::Relaxed);
        now != last
            && self
                .swept_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Abandons requests that nobody finished in time.
    #[cold]
    pub(crate) fn sweep(&'static self, process: &'static Process) {
        process.retry_limbo();
        let scale = clock::Scale::now();
        for held in self.live_requests() {
            let job = held
                .slot
                .facts()
                .is_some_and(|facts| facts.kind() != RequestKind::Web);
            let ttl = if job {
                self.options.job_ttl
            } else {
                self.options.request_ttl
            };
            let age = scale.between(held.slot.begun_at.load(Ordering::Relaxed), scale.ticks());
            let generation = held.slot.generation();
            if u128::from(age) > ttl.as_nanos() && held.slot.end(generation, State::Abandoned) {
                drop(self.ended(&held, State::Abandoned));
            }
        }
    }

    /// The live requests of this profiler, held.
    pub(crate) fn live_requests(&self) -> impl Iterator<Item = Held> {
        let process = process::existing();
        process
            .into_iter()
            .flat_map(Process::each_slot)
            .filter_map(move |slot| {
                let generation = slot.generation();
                if !slot.is_live(generation) || slot.owner.load(Ordering::Relaxed) != self.number {
                    return None;
                }
                slot.hold(generation, process?)
            })
    }

    /// How many requests live now, and the oldest of them, oldest first, each with its open calls
    /// only.
    pub(crate) fn oldest_in_flight(&'static self, most: usize) -> (u64, Vec<ProfileData>) {
        let mut live: Vec<Held> = self.live_requests().collect();
        live.sort_by_key(|held| held.slot.begun_at.load(Ordering::Relaxed));
        let count = live.len() as u64;
        live.truncate(most);
        let scale = clock::Scale::now();
        let data = |held: &Held| build(held, self, &scale, scale.ticks(), What::Open);
        (count, live.iter().map(data).collect())
    }

    /// A request has just ended: counts it, and offers it to the collector. Gives the hold that an
    /// open request has on itself, to be dropped or kept.
    pub(crate) fn ended(&'static self, held: &Held, how: State) -> Option<Held> {
        let process = process::existing()?;
        process.count_end(how);
        self.collector.offer(self, held, how);
        Some(Held::adopt(held.slot, process.generation))
    }

    /// The last handle of an open request was dropped.
    fn forgotten(slot: &'static Slot, generation: u32) {
        let (Some(shared), Some(process)) = (Self::of_slot(slot), process::existing()) else {
            return;
        };
        if let Some(held) = slot.hold(generation, process)
            && slot.end(generation, State::Abandoned)
        {
            drop(shared.ended(&held, State::Abandoned));
        }
    }

    pub(crate) fn profile(&'static self, held: Held) -> Profile {
        Profile::finished(held, self)
    }

    pub(crate) fn hooks(&self) -> Vec<Hook> {
        // Not waited for: in a child of a fork the lock may have been held for ever.
        self.hooks
            .try_lock()
            .map(|hooks| hooks.clone())
            .unwrap_or_default()
    }

    pub(crate) fn calls_outside(&self) -> u64 {
        context::with(context::ThreadContext::flush_outside);
        process::existing().map_or(0, |now| now.counters.outside.load(Ordering::Relaxed))
    }

    pub(crate) fn pid(&self) -> u32 {
        if clock::is_manual() {
            4_711
        } else {
            std::process::id()
        }
    }

    pub(crate) fn random(&self, of: &impl Hash) -> u64 {
        self.keys.hash_one(of)
    }

    #[cold]
    pub(crate) fn count_lost_fact(&self) {
        self.lost_facts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost_facts(&self) -> u64 {
        self.lost_facts.load(Ordering::Relaxed)
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Refusal::ALL
            .iter()
            .copied()
            .zip(self.refused.iter().map(count))
    }
}
