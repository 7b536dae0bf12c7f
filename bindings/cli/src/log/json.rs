//! A line of JSON, read without what nobody asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::record::{Wanted, number};

/// What is wanted of a line.
#[derive(Debug, Default)]
pub(crate) struct JsonLine<'l> {
    pub(crate) time: Option<Cow<'l, str>>,
    pub(crate) values: Vec<Option<f64>>,
    pub(crate) route: Option<Cow<'l, str>>,
    pub(crate) status: Option<u16>,
    /// Test, variant and reason.
    pub(crate) flags: Vec<(String, String, String)>,
    /// What the application noted itself, under the names of `LISTS`: it stands in their place.
    pub(crate) lists: [Option<Cow<'l, str>>; 3],
}

/// The notes of A/B tests, lists joined by `;`.
const LISTS: [&str; 3] = ["ab_ids", "ab_variants", "ab_reasons"];

impl<'l> JsonLine<'l> {
    /// Nothing where the line is no object, or has no time.
    pub(crate) fn read(line: &'l [u8], wanted: &Wanted) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let read = Lines(wanted).deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        read.time.is_some().then_some(read)
    }

    fn set(&mut self, wanted: &Wanted, key: &str, value: Option<f64>) {
        let is_it = |name: &String| name == key || (name == "D" && key == "duration_us");
        for (place, _) in wanted
            .values
            .iter()
            .enumerate()
            .filter(|(_, name)| is_it(name))
        {
            if let Some(place) = self.values.get_mut(place) {
                *place = value;
            }
        }
    }
}

struct Lines<'w>(&'w Wanted);

impl<'de> DeserializeSeed<'de> for Lines<'_> {
    type Value = JsonLine<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Lines<'_> {
    type Value = JsonLine<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0;
        let mut line = JsonLine {
            values: vec![None; wanted.values.len()],
            ..JsonLine::default()
        };
        while let Some(Text(key)) = map.next_key_seed(TextSeed)? {
            match &*key {
                "time" => line.time = map.next_value_seed(TextSeed)?.0.into(),
                "http.route" if wanted.route => {
                    line.route = map.next_value_seed(TextSeed)?.0.into();
                }
                "http.response.status_code" if wanted.status => {
                    let status = map.next_value_seed(NumberSeed)?;
                    line.status = status.map(|status| status as u16);
                }
                "notes" => map.next_value_seed(Inner(wanted, &mut line, ""))?,
                "categories" if wanted.values.iter().any(|name| name.contains('.')) => {
                    map.next_value_seed(Categories(wanted, &mut line))?;
                }
                "flags" if wanted.tests => line.flags = map.next_value_seed(Flags)?,
                key => {
                    let is_it = |name: &String| name == key || name == "D" && key == "duration_us";
                    if wanted.values.iter().any(is_it) {
                        let value = map.next_value_seed(NumberSeed)?;
                        line.set(wanted, key, value);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
        }
        Ok(line)
    }
}

/// Numbers of an object within the line, each named with a prefix.
struct Inner<'w, 'r, 'l>(&'w Wanted, &'r mut JsonLine<'l>, &'w str);

impl<'de> DeserializeSeed<'de> for Inner<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(wanted, line, prefix) = self;
        while let Some(Text(key)) = map.next_key_seed(TextSeed)? {
            let list = LISTS
                .iter()
                .position(|name| prefix.is_empty() && *name == key);
            if let Some(list) = list.and_then(|at| line.lists.get_mut(at).filter(|_| wanted.tests))
            {
                *list = map.next_value_seed(WordSeed)?;
                continue;
            }
            let name = match prefix {
                "" => key,
                prefix => Cow::Owned(format!("{prefix}.{key}")),
            };
            if wanted.values.iter().any(|known| *known == *name) {
                let value = map.next_value_seed(NumberSeed)?;
                line.set(wanted, &name, value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Categories<'w, 'r, 'l>(&'w Wanted, &'r mut JsonLine<'l>);

impl<'de> DeserializeSeed<'de> for Categories<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Categories<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(category)) = map.next_key_seed(TextSeed)? {
            map.next_value_seed(Inner(self.0, self.1, &category))?;
        }
        Ok(())
    }
}

/// `[{"flag":"new_search","variant":"green","reason":"percent"},…]`
struct Flags;

impl<'de> DeserializeSeed<'de> for Flags {
    type Value = Vec<(String, String, String)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Flags {
    type Value = Vec<(String, String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of flags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut flags = Vec::new();
        while let Some(flag) = list.next_element_seed(Flag)? {
            flags.extend(flag);
        }
        Ok(flags)
    }
}

struct Flag;

/// Nothing for what does not hold for this request any more, or is about somebody else.
impl<'de> DeserializeSeed<'de> for Flag {
    type Value = Option<(String, String, String)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Flag {
    type Value = Option<(String, String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flag")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut flag = <(String, String, String)>::default();
        let mut holds = true;
        while let Some(Text(key)) = map.next_key_seed(TextSeed)? {
            match &*key {
                "flag" => flag.0 = map.next_value_seed(TextSeed)?.0.into_owned(),
                "variant" => flag.1 = map.next_value_seed(TextSeed)?.0.into_owned(),
                "reason" => flag.2 = map.next_value_seed(TextSeed)?.0.into_owned(),
                "past" | "other" => {
                    holds = false;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(holds.then_some(flag))
    }
}

/// A text, borrowed from the line where it has no escapes.
struct Text<'l>(Cow<'l, str>);

struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Text<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// A text, or a whole number as one: a list of one test. Nothing for anything else that is simple.
struct WordSeed;

impl<'de> DeserializeSeed<'de> for WordSeed {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for WordSeed {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A number, or a text that is one; nothing for anything else that is simple.
struct NumberSeed;

impl<'de> DeserializeSeed<'de> for NumberSeed {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NumberSeed {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(number(text.as_bytes()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
