//! Exact messages: they are what a user has when something is wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use tempfile::TempDir;

use super::*;

const SOURCE: &str = "sources:\n  - name: behaviour\n    topic: behaviour.events\n    mapping: segment\n";

/// A directory with that configuration and an empty file `a.yaml`.
fn directory(text: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("c.yaml"), text).unwrap();
    fs::write(directory.path().join("a.yaml"), "").unwrap();
    directory
}

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let directory = directory(text);
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(&directory.path().join("c.yaml"), env).map_err(|errors| {
        let prefix = format!("{}/", directory.path().display());
        errors.to_string().replace(&prefix, "")
    })
}

#[track_caller]
fn refused(text: &str, env: &[(&str, &str)], expected: &str) {
    match load_with(text, env) {
        Ok(config) => panic!("taken: {config:?}"),
        Err(errors) => assert_eq!(errors, expected),
    }
}

/// The same with a source behind the text.
#[track_caller]
fn refused_keys(text: &str, expected: &str) {
    refused(&format!("{text}{SOURCE}"), &[], expected);
}

#[test]
fn the_smallest_file_gets_the_defaults() {
    let config = load_with(SOURCE, &[]).unwrap();
    assert_eq!((config.app.as_str(), config.partitions), ("catchment", 8));
    assert_eq!((config.clock, config.profiles.publish), (Clock::Wall, Publish::Step));
    assert_eq!(config.batch, Batch { max_records: 60_000, max_bytes: Size(32 << 20) });
    assert_eq!(config.dedup, Dedup { window: Span::hours(48), max_entries: 1_000_000 });
    assert_eq!(
        config.sources,
        [Source {
            name: "behaviour".to_owned(),
            topic: "behaviour.events".to_owned(),
            format: Format::Json,
            mapping: Mapping::Segment,
            via: None,
            arrival: None,
            max_bytes: Size(32_768),
            tombstone: Tombstone::DeadLetter,
            default_currency: "USD".to_owned(),
        }]
    );
    assert!(config.models.is_empty() && config.secret().unwrap().is_none());
}

#[test]
fn a_section_without_keys_counts_as_absent() {
    assert_eq!(load_with(&format!("batch:\nmodels:\n{SOURCE}"), &[]), load_with(SOURCE, &[]));
}

#[test]
fn unknown_key_names_the_nearest_and_all() {
    let keys = "`app`, `clock`, `partitions`, `identity`, `sources`, `batch`, `dedup`, `timers`, `expiry`, `profiles`, `models`, \
                `campaigns`, `instance`, `lanes`, `commit`, `kafka`, `topics`, `registry`, `admin`, `traces`, `state`, `log`";
    refused_keys(
        "campaings: [a.yaml]\n",
        &format!("c.yaml:1:1: unknown key `campaings`: did you mean `campaigns`? Keys here: {keys}"),
    );
    refused_keys("colour: blue\n", &format!("c.yaml:1:1: unknown key `colour`. Keys here: {keys}"));
    refused_keys(
        "batch:\n  max_recods: 5\n",
        "c.yaml:2:3: unknown key `max_recods`: did you mean `max_records`? Keys here: `max_records`, `max_bytes`",
    );
}

#[test]
fn wrong_type_says_what_was_expected_and_what_is_there() {
    refused_keys(
        "partitions: eight\n",
        "c.yaml:1:13: `partitions`: expected a whole number, got the text `eight`",
    );
    refused_keys(
        "partitions: 8.5\n",
        "c.yaml:1:13: `partitions`: expected a whole number, got the number 8.5",
    );
    refused_keys("app: 5\n", "c.yaml:1:6: `app`: expected a text, got the number 5");
    refused_keys("app: true\n", "c.yaml:1:6: `app`: expected a text, got `true`");
    refused_keys("batch: [1, 4096]\n", "c.yaml:1:8: `batch`: expected keys with values, got a list");
    refused_keys("models: a.yaml\n", "c.yaml:1:9: `models`: expected a list, got the text `a.yaml`");
    refused_keys(
        "dedup: {window: 48}\n",
        "c.yaml:1:17: `dedup.window`: expected a length of time such as `30m`, `48h` or `90d`, got the number 48",
    );
    refused_keys(
        "batch:\n  max_bytes: 4MB\n",
        "c.yaml:2:14: `batch.max_bytes`: expected a size such as `4MiB` or `32768`, got the text `4MB`",
    );
    refused_keys(
        "clock: evnt\n",
        "c.yaml:1:8: `clock`: expected one of `wall`, `event`, got `evnt`: did you mean `event`?",
    );
    refused_keys("clock: 5\n", "c.yaml:1:8: `clock`: expected one of `wall`, `event`, got the number 5");
    refused("- a\n", &[], "c.yaml:1:1: expected keys with values, got a list");
}

