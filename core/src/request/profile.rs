//! A profile as a host holds it: read when it is first looked at, and then always the same.

use super::{What, build};
use crate::clock::Scale;
use crate::handed::HandOver;
use crate::lane::slot::Held;
use crate::profile::{ProfileData, RequestKind};
use crate::profiler::Shared;
use crate::render;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// What a request has done so far, or did. It never changes.
///
/// The data is built when it is first read; a finished profile that nobody reads costs nothing.
#[derive(Default)]
pub struct Profile {
    held: Option<(Held, &'static Shared)>,
    // Boxed, so that a profile which nobody reads is moved in a few words.
    data: OnceLock<Box<ProfileData>>,
    about: OnceLock<Box<ProfileData>>,
}

impl Profile {
    pub(crate) fn ready(data: ProfileData) -> Self {
        Self {
            held: None,
            data: OnceLock::from(Box::new(data)),
            about: OnceLock::new(),
        }
    }

    pub(crate) fn finished(held: Held, profiler: &'static Shared) -> Self {
        Self {
            held: Some((held, profiler)),
            data: OnceLock::new(),
            about: OnceLock::new(),
        }
    }

    /// The data, built now if this is the first look.
    #[must_use]
    pub fn data(&self) -> &ProfileData {
        self.data.get_or_init(|| self.build(What::All))
    }

    /// The data without its calls: `spans` and `totals` are empty. Of a finished request this
    /// costs a fraction of [`Profile::data`]; where that was built already, it is that, calls
    /// and all.
    #[must_use]
    pub fn about(&self) -> &ProfileData {
        match self.data.get() {
            Some(data) => data,
            None => self.about.get_or_init(|| self.build(What::About)),
        }
    }

    fn build(&self, what: What) -> Box<ProfileData> {
        let Some((held, profiler)) = &self.held else {
            return Box::default();
        };
        let ended_at = held.slot.ended_at.load(Ordering::Relaxed);
        Box::new(build(held, profiler, &Scale::now(), ended_at, what))
    }

    /// Lets calls be handed over that the host recorded before the request ended. `None` once the
    /// data was read, and where calls were not recorded.
    #[must_use]
    pub fn hand_over(&self) -> Option<HandOver> {
        let unread = self.data.get().is_none();
        let (held, _) = self.held.as_ref().filter(|_| unread)?;
        HandOver::of(held.clone(), held.slot.generation())
    }

    /// The call list and the table, as text for a terminal. Holds SQL and keys: for those whom the
    /// gate lets through.
    #[must_use]
    pub fn text(&self) -> String {
        render::text(self.data())
    }

    /// As text with fingerprints for details: what may be pasted anywhere.
    #[must_use]
    pub fn ticket(&self) -> String {
        render::ticket(self.data())
    }

    /// As JSON, with all details; the format is described in [`render::json`](mod@render::json).
    #[must_use]
    pub fn json(&self) -> String {
        render::json(self.data(), render::Details::Full)
    }

    /// The panel as a page of its own.
    #[must_use]
    pub fn html(&self) -> String {
        render::html::page(self.data())
    }

    /// The value of a `Server-Timing` header: at most 20 entries and 1.5 KiB, categories only.
    #[must_use]
    pub fn server_timing(&self) -> String {
        render::server_timing(self.data())
    }

    /// A trace file for Perfetto and speedscope.
    #[must_use]
    pub fn trace(&self) -> String {
        render::trace(self.data(), render::Details::Full)
    }

    /// The kind of request, without building anything.
    #[must_use]
    pub fn kind(&self) -> RequestKind {
        self.held
            .as_ref()
            .and_then(|(held, _)| held.slot.facts())
            .map_or_else(
                || {
                    self.data
                        .get()
                        .map(|data| data.facts.kind)
                        .unwrap_or_default()
                },
                |facts| facts.kind(),
            )
    }
}

impl Deref for Profile {
    type Target = ProfileData;

    fn deref(&self) -> &ProfileData {
        self.data()
    }
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Profile").field(self.data()).finish()
    }
}
