//! Flags to test with, made in code.

use ioprofiler::flags::{BucketBy, Document, Enabled, FlagSpec, Share, Shed, Snapshot, compile};

/// A flag under construction.
pub(crate) struct Make(pub(crate) FlagSpec);

pub(crate) fn flag(name: &str) -> Make {
    Make(FlagSpec::new(name))
}

impl Make {
    pub(crate) fn killed(mut self) -> Self {
        self.0.enabled = Enabled::Off;
        self
    }

    pub(crate) fn all(mut self, variant: &str) -> Self {
        self.0.enabled = Enabled::All(variant.to_owned());
        self
    }

    pub(crate) fn percent(self, percent: u32) -> Self {
        self.shares(&[("on", percent)])
    }

    pub(crate) fn shares(mut self, shares: &[(&str, u32)]) -> Self {
        let share =
            |(variant, percent): &(&str, u32)| ((*variant).to_owned(), Share::percent(*percent));
        self.0.enabled = Enabled::Shares(shares.iter().map(share).collect());
        self
    }

    pub(crate) fn user(mut self, id: &str, variant: &str) -> Self {
        self.0.users.push((id.to_owned(), variant.to_owned()));
        self
    }

    pub(crate) fn group(mut self, name: &str, variant: &str) -> Self {
        self.0.groups.push((name.to_owned(), variant.to_owned()));
        self
    }

    pub(crate) fn dark(mut self, percent: u32) -> Self {
        self.0.dark = Some(Share::percent(percent));
        self
    }

    pub(crate) fn priority(mut self, priority: u8) -> Self {
        self.0.priority = Some(priority);
        self
    }

    pub(crate) fn by(mut self, by: BucketBy) -> Self {
        self.0.bucket_by = by;
        self
    }

    pub(crate) fn salt(mut self, salt: &str) -> Self {
        self.0.salt = Some(salt.to_owned());
        self
    }

    pub(crate) fn broken(mut self, message: &str) -> Self {
        self.0.broken = Some(message.to_owned());
        self
    }

    pub(crate) fn id(mut self, id: u32, variants: &[(&str, u32)]) -> Self {
        self.0.id = Some(id);
        let variant = |(name, number): &(&str, u32)| ((*name).to_owned(), *number);
        self.0.variants = variants.iter().map(variant).collect();
        self
    }

    pub(crate) fn data(mut self, variant: &str, json: &str) -> Self {
        self.0.data.push((variant.to_owned(), json.to_owned()));
        self
    }
}

pub(crate) fn document(flags: impl IntoIterator<Item = Make>) -> Document {
    let mut document = Document::default();
    document.flags = flags.into_iter().map(|flag| flag.0).collect();
    document
}

pub(crate) fn snapshot(flags: impl IntoIterator<Item = Make>) -> Snapshot {
    compile(document(flags))
}

pub(crate) fn shed(from: u8, flags: impl IntoIterator<Item = Make>) -> Snapshot {
    let mut document = document(flags);
    document.shed = Some(Shed::from(from));
    compile(document)
}
