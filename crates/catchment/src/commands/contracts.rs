//! `catchment contracts`

mod check;
mod register;
mod subjects;

use std::io::Write;
use std::path::PathBuf;

use catchment_contracts::catalogue::{self, Contract};
use serde_json::json;

use super::UsageError;
use crate::config::nearest;
use crate::out::Out;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ContractsCommand {
    /// List the contracts, or the fields of one
    List {
        /// Contract whose fields are listed
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Register the schemas of our topics and of Avro sources, and set how their next versions may differ
    Register {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "catchment.yaml")]
        config: PathBuf,
    },
    /// Name every change that breaks readers of what is registered, or of earlier releases; exit code 1 if there is one
    Check {
        /// Configuration file, whose registry is compared with too
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Folder with the schemas (*.avsc) to compare with, instead of those of the releases of Catchment
        #[arg(long, value_name = "DIR")]
        release: Option<PathBuf>,
    },
}

pub(super) fn run<W: Write>(out: &mut Out<W>, command: &ContractsCommand) -> anyhow::Result<()> {
    match command {
        ContractsCommand::List { name: None, json } => list(out, *json),
        ContractsCommand::List { name: Some(name), json } => fields(out, name, *json),
        ContractsCommand::Register { config } => register::run(out, config),
        ContractsCommand::Check { config, release } => check::run(out, config.as_deref(), release.as_deref()),
    }
}

/// Lists the contracts.
fn list<W: Write>(out: &mut Out<W>, as_json: bool) -> anyhow::Result<()> {
    let mut rows = vec![["CONTRACT", "TOPIC", "DIRECTION", "VERSION", "FIELDS"].map(str::to_owned)];
    let mut documents = Vec::new();
    for contract in catalogue::ALL {
        let fields = contract.fields()?.len();
        documents.push(json!({
            "name": contract.name,
            "topic": contract.topic,
            "direction": contract.direction.as_str(),
            "version": contract.version,
            "compatibility": contract.compatibility().as_str(),
            "fields": fields,
        }));
        rows.push([
            contract.name.to_owned(),
            contract.topic.unwrap_or("-").to_owned(),
            contract.direction.to_string(),
            contract.version.to_string(),
            fields.to_string(),
        ]);
    }
    if as_json {
        return out.line(serde_json::to_string_pretty(&documents)?);
    }
    out.table("", &rows)?;
    out.line("\n`catchment contracts list CONTRACT` shows the fields of one.")
}

/// Lists the fields of a contract.
fn fields<W: Write>(out: &mut Out<W>, name: &str, as_json: bool) -> anyhow::Result<()> {
    let contract = find(name)?;
    let fields = contract.fields()?;
    if as_json {
        let documents: Vec<_> = fields
            .iter()
            .map(|field| {
                json!({
                    "path": field.path,
                    "type": field.ty,
                    "unit": field.unit,
                    "required": field.required,
                    "pii": field.pii,
                    "freshness": field.freshness,
                    "doc": field.doc,
                })
            })
            .collect();
        return out.line(serde_json::to_string_pretty(&documents)?);
    }
    out.line(format_args!(
        "{} version {}, {}, topic {}\n",
        contract.name,
        contract.version,
        contract.direction,
        contract.topic.unwrap_or("none")
    ))?;
    let mut rows =
        vec![["FIELD", "TYPE", "UNIT", "REQUIRED", "PII", "FRESHNESS", "MEANING"].map(str::to_owned)];
    for field in fields {
        let required = if field.required { "yes" } else { "no" };
        rows.push([
            field.path,
            field.ty,
            field.unit,
            required.to_owned(),
            field.pii,
            field.freshness,
            field.doc,
        ]);
    }
    out.table("", &rows)
}

fn find(name: &str) -> Result<&'static Contract, UsageError> {
    catalogue::find(name).ok_or_else(|| {
        let names = catalogue::ALL.into_iter().map(|contract| contract.name);
        let hint = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
        };
        UsageError(format!("no contract is called `{name}`: {hint}"))
    })
}

#[cfg(test)]
mod tests;
