//! `catchment contracts check`

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use catchment_connectors::registry::Registry;
use catchment_contracts::catalogue::{self, Contract};
use catchment_contracts::compatibility::breaking;
use catchment_contracts::released;

use super::subjects::subjects;
use crate::connect;
use crate::out::Out;

/// What was found, and what was looked at.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Contract or subject, what it was compared with, and what is wrong.
    pub(super) findings: Vec<[String; 3]>,
    /// What a reader should know, and nothing is wrong with.
    pub(super) notes: Vec<String>,
}

impl Report {
    fn find(&mut self, subject: &str, with: &str, what: &dyn Display) {
        self.findings.push([subject.to_owned(), with.to_owned(), what.to_string()]);
    }

    /// Compares a contract with an older schema of it.
    fn compare(&mut self, subject: &str, with: &str, old: &str, contract: &Contract) {
        match breaking(old, contract.schema, contract.compatibility()) {
            Ok(changes) => changes.iter().for_each(|change| self.find(subject, with, change)),
            Err(error) => self.find(subject, with, &error),
        }
    }
}

/// Compares all contracts with earlier releases and, where one is configured, with the registry.
pub(super) fn run<W: Write>(
    out: &mut Out<W>,
    config: Option<&Path>,
    release: Option<&Path>,
) -> anyhow::Result<()> {
    let mut report = Report::default();
    match release {
        None => with_releases(&mut report),
        Some(folder) => with_folder(&mut report, folder)?,
    }
    match config {
        None => report.notes.push("Not compared with a registry: `--config FILE` names one.".to_owned()),
        Some(path) => with_registry(&mut report, path)?,
    }
    for note in &report.notes {
        out.line(note)?;
    }
    let count = report.findings.len();
    if count == 0 {
        return out.line("No contract breaks.");
    }
    let mut rows = vec![["CONTRACT", "COMPARED WITH", "WHAT BREAKS"].map(str::to_owned)];
    rows.append(&mut report.findings);
    out.table("", &rows)?;
    anyhow::bail!("{count} finding{}", if count == 1 { "" } else { "s" })
}

fn with_releases(report: &mut Report) {
    let versions: Vec<&str> = released::ALL.iter().map(|release| release.version).collect();
    report.notes.push(format!("Compared with the releases {}.", versions.join(", ")));
    for release in &released::ALL {
        let with = format!("release {}", release.version);
        for (name, schema) in release.schemas {
            with_older(report, name, &with, schema);
        }
    }
}

fn with_older(report: &mut Report, name: &str, with: &str, schema: &str) {
    match catalogue::find(name) {
        Some(contract) => report.compare(name, with, schema, contract),
        None => report.find(name, with, &"the contract is gone"),
    }
}

fn with_folder(report: &mut Report, folder: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("{} can't be read", folder.display());
    let mut files = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(unreadable)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "avsc"))
        .collect::<Vec<_>>();
    files.sort();
    anyhow::ensure!(!files.is_empty(), "{} holds no schema (*.avsc)", folder.display());
    let with = folder.display().to_string();
    report.notes.push(format!("Compared with {} schemas in {with}.", files.len()));
    for file in files {
        let schema =
            fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        with_older(report, &name, &with, &schema);
    }
    Ok(())
}

fn with_registry(report: &mut Report, path: &Path) -> anyhow::Result<()> {
    let config = connect::config(path)?;
    let subjects = subjects(&config)?;
    let Some(settings) = connect::registry(&config.registry)? else {
        report
            .notes
            .push("Not compared with a registry: the configuration has no `registry.url`.".to_owned());
        return Ok(());
    };
    report.notes.push(format!("Compared with the registry {}.", settings.url));
    let registry = Registry::start(settings)?;
    for (subject, contract) in subjects {
        with_subject(report, &registry, &subject, contract)
            .with_context(|| format!("subject `{subject}`"))?;
    }
    Ok(())
}

/// Compares a contract with every version of its subject, and asks the registry for its own opinion.
fn with_subject(
    report: &mut Report,
    registry: &Registry,
    subject: &str,
    contract: &'static Contract,
) -> anyhow::Result<()> {
    let Some(versions) = registry.versions(subject)?.filter(|versions| !versions.is_empty()) else {
        report.notes.push(format!("{subject} is not registered yet."));
        return Ok(());
    };
    for version in versions {
        let with = format!("version {version}");
        let old = registry.version(subject, version)?;
        if !old.is_avro {
            report.find(subject, &with, &"it is no Avro schema");
        } else if old.references.is_empty() {
            report.compare(subject, &with, &old.text, contract);
        } else {
            report.find(subject, &with, &"it refers to other schemas, which no contract does");
        }
    }
    let wanted = contract.compatibility();
    let level = registry.level(subject)?;
    if level.as_deref() != Some(wanted.as_str()) {
        let level = level.as_deref().unwrap_or("not set");
        let what =
            format!("the level is {level}, and must be {wanted}: `catchment contracts register` sets it");
        report.find(subject, "compatibility level", &what);
    }
    if !registry.is_compatible(subject, contract.schema)? {
        report.find(subject, "registry", &"the registry itself holds the schema for incompatible");
    }
    if registry.lookup(subject, contract.schema)?.is_none() {
        report.notes.push(format!("{subject} does not have the schema of this release yet."));
    }
    Ok(())
}
