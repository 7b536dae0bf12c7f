//! Why a profiler could not be made.

/// A wrong option: which one, what was given, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<crate::gate::GateError> for Error {
    fn from(error: crate::gate::GateError) -> Self {
        Self::new(format!("gate: {error}"))
    }
}
