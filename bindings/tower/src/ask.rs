//! Whether this request asked for its profile, and what the gate says: at begin, or later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::{request, response};
use ioprofiler::gate::{Answer, Form, Gate, Inputs, Verdict, conditional_headers};
use ioprofiler::{Profiler, Request};

/// The host's own gate: see [`IoprofilerLayer::gate`](crate::IoprofilerLayer::gate).
pub(crate) type Predicate = Arc<dyn Fn(&Asking<'_>) -> bool + Send + Sync>;

/// A request that asks for its profile, shown to the host's own gate.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    request: &'a request::Parts,
    response: &'a response::Parts,
    live: &'a Request,
}

impl<'a> Asking<'a> {
    /// The head of the request as it came to the layer, with the extensions that it had there.
    #[must_use]
    pub fn request(&self) -> &'a request::Parts {
        self.request
    }

    /// The head of the handler's answer, with its extensions: where middleware inside can leave
    /// word of who was logged in.
    #[must_use]
    pub fn response(&self) -> &'a response::Parts {
        self.response
    }

    /// The request under observation, with the user and the groups that the application has set.
    pub fn live(&self) -> &'a Request {
        self.live
    }
}

/// A request that asked, and was not refused yet.
pub(crate) struct Asked {
    form: Form,
    verdict: Verdict,
    /// The request's head, kept only where the host's gate may be asked.
    head: Option<Box<request::Parts>>,
}

impl Asked {
    /// What the gate says at begin. Refusals are counted here, and are `None` like not asking.
    pub(crate) fn at_begin(
        profiler: &Profiler,
        gate: &Gate,
        has_predicate: bool,
        head: &request::Parts,
        inputs: &Inputs<'_>,
    ) -> Option<Self> {
        let asked = gate.asked(inputs, unix_seconds())?;
        let ask_later = asked.verdict.is_undecided() && (has_predicate || gate.wants_flag());
        if let Some(refusal) = asked.verdict.refusal()
            && !ask_later
        {
            profiler.refused(refusal);
            return None;
        }
        let head = (ask_later && has_predicate).then(|| Box::new(copy_of(head)));
        Some(Self {
            form: asked.form,
            verdict: asked.verdict,
            head,
        })
    }

    /// Who looks, where a token said so.
    pub(crate) fn who(&self) -> Option<&str> {
        self.verdict.who()
    }

    /// Takes off what could turn the page that was asked about into a 304 or a part of it. Only
    /// where the gate is open already.
    pub(crate) fn make_unconditional(&self, head: &mut request::Parts) {
        if self.verdict.is_open() {
            make_unconditional(head);
        }
    }

    /// The form to show the profile in, now that there is an answer; asks the host's gate where
    /// that was left to do. A panic in it is a no.
    pub(crate) fn decide(
        self,
        profiler: &Profiler,
        gate: &Gate,
        predicate: Option<&Predicate>,
        response: &response::Parts,
        live: &Request,
    ) -> Option<Form> {
        let mut verdict = gate.ask_flag(self.verdict, live);
        if verdict.is_undecided()
            && let (Some(predicate), Some(head)) = (predicate, &self.head)
        {
            let asking = Asking {
                request: head,
                response,
                live,
            };
            let answer = catch_unwind(AssertUnwindSafe(|| predicate(&asking)));
            verdict = verdict.decide(answer.map_or(Answer::Failed, Answer::from));
        }
        if let Some(refusal) = verdict.refusal() {
            profiler.refused(refusal);
            return None;
        }
        Some(self.form)
    }
}

/// Takes off what could turn an answer into a 304 or a part of it.
pub(crate) fn make_unconditional(head: &mut request::Parts) {
    for name in conditional_headers(head.method.as_str()) {
        head.headers.remove(*name);
    }
}

/// What the viewer wants flags to be, where the gate is open at begin; elsewhere it is counted.
pub(crate) fn flag_overrides(
    profiler: &Profiler,
    gate: &Gate,
    inputs: &Inputs<'_>,
) -> Option<String> {
    match gate.flag_overrides(inputs, unix_seconds())? {
        Ok(overrides) => Some(overrides),
        Err(refusal) => {
            profiler.refused(refusal);
            None
        }
    }
}

/// A copy of a request's head: `Parts` has no constructor of its own.
fn copy_of(head: &request::Parts) -> request::Parts {
    let (mut copy, ()) = http::Request::new(()).into_parts();
    copy.clone_from(head);
    copy
}

fn unix_seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}
