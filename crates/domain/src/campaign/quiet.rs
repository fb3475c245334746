//! Hours in which nobody is spoken to, by the clock where the customer is.

use crate::time::Millis;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

/// From (included) to (excluded), by local time; over midnight if `from` is later than `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// Begin, such as `22:00`.
    #[serde(deserialize_with = "clock")]
    pub from: Time,
    /// End, such as `08:00`.
    #[serde(deserialize_with = "clock")]
    pub to: Time,
}

fn clock<'de, D: Deserializer<'de>>(input: D) -> Result<Time, D::Error> {
    let text = String::deserialize(input)?;
    let time = (text.len() == 5).then(|| Time::strptime("%H:%M", &text).ok()).flatten();
    time.ok_or_else(|| {
        serde::de::Error::custom(format!("expected a time of day such as 22:00, got `{text}`"))
    })
}

impl QuietHours {
    /// True if they begin when they end.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.from == self.to
    }

    /// The end of the quiet hours that `now` is in, or `None` if it is in none: the first moment after `now` at which the
    /// clock says `to`. Where a change of clocks skips that time, it is as much later as the clocks were put forward
    /// (02:30 is then 03:30: the mode "compatible" of RFC 5545 and jiff); where it comes twice, both count.
    #[must_use]
    pub fn until(self, now: Millis, zone: &TimeZone) -> Option<Millis> {
        let local = zone.to_datetime(jiff::Timestamp::from_millisecond(now).ok()?);
        let time = local.time();
        let over_midnight = self.from > self.to;
        let quiet = if over_midnight {
            time >= self.from || time < self.to
        } else {
            (self.from..self.to).contains(&time)
        };
        if !quiet {
            return None;
        }
        let ends_tomorrow = over_midnight && time >= self.from;
        let date = if ends_tomorrow { local.date().tomorrow().ok()? } else { local.date() };
        let end = zone.to_ambiguous_timestamp(date.to_datetime(self.to));
        // Of a time that comes twice, "compatible" is the first.
        let ends = [end.compatible(), end.later()];
        ends.into_iter().flatten().map(jiff::Timestamp::as_millisecond).find(|end| *end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{format_rfc3339, parse_rfc3339};

    #[track_caller]
    fn check(now: &str, zone: &str, expected: Option<&str>) {
        check_hours(("22:00", "08:00"), now, zone, expected);
    }

    #[track_caller]
    fn check_hours((from, to): (&str, &str), now: &str, zone: &str, expected: Option<&str>) {
        let time = |text: &str| text.parse().unwrap();
        let hours = QuietHours { from: time(from), to: time(to) };
        let until = hours.until(parse_rfc3339(now).unwrap(), &TimeZone::get(zone).unwrap());
        assert_eq!(until.map(format_rfc3339).as_deref(), expected, "{now} in {zone}");
    }

    #[test]
    fn ends_at_eight_where_the_customer_is() {
        check("2026-03-05T09:00:00Z", "Europe/Berlin", None);
        check("2026-03-05T09:00:00Z", "America/Los_Angeles", Some("2026-03-05T16:00:00.000Z"));
        check("2026-03-04T12:00:00Z", "Australia/Sydney", Some("2026-03-04T21:00:00.000Z"));
        check("2026-03-04T12:00:00Z", "America/New_York", Some("2026-03-04T13:00:00.000Z"));
    }

    #[test]
    fn ten_in_the_evening_is_quiet_and_eight_in_the_morning_is_not() {
        check("2026-03-05T22:00:00Z", "UTC", Some("2026-03-06T08:00:00.000Z"));
        check("2026-03-05T21:59:59.999Z", "UTC", None);
        check("2026-03-05T08:00:00Z", "UTC", None);
        check("2026-03-05T07:59:59.999Z", "UTC", Some("2026-03-05T08:00:00.000Z"));
    }

    #[test]
    fn a_change_of_clocks_in_the_night_is_counted() {
        check("2026-03-08T06:30:00Z", "America/New_York", Some("2026-03-08T12:00:00.000Z"));
    }

    #[test]
    fn an_end_that_comes_twice_is_never_in_the_past() {
        let check = |now, expected| check_hours(("23:00", "01:30"), now, "America/New_York", expected);
        check("2026-11-01T05:10:00Z", Some("2026-11-01T05:30:00.000Z"));
        check("2026-11-01T05:40:00Z", None);
        check("2026-11-01T06:10:00Z", Some("2026-11-01T06:30:00.000Z"));
        check("2026-11-01T06:30:00Z", None);
    }

    #[test]
    fn an_end_that_is_skipped_comes_as_much_later_as_the_clocks_were_put_forward() {
        let check = |now, expected| check_hours(("23:00", "02:30"), now, "America/New_York", expected);
        check("2026-03-08T06:59:00Z", Some("2026-03-08T07:30:00.000Z"));
        check("2026-03-08T07:00:00Z", None);
    }
}
