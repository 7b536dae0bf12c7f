//! A shard on PostgreSQL.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::db::{DbError, Row, Value};

const CONNECTIONS: usize = 4;

/// A few connections to one database, taken in turn; a closed one is opened again.
pub(crate) struct Pool {
    config: Config,
    target: String,
    turn: AtomicUsize,
    seats: [tokio::sync::Mutex<Option<Arc<Connected>>>; CONNECTIONS],
}

/// A connection, and the statements it has prepared.
struct Connected {
    client: Client,
    prepared: Mutex<HashMap<String, Statement>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Pool")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let config: Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| reason(&error))?;
        let Some(database) = config.get_dbname() else {
            return Err("it names no database: postgres://user:password@host:port/database".into());
        };
        let host = match config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
            _ => "localhost".to_owned(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let target = format!("{host}:{port}/{database}");
        Ok(Self {
            config,
            target,
            turn: AtomicUsize::new(0),
            seats: Default::default(),
        })
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let (connected, statement) = self.statement(sql).await?;
        let found = connected.client.query(&statement, &borrowed(&values)).await;
        found
            .map_err(|error| self.failed(&error))?
            .iter()
            .map(|found| self.row(found))
            .collect()
    }

    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64, DbError> {
        let (connected, statement) = self.statement(sql).await?;
        let changed = connected
            .client
            .execute(&statement, &borrowed(&values))
            .await;
        changed.map_err(|error| self.failed(&error))
    }

    async fn statement(&self, sql: &str) -> Result<(Arc<Connected>, Statement), DbError> {
        let connected = self.connected().await?;
        let known = connected
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(sql)
            .cloned();
        if let Some(statement) = known {
            return Ok((connected, statement));
        }
        let statement = connected
            .client
            .prepare(sql)
            .await
            .map_err(|error| self.failed(&error))?;
        let mut prepared = connected
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        prepared.insert(sql.to_owned(), statement.clone());
        drop(prepared);
        Ok((connected, statement))
    }

    async fn connected(&self) -> Result<Arc<Connected>, DbError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let Some(seat) = self.seats.get(turn) else {
            return Err(DbError(format!("{}: no connection", self.target)));
        };
        let mut seat = seat.lock().await;
        if let Some(connected) = seat.as_ref()
            && !connected.client.is_closed()
        {
            return Ok(Arc::clone(connected));
        }
        let (client, connection) = self
            .config
            .connect(NoTls)
            .await
            .map_err(|error| self.failed(&error))?;
        // Ends, with an error nobody needs, when the server or the client goes.
        tokio::spawn(async move { drop(connection.await) });
        let connected = Arc::new(Connected {
            client,
            prepared: Mutex::default(),
        });
        *seat = Some(Arc::clone(&connected));
        Ok(connected)
    }

    fn row(&self, found: &tokio_postgres::Row) -> Result<Row, DbError> {
        let fields = found.columns().iter().enumerate().map(|(index, column)| {
            Ok(match *column.type_() {
                Type::INT8 => found.try_get::<_, Option<i64>>(index)?.map(Value::Int),
                Type::INT4 => found
                    .try_get::<_, Option<i32>>(index)?
                    .map(|n| Value::Int(n.into())),
                _ => found.try_get::<_, Option<String>>(index)?.map(Value::Text),
            }
            .unwrap_or(Value::Null))
        });
        fields
            .collect::<Result<_, _>>()
            .map(Row)
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &tokio_postgres::Error) -> DbError {
        DbError(format!("{}: {}", self.target, reason(error)))
    }
}

/// The error and what caused it: the driver says only "db error" by itself.
fn reason(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn borrowed(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(as_parameter).collect()
}

fn as_parameter(value: &Value) -> &(dyn ToSql + Sync) {
    match value {
        Value::Null => &None::<i64>,
        Value::Int(value) => value,
        Value::Text(value) => value,
    }
}
