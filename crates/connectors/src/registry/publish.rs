//! Registering a contract, and setting how its next versions may differ.

use super::{Client, Registry, RegistryError};
use catchment_contracts::catalogue::Compatibility;
use catchment_contracts::wire::SchemaId;

/// What registering did to a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Id of the schema.
    pub id: SchemaId,
    /// What became of the versions.
    pub version: VersionChange,
    /// What became of the level of compatibility.
    pub level: LevelChange,
}

/// What became of the versions of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionChange {
    /// The schema was registered already.
    Unchanged,
    /// The subject is new.
    First,
    /// The subject has one version more.
    Added,
}

/// What became of the level of compatibility of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelChange {
    /// It was as it must be.
    Unchanged,
    /// It was set; before it was this, or the subject had none of its own.
    Set(Option<String>),
}

impl Client {
    /// Registers a schema under a subject that has this level of compatibility, or gets it. Done twice, the second time
    /// changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Incompatible`](super::Refusal::Incompatible), and what any request may meet.
    pub async fn publish(
        &self,
        subject: &str,
        schema: &str,
        level: Compatibility,
    ) -> Result<Publication, RegistryError> {
        let exists = self.versions(subject).await?.is_some_and(|versions| !versions.is_empty());
        if !exists {
            // Some registries forget the level of a subject without versions, so it comes second.
            let id = self.register(subject, schema).await?;
            let level = self.ensure_level(subject, level).await?;
            return Ok(Publication { id, version: VersionChange::First, level });
        }
        // Before the schema, so that the registry holds it against all versions.
        let level = self.ensure_level(subject, level).await?;
        let (id, version) = match self.lookup(subject, schema).await? {
            Some(id) => (id, VersionChange::Unchanged),
            None => (self.register(subject, schema).await?, VersionChange::Added),
        };
        Ok(Publication { id, version, level })
    }

    async fn ensure_level(&self, subject: &str, level: Compatibility) -> Result<LevelChange, RegistryError> {
        let before = self.level(subject).await?;
        if before.as_deref() == Some(level.as_str()) {
            return Ok(LevelChange::Unchanged);
        }
        self.set_level(subject, level).await?;
        Ok(LevelChange::Set(before))
    }
}

impl Registry {
    /// As [`Client::publish`].
    ///
    /// # Errors
    /// As there.
    pub fn publish(
        &self,
        subject: &str,
        schema: &str,
        level: Compatibility,
    ) -> Result<Publication, RegistryError> {
        let (subject, schema) = (subject.to_owned(), schema.to_owned());
        self.ask(move |client| async move { client.publish(&subject, &schema, level).await })
    }
}
