//! Profiles, held for JavaScript until its garbage is collected.

use ioprofiler_core::handed::HandOver;
use ioprofiler_core::render::{Details, html, json, server_timing, text, ticket, trace};
use ioprofiler_core::{Profile, ProfileData};
use napi::bindgen_prelude::External;
use napi_derive::napi;
use std::sync::Arc;

/// What JavaScript's garbage collector is told that a profile weighs: a lane's chunks.
const WEIGHT: usize = 16 << 10;

/// A profile that JavaScript holds: of a request of its own, or one that the collector keeps.
pub struct Held(Of);

enum Of {
    Request(Profile),
    Kept(Arc<ProfileData>),
}

impl Held {
    pub(crate) fn data(&self) -> &ProfileData {
        match &self.0 {
            Of::Request(profile) => profile.data(),
            Of::Kept(data) => data,
        }
    }

    /// Lets calls be handed over, until it is read.
    pub(crate) fn hand_over(&self) -> Option<HandOver> {
        match &self.0 {
            Of::Request(profile) => profile.hand_over(),
            Of::Kept(_) => None,
        }
    }
}

pub(crate) fn held(profile: Profile) -> External<Held> {
    External::new_with_size_hint(Held(Of::Request(profile)), WEIGHT)
}

pub(crate) fn kept(data: Arc<ProfileData>) -> External<Held> {
    External::new(Held(Of::Kept(data)))
}

/// The profile in a form: `text`, `ticket`, `json`, `html`, `server-timing` or `trace`.
#[napi(catch_unwind)]
pub fn profile_render(profile: &External<Held>, form: String) -> String {
    let data = profile.data();
    match form.as_str() {
        "ticket" => ticket(data),
        "json" => json(data, Details::Full),
        "html" => html::page(data),
        "server-timing" => server_timing(data),
        "trace" => trace(data, Details::Full),
        _ => text(data),
    }
}
