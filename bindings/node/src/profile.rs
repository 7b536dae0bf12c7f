//! Profiles, held for JavaScript until its garbage is collected.

use ioprofiler_core::Profile;
use napi::bindgen_prelude::External;
use napi_derive::napi;

/// What JavaScript's garbage collector is told that a profile weighs: a lane's chunks.
const WEIGHT: usize = 16 << 10;

/// A profile that JavaScript holds.
pub struct Held(Profile);

impl Held {
    pub(crate) fn profile(&self) -> &Profile {
        &self.0
    }
}

pub(crate) fn held(profile: Profile) -> External<Held> {
    External::new_with_size_hint(Held(profile), WEIGHT)
}

/// The profile in a form: `text`, `ticket`, `json`, `html`, `server-timing` or `trace`.
#[napi(catch_unwind)]
pub fn profile_render(profile: &External<Held>, form: String) -> String {
    let profile = profile.profile();
    match form.as_str() {
        "ticket" => profile.ticket(),
        "json" => profile.json(),
        "html" => profile.html(),
        "server-timing" => profile.server_timing(),
        "trace" => profile.trace(),
        _ => profile.text(),
    }
}
