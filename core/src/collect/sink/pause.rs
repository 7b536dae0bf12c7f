//! How long a sink does not try again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long nothing is tried after a failure: longer each time, and never the same for two
/// processes that lost the same server.
#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
    until: Option<Instant>,
    /// The other end, or the sink, said how long: nobody's hurry shortens it.
    is_told: bool,
}

impl Pause {
    pub(super) fn is_over(&self, hurries: bool) -> bool {
        (hurries && !self.is_told) || self.until.is_none_or(|until| Instant::now() >= until)
    }

    pub(super) fn set(&mut self, wait: Duration) {
        self.until = Instant::now().checked_add(wait);
        self.is_told = true;
    }

    pub(super) fn grow(&mut self) {
        let longest = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(6))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        let share = RandomState::new().hash_one(self.failures) % 1_024;
        let pause = longest.mul_f64(0.5 + share as f64 / 2_048.0);
        self.until = Some(Instant::now() + pause);
        self.is_told = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut pause = Pause::default();
        assert!(pause.is_over(false));
        let mut last = Vec::new();
        for _ in 0..20 {
            pause.grow();
            let left = pause.until.unwrap() - Instant::now();
            assert!(left <= LONGEST_PAUSE);
            last.push(left);
        }
        assert!(last[19] >= LONGEST_PAUSE / 2 - Duration::from_secs(1));
        assert!(last[0] <= FIRST_PAUSE);
    }
}
