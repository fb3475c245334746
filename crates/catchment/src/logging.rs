//! Log lines, always to stderr: stdout is for results.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::LevelFilter;

use crate::cli::LogArgs;
use crate::config::{Log, LogFormat, LogLevel};

/// Starts logging for the process. Flags beat the configuration. A second call changes nothing.
pub(crate) fn init(args: &LogArgs, config: Option<&Log>) {
    let level = args.log_level.or(config.map(|log| log.level)).unwrap_or(LogLevel::Info);
    let format = args.log_format.or(config.map(|log| log.format)).unwrap_or(LogFormat::Human);
    let builder = tracing_subscriber::fmt().with_max_level(filter(level)).with_writer(io::stderr);
    // The only error is that logging was started before.
    let _ = match format {
        LogFormat::Human => builder.with_ansi(colours()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    tracing::debug!(version = env!("CARGO_PKG_VERSION"), "catchment starts");
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Only for eyes, and only for those that want them: <https://no-color.org>.
fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
