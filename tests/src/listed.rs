//! What `examples/monitoring/SERIES.md` says, read as a script would read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The folder of what operators are given.
#[must_use]
pub fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring")
}

/// The rows of the first table below a headline.
///
/// # Panics
/// When the list is not there, or has no such headline.
#[must_use]
pub fn table(headline: &str) -> Vec<Vec<String>> {
    let part = part(headline);
    let rows = part.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// The names of the list below a headline.
///
/// # Panics
/// As [`table`].
#[must_use]
pub fn names(headline: &str) -> Vec<String> {
    let part = part(headline);
    let names = part.lines().filter_map(|line| line.strip_prefix("- `"));
    names
        .map(|name| name.trim_end_matches('`').to_owned())
        .collect()
}

fn part(headline: &str) -> String {
    let path = monitoring().join("SERIES.md");
    let list = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, part) = list
        .split_once(headline)
        .unwrap_or_else(|| panic!("no {headline}"));
    part.split("\n#").next().unwrap_or_default().to_owned()
}

/// The words of a cell that stand in backticks.
#[must_use]
pub fn in_ticks(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Each name that Prometheus is shown, with the labels of its own.
#[must_use]
pub fn in_prometheus() -> BTreeMap<String, BTreeSet<String>> {
    let mut names = BTreeMap::new();
    for row in table("# Every series") {
        let (Some(cell), Some(labels)) = (row.get(4), row.get(3)) else {
            continue;
        };
        let shown = in_ticks(cell);
        let first = shown.first().copied().unwrap_or_default();
        for (at, ending) in shown.iter().enumerate() {
            let name = match first.strip_suffix("_bucket") {
                Some(before) if at != 0 => format!("{before}{ending}"),
                _ => first.to_owned(),
            };
            let mut labels: BTreeSet<String> = labels
                .split(", ")
                .filter(|label| !label.is_empty())
                .map(str::to_owned)
                .collect();
            if name.ends_with("_bucket") {
                labels.insert("le".to_owned());
            }
            names.insert(name, labels);
        }
    }
    names
}
