//! The shop's listing page, with the layer and without: server CPU time and requests a second.
//!
//! Whether one request in a hundred costs more or less than the next depends on more than the
//! layer: the layout of a process's memory, the neighbours on the machine. So the shop is started
//! afresh several times, each time three at once: with the layer, without it, and without it once
//! more. They take turns of a hundred requests, in an order that changes from turn to turn, as does
//! the order they are started in from start to start. All run on one processor and the client on
//! another, so that threads that hand work to each other do not wander, and both go ahead of
//! whatever else the machine does, where this user may ask for that (root may): then the comparison
//! of like with like is good to a third of a percent, else to two. Each start gives one ratio
//! "with ÷ without", and one "without ÷ without", which shows what the method itself is good for.
//! The interval is Student's over the starts.

mod client;
pub(crate) mod server;

use crate::harness::{Result, Spread, median};
use client::Connection;
use server::{Layer, Shop};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How much to measure.
struct Plan {
    starts: usize,
    turns: usize,
    requests: usize,
    warm_up: usize,
    load: Duration,
}

impl Plan {
    const FULL: Self = Self {
        starts: 12,
        turns: 24,
        requests: 100,
        warm_up: 500,
        load: Duration::from_millis(500),
    };
    const QUICK: Self = Self {
        starts: 2,
        turns: 2,
        requests: 5,
        warm_up: 5,
        load: Duration::from_millis(20),
    };
}

/// Connections that ask at once where requests a second are counted.
const CLIENTS: usize = 4;

/// What one start of the three shops shows. CPU is nanoseconds a request.
struct Start {
    with: f64,
    without: f64,
    without_again: f64,
    rate_with: f64,
    rate_without: f64,
}

/// The table.
pub(crate) fn report(quick: bool) -> Result<String> {
    let plan = if quick { Plan::QUICK } else { Plan::FULL };
    let binary = server::build()?;
    let data = server::data_folder()?;
    let _ahead = server::Ahead::of_others();
    let mut starts = Vec::new();
    for start in 0..plan.starts {
        starts.push(one_start(&plan, &binary, &data, start)?);
    }
    table(&plan, &starts)
}

fn table(plan: &Plan, starts: &[Start]) -> Result<String> {
    let column = |pick: fn(&Start) -> f64| starts.iter().map(pick).collect::<Vec<f64>>();
    let mut text = String::new();
    writeln!(
        text,
        "\nThe shop's listing page: {} starts, {} turns of {} requests each, one keep-alive connection",
        plan.starts, plan.turns, plan.requests
    )?;
    for (name, values) in [
        (
            "server CPU a request, without the layer",
            column(|start| start.without / 1e3),
        ),
        (
            "server CPU a request, with the layer",
            column(|start| start.with / 1e3),
        ),
    ] {
        writeln!(text, "{name:<58}{:>26} µs", Spread::of(values).to_string())?;
    }
    let more = Interval::of(&column(|start| (start.with / start.without).ln()));
    let null = Interval::of(&column(|start| (start.without_again / start.without).ln()));
    let reached = if more.middle < 1.0 {
        "reached"
    } else {
        "MISSED"
    };
    writeln!(
        text,
        "{:<58}{more:>26}  < 1 %: {reached}",
        "CPU the layer adds (95 % interval)"
    )?;
    writeln!(
        text,
        "{:<58}{null:>26}",
        "the same without the layer on either side"
    )?;
    for (name, values) in [
        (
            "requests a second, 4 connections, without the layer",
            column(|start| start.rate_without),
        ),
        (
            "requests a second, 4 connections, with the layer",
            column(|start| start.rate_with),
        ),
    ] {
        writeln!(text, "{name:<58}{:>26}", Spread::of(values).to_string())?;
    }
    Ok(text)
}

