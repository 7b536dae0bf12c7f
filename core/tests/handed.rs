//! Calls that a host recorded on its own side, seen from outside.

use ioprofiler::category::{self, Dialect};
use ioprofiler::handed::{HandOver, HandedSpan, Tick};
use ioprofiler::handle::{RequestHandle, Site, SpanHandle};
use ioprofiler::profile::Limit;
use ioprofiler::{
    CategoryId, Counts, Facts, Kind, MemorySink, Outcome, ProfileData, Profiler, ProfilerBuilder,
    Record, State,
};
use std::time::Duration;

fn db() -> CategoryId {
    category::intern("dbshard01", Kind::Leaf, Dialect::MySql)
}

fn template() -> CategoryId {
    category::intern("template", Kind::Scope, Dialect::Path)
}

fn begin(builder: ProfilerBuilder) -> RequestHandle {
    let profiler = builder.build().expect("these options are right");
    RequestHandle::new(profiler.begin(&Facts::web("GET", "/listing/5773453")))
}

fn desk(request: RequestHandle) -> HandOver {
    request.hand_over().expect("it is open and recorded")
}

fn finish(request: RequestHandle) -> ProfileData {
    request.request().finish(200, 0).data().clone()
}

fn call(detail: &[u8]) -> HandedSpan<'_> {
    let start = Tick::now();
    HandedSpan::new(db(), detail, start).ended(Tick::now(), Outcome::Ok)
}

fn rows(rows: u32) -> Counts {
    let mut counts = Counts::default();
    counts.rows = Some(rows);
    counts
}

#[test]
fn what_was_handed_over_reads_as_if_it_had_been_recorded_here() {
    let request = begin(Profiler::builder());
    let taken = desk(request);
    let page = taken.append(&HandedSpan::new(template(), b"listing.html", Tick::now()));
    let failed = HandedSpan::new(db(), b"SELECT 1", Tick::now())
        .parent(page)
        .target(b"db07:3306")
        .site(Site::intern("shop/views.js", 41))
        .counts(rows(3))
        .ended(Tick::now(), Outcome::Error);
    taken.append(&failed);
    drop(taken);
    page.end_at(Tick::now(), Outcome::Ok);
    let profile = finish(request);
    assert_eq!(profile.spans.len(), 2);
    assert_eq!(profile.spans[0].outcome, Outcome::Ok);
    assert_eq!(profile.spans[0].kind, Kind::Scope);
    let query = &profile.spans[1];
    assert_eq!((query.category, query.parent), ("dbshard01", Some(0)));
    assert_eq!(query.detail, "SELECT 1");
    assert_eq!(query.target.as_deref(), Some("db07:3306"));
    assert_eq!(query.outcome, Outcome::Error);
    assert_eq!(query.counts.rows, Some(3));
    let caller = query.caller.expect("it was named");
    assert_eq!((caller.file, caller.line), ("shop/views.js", 41));
    assert_eq!(profile.totals[1].errors, 1);
}

#[test]
fn a_leaf_in_a_leaf_is_one_call() {
    let request = begin(Profiler::builder());
    let taken = desk(request);
    let start = Tick::now();
    let outer = taken.append(&HandedSpan::new(db(), b"find listing", start));
    taken.append(&call(b"SELECT 1").part_of(outer));
    drop(taken);
    outer.end_at(Tick::now(), Outcome::Ok);
    let profile = finish(request);
    assert_eq!(profile.spans.len(), 1);
    assert_eq!(profile.spans[0].detail, "SELECT 1");
    assert_eq!(profile.totals[0].calls, 1);
}

#[test]
fn totals_stay_exact_past_the_limits() {
    let request = begin(Profiler::builder().max_spans(10));
    let taken = desk(request);
    for _ in 0..25 {
        taken.append(&call(b"SELECT 1").counts(rows(2)));
    }
    let open = taken.append(&HandedSpan::new(db(), b"SELECT 2", Tick::now()));
    drop(taken);
    open.end_at(Tick::now(), Outcome::Error);
    let profile = finish(request);
    assert_eq!((profile.spans.len(), profile.unlisted), (10, 16));
    assert_eq!(profile.limit, Some(Limit::Spans));
    let total = &profile.totals[0];
    assert_eq!((total.calls, total.rows), (26, 50));
    assert_eq!((total.errors, total.open), (1, 0));
}

