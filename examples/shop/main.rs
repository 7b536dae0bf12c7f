//! A small marketplace, profiled: the example to read first.
//!
//!     cargo run --release --example shop -- --port 8080
//!
//! It is an axum application on real parts: listings over two shards, each a database of its own, a
//! cache in front of them, templates that include each other. Nothing needs to be installed: by
//! default the shards are SQLite files and the cache is in this process; `--help` tells how to run
//! it on MySQL, PostgreSQL, memcached.
//!
//! Read on in this order: `pages` (what a page does: no word of profiling), `db`, `cache`,
//! `templates`, `blocking` (the four places where calls are seen).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command tells what it does"
)]

mod blocking;
mod cache;
mod db;
mod goods;
mod market;
mod memcached;
mod mysql;
mod options;
mod pages;
mod pictures;
mod postgres;
mod random;
mod seed;
mod sqlite;
mod stores;
mod templates;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware;
use ioprofiler::gate::{SecretFile, TokenKeys};
use ioprofiler::{Facts, Gate, Profiler, Request};
use ioprofiler_tower::IoprofilerLayer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::{Command, Options};
use crate::pages::App;
use crate::stores::Stores;
use crate::templates::Templates;

#[tokio::main]
async fn main() -> ExitCode {
    let command = options::parse(std::env::args().skip(1), |name| std::env::var(name).ok());
    match command {
        Ok(Command::Help) => {
            println!("{}", options::USAGE);
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            complain(&complaint);
            eprintln!("\n{}", options::USAGE);
            ExitCode::from(2)
        }
        Ok(Command::Serve(options)) => match serve(options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(complaint) => {
                complain(&complaint);
                ExitCode::FAILURE
            }
        },
    }
}

/// Opens the stores, serves until told to stop.
async fn serve(options: Options) -> Result<(), String> {
    let told_to_close = told_to_stop()?;
    let told_to_hurry = told_to_stop()?;
    let address = SocketAddr::new(options.listen, options.port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!(
            "--port {}: cannot listen on {address}: {error}",
            options.port
        )
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let profiler = profiler(&options)?;

    // Work outside any web request is observed too: here the start, which may have to fill the
    // shards.
    let start = match &profiler {
        Some(profiler) => profiler.begin(&Facts::command("start")),
        None => Request::none(),
    };
    let opened = start.wrap(stores::open(&options)).await;
    start.finish(0, 0);
    // Holds the temporary folder, if there is one, until the end.
    let Stores {
        market,
        folder: _folder,
    } = opened?;
    let templates = Templates::new().map_err(|error| format!("{error:#}"))?;
    let app = Arc::new(App { market, templates });

    let mut router = pages::pages(app).layer(middleware::from_fn(pages::who));
    if let Some(profiler) = &profiler {
        router = router.layer(IoprofilerLayer::new(profiler.clone()));
    }
    let router = router.merge(pages::files()); // not under the layer: a style sheet makes no calls
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(told_to_close);
    announce(address, &options);
    let served = tokio::select! {
        served = serving => served.map_err(|error| error.to_string()),
        // A client that does not go away does not keep the shop open.
        () = async { told_to_hurry.await; tokio::time::sleep(PATIENCE).await } => Ok(()),
    };
    if let Some(profiler) = profiler {
        profiler.shutdown(Duration::from_millis(200));
    }
    served
}

/// The profiler, and who may see what it saw.
fn profiler(options: &Options) -> Result<Option<Profiler>, String> {
    if options.without_profiler {
        return Ok(None);
    }
    let gate = match &options.secret {
        None => Gate::everyone(),
        Some(file) => {
            let secret = SecretFile::read(file).map_err(|error| format!("--secret: {error}"))?;
            if let Some(warning) = secret.warning() {
                complain(warning);
            }
            Gate::token(TokenKeys::new(&[secret]).map_err(|error| format!("--secret: {error}"))?)
        }
    };
    Profiler::builder()
        .gate(gate)
        .flags(options.flag_files())
        .build_id(env!("CARGO_PKG_VERSION"))
        .on_log(|event| eprintln!("ioprofiler: {}: {}", event.kind, event.message))
        .build()
        .map(Some)
        .map_err(|error| error.to_string())
}

/// What to try, one address a line.
fn announce(address: SocketAddr, options: &Options) {
    let mut shown = address;
    if address.ip().is_unspecified() {
        shown.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let base = format!("http://{shown}");
    if options.without_profiler {
        println!("The shop is open, without the profiler:\n\n{base}/listing/5773453\n");
        println!("The gate is open to nobody.");
        return;
    }
    println!("The shop is open. A page, and the same page with what it did:\n");
    println!("{base}/listing/5773453");
    println!("{base}/listing/5773453?ioprofiler=1");
    println!("\nThe same as plain text, as text without anybody's data, and as JSON:\n");
    for form in ["text", "ticket", "json"] {
        println!("{base}/listing/5773453?ioprofiler={form}");
    }
    println!(
        "\nA hundred look-ups; a query too many for each listing (N+1); both shards at once; a page"
    );
    println!("that streams; an API:\n");
    println!("{base}/?ioprofiler=1");
    println!("{base}/shop/{}?ioprofiler=1", seed::shop_name(39));
    println!("{base}/search?q=walnut&ioprofiler=1");
    println!("{base}/stream?ioprofiler=text");
    println!("{base}/api/listing/5773453?ioprofiler=text\n");
    let files = options.flag_files();
    if let [_, .., _] = &files[..] {
        println!("To shed what the shop can do without, while it runs, and to take it back:\n");
        let files = files
            .iter()
            .map(|file| format!(" --file {}", file.display()));
        let files = files.collect::<String>();
        for deed in ["shed 7 --reason \"just trying\"", "clear"] {
            println!("cargo run --release --bin ioprofiler -- flags {deed}{files}");
        }
        println!();
    }
    let Some(file) = &options.secret else {
        println!("The gate is open to everyone: whoever reaches this address may see profiles.");
        return;
    };
    println!("To make a token:\n");
    println!(
        "cargo run --release --bin ioprofiler -- token mint --http --who you --host {shown} \
         --secret {}\n",
        file.display()
    );
    println!("The gate is open to holders of a token.");
}

/// How long open connections are waited for when the shop closes.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ends at ctrl-c or at SIGTERM.
fn told_to_stop() -> Result<impl Future<Output = ()> + Send, String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Tells the operator what went wrong, and the profile of the request in which it did.
fn complain(text: &str) {
    ioprofiler::current().set_error(text);
    eprintln!("shop: {text}");
}
