//! Words and options of a command line, taken one by one; what is wrong is said with what is
//! allowed.

use std::ffi::OsString;

use lexopt::{Arg, Parser};

/// Why nothing was done.
pub(crate) enum Wrong {
    /// The command was called wrongly.
    Usage(String),
    /// It was called rightly, and failed.
    Failed(String),
}

impl From<lexopt::Error> for Wrong {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// The rest of a command line.
pub(crate) struct Options {
    parser: Parser,
    help: bool,
    version: bool,
}

/// The next thing on it.
pub(crate) enum Next {
    /// `--name`; its value is still to be taken.
    Option(String),
    /// A plain word.
    Word(OsString),
}

impl Options {
    pub(crate) fn from_arguments() -> Self {
        Self {
            parser: Parser::from_env(),
            help: false,
            version: false,
        }
    }

    /// The word that says what to do; nothing at the end or at `--help`.
    pub(crate) fn word(&mut self) -> Result<Option<String>, Wrong> {
        match self.parser.next()? {
            Some(Arg::Value(word)) => Ok(Some(text("a command", word)?)),
            Some(Arg::Long("help") | Arg::Short('h')) => {
                self.help = true;
                Ok(None)
            }
            Some(Arg::Long("version") | Arg::Short('V')) => {
                self.version = true;
                Ok(None)
            }
            Some(other) => Err(other.unexpected().into()),
            None => Ok(None),
        }
    }

    /// The next option or word; nothing at the end or at `--help`.
    pub(crate) fn next(&mut self) -> Result<Option<Next>, Wrong> {
        match self.parser.next()? {
            Some(Arg::Long("help") | Arg::Short('h')) => {
                self.help = true;
                Ok(None)
            }
            Some(Arg::Long(name)) => Ok(Some(Next::Option(format!("--{name}")))),
            Some(Arg::Short(letter)) => Ok(Some(Next::Option(format!("-{letter}")))),
            Some(Arg::Value(word)) => Ok(Some(Next::Word(word))),
            None => Ok(None),
        }
    }

    /// The value of the option just seen, as it is (a path).
    pub(crate) fn value(&mut self) -> Result<OsString, Wrong> {
        Ok(self.parser.value()?)
    }

    /// The value of the option just seen, as text.
    pub(crate) fn text(&mut self, option: &str) -> Result<String, Wrong> {
        text(option, self.parser.value()?)
    }

    pub(crate) fn wants_help(&self) -> bool {
        self.help
    }

    pub(crate) fn wants_version(&self) -> bool {
        self.version
    }
}

/// Words that are to be read must be UTF-8.
pub(crate) fn text(what: &str, word: OsString) -> Result<String, Wrong> {
    word.into_string()
        .map_err(|word| Wrong::Usage(format!("{what}: {word:?} is not UTF-8")))
}

/// An option that was not given, though it must be.
pub(crate) fn needed<T>(value: Option<T>, option: &str, example: &str) -> Result<T, Wrong> {
    value.ok_or_else(|| Wrong::Usage(format!("{option} is needed, as in {option} {example}")))
}

/// Something on the command line that does not belong there.
pub(crate) fn unknown(next: Next, allowed: &str) -> Wrong {
    let what = match next {
        Next::Option(name) => name,
        Next::Word(word) => format!("{word:?}"),
    };
    Wrong::Usage(format!("{what} is not known here; allowed: {allowed}"))
}
