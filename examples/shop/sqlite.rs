//! A shard in an SQLite file. The library is synchronous: each query runs where it may block.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio::task::spawn_blocking;

use crate::db::{DbError, Row, Value};

/// Connections to one file, opened as they are needed.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    file: PathBuf,
    name: String,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Pool {
    pub(crate) fn new(file: &Path) -> Self {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self {
            file: file.to_owned(),
            name,
            idle: Arc::default(),
        }
    }

    /// The file's name, without its folder.
    pub(crate) fn target(&self) -> &str {
        &self.name
    }

    pub(crate) async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let sql = sql.to_owned();
        self.with(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let columns = statement.column_count();
            let mut found = statement.query(rusqlite::params_from_iter(values))?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                let fields: Result<Vec<Value>, _> = (0..columns)
                    .map(|column| row.get_ref(column).map(value))
                    .collect();
                rows.push(Row(fields?));
            }
            Ok(rows)
        })
        .await
    }

    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64, DbError> {
        let sql = sql.to_owned();
        self.with(move |connection| {
            let changed = connection.execute(&sql, rusqlite::params_from_iter(values))?;
            Ok(u64::try_from(changed).unwrap_or_default())
        })
        .await
    }

    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, DbError> {
        let pool = self.clone();
        // Without its request: what the call took is seen around this, and no call is made in here.
        let done = spawn_blocking(move || {
            let connection = pool.take()?;
            let result = work(&connection);
            pool.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            result
        });
        match done.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(DbError(format!("{}: {error}", self.name))),
            Err(error) => Err(DbError(format!(
                "{}: the query did not end: {error}",
                self.name
            ))),
        }
    }

    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(connection) => Ok(connection),
            None => {
                let connection = Connection::open(&self.file)?;
                connection.busy_timeout(Duration::from_secs(5))?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "NORMAL")?;
                Ok(connection)
            }
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

fn value(field: ValueRef<'_>) -> Value {
    match field {
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        _ => Value::Null,
    }
}
