//! Where series, events and kept requests are sent.
//!
//! Each is a feature of the crate, so that an application carries only what it sends by. What is
//! sent is listed in [`METRICS`](crate::collect::series::METRICS).

pub use crate::collect::sink::destination::Destination;
#[cfg(feature = "ganglia")]
pub use crate::collect::sink::ganglia::Ganglia;
#[cfg(feature = "graphite")]
pub use crate::collect::sink::graphite::Graphite;
#[cfg(feature = "otlp")]
pub use crate::collect::sink::otlp::Otlp;
#[cfg(feature = "prometheus")]
pub use crate::collect::sink::prometheus::{Exposition, Prometheus};
#[cfg(feature = "statsd")]
pub use crate::collect::sink::statsd::{Statsd, StatsdDialect, StatsdTimings};
#[cfg(feature = "webhook")]
pub use crate::collect::sink::webhook::Webhook;
