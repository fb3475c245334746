//! Events made from a seed: what a shop's web site and apps would send, in any number.
//!
//! The same numbers give the same bytes. Nothing is kept but what is to be sent once more, so that a load may be as long
//! as one likes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use catchment_domain::Millis;
use catchment_domain::time::format_rfc3339;

/// A copy of an event comes at most so many records behind it.
const COPY_WITHIN: u64 = 10_000;
const CATEGORIES: [&str; 20] = [
    "running",
    "trail",
    "tennis",
    "basketball",
    "football",
    "hiking",
    "sandals",
    "boots",
    "loafers",
    "sneakers",
    "heels",
    "slippers",
    "kids",
    "socks",
    "laces",
    "insoles",
    "bags",
    "care",
    "apparel",
    "outlet",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "AwesomeShoes/7.2 (iPhone; iOS 19.0; Scale/3.00)",
    "AwesomeShoes/7.2 (Android 16; Pixel 9)",
];
const CURRENCIES: [&str; 3] = ["USD", "EUR", "GBP"];
const GIVEN: [&str; 8] = ["Ada", "Ben", "Chloe", "Dan", "Emma", "Farid", "Grace", "Hugo"];
const FAMILY: [&str; 8] = ["Adler", "Brown", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Hughes"];
const CITIES: [&str; 8] = ["Oslo", "Porto", "Austin", "Leeds", "Turin", "Graz", "Lyon", "Kyoto"];

/// What a load is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSpec {
    /// Records, copies and malformed ones included.
    pub events: u64,
    /// Customers that events are drawn from, at least 1: by Zipf's law with exponent 0.9, so that a few are busy and
    /// most are seldom seen.
    pub customers: u32,
    /// Everything follows from it.
    pub seed: u64,
    /// Time of the first event.
    pub start: Millis,
    /// Between two events.
    pub step: Millis,
}

impl Default for LoadSpec {
    /// 1,000,000 events of 100,000 customers, five a second from 2026-01-01T00:00:00Z on.
    fn default() -> Self {
        LoadSpec { events: 1_000_000, customers: 100_000, seed: 1, start: 1_767_225_600_000, step: 200 }
    }
}

/// What a record of a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadKind {
    /// An event that was not sent before.
    New,
    /// An event once more, byte for byte.
    Copy,
    /// A record that no contract takes: cut off, or without a type.
    Malformed,
}

/// A record of a load: a call of Segment's specification, about 500 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRecord {
    /// Key: the id of the message, also of malformed ones.
    pub key: String,
    /// JSON text, unless it is malformed.
    pub value: String,
    /// What it is.
    pub kind: LoadKind,
}

/// How many records there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadCounts {
    /// [`LoadKind::New`].
    pub new: u64,
    /// [`LoadKind::Copy`].
    pub copies: u64,
    /// [`LoadKind::Malformed`].
    pub malformed: u64,
}

/// The records of a load, in order.
///
/// Of 100 events 70 are product views, 15 additions to the cart, 5 orders and 10 `identify` calls. Of 1,000 records about
/// 10 are copies of one of the 10,000 before, and one is malformed. Of 20 times one is written with an offset of +02:00.
#[derive(Clone, Debug)]
pub struct Load {
    spec: LoadSpec,
    random: Random,
    /// Sums of the customers' weights.
    weights: Vec<f64>,
    next: u64,
    /// Copies, by the place they are sent at.
    later: BTreeMap<u64, LoadRecord>,
    counts: LoadCounts,
}

impl Load {
    /// The load of a specification, from its first record.
    #[must_use]
    pub fn new(spec: LoadSpec) -> Self {
        let mut sum = 0.0;
        let weights = (1..=spec.customers.max(1)).map(|rank| {
            sum += f64::from(rank).powf(-0.9);
            sum
        });
        Load {
            random: Random(spec.seed),
            weights: weights.collect(),
            spec,
            next: 0,
            later: BTreeMap::new(),
            counts: LoadCounts::default(),
        }
    }

    /// What came so far.
    #[must_use]
    pub fn counts(&self) -> LoadCounts {
        self.counts
    }

    /// The next event is of that time, and the ones behind it follow by the step.
    pub fn set_time(&mut self, time: Millis) {
        let passed = i64::try_from(self.next).unwrap_or(i64::MAX).saturating_mul(self.spec.step);
        self.spec.start = time.saturating_sub(passed);
    }

    /// The time of an event by its place.
    fn time(&self, at: u64) -> Millis {
        let passed = i64::try_from(at).unwrap_or(i64::MAX).saturating_mul(self.spec.step);
        self.spec.start.saturating_add(passed)
    }

    fn make(&mut self, at: u64) -> LoadRecord {
        let customer = self.draw_customer();
        let time = self.time(at);
        let (key, value) = event(&mut self.random, customer, time);
        match self.random.below(2_000) {
            0 => {
                let cut = value.len() * 2 / 3;
                LoadRecord { key, value: value[..cut].to_owned(), kind: LoadKind::Malformed }
            }
            1 => {
                let value = value.replacen("{\"type\"", "{\"kind\"", 1);
                LoadRecord { key, value, kind: LoadKind::Malformed }
            }
            drawn => {
                let record = LoadRecord { key, value, kind: LoadKind::New };
                if drawn < 22 {
                    let mut place = at + 1 + self.random.below(COPY_WITHIN);
                    while self.later.contains_key(&place) {
                        place += 1;
                    }
                    self.later.insert(place, LoadRecord { kind: LoadKind::Copy, ..record.clone() });
                }
                record
            }
        }
    }

