//! How a request ends: once, whatever happens first.

use ioprofiler::Request;

/// The duty to end a request. It goes from the handler's future to the answer's body; dropped
/// before the end, the client has left.
#[derive(Debug)]
pub(crate) struct Ending {
    request: Request,
    /// The status of the handler's answer, once there is one.
    status: Option<u16>,
    /// Bytes of the body handed to the server.
    sent: u64,
    over: bool,
}

impl Ending {
    pub(crate) fn new(request: Request) -> Self {
        Self {
            request,
            status: None,
            sent: 0,
            over: false,
        }
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.status = Some(status);
        self.request().set_status(status);
    }

    pub(crate) fn add_sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The whole answer was handed to the server.
    pub(crate) fn finish(&mut self) {
        if !self.over {
            self.over = true;
            self.request.finish(self.status_or_500(), self.sent);
        }
    }

    /// The application failed, in a way that leaves no answer or only the head of one.
    pub(crate) fn fail(&mut self, error: &str) {
        if !self.over {
            self.request.set_error(error);
            self.finish();
        }
    }

    /// Nobody wants the rest.
    fn abort(&mut self) {
        if !self.over {
            self.over = true;
            self.request.abort(self.status, self.sent);
        }
    }

    /// Runs the application's code in the request's context. A panic passes through unchanged; the
    /// request is finished with an error.
    pub(crate) fn observe<R>(&mut self, what: &'static str, code: impl FnOnce() -> R) -> R {
        let request = self.request.clone();
        self.guard(what, || request.run(code))
    }

    /// The same for code that brings its context along.
    pub(crate) fn guard<R>(&mut self, what: &'static str, code: impl FnOnce() -> R) -> R {
        let guard = PanicGuard { ending: self, what };
        let result = code();
        std::mem::forget(guard);
        result
    }

    /// Without an answer, what the server will make of it is most likely this.
    fn status_or_500(&self) -> u16 {
        self.status.unwrap_or(500)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Dropped only by unwinding. Holds nothing of its own, so that forgetting it leaks nothing.
struct PanicGuard<'a> {
    ending: &'a mut Ending,
    what: &'static str,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        self.ending.fail(self.what);
    }
}
