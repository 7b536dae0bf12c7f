//! Instructions, counted by valgrind: what does not depend on the machine's mood.
//!
//! A count is the difference between two runs that differ only in how much they do, so start-up
//! cancels out. The kernel's instructions are not in it. Valgrind's processor does not promise an
//! invariant counter, so ours reads the system's clock there, where the floor reads the counter.

use crate::contestants::{c_abi, floor, ours, peers};
use crate::harness::{Result, Spread};
use crate::page::server::{self, Layer, Shop};
use crate::spans;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Batches of the shorter and of the longer run; requests likewise.
const BATCHES: [u64; 2] = [50, 150];
const PAGES: [usize; 2] = [100, 300];
/// How often the page is counted: its threads do not do exactly the same each time.
const REPEATS: usize = 3;

/// Prints both tables.
pub(crate) fn report(quick: bool) -> Result<()> {
    print!("{}", spans_and_requests()?);
    if !quick {
        print!("{}", page()?);
    }
    Ok(())
}

fn spans_and_requests() -> Result<String> {
    let mut text = String::new();
    writeln!(text, "\nInstructions (valgrind; kernel not counted)")?;
    for (part, name) in [
        ("spans", floor::FLOOR),
        ("spans", ours::STATIC),
        ("spans", ours::NAMED),
        ("spans", ours::HANDLE),
        ("spans", ours::SCOPES),
        ("spans", ours::OFF),
        ("spans", ours::OUTSIDE),
        ("requests", ours::EMPTY),
        ("requests", ours::EMPTY_FACTS),
        ("spans", peers::PUFFIN),
        ("spans", peers::FASTRACE),
        ("spans", peers::TRACING),
        ("spans", peers::OPENTELEMETRY),
    ] {
        let [short, long] = [
            count(part, name, BATCHES[0])?,
            count(part, name, BATCHES[1])?,
        ];
        let each = (long - short) / (BATCHES[1] - BATCHES[0]) as f64;
        let operations = if part == "spans" {
            crate::contestants::SPANS as f64
        } else {
            1.0
        };
        writeln!(text, "{name:<58}{:>26.1}", each / operations)?;
    }
    Ok(text)
}

/// Runs one contestant in this process, a fixed number of batches.
pub(crate) fn run(part: &str, name: &str, batches: u64) -> Result<()> {
    let set = spans::set(part)?.ok_or("no such part")?;
    let mut one = set
        .into_iter()
        .find(|one| one.name == name)
        .ok_or("no such contestant")?;
    (one.run)(batches);
    Ok(())
}

fn count(part: &str, name: &str, batches: u64) -> Result<f64> {
    let counts = server::target_folder()?.join("ioprofiler-benches.callgrind");
    let mut command = valgrind(&counts);
    command
        .arg(std::env::current_exe()?)
        .args(["--once", part, name, &batches.to_string()]);
    command.env_remove(c_abi::PROGRAM);
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("valgrind {name}: {status}").into());
    }
    total(&counts)
}

/// Instructions of the shop's listing page.
fn page() -> Result<String> {
    let binary = server::build()?;
    let data = server::data_folder()?;
    let mut text = String::new();
    let of_layer = |layer: Layer| -> Result<Vec<f64>> {
        (0..REPEATS)
            .map(|_| page_once(&binary, &data, layer))
            .collect()
    };
    let (without, with) = (of_layer(Layer::Without)?, of_layer(Layer::With)?);
    let (without, with) = (Spread::of(without), Spread::of(with));
    writeln!(
        text,
        "{:<58}{:>26}",
        "listing page without the layer",
        without.to_string()
    )?;
    writeln!(
        text,
        "{:<58}{:>26}",
        "listing page with the layer",
        with.to_string()
    )?;
    let more = (with.median / without.median - 1.0) * 100.0;
    writeln!(text, "{:<58}{more:>+25.2}%", "the layer adds")?;
    Ok(text)
}

fn page_once(binary: &Path, data: &Path, layer: Layer) -> Result<f64> {
    let counts = server::target_folder()?.join("ioprofiler-benches.callgrind");
    let mut totals = [0.0; 2];
    for (total_of, pages) in totals.iter_mut().zip(PAGES) {
        let shop = Shop::start(valgrind(&counts).arg(binary), data, layer)?;
        crate::page::get(&shop, pages)?;
        shop.stop()?;
        *total_of = total(&counts)?;
    }
    Ok((totals[1] - totals[0]) / (PAGES[1] - PAGES[0]) as f64)
}

fn valgrind(counts: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]);
    command.arg(format!("--callgrind-out-file={}", counts.display()));
    command
}

/// The total that callgrind wrote; the file is taken away.
fn total(counts: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(counts)?;
    std::fs::remove_file(counts)?;
    let total = text.lines().find_map(|line| {
        line.strip_prefix("totals:")
            .or_else(|| line.strip_prefix("summary:"))
    });
    Ok(total.ok_or("callgrind wrote no total")?.trim().parse()?)
}
