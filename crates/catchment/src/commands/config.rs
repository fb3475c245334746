//! `catchment config`

use std::io::Write;
use std::path::Path;

use catchment_connectors::snapshot::Snapshots;
use catchment_contracts::topics;
use catchment_domain::campaign::Campaign;
use catchment_pipeline::topology::Topology;

use crate::config::{self, Config, Span};
use crate::definitions::Definitions;
use crate::out::Out;
use crate::wiring;

/// Checks a configuration with its models and campaigns, and prints what it sets up.
pub(super) fn check<W: Write>(out: &mut Out<W>, path: &Path) -> anyhow::Result<()> {
    let config = config::load(path, std::env::vars())?;
    let definitions = Definitions::load(&config)?;
    let topology = wiring::topology_of_file(path, &config)?;
    wiring::sources(&config)?;
    out.line(format_args!("{} is in order.", path.display()))?;
    let secret = match &config.identity.secret_file {
        Some(file) => format!("from {}", file.display()),
        None => "the published one, for demo and sandbox alone".to_owned(),
    };
    let partitions = config.partitions.to_string();
    out.table(
        "  ",
        &[
            ["app".to_owned(), config.app.clone()],
            ["clock".to_owned(), config.clock.as_str().to_owned()],
            ["partitions".to_owned(), partitions],
            ["identity secret".to_owned(), secret],
        ],
    )?;
    state(out, &config)?;
    sources(out, &config)?;
    models(out, &definitions)?;
    campaigns(out, &definitions)?;
    all_topics(out, &topology)
}

/// Where snapshots are kept. That they can't be is no mistake of the file: `run` goes on without.
fn state<W: Write>(out: &mut Out<W>, config: &Config) -> anyhow::Result<()> {
    let Some(directory) = &config.state.dir else { return Ok(()) };
    match Snapshots::check(directory) {
        Ok(()) => out.line(format_args!("  snapshots in {}", directory.display())),
        Err(error) => out.line(format_args!("  warning: no snapshots here: {error}")),
    }
}

fn title<W: Write>(out: &mut Out<W>, title: &str, count: usize) -> anyhow::Result<()> {
    out.line(format_args!("\n{title} ({count})"))
}

fn sources<W: Write>(out: &mut Out<W>, config: &Config) -> anyhow::Result<()> {
    title(out, "Sources", config.sources.len())?;
    let rows: Vec<[String; 4]> = config
        .sources
        .iter()
        .map(|source| {
            let form = format!("{} as {}", source.mapping.as_str(), source.format.as_str());
            let form = match &source.via {
                Some(file) => format!("{form}, via {}", file.display()),
                None => form,
            };
            let arrival = match &source.arrival {
                Some(field) => format!("arrival in {field}"),
                None => "arrival by record timestamp".to_owned(),
            };
            [source.name.clone(), source.topic.clone(), form, arrival]
        })
        .collect();
    out.table("  ", &rows)
}

fn models<W: Write>(out: &mut Out<W>, definitions: &Definitions) -> anyhow::Result<()> {
    title(out, "Models", definitions.models.len())?;
    let rows: Vec<[String; 3]> = definitions
        .models
        .iter()
        .map(|model| {
            let features = format!("{} features", model.features().count());
            [model.name().to_owned(), format!("version {}", model.version()), features]
        })
        .collect();
    out.table("  ", &rows)
}

fn campaigns<W: Write>(out: &mut Out<W>, definitions: &Definitions) -> anyhow::Result<()> {
    title(out, "Campaigns", definitions.campaigns.len())?;
    let rows: Vec<[String; 3]> = definitions
        .campaigns
        .iter()
        .map(|campaign| {
            let channel = format!("{:?}", campaign.file().channel).to_lowercase();
            [campaign.name().to_owned(), channel, trigger(campaign)]
        })
        .collect();
    out.table("  ", &rows)
}

fn trigger(campaign: &Campaign) -> String {
    let trigger = &campaign.file().trigger;
    let event = trigger.event.as_deref().unwrap_or("any event");
    let mut text = match trigger.after {
        Some(after) => format!("{} after {event}", Span::of_millis(after.0)),
        None => format!("at {event}"),
    };
    if let Some(score) = &trigger.score {
        text.push_str(&format!(" with {} at least {}", score.model, score.at_least));
    }
    if !trigger.unless.is_empty() {
        text.push_str(" unless ");
        text.push_str(&trigger.unless.join(", "));
    }
    text
}

/// The topics of the sources, and those that Catchment itself needs.
fn all_topics<W: Write>(out: &mut Out<W>, topology: &Topology) -> anyhow::Result<()> {
    let mut names: Vec<String> = topology.table.iter().map(|(_, spec)| spec.name.clone()).collect();
    names.sort();
    title(out, "Topics", names.len())?;
    let rows: Vec<[String; 3]> = names
        .into_iter()
        .map(|name| {
            let spec = topics::TABLE.iter().find(|spec| spec.covers(&name));
            let (key, cleanup) = match spec {
                Some(spec) => (format!("by {}", spec.key), spec.cleanup.to_string()),
                None => ("by raw key".to_owned(), String::new()),
            };
            [name, key, cleanup]
        })
        .collect();
    out.table("  ", &rows)
}
