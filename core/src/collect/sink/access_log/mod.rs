//! The access log: a line for each request, to a file, stderr or stdout.
//!
//! The collector's thread formats a line and puts it into a bounded queue; a thread of the
//! log's own writes it, so that a slow disk holds up neither pages nor other sinks. A
//! full queue drops lines, a full disk or a closed pipe loses them; both are counted in
//! [`Stats`](crate::Stats) and reported. A profiler without threads writes when it is flushed.
//!
//! Lines are whole, also where several processes write to one file or pipe: files are appended to,
//! and pipes get at most 4,096 bytes at a time, which is what the system keeps together. A longer
//! line to a pipe is cut.

mod output;
mod queue;

use super::Sink;
use crate::error::Error;
use crate::fork;
use crate::log_format::LogFormat;
use crate::profile::RequestKind;
use crate::request::Profile;
use output::Output;
use queue::Queue;
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An access log: where its lines go, and what they look like.
///
/// In a format of Apache's language there is a line for each page; in JSON for jobs and commands as
/// well.
///
/// ```no_run
/// use ioprofiler::{AccessLog, LogFormat, Profiler};
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let format = LogFormat::parse(r#"%h %l %u %t "%r" %>s %b %{user_id}n %{app_us}n %D"#)?;
/// let profiler = Profiler::builder()
///     .access_log(AccessLog::file("/var/log/shop/access.log", format))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AccessLog {
    target: Target,
    format: LogFormat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    File(PathBuf),
    Stdout,
    Stderr,
    Host,
}

impl AccessLog {
    /// Where its lines go, for people.
    pub(crate) fn place(&self) -> String {
        match &self.target {
            Target::File(path) => path.display().to_string(),
            Target::Stdout => "stdout".to_owned(),
            Target::Stderr => "stderr".to_owned(),
            Target::Host => "the host".to_owned(),
        }
    }

    /// To a file, which is appended to, made where it is not there (readable by owner and group),
    /// and opened again when it was moved away or [`Profiler::reopen_logs`] is called. It may be a
    /// named pipe.
    ///
    /// [`Profiler::reopen_logs`]: crate::Profiler::reopen_logs
    #[must_use]
    pub fn file(path: impl Into<PathBuf>, format: LogFormat) -> Self {
        let target = Target::File(path.into());
        Self { target, format }
    }

    /// To the process's standard output.
    #[must_use]
    pub fn stdout(format: LogFormat) -> Self {
        let target = Target::Stdout;
        Self { target, format }
    }

    /// To the process's standard error.
    #[must_use]
    pub fn stderr(format: LogFormat) -> Self {
        let target = Target::Stderr;
        Self { target, format }
    }

    /// Nowhere: the host writes the line itself, which it gets from
    /// [`Profiler::log_line`](crate::Profiler::log_line).
    #[must_use]
    pub fn by_host(format: LogFormat) -> Self {
        let target = Target::Host;
        Self { target, format }
    }

    /// What its lines look like.
    #[must_use]
    pub fn format(&self) -> &LogFormat {
        &self.format
    }

    /// Whether lines can be written there, as far as that can be seen without writing any.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Target::File(path) = &self.target else {
            return Ok(());
        };
        output::check(path)
            .map_err(|why| Error::new(format!("access_log: {}: {why}", path.display())))
    }

    /// Whether the profiler writes the lines.
    pub(crate) fn is_written(&self) -> bool {
        self.target != Target::Host
    }

    /// The log's part of one process.
    pub(crate) fn sink(&self, control: &Arc<Control>, threadless: bool) -> AccessLogSink {
        control.forget_counts();
        let output = Output::new(self.target.clone(), Arc::clone(control));
        AccessLogSink {
            log: self.clone(),
            longest: output.longest_line(),
            control: Arc::clone(control),
            queue: Arc::new(Queue::default()),
            writing: if threadless {
                Writing::WhenFlushed(output)
            } else {
                Writing::NotYet
            },
            line: Vec::new(),
        }
    }
}

/// What a profiler and its sink of one access log share.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// How often somebody asked to open the file again.
    pub(crate) reopen: AtomicU64,
    pub(crate) written: AtomicU64,
    /// The queue was full.
    pub(crate) dropped: AtomicU64,
    /// They could not be written.
    pub(crate) failed: AtomicU64,
    /// The system's number of the last reason for that.
    error: AtomicI32,
    pub(crate) cut: AtomicU64,
}

impl Control {
    fn said(&self, error: Errno) {
        self.error.store(error.raw_os_error(), Ordering::Relaxed);
    }

    /// Why lines could not be written, the last time.
    pub(crate) fn error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.error.load(Ordering::Relaxed))
    }

    /// A child of a fork counts from zero.
    fn forget_counts(&self) {
        for count in [&self.written, &self.dropped, &self.failed, &self.cut] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// Formats lines, and hands them on.
pub(crate) struct AccessLogSink {
    log: AccessLog,
    /// Bytes that a line may have, its end included.
    longest: usize,
    control: Arc<Control>,
    queue: Arc<Queue>,
    writing: Writing,
    line: Vec<u8>,
}

/// Who writes.
enum Writing {
    /// A thread, which the first line starts: a process that serves nothing has none.
    NotYet,
    ByThread,
    /// Whoever flushes: the profiler has no threads.
    WhenFlushed(Output),
}

/// A profiler without threads writes no later than this, even if nobody flushes.
const HELD_BACK: usize = 64 << 10;

impl AccessLogSink {
    fn start(&mut self) {
        let queue = Arc::clone(&self.queue);
        let mut output = Output::new(self.log.target.clone(), Arc::clone(&self.control));
        let started = fork::spawn_quietly(move || {
            while let Some(lines) = queue.take() {
                output.write(&lines, true);
                queue.done(lines);
            }
        });
        // Where the system gives no thread, the next line tries again.
        if started {
            self.writing = Writing::ByThread;
        }
    }

    fn write_now(&mut self) {
        let Writing::WhenFlushed(output) = &mut self.writing else {
            return;
        };
        let lines = self.queue.take_now();
        if !lines.is_empty() {
            fork::without_sigpipe(|| output.write(&lines, false));
        }
        self.queue.done(lines);
    }
}

impl Sink for AccessLogSink {
    fn take(&mut self, profile: &Profile) {
        let format = &self.log.format;
        if profile.kind() != RequestKind::Web && !format.is_json() {
            return;
        }
        let data = if format.needs_calls() {
            profile.data()
        } else {
            profile.about()
        };
        self.line.clear();
        let cut = format.write_at_most(data, &mut self.line, self.longest - 1);
        self.line.push(b'\n');
        self.control.cut.fetch_add(cut.into(), Ordering::Relaxed);
        if !self.queue.push(&self.line) {
            self.control.dropped.fetch_add(1, Ordering::Relaxed);
        }
        match self.writing {
            Writing::NotYet => self.start(),
            Writing::ByThread => {}
            Writing::WhenFlushed(_) if self.queue.length() > HELD_BACK => self.write_now(),
            Writing::WhenFlushed(_) => {}
        }
    }

    fn flush(&mut self, within: Duration) -> bool {
        match self.writing {
            Writing::WhenFlushed(_) => self.write_now(),
            Writing::NotYet if self.queue.length() > 0 => self.start(),
            Writing::NotYet | Writing::ByThread => {}
        }
        self.queue.wait_until_empty(Instant::now() + within)
    }
}

impl Drop for AccessLogSink {
    fn drop(&mut self) {
        self.queue.close();
    }
}
