use super::*;
use catchment_connectors::registry::{Registry, RegistrySettings};
use catchment_contracts::catalogue::Compatibility;
use std::fs;
use std::path::Path;
use std::time::SystemTime;
use tempfile::TempDir;

/// What a command printed, and how it ended.
fn ran(command: &ContractsCommand) -> (String, Result<(), String>) {
    let mut bytes = Vec::new();
    let result = run(&mut Out::new(&mut bytes), command);
    (String::from_utf8(bytes).unwrap(), result.map_err(|error| format!("{error:#}")))
}

fn config(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("catchment.yaml");
    fs::write(&file, text).unwrap();
    file
}

/// A configuration with one Avro source of that topic.
fn with_registry(folder: &TempDir, url: &str, topic: &str) -> PathBuf {
    let text = format!(
        "registry: {{url: \"{url}\"}}\nsources:\n  - {{name: shop, topic: {topic}, format: avro, mapping: catalog}}\n"
    );
    config(folder, &text)
}

fn check(config: Option<&Path>, release: Option<&Path>) -> (String, Result<(), String>) {
    let owned = |path: Option<&Path>| path.map(Path::to_path_buf);
    ran(&ContractsCommand::Check { config: owned(config), release: owned(release) })
}

#[test]
fn without_a_registry_the_releases_are_compared_with() {
    let (text, result) = check(None, None);
    assert_eq!(result, Ok(()));
    assert_eq!(
        text,
        "Compared with the releases 0.1.0.\nNot compared with a registry: `--config FILE` names one.\nNo contract breaks.\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = config(&folder, "sources:\n  - {name: shop, topic: items, mapping: catalog}\n");
    let (text, result) = check(Some(&file), None);
    assert_eq!(result, Ok(()));
    assert!(text.contains("the configuration has no `registry.url`"), "{text}");
}

#[test]
fn a_change_that_breaks_is_named_with_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let trigger = catalogue::CAMPAIGN_TRIGGER.schema;
    // As if the release before had had one field more.
    let before =
        trigger.replacen("\"fields\": [", "\"fields\": [{\"name\": \"priority\", \"type\": \"int\"},", 1);
    fs::write(folder.path().join("campaign_trigger.avsc"), before).unwrap();
    fs::write(folder.path().join("loyalty.avsc"), "\"int\"").unwrap();
    let (text, result) = check(None, Some(folder.path()));
    assert_eq!(result, Err("2 findings".to_owned()), "{text}");
    assert!(text.contains("priority: a field without a default was removed"), "{text}");
    assert!(text.contains("loyalty") && text.contains("the contract is gone"), "{text}");
}

#[test]
fn a_folder_without_schemas_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (_, result) = check(None, Some(folder.path()));
    assert!(result.unwrap_err().ends_with("holds no schema (*.avsc)"));
    let (_, result) = check(None, Some(&folder.path().join("nowhere")));
    assert!(result.unwrap_err().contains("can't be read"));
}

#[test]
fn a_registry_must_be_configured_and_reached_to_register() {
    let folder = tempfile::tempdir().unwrap();
    let register =
        |text: &str| ran(&ContractsCommand::Register { config: config(&folder, text) }).1.unwrap_err();
    let sources = "sources:\n  - {name: shop, topic: items, mapping: catalog}\n";
    assert_eq!(register(sources), "`registry.url` is missing in the configuration; this command needs it");
    let closed = format!("{sources}registry: {{url: \"http://127.0.0.1:1\"}}\n");
    let error = register(&closed);
    assert!(error.starts_with("subject `"), "{error}");
    assert!(error.contains("the schema registry can't be asked: no connection"), "{error}");
    let half = format!("{sources}registry: {{url: \"http://127.0.0.1:1\", password_file: {}}}\n", file!());
    assert!(!register(&half).is_empty());
}

#[test]
fn two_contracts_of_one_topic_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "registry: {url: \"http://127.0.0.1:1\"}\nsources:\n\
        \x20 - {name: shop, topic: t, format: avro, mapping: catalog}\n\
        \x20 - {name: crm, topic: t, format: avro, mapping: contact}\n";
    let (_, result) = ran(&ContractsCommand::Register { config: config(&folder, text) });
    let error = result.unwrap_err();
    assert!(error.contains("`catalog_item_snapshot` and `crm_contact`"), "{error}");
}

/// Against the registry that `CATCHMENT_TEST_REGISTRY` names.
#[test]
fn contracts_are_registered_and_a_break_is_found() {
    let Ok(url) = std::env::var("CATCHMENT_TEST_REGISTRY") else {
        eprintln!("skipped: CATCHMENT_TEST_REGISTRY names no schema registry");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let time = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let topic = format!("test-{time}.items");
    let file = with_registry(&folder, &url, &topic);
    let (text, result) = check(Some(&file), None);
    assert_eq!(result.err().filter(|error| !error.contains("finding")), None);
    assert!(text.contains(&format!("{topic}-value is not registered yet.")), "{text}");

    let line = |text: &str| text.lines().find(|line| line.starts_with(&topic)).unwrap().to_owned();
    let register = || ran(&ContractsCommand::Register { config: file.clone() });
    let (text, result) = register();
    assert_eq!(result, Ok(()), "{text}");
    assert!(line(&text).contains("catalog_item_snapshot"), "{text}");
    let done = line(&text);
    assert!(done.contains("registered, new subject") && !done.contains("as it was"), "{text}");
    let (text, result) = register();
    assert_eq!(result, Ok(()), "{text}");
    let done = line(&text);
    assert!(done.contains("was registered") && done.ends_with("BACKWARD_TRANSITIVE, as it was"), "{text}");
    let (text, result) = check(Some(&file), None);
    assert_eq!(result, Ok(()), "{text}");

    // Somebody registers a version that readers of ours can't take, and loosens the level for it.
    let registry = Registry::start(RegistrySettings::new(url)).unwrap();
    let subject = format!("{topic}-value");
    let other =
        catalogue::CATALOG_ITEM_SNAPSHOT.schema.replacen("\"type\": \"string\"", "\"type\": \"int\"", 1);
    registry.set_level(&subject, Compatibility::FullTransitive).unwrap();
    let strict = registry.register(&subject, &other);
    assert!(strict.is_err(), "{strict:?}");
    let folder_of_other = tempfile::tempdir().unwrap();
    fs::write(folder_of_other.path().join("catalog_item_snapshot.avsc"), other).unwrap();
    let (text, result) = check(Some(&file), Some(folder_of_other.path()));
    assert_eq!(result, Err("2 findings".to_owned()), "{text}");
    assert!(text.contains("product_id: type changed from int to string"), "{text}");
    assert!(text.contains("the level is FULL_TRANSITIVE, and must be BACKWARD_TRANSITIVE"), "{text}");
}
