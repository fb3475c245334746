//! Stopping in order: the first signal asks, the second ends the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// Says whether the process was asked to stop. Loops look at it between steps; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    leaving: Arc<AtomicBool>,
}

impl Stop {
    /// A stop that no signal requests.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// From now on, SIGINT and SIGTERM request the stop, and SIGUSR1 a stop for good
    /// ([`is_leaving`](Self::is_leaving)). A second SIGINT or SIGTERM ends the process at once, with exit code 130
    /// or 143, for who can't wait.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    pub fn install() -> io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the check runs before the flag is set, so that it sees the *earlier* signal.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop.requested))?;
            flag::register(signal, Arc::clone(&stop.requested))?;
        }
        // In this order, so that whoever sees the request knows whether it is for good.
        flag::register(SIGUSR1, Arc::clone(&stop.leaving))?;
        flag::register(SIGUSR1, Arc::clone(&stop.requested))?;
        Ok(stop)
    }

    /// Whether the stop is for good (scale-in): partitions are given up at once, not kept for a restart.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Requests the stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Whether the stop was requested.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_request() {
        let stop = Stop::never();
        let seen = stop.clone();
        assert!(!seen.requested());
        stop.request();
        assert!(seen.requested());
    }

    #[test]
    fn first_signal_only_requests() {
        let stop = Stop::install().unwrap();
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(stop.requested());
    }

    /// What the next test starts as a process of its own.
    #[test]
    fn raises_two_signals_if_asked() {
        let Ok(signal) = std::env::var("TEST_RAISES") else {
            return;
        };
        Stop::install().unwrap();
        for _ in 0..2 {
            signal_hook::low_level::raise(signal.parse().unwrap()).unwrap();
        }
    }

    #[test]
    fn second_signal_ends_the_process_at_once() {
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "stop::tests::raises_two_signals_if_asked"])
                .env("TEST_RAISES", signal.to_string())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(code));
        }
    }
}
