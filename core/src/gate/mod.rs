//! The gate: who may see a profile.
//!
//! Shown means: the request asked ([`ask`]), and the gate said yes. A gate is closed unless it was
//! given a way in: a signed [`token`], a callable of the host's, a flag, a file of this user on
//! this machine ([`local`]), or everyone. It never looks at addresses, at X-Forwarded-For or at what
//! looks like development, and Host can only narrow what a token opens.
//!
//! Rules only: the wall clock comes in as a parameter, and nothing is kept from one request to the
//! next. Two things touch the disk: reading a [`secret`] file, at construction, and looking at the
//! gate file of `this-machine`, only when a request asked and that way was configured.
//!
//! How a host uses it:
//!
//! ```
//! use ioprofiler::gate::{Answer, Gate, Inputs, TokenKeys, open_headers};
//!
//! let keys = TokenKeys::new(&["the operator's secret, 32 bytes at least"])?;
//! let gate = Gate::token(keys).or(Gate::callable());
//! let now = 1_795_430_000;
//!
//! // At begin, before any other work:
//! let mut inputs = Inputs::new(b"ioprofiler=1", Some(b"etsy.example"));
//! inputs.cookie(b"session=5");
//! if let Some(mut asked) = gate.asked(&inputs, now) {
//!     // … the handler runs; then, before headers leave:
//!     if asked.verdict.is_undecided() {
//!         let is_staff = true; // the host's own callable
//!         asked.verdict = asked.verdict.decide(Answer::from(is_staff));
//!     }
//!     if asked.verdict.is_open() {
//!         for _edit in open_headers() { /* apply it */ }
//!     }
//! }
//! # Ok::<(), ioprofiler::gate::GateError>(())
//! ```

pub mod ask;
pub mod headers;
pub mod local;
pub mod secret;
pub mod token;
mod verdict;

pub use ask::{Form, Inputs, ask_cookie};
pub use headers::{HeaderEdit, conditional_headers, open_headers};
pub use local::GateFile;
pub use secret::SecretFile;
pub use token::{Claims, Token, TokenKeys};
pub use verdict::{Answer, Refusal, Verdict};

use crate::flags::MAX_NAME;
use crate::request::Request;
use ask::Slot;

/// The query's parameter where the operator names no other.
pub const DEFAULT_PARAMETER: &str = "ioprofiler";

/// Who may see a profile: no one, until it is given a way in.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    ways: Vec<Way>,
    parameter: Option<String>,
}

/// A way in.
#[derive(Clone, Debug)]
enum Way {
    Token(TokenKeys),
    Callable,
    Flag(String),
    ThisMachine(GateFile),
    Everyone,
}

impl Way {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Callable => "callable",
            Self::Flag(_) => "flag",
            Self::ThisMachine(_) => "this-machine",
            Self::Everyone => "everyone",
        }
    }
}

/// A request that asked for its profile.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// In which form; the page's where it did not ask clearly (the verdict is then closed).
    pub form: Form,
    /// What the gate says at begin.
    pub verdict: Verdict,
}

impl Gate {
    /// Nobody sees anything: the default.
    #[must_use]
    pub fn closed() -> Self {
        Self::default()
    }

    /// Open for holders of a token.
    #[must_use]
    pub fn token(keys: TokenKeys) -> Self {
        Self::of(Way::Token(keys))
    }

    /// Open for whom the host's callable says yes to. The callable stays with the host, which asks
    /// it where a verdict is undecided: after the handler, before headers leave.
    #[must_use]
    pub fn callable() -> Self {
        Self::of(Way::Callable)
    }

    /// Open for those for whom a flag is on, evaluated without overrides. It is asked after the
    /// handler, which has set the request's user and groups by then: [`Gate::ask_flag`].
    #[must_use]
    pub fn flag(name: impl Into<String>) -> Self {
        Self::of(Way::Flag(name.into()))
    }

    /// Open while `ioprofiler gate open` of the same user holds.
    #[must_use]
    pub fn this_machine() -> Self {
        Self::of(Way::ThisMachine(GateFile::of_this_user()))
    }

    /// As [`this_machine`](Self::this_machine), with the gate file elsewhere.
    #[must_use]
    pub fn this_machine_at(file: GateFile) -> Self {
        Self::of(Way::ThisMachine(file))
    }