#[test]
fn a_detail_that_the_host_has_cut_keeps_its_whole_length() {
    let request = begin(Profiler::builder());
    let taken = desk(request);
    taken.append(&call(&[b'a'; 100]).cut_from(1_000_000));
    taken.append(&call(&[b'b'; 20_000]));
    taken.append(&call(b"whole").cut_from(5));
    drop(taken);
    let spans = finish(request).spans;
    assert_eq!(spans[0].detail.len(), 100);
    assert_eq!(spans[0].detail_cut_from, Some(1_000_000));
    assert_eq!(spans[1].detail.len(), 8_192);
    assert_eq!(spans[1].detail_cut_from, Some(20_000));
    assert_eq!(
        (spans[2].detail.as_str(), spans[2].detail_cut_from),
        ("whole", None)
    );
}

#[test]
fn a_finished_profile_takes_calls_in_until_it_is_read() {
    let request = begin(Profiler::builder());
    let early = call(b"SELECT 1");
    let profile = request.request().finish(200, 0);
    profile
        .hand_over()
        .expect("nobody has read it")
        .append(&early);
    assert_eq!(profile.spans.len(), 1);
    assert!(profile.hand_over().is_none(), "it never changes once read");
}

#[test]
fn ended_stale_and_unrecorded_requests_take_nothing_in() {
    let request = begin(Profiler::builder());
    finish(request);
    assert!(request.hand_over().is_none());
    assert!(RequestHandle::NONE.hand_over().is_none());
    assert!(RequestHandle::from_bits(u64::MAX).hand_over().is_none());
    let off = begin(Profiler::builder().record(Record::Off));
    assert!(off.hand_over().is_none());
    assert!(off.request().finish(200, 0).hand_over().is_none());
    SpanHandle::from_bits(u64::MAX).end_at(Tick::now(), Outcome::Ok);
}

#[test]
fn a_host_knows_beforehand_whether_a_sink_wants_the_profile() {
    assert!(
        !begin(Profiler::builder())
            .request()
            .is_wanted(State::Finished, Some(200))
    );
    let memory = MemorySink::new(10);
    let kept = memory.clone();
    let profiler = Profiler::builder()
        .sink(move || memory.clone())
        .threadless(true)
        .build()
        .expect("these options are right");
    let request = RequestHandle::new(profiler.begin(&Facts::job("mail")));
    assert!(request.request().is_wanted(State::Finished, None));
    desk(request).append(&call(b"SELECT 1"));
    finish(request);
    assert!(profiler.flush(Duration::from_secs(5)));
    assert_eq!(kept.profiles()[0].spans.len(), 1);
}

#[test]
fn calls_that_only_the_host_saw_are_counted() {
    let profiler = Profiler::builder()
        .build()
        .expect("these options are right");
    let request = profiler.begin(&Facts::web("GET", "/"));
    let before = profiler.stats();
    ioprofiler::handed::count_missed(3, 2);
    let after = profiler.stats();
    assert!(after.calls_outside >= before.calls_outside + 3);
    assert!(after.late_spans >= before.late_spans + 2);
    assert!(request.finish(200, 0).calls_outside >= 3);
}

#[test]
fn a_log_that_names_no_calls_does_not_want_them() {
    for (format, wanted) in [("%r %{user_id}n %D", false), ("%r %{calls}n", true)] {
        let format = ioprofiler::LogFormat::parse(format).expect("it is right");
        let log = ioprofiler::AccessLog::file("/dev/null", format);
        let builder = Profiler::builder().access_log(log).threadless(true);
        let request = begin(builder).request();
        assert_eq!(request.is_wanted(State::Finished, Some(200)), wanted);
    }
}

#[test]
fn the_first_byte_may_have_left_before_it_is_told() {
    let request = begin(Profiler::builder());
    let left = Tick::now();
    let desk = desk(request);
    let early = HandedSpan::new(db(), b"early", Tick::from_bits(left.to_bits() - 1));
    desk.append(&early.ended(left, Outcome::Ok));
    desk.append(&call(b"late"));
    drop(desk);
    request.first_byte_at(left);
    request.first_byte_at(Tick::now());
    let data = finish(request);
    let marks: Vec<bool> = data.spans.iter().map(|span| span.after_answer).collect();
    assert_eq!(marks, [false, true]);
    assert!(data.app_ns <= data.page_ns);
    RequestHandle::NONE.first_byte_at(left);
    request.first_byte_at(left);
}
