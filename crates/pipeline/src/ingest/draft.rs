//! An event while it is put together.

use super::check::Errors;
use super::json::{Fault, Json, Kind};
use super::map::{Job, Mapped, Sink};
use catchment_contracts as contracts;
use catchment_contracts::{ConsentStatus, CustomerEvent, EventType};
use catchment_domain::money::Currency;
use catchment_domain::normalise::Policy;
use catchment_domain::time::Millis;
use catchment_domain::{IdentifierType, KeySecret, NodeRef, normalise};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt::Display;
use std::mem;

/// The most identifiers of an event; there is no mapping that could find more.
const MAX_IDENTIFIERS: usize = 16;
/// The most traits of an event; the first by name are kept.
const MAX_TRAITS: usize = 64;
/// The most bytes of a trait's name and of its value. What is longer is a document, not a trait, and is left out: a
/// profile has room for many traits, not for large ones.
const MAX_TRAIT_NAME: usize = 128;
const MAX_TRAIT_VALUE: usize = 512;
/// The most consents of an event, and bytes of a purpose.
const MAX_CONSENTS: usize = 32;
const MAX_PURPOSE: usize = 64;
/// The most lines of an event that are kept; all of them count into an order's units.
pub(super) const MAX_ITEMS: usize = 256;

/// A name with what it stands for.
type Named<'a, T> = (Cow<'a, str>, T);

/// Names and values of an object, by name.
pub(super) type Entries<'a> = SmallVec<[Named<'a, Json<'a>>; 4]>;

/// A product of a commerce event.
pub(super) struct Item<'a> {
    pub(super) product_id: Cow<'a, str>,
    pub(super) sku: Option<Cow<'a, str>>,
    pub(super) category: Option<Cow<'a, str>>,
    pub(super) variant: Option<Cow<'a, str>>,
    pub(super) price: Option<i64>,
    pub(super) quantity: i32,
}

/// An order: number, total (`None` where the currency is not known), units.
pub(super) struct Order<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) total: Option<i64>,
    pub(super) units: i32,
}

/// A survey answer.
pub(super) struct Survey<'a> {
    pub(super) survey: Cow<'a, str>,
    pub(super) question: Cow<'a, str>,
    pub(super) score: i32,
}

