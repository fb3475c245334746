//! Models and campaigns: read from their files, checked, and ready.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use catchment_domain::campaign::{Campaign, CampaignError};
use catchment_domain::model::Model;

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
