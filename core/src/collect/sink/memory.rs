//! A sink that keeps profiles in memory: for tests, and for consoles.

use super::Sink;
use crate::profile::ProfileData;
use crate::request::Profile;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps the last finished profiles. Clones share them.
///
/// ```
/// use ioprofiler::{Facts, MemorySink, Profiler};
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let memory = MemorySink::new(100);
/// let kept = memory.clone();
/// let profiler = Profiler::builder().sink(move || memory.clone()).threadless(true).build()?;
/// profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
/// profiler.flush(std::time::Duration::from_millis(200));
/// assert_eq!(kept.profiles().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MemorySink {
    most: usize,
    kept: Arc<Mutex<VecDeque<ProfileData>>>,
}

impl MemorySink {
    /// Keeps at most so many; older ones go first.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            kept: Arc::default(),
        }
    }

    /// What is kept now, oldest first.
    #[must_use]
    pub fn profiles(&self) -> Vec<ProfileData> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Sink for MemorySink {
    fn take(&mut self, profile: &Profile) {
        let data = profile.data().clone();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.most {
            kept.pop_front();
        }
        kept.push_back(data);
    }
}
