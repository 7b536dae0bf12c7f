//! Notes: named values that the application sets on a request, for its line in the log.
//!
//! A request has at most [`MAX_NOTES`]; a name has at most [`MAX_NAME`] bytes, a text at most
//! [`MAX_TEXT`]. They are kept in the order in which their names were first set, and the last value
//! of a name wins. They can be set from any thread of the request until it is finished; what a
//! server writes into its own line is what was set before that.
//!
//! ```
//! use ioprofiler::{Facts, Profiler};
//! # fn main() -> Result<(), ioprofiler::Error> {
//! let profiler = Profiler::builder().build()?;
//! let request = profiler.begin(&Facts::web("GET", "/listing/5773453"));
//! request.note("user_id", 5020244);
//! request.run(|| ioprofiler::note("cart", "3 things")); // code that knows no request
//! let profile = request.finish(200, 5_120);
//! assert_eq!(profile.notes[1].name, "cart");
//! # Ok(())
//! # }
//! ```

mod store;
mod value;

pub(crate) use store::StoredNotes;
pub use value::NoteValue;

/// A request keeps at most so many notes; a further name is refused, and counted.
pub const MAX_NOTES: usize = 64;
/// A name has at most so many bytes, and at least one.
pub const MAX_NAME: usize = 64;
/// Of a text so many bytes are kept, cut at a character's border.
pub const MAX_TEXT: usize = 1_024;

/// A note as a profile has it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Its name: visible ASCII without `"`, `\`, `{` and `}`.
    pub name: String,
    /// Its last value.
    pub value: NoteValue,
    /// The text's whole length in bytes, where it was cut.
    pub cut_from: Option<u64>,
}

impl Note {
    /// A note, for tests and for profiles that are built by hand. Nothing is checked or cut.
    #[must_use]
    pub fn new<'v>(name: impl Into<String>, value: impl Into<NoteValue<&'v str>>) -> Self {
        Self {
            name: name.into(),
            value: value.into().to_owned_value(),
            cut_from: None,
        }
    }
}

/// Whether a note may be called so: 1 to [`MAX_NAME`] bytes of visible ASCII without `"`, `\`, `{`
/// and `}`, so that every format can name it.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| NAME_BYTES.get(usize::from(byte)) == Some(&true);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

/// Which bytes a name may have: looked up, because it happens in somebody's page.
static NAME_BYTES: [bool; 256] = name_bytes();

const fn name_bytes() -> [bool; 256] {
    let mut allowed = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        // A const fn has no iterators, and a byte is below 256.
        #[expect(clippy::indexing_slicing, reason = "the table has 256 places")]
        {
            allowed[byte as usize] = !matches!(byte, b'"' | b'\\' | b'{' | b'}');
        }
        byte += 1;
    }
    allowed
}
