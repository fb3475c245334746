//! The program from outside: what it prints, and its exit codes.

use std::fs;

use tempfile::TempDir;

use crate::support::{catchment, files, finished, root};

const GOOD: &str =
    "app: shop\nsources:\n  - name: behaviour\n    topic: behaviour.events\n    mapping: segment\n";

fn configured(text: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("catchment.yaml"), text).unwrap();
    directory
}

/// `config check` in a directory with that configuration.
fn check(text: &str) -> (i32, String, String) {
    let directory = configured(text);
    finished(catchment(&["config", "check"]).current_dir(directory.path()))
}

#[test]
fn help_tells_a_newcomer_what_to_do() {
    let (code, help, _) = finished(&mut catchment(&["--help"]));
    assert_eq!(code, 0);
    for part in [
        "one profile per customer",
        "Try it:\n  demo ",
        "\n  sandbox ",
        "Check it:\n  config ",
        "\n  contracts ",
        "Set up:\n  completions ",
        "Examples:\n  catchment demo\n",
        "Exit codes:\n  0  all went well\n  1  the work failed, or was stopped before its end\n  2  ",
        "--log-format",
    ] {
        assert!(help.contains(part), "{part:?} is not in\n{help}");
    }
    assert!(help.starts_with("Turns customer events"), "{help}");
}

#[test]
fn no_command_and_a_wrong_one_exit_with_2() {
    let (code, _, help) = finished(&mut catchment(&[]));
    assert!(code == 2 && help.contains("Usage: catchment"), "{code} {help}");
    let (code, _, error) = finished(&mut catchment(&["demmo"]));
    assert!(code == 2 && error.contains("'demo'"), "{code} {error}");
    let until = ["sandbox", "--config", "c", "--input", "i", "--output", "o", "--until", "noon"];
    let (code, _, error) = finished(&mut catchment(&until));
    assert!(code == 2 && error.contains("expected a time such as 2026-03-05T09:00:00Z"), "{code} {error}");
}