#[test]
fn numbers_out_of_range_name_the_range() {
    for number in ["0", "1025", "-1", "70000"] {
        refused_keys(
            &format!("partitions: {number}\n"),
            &format!(
                "c.yaml:1:13: `partitions`: expected a whole number from 1 to 1024, got the number {number}"
            ),
        );
    }
    refused_keys(
        "dedup: {window: 5s}\n",
        "c.yaml:1:17: `dedup.window`: expected a length of time from 1m to 3650d, got 5s",
    );
    refused_keys(
        "batch: {max_bytes: 1GiB}\n",
        "c.yaml:1:20: `batch.max_bytes`: expected a size from 1KiB to 256MiB, got 1GiB",
    );
    refused(
        &format!("{SOURCE}    max_bytes: 2097152\n"),
        &[],
        "c.yaml:5:16: `sources[0].max_bytes`: expected a size from 1B to 1MiB, got 2MiB",
    );
}

#[test]
fn texts_must_be_what_they_name() {
    refused_keys(
        "app: Shop 1\n",
        "c.yaml:1:6: `app`: expected small letters, digits and `-`, at most 64, got the text `Shop 1`",
    );
    refused(
        &format!("{SOURCE}    default_currency: dollars\n"),
        &[],
        "c.yaml:5:23: `sources[0].default_currency`: expected the code of a currency in capitals, such as `USD`, \
         got the text `dollars`",
    );
    refused(
        &format!("{SOURCE}    arrival: context..at\n"),
        &[],
        "c.yaml:5:14: `sources[0].arrival`: expected the path of a field, such as `context.receivedAt`, got the text \
         `context..at`",
    );
}

#[test]
fn sources_are_there_and_their_names_differ() {
    refused("app: shop\n", &[], "c.yaml:1:1: `sources` is missing");
    refused("", &[], "c.yaml: `sources` is missing");
    refused("sources: []\n", &[], "c.yaml:1:10: `sources`: expected at least one entry, got none");
    refused(
        "sources:\n  - name: behaviour\n    mapping: segment\n",
        &[],
        "c.yaml:2:5: `sources[0].topic` is missing",
    );
    refused(
        &format!(
            "{SOURCE}  - name: crm\n    topic: crm\n    mapping: contact\n  - {{name: crm, topic: b, mapping: catalog}}\n"
        ),
        &[],
        "c.yaml:8:12: `sources[2].name`: `crm` is the name of the entry at line 5 already",
    );
}

#[test]
fn missing_files_are_named_with_the_key() {
    refused_keys(
        "models:\n  - a.yaml\n  - models/x.yaml\nidentity: {secret_file: key.hex}\n",
        "c.yaml:3:5: `models[1]`: `models/x.yaml` can't be read: no such file\n\
         c.yaml:4:25: `identity.secret_file`: `key.hex` can't be read: no such file",
    );
    refused_keys("campaigns: [.]\n", "c.yaml:1:13: `campaigns[0]`: `.` is not a file");
    let error = load(Path::new("nowhere/c.yaml"), []).unwrap_err().to_string();
    assert_eq!(error, "nowhere/c.yaml: cannot be read: no such file");
}

#[test]
fn properties_that_are_not_a_users_business_are_named_with_their_place() {
    let reason = "can't be set: readers must see committed records only, and all of them";
    for key in ["properties", "secret_files"] {
        let text = format!("kafka:\n  {key}:\n    isolation.level: a.yaml\n");
        refused_keys(&text, &format!("c.yaml:3:22: `kafka.{key}.isolation.level`: {reason}"));
    }
    refused_keys(
        "kafka:\n  properties: {sasl.password: x}\n  secret_files: {sasl.password: a.yaml}\n",
        "c.yaml:3:33: `kafka.secret_files.sasl.password`: stands in `kafka.properties`, too",
    );
}

