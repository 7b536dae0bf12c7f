//! What the gate says, and the words in which it says no.

/// What the gate says to a request.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The profile may be shown.
    Open {
        /// Who looks, where a token said so: the fact `viewer`.
        who: Option<String>,
    },
    /// The profile is not shown, and the answer stays as it is.
    Closed {
        /// Why.
        reason: Refusal,
    },
    /// The gate's flag or the host's callable is to be asked, after the handler and before headers
    /// leave: [`Gate::ask_flag`](super::Gate::ask_flag), then [`decide`](Self::decide).
    Undecided {
        /// Why the other ways in said no, if the request tried one.
        so_far: Option<Refusal>,
    },
}

impl Verdict {
    /// Whether the profile may be shown. Undecided is no.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether the gate's flag or the host's callable is to be asked.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self, Self::Undecided { .. })
    }

    /// Who looks, where a token said so.
    #[must_use]
    pub fn who(&self) -> Option<&str> {
        match self {
            Self::Open { who } => who.as_deref(),
            _ => None,
        }
    }

    /// Why the gate is closed. Undecided counts as a callable that was never asked.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Open { .. } => None,
            Self::Closed { reason } => Some(*reason),
            Self::Undecided { so_far } => Some(so_far.unwrap_or(Refusal::CallableNotAsked)),
        }
    }

    /// The verdict after the host's callable has answered; one that was decided stays.
    #[must_use]
    pub fn decide(self, answer: Answer) -> Self {
        let Self::Undecided { so_far } = self else {
            return self;
        };
        match answer {
            Answer::Yes => Self::Open { who: None },
            Answer::No => Self::Closed {
                reason: so_far.unwrap_or(Refusal::CallableNo),
            },
            Answer::Failed => Self::Closed {
                reason: Refusal::CallableFailed,
            },
        }
    }
}

/// What the host's callable answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This viewer may look.
    Yes,
    /// Not this one.
    No,
    /// It raised, threw or panicked: a no, with its own reason.
    Failed,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

macro_rules! refusals {
    ($($name:ident = $text:literal, $doc:literal;)*) => {
        /// Why a request that asked does not see its profile. Counted and logged by reason
        /// (`asked, gate closed: token expired`), never told to the client.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $(#[doc = $doc] $name,)* }

        impl Refusal {
            /// All reasons; a reason's place here is [`index`](Self::index).
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason in a few words.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

refusals! {
    NoWay = "no way in is configured", "The gate has no way in: the default.";
    UnknownForm = "unknown form asked for (known: 1, text, json, ticket)", "Asked for a form that does not exist.";
    AmbiguousAsk = "asked for two different forms", "Asked twice in one place, differently.";
    HeaderTooLong = "a header is too long to be looked at", "A cookie or a header of ours is over 64 KiB.";
    NoToken = "no token", "The request carries no token.";
    AmbiguousToken = "two different tokens", "The request carries two tokens.";
    TokenTooLong = "token longer than 512 bytes", "Over the limit, not parsed.";
    TokenMalformed = "token malformed", "Not six fields of canonical base64url: cut, joined or made up.";
    TokenVersion = "token of another version", "Does not begin with `iop1.`.";
    OtherKey = "token of another key", "Its key id is none of ours.";
    WrongMac = "token altered or signed with another key", "Key id known, mac wrong.";
    TokenExpired = "token expired", "Its time is over.";
    TokenTooLongLived = "token good for more than 24 hours", "Its expiry lies further ahead than any token's may, or a clock is off.";
    OtherHost = "token of another host", "Minted for another host, or the request names none.";
    GateFileAbsent = "this machine's gate is not open (`ioprofiler gate open`)", "No gate file.";
    GateFileForeign = "gate file of another user", "Its owner is not the user of this process, or it is not for us to read.";
    GateFileMode = "gate file with wrong mode (not 0600)", "Others could have written or read it.";
    GateFileNotPlain = "gate file is a link or no plain file", "A symlink, hard link, pipe or folder.";
    GateFileMalformed = "gate file malformed", "Not what `ioprofiler gate open` writes.";
    GateFileExpired = "this machine's gate has closed again (`ioprofiler gate open`)", "Its time is over.";
    GateFileTooLongLived = "gate file good for more than 24 hours", "Its expiry lies further ahead than it may, or a clock is off.";
    GateFileUnreadable = "gate file cannot be read", "The system said something else than not found.";
    CallableNotAsked = "the callable was not asked", "The answer left before it could be.";
    CallableNo = "the callable said no", "The host's callable.";
    FlagOff = "the gate's flag is off", "It is off, or not found, for whoever asks.";
    CallableFailed = "the callable failed", "It raised, threw or panicked.";
}

impl Refusal {
    /// A small number for counters: its place in [`ALL`](Self::ALL). Not stable over versions.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether nothing was tried, rather than tried in vain.
    pub(super) fn is_absence(self) -> bool {
        matches!(self, Self::NoWay | Self::NoToken | Self::GateFileAbsent)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
