//! One small file that says what is counted, kept and sent: the same in every language.
//!
//! ```toml
//! stuck_after = "10s"                 # durations: "500ms", "10s", "15m", "2h", "1d", or a number of seconds
//! state_dir = "/var/lib/shop"
//!
//! [keep]
//! slowest = 5
//!
//! [graphite]
//! address = "carbon.example.com:2003"
//! prefix = "shop"
//! ```
//!
//! Options that belong to no table stand first: `metrics`, `stuck_after`, `worker`, `state_dir`.
//! Then a table each: `[keep]`, and every sink under its name. Keys are called as the methods of the
//! options' type are in Rust. What is wrong is said at start, all of it: file, line, column, key, and
//! what is allowed.
//!
//! # A sink's options
//!
//! Options that a file may set say so themselves, one line a key, in the module of the sink:
//!
//! ```text
//! impl Configurable for Graphite {
//!     const NAME: &'static str = "graphite"; // the table, and the cargo feature
//!     const KEYS: &'static [Key<Self>] = &[
//!         Key("address", |graphite, setting| setting.text(&mut graphite.address)),
//!         Key("interval", |graphite, setting| setting.duration(&mut graphite.interval)),
//!     ];
//! }
//! ```
//!
//! and the sink has a line in `tables()` below. [`Setting`] knows what a value may be written as. What a value
//! may *be* is checked in one place for file and code, [`SinkConfig::check`]: it names the option by
//! [`Error::of`]`("graphite.address", why)`, from which the place in the file is found. A sink that
//! may stand in a file several times, as `[[webhook]]`, says `const SEVERAL: bool = true`.

mod json;
mod read;
mod setting;
mod slip;

use super::kept::Keep;
use super::sink::destination::{Destination, SinkConfig};
#[cfg(feature = "prometheus")]
use super::sink::prometheus::Prometheus;
use crate::error::Error;
use crate::profiler::ProfilerBuilder;
use read::{Reader, read_file, read_text};
pub(crate) use setting::{Setting, Taken};
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

/// Options that a file can set.
pub(crate) trait Configurable: Default + 'static {
    /// What the table is called.
    const NAME: &'static str;
    /// Whether it may stand in a file several times.
    const SEVERAL: bool = false;
    /// What may stand in it, in the order in which it is shown.
    const KEYS: &'static [Key<Self>];
}

/// A key, and what sets it.
pub(crate) struct Key<T: 'static>(
    pub(crate) &'static str,
    pub(crate) fn(&mut T, &Setting<'_>) -> Taken,
);

fn names<T: Configurable>() -> Vec<&'static str> {
    T::KEYS.iter().map(|key| key.0).collect()
}

/// A table that a file may have.
struct Table {
    name: &'static str,
    several: bool,
    keys: fn() -> Vec<&'static str>,
    /// Told where the table stands, and what is in it.
    take: fn(&mut ProfilerBuilder, &mut Reader<'_>, usize, &DeTable<'_>),
}

/// The sinks that there are; each is a feature of the crate.
const SINKS: [&str; 6] = [
    "graphite",
    "statsd",
    "ganglia",
    "prometheus",
    "otlp",
    "webhook",
];

/// Those tables that this program knows.
fn tables() -> Vec<Table> {
    vec![
        Table {
            name: Keep::NAME,
            several: false,
            keys: names::<Keep>,
            take: take_keep,
        },
        #[cfg(feature = "graphite")]
        sink::<super::sink::graphite::Graphite>(),
        #[cfg(feature = "statsd")]
        sink::<super::sink::statsd::Statsd>(),
        #[cfg(feature = "ganglia")]
        sink::<super::sink::ganglia::Ganglia>(),
        #[cfg(feature = "otlp")]
        sink::<super::sink::otlp::Otlp>(),
        #[cfg(feature = "webhook")]
        sink::<super::sink::webhook::Webhook>(),
        #[cfg(feature = "prometheus")]
        Table {
            name: Prometheus::NAME,
            several: false,
            keys: names::<Prometheus>,
            take: take_prometheus,
        },
    ]
}

fn sink<S: Configurable + SinkConfig>() -> Table {
    Table {
        name: S::NAME,
        several: S::SEVERAL,
        keys: names::<S>,
        take: take_sink::<S>,
    }
}

fn take_keep(
    builder: &mut ProfilerBuilder,
    reader: &mut Reader<'_>,
    at: usize,
    table: &DeTable<'_>,
) {
    let mut keep = Keep::default();
    reader.set(&mut keep, table);
    if reader.accept(Keep::NAME, at, table, keep.check()) {
        builder.metrics.keep = Some(keep);
    }
}

