//! Models that score a profile in process: linear ones, whose coefficients stand in their file.

use crate::features::{Facts, Feature};
use crate::money::Currency;
use crate::profile::Profile;
use crate::time::Millis;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A model file, format 1, as it is written (YAML). [`Model::new`] checks it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Version of the file format: 1.
    pub format: u32,
    /// Name; predictions carry it, and conditions ask for `score.<name>`: a letter or `_`, then letters, digits, `_`.
    pub name: String,
    /// Version; predictions carry it.
    pub version: String,
    /// How the score is computed.
    pub kind: ModelKind,
    /// What it is for.
    pub description: String,
    /// What the score is.
    pub output: Output,
    /// Currency of amounts, ISO 4217; USD if not said.
    #[serde(default = "usd")]
    pub currency: String,
    /// Constant term.
    pub intercept: f64,
    /// Terms.
    pub features: Vec<Term>,
    /// Inputs with the score they must give; checked when the model is loaded.
    pub golden: Vec<Golden>,
    /// What it was trained on; for people.
    #[serde(default)]
    pub trained_on: BTreeMap<String, serde::de::IgnoredAny>,
    /// How well it does; for people.
    #[serde(default)]
    pub metrics: BTreeMap<String, serde::de::IgnoredAny>,
}

fn usd() -> String {
    "USD".to_owned()
}

/// How a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// intercept + Σ coefficient · (x − mean) ÷ scale.
    Linear,
}

/// What a score is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Meaning.
    pub kind: OutputKind,
    /// From the sum to the score.
    pub link: Link,
}

/// Meaning of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// 0 to 1.
    Probability,
}

/// From the sum to the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// 1 ÷ (1 + e^−x).
    Logistic,
}

/// One term of a linear model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Feature, by its name in the catalogue of [`Feature`].
    pub name: String,
    /// Weight.
    pub coefficient: f64,
    /// Subtracted from the value.
    #[serde(default)]
    pub mean: f64,
    /// The difference is divided by it.
    #[serde(default = "one")]
    pub scale: f64,
    /// What stands in for a missing value.
    pub missing: Missing,
}

fn one() -> f64 {
    1.0
}

/// What a missing feature means to a model.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// There is no score then.
    NoScore,
    /// This value is taken; the score says that something was missing.
    Value(f64),
}

/// Inputs by feature (`null` is missing) and the score that they must give.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// A value for each feature of the model.
    pub inputs: BTreeMap<String, Option<f64>>,
    /// The score, to 1e-9; `null` where there must be none.
    pub score: Option<f64>,
}

/// Why a model file is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The file is of a format that this program does not know.
    #[error("format {0} is not known; this program reads format 1")]
    Format(u32),
    /// A name that no condition could ask for.
    #[error("name `{0}`: expected letters, digits and `_`, not a digit first")]
    Name(String),
    /// No version.
    #[error("version must not be empty")]
    NoVersion,
    /// Two terms of one feature.
    #[error("feature `{0}` stands there twice")]
    TwiceTheFeature(String),
    /// A feature that is not in the catalogue.
    #[error("feature `{0}` is not known; docs/models.md lists all")]
    UnknownFeature(String),
    /// A number that is not finite, or a scale of zero.
    #[error("`{0}` of feature `{1}` must be a finite number, and a scale not zero")]
    BadNumber(&'static str, String),
    /// A currency that ISO 4217 does not list.
    #[error("currency `{0}` is not listed by ISO 4217")]
    Currency(String),
    /// No golden vectors: nothing shows that this program computes what the trainer did.
    #[error("no golden vectors: at least one input with its score is needed")]
    NoGolden,
    /// A golden vector lacks a feature or has one too many.
    #[error(
        "golden vector {0} must give exactly the features of the model; `{1}` is not given or not of the model"
    )]
    GoldenInputs(usize, String),
    /// A golden vector gives another score.
    #[error("golden vector {0}: expected {1:?}, computed {2:?}")]
    GoldenScore(usize, Option<f64>, Option<f64>),
}

/// What a model says of a profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The score; for probabilities 0 to 1.
    pub value: f64,
    /// A feature was missing, and the value that the model declares for that stood in.
    pub missing: bool,
}

/// A model that is checked and ready to score.
#[derive(Clone, Debug)]
pub struct Model {
    name: String,
    version: String,
    currency: Currency,
    intercept: f64,
    terms: Vec<(Feature, Weights)>,
}

#[derive(Clone, Copy, Debug)]
struct Weights {
    coefficient: f64,
    mean: f64,
    scale: f64,
    missing: Missing,
}

