//! When to ask again: the one place that knows the `backoff` crate.
//!
//! Every call to the outside that is repeated waits by a [`Backoff`]: longer each time, with jitter, so that many who
//! lost the same broker don't come back at once.

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use std::time::{Duration, Instant};

/// How often a trouble that goes on is said again.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Waits that grow from a first to a longest one, each ± 50 %. Never gives up: what is waited for is the world, and the
/// caller decides when to stop.
#[derive(Debug)]
pub struct Backoff {
    waits: ExponentialBackoff,
    attempts: u32,
    since: Option<Instant>,
    said: Option<Instant>,
}

impl Backoff {
    /// Waits from about `first` to about `longest`, each half as long again as the one before.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        let waits = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            max_interval: longest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Backoff { waits, attempts: 0, since: None, said: None }
    }

    /// How long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.since.get_or_insert_with(Instant::now);
        self.waits.next_backoff().unwrap_or(self.waits.max_interval)
    }

    /// It went well: the next trouble is a new one.
    pub fn reset(&mut self) {
        self.waits.reset();
        (self.attempts, self.since, self.said) = (0, None, None);
    }

    /// Attempts that failed since the last [`reset`](Self::reset).
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long the trouble has lasted.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// True at first and then once a minute: a trouble that goes on is said, and does not fill the log.
    pub fn is_worth_saying(&mut self) -> bool {
        let worth = self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if worth {
            self.said = Some(Instant::now());
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew_after_a_success() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut backoff = Backoff::new(first, longest);
        let waits: Vec<Duration> = (0..30).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= first / 2 && waits[0] <= first * 3 / 2, "{waits:?}");
        assert!(waits[20..].iter().all(|wait| *wait >= longest / 2 && *wait <= longest * 3 / 2), "{waits:?}");
        assert_eq!(backoff.attempts(), 30);
        backoff.reset();
        assert_eq!((backoff.attempts(), backoff.lasted()), (0, Duration::ZERO));
        assert!(backoff.next_wait() <= first * 3 / 2);
    }

    #[test]
    fn a_trouble_is_said_at_once_and_not_with_every_attempt() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        assert!(backoff.is_worth_saying());
        assert!(!backoff.is_worth_saying());
        backoff.reset();
        assert!(backoff.is_worth_saying());
    }
}