#[cfg(feature = "prometheus")]
fn take_prometheus(
    builder: &mut ProfilerBuilder,
    reader: &mut Reader<'_>,
    at: usize,
    table: &DeTable<'_>,
) {
    let mut prometheus = Prometheus::default();
    reader.set(&mut prometheus, table);
    if reader.accept(Prometheus::NAME, at, table, prometheus.check()) {
        builder.metrics.prometheus = Some(prometheus);
    }
}

fn take_sink<S: Configurable + SinkConfig>(
    builder: &mut ProfilerBuilder,
    reader: &mut Reader<'_>,
    at: usize,
    table: &DeTable<'_>,
) {
    let mut options = S::default();
    reader.set(&mut options, table);
    if reader.accept(S::NAME, at, table, options.check()) {
        let metrics = &mut builder.metrics;
        let number = metrics.destinations.len();
        metrics.places.insert(number, reader.place(at));
        metrics.destinations.push(Destination(Arc::new(options)));
    }
}

/// What belongs to no table.
impl Configurable for ProfilerBuilder {
    const NAME: &'static str = "";
    const KEYS: &'static [Key<Self>] = &[
        Key("metrics", |builder, setting| {
            setting.switch(&mut builder.metrics.wanted)
        }),
        Key("stuck_after", |builder, setting| {
            setting.duration(&mut builder.metrics.stuck_after)
        }),
        Key("worker", |builder, setting| {
            setting.text(builder.metrics.worker.get_or_insert_default())
        }),
        Key("state_dir", |builder, setting| {
            setting.path(builder.flag_files.state_dir.get_or_insert_default())
        }),
    ];
}

impl ProfilerBuilder {
    /// Reads options from a file in TOML: what is counted, kept and sent. What was set before it
    /// and stands in it, it replaces, and what is set after it replaces that; sinks are added. What
    /// is wrong with the file [`build`](Self::build) says: each line with its place, its key and what
    /// is allowed.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ioprofiler::Profiler;
    /// # let folder = std::env::temp_dir().join(format!("ioprofiler-config-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let file = "/etc/shop/ioprofiler.toml";
    /// # let file = folder.join("ioprofiler.toml");
    /// # std::fs::write(&file, "metrics = true\n[keep]\nduring = '5m'\n")?;
    /// let profiler = Profiler::builder().config_file(&file).build()?;
    /// # drop(profiler);
    /// # std::fs::write(&file, "[keep]\nslowest = 5\nduring = '5 minutes'\n")?;
    /// // … and with a slip in the file:
    /// let error = Profiler::builder().config_file(&file).build().unwrap_err();
    /// assert!(error.to_string().ends_with(
    ///     r#"ioprofiler.toml:3:10: keep.during: "5 minutes" is no duration; write "500ms", "10s", "15m", "2h", "1d" or a number of seconds"#
    /// ));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn config_file(mut self, path: impl AsRef<Path>) -> Self {
        let read = read_file(&mut self, path.as_ref());
        self.with_config(read)
    }

    /// The same as [`config_file`](Self::config_file) of a text: for hosts that keep their configuration
    /// elsewhere. What is wrong is said of `config`, with line and column.
    ///
    /// ```
    /// # fn main() -> Result<(), ioprofiler::Error> {
    /// use ioprofiler::Profiler;
    /// let profiler = Profiler::builder()
    ///     .config_text("metrics = true\n[keep]\nslowest = 3\n")
    ///     .build()?;
    /// # drop(profiler);
    /// let error = Profiler::builder().config_text("[keep]\nslowset = 3").build().unwrap_err();
    /// assert!(error.to_string().starts_with(
    ///     "config:2:1: keep.slowset: unknown; did you mean `slowest`?"
    /// ));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn config_text(mut self, toml: &str) -> Self {
        let read = read_text(&mut self, "config".to_owned(), toml, true);
        self.with_config(read)
    }

    /// The same as [`config_text`](Self::config_text) of an object in JSON, tables of the file being
    /// objects in it: for languages that have the configuration as such. `null` is what is not said.
    ///
    /// ```
    /// # fn main() -> Result<(), ioprofiler::Error> {
    /// use ioprofiler::Profiler;
    /// let profiler = Profiler::builder()
    ///     .config_json(r#"{"keep": {"slowest": 3}, "metrics": true}"#)
    ///     .build()?;
    /// # drop(profiler);
    /// let error = Profiler::builder().config_json(r#"{"keep": {"slowset": 3}}"#).build().unwrap_err();
    /// assert!(error.to_string().starts_with("config: keep.slowset: unknown; did you mean `slowest`?"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn config_json(mut self, json: &str) -> Self {
        let read = json::to_toml(json)
            .map_err(|why| Error::new(format!("config: {why}")))
            .and_then(|toml| read_text(&mut self, "config".to_owned(), &toml, false));
        self.with_config(read)
    }

    /// The first thing that is wrong is kept for [`build`](Self::build) to say.
    fn with_config(mut self, read: Result<(), Error>) -> Self {
        if let Err(wrong) = read {
            self.metrics.config_error.get_or_insert(wrong);
        }
        self
    }
}

