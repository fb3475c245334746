//! What upstream sends, made from a seed: several sources, customers that are known by more than one name, events that
//! arrive long after they happened, records that are sent again, and records that nobody can read.

use crate::random::Random;
use crate::shape::{Kind, Shape};
use catchment_domain::time::format_rfc3339;

/// Milliseconds of a minute.
pub(crate) const MINUTE: i64 = 60_000;

/// 2026-03-02T06:00:00Z: quiet hours come and go from here.
pub(crate) const BEGIN: i64 = 1_772_431_200_000;

/// Places of the sources in the configuration.
const WEB: usize = 0;
const CRM: usize = 1;
const HUB: usize = 2;
const SHOP: usize = 3;

/// A raw record.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    /// Place of the source in the configuration, whose topic it goes to.
    pub(crate) source: usize,
    pub(crate) partition: u32,
    /// The broker's clock when it is appended. Never goes back.
    pub(crate) arrival: i64,
    /// What the header `catchment.source` says, if it is there.
    pub(crate) says: Option<&'static str>,
    pub(crate) value: Option<Vec<u8>>,
}

struct Writer<'a> {
    shape: &'a Shape,
    random: Random,
    now: i64,
    /// Calls that were sent, to send them again: customer, when they happened, and the rest of their text.
    sent: Vec<(usize, i64, String)>,
    written: Vec<Raw>,
}

/// All records of a world, in order of arrival.
pub(crate) fn records(shape: &Shape) -> Vec<Raw> {
    let random = Random::new(shape.seed ^ 0x0BAD_5EED_CAFE_F00D);
    let mut writer = Writer { shape, random, now: BEGIN, sent: Vec::new(), written: Vec::new() };
    while writer.written.len() < shape.records {
        writer.record();
    }
    // At last some of what came lately comes again: what was remembered must still be.
    for _ in 0..shape.records / 8 {
        writer.again();
    }
    writer.written
}

