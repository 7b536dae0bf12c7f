//! The application that is scraped, and clients of it that count what they are told.

use axum::Router;
use axum::extract::{Path as Parameter, Query};
use axum::http::StatusCode;
use axum::routing::get;
use ioprofiler::gate::Gate;
use ioprofiler::{Facts, Outcome, Profiler};
use ioprofiler_tests::workers::{self, Workers};
use ioprofiler_tower::{IoprofilerLayer, Metrics};
use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

/// Serves until it is killed.
pub(crate) fn serve(folder: &Path, listener: TcpListener) {
    let profiler = Profiler::builder()
        .config_file(folder.join("ioprofiler.toml"))
        .state_dir(folder.join("state"))
        .flags([folder.join("flags.toml")])
        .build_id("8c1f")
        .gate(Gate::closed())
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, app(profiler)).await.unwrap();
    });
}

fn app(profiler: Profiler) -> Router {
    let (registering, telling, working, naming) = (
        profiler.clone(),
        profiler.clone(),
        profiler.clone(),
        profiler.clone(),
    );
    Router::new()
        .route("/listing/{id}", get(listing))
        .route("/broken", get(broken))
        .route(
            "/register",
            get(async move |plan| register(&registering, plan)),
        )
        .route("/job", get(async move || job(&working)))
        .route(
            "/deploy",
            get(async move || telling.deploy("8c1f", "erika", "new search")),
        )
        .route("/hostile", get(async move || hostile(&naming)))
        .layer(IoprofilerLayer::new(profiler.clone()))
        .route_service("/metrics", Metrics::new(profiler))
}

async fn listing(Parameter(id): Parameter<String>) -> &'static str {
    let request = ioprofiler::current();
    request.set_visitor(&id);
    for _ in 0..2 {
        drop(ioprofiler::span("dbshard01", "SELECT * FROM listings"));
    }
    ioprofiler::span("memcache_get", "keys: a, b, c, d")
        .hits(3)
        .misses(1);
    request.dark("new_ranking", || {
        if id.ends_with('7') { Err(()) } else { Ok(()) }
    });
    if request.flag("new_search") {
        drop(ioprofiler::span("solr", "q=laptop"));
        "new"
    } else {
        "old"
    }
}

async fn broken() -> StatusCode {
    ioprofiler::span("dbshard01", "SELECT broken").end(Outcome::Error);
    ioprofiler::span("dbshard01", "SELECT slow").end(Outcome::Cancelled);
    StatusCode::INTERNAL_SERVER_ERROR
}

fn register(profiler: &Profiler, Query(query): Query<HashMap<String, String>>) -> &'static str {
    profiler.count("registrations", 1);
    profiler.count(&format!("registrations.by.plan;plan={}", query["plan"]), 1);
    profiler.timing("mail.sent", Duration::from_millis(30));
    profiler.gauge("queue.length", 17.0);
    "registered"
}

fn job(profiler: &Profiler) -> &'static str {
    let job = profiler.begin(&Facts::job("newsletter"));
    job.run(|| drop(ioprofiler::span("smtp", "MAIL FROM")));
    job.finish(0, 0);
    "done"
}

/// Names and labels that try to break the exposition.
pub(crate) const HOSTILE: [&str; 12] = [
    "a\nb",
    "evil\" } 1\nioprofiler_request_live 666\nx{a=\"",
    "back\\slash",
    "\u{0}\u{1}\u{7f}",
    "clay \u{2028} é \u{85} 陶 \u{1f3fa}",
    "# EOF\n# TYPE x counter",
    "le",
    "__name__",
    "ioprofiler_request_live",
    "up",
    "total_total_total",
    "{}=,\"\"",
];

fn hostile(profiler: &Profiler) -> &'static str {
    for (number, name) in HOSTILE.into_iter().enumerate() {
        let request = profiler.begin(&Facts::web("GET", "/"));
        request.set_route(name);
        request.run(|| drop(ioprofiler::span(name, name)));
        let _ = request.flag(name);
        request.finish(200, 0);
        let name = name.replace([';', '='], "_");
        // All kinds of one name: the first use of a name decides, so labels tell them apart.
        profiler.count(&format!("{name};kind=counter"), 1);
        profiler.gauge(&format!("{name};kind=gauge"), number as f64);
        profiler.timing(&format!("{name};kind=timing"), Duration::from_millis(1));
        profiler.count(&format!("labelled;{name}={name}"), 1);
        profiler.timing(
            &format!("labelled.timing;{name}={name}"),
            Duration::from_millis(1),
        );
    }
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.set_route(&"x".repeat(10_240));
    request.finish(200, 0);
    profiler.count(&"x".repeat(10_240), 1);
    "done"
}

/// What clients were told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) new: u64,
    pub(crate) old: u64,
    pub(crate) failed_dark: u64,
    pub(crate) broken: u64,
    pub(crate) registered: u64,
    pub(crate) pro: u64,
    pub(crate) jobs: u64,
    /// Nobody answered: the worker was killed.
    pub(crate) lost: u64,
}

impl Told {
    pub(crate) fn listings(&self) -> u64 {
        self.new + self.old
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.new += other.new;
        self.old += other.old;
        self.failed_dark += other.failed_dark;
        self.broken += other.broken;
        self.registered += other.registered;
        self.pro += other.pro;
        self.jobs += other.jobs;
        self.lost += other.lost;
    }
}

/// Several clients at once, each with so many requests.
pub(crate) fn load(workers: &Workers, clients: u64, requests: u64) -> Told {
    let address = workers.address();
    let mut told = Told::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let address = &address;
                scope.spawn(move || visit(address, client, requests))
            })
            .collect();
        for client in clients {
            told.add(client.join().unwrap());
        }
    });
    told
}

fn visit(address: &str, client: u64, requests: u64) -> Told {
    let mut told = Told::default();
    for number in 0..requests {
        let visitor = client * 7_919 + number;
        let path = match number % 8 {
            0 => "/broken".to_owned(),
            1 => "/register?plan=pro".to_owned(),
            2 => "/register?plan=free".to_owned(),
            3 => "/job".to_owned(),
            _ => format!("/listing/{visitor}"),
        };
        let Some(answer) = workers::get(address, &path, "") else {
            told.lost += 1;
            continue;
        };
        match (answer.status, &*answer.text()) {
            (200, text @ ("new" | "old")) => {
                *if text == "new" {
                    &mut told.new
                } else {
                    &mut told.old
                } += 1;
                told.failed_dark += u64::from(path.ends_with('7'));
            }
            (200, "registered") => {
                told.registered += 1;
                told.pro += u64::from(path.ends_with("pro"));
            }
            (200, "done") => told.jobs += 1,
            (500, _) => told.broken += 1,
            other => panic!("{path}: {other:?}"),
        }
    }
    told
}

/// The folder that workers are started in: flags, and where series go.
pub(crate) fn folder(carbon: u16) -> ioprofiler_tests::servers::Folder {
    let folder = ioprofiler_tests::servers::Folder::new("scraped");
    let _ = folder.file(
        "flags.toml",
        "[flags.new_search]\nenabled = 40\n[flags.new_ranking]\ndark = 100\nenabled = 0\n",
    );
    let _ = folder.file(
        "ioprofiler.toml",
        &format!("stuck_after = \"10s\"\n[prometheus]\n[graphite]\naddress = \"127.0.0.1:{carbon}\"\ninterval = \"1s\"\n"),
    );
    folder
}

/// Takes whatever is sent to it, as carbon would.
pub(crate) fn carbon() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                std::io::copy(&mut stream, &mut std::io::sink())
            });
        }
    });
    port
}
