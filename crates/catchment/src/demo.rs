//! `catchment demo`: a small shop's events through the whole pipeline, with nothing to install or configure.
//!
//! The shop (`deploy/examples/awesomeshoes`) is part of the program. It is unpacked to a temporary directory and goes
//! the way of any configuration from there.

mod files;
mod story;

use crate::cli::DemoArgs;
use crate::config;
use crate::definitions::Definitions;
use crate::out::Out;
use crate::sandbox::{Engine, Feed};
use crate::stop::Stop;
use anyhow::Context as _;
use catchment_domain::KeySecret;
use indicatif::{ProgressBar, ProgressStyle};

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let stop = Stop::install().context("signals can't be caught")?;
    let directory = tempfile::tempdir().context("no temporary directory can be made")?;
    let shop = files::unpack(directory.path())?;
    // The environment changes a user's configuration, not the demo's: its numbers are always the same.
    let config = config::load(&shop.join("catchment.yaml"), [])?;
    let definitions = Definitions::load(&config)?;
    let mut feed = Feed::open(&config, &shop.join("data"))?;
    let mut engine = Engine::new(&config, definitions, KeySecret::PUBLISHED)?;

    let bar = progress_bar(files::records());
    engine.run(&mut feed, &mut |fed| bar.set_position(fed), &stop)?;
    engine.finish(None)?;
    bar.finish_and_clear();
    anyhow::ensure!(!stop.requested(), "stopped");

    let mut out = Out::stdout();
    if args.json {
        return out.line(engine.report().to_json()?);
    }
    out.line("AwesomeShoes Co.: 18 months of a small shop, replayed on the embedded log")?;
    out.line("")?;
    out.text(&engine.report().human(&config))?;
    out.line("")?;
    out.text(&engine.report().times())?;
    if let Some(story) = story::tell(&engine)? {
        out.line("")?;
        out.text(&story)?;
    }
    out.line("")?;
    out.line("Next: catchment sandbox --config … --input … --output … runs your own files; docs/sandbox.md says how.")
}

/// A bar on standard error; nothing where that is no terminal.
fn progress_bar(records: u64) -> ProgressBar {
    let bar = ProgressBar::new(records);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} records  {elapsed_precise}") {
        bar.set_style(style);
    }
    bar
}
