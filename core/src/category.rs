//! Names of categories ↔ small ids, process-wide.

/// What a category's calls are, fixed at its first use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// I/O: never a parent. A leaf begun inside a leaf is part of it.
    #[default]
    Leaf,
    /// A template, a function: may contain others.
    Scope,
}

/// How the details of a category are written, and so how their literals are found.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQL of an unknown server: every quoted form is a literal.
    #[default]
    Generic,
    /// MySQL and MariaDB: `"…"` is a string, `` `…` `` an identifier, `\'` an escape.
    MySql,
    /// PostgreSQL: `"…"` is an identifier, `$tag$…$tag$` and `E'…'` are strings.
    PostgreSql,
    /// SQLite: `'…'` is a string; `"…"`, `` `…` `` and `[…]` are identifiers.
    Sqlite,
    /// Keys of a cache: `user:5020244:name`.
    Keys,
    /// Paths and template names: `/listing/5773453`.
    Path,
}
