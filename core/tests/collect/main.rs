//! What the collector counts, keeps and shares, seen from outside.
#![allow(clippy::print_stdout)] // workers say when they are done

mod kept;
mod own;
mod processes;
mod push;
mod sums;
mod switches;

use ioprofiler::collect::series::{Distribution, Sample, Series, Value};
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// All samples, whichever version they belong to.
fn samples(series: &[Series]) -> impl Iterator<Item = &Sample> {
    series.iter().flat_map(|series| &series.samples)
}

/// The sample of a name and of the values of its labels.
fn find<'a>(series: &'a [Series], name: &str, labels: &[&str]) -> Option<&'a Sample> {
    samples(series).find(|sample| {
        let values = sample.labels.iter().map(|(_, value)| &**value);
        sample.name.as_str() == name && values.eq(labels.iter().copied())
    })
}

fn counter(series: &[Series], name: &str, labels: &[&str]) -> u64 {
    match find(series, name, labels).map(|sample| &sample.value) {
        Some(Value::Counter(count)) => *count,
        None => 0,
        other => panic!("{name} {labels:?} is {other:?}"),
    }
}

fn gauge(series: &[Series], name: &str, labels: &[&str]) -> f64 {
    match find(series, name, labels).map(|sample| &sample.value) {
        Some(Value::Gauge { value, .. }) => *value,
        other => panic!("{name} {labels:?} is {other:?}"),
    }
}

fn distribution(series: &[Series], name: &str, labels: &[&str]) -> Distribution {
    match find(series, name, labels).map(|sample| &sample.value) {
        Some(Value::Distribution(counted)) => counted.clone(),
        None => Distribution::default(),
        other => panic!("{name} {labels:?} is {other:?}"),
    }
}

/// A folder of a test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("iop-collect-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    folder
}

/// The clock of this process is moved by hand, by one test at a time.
fn clock() -> std::sync::MutexGuard<'static, ()> {
    static CLOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    CLOCK
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs a case in a process of its own: in this one time stands still once a test has set the clock by
/// hand, until that or another test moves it.
fn alone(name: &str, case: fn()) {
    const ALONE: &str = "IOPROF_COLLECT_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return case();
    }
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{name}: {}\n{said}\n{}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
}
