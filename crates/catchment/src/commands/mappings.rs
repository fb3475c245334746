//! `catchment mappings`

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use apache_avro::Schema;
use catchment_connectors::files::write_atomic;
use catchment_contracts::{catalogue, render};
use catchment_domain::{KeySecret, Millis};
use catchment_pipeline::ingest::foreign::Foreign;
use catchment_pipeline::ingest::{Mapped, RawRecord, Scratch, SourceSpec, Verdict, map};
use serde_json::{Map, Value, json};

use super::UsageError;
use crate::definitions;
use crate::out::Out;

/// When samples arrive: later than anything that they say, so that a time that is missing shows.
const ARRIVAL: Millis = 4_102_444_800_000;

/// The end of the names of expected results.
const EXPECTED: &str = "expected.json";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum MappingsCommand {
    /// Run the samples of each mapping, and name every difference from what is expected; exit code 1 if there is one
    ///
    /// DIR holds mappings (`NAME.yaml`), and beside each of them a folder `NAME` with samples: `SAMPLE.json` is a payload as its source
    /// sends it, `SAMPLE.expected.json` what is to become of it. What is empty in a result is left out, and so is where it came
    /// from. Samples arrive on 2100-01-01: a result with that time means that none was found in the payload.
    Test {
        /// Directory with the mappings
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Write what is expected where a sample has none yet, to be read and then kept
        #[arg(long)]
        write: bool,
    },
}

pub(super) fn run<W: Write>(out: &mut Out<W>, command: &MappingsCommand) -> anyhow::Result<()> {
    let MappingsCommand::Test { directory, write } = command;
    let mappings = files(directory, |name| name.ends_with(".yaml"))?;
    if mappings.is_empty() {
        return Err(UsageError(format!("{}: there is no mapping here (*.yaml)", directory.display())).into());
    }
    let mut different = 0;
    for path in &mappings {
        different += test(out, path, *write)?;
    }
    anyhow::ensure!(different == 0, "{different} samples do not become what is expected");
    Ok(())
}