    fn draw_customer(&mut self) -> usize {
        let all = self.weights.last().copied().unwrap_or_default();
        let drawn = self.random.unit() * all;
        self.weights.partition_point(|sum| *sum <= drawn)
    }
}

impl Iterator for Load {
    type Item = LoadRecord;

    fn next(&mut self) -> Option<LoadRecord> {
        let at = self.next;
        if at >= self.spec.events {
            return None;
        }
        self.next += 1;
        let record = match self.later.remove(&at) {
            Some(copy) => copy,
            None => self.make(at),
        };
        match record.kind {
            LoadKind::New => self.counts.new += 1,
            LoadKind::Copy => self.counts.copies += 1,
            LoadKind::Malformed => self.counts.malformed += 1,
        }
        Some(record)
    }
}

/// Id and text of an event.
fn event(random: &mut Random, customer: usize, time: Millis) -> (String, String) {
    let id = format!("{:016x}{:016x}", random.next(), random.next());
    let stamp = match random.below(20) {
        0 => format_rfc3339(time.saturating_add(7_200_000)).replace('Z', "+02:00"),
        _ => format_rfc3339(time),
    };
    let mut text = String::with_capacity(640);
    let drawn = random.below(100);
    let name = match drawn {
        0..70 => Some("Product Viewed"),
        70..85 => Some("Product Added"),
        85..90 => Some("Order Completed"),
        _ => None,
    };
    // Writing to a string can't fail.
    let _ = match name {
        Some(name) => write!(text, r#"{{"type":"track","event":"{name}","#),
        None => write!(text, r#"{{"type":"identify","#),
    };
    let ip = random.next().to_be_bytes();
    let _ = write!(
        text,
        r#""messageId":"{id}","userId":"c{customer:08}","anonymousId":"a{:015x}","timestamp":"{stamp}","sentAt":"{}","context":{{"ip":"10.{}.{}.{}","userAgent":"{}","library":{{"name":"analytics.js","version":"2.11.1"}}}},"#,
        // One device a customer.
        (customer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4,
        format_rfc3339(time),
        ip[0],
        ip[1],
        ip[2],
        random.pick(&AGENTS),
    );
    if name.is_some() {
        properties(random, &mut text, &id, drawn >= 85);
    } else {
        traits(random, &mut text, customer);
    }
    (id, text)
}

fn properties(random: &mut Random, text: &mut String, id: &str, is_order: bool) {
    let (cents, quantity) = (999 + random.below(25_000), 1 + random.below(3));
    let _ = write!(
        text,
        r#""properties":{{"product_id":"sku-{:05}","category":"{}","price":{}.{:02},"quantity":{quantity},"currency":"{}""#,
        random.below(20_000),
        random.pick(&CATEGORIES),
        cents / 100,
        cents % 100,
        random.pick(&CURRENCIES),
    );
    if is_order {
        let total = cents * quantity;
        let _ = write!(text, r#","order_id":"o-{}","revenue":{}.{:02}"#, &id[..12], total / 100, total % 100);
    }
    text.push_str("}}");
}

fn traits(random: &mut Random, text: &mut String, customer: usize) {
    let (given, family) = (random.pick(&GIVEN), random.pick(&FAMILY));
    let _ = write!(
        text,
        r#""traits":{{"email":" {given}.{family}{customer}@Example.com ","phone":"+1 555 {:07}","firstName":"{given}","lastName":"{family}","city":"{}","plan":"{}","marketingOptIn":{}}}}}"#,
        random.below(10_000_000),
        random.pick(&CITIES),
        random.pick(&["free", "club", "pro", "team"]),
        random.below(2) == 0,
    );
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is far below 2^64, so that the bias does not matter.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// At least 0, below 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let place = usize::try_from(self.below(from.len() as u64)).unwrap_or_default();
        from.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn small() -> LoadSpec {
        LoadSpec { events: 30_000, customers: 500, ..LoadSpec::default() }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        let make = |seed| Load::new(LoadSpec { seed, events: 300, ..small() }).collect::<Vec<_>>();
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }

    #[test]
    fn a_longer_load_begins_with_the_shorter_one() {
        let short: Vec<_> = Load::new(LoadSpec { events: 300, ..small() }).collect();
        let long: Vec<_> = Load::new(small()).take(300).collect();
        assert_eq!(short, long);
    }

    #[test]
    fn kinds_are_what_they_say() {
        let mut load = Load::new(small());
        let (mut seen, mut bytes) = (HashSet::new(), 0);
        for record in load.by_ref() {
            bytes += record.value.len();
            let json: Option<serde_json::Value> = serde_json::from_str(&record.value).ok();
            let id = json.as_ref().filter(|json| json["type"].is_string());
            let id = id.and_then(|json| json["messageId"].as_str());
            match record.kind {
                LoadKind::Malformed => assert_eq!(id, None, "{}", record.value),
                LoadKind::New => {
                    assert_eq!(id, Some(record.key.as_str()));
                    assert!(seen.insert(record.value));
                }
                LoadKind::Copy => assert!(seen.contains(&record.value)),
            }
        }
        let LoadCounts { new, copies, malformed } = load.counts();
        assert_eq!(new + copies + malformed, 30_000);
        assert!((200..400).contains(&copies) && (10..60).contains(&malformed), "{:?}", load.counts());
        assert!((440..560).contains(&(bytes / 30_000)), "{} bytes a record", bytes / 30_000);
    }

    #[test]
    fn a_few_customers_are_busy_and_most_are_seldom_seen() {
        let mut of_first = 0;
        for record in Load::new(small()) {
            of_first += usize::from(record.value.contains(r#""userId":"c00000000""#));
        }
        assert!((1_500..4_000).contains(&of_first), "{of_first} of 30,000");
    }
}