/// How far a golden score may be off: rounding differs between maths libraries in the last digits.
const TOLERANCE: f64 = 1e-9;

impl Model {
    /// Checks a model file: features are known, numbers finite, golden vectors reproduce.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(file: ModelFile) -> Result<Model, ModelError> {
        if file.format != 1 {
            return Err(ModelError::Format(file.format));
        }
        if !is_identifier(&file.name) {
            return Err(ModelError::Name(file.name));
        }
        if file.version.trim().is_empty() {
            return Err(ModelError::NoVersion);
        }
        let currency = Currency::from_code(&file.currency).ok_or(ModelError::Currency(file.currency))?;
        let terms: Vec<(Feature, Weights)> =
            file.features.iter().map(check_term).collect::<Result<_, _>>()?;
        let twice = (1..terms.len()).find(|at| terms[..*at].iter().any(|term| term.0 == terms[*at].0));
        if let Some(at) = twice {
            return Err(ModelError::TwiceTheFeature(terms[at].0.name().to_owned()));
        }
        if !file.intercept.is_finite() {
            return Err(ModelError::BadNumber("intercept", file.name));
        }
        let ModelFile { name, version, intercept, .. } = file;
        let model = Model { name, version, currency, intercept, terms };
        model.check_golden(&file.golden)?;
        Ok(model)
    }

    /// Name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Features it asks for.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        self.terms.iter().map(|(feature, _)| *feature)
    }

    /// Score of a profile at `now`; `None` where a feature is missing that the model can't do without.
    #[must_use]
    pub fn score(&self, profile: &Profile, now: Millis) -> Option<Score> {
        let facts = Facts::new(profile, now, self.currency.code(), self.currency.decimals());
        self.score_of(|feature| facts.get(feature))
    }

    fn score_of(&self, value: impl Fn(Feature) -> Option<f64>) -> Option<Score> {
        let (mut sum, mut missing) = (self.intercept, false);
        for (feature, weights) in &self.terms {
            let value = match (value(*feature), weights.missing) {
                (Some(value), _) => value,
                (None, Missing::Value(value)) => {
                    missing = true;
                    value
                }
                (None, Missing::NoScore) => return None,
            };
            sum += weights.coefficient * (value - weights.mean) / weights.scale;
        }
        Some(Score { value: 1.0 / (1.0 + (-sum).exp()), missing })
    }

    fn check_golden(&self, golden: &[Golden]) -> Result<(), ModelError> {
        if golden.is_empty() {
            return Err(ModelError::NoGolden);
        }
        for (at, vector) in golden.iter().enumerate() {
            let known = |name: &str| self.terms.iter().any(|(feature, _)| feature.name() == name);
            let extra = vector.inputs.keys().find(|name| !known(name));
            let lacking = self
                .terms
                .iter()
                .map(|(feature, _)| feature.name())
                .find(|n| !vector.inputs.contains_key(*n));
            if let Some(name) = extra.map(String::as_str).or(lacking) {
                return Err(ModelError::GoldenInputs(at, name.to_owned()));
            }
            let score = self.score_of(|feature| vector.inputs.get(feature.name()).copied().flatten());
            let score = score.map(|score| score.value);
            let same = match (score, vector.score) {
                (Some(got), Some(expected)) => (got - expected).abs() <= TOLERANCE,
                (got, expected) => got.is_none() && expected.is_none(),
            };
            if !same {
                return Err(ModelError::GoldenScore(at, vector.score, score));
            }
        }
        Ok(())
    }
}

/// True for what a condition can write behind `score.`.
fn is_identifier(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit()) && name.bytes().next().is_some_and(letter)
}

fn check_term(term: &Term) -> Result<(Feature, Weights), ModelError> {
    let feature =
        Feature::from_name(&term.name).ok_or_else(|| ModelError::UnknownFeature(term.name.clone()))?;
    let &Term { coefficient, mean, scale, missing, .. } = term;
    let stand_in = if let Missing::Value(value) = missing { value } else { 0.0 };
    let numbers = [("coefficient", coefficient), ("mean", mean), ("scale", scale), ("missing", stand_in)];
    let bad = numbers.iter().find(|(name, value)| !value.is_finite() || (*name == "scale" && *value == 0.0));
    match bad {
        Some((name, _)) => Err(ModelError::BadNumber(name, term.name.clone())),
        None => Ok((feature, Weights { coefficient, mean, scale, missing })),
    }
}

#[cfg(test)]
mod tests;
