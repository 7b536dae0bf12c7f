//! How a request ends: once, whatever happens first.

use ioprofiler::Request;

/// The duty to end a request. It goes from the handler's future to the answer's body; dropped
/// before the end, the client has left.
#[derive(Debug)]
pub(crate) struct Ending {
    request: Request,
    so_far: SoFar,
}

/// How far the answer has come.
#[derive(Debug)]
struct SoFar {
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
            so_far: SoFar {
                status: None,
                sent: 0,
                over: false,
            },
        }
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.so_far.status = Some(status);
        self.request.set_status(status);
    }

    pub(crate) fn add_sent(&mut self, bytes: usize) {
        self.so_far.sent = self.so_far.sent.saturating_add(bytes as u64);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.so_far.sent
    }

    /// The whole answer was handed to the server.
    pub(crate) fn finish(&mut self) {
        self.so_far.finish(&self.request);
    }

    /// The application failed, in a way that leaves no answer or only the head of one.
    pub(crate) fn fail(&mut self, error: &str) {
        self.so_far.fail(&self.request, error);
    }

    /// Runs the application's code in the request's context. A panic passes through unchanged; the
    /// request is finished with an error.
    pub(crate) fn observe<R>(&mut self, what: &'static str, code: impl FnOnce() -> R) -> R {
        let Self { request, so_far } = self;
        let request: &Request = request;
        so_far.guard(request, what, || request.run(code))
    }

    /// The same for code that brings its context along.
    pub(crate) fn guard<R>(&mut self, what: &'static str, code: impl FnOnce() -> R) -> R {
        self.so_far.guard(&self.request, what, code)
    }
}

impl Drop for Ending {
    /// Nobody wants the rest.
    fn drop(&mut self) {
        let SoFar { status, sent, over } = self.so_far;
        if !over {
            self.request.abort(status, sent);
        }
    }
}

impl SoFar {
    fn finish(&mut self, request: &Request) {
        if !self.over {
            self.over = true;
            // Without an answer, what the server will make of it is most likely this.
            request.finish(self.status.unwrap_or(500), self.sent);
        }
    }

    fn fail(&mut self, request: &Request, error: &str) {
        if !self.over {
            request.set_error(error);
            self.finish(request);
        }
    }

    fn guard<R>(&mut self, request: &Request, what: &'static str, code: impl FnOnce() -> R) -> R {
        let guard = PanicGuard {
            so_far: self,
            request,
            what,
        };
        let result = code();
        std::mem::forget(guard);
        result
    }
}

/// Dropped only by unwinding. Holds nothing of its own, so that forgetting it leaks nothing.
struct PanicGuard<'a> {
    so_far: &'a mut SoFar,
    request: &'a Request,
    what: &'static str,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        self.so_far.fail(self.request, self.what);
    }
}
