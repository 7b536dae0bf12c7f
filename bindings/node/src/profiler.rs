//! Profilers: by number, since JavaScript holds none of them.

use crate::guard;
use crate::raw::Call;
use crate::request::fields;
use ioprofiler_core::gate::Gate;
use ioprofiler_core::handle::RequestHandle;
use ioprofiler_core::render::{Details, json};
use ioprofiler_core::{
    AccessLog, Facts, Hook, LogEvent, LogFormat, NoteFormat, Profiler, Record, SinkStats,
};
use napi::{Env, Error, Result};
use napi_derive::napi;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// As many as the core has.
const MOST: usize = 1_024;
static PROFILERS: [OnceLock<Entry>; MOST] = [const { OnceLock::new() }; MOST];
/// The next free number, and those whose thread of JavaScript has ended, by their options.
static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers {
    next: 0,
    free: None,
});

struct Numbers {
    next: u32,
    free: Option<HashMap<String, Vec<u32>>>,
}

struct Entry {
    profiler: Profiler,
    record: Record,
    log: Log,
    is_shut_down: AtomicBool,
}

/// What is to be said, until JavaScript comes for it.
type Log = Arc<Mutex<VecDeque<(String, String)>>>;
const MOST_LOGGED: usize = 100;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry(number: u32) -> Option<&'static Entry> {
    PROFILERS.get(number as usize)?.get()
}

pub(crate) fn find(number: u32) -> Option<&'static Profiler> {
    Some(&entry(number)?.profiler)
}

/// What a profiler is made with. What is absent is the core's default.
#[napi(object)]
#[derive(Clone, Debug)]
pub struct NativeOptions {
    pub record: Option<String>,
    pub gate: String,
    pub gate_secrets: Vec<String>,
    pub gate_parameter: Option<String>,
    pub build: Option<String>,
    pub max_spans: Option<u32>,
    pub max_detail_bytes: Option<u32>,
    pub max_memory: Option<f64>,
    pub max_live_requests: Option<u32>,
    pub request_ttl_ms: Option<f64>,
    pub job_ttl_ms: Option<f64>,
    pub threadless: bool,
    pub access_log: Option<NativeAccessLog>,
    /// What stands in compact notes.
    pub note_format: Option<String>,
    /// The files with the flags, later ones over earlier ones.
    pub flags: Vec<String>,
    pub flags_required: bool,
    /// A folder for what outlives the process.
    pub state_dir: Option<String>,
    /// What is counted, kept and sent: a file, and the same as JSON.
    pub config_file: Option<String>,
    pub config: Option<String>,
    /// Counts though nobody is sent anything.
    pub metrics: Option<bool>,
}

/// Where a line for each finished request goes, and how it looks.
#[napi(object)]
#[derive(Clone, Debug)]
pub struct NativeAccessLog {
    /// A path, or `stdout` or `stderr`.
    pub target: String,
    /// Whether the target is a path.
    pub is_file: bool,
    /// In the language of Apache's `LogFormat`, or `json`.
    pub format: String,
}

impl NativeAccessLog {
    fn build(&self) -> Result<AccessLog> {
        let format = if self.format == "json" {
            LogFormat::json()
        } else {
            LogFormat::parse(&self.format).map_err(wrong)?
        };
        Ok(match (self.is_file, self.target.as_str()) {
            (true, path) => AccessLog::file(path, format),
            (false, "stderr") => AccessLog::stderr(format),
            _ => AccessLog::stdout(format),
        })
    }
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::from_reason(error.to_string())
}

