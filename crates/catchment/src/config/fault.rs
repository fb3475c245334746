//! What is wrong with a file, said so that its author can put it right: where, which key, what was expected.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// In the file, both counted from 1. Zero is "somewhere in the file".
    Place {
        /// Line.
        line: u64,
        /// Column, in characters.
        column: u64,
    },
    /// In an environment variable of that name.
    Variable(Arc<str>),
}

impl Origin {
    pub(crate) const FILE: Origin = Origin::Place { line: 0, column: 0 };
}

/// One thing that is wrong with a file or with an environment variable that overrides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(crate) file: PathBuf,
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

impl ConfigError {
    /// A finding about the file as a whole.
    #[must_use]
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        ConfigError { file: file.to_path_buf(), origin: Origin::FILE, message: message.into() }
    }
}

/// `file:line:column: message`, or the variable's name in place of the file's.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Place { line: 0, .. } => write!(f, "{}: {}", self.file.display(), self.message),
            Origin::Place { line, column } => {
                write!(f, "{}:{line}:{column}: {}", self.file.display(), self.message)
            }
            Origin::Variable(name) => write!(f, "{name}: {}", self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// All that was found, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The findings, sorted by where they stand. `None` if there are none.
    #[must_use]
    pub fn of(mut findings: Vec<ConfigError>) -> Option<Self> {
        findings.sort_by(|a, b| a.file.cmp(&b.file).then_with(|| a.origin.cmp(&b.origin)));
        findings.dedup();
        (!findings.is_empty()).then_some(ConfigErrors(findings))
    }

    /// The findings.
    #[must_use]
    pub fn findings(&self) -> &[ConfigError] {
        &self.0
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(finding: ConfigError) -> Self {
        ConfigErrors(vec![finding])
    }
}

/// One finding a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The name among `known` that `name` was most likely meant to be.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b`, `c` ``.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// `` unknown key `campaings`: did you mean `campaigns`? Keys here: … ``
pub(crate) fn unknown_key(key: &str, known: &[&str]) -> String {
    let keys = listed(known.iter().copied());
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key `{key}`: did you mean `{near}`? Keys here: {keys}"),
        None if known.is_empty() => format!("unknown key `{key}`: no key is known here"),
        None => format!("unknown key `{key}`. Keys here: {keys}"),
    }
}

/// `` expected one of `a`, `b`, got `c`: did you mean `a`? ``
pub(crate) fn unknown_choice(got: &str, known: &[&str]) -> String {
    let hint = nearest(got, known.iter().copied())
        .map(|near| format!(": did you mean `{near}`?"))
        .unwrap_or_default();
    format!("expected one of {}, got `{got}`{hint}", listed(known.iter().copied()))
}
