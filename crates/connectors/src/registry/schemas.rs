//! Schemas of records, by id: a cache in front of the registry, for lanes, which never wait.

use super::client::SchemaText;
use super::{Refusal, Registry, RegistryError};
use crate::retry::Backoff;
use catchment_contracts::schemas::{Lookup, Schemas};
use catchment_contracts::transcode::WriterSchema;
use catchment_contracts::wire::{SchemaId, SchemaKey};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// The most schemas that are remembered, those that there are not included.
const MAX_SCHEMAS: usize = 1_000;
/// Ids are positive `int`s of Java: no other can be registered, and some registries don't even answer.
const IDS: std::ops::RangeInclusive<u32> = 1..=0x7fff_ffff;

/// When a registry is believed, and when it is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A schema is taken for unknown when the registry has said so this often …
    pub refusals: u32,
    /// … over this time: a registry of several nodes may learn of a new schema a little later than who registered it.
    pub over: Duration,
    /// How long it is taken for unknown, before it is asked for anew.
    pub unknown_for: Duration,
    /// The first wait before asking again.
    pub first_wait: Duration,
    /// The longest one.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            refusals: 3,
            over: Duration::from_secs(30),
            unknown_for: Duration::from_secs(600),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(10),
        }
    }
}

impl Patience {
    /// Whether a registry that has said so often, for so long, that there is no such schema is believed.
    fn believes(&self, refusals: u32, lasted: Duration) -> bool {
        refusals >= self.refusals && lasted >= self.over
    }
}

/// What the cache has done since it was made, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaCounts {
    /// Schemas that were fetched.
    pub fetched: u64,
    /// Requests that the registry did not answer, or refused for a reason that is not the record's.
    pub failed: u64,
    /// Schemas that were taken for unknown or unusable.
    pub refused: u64,
    /// Schemas that somebody waits for, now.
    pub pending: u64,
}

/// Finds schemas in the registry, and remembers them: what an id means never changes. Clones share the cache.
#[derive(Clone, Debug)]
pub struct RegistrySchemas {
    registry: Registry,
    cache: Arc<RwLock<Cache>>,
}

impl RegistrySchemas {
    /// An empty cache in front of a registry.
    #[must_use]
    pub fn new(registry: Registry, patience: Patience) -> Self {
        let cache = Cache {
            patience,
            entries: FxHashMap::default(),
            order: VecDeque::new(),
            trouble: Backoff::new(patience.first_wait, patience.longest_wait),
            counts: SchemaCounts::default(),
        };
        RegistrySchemas { registry, cache: Arc::new(RwLock::new(cache)) }
    }

    /// What it has done.
    #[must_use]
    pub fn counts(&self) -> SchemaCounts {
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        let open = cache.entries.values().filter(|entry| matches!(entry, Entry::Open(_)));
        SchemaCounts { pending: open.count() as u64, ..cache.counts }
    }

    /// Has the registry asked. False if too much is asked already.
    fn fetch(&self, key: SchemaKey) -> bool {
        let cache = Arc::clone(&self.cache);
        self.registry.try_send(move |client| async move {
            let found = client.schema(key).await;
            cache.write().unwrap_or_else(PoisonError::into_inner).take(key, found, Instant::now());
        })
    }
}

impl Schemas for RegistrySchemas {
    fn find(&self, key: SchemaKey) -> Lookup {
        if matches!(key, SchemaKey::Id(SchemaId(id)) if !IDS.contains(&id)) {
            return Lookup::Unknown;
        }
        let now = Instant::now();
        let known = self.cache.read().unwrap_or_else(PoisonError::into_inner).known(key, now);
        if let Some(known) = known {
            return known;
        }
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        // Another lane may have done so since.
        if cache.known(key, now).is_none() && self.fetch(key) {
            cache.asked(key);
        }
        Lookup::Pending
    }
}

#[derive(Debug)]
struct Cache {
    patience: Patience,
    entries: FxHashMap<SchemaKey, Entry>,
    /// The oldest first.
    order: VecDeque<SchemaKey>,
    /// Of the registry as a whole, to say it once a minute and not for every id.
    trouble: Backoff,
    counts: SchemaCounts,
}

#[derive(Debug)]
enum Entry {
    Known(Arc<WriterSchema>),
    Unusable(Arc<str>),
    Unknown { since: Instant },
    Open(Box<Open>),
}

/// A schema that somebody waits for.
#[derive(Debug)]
struct Open {
    /// A request is on its way.
    asked: bool,
    /// Not before then.
    next: Option<Instant>,
    waits: Backoff,
    /// How often the registry said that there is none, and when it did so first.
    refusals: u32,
    refused_since: Option<Instant>,
}