fn build(number: u32, options: &NativeOptions) -> Result<Entry> {
    let mut gate = Gate::parse(&options.gate, &options.gate_secrets).map_err(wrong)?;
    if let Some(parameter) = &options.gate_parameter {
        gate = gate.parameter(parameter).map_err(wrong)?;
    }
    let record = match &options.record {
        Some(record) => Record::parse(record).map_err(wrong)?,
        None => Record::default(),
    };
    let log = Log::default();
    let said = Arc::clone(&log);
    let mut builder = Profiler::builder()
        .gate(gate)
        .record(record)
        .threadless(options.threadless)
        .on_log(move |event: &LogEvent| {
            let mut said = lock(&said);
            if said.len() < MOST_LOGGED {
                said.push_back((event.kind.to_owned(), event.message.clone()));
            }
        });
    if number != 0 {
        // Several worker threads of a process, each with a profiler of its own, are told apart.
        builder = builder.worker(format!("{}-{number}", std::process::id()));
    }
    if let Some(file) = &options.config_file {
        builder = builder.config_file(file);
    }
    if let Some(config) = &options.config {
        builder = builder.config_json(config);
    }
    if let Some(metrics) = options.metrics {
        builder = builder.metrics(metrics);
    }
    if let Some(log) = &options.access_log {
        builder = builder.access_log(log.build()?);
    }
    if let Some(format) = &options.note_format {
        builder = builder.note_format(NoteFormat::parse(format).map_err(wrong)?);
    }
    builder = builder
        .flags(&options.flags)
        .flags_required(options.flags_required);
    if let Some(folder) = &options.state_dir {
        builder = builder.state_dir(folder);
    }
    if let Some(build) = &options.build {
        builder = builder.build_id(build);
    }
    if let Some(spans) = options.max_spans {
        builder = builder.max_spans(spans);
    }
    if let Some(bytes) = options.max_detail_bytes {
        builder = builder.max_detail_bytes(bytes);
    }
    if let Some(bytes) = options.max_memory {
        builder = builder.max_memory(bytes as usize);
    }
    if let Some(requests) = options.max_live_requests {
        builder = builder.max_live_requests(requests);
    }
    if let Some(ms) = options.request_ttl_ms {
        builder = builder.request_ttl(milliseconds(ms));
    }
    if let Some(ms) = options.job_ttl_ms {
        builder = builder.job_ttl(milliseconds(ms));
    }
    let profiler = builder.build().map_err(wrong)?;
    Ok(Entry {
        profiler,
        record,
        log,
        is_shut_down: AtomicBool::new(false),
    })
}

fn milliseconds(ms: f64) -> Duration {
    Duration::from_millis(ms as u64)
}

/// A profiler with these options: a new one, or one whose thread of JavaScript has ended. A server
/// that makes a worker for each task would else run out of them.
#[napi(catch_unwind)]
pub fn profiler_new(env: Env, options: NativeOptions) -> Result<u32> {
    let key = format!("{options:?}");
    let mut numbers = lock(&NUMBERS);
    let free = numbers.free.get_or_insert_default();
    let number = match free.get_mut(&key).and_then(Vec::pop) {
        Some(number) => {
            if let Some(entry) = entry(number) {
                entry.profiler.set_record(entry.record);
            }
            number
        }
        None => {
            let number = numbers.next;
            let entry = build(number, &options)?;
            let place = PROFILERS.get(number as usize);
            let place = place.ok_or_else(|| wrong("a process has at most 1,024 profilers"))?;
            drop(place.set(entry));
            numbers.next += 1;
            number
        }
    };
    drop(numbers);
    env.add_env_cleanup_hook((), move |()| {
        if entry(number).is_none_or(|entry| entry.is_shut_down.load(Ordering::Relaxed)) {
            return;
        }
        let mut numbers = lock(&NUMBERS);
        let free = numbers.free.get_or_insert_default();
        free.entry(key).or_default().push(number);
    })?;
    Ok(number)
}