#[test]
fn version_is_that_of_the_workspace() {
    let (code, version, _) = finished(&mut catchment(&["--version"]));
    assert_eq!((code, version.as_str()), (0, concat!("catchment ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn good_configuration_is_shown() {
    let (code, shown, error) = check(GOOD);
    assert_eq!((code, error.as_str()), (0, ""));
    for part in [
        "catchment.yaml is in order.\n",
        "\nSources (1)\n  behaviour  behaviour.events  segment as json  arrival by record timestamp\n",
        "\nModels (0)\n",
        "\nCampaigns (0)\n",
        "\n  shop.profile.state ",
        "\n  dlq.behaviour ",
        "\n  customer.profiles ",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
}

#[test]
fn bad_configuration_names_every_place_and_exits_with_2() {
    let (code, shown, error) =
        check(&GOOD.replace("mapping: segment", "maping: segment").replace("shop", "Shop"));
    assert_eq!((code, shown.as_str()), (2, ""));
    assert_eq!(
        error,
        "catchment.yaml:1:6: `app`: expected small letters, digits and `-`, at most 64, got the text `Shop`\n\
         catchment.yaml:5:5: unknown key `maping`: did you mean `mapping`? Keys here: `name`, `topic`, `format`, \
         `mapping`, `via`, `arrival`, `max_bytes`, `tombstone`, `default_currency`\n"
    );
}

#[test]
fn missing_configuration_exits_with_2() {
    let directory = TempDir::new().unwrap();
    let (code, _, error) = finished(catchment(&["config", "check"]).current_dir(directory.path()));
    assert_eq!((code, error.as_str()), (2, "catchment.yaml: cannot be read: no such file\n"));
}

#[test]
fn environment_overrides_the_file() {
    let directory = configured(GOOD);
    let run = |name: &str, value: &str| {
        finished(catchment(&["config", "check"]).current_dir(directory.path()).env(name, value))
    };
    let (code, shown, _) = run("CATCHMENT__PARTITIONS", "3");
    assert!(code == 0 && shown.contains("\n  partitions       3\n"), "{shown}");
    let (code, _, error) = run("CATCHMENT__PARTITION", "3");
    assert_eq!(
        (code, error.as_str()),
        (
            2,
            "CATCHMENT__PARTITION: this environment variable overrides no key: did you mean \
             `CATCHMENT__PARTITIONS`?\n"
        )
    );
}

#[test]
fn mistakes_in_campaigns_and_models_have_their_place() {
    let campaign = "name: cart\nchannel: email\ntrigger: {event: Product Added, unless: [Order Completed]}\nconsent: none\n";
    let directory = configured(&format!("{GOOD}campaigns: [a.yaml]\n"));
    let run = |campaign: &str| {
        fs::write(directory.path().join("a.yaml"), campaign).unwrap();
        finished(catchment(&["config", "check"]).current_dir(directory.path()))
    };
    let (code, _, error) = run(campaign);
    assert_eq!(code, 2);
    assert!(error.starts_with("a.yaml:3:33: trigger.unless needs trigger.after"), "{error}");
    let (code, _, error) = run(&campaign.replace("email", "letter"));
    assert_eq!(code, 2);
    assert!(error.starts_with("a.yaml:2:10: `channel`: expected one of `email`, "), "{error}");
    let (code, _, error) = run(&campaign.replace("consent: none\n", ""));
    assert_eq!(code, 2);
    assert!(error.contains("channel email needs `consent`"), "{error}");
    let condition = campaign.replace(", unless: [Order Completed]", "") + "condition: score.churn > 0.5\n";
    let (code, _, error) = run(&condition);
    assert_eq!(code, 2);
    assert!(error.starts_with("a.yaml:5:1: condition: score.churn"), "{error}");
}

#[test]
fn the_examples_are_in_order() {
    let examples: Vec<String> = files("deploy", "catchment.yaml");
    assert!(!examples.is_empty());
    for example in examples {
        let (code, _, error) =
            finished(catchment(&["config", "check", "--config", &example]).current_dir(root()));
        assert_eq!((code, error.as_str()), (0, ""), "{example}");
    }
}

#[test]
fn contracts_are_listed_with_their_fields() {
    let (code, list, _) = finished(&mut catchment(&["contracts", "list"]));
    assert_eq!(code, 0);
    assert!(list.starts_with("CONTRACT "), "{list}");
    assert!(list.contains("\ncampaign_trigger "), "{list}");
    let (code, fields, _) = finished(&mut catchment(&["contracts", "list", "campaign_trigger"]));
    assert!(code == 0 && fields.contains("\ntrigger_id "), "{fields}");

    let (_, list, _) = finished(&mut catchment(&["contracts", "list", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"customer_profile"), "{names:?}");
    for name in names {
        let (_, fields, _) = finished(&mut catchment(&["contracts", "list", name, "--json"]));
        let fields: serde_json::Value = serde_json::from_str(&fields).unwrap();
        for field in fields.as_array().unwrap() {
            for key in ["path", "type", "unit", "pii", "freshness", "doc"] {
                assert!(field[key].is_string(), "{name}: {field}");
            }
        }
    }
}

#[test]
fn unknown_contract_names_the_nearest() {
    let (code, _, error) = finished(&mut catchment(&["contracts", "list", "campain_trigger"]));
    assert_eq!(
        (code, error.as_str()),
        (2, "error: no contract is called `campain_trigger`: did you mean `campaign_trigger`?\n")
    );
}

#[test]
fn closed_pipe_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = catchment(&["contracts", "list"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn completions_are_a_script() {
    for (shell, part) in
        [("bash", "complete -F _catchment"), ("zsh", "#compdef catchment"), ("fish", "complete -c catchment")]
    {
        let (code, script, _) = finished(&mut catchment(&["completions", shell]));
        assert!(code == 0 && script.contains(part), "{shell}");
    }
}

#[test]
fn logs_go_to_stderr_in_the_form_asked_for() {
    let (_, shown, logged) =
        finished(&mut catchment(&["contracts", "list", "--log-level", "debug", "--log-format", "json"]));
    let line: serde_json::Value = serde_json::from_str(logged.lines().next().unwrap()).unwrap();
    assert_eq!((line["level"].as_str(), line["message"].as_str()), (Some("DEBUG"), Some("catchment starts")));
    assert!(shown.starts_with("CONTRACT "), "{shown}");
    let (_, _, logged) = finished(&mut catchment(&["--log-level", "debug", "contracts", "list"]));
    // No colours where no terminal is.
    assert!(logged.contains("DEBUG") && !logged.contains('\u{1b}'), "{logged}");
}

const SHOP: &str = "sources:
  - {name: web, topic: behaviour.events, mapping: segment, arrival: receivedAt}
  - {name: crm, topic: crm.contacts, mapping: contact, arrival: updated_at}
";

/// Runs a sandbox of that configuration over these files.
fn sandbox(config: &str, files: &[&str], output: &str) -> (i32, String, String) {
    let directory = configured(config);
    for file in files {
        fs::write(directory.path().join(file), "").unwrap();
    }
    let arguments = ["sandbox", "--config", "catchment.yaml", "--input", ".", "--output", output];
    finished(catchment(&arguments).current_dir(directory.path()))
}

#[test]
fn a_sandbox_says_what_it_needs_before_it_begins() {
    let refusal = |config: &str, files: &[&str], output: &str| {
        let (code, _, error) = sandbox(config, files, output);
        assert_eq!(code, 1, "{error}");
        error
    };
    let none = refusal(SHOP, &[], "out");
    assert_eq!(
        none,
        "error: no such file: ./web.ndjson, ./crm.ndjson (every source needs one; an empty file will do)\n"
    );
    let files = ["web.ndjson", "crm.ndjson", "taken"];
    assert!(refusal(SHOP, &files, ".").contains("--output is the directory of the input"));
    assert!(refusal(SHOP, &files, "taken").contains("taken can't be made a directory"));
    let clockless = SHOP.replace(", arrival: updated_at", "");
    assert!(refusal(&clockless, &files, "out").contains("source `crm` names no `arrival` field"));
    let own = SHOP.replace("crm.contacts", "customer.profiles");
    let (code, _, error) = sandbox(&own, &files, "out");
    let place = "catchment.yaml:3:17: topic `customer.profiles` is written by Catchment itself";
    assert!(code == 2 && error.starts_with(place), "{code} {error}");
    let (code, report, error) = sandbox(SHOP, &files, "out");
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(report.contains("events in         0") && !report.contains("1970"), "{report}");
}
