//! The value of a note.

use std::fmt;

/// What a note can be: text, integer, float or bool. Borrowed (`NoteValue<&str>`) where it is set,
/// owned in a profile.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoteValue<Text = String> {
    /// UTF-8.
    Text(Text),
    /// A whole number.
    Integer(i64),
    /// A whole number above [`i64::MAX`]; smaller ones are integers.
    Large(u64),
    /// Any other number. Not finite ones are logged as absent.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
}

impl<Text: AsRef<str>> NoteValue<Text> {
    /// The text of a text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_ref()),
            _ => None,
        }
    }

    /// The same value with a text of its own.
    #[must_use]
    pub fn to_owned_value(&self) -> NoteValue {
        match self {
            Self::Text(text) => NoteValue::Text(text.as_ref().to_owned()),
            Self::Integer(number) => NoteValue::Integer(*number),
            Self::Large(number) => NoteValue::Large(*number),
            Self::Float(number) => NoteValue::Float(*number),
            Self::Bool(yes) => NoteValue::Bool(*yes),
        }
    }

    /// `text`, `integer`, `float` or `bool`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) | Self::Large(_) => "integer",
            Self::Float(_) => "float",
            Self::Bool(_) => "bool",
        }
    }
}

/// As a log shows it, but for escapes: raw.
impl<Text: AsRef<str>> fmt::Display for NoteValue<Text> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text.as_ref()),
            Self::Integer(number) => number.fmt(f),
            Self::Large(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
        }
    }
}

impl<'a> From<&'a str> for NoteValue<&'a str> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for NoteValue<&'a str> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

macro_rules! integers {
    ($($small:ty)*) => {$(
        impl From<$small> for NoteValue<&'_ str> {
            #[inline]
            fn from(number: $small) -> Self {
                Self::Integer(i64::from(number))
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 u8 u16 u32);

impl From<u64> for NoteValue<&'_ str> {
    #[inline]
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Large(number), Self::Integer)
    }
}

impl From<usize> for NoteValue<&'_ str> {
    #[inline]
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<isize> for NoteValue<&'_ str> {
    #[inline]
    fn from(number: isize) -> Self {
        Self::Integer(number as i64)
    }
}

impl From<f64> for NoteValue<&'_ str> {
    #[inline]
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<f32> for NoteValue<&'_ str> {
    #[inline]
    fn from(number: f32) -> Self {
        Self::Float(f64::from(number))
    }
}

impl From<bool> for NoteValue<&'_ str> {
    #[inline]
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}