impl Cache {
    fn known(&self, key: SchemaKey, now: Instant) -> Option<Lookup> {
        match self.entries.get(&key)? {
            Entry::Known(schema) => Some(Lookup::Known(Arc::clone(schema))),
            Entry::Unusable(why) => Some(Lookup::Unusable(Arc::clone(why))),
            Entry::Unknown { since } if now.duration_since(*since) < self.patience.unknown_for => {
                Some(Lookup::Unknown)
            }
            Entry::Unknown { .. } => None,
            Entry::Open(open) => {
                let wait = open.asked || open.next.is_some_and(|next| now < next);
                wait.then_some(Lookup::Pending)
            }
        }
    }

    /// A request for the schema is on its way.
    fn asked(&mut self, key: SchemaKey) {
        if !self.entries.contains_key(&key) {
            while self.entries.len() >= MAX_SCHEMAS
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back(key);
        }
        let patience = self.patience;
        match self.entries.entry(key).or_insert_with(|| Entry::Open(Box::new(Open::new(patience)))) {
            Entry::Open(open) => open.asked = true,
            // Unknown for long enough to be asked for anew.
            known => *known = Entry::Open(Box::new(Open::new(patience))),
        }
    }

    /// Takes what the registry said.
    fn take(&mut self, key: SchemaKey, found: Result<SchemaText, RegistryError>, now: Instant) {
        let entry = match found {
            Ok(found) => {
                self.recovered();
                self.work_out(key, &found)
            }
            Err(RegistryError::Refused(refusal)) if says_none(key, &refusal) => {
                self.recovered();
                match self.refused(key, now) {
                    Some(entry) => entry,
                    None => return,
                }
            }
            Err(RegistryError::Refused(Refusal::Invalid(why))) => {
                self.recovered();
                self.unusable(key, &why)
            }
            Err(error) => return self.failed(key, &error, now),
        };
        // One that was pushed out meanwhile comes back when it is asked for again.
        if let Some(place) = self.entries.get_mut(&key) {
            *place = entry;
        }
    }

    fn work_out(&mut self, key: SchemaKey, found: &SchemaText) -> Entry {
        if !found.is_avro {
            return self.unusable(key, "it is no Avro schema");
        }
        match WriterSchema::parse(&found.text, &found.references) {
            Ok(schema) => {
                self.counts.fetched += 1;
                Entry::Known(Arc::new(schema))
            }
            Err(error) => self.unusable(key, &error.to_string()),
        }
    }

    fn unusable(&mut self, key: SchemaKey, why: &str) -> Entry {
        self.counts.refused += 1;
        warn!(schema = %key, why, "records of this schema can't be read and become dead letters");
        Entry::Unusable(why.into())
    }

    /// The registry has no such schema, it says. The entry that says so, if that is believed by now.
    fn refused(&mut self, key: SchemaKey, now: Instant) -> Option<Entry> {
        let patience = self.patience;
        let Some(Entry::Open(open)) = self.entries.get_mut(&key) else { return None };
        open.refusals += 1;
        let since = *open.refused_since.get_or_insert(now);
        if !patience.believes(open.refusals, now.duration_since(since)) {
            open.ask_again(now, Duration::ZERO);
            return None;
        }
        let refusals = open.refusals;
        self.counts.refused += 1;
        warn!(schema = %key, refusals, "the schema registry has no such schema: its records become dead letters");
        Some(Entry::Unknown { since: now })
    }

    fn failed(&mut self, key: SchemaKey, error: &RegistryError, now: Instant) {
        self.counts.failed += 1;
        self.trouble.next_wait();
        if self.trouble.is_worth_saying() {
            let waited_s = self.trouble.lasted().as_secs();
            warn!(schema = %key, %error, waited_s, "records wait for their schema");
        }
        let retry_after = match error {
            RegistryError::Unreachable { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        if let Some(Entry::Open(open)) = self.entries.get_mut(&key) {
            open.ask_again(now, retry_after);
        }
    }

    fn recovered(&mut self) {
        if self.trouble.attempts() > 0 {
            info!(after_s = self.trouble.lasted().as_secs(), "the schema registry answers again");
            self.trouble.reset();
        }
    }
}

impl Open {
    /// One that was just asked for.
    fn new(patience: Patience) -> Self {
        let waits = Backoff::new(patience.first_wait, patience.longest_wait);
        Open { asked: true, next: None, waits, refusals: 0, refused_since: None }
    }

    fn ask_again(&mut self, now: Instant, at_least: Duration) {
        self.asked = false;
        self.next = now.checked_add(self.waits.next_wait().max(at_least));
    }
}

/// Whether an answer says that there is no such schema. A registry without GUIDs does not have the route.
fn says_none(key: SchemaKey, refusal: &Refusal) -> bool {
    match refusal {
        Refusal::NoSchema => true,
        Refusal::Other { status: 404, .. } => matches!(key, SchemaKey::Guid(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
