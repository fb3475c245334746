//! A seeded load: what upstream sends, and what must come of it.
//!
//! Track and identify events of a shop, over customers of whom few do most of it (Zipf). Some are sent again, some can't
//! be read. Every number follows from the seed, but for when the events happen.

use catchment_domain::time::format_rfc3339;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

/// How much, and of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) customers: u32,
    pub(crate) when: When,
}

/// When the events of a load happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// They have happened: so many records, malformed and repeated ones included, evenly over the last minute before
    /// `end`, in milliseconds since 1970.
    Before { end: i64, records: u64 },
    /// Each as it is made, without an end.
    Now,
}

const MINUTE: i64 = 60_000;

/// One in so many is sent again later.
const REPEATED: u64 = 100;
/// One in so many can't be read.
const MALFORMED: u64 = 1_000;
/// A repeat comes within so many records of the first time.
const MEMORY: usize = 1_000;

/// Splitmix64: small, and the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// In 0 ≤ x < 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// What must have come of all that was sent.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Deliveries of each event, by its id.
    pub(crate) deliveries: HashMap<String, u32>,
    /// Records that can't be read.
    pub(crate) malformed: BTreeSet<Vec<u8>>,
    /// Distinct events of each customer.
    pub(crate) events: BTreeMap<String, i64>,
    /// Campaign and scope of every trigger, with the customer: see [`CAMPAIGNS`].
    pub(crate) triggers: BTreeSet<(String, String, String)>,
}

impl Expected {
    /// What must come of another load, of other events.
    pub(crate) fn add(&mut self, other: Expected) {
        self.deliveries.extend(other.deliveries);
        self.malformed.extend(other.malformed);
        for (customer, events) in other.events {
            *self.events.entry(customer).or_default() += events;
        }
        self.triggers.extend(other.triggers);
    }
}

/// The campaigns that [`Expected::triggers`] counts on: file and content. Under each what is sent depends on the set of
/// events alone, not on their order: `ordered` once for every order, `cart` once for every customer who put something in
/// the cart, after a wait.
pub(crate) const CAMPAIGNS: [(&str, &str); 2] = [
    ("ordered.yaml", "{name: ordered, trigger: {event: Order Completed}, scope: event, channel: onsite}"),
    (
        "cart.yaml",
        "{name: cart, trigger: {event: Product Added, after: 1s}, scope: customer, channel: onsite}",
    ),
];

/// The records of a load, one after the other.
pub(crate) struct Records {
    load: Load,
    random: Seeded,
    sent: u64,
    memory: Vec<(String, Vec<u8>)>,
    pub(crate) expected: Expected,
}

impl Load {
    /// What has happened.
    pub(crate) fn past(seed: u64, records: u64, customers: u32) -> Self {
        Load { seed, customers, when: When::Before { end: now(), records } }
    }

    /// What happens.
    pub(crate) fn live(seed: u64, customers: u32) -> Self {
        Load { seed, customers, when: When::Now }
    }

    pub(crate) fn records(self) -> Records {
        let random = Seeded(self.seed);
        Records { load: self, random, sent: 0, memory: Vec::new(), expected: Expected::default() }
    }
}

impl Records {
    /// The next record: its partition among `partitions`, and its bytes. None after the last.
    pub(crate) fn next(&mut self, partitions: u32) -> Option<(i32, Vec<u8>)> {
        if matches!(self.load.when, When::Before { records, .. } if records == self.sent) {
            return None;
        }
        let number = self.sent;
        self.sent += 1;
        let bytes = if self.random.below(MALFORMED) == 0 {
            self.malformed(number)
        } else if self.random.below(REPEATED) == 0 && !self.memory.is_empty() {
            self.repeated()
        } else {
            self.event(number)
        };
        let partition = self.random.below(partitions.into());
        Some((i32::try_from(partition).unwrap(), bytes))
    }

    fn time(&self, number: u64) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap();
        match self.load.when {
            When::Before { end, records } => end - MINUTE + signed(number) * MINUTE / signed(records),
            When::Now => now(),
        }
    }

    fn malformed(&mut self, number: u64) -> Vec<u8> {
        let seed = self.load.seed;
        let text = match self.random.below(3) {
            0 => format!("{{\"type\":\"track\",\"messageId\":\"bad-{seed}-{number}\",\"event\":\"Prod"),
            1 => format!("{{\"type\":\"dance\",\"messageId\":\"bad-{seed}-{number}\",\"userId\":\"u-1\"}}"),
            _ => format!("bad-{seed}-{number} \u{fffd}"),
        };
        self.expected.malformed.insert(text.clone().into_bytes());
        text.into_bytes()
    }

    fn repeated(&mut self) -> Vec<u8> {
        let place = self.random.below(self.memory.len() as u64);
        let (id, bytes) = self.memory[usize::try_from(place).unwrap()].clone();
        *self.expected.deliveries.get_mut(&id).unwrap() += 1;
        bytes
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the customers"
    )]
    fn event(&mut self, number: u64) -> Vec<u8> {
        let Load { customers, seed, .. } = self.load;
        let time = format_rfc3339(self.time(number));
        let customer = format!("c-{}", f64::from(customers).powf(self.random.unit()) as u64);
        let id = format!("{seed}-{number}");
        let product = self.random.below(500);
        let mut text = format!(
            "{{\"messageId\":\"{id}\",\"userId\":\"{customer}\",\"timestamp\":\"{time}\",\"receivedAt\":\"{time}\","
        );
        let mut trigger = |campaign: &str, scope: &str| {
            self.expected.triggers.insert((campaign.to_owned(), scope.to_owned(), customer.clone()));
        };
        match self.random.below(100) {
            0..=4 => {
                let _ = write!(text, "\"type\":\"identify\",\"traits\":{{\"plan\":\"p{product}\"}}}}");
            }
            5..=64 => {
                let _ = write!(text, "\"type\":\"track\",\"event\":\"Product Viewed\",{}", item(product));
            }
            65..=89 => {
                trigger("cart", "customer");
                let _ = write!(text, "\"type\":\"track\",\"event\":\"Product Added\",{}", item(product));
            }
            _ => {
                trigger("ordered", &format!("behaviour:{id}"));
                let _ = write!(
                    text,
                    "\"type\":\"track\",\"event\":\"Order Completed\",\"properties\":{{\"order_id\":\"o-{id}\",\
                     \"total\":{}.5,\"currency\":\"USD\",\"products\":[{{\"product_id\":\"p-{product}\"}}]}}}}",
                    product + 10
                );
            }
        }
        *self.expected.events.entry(customer).or_default() += 1;
        self.expected.deliveries.insert(id.clone(), 1);
        let bytes = text.into_bytes();
        if self.memory.len() < MEMORY {
            self.memory.push((id, bytes.clone()));
        } else {
            let place = usize::try_from(number).unwrap() % MEMORY;
            self.memory[place] = (id, bytes.clone());
        }
        bytes
    }
}

fn item(product: u64) -> String {
    format!(
        "\"properties\":{{\"product_id\":\"p-{product}\",\"sku\":\"p-{product}-42\",\"category\":\"c{}\",\"price\":{}.9}}}}",
        product % 20,
        product + 10
    )
}
