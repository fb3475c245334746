//! Waiting for what must come, with a deadline.

use std::time::{Duration, Instant};

/// Long enough for a machine with other work to do; what works takes seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until there is an answer; at the deadline, what `otherwise` says is the failure.
#[track_caller]
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>, otherwise: impl FnOnce() -> String) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited {} s in vain: {}", PATIENCE.as_secs(), otherwise());
        std::thread::sleep(Duration::from_millis(100));
    }
}