/// What an event says, owned where normalising changed it.
pub(super) struct Draft<'a> {
    pub(super) event_id: Cow<'a, str>,
    pub(super) kind: EventType,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) occurred_at: Millis,
    pub(super) received_at: Millis,
    pub(super) local_hour: Option<u8>,
    identifiers: SmallVec<[(NodeRef, Cow<'a, str>); 4]>,
    traits: SmallVec<[Named<'a, Option<Cow<'a, str>>>; 8]>,
    consents: SmallVec<[(Cow<'a, str>, ConsentStatus, Millis); 2]>,
    pub(super) currency: Option<Currency>,
    pub(super) items: SmallVec<[Item<'a>; 2]>,
    pub(super) order: Option<Order<'a>>,
    pub(super) survey: Option<Survey<'a>>,
}

/// Vectors of a [`CustomerEvent`], empty, kept for their memory.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    identifiers: Vec<contracts::Identifier<'static>>,
    traits: Vec<contracts::TraitChange<'static>>,
    consents: Vec<contracts::ConsentStatement<'static>>,
    items: Vec<contracts::LineItem<'static>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(kind: EventType) -> Self {
        Draft {
            event_id: Cow::Borrowed(""),
            kind,
            name: None,
            occurred_at: 0,
            received_at: 0,
            local_hour: None,
            identifiers: SmallVec::new(),
            traits: SmallVec::new(),
            consents: SmallVec::new(),
            currency: None,
            items: SmallVec::new(),
            order: None,
            survey: None,
        }
    }

    /// Adds an identifier, if the value can be one and is not there yet.
    pub(super) fn identify(&mut self, secret: &KeySecret, kind: IdentifierType, value: Option<Cow<'a, str>>) {
        let Some(value) = value.and_then(|value| normalised(kind, value)) else {
            return;
        };
        if self.identifiers.iter().any(|(node, known)| node.kind == kind && *known == value) {
            return;
        }
        let key = secret.node_key(kind, &value);
        self.identifiers.push((NodeRef { kind, key }, value));
    }

    /// States a trait; `None` deletes it. Of several statements about one, the last wins.
    pub(super) fn state(&mut self, name: impl Into<Cow<'a, str>>, value: Option<Cow<'a, str>>) {
        let name = name.into();
        let fits = value.as_ref().is_none_or(|value| value.len() <= MAX_TRAIT_VALUE);
        if fits && !name.is_empty() && name.len() <= MAX_TRAIT_NAME {
            self.traits.push((name, value));
        }
    }

    /// States a trait as JSON has it: text as it is, all else as compact JSON, null deletes.
    pub(super) fn state_json(
        &mut self,
        errors: &mut Errors,
        place: &str,
        name: Cow<'a, str>,
        json: Json<'a>,
    ) {
        let value = match json.kind() {
            Kind::Absent | Kind::Null => None,
            Kind::Text => match errors.text(Path(place, &name), json) {
                Some(text) => Some(text),
                None => return,
            },
            Kind::Boolean | Kind::Number => Some(Cow::Borrowed(json.raw())),
            Kind::Array | Kind::Object => Some(json.compact()),
        };
        self.state(name, value);
    }

    /// States a consent.
    pub(super) fn consent(&mut self, purpose: impl Into<Cow<'a, str>>, status: ConsentStatus, at: Millis) {
        let purpose = purpose.into();
        if !purpose.is_empty() && purpose.len() <= MAX_PURPOSE {
            self.consents.push((purpose, status, at));
        }
    }

    /// Takes the identifiers as the deployment decides.
    fn decide(&mut self, policy: &Policy, secret: &KeySecret) {
        for (node, value) in mem::take(&mut self.identifiers) {
            let Some(taken) = policy.take(node.kind, value) else { continue };
            let key = secret.node_key(node.kind, &taken);
            if self.identifiers.iter().all(|(known, _)| known.key != key) {
                self.identifiers.push((NodeRef { kind: node.kind, key }, taken));
            }
        }
    }

    /// Puts everything in an order that does not depend on where it stood in the record, and within its limits.
    fn settle(&mut self) {
        self.identifiers.sort_unstable_by_key(|(node, _)| *node);
        self.identifiers.truncate(MAX_IDENTIFIERS);
        self.traits.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.traits.dedup_by(keep_later);
        self.traits.truncate(MAX_TRAITS);
        self.consents.sort_unstable();
        self.consents.dedup();
        self.consents.truncate(MAX_CONSENTS);
    }

    /// Hands the event over.
    pub(super) fn emit(mut self, job: &mut Job<'_, '_>, sink: Sink<'_>) {
        if let Some(policy) = &job.spec.policy {
            self.decide(policy, job.secret);
        }
        self.settle();
        let buffers = mem::take(&mut job.scratch.buffers);
        let mut event = CustomerEvent {
            event_id: &self.event_id,
            source: &job.spec.name,
            source_partition: job.record.partition,
            source_offset: job.record.offset,
            r#type: self.kind,
            event: self.name.as_deref(),
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            identifiers: buffers.identifiers,
            traits: buffers.traits,
            consents: buffers.consents,
            currency: self.currency.as_ref().map(Currency::code),
            items: buffers.items,
            order: self.order.as_ref().map(|order| contracts::OrderTotal {
                order_id: &order.id,
                total: order.total,
                units: order.units,
            }),
            survey: self.survey.as_ref().map(|survey| contracts::SurveyResponse {
                survey: &survey.survey,
                question: &survey.question,
                score: survey.score,
            }),
            local_hour: self.local_hour.map(i32::from),
        };
        event.identifiers.extend(self.identifiers.iter().map(|(node, value)| contracts::Identifier {
            r#type: contract_type(node.kind),
            value,
            key: node.key.0,
        }));
        event.traits.extend(
            self.traits.iter().map(|(name, value)| contracts::TraitChange { name, value: value.as_deref() }),
        );
        event.consents.extend(
            self.consents.iter().map(|(purpose, status, at)| contracts::ConsentStatement {
                purpose,
                status: *status,
                at: *at,
            }),
        );
        event.items.extend(self.items.iter().map(line_item));
        sink(Mapped::Event(&event));
        job.scratch.buffers = Buffers {
            identifiers: recycle(event.identifiers),
            traits: recycle_traits(event.traits),
            consents: recycle_consents(event.consents),
            items: recycle_items(event.items),
        };
    }
}

fn line_item<'s>(item: &'s Item<'_>) -> contracts::LineItem<'s> {
    contracts::LineItem {
        product_id: &item.product_id,
        sku: item.sku.as_deref(),
        category: item.category.as_deref(),
        variant: item.variant.as_deref(),
        price: item.price,
        quantity: item.quantity,
    }
}

/// An empty vector of another lifetime in the same memory: collecting a vector's own iterator reuses its allocation.
macro_rules! recycle {
    ($($name:ident $record:ident)*) => {$(
        fn $name(mut used: Vec<contracts::$record<'_>>) -> Vec<contracts::$record<'static>> {
            used.clear();
            used.into_iter().filter_map(|_| None).collect()
        }
    )*};
}
recycle! { recycle Identifier recycle_traits TraitChange recycle_consents ConsentStatement recycle_items LineItem }

/// A path of two names that is written only if somebody complains about it.
struct Path<'s>(&'s str, &'s str);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The value of an identifier in its one spelling; `None` if it can't be one.
fn normalised(kind: IdentifierType, value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    fn spell(kind: IdentifierType, value: &str) -> Option<Cow<'_, str>> {
        match kind {
            IdentifierType::Email => normalise::email(value),
            IdentifierType::Phone => normalise::phone(value),
            IdentifierType::UserId | IdentifierType::CrmId | IdentifierType::AnonymousId => {
                normalise::plain_id(value)
            }
        }
    }
    match value {
        Cow::Borrowed(value) => spell(kind, value),
        Cow::Owned(value) => spell(kind, &value).map(|value| Cow::Owned(value.into_owned())),
    }
}

fn contract_type(kind: IdentifierType) -> contracts::IdentifierType {
    match kind {
        IdentifierType::UserId => contracts::IdentifierType::UserId,
        IdentifierType::CrmId => contracts::IdentifierType::CrmId,
        IdentifierType::Email => contracts::IdentifierType::Email,
        IdentifierType::Phone => contracts::IdentifierType::Phone,
        IdentifierType::AnonymousId => contracts::IdentifierType::AnonymousId,
    }
}

/// For `dedup_by` over what is sorted by name, stably: of equal names, the last stays.
fn keep_later<'a, T>(later: &mut Named<'a, T>, kept: &mut Named<'a, T>) -> bool {
    let same = later.0 == kept.0;
    if same {
        mem::swap(later, kept);
    }
    same
}

/// Names and values of an object, by name, the last of equal names; empty if it is no object.
pub(super) fn entries<'a>(json: Json<'a>) -> Result<Entries<'a>, Fault> {
    let mut found: Entries<'a> = SmallVec::new();
    json.entries(|name, value| found.push((name, value)))?;
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.dedup_by(keep_later);
    Ok(found)
}
