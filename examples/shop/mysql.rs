//! A shard on MySQL or MariaDB.

use mysql_async::prelude::Queryable;
use mysql_async::{Opts, OptsBuilder, Params, PoolConstraints, PoolOpts};

use crate::db::{DbError, Row, Value};

/// A few connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pool: mysql_async::Pool,
    target: String,
}

impl Pool {
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let opts = Opts::from_url(url).map_err(|error| error.to_string())?;
        let database = opts.db_name().unwrap_or_default();
        if database.is_empty() {
            return Err("it names no database: mysql://user:password@host:port/database".into());
        }
        let target = format!("{}:{}/{database}", opts.ip_or_hostname(), opts.tcp_port());
        let constraints = PoolConstraints::new(0, 8).unwrap_or_default();
        let opts = OptsBuilder::from_opts(opts)
            // The server that the URL names, not a socket file that it tells of.
            .prefer_socket(false)
            // Keeps prepared statements: a connection is handed on as it is.
            .pool_opts(
                PoolOpts::default()
                    .with_constraints(constraints)
                    .with_reset_connection(false),
            );
        Ok(Self {
            pool: mysql_async::Pool::new(opts),
            target,
        })
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) async fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let found: Result<Vec<mysql_async::Row>, _> = async {
            let mut connection = self.pool.get_conn().await?;
            connection.exec(sql, params(values)).await
        }
        .await;
        Ok(found
            .map_err(|error| self.failed(&error))?
            .into_iter()
            .map(row)
            .collect())
    }

    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64, DbError> {
        let changed: Result<u64, mysql_async::Error> = async {
            let mut connection = self.pool.get_conn().await?;
            connection.exec_drop(sql, params(values)).await?;
            Ok(connection.affected_rows())
        }
        .await;
        changed.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &mysql_async::Error) -> DbError {
        DbError(format!("{}: {error}", self.target))
    }
}

fn params(values: Vec<Value>) -> Params {
    if values.is_empty() {
        return Params::Empty;
    }
    let values = values.into_iter().map(|value| match value {
        Value::Null => mysql_async::Value::NULL,
        Value::Int(value) => mysql_async::Value::Int(value),
        Value::Text(value) => mysql_async::Value::Bytes(value.into_bytes()),
    });
    Params::Positional(values.collect())
}

fn row(row: mysql_async::Row) -> Row {
    let fields = row.unwrap_raw().into_iter().map(|field| match field {
        Some(mysql_async::Value::Int(value)) => Value::Int(value),
        Some(mysql_async::Value::UInt(value)) => {
            Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
        }
        Some(mysql_async::Value::Bytes(text)) => {
            Value::Text(String::from_utf8_lossy(&text).into_owned())
        }
        _ => Value::Null,
    });
    Row(fields.collect())
}
