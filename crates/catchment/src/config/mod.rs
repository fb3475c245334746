//! The configuration: one YAML file, overridden by environment variables.
//!
//! A mistake is named by file, line and column, and as many mistakes as possible are found at once. The same reader
//! serves campaign and model files.

mod check;
mod de;
mod document;
mod environment;
mod fault;
pub mod keys;
mod node;
mod reference;
mod settings;
mod units;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use catchment_domain::KeySecret;
use serde::de::DeserializeOwned;

pub use document::Document;
pub use environment::PREFIX;
pub(crate) use fault::nearest;
pub use fault::{ConfigError, ConfigErrors};
pub use reference::markdown;
pub use settings::{
    Admin, Batch, Clock, Commit, Config, Dedup, Format, Identity, IdentityLimits, Kafka, Lanes, Log,
    LogFormat, LogLevel, Mapping, PlusAddressing, Profiles, Publish, Registry, SharedDevices, Source, State,
    Timers, Tombstone, Topics, Traces,
};
pub use units::{NotAQuantity, Size, Span};

/// Reads and checks the configuration file at `path`, with the overrides among `env`. Paths in the result are
/// resolved against the file's directory.
///
/// # Errors
/// Everything that is wrong with the file and the overrides, as far as one reading can tell.
pub fn load(path: &Path, env: impl IntoIterator<Item = (String, String)>) -> Result<Config, ConfigErrors> {
    let config = read(path, Document::read(path)?, env)?;
    config.secret()?;
    Ok(config)
}

/// As [`load`], of a document that was read already, and without a look at the files that it names. `path` is where
/// the document comes from.
///
/// # Errors
/// As [`load`].
pub fn read(
    path: &Path,
    mut document: Document,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigErrors> {
    let mut findings = Vec::new();
    environment::apply(&mut document, Config::KEYS, env, &mut findings);
    check::check(&mut document, Config::KEYS, &mut findings);
    check::properties_once(&document, &mut findings);
    let config: Option<Config> = document.extract(&mut findings);
    match (config, ConfigErrors::of(findings)) {
        (_, Some(findings)) => Err(findings),
        (None, None) => Err(ConfigError::of_file(path, "can't be read").into()),
        (Some(mut config), None) => {
            config.resolve(path.parent().unwrap_or(Path::new("")));
            Ok(config)
        }
    }
}

/// Reads a YAML file as a `T`.
///
/// # Errors
/// Everything that is wrong with the file, as far as one reading can tell.
pub fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigErrors> {
    Document::read(path)?.parse()
}

/// Reads a secret: 64 hex digits, with or without a line end behind them.
///
/// # Errors
/// The file can't be read, or it holds something else. The message never shows what.
pub fn read_secret(path: &Path) -> Result<KeySecret, ConfigErrors> {
    let refuse = |message: String| ConfigErrors::from(ConfigError::of_file(path, message));
    let text = std::fs::read(path)
        .map_err(|error| refuse(format!("cannot be read: {}", document::plain(&error))))?;
    let digits = text.trim_ascii();
    let mut bytes = [0; 32];
    let expected = || refuse("expected a secret of 32 bytes as 64 hex digits, got something else".to_owned());
    if digits.len() != 64 {
        return Err(expected());
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return Err(expected());
        };
        *byte = high << 4 | low;
    }
    Ok(KeySecret::new(bytes))
}

impl Config {
    /// The secret of `identity.secret_file`. `None` without that key.
    ///
    /// # Errors
    /// The file can't be read, or it holds no secret.
    pub fn secret(&self) -> Result<Option<KeySecret>, ConfigErrors> {
        self.identity.secret_file.as_deref().map(read_secret).transpose()
    }

    fn resolve(&mut self, directory: &Path) {
        let resolve = |path: &mut PathBuf| *path = directory.join(&*path);
        self.sources.iter_mut().filter_map(|source| source.via.as_mut()).for_each(resolve);
        self.models.iter_mut().for_each(resolve);
        self.campaigns.iter_mut().for_each(resolve);
        self.identity.secret_file.iter_mut().for_each(resolve);
        self.state.dir.iter_mut().for_each(resolve);
        self.kafka.secret_files.values_mut().for_each(resolve);
        self.registry.password_file.iter_mut().for_each(resolve);
        self.registry.token_file.iter_mut().for_each(resolve);
        self.registry.ca_file.iter_mut().for_each(resolve);
    }
}
