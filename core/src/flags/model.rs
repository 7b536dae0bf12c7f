//! What flag files say once they are read and layered, as plain data: the file half writes it, the
//! engine compiles it.
//!
//! Nothing here decides, parses or complains. A [`Document`] may hold nonsense (percentages over
//! 100, unknown variants): whoever reads files says so, and
//! [`compile`](crate::flags::compile()) takes any of it without failing.

/// Everything that one set of layered files says.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The files' names as they are to be shown, lowest layer first. [`Place::file`] counts here.
    pub files: Vec<String>,
    /// What is shed now; `None`: nothing.
    pub shed: Option<Shed>,
    /// The flags, in the order in which their names were first written. No name twice.
    pub flags: Vec<FlagSpec>,
}

/// Flags of low priority are off now.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Flags whose priority is this number or higher are off. From 1 to 9.
    pub from: u8,
    /// Why, for people.
    pub why: Option<String>,
    /// Who did it.
    pub by: Option<String>,
    /// When, as the file has it (RFC 3339).
    pub at: Option<String>,
    /// Where it is written.
    pub place: Place,
}

impl Shed {
    /// Sheds flags of this priority and higher numbers.
    #[must_use]
    pub fn from(priority: u8) -> Self {
        Self {
            from: priority,
            ..Self::default()
        }
    }
}

/// Where something is written.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Index in [`Document::files`].
    pub file: u32,
    /// Line, from 1; 0 where there is none (made in code).
    pub line: u32,
}

impl Place {
    /// A line of a file.
    #[must_use]
    pub const fn new(file: u32, line: u32) -> Self {
        Self { file, line }
    }
}

/// One flag, all layers taken together.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlagSpec {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Whom to ask.
    pub owner: Option<String>,
    /// For whom it is on.
    pub enabled: Enabled,
    /// Group → variant; the first that the user is in decides, as written.
    pub groups: Vec<(String, String)>,
    /// User's id → variant. Where an id stands twice the last one holds.
    pub users: Vec<(String, String)>,
    /// How many of all, beyond those enabled, run the new code unseen.
    pub dark: Option<Share>,
    /// What is hashed for percentages.
    pub bucket_by: BucketBy,
    /// Its number in the access log.
    pub id: Option<u32>,
    /// The variants' numbers in the access log, as written under `variants`. `on` is 1 and `off` 0
    /// where they are not listed.
    pub variants: Vec<(String, u32)>,
    /// Variant → data, each a JSON text.
    pub data: Vec<(String, String)>,
    /// 1 = the site is not the site without it … 9 = first to go; `None` = never shed.
    pub priority: Option<u8>,
    /// The last day on which it is not overdue to be cleaned up: `2027-01-31`.
    pub expires: Option<String>,
    /// What is hashed instead of the name, so that a flag may be renamed without moving anybody,
    /// or everybody be drawn anew.
    pub salt: Option<String>,
    /// It is broken and has no last good form: callers get their defaults, with reason `error`.
    /// The text is the message.
    pub broken: Option<String>,
    /// Where the flag is first written.
    pub place: Place,
    /// Where each of its keys got the value that holds.
    pub keys: Vec<(&'static str, Place)>,
}

