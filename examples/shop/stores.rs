//! Opens the shards and the cache that the options name, and fills the shards at first start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::cache::Cache;
use crate::db::{Server, Shard};
use crate::market::Market;
use crate::memcached::Memcached;
use crate::options::Options;
use crate::{mysql, postgres, seed, sqlite};

/// A server that does not answer by then is taken for dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// The open stores.
pub(crate) struct Stores {
    pub(crate) market: Market,
    /// Removed, with the shards in it, when this is dropped.
    pub(crate) folder: Option<TemporaryFolder>,
}

pub(crate) async fn open(options: &Options) -> Result<Stores, String> {
    let cache = match &options.memcached {
        None => Cache::in_process(),
        Some(address) => Cache::memcached(
            Memcached::connect(address)
                .await
                .map_err(|error| format!("MEMCACHED: cannot reach {address}: {error}"))?,
        ),
    };
    let (shards, folder) = match &options.shards {
        Some([first, second]) => (server_shards(first, second).await?, None),
        None => {
            let folder = match &options.data {
                Some(_) => None,
                None => Some(TemporaryFolder::new()?),
            };
            let path = folder
                .as_ref()
                .map(|folder| &folder.0)
                .or(options.data.as_ref());
            (
                sqlite_shards(path.map_or(Path::new("."), PathBuf::as_path))?,
                folder,
            )
        }
    };
    let started = std::time::Instant::now();
    if seed::fill(&shards)
        .await
        .map_err(|error| error.to_string())?
    {
        println!(
            "made {} listings of {} shops in {} and {} ({:.1} s)",
            seed::LISTINGS,
            seed::SHOPS,
            shards[0].target(),
            shards[1].target(),
            started.elapsed().as_secs_f64()
        );
    }
    Ok(Stores {
        market: Market { shards, cache },
        folder,
    })
}

fn sqlite_shards(folder: &Path) -> Result<[Shard; 2], String> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("--data {}: {error}", folder.display()))?;
    let shard = |name: &'static str| {
        Shard::new(
            name,
            Server::Sqlite(sqlite::Pool::new(&folder.join(format!("{name}.sqlite")))),
        )
    };
    Ok([shard("dbshard01"), shard("dbshard02")])
}

async fn server_shards(first: &str, second: &str) -> Result<[Shard; 2], String> {
    let first = server_shard("dbshard01", "DBSHARD01_URL", first).await?;
    let second = server_shard("dbshard02", "DBSHARD02_URL", second).await?;
    Ok([first, second])
}

/// The shard at a URL, which must answer now. The complaint names the variable, not the password.
async fn server_shard(name: &'static str, variable: &str, url: &str) -> Result<Shard, String> {
    let server = if url.starts_with("mysql://") {
        mysql::Pool::new(url).map(Server::MySql)
    } else {
        postgres::Pool::new(url).map(|pool| Server::Postgres(Box::new(pool)))
    };
    let shard = Shard::new(
        name,
        server.map_err(|error| format!("{variable}: {error}"))?,
    );
    match timeout(PATIENCE, shard.query("SELECT 1", vec![])).await {
        Ok(Ok(_)) => Ok(shard),
        Ok(Err(error)) => Err(format!("{variable}: cannot use {error}")),
        Err(_) => Err(format!("{variable}: {} does not answer", shard.target())),
    }
}

/// A folder of this run's own.
#[derive(Debug)]
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("ioprofiler-shop-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system: there is nobody to tell any more.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
