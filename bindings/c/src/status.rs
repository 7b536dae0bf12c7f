//! How calls that can fail answer. Numbers are frozen; a family's gap is for its later members.

/// How a call that can fail ended: `IOPROF_OK` or one of `IOPROF_ERR_…`. Numbers never change;
/// take any number you do not know for an error.
pub type ioprof_status = u32;

/// Done.
pub const IOPROF_OK: u32 = 0;
/// An option has a wrong value; the message names it and says what is allowed.
pub const IOPROF_ERR_OPTION: u32 = 100;
/// The handle is none, stale, or no handle of this kind.
pub const IOPROF_ERR_HANDLE: u32 = 200;
/// A pointer that must not be NULL is, a struct's `size` cannot be right, or a number is out of
/// its range.
pub const IOPROF_ERR_ARGUMENT: u32 = 300;
/// The time was over first.
pub const IOPROF_ERR_DEADLINE: u32 = 400;
/// The profile cannot be put into this answer; the reason is said.
pub const IOPROF_ERR_NOT_SHOWN: u32 = 500;
/// The library had a bug, which it kept to itself.
pub const IOPROF_ERR_PANIC: u32 = 900;
