//! Models and campaigns: read from their files, checked, and ready.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use catchment_domain::campaign::{Campaign, CampaignError};
use catchment_domain::model::Model;
use catchment_pipeline::ingest::foreign::{Foreign, ForeignError};

use crate::config::{Config, ConfigError, ConfigErrors, Document};

/// What the files of a configuration define.
#[derive(Debug)]
pub(crate) struct Definitions {
    pub(crate) models: Vec<Model>,
    pub(crate) campaigns: Vec<Campaign>,
}

impl Definitions {
    /// Reads and checks all model and campaign files.
    ///
    /// # Errors
    /// What is wrong with each file. Campaigns are checked only once the models are in order, because their
    /// conditions name them.
    pub(crate) fn load(config: &Config) -> Result<Definitions, ConfigErrors> {
        let models = all(&config.models, model, Model::name)?;
        let names: Vec<&str> = models.iter().map(Model::name).collect();
        let campaigns = all(&config.campaigns, |path| campaign(path, &names), Campaign::name)?;
        Ok(Definitions { models, campaigns })
    }
}

/// Reads all files; no two may define the same name.
fn all<T>(
    paths: &[PathBuf],
    read: impl Fn(&Path) -> Result<T, ConfigErrors>,
    name: impl Fn(&T) -> &str,
) -> Result<Vec<T>, ConfigErrors> {
    let mut findings = Vec::new();
    let mut first: HashMap<String, &Path> = HashMap::new();
    let mut defined = Vec::new();
    for path in paths {
        match read(path) {
            Err(errors) => findings.extend(errors.findings().iter().cloned()),
            Ok(value) => {
                if let Some(before) = first.insert(name(&value).to_owned(), path) {
                    let message = format!("`{}` is the name in {} already", name(&value), before.display());
                    let finding = Document::read(path).map(|document| document.error_at("name", message));
                    findings.extend(finding);
                }
                defined.push(value);
            }
        }
    }
    ConfigErrors::of(findings).map_or(Ok(defined), Err)
}

/// A mapping of foreign payloads.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn mapping(path: &Path) -> Result<Foreign, ConfigErrors> {
    let document = Document::read(path)?;
    let file = document.parse()?;
    Foreign::new(&file).map_err(|error| document.error_at(place_in_mapping(&error), error.to_string()).into())
}

/// The key that is at fault. Names of fields hold dots, so the field itself can't be pointed at by its path.
fn place_in_mapping(error: &ForeignError) -> &str {
    match error {
        ForeignError::To => "to",
        ForeignError::Where => "where",
        ForeignError::Path { at, .. } | ForeignError::Formula { at, .. } => at,
        ForeignError::Rule(at) | ForeignError::Clash(at) => at,
    }
}

fn model(path: &Path) -> Result<Model, ConfigErrors> {
    let file = Document::read(path)?.parse()?;
    // The message names the feature, golden vector or number itself.
    Model::new(file).map_err(|error| ConfigError::of_file(path, error.to_string()).into())
}

fn campaign(path: &Path, models: &[&str]) -> Result<Campaign, ConfigErrors> {
    let document = Document::read(path)?;
    Campaign::new(document.parse()?, models).map_err(|error| {
        let key = match &error {
            CampaignError::Name(_) => "name",
            CampaignError::NoEvent => "trigger.event",
            CampaignError::AfterWithoutEvent => "trigger.after",
            CampaignError::NoModel(_) => "trigger.score.model",
            CampaignError::NoScore(_) => "trigger.score.at_least",
            CampaignError::UnlessWithoutAfter => "trigger.unless",
            CampaignError::QuietHours => "quiet_hours",
            CampaignError::Condition(_) => "condition",
        };
        document.error_at(key, error.to_string()).into()
    })
}
