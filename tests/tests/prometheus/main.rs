//! Four processes of one application, scraped as one: by hand, by the parsers of others, and by a real
//! Prometheus, whose answers are compared with what the clients counted.

mod formats;
mod monitoring;
mod scraped;
mod shop;

use ioprofiler_tests::servers::Folder;
use ioprofiler_tests::shop::Answer;
use ioprofiler_tests::workers::{self, Workers};
use std::collections::BTreeMap;

const OPEN: &str =
    "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";

#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn skipped(name: &str) {
    println!("skipped: {name}: it is not installed");
}

/// The part of a worker; in the test run itself there is nothing to play.
#[test]
fn worker() {
    if let Some((folder, listener)) = workers::part() {
        shop::serve(&folder, listener);
    }
}

fn start(folder: &Folder, count: usize) -> Workers {
    Workers::start("worker", &folder.path(""), count)
}

/// All series of a scrape, with their labels as they are written.
type Scrape = BTreeMap<String, f64>;

fn scrape(answer: &Answer) -> Scrape {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let series = rows.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

/// The sum of all series of a name that have these labels.
fn sum(scrape: &Scrape, name: &str, labels: &[&str]) -> f64 {
    let of_name = scrape.iter().filter(|(series, _)| {
        let (found, text) = series.split_once('{').unwrap_or((series, ""));
        found == name && labels.iter().all(|label| text.contains(label))
    });
    of_name.map(|(_, value)| value).sum()
}