#[test]
fn all_mistakes_are_found_at_once() {
    refused(
        "partitions: 0\nclok: event\nbatch:\n  max_records: many\n  max_byte: 1MiB\n\
         sources:\n  - topic: a\n    mapping: segmnt\n  - name: b\n    topic: b b\n    mapping: contact\n",
        &[("CATCHMENT__LOG__LEVEL", "loud")],
        "c.yaml:1:13: `partitions`: expected a whole number from 1 to 1024, got the number 0\n\
         c.yaml:2:1: unknown key `clok`: did you mean `clock`? Keys here: `app`, `clock`, `partitions`, `identity`, \
         `sources`, `batch`, `dedup`, `timers`, `expiry`, `profiles`, `models`, `campaigns`, `instance`, `lanes`, \
         `commit`, `kafka`, `topics`, `registry`, `admin`, `traces`, `state`, `log`\n\
         c.yaml:4:16: `batch.max_records`: expected a whole number, got the text `many`\n\
         c.yaml:5:3: unknown key `max_byte`: did you mean `max_bytes`? Keys here: `max_records`, `max_bytes`\n\
         c.yaml:7:5: `sources[0].name` is missing\n\
         c.yaml:8:14: `sources[0].mapping`: expected one of `segment`, `hubspot`, `salesforce`, `contact`, `catalog`, \
         got `segmnt`: did you mean `segment`?\n\
         c.yaml:10:12: `sources[1].topic`: expected a topic name: letters, digits, `.`, `_` and `-`, at most 200, \
         got the text `b b`\n\
         CATCHMENT__LOG__LEVEL: `log.level`: expected one of `error`, `warn`, `info`, `debug`, `trace`, got `loud`",
    );
}

#[test]
fn environment_beats_the_file() {
    let config = load_with(
        &format!("batch: {{max_records: 7}}\nmodels: [nowhere.yaml]\n{SOURCE}"),
        &[
            ("CATCHMENT__BATCH__MAX_RECORDS", "5"),
            ("CATCHMENT__BATCH__MAX_BYTES", "1MiB"),
            ("CATCHMENT__MODELS", "[a.yaml]"),
            ("CATCHMENT__APP", "42"),
            ("CATCHMENT__LOG__LEVEL", "debug"),
            ("CATCHMENT_OTHER", "is none of ours"),
            ("PATH", "neither"),
        ],
    )
    .unwrap();
    assert_eq!(config.batch, Batch { max_records: 5, max_bytes: Size(1 << 20) });
    assert_eq!((config.app.as_str(), config.log.level), ("42", LogLevel::Debug));
    assert!(config.models[0].ends_with("a.yaml"));
}

#[test]
fn environment_is_checked_like_the_file() {
    refused(
        SOURCE,
        &[("CATCHMENT__BATCH__MAX_RECORD", "5")],
        "CATCHMENT__BATCH__MAX_RECORD: this environment variable overrides no key: did you mean \
         `CATCHMENT__BATCH__MAX_RECORDS`?",
    );
    refused(
        SOURCE,
        &[("CATCHMENT__PARTITIONS", "many")],
        "CATCHMENT__PARTITIONS: `partitions`: expected a whole number, got the text `many`",
    );
    refused(
        SOURCE,
        &[("CATCHMENT__PARTITIONS", "2000")],
        "CATCHMENT__PARTITIONS: `partitions`: expected a whole number from 1 to 1024, got the number 2000",
    );
}

#[test]
fn text_that_is_no_yaml_names_the_line() {
    refused("app: catchment\nsources: [\n", &[], "c.yaml:2:10: not valid YAML: unclosed bracket '['");
    refused("app: a\napp: b\n", &[], "c.yaml:2:1: the key `app` is there twice");
}

#[test]
fn deep_nesting_is_refused_in_order() {
    for depth in [100, 1_000, 100_000] {
        let text = format!("app: {}{}\n{SOURCE}", "[".repeat(depth), "]".repeat(depth));
        let error = load_with(&text, &[]).unwrap_err();
        assert!(error.starts_with("c.yaml:1:"), "{error}");
    }
}

#[test]
fn paths_are_resolved_against_the_file() {
    let directory = directory(&format!("campaigns: [a.yaml]\nidentity: {{secret_file: key.hex}}\n{SOURCE}"));
    fs::write(directory.path().join("key.hex"), format!("{}\n", "0A".repeat(32))).unwrap();
    let config = load(&directory.path().join("c.yaml"), []).unwrap();
    assert_eq!(config.campaigns, [directory.path().join("a.yaml")]);
    let secret = config.secret().unwrap().unwrap();
    assert_eq!(secret.fingerprint(), KeySecret::new([10; 32]).fingerprint());
}

