//! Why a profiler could not be made.

/// A wrong option: which one, what was given, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
    option: Option<String>,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            option: None,
        }
    }

    /// Of an option, `graphite.address`: where it stands in a file can be found by this name.
    pub(crate) fn of(option: impl Into<String>, why: impl std::fmt::Display) -> Self {
        let option = option.into();
        Self {
            message: format!("{option}: {why}"),
            option: Some(option),
        }
    }

    pub(crate) fn option(&self) -> Option<&str> {
        self.option.as_deref()
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
