//! What a request says about itself in a log: its notes.

use super::{Request, What, build};
use crate::clock::Scale;
use crate::facts::Late;
use crate::notes::{Note, NoteValue};
use std::sync::atomic::Ordering;

impl Request {
    /// A header of the answer, where a configured format names it
    /// ([`Profiler::wanted_headers`](crate::Profiler::wanted_headers)).
    pub fn answer_header(&self, name: &str, value: impl AsRef<[u8]>) {
        self.set(Late::AnswerHeader(name, value.as_ref()));
    }

    /// Sets a note: a named value for the request's line in the log. The last value of a name
    /// wins. See [`notes`](crate::notes) for what is allowed; what is not is counted
    /// ([`Stats::lost_notes`](crate::Stats::lost_notes)) and otherwise nothing happens.
    ///
    /// ```
    /// # let request = ioprofiler::Request::none();
    /// request.note("user_id", 5020244);
    /// request.note("cart", "3 things");
    /// ```
    #[inline]
    pub fn note<'v>(&self, name: &str, value: impl Into<NoteValue<&'v str>>) {
        if let Some(live) = self.mine() {
            live.held.slot.note(live.generation, name, value.into());
        }
    }

    /// The notes that are set so far, in the order in which their names were: for an application's
    /// own logger. Empty for no request.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let facts = self.mine().and_then(|live| live.held.slot.facts());
        facts.map(|facts| facts.notes.data()).unwrap_or_default()
    }

    /// The compact note of the request as it is now, in the profiler's
    /// [`note_format`](crate::ProfilerBuilder::note_format): for a server's own line, and for a
    /// header. Its calls are read only if the format names what needs them. Nothing where there is
    /// no format, or no request.
    #[must_use]
    pub fn compact_note(&self) -> Option<String> {
        let live = self.mine()?;
        let format = live.profiler.options.note_format.as_ref()?;
        let slot = live.held.slot;
        let scale = Scale::now();
        let until = if slot.is_live(live.generation) {
            scale.ticks()
        } else {
            slot.ended_at.load(Ordering::Relaxed)
        };
        let what = if format.needs_calls() {
            What::All
        } else {
            What::About
        };
        let data = build(&live.held, live.profiler, &scale, until, what);
        Some(format.write(&data))
    }
}
