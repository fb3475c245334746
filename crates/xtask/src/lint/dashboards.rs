//! Grafana has no checker of dashboards, but its queries are Prometheus': written as rules, `promtool` reads them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::passes;
use crate::target;

/// Whether Prometheus understands every query of every dashboard.
pub(super) fn check(promtool: &Path, root: &Path) -> Result<bool> {
    let tools = target().join("tools");
    fs::create_dir_all(&tools)?;
    let mut passed = true;
    for entry in fs::read_dir(root.join("deploy/grafana/dashboards"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let dashboard: Value =
            serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        let rules = rules(&dashboard);
        ensure!(!rules.is_empty(), "{} has no queries", path.display());
        let file = tools.join("dashboard-rules.yaml");
        fs::write(&file, json!({"groups": [{"name": "queries", "rules": rules}]}).to_string())?;
        passed &= passes(Command::new(promtool).args(["check", "rules", "--lint=none"]).arg(&file))?;
    }
    Ok(passed)
}

/// A rule for each query. The names of the rules say which panel has it, and promtool quotes them.
fn rules(dashboard: &Value) -> Vec<Value> {
    let mut rules = Vec::new();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap_or_default();
            let expr = expr.replace("$__rate_interval", "5m").replace("$__range", "1h");
            let title = panel["title"].as_str().unwrap_or_default();
            let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let name: String = title.chars().map(word).collect();
            let reference = target["refId"].as_str().unwrap_or_default();
            rules.push(json!({"record": format!("panel:{name}:{reference}"), "expr": expr}));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_becomes_a_rule_without_variables_of_grafana() {
        let target = |reference, expr| json!({"refId": reference, "expr": expr});
        let dashboard = json!({"panels": [
            {"type": "row", "title": "Flow"},
            {"title": "Lag, worst", "targets": [target("A", "max(x)"), target("B", "rate(y[$__rate_interval])")]},
        ]});
        let rules = rules(&dashboard);
        assert_eq!(
            rules,
            [
                json!({"record": "panel:Lag__worst:A", "expr": "max(x)"}),
                json!({"record": "panel:Lag__worst:B", "expr": "rate(y[5m])"}),
            ]
        );
    }
}
