//! Work that would hold up the server's threads, done on a thread of its own.
//!
//! Which request a call belongs to is known by the thread. Work that moves to another thread has to
//! take its request along, as here; otherwise its calls would belong to no request.

use ioprofiler::Category;
use tokio::task::{JoinError, spawn_blocking};

static FUNCTION: Category = Category::scope("function");

/// Runs `work` where it may block.
pub(crate) async fn run<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, JoinError> {
    let request = ioprofiler::current();
    spawn_blocking(move || request.run(work)).await
}

/// Runs a costly function where it may block, profiled under its name.
pub(crate) async fn function<R: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, JoinError> {
    run(move || ioprofiler::scope(&FUNCTION, name).run(work)).await
}