impl FlagSpec {
    /// A flag that is off for everybody but the users and groups it may name: `enabled` is absent.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// What decides, but for `enabled`, and is other than in another form of it.
    pub(crate) fn decides_otherwise_by(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("users", self.users == other.users),
            ("groups", self.groups == other.groups),
            ("dark", self.dark == other.dark),
            ("bucket_by", self.bucket_by == other.bucket_by),
            ("salt", self.salt == other.salt),
            ("priority", self.priority == other.priority),
            ("broken", self.broken.is_some() == other.broken.is_some()),
        ];
        let others = keys.iter().filter(|(_, same)| !same);
        others.map(|(key, _)| *key).collect()
    }

    /// Where it stands in its file is no difference.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        // All of them by name, so that a new one cannot be forgotten.
        let Self {
            name,
            description,
            owner,
            enabled,
            groups,
            users,
            dark,
            bucket_by,
            id,
            variants,
            data,
            priority,
            expires,
            salt,
            broken,
            place: _,
            keys: _,
        } = self;
        let decides = (
            enabled, groups, users, dark, bucket_by, salt, priority, broken,
        );
        let logged = (id, variants, data);
        let told = (name, description, owner, expires);
        decides
            == (
                &other.enabled,
                &other.groups,
                &other.users,
                &other.dark,
                &other.bucket_by,
                &other.salt,
                &other.priority,
                &other.broken,
            )
            && logged == (&other.id, &other.variants, &other.data)
            && told
                == (
                    &other.name,
                    &other.description,
                    &other.owner,
                    &other.expires,
                )
    }
}

/// For whom a flag is on.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// `"off"` or `false`: the kill switch. It beats everything, users and groups too.
    Off,
    /// `"on"` or `true` (the variant `on`), or another variant's name: for all.
    All(String),
    /// A share of all for each variant, in the order written; together at most 100 %. A bare
    /// percentage is the variant `on`. Nothing at all, the default, is 0 %: users and groups hold.
    Shares(Vec<(String, Share)>),
}

impl Enabled {
    /// `"on"`.
    #[must_use]
    pub fn on() -> Self {
        Self::All("on".to_owned())
    }

    /// A bare percentage.
    #[must_use]
    pub fn share(share: Share) -> Self {
        Self::Shares(vec![("on".to_owned(), share)])
    }
}

impl Default for Enabled {
    fn default() -> Self {
        Self::Shares(Vec::new())
    }
}

/// For people: `off`, `10%`, `blue 10%, green 20%`.
impl std::fmt::Display for Enabled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shares = match self {
            Self::Off => return f.write_str("off"),
            Self::All(variant) => return f.write_str(variant),
            Self::Shares(shares) => shares.as_slice(),
        };
        match shares {
            [] => f.write_str("0%"),
            [(name, share)] if name == "on" => write!(f, "{share}%"),
            [(name, share), rest @ ..] => {
                write!(f, "{name} {share}%")?;
                rest.iter()
                    .try_for_each(|(name, share)| write!(f, ", {name} {share}%"))
            }
        }
    }
}

/// What is hashed to find out on which side of a percentage somebody is.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BucketBy {
    /// Nothing was said: the visitor, else the user.
    #[default]
    Any,
    /// `"visitor"`: the visitor only.
    Visitor,
    /// `"user"`: the user only.
    User,
    /// `"request"`: drawn anew for each request.
    Request,
    /// An attribute of the request, by its name.
    Attribute(String),
}

/// A part of all, exact to a millionth of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(100_000_000);

    /// Whole percent; more than 100 is 100.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        if percent > 100 {
            Self::ALL
        } else {
            Self(percent * 1_000_000)
        }
    }

    /// Millionths of a percent: 100,000,000 is everybody. More is `None`.
    #[must_use]
    pub const fn millionths(millionths: u32) -> Option<Self> {
        if millionths > Self::ALL.0 {
            None
        } else {
            Some(Self(millionths))
        }
    }

    /// In millionths of a percent.
    #[must_use]
    pub const fn to_millionths(self) -> u32 {
        self.0
    }
}

/// `10`, `0.5`, `99.999999`: percent, without the sign.
impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{part:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_share_shows_as_few_digits_as_it_has() {
        let shown = |millionths| Share::millionths(millionths).map(|share| share.to_string());
        assert_eq!(shown(0).as_deref(), Some("0"));
        assert_eq!(shown(10_000_000).as_deref(), Some("10"));
        assert_eq!(shown(500_000).as_deref(), Some("0.5"));
        assert_eq!(shown(99_999_999).as_deref(), Some("99.999999"));
        assert_eq!(shown(100_000_000).as_deref(), Some("100"));
        assert_eq!(shown(100_000_001), None);
    }
}