#[cfg(all(
    test,
    feature = "graphite",
    feature = "statsd",
    feature = "ganglia",
    feature = "prometheus",
    feature = "otlp",
    feature = "webhook"
))]
mod tests {
    use super::*;
    use crate::render::Details;
    use crate::sinks::{
        Ganglia, Graphite, Otlp, Prometheus, Statsd, StatsdDialect, StatsdTimings, Webhook,
    };
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    fn read(text: &str) -> ProfilerBuilder {
        // Tests run side by side: each reads a file of its own.
        static READ: AtomicU32 = AtomicU32::new(0);
        let number = READ.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "ioprofiler-config-unit-{}-{number}.toml",
            std::process::id()
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let builder = ProfilerBuilder::default()
            .stuck_after(Duration::from_secs(1))
            .config_file(&path);
        std::fs::remove_file(path).unwrap();
        builder
    }

    #[test]
    fn what_a_file_says_is_what_code_says() {
        let mut file = read(
            r#"
            metrics = true
            stuck_after = 7
            worker = "web-1"
            state_dir = "/var/lib/shop"

            [keep]
            slowest = 0x0a
            errors = 2
            during = "5m"
            max_bytes = 1_048_576
            details = "full"

            [graphite]
            address = "carbon.example.com:2003"
            udp = true
            prefix = "shop.web"
            interval = "10s"
            tags = true
            buckets = false
            calls_by_route = false
            events = "http://graphite.example.com/"
            headers = { Authorization = "Basic abc" }

            [statsd]
            address = "127.0.0.1:8125"
            dialect = "dogstatsd"
            prefix = "shop"
            interval = 5
            timings = "gauges"
            samples = 20
            buckets = false
            calls_by_route = true
            max_datagram = 8192
            tags = { env = "production" }

            [ganglia]
            address = "239.2.11.71:8649"
            prefix = "shop"
            interval = "15s"
            buckets = true
            calls_by_route = true
            interface = "10.0.0.7"
            ttl = 3
            spoof = "10.1.2.3:web0022"

            [prometheus]
            leave_out = ["route", "method"]

            [otlp]
            url = "http://collector.example.com:4318"
            service_name = "shop"
            interval = "30s"
            json = true
            gzip = false
            delta = true
            exponential = true
            metrics = true
            traces = false
            logs = false
            [otlp.resource]
            "deployment.environment.name" = "production"
            [otlp.headers]
            X-Key = "abc"

            [[webhook]]
            url = "http://chat.example.com/hooks/xyz"
            [[webhook]]
            url = "http://gateway.example.com/mail"
            on = ["shed", "stuck"]
            template = '{"body": "{{text}}"}'
            at_most = 3
            headers = { Authorization = "Bearer 123" }
            "#,
        );
        let keep = Keep::default()
            .slowest(10)
            .errors(2)
            .during(Duration::from_secs(300))
            .max_bytes(1 << 20)
            .details(Details::Full);
        let graphite = Graphite::to("carbon.example.com:2003")
            .udp(true)
            .prefix("shop.web")
            .interval(Duration::from_secs(10))
            .tags(true)
            .buckets(false)
            .calls_by_route(false)
            .events("http://graphite.example.com/")
            .header("Authorization", "Basic abc");
        let statsd = Statsd::to("127.0.0.1:8125")
            .dialect(StatsdDialect::Dogstatsd)
            .prefix("shop")
            .interval(Duration::from_secs(5))
            .timings(StatsdTimings::Gauges)
            .samples(20)
            .buckets(false)
            .calls_by_route(true)
            .max_datagram(8_192)
            .tag("env", "production");
        let ganglia = Ganglia::to("239.2.11.71:8649")
            .prefix("shop")
            .interval(Duration::from_secs(15))
            .buckets(true)
            .calls_by_route(true)
            .interface([10, 0, 0, 7].into())
            .ttl(3)
            .spoof("10.1.2.3", "web0022");
        let otlp = Otlp::to("http://collector.example.com:4318")
            .service_name("shop")
            .interval(Duration::from_secs(30))
            .json(true)
            .gzip(false)
            .delta(true)
            .exponential(true)
            .traces(false)
            .logs(false)
            .resource("deployment.environment.name", "production")
            .header("X-Key", "abc");
        let mail = Webhook::to("http://gateway.example.com/mail")
            .on(["shed", "stuck"])
            .template(r#"{"body": "{{text}}"}"#)
            .at_most(3)
            .header("Authorization", "Bearer 123");
        let code = ProfilerBuilder::default()
            .metrics(true)
            .stuck_after(Duration::from_secs(7))
            .worker("web-1")
            .state_dir("/var/lib/shop")
            .keep(keep)
            .send_to(ganglia)
            .send_to(graphite)
            .send_to(otlp)
            .send_to(statsd)
            .send_to(Webhook::to("http://chat.example.com/hooks/xyz"))
            .send_to(mail)
            .prometheus(Prometheus::default().leave_out(["route", "method"]));
        assert!(file.metrics.places[&1].ends_with(".toml:14:13"));
        file.metrics.places.clear();
        let place = file.flag_files.state_dir_place.take();
        assert!(place.unwrap().ends_with(".toml:5:25"));
        let shown =
            |builder: &ProfilerBuilder| format!("{:?} {:?}", builder.metrics, builder.flag_files);
        assert_eq!(shown(&file), shown(&code));
    }

    const EXAMPLE: &str = include_str!("../../../../examples/monitoring/ioprofiler.toml");

    #[test]
    fn the_example_says_what_is_usual() {
        let mut file = read(EXAMPLE);
        file.metrics.places.clear();
        let code = ProfilerBuilder::default()
            .keep(Keep::default())
            .prometheus(Prometheus::default())
            .send_to(Graphite::to("carbon.example.com:2003"));
        assert_eq!(format!("{:?}", file.metrics), format!("{:?}", code.metrics));
    }

    #[test]
    fn what_the_example_has_in_comments_is_usual_too_and_all_that_there_is() {
        // A line that is a sentence has a space after the sign.
        let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => key,
            _ => line,
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut file = read(&text);
        assert!(file.metrics.config_error.is_none(), "{file:?}");
        file.metrics.places.clear();
        let code = ProfilerBuilder::default()
            .metrics(true)
            .worker("web-1")
            .keep(Keep::default())
            .prometheus(Prometheus::default())
            .send_to(Ganglia::to("239.2.11.71:8649"))
            .send_to(Graphite::to("carbon.example.com:2003"))
            .send_to(Otlp::to("http://collector.example.com:4318"))
            .send_to(Statsd::to("127.0.0.1:8125"))
            .send_to(Webhook::to("http://chat.example.com/hooks/xyz"));
        assert_eq!(format!("{:?}", file.metrics), format!("{:?}", code.metrics));
        let (tree, _) = DeTable::parse_recoverable(&text);
        for table in tables() {
            let said = tree.get_ref().get(table.name).unwrap().get_ref();
            let said = match said {
                toml::de::DeValue::Array(list) => list[0].get_ref(),
                other => other,
            };
            let said = said.as_table().unwrap();
            // What has no default cannot be shown.
            let optional = [
                "interface",
                "spoof",
                "ca_file",
                "events",
                "headers",
                "tags",
                "resource",
            ];
            let missing: Vec<&str> = (table.keys)()
                .into_iter()
                .filter(|key| !said.contains_key(*key) && !optional.contains(key))
                .collect();
            assert!(missing.is_empty(), "[{}] lacks {missing:?}", table.name);
        }
        for key in names::<ProfilerBuilder>() {
            assert!(tree.get_ref().contains_key(key), "{key} is missing");
        }
    }

    #[test]
    fn each_key_of_a_table_can_be_shown_once() {
        for table in tables() {
            let keys = (table.keys)();
            let different: std::collections::HashSet<_> = keys.iter().collect();
            assert_eq!(different.len(), keys.len(), "{}", table.name);
            assert!(table.name == Keep::NAME || SINKS.contains(&table.name));
        }
    }
}
