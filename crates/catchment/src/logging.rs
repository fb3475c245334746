//! Log lines, always to stderr: stdout is for results.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

use crate::cli::LogArgs;
use crate::config::{Log, LogFormat, LogLevel};

/// Starts logging for the process, also of dependencies that use the `log` crate. Flags beat the configuration. A second
/// call changes nothing.
pub(crate) fn init(args: &LogArgs, config: Option<&Log>) {
    let level = args.log_level.or(config.map(|log| log.level)).unwrap_or(LogLevel::Info);
    let format = args.log_format.or(config.map(|log| log.format)).unwrap_or(LogFormat::Human);
    // The only error is that logging was started before.
    let _ = subscriber(level, format, colours(), io::stderr).try_init();
    tracing::debug!(version = env!("CARGO_PKG_VERSION"), "catchment starts");
}

fn subscriber<W>(
    level: LogLevel,
    format: LogFormat,
    colours: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match format {
        LogFormat::Human => lines.boxed(),
        // One span is enough: that of the lane.
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    Registry::default().with(targets(level)).with(lines)
}

/// What is said at a level. Dependencies say only what a person should know: their `info` is about connections, and their
/// `debug` about each request.
fn targets(level: LogLevel) -> Targets {
    let of_others =
        if level == LogLevel::Trace { LevelFilter::TRACE } else { filter(level).min(LevelFilter::WARN) };
    // All our crates begin so.
    Targets::new().with_default(of_others).with_target("catchment", filter(level))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::Level;

    /// Lines that were written.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(level: LogLevel, format: LogFormat, say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(level, format, false, move || writer.clone()), say);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn dependencies_say_only_what_a_person_should_know() {
        for (level, target, most) in [
            (LogLevel::Error, "catchment::run", Level::ERROR),
            (LogLevel::Info, "catchment::run", Level::INFO),
            (LogLevel::Info, "catchment_connectors::kafka", Level::INFO),
            (LogLevel::Debug, "catchment", Level::DEBUG),
            (LogLevel::Error, "reqwest::connect", Level::ERROR),
            (LogLevel::Info, "hyper_util::client", Level::WARN),
            (LogLevel::Debug, "hyper_util::client", Level::WARN),
            (LogLevel::Trace, "hyper_util::client", Level::TRACE),
        ] {
            let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
            let said: Vec<Level> =
                all.into_iter().filter(|said| targets(level).would_enable(target, said)).collect();
            assert_eq!(said.last(), Some(&most), "{level:?} {target}");
        }
    }

    #[test]
    fn a_line_names_the_lane_in_both_formats() {
        let say = || {
            let _lane = tracing::error_span!("lane", role = "profile", lane = 2).entered();
            tracing::warn!(partition = 7, "is held");
        };
        let line = said(LogLevel::Warn, LogFormat::Human, say);
        assert!(
            line.contains("WARN lane{role=\"profile\" lane=2}: ") && line.contains("is held partition=7"),
            "{line}"
        );
        let line: serde_json::Value =
            serde_json::from_str(&said(LogLevel::Warn, LogFormat::Json, say)).unwrap();
        assert_eq!((&line["message"], &line["partition"]), (&"is held".into(), &7.into()), "{line}");
        assert_eq!((&line["span"]["role"], &line["span"]["lane"]), (&"profile".into(), &2.into()), "{line}");
        assert_eq!(line.get("spans"), None, "{line}");
    }
}
