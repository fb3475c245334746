//! What must be there before the first lane can start. The world may be late: it is waited for, and said.

use std::thread;
use std::time::{Duration, Instant};

use catchment_connectors::retry::Backoff;

use crate::observe::health::{Health, World};
use crate::stop::Stop;

/// Naps between looks at the request to stop.
const NAP: Duration = Duration::from_millis(100);

/// An answer of the world.
pub(super) enum Answer<T> {
    /// It is there.
    Here(T),
    /// Not now; asking again may help.
    Later(String),
    /// Asking again would give the same.
    Never(anyhow::Error),
}

/// Asks until the world answers. It says at first, and then once a minute, what it waits for; `/readyz` is red
/// meanwhile. `None`: the process was asked to stop.
///
/// # Errors
/// What [`Answer::Never`] says.
pub(super) fn wait_for<T>(
    world: World,
    health: &Health,
    stop: &Stop,
    mut ask: impl FnMut() -> Answer<T>,
) -> anyhow::Result<Option<T>> {
    let mut trouble = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    let mut waiting = None;
    while !stop.requested() {
        match ask() {
            Answer::Here(answer) => {
                if waiting.is_some() {
                    let seconds = trouble.lasted().as_secs();
                    tracing::info!(seconds, "{} is there", world.as_str());
                }
                return Ok(Some(answer));
            }
            Answer::Never(error) => return Err(error),
            Answer::Later(reason) => {
                waiting.get_or_insert_with(|| health.waiting_for(world));
                let wait = trouble.next_wait();
                if trouble.is_worth_saying() {
                    let seconds = trouble.lasted().as_secs();
                    tracing::warn!(seconds, "waits for {}: {reason}", world.as_str());
                }
                nap(wait, stop);
            }
        }
    }
    Ok(None)
}

/// Waits, but no longer than until the request to stop.
pub(super) fn nap(wait: Duration, stop: &Stop) {
    let end = Instant::now() + wait;
    while !stop.requested() && Instant::now() < end {
        thread::sleep(NAP.min(end.saturating_duration_since(Instant::now())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_asked_until_it_answers() {
        let (health, stop) = (Health::new(Duration::from_secs(1)), Stop::never());
        let mut asked = 0;
        let answer = wait_for(World::Kafka, &health, &stop, || {
            asked += 1;
            if asked < 3 { Answer::Later("down".to_owned()) } else { Answer::Here(asked) }
        });
        assert_eq!(answer.unwrap(), Some(3));
    }

    #[test]
    fn a_refusal_and_a_request_to_stop_end_the_wait() {
        let (health, stop) = (Health::new(Duration::from_secs(1)), Stop::never());
        let never = || Answer::<()>::Never(anyhow::anyhow!("too few partitions"));
        let refused = wait_for(World::Topics, &health, &stop, never);
        assert_eq!(refused.unwrap_err().to_string(), "too few partitions");
        let stopped = wait_for(World::Kafka, &health, &stop, || {
            stop.request();
            Answer::<()>::Later("down".to_owned())
        });
        assert_eq!(stopped.unwrap(), None);
    }
}
