//! What a command switched, as events: written down once, for whoever is sent events.

use ioprofiler::collect::record;

use super::files::{Loaded, state_dir};
use super::given::Given;
use super::note;

/// Writes down what is other than before, where a `state_dir` is known. Gives what is to be said where
/// that failed; the switch itself is done by then.
pub(super) fn tell(before: &Loaded, after: &Loaded, given: &Given) -> String {
    let Some(folder) = state_dir(given.state_dir.as_ref()) else {
        return String::new();
    };
    let by = note::who(given.by.as_deref());
    for event in before.reading.document.switched(&after.reading.document) {
        let mut event = event.who(&by);
        if let Some(reason) = &given.reason {
            event = event.why(reason);
        }
        if let Err(error) = record(&folder, &event) {
            return format!("no event is written down: {error}\n");
        }
    }
    String::new()
}
