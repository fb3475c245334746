//! How often and when.

use super::{Profile, Text, insert};
use crate::event::{Event, EventKind, names};
use crate::time::{Millis, day_of};

/// Most entries of counts: [`RESERVED_COUNTS`], and the first by name of all others; what is beyond is summed under
/// [`OTHER`].
pub const MAX_COUNTS: usize = 64;
/// Most days; the newest are kept.
pub const MAX_DAYS: usize = 90;
/// What the events beyond [`MAX_COUNTS`] are summed under.
pub const OTHER: &str = "";
/// Events that the program itself knows, so that no number of others pushes them out.
pub const RESERVED_COUNTS: [&str; 16] = [
    OTHER,
    names::PRODUCT_VIEWED,
    names::PRODUCT_ADDED,
    names::PRODUCT_REMOVED,
    names::ORDER_COMPLETED,
    names::ORDER_REFUNDED,
    names::ORDER_CANCELLED,
    names::SURVEY_COMPLETED,
    names::UNSUBSCRIBED,
    "identify",
    "track",
    "page",
    "screen",
    "group",
    "alias",
    "contact",
];

/// How often something was done in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCount {
    /// Name of the track event, else the kind of call.
    pub event: Text,
    /// Times.
    pub count: u64,
    /// Newest.
    pub last_at: Millis,
}

/// What was done on one UTC day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01.
    pub day: i32,
    /// Product views.
    pub viewed: u32,
    /// Additions to the cart.
    pub added: u32,
    /// Orders.
    pub ordered: u32,
    /// All other events.
    pub other: u32,
}

/// How often something was done at an hour of the day: a page or a screen seen, or a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourCount {
    /// Hour where the customer was then, 0 to 23.
    pub hour: u8,
    /// Times.
    pub count: u32,
}

impl Profile {
    pub(super) fn take_activity(&mut self, event: &Event<'_>) {
        let label = event.label();
        self.count(label, 1, event.occurred_at);
        let is_hers = matches!(event.kind, EventKind::Track | EventKind::Page | EventKind::Screen);
        if let Some(hour) = event.local_hour.filter(|_| is_hers) {
            self.count_hour(HourCount { hour, count: 1 });
        }
        let Some(day) = self.day_mut(day_of(event.occurred_at)) else {
            return;
        };
        let bucket = match label {
            names::PRODUCT_VIEWED => &mut day.viewed,
            names::PRODUCT_ADDED => &mut day.added,
            names::ORDER_COMPLETED => &mut day.ordered,
            _ => &mut day.other,
        };
        *bucket = bucket.saturating_add(1);
    }

    pub(super) fn count_hour(&mut self, new: HourCount) {
        match self.hours.binary_search_by_key(&new.hour, |known| known.hour) {
            Ok(place) => self.hours[place].count = self.hours[place].count.saturating_add(new.count),
            Err(place) if new.hour < 24 => insert(&mut self.hours, place, new),
            Err(_) => {}
        }
    }

    pub(super) fn count(&mut self, label: &str, times: u64, at: Millis) {
        match self.counts.binary_search_by(|known| known.event.as_str().cmp(label)) {
            Ok(place) => {
                let known = &mut self.counts[place];
                known.count += times;
                known.last_at = known.last_at.max(at);
            }
            Err(place) => {
                let count = EventCount { event: Text::from(label), count: times, last_at: at };
                insert(&mut self.counts, place, count);
                let beyond = super::beyond(&self.counts, MAX_COUNTS, &RESERVED_COUNTS, |known| &known.event);
                if let Some(place) = beyond {
                    let last = self.counts.remove(place);
                    self.count(OTHER, last.count, last.last_at);
                }
            }
        }
    }

    /// The bucket of a day, or `None` for a day older than all that are kept.
    pub(super) fn day_mut(&mut self, day: i32) -> Option<&mut Day> {
        // Nearly every event is of the newest day.
        let place = match self.days.last() {
            Some(last) if last.day == day => self.days.len() - 1,
            _ => match self.days.binary_search_by_key(&day, |known| known.day) {
                Ok(place) => place,
                Err(0) if self.days.len() >= MAX_DAYS => return None,
                Err(place) => {
                    let is_full = self.days.len() >= MAX_DAYS;
                    if is_full {
                        self.days.remove(0);
                    }
                    let place = place - usize::from(is_full);
                    insert(&mut self.days, place, Day { day, ..Day::default() });
                    place
                }
            },
        };
        self.days.get_mut(place)
    }
}
