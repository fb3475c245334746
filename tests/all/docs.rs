//! The documentation says what the code says, and its examples do what it says of them.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{catchment, finished, root};

#[test]
fn generated_pages_are_what_the_code_says() {
    let stale = catchment::docs::stale(&root().join("docs")).unwrap();
    assert!(stale.is_empty(), "stale: {stale:?}; run `cargo xtask docs`");
}

/// Content of the first fenced block behind a text.
fn block<'p>(page: &'p str, behind: &str) -> &'p str {
    let (_, rest) = page.split_once(behind).unwrap_or_else(|| panic!("{behind} is not on the page"));
    let (_, rest) = rest.split_once("\n```").unwrap();
    let (_, content) = rest.split_once('\n').unwrap();
    &content[..=content.find("\n```").unwrap()]
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let (code, printed, error) = finished(&mut catchment(&["demo"]));
    assert_eq!(code, 0, "{error}");
    let readme = page("README.md");
    let shown = block(&readme, "Abridged:\n");
    for line in shown.lines().filter(|line| !line.is_empty() && *line != "…") {
        assert!(printed.lines().any(|printed| printed == line), "{line:?} is not in\n{printed}");
    }
}

#[test]
fn the_example_of_the_readme_gives_what_it_says() {
    let readme = page("README.md");
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("events")).unwrap();
    for file in ["catchment.yaml", "cart_abandoned.yaml", "events/web.ndjson"] {
        fs::write(directory.path().join(file), block(&readme, &format!("`{file}`:\n"))).unwrap();
    }
    let command = readme.lines().find(|line| line.starts_with("catchment sandbox ")).unwrap();
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    let (code, _, error) = finished(catchment(&arguments).current_dir(directory.path()));
    assert_eq!(code, 0, "{error}");
    let only = |topic: &str| -> Value {
        let path = directory.path().join("result").join(format!("{topic}.ndjson"));
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["value"].take()
    };
    let shown: Value = serde_json::from_str(block(&readme, "this value:\n")).unwrap();
    assert_eq!(only("campaign.triggers"), shown);
    let letter = only("dlq.web");
    let errors = letter["errors"].as_array().unwrap().iter();
    let errors: Vec<_> = errors.map(|error| (error["code"].as_str(), error["field"].as_str())).collect();
    let expected = [("missing_field", "properties.product_id"), ("wrong_type", "properties.price")];
    assert_eq!(errors, expected.map(|(code, field)| (Some(code), Some(field))));
}

#[test]
fn examples_of_files_are_in_order() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    fs::write(path.join("campaign.yaml"), block(&page("docs/campaigns.md"), "on past events.\n")).unwrap();
    fs::write(path.join("model.yaml"), block(&page("docs/models.md"), "`score.<name>`.\n")).unwrap();
    let config = format!(
        "{}campaigns: [campaign.yaml]\nmodels: [model.yaml]\n",
        block(&page("docs/configuration.md"), "The smallest file:\n")
    );
    fs::write(path.join("catchment.yaml"), config).unwrap();
    let (code, _, error) = finished(catchment(&["config", "check"]).current_dir(path));
    assert_eq!((code, error.as_str()), (0, ""));
}

#[test]
fn refused_examples_are_refused_as_the_page_says() {
    let page = page("docs/sources.md");
    let (_, table) = page.split_once("| record | code | field |\n|---|---|---|\n").unwrap();
    let rows: Vec<Vec<String>> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let line = line.replace("\\|", "\u{0}");
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().trim_matches('`').replace('\u{0}', "|")).collect()
        })
        .collect();
    assert!(rows.len() > 5);
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let lines: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    fs::write(path.join("web.ndjson"), lines.join("\n")).unwrap();
    fs::write(
        path.join("c.yaml"),
        "sources: [{name: web, topic: t, mapping: segment, arrival: receivedAt}]\n",
    )
    .unwrap();
    let arguments = ["sandbox", "--config", "c.yaml", "--input", ".", "--output", "out"];
    let (code, _, error) = finished(catchment(&arguments).current_dir(path));
    assert_eq!(code, 0, "{error}");
    let letters = fs::read_to_string(path.join("out/dlq.web.ndjson")).unwrap();
    let letters: Vec<Vec<String>> = letters
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str::<Value>(line).unwrap()["value"].take();
            let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
            vec![text("code"), text("field")]
        })
        .collect();
    let expected: Vec<Vec<String>> = rows.iter().map(|row| row[1..].to_vec()).collect();
    assert_eq!(letters, expected);
}
