//! Feature flags: branched on in code, switched in files, decided in this process.
//!
//! ```
//! # fn main() -> Result<(), ioprofiler::Error> {
//! use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, compile};
//! use ioprofiler::{Facts, Flag, Profiler};
//!
//! static NEW_SEARCH: Flag = Flag::new("new_search");
//!
//! let profiler = Profiler::builder().build()?;
//! let mut search = FlagSpec::new("new_search");
//! search.enabled = Enabled::share(Share::percent(10));
//! search.groups.push(("staff".to_owned(), "on".to_owned()));
//! let mut document = Document::default();
//! document.flags.push(search);
//! profiler.set_flags(compile(document));
//!
//! let request = profiler.begin(&Facts::web("GET", "/search"));
//! request.set_visitor("6f1c3a90");
//! request.add_group("staff");
//! if request.flag(&NEW_SEARCH) {
//!     // the new code
//! }
//! let profile = request.finish(200, 5_120);
//! assert!(profile.text().contains("new_search on, group:staff"));
//! # Ok(())
//! # }
//! ```
//!
//! A [`Document`] is what layered files say; [`compile`](compile()) makes an immutable
//! [`Snapshot`] of it, which decides. A request decides by the snapshot that it began with, for a
//! minute; each flag once; and remembers it, so that its profile and its line in the log tell what
//! it ran under.
//!
//! # Order of decision
//!
//! The first that applies: `enabled = "off"`, the kill switch → shed → override
//! (`?ioflags=new_search:green`, of somebody whom the gate let through) → `users` → `groups`, the
//! first as written → `enabled` → `dark` → off. A flag that no file names, or that is broken, is the
//! caller's default. While anything is shed, all that would be dark is off.
//!
//! Percentages are of buckets (see [`bucket_of`]), so who is in stays in as they grow. `dark = 50`
//! is the half of all that comes next: whoever is turned on was dark before. Who has no id is in no
//! bucket: off, `no_unit`.

mod ahead;
mod bucket;
mod compile;
mod dark;
mod decision;
mod evaluate;
mod explain;
mod exposure;
mod facts;
pub mod file;
mod flag;
#[expect(clippy::module_inception, reason = "it is what `Flags` is")]
mod flags;
mod handle;
mod in_request;
mod memo;
mod model;
mod names;
mod published;
mod request;
mod snapshot;
pub mod source;
mod subject;
mod switched;
mod version;

pub use bucket::{bucket_of, hash};
pub use compile::compile;
pub use dark::{DarkEnd, DarkFuture, DarkResult};
pub use decision::{Decision, Reason, State};
pub use explain::{Explanation, Step};
pub use exposure::{Exposure, FlagsData};
pub use flag::{AsFlag, Flag, FlagId};
pub use flags::Flags;
pub use model::{BucketBy, Document, Enabled, FlagSpec, Place, Share, Shed};
pub use names::{MAX_FLAGS, MAX_NAME};
pub use request::{dark, decide, decide_for, flag, flag_data, flag_or, variant};
pub use snapshot::{Change, Snapshot};
pub use subject::{Subject, number};

pub(crate) use dark::PREFIX as DARK_PREFIX;
pub(crate) use decision::Packed;
pub(crate) use facts::FlagFacts;
pub(crate) use in_request::InRequest;
pub(crate) use memo::Memo;
pub(crate) use names::flag_name;
pub(crate) use published::Store;
