//! `catchment contracts register`

use std::io::Write;
use std::path::Path;

use catchment_connectors::registry::{
    LevelChange, Publication, Refusal, Registry, RegistryError, VersionChange,
};
use catchment_contracts::catalogue::Contract;

use super::subjects::subjects;
use crate::connect;
use crate::out::Out;

/// Registers what is not, and prints what was done. A schema that the registry refuses does not keep the others back.
pub(super) fn run<W: Write>(out: &mut Out<W>, path: &Path) -> anyhow::Result<()> {
    let config = connect::config(path)?;
    let subjects = subjects(&config)?;
    let settings = connect::registry(&config.registry)?.ok_or(connect::MissingKey("registry.url"))?;
    let registry = Registry::start(settings)?;
    let mut rows = vec![["SUBJECT", "CONTRACT", "ID", "SCHEMA", "COMPATIBILITY"].map(str::to_owned)];
    let mut refused = 0;
    for (subject, contract) in subjects {
        match registry.publish(&subject, contract.schema, contract.compatibility()) {
            Ok(done) => rows.push(row(subject, contract, &done)),
            Err(RegistryError::Refused(why @ (Refusal::Incompatible(_) | Refusal::Invalid(_)))) => {
                refused += 1;
                let word = if matches!(why, Refusal::Invalid(_)) {
                    "refused: invalid"
                } else {
                    "refused: incompatible"
                };
                let level = contract.compatibility().to_string();
                rows.push([subject, contract.name.to_owned(), "-".to_owned(), word.to_owned(), level]);
            }
            Err(error) => return Err(anyhow::Error::new(error).context(format!("subject `{subject}`"))),
        }
    }
    out.table("", &rows)?;
    anyhow::ensure!(
        refused == 0,
        "the registry refused {refused} of them: `catchment contracts check` says what breaks"
    );
    Ok(())
}

fn row(subject: String, contract: &Contract, done: &Publication) -> [String; 5] {
    let version = match done.version {
        VersionChange::Unchanged => "was registered",
        VersionChange::First => "registered, new subject",
        VersionChange::Added => "registered, new version",
    };
    let level = contract.compatibility();
    let level = match &done.level {
        LevelChange::Unchanged => format!("{level}, as it was"),
        LevelChange::Set(None) => format!("{level}, set"),
        LevelChange::Set(Some(before)) => format!("{level}, was {before}"),
    };
    [subject, contract.name.to_owned(), done.id.0.to_string(), version.to_owned(), level]
}
