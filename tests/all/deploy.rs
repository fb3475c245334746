//! What is deployed beside the program names what the program has.

use std::collections::BTreeSet;
use std::fs;

use catchment::metrics;

use crate::support::{files, root};

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Names of metrics in queries of Prometheus. What stands for one series of a histogram counts as the histogram.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let ours = |word: &&str| {
        let prefixes = ["catchment_", "kafka_consumergroup_", "process_"];
        prefixes.iter().any(|prefix| word.starts_with(prefix))
    };
    words
        .filter(ours)
        .map(|word| {
            let series = ["_bucket", "_count", "_sum"].iter().find_map(|ending| word.strip_suffix(ending));
            series.unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn alerts_and_dashboards_query_metrics_that_there_are() {
    let mut queried = files("deploy/grafana/dashboards", ".json");
    queried.push("deploy/prometheus/alerts.yaml".to_owned());
    assert!(queried.len() > 1, "no dashboard was found");
    for file in queried {
        let named = named(&read(&file));
        assert!(named.len() > 10, "{file}: {named:?}");
        for name in named {
            assert!(metrics::ALL.iter().any(|metric| metric.name == name), "{file}: there is no {name}");
        }
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let text = read("deploy/prometheus/alerts.yaml");
    let alerts: Vec<&str> =
        text.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    let runbooks = read("docs/runbooks.md");
    let headings: Vec<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(alerts, headings, "in the same order");
    for alert in alerts {
        let url = format!("runbook_url: docs/runbooks.md#{}\n", alert.to_lowercase());
        assert!(text.contains(&url), "{url}");
        assert!(read("deploy/prometheus/alerts.test.yaml").contains(alert), "{alert} has no test");
    }
}

#[test]
fn names_are_found_in_queries() {
    let query =
        "sum(rate(catchment_step_seconds_bucket{role=\"x\"}[5m])) / process_open_fds + catchment:own:rate5m";
    assert_eq!(named(query), ["catchment_step_seconds", "process_open_fds"].map(str::to_owned).into());
}
