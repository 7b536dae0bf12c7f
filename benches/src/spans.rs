//! One call: begin and end of a span, ours beside the floor and the peers.

use crate::contestants::{floor, peers};
use crate::harness::{Effort, Result, Samples, measure};
use crate::report::{self, Row};

/// Measures all contestants in this process.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let mut set = vec![floor::floor(), floor::clock()];
    set.extend(peers::peers());
    measure(set, effort)
}

/// The table.
pub(crate) fn report(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("spans", effort, quick)?;
    let mut rows = Vec::new();
    for name in samples.names() {
        rows.push(Row { name: name.to_owned(), target: None });
    }
    report::table("A span, begin and end, with a detail of 79 bytes", &samples, floor::FLOOR, &rows)
}
