//! The role `catalog`: statements about products → products, by product.
//!
//! A task is one partition of `catalog.updates`. Its state is what it publishes on `catalog.items`, which is its changelog,
//! too. Statements join in any order and any number of times ([`Product::join`]), so nothing has to be deduplicated.

mod convert;
#[cfg(test)]
mod tests;

use catchment_contracts::CatalogItem;
use catchment_contracts::wire::{self, SchemaIds};
use catchment_domain::catalog::Product;
use catchment_runtime::state::{StateFormat, Stored, Table};
use catchment_runtime::{
    Headers, Millis, Partition, Record, Step, Task, TopicId, TopicPartition, Unreadable,
};
use std::fmt::Display;

/// What all tasks of the role work by.
#[derive(Clone, Copy, Debug)]
pub struct CatalogSettings {
    /// `catalog.items`.
    pub items: TopicId,
    /// Ids that values are written under, and must be read under.
    pub schemas: SchemaIds,
    /// Time is that of the records (sandbox, demo): else the lane's.
    pub event_clock: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogEffect {
    /// Statements taken.
    pub statements: u64,
    /// Products published, as they are now.
    pub published: u64,
}

/// What a product is known by in the state: 16 bytes of BLAKE3 of its id.
type Key = [u8; 16];

/// A product, stored as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProduct(pub Product);

/// One partition of the role `catalog`.
#[derive(Debug)]
pub struct CatalogTask {
    partition: Partition,
    settings: CatalogSettings,
    products: Table<Key, StoredProduct>,
    done: CatalogEffect,
}

impl CatalogTask {
    /// A task without state; the lane restores it.
    #[must_use]
    pub fn new(partition: Partition, settings: CatalogSettings) -> Self {
        let (products, done) = (Table::new(), CatalogEffect::default());
        CatalogTask { partition, settings, products, done }
    }

    /// Products of this partition.
    #[must_use]
    pub fn products(&self) -> &Table<Key, StoredProduct> {
        &self.products
    }

    fn take(&mut self, datum: &[u8], step: &mut Step<CatalogEffect>) -> Result<(), Unreadable> {
        let statement = CatalogItem::decode(datum).map_err(|error| unreadable(&error))?;
        if self.settings.event_clock {
            step.now = step.now.max(statement.received_at);
        }
        let statement = convert::product(&statement).map_err(|error| unreadable(&error))?;
        let key = key_of(statement.id.as_bytes());
        if self.products.contains(&key) {
            if let Some(known) = self.products.get_mut(&key)? {
                known.0.join(statement);
            }
        } else {
            self.products.insert(key, StoredProduct(statement));
        }
        self.done.statements += 1;
        Ok(())
    }

    fn datum<'v>(&self, value: &'v [u8]) -> Result<&'v [u8], Unreadable> {
        wire::datum(value, self.settings.schemas.catalog_item).map_err(|error| unreadable(&error))
    }
}

impl Task for CatalogTask {
    type Effect = CatalogEffect;

    fn process(&mut self, record: &Record<'_>, step: &mut Step<CatalogEffect>) -> Result<(), Unreadable> {
        let value = record.value.ok_or_else(|| unreadable(&"it has no value"))?;
        self.take(self.datum(value)?, step)
    }

    fn advance(&mut self, _step: &mut Step<CatalogEffect>) {}

    fn flush(&mut self, step: &mut Step<CatalogEffect>) {
        let CatalogSettings { items, schemas, .. } = self.settings;
        let (to, mut form) = (step.to(items, self.partition), Vec::new());
        for dirty in self.products.dirty() {
            let Some(StoredProduct(product)) = dirty.value else { continue };
            form.clear();
            convert::item(product).encode(&mut form);
            if dirty.before == Some(form.as_slice()) {
                continue;
            }
            step.outbox.push_with(to, Some(product.id.as_bytes()), Headers::default(), |out| {
                wire::write_header(out, schemas.catalog_item);
                out.extend_from_slice(&form);
            });
            self.done.published += 1;
        }
        if self.done != CatalogEffect::default() {
            step.effects.push(std::mem::take(&mut self.done));
        }
    }

    fn committed(&mut self) {
        self.products.commit();
    }

    fn aborted(&mut self) -> Result<(), Unreadable> {
        self.done = CatalogEffect::default();
        self.products.undo();
        Ok(())
    }

    fn changelogs(&self) -> Vec<TopicPartition> {
        vec![TopicPartition { topic: self.settings.items, partition: self.partition }]
    }

    fn restore(&mut self, record: &Record<'_>) -> Result<(), Unreadable> {
        let key = record.key.ok_or_else(|| unreadable(&"it has no key"))?;
        let datum = record.value.map(|value| self.datum(value)).transpose()?;
        self.products.restore(key_of(key), datum)
    }

    fn arrival(&mut self, record: &Record<'_>) -> Millis {
        let datum = record.value.and_then(|value| self.datum(value).ok());
        let statement = datum.and_then(|datum| CatalogItem::decode(datum).ok());
        statement.map_or(record.append_time, |statement| statement.received_at)
    }
}

impl Stored for StoredProduct {
    fn encode(&self, _format: StateFormat, out: &mut Vec<u8>) {
        convert::item(&self.0).encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let item = CatalogItem::decode(bytes).map_err(|error| unreadable(&error))?;
        convert::product(&item).map(StoredProduct).map_err(|error| unreadable(&error))
    }
}

fn key_of(id: &[u8]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(id).as_bytes()[..16]);
    key
}

fn unreadable(error: &dyn Display) -> Unreadable {
    Unreadable { reason: format!("catalog item: {error}") }
}