/// `begin(profiler, kind, asked, facts)`: begins a request. `facts` is one string, joined with
/// NULs: method, path, query, scheme, host, protocol, peer, id, traceparent, viewer, overrides of
/// flags, and names and values of headers that log formats name. Answers the handle; 0 is none.
pub(crate) fn begin(call: &Call) {
    call.answer_handle(0);
    let Some(profiler) = find(call.u32(0)) else {
        return;
    };
    call.with_text(3, |joined| {
        let mut given: [Cow<'_, str>; 11] = Default::default();
        let mut all = fields(joined);
        for (place, field) in given.iter_mut().zip(&mut all) {
            *place = field;
        }
        let headers: Vec<Cow<'_, str>> = all.collect();
        let headers: Vec<(&str, &str)> = headers.chunks_exact(2).filter_map(pair).collect();
        let [
            method,
            path,
            query,
            scheme,
            host,
            protocol,
            peer,
            id,
            traceparent,
            viewer,
            overrides,
        ] = &given;
        let mut facts = match call.u32(1) {
            0 => Facts::web(method, path),
            1 => Facts::job(path),
            _ => Facts::command(path),
        };
        if !query.is_empty() {
            facts = facts.query(query);
        }
        if !scheme.is_empty() {
            facts = facts.scheme(scheme);
        }
        if !host.is_empty() {
            facts = facts.host(host);
        }
        if !protocol.is_empty() {
            facts = facts.protocol(protocol);
        }
        if !peer.is_empty() {
            facts = facts.peer(peer);
        }
        if !id.is_empty() {
            facts = facts.id(id);
        }
        if !traceparent.is_empty() {
            facts = facts.traceparent(traceparent);
        }
        if !viewer.is_empty() {
            facts = facts.viewer(viewer);
        }
        if !overrides.is_empty() {
            facts = facts.flag_overrides(overrides);
        }
        let facts = facts.headers(&headers).asked(call.u32(2) != 0);
        let request = profiler.begin(&facts);
        call.answer_handle(RequestHandle::new(request).to_bits());
    });
}

fn pair<'a>(pair: &'a [Cow<'_, str>]) -> Option<(&'a str, &'a str)> {
    match pair {
        [name, value] => Some((name, value)),
        _ => None,
    }
}

/// The headers of requests, or of answers, that log formats name.
#[napi(catch_unwind)]
pub fn profiler_wanted_headers(number: u32, of_answers: bool) -> Vec<String> {
    let Some(wanted) = find(number).map(Profiler::wanted_headers) else {
        return Vec::new();
    };
    let names = if of_answers {
        &wanted.answer
    } else {
        &wanted.request
    };
    names.clone()
}

/// The end of a message about a name that nobody knows: which one was probably meant, or nothing.
#[napi(catch_unwind)]
pub fn did_you_mean(word: String, names: Vec<String>) -> String {
    ioprofiler_core::flags::file::did_you_mean(&word, names.iter().map(String::as_str))
}

/// Whether the compact note names what needs a request's calls.
#[napi(catch_unwind)]
pub fn profiler_note_needs_calls(number: u32) -> bool {
    find(number)
        .and_then(Profiler::note_format)
        .is_some_and(NoteFormat::needs_calls)
}

/// Opens the files of access logs again.
#[napi(catch_unwind)]
pub fn profiler_reopen_logs(number: u32) {
    if let Some(profiler) = find(number) {
        profiler.reopen_logs();
    }
}

/// Whether calls are recorded: `always`, `asked` or `off`.
#[napi(catch_unwind)]
pub fn profiler_record(number: u32) -> String {
    let record = match find(number).map(Profiler::record) {
        Some(Record::Always) => "always",
        Some(Record::Asked) => "asked",
        _ => "off",
    };
    record.to_owned()
}

/// Changes it, for requests that begin from now on.
#[napi(catch_unwind)]
pub fn profiler_set_record(number: u32, record: String) -> Result<()> {
    let record = Record::parse(&record).map_err(wrong)?;
    if let Some(profiler) = find(number) {
        profiler.set_record(record);
    }
    Ok(())
}

/// Says that a library's calls are recorded; with a hint, that they are not.
#[napi(catch_unwind)]
pub fn profiler_hook(number: u32, name: String, hint: Option<String>) {
    if let Some(profiler) = find(number) {
        profiler.hook(match hint {
            None => Hook::hooked(name),
            Some(hint) => Hook::seen(name, hint),
        });
    }
}

/// Waits until what was finished has reached the sinks.
#[napi(catch_unwind)]
pub fn profiler_flush(number: u32, within_ms: f64) -> bool {
    find(number).is_none_or(|profiler| profiler.flush(milliseconds(within_ms)))
}

/// Flushes, and ends the collector's thread.
#[napi(catch_unwind)]
pub fn profiler_shutdown(number: u32, within_ms: f64) -> bool {
    entry(number).is_none_or(|entry| {
        entry.is_shut_down.store(true, Ordering::Relaxed);
        entry.profiler.shutdown(milliseconds(within_ms))
    })
}

/// Something that the operator should know.
#[napi(object)]
pub struct Said {
    pub kind: String,
    pub message: String,
}

/// What there is to say since the last call.
#[napi(catch_unwind)]
pub fn profiler_log(number: u32) -> Vec<Said> {
    let Some(entry) = entry(number) else {
        return Vec::new();
    };
    let said = std::mem::take(&mut *lock(&entry.log));
    said.into_iter()
        .map(|(kind, message)| Said { kind, message })
        .collect()
}

/// A reason for which the gate stayed closed, and how often.
#[napi(object)]
pub struct RefusedCount {
    pub reason: String,
    pub count: f64,
}

/// What happened in this process so far.
#[napi(object)]
pub struct NativeStats {
    pub begun: f64,
    pub finished: f64,
    pub aborted: f64,
    pub abandoned: f64,
    pub live: f64,
    pub memory: f64,
    pub refused_live: f64,
    pub refused_memory: f64,
    pub unlisted: f64,
    pub untimed: f64,
    pub calls_outside: f64,
    pub late_spans: f64,
    pub stale_handles: f64,
    pub busy: f64,
    pub lost_facts: f64,
    pub categories_overflowed: f64,
    pub queued: f64,
    pub queue_dropped: f64,
    pub panics: f64,
    pub lost_notes: f64,
    pub lost_metrics: f64,
    pub lost_events: f64,
    pub log_written: f64,
    pub log_dropped: f64,
    pub log_failed: f64,
    pub log_cut: f64,
    pub exposures_unlisted: f64,
    pub dark_runs: f64,
    pub dark_errors: f64,
    /// As profiles show it; absent without files.
    pub flags_version: Option<String>,
    /// Milliseconds since the Unix epoch; 0: never.
    pub flags_looked_at: f64,
    pub flags_changed_at: f64,
    pub flags_reloads: f64,
    /// Things that are wrong in the files now.
    pub flags_errors: f64,
    pub refused: Vec<RefusedCount>,
    pub sinks: Vec<NativeSinkStats>,
}

/// What became of the values that one sink was given.
#[napi(object)]
pub struct NativeSinkStats {
    pub name: String,
    pub produced: f64,
    pub sent: f64,
    pub dropped: f64,
    pub failures: f64,
    /// Why the last attempt failed; empty where none has.
    pub why: String,
}

/// Counters of this process, and of one profiler.
#[napi(catch_unwind)]
pub fn profiler_stats(number: u32) -> NativeStats {
    let stats = find(number).map(Profiler::stats).unwrap_or_default();
    let count = |count: u64| count as f64;
    NativeStats {
        begun: count(stats.begun),
        finished: count(stats.finished),
        aborted: count(stats.aborted),
        abandoned: count(stats.abandoned),
        live: count(stats.live),
        memory: count(stats.memory),
        refused_live: count(stats.refused_live),
        refused_memory: count(stats.refused_memory),
        unlisted: count(stats.unlisted),
        untimed: count(stats.untimed),
        calls_outside: count(stats.calls_outside),
        late_spans: count(stats.late_spans),
        stale_handles: count(stats.stale_handles),
        busy: count(stats.busy),
        lost_facts: count(stats.lost_facts),
        categories_overflowed: count(stats.categories_overflowed),
        queued: count(stats.queued),
        queue_dropped: count(stats.queue_dropped),
        panics: count(stats.panics) + f64::from(guard::panics()),
        lost_notes: count(stats.lost_notes),
        lost_metrics: count(stats.lost_metrics),
        lost_events: count(stats.lost_events),
        log_written: count(stats.log_written),
        log_dropped: count(stats.log_dropped),
        log_failed: count(stats.log_failed),
        log_cut: count(stats.log_cut),
        exposures_unlisted: count(stats.exposures_unlisted),
        dark_runs: count(stats.dark_runs),
        dark_errors: count(stats.dark_errors),
        flags_version: find(number).and_then(version_of_flags),
        flags_looked_at: count(stats.flags.looked_at / 1_000_000),
        flags_changed_at: count(stats.flags.changed_at / 1_000_000),
        flags_reloads: count(stats.flags.reloads),
        flags_errors: count(stats.flags.errors),
        refused: stats
            .refused
            .iter()
            .map(|(reason, times)| RefusedCount {
                reason: reason.as_str().to_owned(),
                count: count(*times),
            })
            .collect(),
        sinks: stats.sinks.iter().map(sink_stats).collect(),
    }
}

fn sink_stats(sink: &SinkStats) -> NativeSinkStats {
    NativeSinkStats {
        name: sink.name.to_owned(),
        produced: sink.produced as f64,
        sent: sink.sent as f64,
        dropped: sink.dropped as f64,
        failures: sink.failures as f64,
        why: sink.why.clone(),
    }
}

fn version_of_flags(profiler: &Profiler) -> Option<String> {
    let flags = profiler.flags();
    flags.is_used().then(|| flags.snapshot().version_text())
}

/// Looks at the flags' files now; gives what is wrong with them.
#[napi(catch_unwind)]
pub fn profiler_reload_flags(number: u32) -> Vec<String> {
    let problems = find(number).map(Profiler::reload_flags).unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

/// The requests that go on now, each with its open calls only, as JSON.
#[napi(catch_unwind)]
pub fn profiler_in_flight(number: u32) -> Vec<String> {
    let live = find(number).map(Profiler::in_flight).unwrap_or_default();
    live.iter().map(|data| json(data, Details::Full)).collect()
}

/// Records nothing from now on, until it is enabled.
#[napi(catch_unwind)]
pub fn profiler_disable(number: u32) {
    if let Some(profiler) = find(number) {
        profiler.disable();
    }
}

/// Records again.
#[napi(catch_unwind)]
pub fn profiler_enable(number: u32) {
    if let Some(profiler) = find(number) {
        profiler.enable();
    }
}
