//! What models may ask about a profile. The catalogue is fixed and documented: a model names its features, and a name
//! that is not here is refused when the model is loaded.
//!
//! All logarithms are natural. Times are real numbers of days or hours from an event to `now`, never negative.

use crate::profile::{Affinity, Kept, Profile};
use crate::time::{DAY, HOUR, Millis, day_of};

macro_rules! features {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A number computed from a profile at a moment.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Feature { $($(#[doc = $doc])+ $variant,)+ }

        impl Feature {
            /// The whole catalogue.
            pub const ALL: &'static [Feature] = &[$(Feature::$variant,)+];

            /// Name, as models write it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Feature::$variant => $name,)+ }
            }

            /// What it is, in one sentence.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Feature::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

features! {
    /// ln(1 + orders); missing for who never ordered.
    OrdersLog = "orders_log",
    /// ln(1 + orders within 90 days); missing for who never ordered.
    Orders90dLog = "orders_90d_log",
    /// ln(1 + days since the newest order); missing for who never ordered.
    DaysSinceLastOrderLog = "days_since_last_order_log",
    /// ln(1 + days since the first order); missing for who never ordered.
    DaysSinceFirstOrderLog = "days_since_first_order_log",
    /// ln(1 + days from the first to the newest order ÷ (orders − 1)); missing for who ordered less than twice.
    MeanGapDaysLog = "mean_gap_days_log",
    /// ln(1 + mean order total in major units of the model's currency); missing without a known amount in that currency.
    MeanOrderValueLog = "mean_order_value_log",
    /// ln(1 + pieces ordered); missing for who never ordered.
    UnitsLog = "units_log",
    /// ln(1 + product views on the newest 7 UTC days).
    Views7dLog = "views_7d_log",
    /// ln(1 + additions to the cart on the newest 7 UTC days).
    Adds7dLog = "adds_7d_log",
    /// ln(1 + orders within 30 days).
    Orders30dLog = "orders_30d_log",
    /// ln(1 + known amounts ordered within 30 days in major units of the model's currency).
    Revenue30dLog = "revenue_30d_log",
    /// ln(1 + hours since the newest event).
    HoursSinceSeenLog = "hours_since_seen_log",
    /// Share of the strongest category in all interest, decayed by half every 7 days; 0 without any interest.
    TopAffinityShare = "top_affinity_share",
    /// 1 if an e-mail address is known, else 0.
    HasEmail = "has_email",
    /// Additions to the cart ÷ (product views + 1), both on the newest 7 UTC days.
    AddsPerView = "adds_per_view",
}

impl Feature {
    /// The feature of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Feature> {
        Feature::ALL.iter().copied().find(|feature| feature.name() == name)
    }
}

fn ln_1p(value: f64) -> f64 {
    // Not f64::ln_1p: models are trained with ln(1 + x), and golden vectors are compared to 1e-12.
    (1.0 + value).ln()
}

#[allow(clippy::cast_precision_loss, reason = "counts and times are far below 2^53")]
fn real(value: i64) -> f64 {
    value as f64
}

fn span(from: Millis, to: Millis, unit: Millis) -> f64 {
    real(to.saturating_sub(from).max(0)) / real(unit)
}

/// What a profile says at a moment; made once, then asked for each feature.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    profile: &'a Profile,
    now: Millis,
    orders: i64,
    orders_90d: i64,
    orders_30d: i64,
    units: i64,
    first: Millis,
    last: Millis,
    /// Orders of known amount in the currency asked for, their sum, and the sum of the newest 30 days; minor units.
    priced: i64,
    total: i64,
    total_30d: i64,
    views_7d: u32,
    adds_7d: u32,
    minor: f64,
}

impl<'a> Facts<'a> {
    /// Facts of a profile at `now`, amounts in `currency` with `decimals` decimals. Orders later than `now` do not
    /// count (an event is never later than its arrival, so there are none but in a replay of another time). Of orders
    /// that were summed up only the earliest time is known; the newest 256 stand by themselves, so what is asked of the
    /// newest days is exact for whoever orders less than 256 times in 90 days.
    #[must_use]
    pub fn new(profile: &'a Profile, now: Millis, currency: &str, decimals: u32) -> Self {
        let minor = 10f64.powi(i32::try_from(decimals).unwrap_or(2));
        let mut facts = Facts {
            profile,
            now,
            orders: 0,
            orders_90d: 0,
            orders_30d: 0,
            units: 0,
            first: Millis::MAX,
            last: Millis::MIN,
            priced: 0,
            total: 0,
            total_30d: 0,
            views_7d: 0,
            adds_7d: 0,
            minor,
        };
        for order in profile.orders.iter().filter(|order| order.at <= now) {
            // What was called off was no order, and what was given back was not paid.
            let Some(Kept { total }) = profile.kept(order) else { continue };
            let age = now - order.at;
            facts.orders += 1;
            facts.orders_90d += i64::from(age < 90 * DAY);
            facts.orders_30d += i64::from(age < 30 * DAY);
            facts.units += i64::from(order.units);
            (facts.first, facts.last) = (facts.first.min(order.at), facts.last.max(order.at));
            if let Some(total) = total.filter(|_| order.currency.as_deref() == Some(currency)) {
                facts.priced += 1;
                facts.total = facts.total.saturating_add(total);
                facts.total_30d = facts.total_30d.saturating_add(if age < 30 * DAY { total } else { 0 });
            }
        }
        for sum in &profile.older_orders {
            let orders = i64::try_from(sum.orders).unwrap_or(i64::MAX);
            facts.orders = facts.orders.saturating_add(orders);
            facts.units = facts.units.saturating_add(sum.units);
            facts.first = facts.first.min(sum.first_at);
            if let Some(total) = sum.total.filter(|_| sum.currency.as_deref() == Some(currency)) {
                facts.priced = facts.priced.saturating_add(orders);
                facts.total = facts.total.saturating_add(total);
            }
        }
        let today = day_of(now);
        for day in profile.days.iter().rev().take_while(|day| day.day > today - 7) {
            facts.views_7d = facts.views_7d.saturating_add(day.viewed);
            facts.adds_7d = facts.adds_7d.saturating_add(day.added);
        }
        facts
    }

    /// The value of a feature, or `None` where it is missing.
    #[must_use]
    pub fn get(&self, feature: Feature) -> Option<f64> {
        let ordered = |value: f64| (self.orders > 0 && self.last != Millis::MIN).then(|| ln_1p(value));
        match feature {
            Feature::OrdersLog => ordered(real(self.orders)),
            Feature::Orders90dLog => ordered(real(self.orders_90d)),
            Feature::DaysSinceLastOrderLog => ordered(span(self.last, self.now, DAY)),
            Feature::DaysSinceFirstOrderLog => ordered(span(self.first, self.now, DAY)),
            Feature::MeanGapDaysLog => {
                let gaps = self.orders - 1;
                (gaps >= 1).then(|| ordered(span(self.first, self.last, DAY) / real(gaps))).flatten()
            }
            Feature::MeanOrderValueLog => {
                (self.priced > 0).then(|| ln_1p(real(self.total) / self.minor / real(self.priced)))
            }
            Feature::UnitsLog => ordered(real(self.units)),
            Feature::Views7dLog => Some(ln_1p(f64::from(self.views_7d))),
            Feature::Adds7dLog => Some(ln_1p(f64::from(self.adds_7d))),
            Feature::Orders30dLog => Some(ln_1p(real(self.orders_30d))),
            Feature::Revenue30dLog => Some(ln_1p(real(self.total_30d) / self.minor)),
            Feature::HoursSinceSeenLog => Some(ln_1p(span(self.profile.last_seen, self.now, HOUR))),
            Feature::TopAffinityShare => Some(top_share(&self.profile.affinity, day_of(self.now))),
            Feature::HasEmail => {
                Some(f64::from(u8::from(self.profile.identifier(crate::IdentifierType::Email).is_some())))
            }
            Feature::AddsPerView => Some(f64::from(self.adds_7d) / (f64::from(self.views_7d) + 1.0)),
        }
    }
}

/// Half-life of interest in a category, in days.
const HALF_LIFE_DAYS: f64 = 7.0;

fn top_share(affinity: &[Affinity], today: i32) -> f64 {
    // Few enough to sum without a map: at most 64 entries, of which a handful of categories.
    let mut sums: smallvec::SmallVec<[(&str, f64); 24]> = smallvec::SmallVec::new();
    let mut weight = (i32::MIN, 0.0);
    for entry in affinity {
        if weight.0 != entry.day {
            let age = f64::from(today.saturating_sub(entry.day).max(0));
            weight = (entry.day, (-age / HALF_LIFE_DAYS).exp2());
        }
        let points = f64::from(entry.points) * weight.1;
        match sums.iter_mut().find(|(category, _)| *category == entry.category) {
            Some((_, sum)) => *sum += points,
            None => sums.push((&entry.category, points)),
        }
    }
    let all: f64 = sums.iter().map(|(_, sum)| sum).sum();
    let top = sums.iter().map(|(_, sum)| *sum).fold(0.0, f64::max);
    if all > 0.0 { top / all } else { 0.0 }
}
