//! May an answer carry a profile, and what is then done to it. The rules are the core's.

use crate::profile::Held;
use ioprofiler_core::gate::{HeaderEdit, open_headers};
use ioprofiler_core::inject::{self, Answer, InlineCode, NotShown};
use ioprofiler_core::render::html::{PanelOptions, panel_with};
use ioprofiler_core::render::{Details, json, text, ticket};
use napi::bindgen_prelude::{Buffer, External};
use napi_derive::napi;

/// The head of an answer.
#[napi(object)]
pub struct NativeAnswer {
    pub method: String,
    pub status: u32,
    /// Names and values in turns.
    pub headers: Vec<String>,
    /// The body's length where it is known beforehand; −1 where not.
    pub length: f64,
    /// The largest body that may be held back.
    pub cap: f64,
    pub buffer_streams: bool,
}

impl NativeAnswer {
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.chunks_exact(2).filter_map(|pair| match pair {
            [name, value] => Some((name.as_str(), value.as_str())),
            _ => None,
        })
    }

    fn status(&self) -> u16 {
        u16::try_from(self.status).unwrap_or(500)
    }

    fn describe(&self, length: Option<u64>) -> Answer<'_> {
        let answer = Answer::new(&self.method, self.status())
            .length(length)
            .cap(self.cap as u64)
            .buffer_streams(self.buffer_streams);
        self.pairs().fold(answer, |answer, (name, value)| {
            answer.header(name, value.as_bytes())
        })
    }

    fn length(&self) -> Option<u64> {
        (self.length >= 0.0).then_some(self.length as u64)
    }

    fn is_endless(&self) -> bool {
        self.pairs().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type") && inject::is_endless(value.as_bytes())
        })
    }
}

/// What can be done with an answer for the form that was asked for: `hold` its body to its end,
/// `replace` it at once because it has no end, or the value of `X-Ioprofiler`.
#[napi(catch_unwind)]
pub fn answer_plan(answer: NativeAnswer, form: String) -> String {
    let plan = if form == "1" {
        inject::may_inject(&answer.describe(answer.length())).map(|_| "hold")
    } else {
        let plan = if answer.is_endless() {
            "replace"
        } else {
            "hold"
        };
        inject::may_replace(&answer.method, answer.status()).map(|()| plan)
    };
    plan.unwrap_or_else(NotShown::header_value).to_owned()
}

/// A page with the panel in it, or the value of `X-Ioprofiler`.
#[napi(object)]
pub struct NativePage {
    pub body: Option<Buffer>,
    pub not_shown: Option<String>,
}

/// The whole page with the panel in it.
#[napi(catch_unwind)]
pub fn answer_page(answer: NativeAnswer, body: Buffer, profile: &External<Held>) -> NativePage {
    let described = answer.describe(Some(body.len() as u64));
    let page = inject::may_inject(&described).and_then(|page| {
        let policies = answer
            .pairs()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-security-policy"))
            .map(|(_, value)| value.as_bytes());
        let options = PanelOptions::default().open(page.is_framed());
        let options = match inject::inline_code(policies) {
            InlineCode::Free => options,
            InlineCode::Nonce(nonce) => options.nonce(nonce),
            InlineCode::Blocked => options.plain(true),
        };
        page.splice(&body, &panel_with(profile.data(), &options))
    });
    match page {
        Ok(body) => NativePage {
            body: Some(body.into()),
            not_shown: None,
        },
        Err(reason) => NativePage {
            body: None,
            not_shown: Some(reason.header_value().to_owned()),
        },
    }
}

/// What takes an answer's place.
#[napi(object)]
pub struct NativeReplacement {
    pub body: String,
    pub content_type: String,
    pub status: u32,
}

/// The profile in place of the answer's body.
#[napi(catch_unwind)]
pub fn answer_replacement(
    profile: &External<Held>,
    form: String,
    status: u32,
) -> NativeReplacement {
    let data = profile.data();
    let (body, content_type) = match form.as_str() {
        "json" => (json(data, Details::Full), "application/json"),
        "ticket" => (ticket(data), "text/plain; charset=utf-8"),
        _ => (text(data), "text/plain; charset=utf-8"),
    };
    let status = inject::replaced_status(u16::try_from(status).unwrap_or(500));
    NativeReplacement {
        body,
        content_type: content_type.to_owned(),
        status: u32::from(status),
    }
}

/// What an open gate does to an answer's headers: `set`, `append` or `remove`, name and value in
/// turns.
#[napi(catch_unwind)]
pub fn answer_open_headers() -> Vec<String> {
    let edits = open_headers().iter().map(|edit| match *edit {
        HeaderEdit::Set(name, value) => ["set", name, value],
        HeaderEdit::Append(name, value) => ["append", name, value],
        HeaderEdit::Remove(name) => ["remove", name, ""],
    });
    edits.flatten().map(str::to_owned).collect()
}

/// Headers that a changed body (`false`) or a replaced one (`true`) must not keep.
#[napi(catch_unwind)]
pub fn answer_stale_headers(replaced: bool) -> Vec<String> {
    let body: &[&str] = if replaced {
        &inject::HEADERS_ABOUT_THE_BODY
    } else {
        &[]
    };
    let names = inject::HEADERS_ABOUT_THE_BYTES.iter().chain(body);
    names.map(|&name| name.to_owned()).collect()
}