/// The files of a directory that are wanted, by name.
fn files(directory: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Runs the samples of one mapping; gives how many differ.
fn test<W: Write>(out: &mut Out<W>, path: &Path, write: bool) -> anyhow::Result<usize> {
    let mapping = Arc::new(definitions::mapping(path)?);
    let samples =
        files(&path.with_extension(""), |name| name.ends_with(".json") && !name.ends_with(EXPECTED))
            .with_context(|| format!("{} needs a folder with samples", path.display()))?;
    let mut different = 0;
    for sample in &samples {
        let name = format!("{} {}", mapping.name(), sample.file_stem().unwrap_or_default().display());
        let found = result(&mapping, &fs::read(sample)?)?;
        let kept = sample.with_extension(EXPECTED);
        if write && !kept.exists() {
            write_atomic(&kept, format!("{}\n", serde_json::to_string_pretty(&found)?).as_bytes())?;
            out.line(format_args!("{name}: written"))?;
            continue;
        }
        let text = fs::read_to_string(&kept).with_context(|| {
            format!("{} says nothing of what becomes of the sample (`--write` does)", kept.display())
        })?;
        let expected: Value = serde_json::from_str(&text).with_context(|| kept.display().to_string())?;
        let mut differences = Vec::new();
        compare("", &expected, &found, &mut differences);
        out.line(format_args!("{name}: {}", if differences.is_empty() { "ok" } else { "different" }))?;
        for difference in &differences {
            out.line(format_args!("  {difference}"))?;
        }
        different += usize::from(!differences.is_empty());
    }
    anyhow::ensure!(!samples.is_empty(), "{}: a mapping without samples is not tested", path.display());
    Ok(different)
}

/// What becomes of a payload.
fn result(mapping: &Arc<Foreign>, payload: &[u8]) -> anyhow::Result<Value> {
    let mut spec = SourceSpec::new(mapping.name(), "samples", mapping.to());
    (spec.via, spec.max_bytes) = (Some(Arc::clone(mapping)), 1 << 20);
    let record = RawRecord { value: Some(payload), partition: 0, offset: 0, arrival: ARRIVAL };
    let mut records = Vec::new();
    let verdict = map(&spec, &KeySecret::PUBLISHED, &record, &mut Scratch::default(), &mut |mapped| {
        let mut datum = Vec::new();
        records.push(match mapped {
            Mapped::Event(event) => {
                event.encode(&mut datum);
                (&catalogue::CUSTOMER_EVENT, datum)
            }
            Mapped::Item(item) => {
                item.encode(&mut datum);
                (&catalogue::CATALOG_ITEM, datum)
            }
        });
    });
    let mut results = Vec::new();
    for (contract, datum) in records {
        let mut text = String::new();
        render::render_json(&Schema::parse_str(contract.schema)?, &datum, &mut text)?;
        let mut value = serde_json::from_str(&text)?;
        tidy(&mut value);
        results.push(json!({ contract.name: value }));
    }
    match verdict {
        Verdict::DeadLetter(errors) => {
            for error in errors {
                results.push(json!({"dead_letter": {
                    "code": error.code.as_str(),
                    "field": error.field,
                    "expected": error.expected,
                    "actual": error.actual,
                }}));
            }
        }
        Verdict::Nothing(reason) => results.push(json!({"nothing": reason.as_str()})),
        Verdict::Events { .. } | Verdict::Item { .. } => {}
    }
    Ok(Value::Array(results))
}

/// Leaves out what is empty, where the record came from, and keys, which follow from their values.
fn tidy(value: &mut Value) {
    const FROM: [&str; 5] = ["source", "source_partition", "source_offset", "received_at", "key"];
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(tidy);
            // That a trait is deleted is something.
            let is_trait = fields.len() == 2 && fields.contains_key("name") && fields.contains_key("value");
            let says = |name: &str, value: &Value| {
                let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                !FROM.contains(&name) && (is_trait || !is_empty)
            };
            let kept: Map<String, Value> =
                std::mem::take(fields).into_iter().filter(|(name, value)| says(name, value)).collect();
            *fields = kept;
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Names every place at which two results differ.
fn compare(at: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
            for name in names {
                let of = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or(Value::Null);
                compare(&format!("{at}.{name}"), &of(expected), &of(found), differences);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{at}[{place}]"), expected, found, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!("{at}: expected {expected}, found {found}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: &str =
        "name: people\nto: contact\nfields:\n  contact_id: id\n  email: mail\n  updated_at: at\n";

    fn said(directory: &Path, write: bool) -> (bool, String) {
        let mut text = Vec::new();
        let command = MappingsCommand::Test { directory: directory.to_owned(), write };
        let done = run(&mut Out::new(&mut text), &command);
        let error = done.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
        (done.is_ok(), String::from_utf8(text).unwrap() + &error)
    }

    #[test]
    fn samples_are_held_against_what_is_expected() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        assert!(said(directory.path(), false).1.contains("there is no mapping here"));
        fs::write(at("people.yaml"), MAPPING).unwrap();
        assert!(said(directory.path(), false).1.contains("needs a folder with samples"));
        fs::create_dir(at("people")).unwrap();
        assert!(said(directory.path(), false).1.contains("a mapping without samples is not tested"));
        let payload = r#"{"id":"c1","mail":"mia@example.com","at":"2026-03-05T09:00:00Z"}"#;
        fs::write(at("people/mia.json"), payload).unwrap();
        fs::write(at("people/nobody.json"), "{}").unwrap();
        assert!(said(directory.path(), false).1.contains("says nothing of what becomes of the sample"));
        let written = "people mia: written\npeople nobody: written\n";
        assert_eq!(said(directory.path(), true), (true, written.to_owned()));
        assert_eq!(said(directory.path(), true), (true, written.replace("written", "ok")));
        let kept = fs::read_to_string(at("people/mia.expected.json")).unwrap();
        assert!(kept.contains("crm_id") && kept.contains("2026-03-05T09:00:00.000Z"), "{kept}");
        assert!(fs::read_to_string(at("people/nobody.expected.json")).unwrap().contains("missing_field"));

        fs::write(at("people/mia.json"), payload.replace("mia@", "eve@")).unwrap();
        let (ok, text) = said(directory.path(), false);
        assert!(!ok);
        let line = r#"  [0].customer_event.identifiers[1].value: expected "mia@example.com", found "eve@example.com""#;
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(text.ends_with("1 samples do not become what is expected"), "{text}");

        fs::write(at("people.yaml"), MAPPING.replace("mail", "a..b")).unwrap();
        let (_, text) = said(directory.path(), false);
        assert!(text.contains("people.yaml:3") && text.contains("is no path"), "{text}");
    }
}
