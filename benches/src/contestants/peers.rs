//! The peers, each set up as its own documentation says for a profile with owned details: the
//! detail is known only at run time, so it must be copied.
//!
//! What a peer does on a background thread is not charged to it, nor is ours to us.

use super::{SPANS, detail};
use crate::harness::Contestant;
use std::borrow::Cow;
use std::hint::black_box;

/// Rows of the table of spans.
pub(crate) const PUFFIN: &str = "puffin 0.20: scope with data";
pub(crate) const FASTRACE: &str = "fastrace 0.7: local span, owned property";
pub(crate) const TRACING: &str = "tracing 0.1: registry and duration layer";
pub(crate) const OPENTELEMETRY: &str = "opentelemetry_sdk 0.33: batch, no-op exporter";

/// All of them.
pub(crate) fn peers() -> Vec<Contestant> {
    vec![
        puffin_scope(),
        fastrace_span(),
        tracing_span(),
        opentelemetry_span(),
    ]
}

/// puffin: a scope with data; one frame is one request.
fn puffin_scope() -> Contestant {
    puffin::set_scopes_on(true);
    Contestant::new(PUFFIN, SPANS as u64, || {
        for _ in 0..SPANS {
            puffin::profile_scope!("dbshard01", detail());
        }
        puffin::GlobalProfiler::lock().new_frame();
    })
}

/// fastrace: local spans with an owned property under a root, a reporter that throws them away.
fn fastrace_span() -> Contestant {
    struct Nowhere;
    impl fastrace::collector::Reporter for Nowhere {
        fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
            drop(black_box(spans));
        }
    }
    fastrace::set_reporter(Nowhere, fastrace::collector::Config::default());
    Contestant::new(FASTRACE, SPANS as u64, || {
        let root = fastrace::Span::root("request", fastrace::collector::SpanContext::random());
        let _parent = root.set_local_parent();
        for _ in 0..SPANS {
            let _span = fastrace::local::LocalSpan::enter_with_local_parent("dbshard01")
                .with_property(|| (Cow::Borrowed("sql"), Cow::Owned(detail().to_owned())));
        }
    })
}

/// tracing: spans of a registry, with a layer that keeps each span's duration and detail.
fn tracing_span() -> Contestant {
    use std::cell::RefCell;
    use std::time::{Duration, Instant};
    use tracing::field::{Field, Visit};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
    use tracing_subscriber::registry::LookupSpan;

    struct Durations;
    struct Begun {
        at: Instant,
        detail: String,
    }
    struct Detail(String);
    thread_local! {
        static ENDED: RefCell<Vec<(Duration, String)>> = const { RefCell::new(Vec::new()) };
    }
    impl Visit for Detail {
        fn record_str(&mut self, _field: &Field, value: &str) {
            self.0.push_str(value);
        }
        fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
    }
    impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Durations {
        fn on_new_span(
            &self,
            attributes: &tracing::span::Attributes<'_>,
            id: &tracing::span::Id,
            context: Context<'_, S>,
        ) {
            let mut visitor = Detail(String::new());
            attributes.record(&mut visitor);
            if let Some(span) = context.span(id) {
                span.extensions_mut().insert(Begun {
                    at: Instant::now(),
                    detail: visitor.0,
                });
            }
        }
        fn on_close(&self, id: tracing::span::Id, context: Context<'_, S>) {
            let begun = context
                .span(&id)
                .and_then(|span| span.extensions_mut().remove::<Begun>());
            if let Some(begun) = begun {
                let ended = (begun.at.elapsed(), begun.detail);
                ENDED.with_borrow_mut(|spans| spans.push(ended));
            }
        }
    }

    let subscriber = tracing_subscriber::registry().with(Durations);
    // A second call finds the first one's; both are the same.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Contestant::new(TRACING, SPANS as u64, || {
        for _ in 0..SPANS {
            let _entered = tracing::info_span!("dbshard01", sql = detail()).entered();
        }
        ENDED.with_borrow_mut(Vec::clear);
    })
}

/// OpenTelemetry: children of an active span through the batch processor, an exporter that throws
/// them away. A queue that overflows drops, which is cheaper than keeping.
fn opentelemetry_span() -> Contestant {
    use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
    use opentelemetry::{Context, KeyValue};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

    #[derive(Debug)]
    struct Nowhere;
    impl SpanExporter for Nowhere {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            drop(black_box(batch));
            Ok(())
        }
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Nowhere)
        .build();
    let tracer = provider.tracer("benches");
    Contestant::new(OPENTELEMETRY, SPANS as u64, move || {
        let _keep = &provider;
        let root = Context::current_with_span(tracer.start("request"));
        let _active = root.attach();
        for _ in 0..SPANS {
            let mut span = tracer.start("dbshard01");
            span.set_attribute(KeyValue::new("db.query.text", detail().to_owned()));
            span.end();
        }
    })
}
