//! Where the schemas that records name are found.

use crate::catalogue;
use crate::transcode::WriterSchema;
use crate::wire::SchemaKey;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// What is known of a schema.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// This is it.
    Known(Arc<WriterSchema>),
    /// There is no such schema: whoever is asked for it has said so. The record is at fault.
    Unknown,
    /// There is one, and no record can be read with it; why not. The record is at fault.
    Unusable(Arc<str>),
    /// Nobody knows yet. The record has to wait.
    Pending,
}

/// Finds schemas. An answer is given at once: whoever has to ask the outside does so behind it, and says
/// [`Lookup::Pending`] until it knows.
pub trait Schemas: fmt::Debug + Send + Sync {
    /// What is known of the schema that a record names.
    fn find(&self, key: SchemaKey) -> Lookup;
}

/// Our own contracts under their builtin ids: all that is known where no registry runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltinSchemas;

static BUILTIN: LazyLock<Vec<Option<Arc<WriterSchema>>>> = LazyLock::new(|| {
    // A test makes sure that none is missing.
    let parse = |schema| WriterSchema::parse(schema, &[]).ok().map(Arc::new);
    catalogue::ALL.into_iter().map(|contract| parse(contract.schema)).collect()
});

impl Schemas for BuiltinSchemas {
    fn find(&self, key: SchemaKey) -> Lookup {
        let SchemaKey::Id(id) = key else { return Lookup::Unknown };
        let place = catalogue::ALL.into_iter().position(|contract| contract.builtin_id() == id);
        match place.and_then(|place| BUILTIN.get(place)) {
            Some(Some(schema)) => Lookup::Known(Arc::clone(schema)),
            _ => Lookup::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SchemaId;

    #[test]
    fn every_contract_is_found_under_its_builtin_id_and_nothing_else() {
        for contract in catalogue::ALL {
            let found = BuiltinSchemas.find(SchemaKey::Id(contract.builtin_id()));
            assert!(matches!(found, Lookup::Known(_)), "{}", contract.name);
        }
        for key in [SchemaKey::Id(SchemaId(0)), SchemaKey::Id(SchemaId(99)), SchemaKey::Guid([0; 16])] {
            assert!(matches!(BuiltinSchemas.find(key), Lookup::Unknown), "{key}");
        }
    }
}
