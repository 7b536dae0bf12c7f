//! A snapshot's version: a hash of everything that decides.

use super::bucket::hash_bytes;
use super::model::{BucketBy, Document, Enabled, FlagSpec};

/// Text that no two different contents share: every part has its length in front.
#[derive(Default)]
struct Canonical(Vec<u8>);

impl Canonical {
    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn optional(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            None => self.number(u64::MAX),
            Some(text) => self.text(text),
        }
    }

    fn pairs(&mut self, pairs: &[(String, String)]) -> &mut Self {
        self.number(pairs.len() as u64);
        for (name, value) in pairs {
            self.text(name).text(value);
        }
        self
    }

    fn flag(&mut self, flag: &FlagSpec) {
        self.text(&flag.name);
        match &flag.enabled {
            Enabled::Off => {
                self.text("off");
            }
            Enabled::All(variant) => {
                self.text("all").text(variant);
            }
            Enabled::Shares(shares) => {
                self.text("shares").number(shares.len() as u64);
                for (variant, share) in shares {
                    self.text(variant).number(share.to_millionths().into());
                }
            }
        }
        self.pairs(&flag.groups).pairs(&flag.users);
        self.number(
            flag.dark
                .map_or(u64::MAX, |share| share.to_millionths().into()),
        );
        match &flag.bucket_by {
            BucketBy::Any => self.text("any"),
            BucketBy::Visitor => self.text("visitor"),
            BucketBy::User => self.text("user"),
            BucketBy::Request => self.text("request"),
            BucketBy::Attribute(name) => self.text("attribute").text(name),
        };
        self.number(flag.id.map_or(u64::MAX, u64::from));
        self.number(flag.variants.len() as u64);
        for (variant, number) in &flag.variants {
            self.text(variant).number((*number).into());
        }
        self.pairs(&flag.data);
        self.number(flag.priority.map_or(u64::MAX, u64::from));
        self.optional(flag.salt.as_deref());
        self.number(flag.broken.is_some().into());
    }
}

pub(crate) fn version_of(document: &Document) -> u64 {
    let mut flags: Vec<&FlagSpec> = document.flags.iter().collect();
    flags.sort_by(|a, b| a.name.cmp(&b.name));
    let mut canonical = Canonical::default();
    let shed = document.shed.as_ref();
    canonical.number(shed.map_or(u64::MAX, |shed| shed.from.into()));
    for flag in flags {
        canonical.flag(flag);
    }
    hash_bytes(&canonical.0)
}
