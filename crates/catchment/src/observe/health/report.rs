//! What follows from what the lanes say, as the pages show it.

use super::{Health, Lane, Ordering, State, lock};
use catchment_connectors::admin::Answer;
use catchment_domain::time::format_rfc3339;
use serde::Serialize;
use std::time::{Duration, Instant, SystemTime};

/// The body of both pages.
#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    alive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<bool>,
    /// What the process waits for.
    waiting_for: Vec<&'static str>,
    lanes: Vec<LaneBody>,
}

#[derive(Serialize)]
struct LaneBody {
    role: &'static str,
    lane: u16,
    state: &'static str,
    /// Since when, RFC 3339.
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<&'static str>,
    turned_seconds_ago: u64,
    kafka_answered_seconds_ago: Option<u64>,
    /// `topic/partition`.
    partitions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_records: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<HeldBody>,
}

#[derive(Serialize)]
struct HeldBody {
    topic: String,
    partition: u32,
    reason: &'static str,
    why: String,
}

/// Whether a lane works, or would if there were something to do.
pub(super) fn is_ready(state: &State, silent: Option<Duration>, silence: Duration) -> bool {
    *state == State::Running && silent.is_some_and(|silent| silent <= silence)
}

impl Health {
    /// No lane yet is alive: the process is waiting for the world.
    pub(super) fn alive_at(&self, now: Instant) -> Answer {
        let alive = lock(&self.shared.lanes).iter().all(|lane| lane.turns(now));
        self.answer(now, alive, Some(alive), None)
    }

    pub(super) fn ready_at(&self, now: Instant) -> Answer {
        let ready = {
            let lanes = lock(&self.shared.lanes);
            !lanes.is_empty() && lanes.iter().all(|lane| lane.is_ready(now, self.shared.silence))
        };
        self.shared.ready.set(f64::from(u8::from(ready)));
        self.answer(now, ready, None, Some(ready))
    }

    fn answer(&self, now: Instant, good: bool, alive: Option<bool>, ready: Option<bool>) -> Answer {
        let waiting_for = lock(&self.shared.waiting).iter().map(|world| world.as_str()).collect();
        let lanes = lock(&self.shared.lanes).iter().map(|lane| lane.body(now)).collect();
        let body = serde_json::to_string_pretty(&Body { alive, ready, waiting_for, lanes });
        Answer {
            status: if good { 200 } else { 503 },
            content_type: "application/json",
            // Such a body can always be written.
            body: body.unwrap_or_default() + "\n",
        }
    }
}

impl Lane {
    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    fn turns(&self, now: Instant) -> bool {
        self.elapsed(now) <= Duration::from_millis(self.turn_by.load(Ordering::Relaxed))
    }

    fn silent(&self, now: Instant) -> Option<Duration> {
        let answered = self.answered.load(Ordering::Relaxed);
        (answered > 0).then(|| self.elapsed(now).saturating_sub(Duration::from_millis(answered)))
    }

    fn is_ready(&self, now: Instant, silence: Duration) -> bool {
        is_ready(&lock(&self.facts).state, self.silent(now), silence)
    }

    fn body(&self, now: Instant) -> LaneBody {
        let turned = Duration::from_millis(self.turned.load(Ordering::Relaxed));
        let facts = lock(&self.facts);
        let (restored, remaining) = match &facts.state {
            State::Restoring { done, of } => (Some(*done), Some(of.saturating_sub(*done))),
            _ => (None, None),
        };
        let since = facts.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let held = facts.held.iter().map(|held| HeldBody {
            topic: held.at.0.clone(),
            partition: held.at.1,
            reason: held.reason,
            why: held.why.clone(),
        });
        LaneBody {
            role: self.role,
            lane: self.index,
            state: facts.state.as_str(),
            since: format_rfc3339(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            reason: match &facts.state {
                State::Stopped { reason } => Some(reason.clone()),
                _ => None,
            },
            waiting_for: facts.waiting_for().map(super::World::as_str),
            turned_seconds_ago: self.elapsed(now).saturating_sub(turned).as_secs(),
            kafka_answered_seconds_ago: self.silent(now).map(|silent| silent.as_secs()),
            partitions: facts.partitions.iter().map(|(topic, number)| format!("{topic}/{number}")).collect(),
            restored_records: restored,
            remaining_records: remaining,
            held: held.collect(),
        }
    }
}
