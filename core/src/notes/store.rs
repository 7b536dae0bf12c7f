//! The notes of a slot: its memory is kept from request to request, so setting one allocates
//! nothing once warm.

use super::{MAX_NAME, MAX_NOTES, MAX_TEXT, Note, NoteValue, is_name};
use crate::text::cut_str;

/// Of the buffer that is kept for the slot's next request.
const KEPT_CAPACITY: usize = 8_192;
/// Past this, what longer and longer values of one name left behind is cleared away. Twice what
/// all notes can fill.
const TIDY_AT: usize = 2 * MAX_NOTES * (MAX_NAME + MAX_TEXT);

/// A note was not taken: there are [`MAX_NOTES`] others, or it cannot be called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

#[derive(Debug, Default)]
pub(crate) struct StoredNotes {
    entries: Vec<Entry>,
    /// Names and texts.
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: Tag,
    name: Place,
    value: Stored,
}

/// A name's first and last bytes and its length: up to 16 bytes, that is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    first: u64,
    last: u64,
    length: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    length: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Text {
        at: Place,
        /// Bytes that may be written at that place.
        room: u32,
        /// The whole length, where it was cut.
        cut_from: Option<u32>,
    },
    Integer(i64),
    Large(u64),
    Float(f64),
    Bool(bool),
}

impl StoredNotes {
    #[inline]
    pub(crate) fn clear(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        self.entries.clear();
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_CAPACITY {
            self.bytes.shrink_to(KEPT_CAPACITY);
        }
    }

    /// Sets a note; the last value of a name wins, and its first place stays.
    #[inline]
    pub(crate) fn set(&mut self, name: &str, value: NoteValue<&str>) -> Result<(), Refused> {
        let tag = Tag::of(name.as_bytes());
        let is_it = |entry: &Entry| entry.tag == tag && self.is_called(entry, name);
        match self.entries.iter().position(is_it) {
            Some(at) => self.replace(at, value),
            None => self.add(tag, name, value)?,
        }
        Ok(())
    }

    #[inline]
    fn is_called(&self, entry: &Entry, name: &str) -> bool {
        name.len() <= 16 || self.read(entry.name) == name.as_bytes()
    }

    #[inline(never)]
    fn add(&mut self, tag: Tag, name: &str, value: NoteValue<&str>) -> Result<(), Refused> {
        if self.entries.len() >= MAX_NOTES || !is_name(name) {
            return Err(Refused);
        }
        let name = self.keep(name.as_bytes());
        let value = self.stored(value);
        self.entries.push(Entry { tag, name, value });
        Ok(())
    }

    #[inline]
    fn replace(&mut self, at: usize, value: NoteValue<&str>) {
        let value = match value {
            NoteValue::Text(text) => return self.replace_by_text(at, text),
            NoteValue::Integer(number) => Stored::Integer(number),
            NoteValue::Large(number) => Stored::Large(number),
            NoteValue::Float(number) => Stored::Float(number),
            NoteValue::Bool(yes) => Stored::Bool(yes),
        };
        if let Some(entry) = self.entries.get_mut(at) {
            entry.value = value;
        }
    }

    fn replace_by_text(&mut self, at: usize, text: &str) {
        let before = self.entries.get(at).map(|entry| entry.value);
        let value = match before {
            Some(Stored::Text { at, room, .. }) => self.overwrite(at, room, text),
            _ => self.stored(NoteValue::Text(text)),
        };
        if let Some(entry) = self.entries.get_mut(at) {
            entry.value = value;
        }
        if self.bytes.len() > TIDY_AT {
            self.tidy();
        }
    }

    #[inline]
    fn stored(&mut self, value: NoteValue<&str>) -> Stored {
        match value {
            NoteValue::Integer(number) => Stored::Integer(number),
            NoteValue::Large(number) => Stored::Large(number),
            NoteValue::Float(number) => Stored::Float(number),
            NoteValue::Bool(yes) => Stored::Bool(yes),
            NoteValue::Text(text) => {
                let (kept, cut_from) = fit(text);
                let at = self.keep(kept.as_bytes());
                Stored::Text {
                    at,
                    room: at.length,
                    cut_from,
                }
            }
        }
    }

    /// A text in the place of an older one, where it fits.
    fn overwrite(&mut self, at: Place, room: u32, text: &str) -> Stored {
        let (kept, cut_from) = fit(text);
        let start = at.start as usize;
        match self.bytes.get_mut(start..start + kept.len()) {
            Some(bytes) if kept.len() <= room as usize => {
                bytes.copy_from_slice(kept.as_bytes());
                let length = kept.len() as u32;
                let at = Place { length, ..at };
                Stored::Text { at, room, cut_from }
            }
            _ => self.stored(NoteValue::Text(text)),
        }
    }

    #[inline]
    fn keep(&mut self, bytes: &[u8]) -> Place {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Place {
            start,
            length: bytes.len() as u32,
        }
    }

    fn read(&self, place: Place) -> &[u8] {
        let start = place.start as usize;
        self.bytes
            .get(start..start + place.length as usize)
            .unwrap_or_default()
    }

    fn text(&self, place: Place) -> &str {
        // Written from a `str`.
        std::str::from_utf8(self.read(place)).unwrap_or_default()
    }

    /// Writes everything that is still meant anew.
    #[cold]
    fn tidy(&mut self) {
        let mut tidy = Self::default();
        for entry in &self.entries {
            let name = tidy.keep(self.read(entry.name));
            let value = match entry.value {
                Stored::Text { at, cut_from, .. } => {
                    let at = tidy.keep(self.read(at));
                    let room = at.length;
                    Stored::Text { at, room, cut_from }
                }
                other => other,
            };
            tidy.entries.push(Entry {
                name,
                value,
                ..*entry
            });
        }
        *self = tidy;
    }