    /// Open for everyone: whoever can reach the application can read its queries. The profiler
    /// says so in its log, at start and every hour.
    #[must_use]
    pub fn everyone() -> Self {
        Self::of(Way::Everyone)
    }

    fn of(way: Way) -> Self {
        Self {
            ways: vec![way],
            parameter: None,
        }
    }

    /// Adds the ways in of another gate: any of them opens. They are tried in this order. A
    /// parameter's name that was set stays.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.ways.extend(other.ways);
        self.parameter = self.parameter.or(other.parameter);
        self
    }

    /// The gate that the option `gate` describes: `token`, `callable`, `flag:NAME`,
    /// `this-machine`, `everyone`, or several with commas between; empty is closed. `secrets` are the option `gate_secret`.
    ///
    /// # Errors
    /// With the option's name and what is allowed, for any other word, and for `token` without a
    /// proper secret.
    pub fn parse<S: AsRef<[u8]>>(ways: &str, secrets: &[S]) -> Result<Self, GateError> {
        let mut gate = Self::closed();
        if ways.trim().is_empty() {
            return Ok(gate);
        }
        for way in ways.split(',').map(str::trim) {
            gate = gate.or(match way {
                "token" => Self::token(TokenKeys::new(secrets).map_err(|error| {
                    GateError::new(format!("gate: \"token\" needs a secret; {error}"))
                })?),
                "callable" => Self::callable(),
                "this-machine" => Self::this_machine(),
                "everyone" => Self::everyone(),
                way => match way.strip_prefix("flag:").map(str::trim) {
                    Some(name) if (1..=MAX_NAME).contains(&name.len()) => Self::flag(name),
                    _ => {
                        return Err(GateError::new(format!(
                            "gate: {way:?} is not known; allowed: \"token\", \"callable\", \
                             \"flag:NAME\", \"this-machine\", \"everyone\", one or several"
                        )));
                    }
                },
            });
        }
        Ok(gate)
    }

    /// Names the query's parameter, instead of `ioprofiler`.
    ///
    /// # Errors
    /// When it is not 1 to 64 letters, digits, `-` or `_`.
    pub fn parameter(mut self, name: &str) -> Result<Self, GateError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
            return Err(GateError::new(format!(
                "gate_parameter: {name:?}; allowed: 1 to 64 letters, digits, \"-\" and \"_\""
            )));
        }
        self.parameter = Some(name.to_owned());
        Ok(self)
    }

    /// The query's parameter.
    #[must_use]
    pub fn parameter_name(&self) -> &str {
        self.parameter.as_deref().unwrap_or(DEFAULT_PARAMETER)
    }

    /// Whether a request mentions us at all. Where it does not, [`asked`](Self::asked) and
    /// [`flag_overrides`](Self::flag_overrides) have nothing to say, and the time needs not be
    /// asked for.
    #[inline]
    #[must_use]
    pub fn is_mentioned(&self, inputs: &Inputs<'_>) -> bool {
        inputs.mention_us(self.parameter_name().as_bytes())
    }

    /// Whether the request asked, in which form, and what the gate says. `now` is the wall clock
    /// in Unix seconds. Nearly free where the request did not ask: the gate is not even looked at.
    #[inline]
    #[must_use]
    pub fn asked(&self, inputs: &Inputs<'_>, now: u64) -> Option<Asked> {
        let form = inputs.form(self.parameter_name().as_bytes(), now)?;
        Some(match form {
            Ok(form) => Asked {
                form,
                verdict: self.verdict(inputs, now),
            },
            Err(reason) => Asked {
                form: Form::default(),
                verdict: Verdict::Closed { reason },
            },
        })
    }

    /// What the gate says at begin, whether or not the request asked.
    #[must_use]
    pub fn verdict(&self, inputs: &Inputs<'_>, now: u64) -> Verdict {
        let mut telling: Option<Refusal> = None;
        let mut later = false;
        for way in &self.ways {
            let answer = match way {
                Way::Everyone => Ok(None),
                Way::ThisMachine(file) => file.check(now).map(|_| None),
                Way::Token(keys) => who_by_token(keys, inputs, now),
                Way::Callable | Way::Flag(_) => {
                    later = true;
                    continue;
                }
            };
            match answer {
                Ok(who) => return Verdict::Open { who },
                // What was tried in vain says more than what was not tried.
                Err(reason) if telling.is_none_or(|r| r.is_absence() && !reason.is_absence()) => {
                    telling = Some(reason);
                }
                Err(_) => {}
            }
        }
        if later {
            Verdict::Undecided {
                so_far: telling.filter(|reason| !reason.is_absence()),
            }
        } else {
            Verdict::Closed {
                reason: telling.unwrap_or(Refusal::NoWay),
            }
        }
    }

    /// Asks the gate's flag, where the verdict is open to it: after the handler has set user and
    /// groups, before headers leave. What is undecided then is the host's callable's.
    #[must_use]
    pub fn ask_flag(&self, verdict: Verdict, request: &Request) -> Verdict {
        let Verdict::Undecided { so_far } = verdict else {
            return verdict;
        };
        let mut flags = self.ways.iter().filter_map(|way| match way {
            Way::Flag(name) => Some(name.as_str()),
            _ => None,
        });
        if flags.any(|name| request.gate_flag(name)) {
            Verdict::Open { who: None }
        } else if self.wants_callable() {
            Verdict::Undecided { so_far }
        } else {
            let reason = so_far.unwrap_or(Refusal::FlagOff);
            Verdict::Closed { reason }
        }
    }

    /// What the viewer wants flags to be, for [`Facts::flag_overrides`](crate::Facts::flag_overrides),
    /// where the gate is open at begin; the answer is then to leave with [`open_headers`], whether
    /// or not a profile was asked for. `None` where nobody wants anything, an error (to be
    /// [counted](crate::Profiler::refused), with no other effect) where the gate is not open.
    ///
    /// # Errors
    /// Why it is closed.
    #[must_use]
    pub fn flag_overrides(&self, inputs: &Inputs<'_>, now: u64) -> Option<Result<String, Refusal>> {
        let overrides = inputs.flag_overrides()?;
        Some(match self.verdict(inputs, now).refusal() {
            None => Ok(overrides),
            Some(reason) => Err(reason),
        })
    }

    /// Mints a token for the application's own staff page, where tokens are a way in: see
    /// [`TokenKeys::mint`] and [`Token::set_cookie`].
    ///
    /// # Errors
    /// As [`TokenKeys::mint`], and when tokens are no way in.
    pub fn grant(&self, who: &str, host: &str, life: u64, now: u64) -> Result<Token, GateError> {
        let keys = self.ways.iter().find_map(|way| match way {
            Way::Token(keys) => Some(keys),
            _ => None,
        });
        keys.ok_or_else(|| GateError::new("grant: needs \"token\" in the option gate".to_owned()))?
            .mint(who, host, life, now)
    }

    /// Whether everyone may look: to be said in the log at start and every hour.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        self.ways.iter().any(|way| matches!(way, Way::Everyone))
    }

    /// Whether a flag is a way in.
    #[must_use]
    pub fn wants_flag(&self) -> bool {
        self.ways.iter().any(|way| matches!(way, Way::Flag(_)))
    }

    /// Whether the host must bring a callable.
    #[must_use]
    pub fn wants_callable(&self) -> bool {
        self.ways.iter().any(|way| matches!(way, Way::Callable))
    }
}

/// The ways in, as the option is written: `token, this-machine`; `closed` where there is none.
impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ways.is_empty() {
            return f.write_str("closed");
        }
        for (place, way) in self.ways.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}", way.as_str())?;
            if let Way::Flag(name) = way {
                write!(f, ":{name}")?;
            }
        }
        Ok(())
    }
}

fn who_by_token(
    keys: &TokenKeys,
    inputs: &Inputs<'_>,
    now: u64,
) -> Result<Option<String>, Refusal> {
    let token = match inputs.token {
        _ if inputs.oversized => return Err(Refusal::HeaderTooLong),
        Slot::Empty => return Err(Refusal::NoToken),
        Slot::Ambiguous => return Err(Refusal::AmbiguousToken),
        Slot::One(token) => token,
    };
    let claims = keys.read(token)?;
    claims.check(inputs.host, now)?;
    Ok(Some(claims.who).filter(|who| !who.is_empty()))
}

/// A wrong option: which one, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateError(String);

impl GateError {
    fn new(message: String) -> Self {
        Self(message)
    }
}

impl std::fmt::Display for GateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GateError {}