/// Starts all three, lets them take turns, stops them.
fn one_start(plan: &Plan, binary: &Path, data: &Path, start: usize) -> Result<Start> {
    let layers = [Layer::With, Layer::Without, Layer::Without];
    let mut shops: [Option<(Shop, Connection, Vec<f64>)>; 3] = [None, None, None];
    for index in order(start) {
        let shop = Shop::start(&mut server::pinned(binary), data, layers[index])?;
        let mut connection = Connection::open(&shop.address, &shop.listing)?;
        connection.pages(plan.warm_up)?;
        shops[index] = Some((shop, connection, Vec::new()));
    }
    for turn in 0..plan.turns {
        for index in order(start + turn) {
            let Some((shop, connection, samples)) = &mut shops[index] else {
                continue;
            };
            // What the change of turns costs is not the page's.
            connection.pages(plan.requests / 10)?;
            let before = shop.cpu_ns()?;
            connection.pages(plan.requests)?;
            samples.push((shop.cpu_ns()? - before) as f64 / plan.requests as f64);
        }
    }
    let shops: Vec<_> = shops.into_iter().flatten().collect();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (rate, (shop, ..)) in rates.iter_mut().zip(&shops) {
            rate.push(requests_a_second(shop, plan.load)?);
        }
    }
    let cpu: Vec<f64> = shops
        .iter()
        .map(|(_, _, samples)| median(samples))
        .collect();
    let [rate_with, rate_without] = rates.map(|rate| median(&rate));
    match cpu[..] {
        [with, without, without_again] => Ok(Start {
            with,
            without,
            without_again,
            rate_with,
            rate_without,
        }),
        _ => Err("three shops make three figures".into()),
    }
}

/// One of the six orders of three.
fn order(which: usize) -> [usize; 3] {
    const ORDERS: [[usize; 3]; 6] = [
        [0, 1, 2],
        [2, 1, 0],
        [1, 2, 0],
        [0, 2, 1],
        [2, 0, 1],
        [1, 0, 2],
    ];
    ORDERS[which % ORDERS.len()]
}

/// Gets the page so many times.
pub(crate) fn get(shop: &Shop, pages: usize) -> Result<()> {
    Connection::open(&shop.address, &shop.listing)?.pages(pages)
}

/// Pages that several clients together get in a while.
fn requests_a_second(shop: &Shop, load: Duration) -> Result<f64> {
    let start = Instant::now();
    let pages = std::thread::scope(|scope| {
        let client = || -> std::result::Result<usize, String> {
            let connection = Connection::open(&shop.address, &shop.listing);
            let mut connection = connection.map_err(|error| error.to_string())?;
            let mut pages = 0;
            while start.elapsed() < load {
                connection.pages(5).map_err(|error| error.to_string())?;
                pages += 5;
            }
            Ok(pages)
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let pages = clients
            .into_iter()
            .map(|client| client.join().unwrap_or(Ok(0)));
        pages.sum::<std::result::Result<usize, String>>()
    })?;
    Ok(pages as f64 / start.elapsed().as_secs_f64())
}

/// A difference in percent, with its 95 % confidence interval.
struct Interval {
    middle: f64,
    half: f64,
}

impl Interval {
    /// Of the logarithms of ratios, by Student's t.
    fn of(logarithms: &[f64]) -> Self {
        let count = logarithms.len() as f64;
        let mean = logarithms.iter().sum::<f64>() / count;
        let squares: f64 = logarithms.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0) / count).sqrt();
        let half = student(logarithms.len().saturating_sub(1)) * deviation;
        Self {
            middle: mean.exp_m1() * 100.0,
            half: half.exp_m1() * 100.0,
        }
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { middle, half } = self;
        out.pad(&format!(
            "{middle:+.2} % [{:+.2}…{:+.2}]",
            middle - half,
            middle + half
        ))
    }
}

/// The two-sided 95 % quantile of Student's t.
fn student(degrees: usize) -> f64 {
    const QUANTILES: [f64; 20] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    ];
    // Past twenty the next smaller one is on the safe side.
    QUANTILES.get(degrees.max(1) - 1).copied().unwrap_or(2.086)
}