    pub(crate) fn data(&self) -> Vec<Note> {
        let note = |entry: &Entry| {
            let (value, cut_from) = match entry.value {
                Stored::Text { at, cut_from, .. } => {
                    (NoteValue::Text(self.text(at).to_owned()), cut_from)
                }
                Stored::Integer(number) => (NoteValue::Integer(number), None),
                Stored::Large(number) => (NoteValue::Large(number), None),
                Stored::Float(number) => (NoteValue::Float(number), None),
                Stored::Bool(yes) => (NoteValue::Bool(yes), None),
            };
            Note {
                name: self.text(entry.name).to_owned(),
                value,
                cut_from: cut_from.map(u64::from),
            }
        };
        self.entries.iter().map(note).collect()
    }
}

/// As much of a text as is kept, and its whole length where that is not all.
#[inline]
fn fit(text: &str) -> (&str, Option<u32>) {
    if text.len() <= MAX_TEXT {
        return (text, None);
    }
    let whole = u32::try_from(text.len()).unwrap_or(u32::MAX);
    (cut_str(text, MAX_TEXT), Some(whole))
}

impl Tag {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let eight = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let (first, last) = match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (eight(first), eight(last)),
            _ => match (name.first_chunk(), name.last_chunk()) {
                (Some(first), Some(last)) => (four(first), four(last)),
                _ => match name {
                    [one] => (u64::from(*one), 0),
                    [one, two] => (u64::from(*one), u64::from(*two)),
                    [one, two, three] => {
                        (u64::from(*one), u64::from(*two) << 8 | u64::from(*three))
                    }
                    _ => (0, 0),
                },
            },
        };
        Self {
            first,
            last,
            length: name.len() as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(notes: &StoredNotes) -> Vec<String> {
        notes.data().into_iter().map(|note| note.name).collect()
    }

    #[test]
    fn the_last_value_wins_at_the_first_place() {
        let mut notes = StoredNotes::default();
        for (name, value) in [
            ("user_id", 1),
            ("user_idx", 2),
            ("user_idy", 3),
            ("user_id", 4),
        ] {
            assert_eq!(notes.set(name, value.into()), Ok(()));
        }
        assert_eq!(names(&notes), ["user_id", "user_idx", "user_idy"]);
        assert_eq!(notes.data()[0].value, NoteValue::Integer(4));
        assert_eq!(notes.set("user_idy", "text".into()), Ok(()));
        assert_eq!(notes.set("user_idy", "longer text".into()), Ok(()));
        assert_eq!(notes.set("user_idy", "t".into()), Ok(()));
        assert_eq!(notes.data()[2].value.as_str(), Some("t"));
        notes.clear();
        assert!(notes.data().is_empty());
    }

    #[test]
    fn names_that_are_much_alike_are_different_notes() {
        let mut notes = StoredNotes::default();
        let mut names: Vec<String> = Vec::new();
        for length in [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20] {
            for at in [0, length / 2, length - 1] {
                let mut name = "a".repeat(length);
                name.replace_range(at..=at, "b");
                if !names.contains(&name) {
                    assert_eq!(notes.set(&name, names.len().into()), Ok(()));
                    names.push(name);
                }
            }
        }
        assert_eq!(notes.data().len(), names.len());
        for (number, name) in names.iter().enumerate() {
            assert_eq!(notes.set(name, (number + 100).into()), Ok(()));
        }
        let values: Vec<_> = notes.data().into_iter().map(|note| note.value).collect();
        let wanted: Vec<_> = (0..names.len())
            .map(|n| NoteValue::Integer(n as i64 + 100))
            .collect();
        assert_eq!(values, wanted);
    }

    #[test]
    fn there_is_a_bound_to_everything() {
        let mut notes = StoredNotes::default();
        for number in 0..100 {
            let taken = notes.set(&format!("note{number}"), number.into());
            assert_eq!(taken.is_ok(), number < 64, "{number}");
        }
        assert_eq!(
            notes.set("note7", 8.into()),
            Ok(()),
            "a known name is taken"
        );
        for name in [
            "",
            "a b",
            "a\"",
            "{",
            "}",
            "\\",
            "é",
            "a\n",
            &"n".repeat(65),
        ] {
            let mut notes = StoredNotes::default();
            assert_eq!(notes.set(name, 1.into()), Err(Refused), "{name:?}");
        }
        let mut notes = StoredNotes::default();
        let text = "é".repeat(1_000);
        assert_eq!(notes.set("text", (&text).into()), Ok(()));
        let note = notes.data().remove(0);
        assert_eq!(note.value.as_str(), Some(&*"é".repeat(512)));
        assert_eq!(note.cut_from, Some(2_000));
    }

    #[test]
    fn growing_texts_do_not_grow_the_memory() {
        let mut notes = StoredNotes::default();
        for number in 0..2_000_usize {
            let text = "x".repeat(number % 1_024);
            assert_eq!(notes.set("a", "short".into()), Ok(()));
            assert_eq!(notes.set("text", (&text).into()), Ok(()));
            assert_eq!(notes.set("text", 1.into()), Ok(()));
            assert_eq!(notes.set("text", (&text).into()), Ok(()));
        }
        assert_eq!(
            notes.data()[1].value.as_str().map(str::len),
            Some(1_999 % 1_024)
        );
        assert_eq!(notes.data()[0].value.as_str(), Some("short"));
        assert!(notes.bytes.capacity() < 2 * TIDY_AT);
        notes.clear();
        assert!(notes.bytes.capacity() <= KEPT_CAPACITY);
    }
}
