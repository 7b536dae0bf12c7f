//! A shard: one database, whichever server runs it. Every query of the shop goes through here, and
//! is profiled here: that is why no page says a word about it.
//!
//! SQL is written once, with `?` for its parameters, in what SQLite, MySQL and PostgreSQL have in
//! common.

use std::borrow::Cow;
use std::fmt;

use ioprofiler::{Category, Dialect, Outcome, Span};

use crate::mysql;
use crate::postgres;
use crate::sqlite;

/// A parameter, or a field of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// One row of an answer. A field that is absent or of another type reads as zero or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    pub(crate) fn int(&self, column: usize) -> i64 {
        match self.0.get(column) {
            Some(Value::Int(value)) => *value,
            _ => 0,
        }
    }

    pub(crate) fn text(&self, column: usize) -> String {
        match self.0.get(column) {
            Some(Value::Text(value)) => value.clone(),
            _ => String::new(),
        }
    }
}

/// Why a shard did not answer.
#[derive(Debug)]
pub(crate) struct DbError(pub(crate) String);

impl fmt::Display for DbError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for DbError {}

/// The database behind a shard.
#[derive(Debug)]
pub(crate) enum Server {
    Sqlite(sqlite::Pool),
    MySql(mysql::Pool),
    Postgres(Box<postgres::Pool>),
}

/// One half of the shop's data.
#[derive(Debug)]
pub(crate) struct Shard {
    category: Category,
    server: Server,
}

impl Shard {
    /// A shard whose calls are shown under `name`.
    pub(crate) fn new(name: &'static str, server: Server) -> Self {
        // How the server writes its literals, so that calls that differ in nothing else are known
        // for the same.
        let dialect = match &server {
            Server::Sqlite(_) => Dialect::Sqlite,
            Server::MySql(_) => Dialect::MySql,
            Server::Postgres(_) => Dialect::PostgreSql,
        };
        Self {
            category: Category::leaf(name).dialect(dialect),
            server,
        }
    }

    /// Rows that a SELECT finds.
    ///
    /// A plain function that gives a future, not an `async fn`: so `track_caller` can tell which
    /// line of the shop asked.
    #[track_caller]
    pub(crate) fn query(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send {
        let sql = self.dialect(sql);
        let call = self.call(&sql, &values);
        let answer = async move {
            match &self.server {
                Server::Sqlite(pool) => pool.query(&sql, values).await,
                Server::MySql(pool) => pool.query(&sql, values).await,
                Server::Postgres(pool) => pool.query(&sql, values).await,
            }
        };
        call.wrap_with(answer, |call, rows| {
            if let Ok(rows) = rows {
                call.rows(count(rows.len()));
            }
            Outcome::of(rows)
        })
    }

    /// Rows that another statement changed.
    #[track_caller]
    pub(crate) fn execute(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<u64, DbError>> + Send {
        let sql = self.dialect(sql);
        let call = self.call(&sql, &values);
        let answer = async move {
            match &self.server {
                Server::Sqlite(pool) => pool.execute(&sql, values).await,
                Server::MySql(pool) => pool.execute(&sql, values).await,
                Server::Postgres(pool) => pool.execute(&sql, values).await,
            }
        };
        call.wrap_with(answer, |call, changed| {
            if let Ok(changed) = changed {
                call.rows(count(*changed));
            }
            Outcome::of(changed)
        })
    }

    /// Begins a call: the SQL as it is sent, and of its parameters only the types, since a profile
    /// may be looked at by others than the member whose request it was.
    #[track_caller]
    fn call(&self, sql: &str, values: &[Value]) -> Span {
        let types = Types(values);
        ioprofiler::span(&self.category, format_args!("{sql}{types}")).target(self.target())
    }

    /// Which server this is: a file, or `host:port/database`.
    pub(crate) fn target(&self) -> &str {
        match &self.server {
            Server::Sqlite(pool) => pool.target(),
            Server::MySql(pool) => pool.target(),
            Server::Postgres(pool) => pool.target(),
        }
    }

    /// PostgreSQL numbers its parameters; the others count question marks as we do.
    fn dialect<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        match &self.server {
            Server::Postgres(_) => Cow::Owned(numbered(sql)),
            _ => Cow::Borrowed(sql),
        }
    }
}

/// ` -- [int, text]`, or nothing for no parameters.
struct Types<'a>(&'a [Value]);

impl fmt::Display for Types<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, value) in self.0.iter().enumerate() {
            out.write_str(if place == 0 { " -- [" } else { ", " })?;
            if place == MOST_TYPES {
                out.write_str("…")?;
                break;
            }
            out.write_str(match value {
                Value::Null => "null",
                Value::Int(_) => "int",
                Value::Text(_) => "text",
            })?;
        }
        out.write_str(if self.0.is_empty() { "" } else { "]" })
    }
}

const MOST_TYPES: usize = 8;

fn count(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

/// `a = ? AND b = ?` → `a = $1 AND b = $2`.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        text.push_str(&format!("${}{part}", index + 1));
    }
    text
}

/// `?, ?, ?`: a list of that many parameters.
pub(crate) fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}
