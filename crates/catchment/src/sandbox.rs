//! `catchment sandbox`: the whole pipeline over files, on the embedded log.
//!
//! The same code, configuration, campaigns and models as in production, without Kafka: how a campaign is tried on last
//! week's events, and how a bug report becomes a test. Time is the events' own, so timers and quiet hours play out.
//! The same input and configuration give the same bytes.

mod engine;
mod feed;
mod output;
mod report;

pub(crate) use engine::Engine;
pub(crate) use feed::Feed;
pub(crate) use output::read_topic;

use crate::cli::SandboxArgs;
use crate::config::{self, Config};
use crate::definitions::Definitions;
use crate::out::Out;
use crate::stop::Stop;
use crate::wiring;
use anyhow::Context as _;
use catchment_domain::KeySecret;
use catchment_domain::time::{format_rfc3339, parse_rfc3339};

/// Runs a sandbox as the command line says.
pub(crate) fn run(args: &SandboxArgs) -> anyhow::Result<()> {
    let config = config::load(&args.config, std::env::vars())?;
    crate::logging::init(&args.log, Some(&config.log));
    let definitions = Definitions::load(&config)?;
    wiring::topology_of_file(&args.config, &config)?;
    let secret = config.secret()?.unwrap_or(KeySecret::PUBLISHED);
    let until = args.until.as_deref().and_then(parse_rfc3339);
    let stop = Stop::install().context("signals can't be caught")?;

    let mut feed = Feed::open(&config, &args.input)?;
    prepare(args)?;
    let mut engine = Engine::new(&config, definitions, secret)?;
    engine.run(&mut feed, &mut |_| {}, &stop)?;
    if stop.requested() {
        anyhow::bail!("stopped before the end of the input: nothing was written");
    }
    engine.finish(until)?;
    output::write(&engine, &config, &args.output)?;
    print(&config, &engine, args)
}

/// Sees to it before the work that its result can be written, and overwrites nothing of the input.
fn prepare(args: &SandboxArgs) -> anyhow::Result<()> {
    let output = &args.output;
    std::fs::create_dir_all(output)
        .with_context(|| format!("{} can't be made a directory", output.display()))?;
    let same = std::fs::canonicalize(output).ok() == std::fs::canonicalize(&args.input).ok();
    anyhow::ensure!(
        !same,
        "--output is the directory of the input: what is written would stand among what was read"
    );
    let probe = output.join(".catchment");
    std::fs::write(&probe, b"")
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| format!("nothing can be written to {}", output.display()))
}

fn print(config: &Config, engine: &Engine, args: &SandboxArgs) -> anyhow::Result<()> {
    let report = engine.report();
    let mut out = Out::stdout();
    out.text(&report.human(config))?;
    if report.events_in > 0 {
        out.line(format!("time        {}", format_rfc3339(engine.now())))?;
    }
    if report.timers_pending > 0 {
        out.line(format!(
            "pending     {} timers are due later; --until TIME goes on to a later time",
            report.timers_pending
        ))?;
    }
    out.line(format!("written to  {}", args.output.display()))
}