#[test]
fn a_bad_secret_is_refused_and_not_shown() {
    for text in ["", "0a", &"xy".repeat(32), &"0a".repeat(33)] {
        let directory = directory(&format!("identity: {{secret_file: key.hex}}\n{SOURCE}"));
        fs::write(directory.path().join("key.hex"), text).unwrap();
        let error = load(&directory.path().join("c.yaml"), []).unwrap_err().to_string();
        let expected = "/key.hex: expected a secret of 32 bytes as 64 hex digits, got something else";
        assert!(error.ends_with(expected), "{error}");
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Example {
    weights: std::collections::BTreeMap<String, f64>,
    #[serde(default)]
    steps: Vec<Action>,
    output: Option<Output>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Action {
    Stop,
    Wait(u8),
    Send { channel: String },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Output {
    Linear { scale: f64 },
}

#[track_caller]
fn example(text: &str) -> Result<Example, String> {
    let document = Document::from_text(Path::new("m.yaml"), text).map_err(|errors| errors.to_string())?;
    document.parse().map_err(|errors| errors.to_string())
}

#[test]
fn any_type_is_read_with_the_same_care() {
    let read = example(
        "weights: &w {a: 1, b: -2.5}\nsteps: [stop, {wait: 3}, {send: {channel: mail}}]\noutput: {kind: linear, scale: 2}\n",
    )
    .unwrap();
    assert_eq!(read.weights["b"], -2.5);
    let send = Action::Send { channel: "mail".to_owned() };
    assert_eq!(read.steps, [Action::Stop, Action::Wait(3), send]);
    assert_eq!(read.output, Some(Output::Linear { scale: 2.0 }));

    assert_eq!(
        example("weights: {a: x}\nsteps:\n  - stopp\n  - wait: 300\n  - send: {chanel: mail}\noutput:\n  kind: linear\n  scal: 2\n")
            .unwrap_err(),
        "m.yaml:1:14: `weights.a`: expected a number, got the text `x`\n\
         m.yaml:3:5: `steps[0]`: expected one of `stop`, `wait`, `send`, got `stopp`: did you mean `stop`?\n\
         m.yaml:4:11: `steps[1].wait`: expected a whole number from 0 to 255, got the number 300\n\
         m.yaml:5:12: unknown key `chanel`: did you mean `channel`? Keys here: `channel`\n\
         m.yaml:8:3: unknown key `scal`: did you mean `scale`? Keys here: `scale`"
    );
}

#[test]
fn own_findings_can_point_at_a_key() {
    let document = Document::from_text(Path::new("m.yaml"), "a:\n  b:\n    - x\n    - y\n").unwrap();
    let at = |path| document.error_at(path, "no").to_string();
    assert_eq!(at("a.b[1]"), "m.yaml:4:7: no");
    assert_eq!(at("a.b"), "m.yaml:2:3: no");
    assert_eq!(at("a.c"), "m.yaml:1:1: no");
    assert_eq!(at(""), "m.yaml:1:1: no");
}

/// Keys of a JSON value, as `batch.max_records` and `sources[].name`.
fn keys_of(value: &serde_json::Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                into.insert(path.clone());
                keys_of(value, &path, into);
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                keys_of(item, &format!("{path}[]"), into);
            }
        }
        _ => {}
    }
}

fn keys_of_table(keys: &[keys::Key], prefix: &str, into: &mut BTreeSet<String>) {
    for key in keys {
        let path = format!("{prefix}{}", key.name);
        match key.kind {
            keys::Kind::Section(inner) => keys_of_table(inner, &format!("{path}."), into),
            keys::Kind::Sections(inner) => keys_of_table(inner, &format!("{path}[]."), into),
            _ => {}
        }
        into.insert(path);
    }
}

#[test]
fn table_and_structs_have_the_same_keys() {
    let config = load_with(SOURCE, &[]).unwrap();
    let (mut written, mut table) = (BTreeSet::new(), BTreeSet::new());
    keys_of(&serde_json::to_value(&config).unwrap(), "", &mut written);
    keys_of_table(Config::KEYS, "", &mut table);
    assert_eq!(written, table);
}

#[test]
fn defaults_keep_their_own_ranges() {
    let directory = directory(SOURCE);
    let config = load(&directory.path().join("c.yaml"), []).unwrap();
    // JSON is YAML: what is written with all its defaults reads back as the same.
    fs::write(directory.path().join("full.yaml"), serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(load(&directory.path().join("full.yaml"), []), Ok(config));
}

#[test]
fn reference_page_is_current() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = fs::read_to_string(page).unwrap_or_default();
    assert!(written == markdown(), "docs/configuration.md is stale: run `cargo xtask docs`");
}