impl Writer<'_> {
    fn record(&mut self) {
        let gap = self.random.pick(&[0, 1, 700, 20_000, 2 * MINUTE, 11 * MINUTE, 40 * MINUTE]);
        self.now += gap;
        let customer = self.random.below(self.shape.customers);
        match self.random.below(100) {
            0..58 => self.call(customer),
            58..72 => self.again(),
            72..80 => self.contact(customer),
            80..85 => self.change(customer),
            85..89 => self.item(),
            _ => self.bad(customer),
        }
    }

    fn put(&mut self, source: usize, customer: usize, says: Option<&'static str>, value: Option<String>) {
        let partition = u32::try_from(customer).unwrap() % self.shape.raw_partitions;
        let value = value.map(String::into_bytes);
        self.written.push(Raw { source, partition, arrival: self.now, says, value });
    }

    /// A call of the Segment specification.
    fn call(&mut self, customer: usize) {
        let id = self.sent.len();
        // Some phones keep what happened for hours, and send it at once.
        let late = self.random.pick(&[0, 0, 0, 300, 9_000, 7 * MINUTE, 50 * MINUTE, 3 * 60 * MINUTE]);
        let who = match self.random.below(6) {
            _ if self.shape.kind == Kind::Exact => format!(r#""userId":"u{customer}""#),
            0 if self.shape.shares => {
                format!(r#""userId":"u{customer}","anonymousId":"tablet{}""#, customer % 2)
            }
            1 if self.shape.shares => format!(r#""anonymousId":"tablet{}""#, customer % 2),
            0 | 1 => format!(r#""anonymousId":"a{customer}""#),
            2 => format!(r#""userId":"u{customer}","anonymousId":"a{customer}""#),
            _ => format!(r#""userId":"u{customer}""#),
        };
        let email = if self.shape.kind == Kind::Exact || self.random.chance(500) {
            String::new()
        } else {
            format!(r#","email":"c{customer}@example.org""#)
        };
        let price = self.random.range(5, 200);
        let product = self.random.below(4);
        let goods = format!(
            r#""product_id":"p{product}","sku":"p{product}-42","category":"c{}","price":{price},"quantity":1,"currency":"EUR""#,
            product % 2
        );
        let what = match self.random.below(10) {
            0..4 => {
                format!(r#""type":"track","event":"Product Viewed","properties":{{{goods}}}"#)
            }
            4..7 => format!(r#""type":"track","event":"Product Added","properties":{{{goods}}}"#),
            7..9 => format!(
                r#""type":"track","event":"Order Completed","properties":{{"order_id":"o{id}","total":{price},"currency":"EUR","products":[{{{goods}}}]}}"#
            ),
            _ => format!(r#""type":"identify","traits":{{"first_name":"N{id}"{email}}}"#),
        };
        let rest = format!(r#"{what},{who},"messageId":"m{id}","context":{{"timezone":"Europe/Berlin"}}"#);
        let happened = self.now - late;
        self.sent.push((customer, happened, rest));
        self.send(id);
    }

    fn send(&mut self, id: usize) {
        let (customer, happened, rest) = self.sent[id].clone();
        let (happened, now) = (format_rfc3339(happened), format_rfc3339(self.now));
        let text =
            format!(r#"{{"originalTimestamp":"{happened}","sentAt":"{now}","receivedAt":"{now}",{rest}}}"#);
        self.put(WEB, customer, Some("web"), Some(text));
    }

    /// A client repeats a call that it had no answer to; or, where nothing hangs on the moment, the producer of the
    /// collector repeats the very record.
    fn again(&mut self) {
        if self.sent.is_empty() {
            return self.call(0);
        }
        let recent = self.sent.len().min(12);
        let id = self.sent.len() - 1 - self.random.below(recent);
        let (customer, _, rest) = &self.sent[id];
        let last = self.written.iter().rev().find(|raw| {
            let value = raw.value.as_deref().unwrap_or_default();
            raw.source == WEB && value.windows(rest.len()).any(|part| part == rest.as_bytes())
        });
        match last {
            Some(raw) if self.shape.kind != Kind::Exact && self.random.chance(300) => {
                let (value, customer) = (raw.value.clone(), *customer);
                let value = value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                self.put(WEB, customer, Some("web"), value);
            }
            _ => self.send(id),
        }
    }

    fn contact(&mut self, customer: usize) {
        let status = self.random.pick(&["granted", "granted", "denied"]);
        let at = format_rfc3339(self.now - self.random.pick(&[0, MINUTE, 90 * MINUTE]));
        let also = if self.shape.kind == Kind::Exact {
            String::new()
        } else {
            format!(r#""user_id":"u{customer}","email":"c{customer}@example.org","#)
        };
        let text = format!(
            r#"{{"contact_id":"k{customer}",{also}"first_name":"F{}","updated_at":"{at}","consents":{{"email_marketing":{{"status":"{status}","at":"{at}"}}}}}}"#,
            self.written.len()
        );
        self.put(CRM, customer, Some("crm"), Some(text));
    }

    fn change(&mut self, customer: usize) {
        let (id, at) = (self.written.len(), self.now - self.random.pick(&[0, 5_000, 70 * MINUTE]));
        let text = format!(
            r#"{{"eventId":{id},"objectId":{customer},"subscriptionType":"contact.propertyChange","occurredAt":{at},"propertyName":"firstname","propertyValue":"H{id}"}}"#
        );
        self.put(HUB, customer, Some("hub"), Some(text));
    }

    fn item(&mut self) {
        let (product, at) = (self.random.below(4), format_rfc3339(self.now));
        let text = format!(
            r#"{{"product_id":"p{product}","title":"T{}","currency":"EUR","updated_at":"{at}","variants":[]}}"#,
            self.written.len()
        );
        self.put(SHOP, product, Some("shop"), Some(text));
    }

    /// What ends as a dead letter, or belongs to nobody.
    fn bad(&mut self, customer: usize) {
        let at = format_rfc3339(self.now);
        match self.random.below(6) {
            0 => self.put(WEB, customer, Some("web"), Some("{\"type\":".to_owned())),
            1 => self.put(WEB, customer, Some("web"), None),
            2 => {
                let text = format!(r#"{{"type":"track","event":"x","userId":"u1","receivedAt":"{at}"}}"#);
                let text = text.replace("\"x\"", "7");
                self.put(WEB, customer, Some("web"), Some(text));
            }
            3 => self.put(CRM, customer, None, Some("{}".to_owned())),
            4 => self.put(CRM, customer, Some("nobody"), Some("{}".to_owned())),
            _ => {
                let id = self.written.len();
                let text = format!(
                    r#"{{"type":"track","event":"Seen","messageId":"n{id}","userId":" ","anonymousId":"","receivedAt":"{at}","properties":{{}}}}"#
                );
                self.put(WEB, customer, Some("web"), Some(text));
            }
        }
    }
}
