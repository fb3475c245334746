//! What is downloaded: once, by Maven, into a folder that is either complete or not there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::fleet::Fleet;

/// The plugin of Maven that copies artifacts, with its version: a prefix alone would mean another one with each Maven.
/// Version 3 also wants the parents of an artifact's POM, and the registry's are not published.
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8";

/// A slow line needs minutes for a hundred megabytes.
const LIMIT: Duration = Duration::from_secs(900);

/// In a folder that is complete, the file that says of what.
const STAMP: &str = "stamp";

/// Whether the folder holds what the stamp names.
pub(crate) fn is_there(folder: &Path, stamp: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|text| text == stamp)
}

/// Fills a folder. `fill` works in a folder beside it, which takes the final name only when all is done: a download
/// that was cut short is never taken for a complete one.
pub(crate) fn fetch(folder: &Path, stamp: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let partial = folder.with_extension("partial");
    for leftover in [&partial, folder] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    fill(&partial)?;
    fs::write(partial.join(STAMP), stamp)?;
    fs::rename(&partial, folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(())
}

/// Runs a goal of [`PLUGIN`] in a folder. A file that does not have the checksum that its repository states is an
/// error.
pub(super) fn maven(fleet: &Fleet, folder: &Path, goal: &str, settings: &[&str]) -> Result<()> {
    let mut command = Command::new("mvn");
    command
        .current_dir(folder)
        .args(["--quiet", "--batch-mode", "--strict-checksums"])
        .arg(format!("{PLUGIN}:{goal}"))
        .args(settings);
    fleet.run(&command, &folder.join("maven.log"), LIMIT)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn complete_folder_is_there_until_the_stamp_changes() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("broker");
        assert!(!is_there(&folder, "1"));
        fetch(&folder, "1", |partial| Ok(fs::write(partial.join("old"), "")?)).unwrap();
        assert!(is_there(&folder, "1"));
        assert!(!is_there(&folder, "2"));
        fetch(&folder, "2", |partial| Ok(fs::write(partial.join("new"), "")?)).unwrap();
        assert!(is_there(&folder, "2"));
        assert!(folder.join("new").exists());
        assert!(!folder.join("old").exists());
    }

    #[test]
    fn download_cut_short_is_not_there_and_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("broker");
        let cut = fetch(&folder, "1", |partial| {
            fs::write(partial.join("half"), "")?;
            bail!("the line is gone")
        });
        assert_eq!(cut.unwrap_err().to_string(), "the line is gone");
        assert!(!is_there(&folder, "1"));
        fetch(&folder, "1", |partial| Ok(fs::write(partial.join("whole"), "")?)).unwrap();
        assert!(is_there(&folder, "1"));
        assert!(!folder.join("half").exists());
    }
}
