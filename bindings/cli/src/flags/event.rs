//! What a command switched, as events: written down once, for whoever is sent events.

use ioprofiler::collect::record;
use ioprofiler::flags::{FlagSpec, Shed};
use ioprofiler::{Event, EventKind};

use super::change::in_words;
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
    for event in changes(before, after) {
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

fn changes(before: &Loaded, after: &Loaded) -> Vec<Event> {
    let mut events = Vec::new();
    let shed = |loaded: &Loaded| {
        let shed: Option<&Shed> = loaded.reading.document.shed.as_ref();
        shed.map_or_else(|| "none".to_owned(), |shed| shed.from.to_string())
    };
    let (from, to) = (shed(before), shed(after));
    if from != to {
        events.push(Event::new(EventKind::Shed, "").change(&from, &to));
    }
    for flag in after.flags() {
        let enabled = |flag: &FlagSpec| in_words(&flag.enabled);
        let from = before.flag(&flag.name);
        if from.is_some_and(|from| from.enabled == flag.enabled) {
            continue;
        }
        // One that no file that can be read knows, switched all the same.
        let from = from.map_or_else(|| "unknown".to_owned(), enabled);
        events.push(Event::new(EventKind::Flag, &flag.name).change(&from, &enabled(flag)));
    }
    events
}
