//! Helpers of the tests of ingest.

use super::{Mapped, Mapping, RawRecord, Scratch, SourceSpec, Verdict, map};
use catchment_contracts::{CatalogItem, CustomerEvent};
use catchment_domain::KeySecret;

/// When records arrive in tests: 2026-03-05T09:00:00Z.
pub(super) const ARRIVAL: i64 = 1_772_701_200_000;

/// What became of a record: the verdict, and the encoded canonical records.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) verdict: Verdict,
    pub(super) events: Vec<Vec<u8>>,
    pub(super) items: Vec<Vec<u8>>,
}

impl Told {
    /// The only event.
    #[track_caller]
    pub(super) fn event(&self) -> CustomerEvent<'_> {
        let [event] = self.events.as_slice() else { panic!("not one event: {:?}", self.verdict) };
        CustomerEvent::decode(event).unwrap()
    }

    /// All events.
    pub(super) fn all(&self) -> Vec<CustomerEvent<'_>> {
        self.events.iter().map(|event| CustomerEvent::decode(event).unwrap()).collect()
    }

    /// The only item.
    #[track_caller]
    pub(super) fn item(&self) -> CatalogItem<'_> {
        let [item] = self.items.as_slice() else { panic!("not one item: {:?}", self.verdict) };
        CatalogItem::decode(item).unwrap()
    }

    /// Findings as `code field: expected / actual`.
    pub(super) fn findings(&self) -> Vec<String> {
        match &self.verdict {
            Verdict::DeadLetter(errors) => {
                assert!(
                    self.events.is_empty() && self.items.is_empty(),
                    "a refused record must have no effect"
                );
                let text = |e: &catchment_contracts::dead_letter::FieldError| {
                    format!("{} {}: {} / {}", e.code, e.field, e.expected, e.actual)
                };
                errors.iter().map(text).collect()
            }
            _ => Vec::new(),
        }
    }
}

pub(super) fn spec(mapping: Mapping) -> SourceSpec {
    SourceSpec::new("test", "raw", mapping)
}

pub(super) fn tell_with(spec: &SourceSpec, value: Option<&[u8]>, arrival: i64) -> Told {
    let record = RawRecord { value, partition: 3, offset: 7, arrival };
    told_by(|sink| map(spec, &KeySecret::PUBLISHED, &record, &mut Scratch::default(), sink))
}

/// What a mapping says and hands over.
pub(super) fn told_by(map: impl FnOnce(&mut dyn FnMut(Mapped<'_>)) -> Verdict) -> Told {
    let (mut events, mut items) = (Vec::new(), Vec::new());
    let verdict = map(&mut |mapped| {
        let mut bytes = Vec::new();
        match mapped {
            Mapped::Event(event) => {
                event.encode(&mut bytes);
                events.push(bytes);
            }
            Mapped::Item(item) => {
                item.encode(&mut bytes);
                items.push(bytes);
            }
        }
    });
    Told { verdict, events, items }
}

pub(super) fn tell(mapping: Mapping, value: impl AsRef<[u8]>) -> Told {
    tell_with(&spec(mapping), Some(value.as_ref()), ARRIVAL)
}

/// Identifiers of an event, as `type:value`.
pub(super) fn identifiers(event: &CustomerEvent<'_>) -> Vec<String> {
    event.identifiers.iter().map(|id| format!("{}:{}", id.r#type.as_str(), id.value)).collect()
}

/// Traits of an event, as `name=value` or `-name`.
pub(super) fn traits(event: &CustomerEvent<'_>) -> Vec<String> {
    let text = |t: &catchment_contracts::TraitChange<'_>| match t.value {
        Some(value) => format!("{}={value}", t.name),
        None => format!("-{}", t.name),
    };
    event.traits.iter().map(text).collect()
}

/// Consents of an event, as `purpose status at`.
pub(super) fn consents(event: &CustomerEvent<'_>) -> Vec<String> {
    event.consents.iter().map(|c| format!("{} {} {}", c.purpose, c.status.as_str(), c.at)).collect()
}

/// Runs on a thread with 128 KiB of stack, where a reader that recurses into 10,000 brackets would die.
pub(super) fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(128 * 1024).spawn(run).unwrap().join().unwrap();
}
