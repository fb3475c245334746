//! A YAML file that can be read as a type, with all its mistakes named at once.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::de::{Fault, FaultKind};
use super::fault::{ConfigError, ConfigErrors, Origin, nearest};
use super::node::{self, Node, Step, Value, path_text};

/// More findings than this help nobody.
const MAX_FINDINGS: usize = 50;
/// The largest file that is read: a config, campaign or model file is a few KiB.
const MAX_BYTES: u64 = 16 << 20;

/// A YAML file, parsed, with the place of every value.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) file: PathBuf,
    pub(crate) root: Node,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// The file can't be read, or it is not valid YAML.
    pub fn read(path: &Path) -> Result<Document, ConfigErrors> {
        let refuse = |message: String| ConfigErrors::from(ConfigError::of_file(path, message));
        let unreadable = |error: std::io::Error| refuse(format!("cannot be read: {}", plain(&error)));
        let length = fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_BYTES {
            return Err(refuse(format!("{length} bytes are more than the {MAX_BYTES} that are read")));
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8".to_owned()))?;
        Self::from_text(path, &text)
    }

    /// Reads a text as if it were the content of that file.
    ///
    /// # Errors
    /// The text is not valid YAML.
    pub fn from_text(file: &Path, text: &str) -> Result<Document, ConfigErrors> {
        let root = node::parse(text).map_err(|(origin, message)| ConfigError {
            file: file.to_path_buf(),
            origin,
            message,
        })?;
        Ok(Document { file: file.to_path_buf(), root })
    }

    /// The document as a `T`.
    ///
    /// # Errors
    /// All unknown keys, wrong types and missing keys that could be found.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigErrors> {
        let mut document = self.clone();
        let mut findings = Vec::new();
        let value = document.extract(&mut findings);
        match (value, ConfigErrors::of(findings)) {
            (Some(value), None) => Ok(value),
            (_, Some(findings)) => Err(findings),
            (None, None) => Err(ConfigError::of_file(&self.file, "can't be read").into()),
        }
    }

    /// A finding at a key, such as `trigger.after` or `conditions[2]`; at the nearest place that exists, if the
    /// path does not.
    #[must_use]
    pub fn error_at(&self, path: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            origin: self.root.origin_of(&node::parse_path(path)),
            message: message.into(),
        }
    }

    /// Reads a `T`. After a mistake, the value at fault is left out and reading starts anew, so that the others are
    /// found too; what comes out then is of no use but as a sign that the rest is in order.
    pub(crate) fn extract<T: DeserializeOwned>(&mut self, findings: &mut Vec<ConfigError>) -> Option<T> {
        while findings.len() < MAX_FINDINGS {
            let mut fault = match T::deserialize(&self.root) {
                Ok(value) => return Some(value),
                Err(fault) => fault,
            };
            fault.path.reverse();
            let left_out = self.note(fault, findings);
            if !left_out {
                return None;
            }
        }
        None
    }

    /// Records a fault and leaves out what is at fault. False if nothing is left that could be left out.
    fn note(&mut self, fault: Fault, findings: &mut Vec<ConfigError>) -> bool {
        let Fault { kind, mut path } = fault;
        let known = self.root.get(&path).is_some_and(|node| node.faulty);
        match kind {
            FaultKind::UnknownKey { key, message } => {
                path.push(Step::Key(key));
                findings.push(self.finding(self.root.origin_of(&path), message));
            }
            FaultKind::Missing { key } if !known && !self.was_reported(&path, &key) => {
                let origin = self.origin_at(&path);
                let mut full = path.clone();
                full.push(Step::Key(key));
                findings.push(self.finding(origin, format!("`{}` is missing", path_text(&full))));
            }
            FaultKind::Other { message } if !known => {
                let message = match path.as_slice() {
                    [] => message,
                    path => format!("`{}`: {message}", path_text(path)),
                };
                findings.push(self.finding(self.origin_at(&path), message));
            }
            FaultKind::Missing { .. } | FaultKind::Other { .. } => {}
        }
        // What can't do without a part that was left out is left out itself.
        while !path.is_empty() {
            match self.root.get_mut(&path) {
                Some(node) if !node.faulty => {
                    node.faulty = true;
                    return true;
                }
                _ => path.pop(),
            };
        }
        false
    }

    /// Whether the key is missing only because it was left out, or because it is misspelt.
    fn was_reported(&self, holder: &[Step], key: &str) -> bool {
        match self.root.get(holder).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.iter().any(|entry| {
                entry.value.faulty && (entry.key == key || nearest(&entry.key, [key]).is_some())
            }),
            _ => false,
        }
    }

    fn origin_at(&self, path: &[Step]) -> Origin {
        self.root.get(path).map_or(Origin::FILE, |node| node.origin.clone())
    }

    pub(crate) fn finding(&self, origin: Origin, message: String) -> ConfigError {
        ConfigError { file: self.file.clone(), origin, message }
    }
}

/// The error's words without the number of the operating system.
pub(crate) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
