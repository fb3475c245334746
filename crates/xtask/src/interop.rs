//! Clients of other projects and languages, which tests compare ours with: installed once, in pinned versions, into
//! `target/interop`. The scripts that use them are in `tests/interop`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::services::{fetch, in_ci};
use crate::target;

/// What `avro.py` is written for.
const PYTHON_PACKAGES: &str = "confluent-kafka[avro,schemaregistry]==2.16.0";
/// What `keys.mjs` is written for.
const NODE_PACKAGES: &str = "kafkajs@2.2.4";

/// A script that can be run.
#[derive(Debug)]
pub struct Script {
    program: PathBuf,
    script: PathBuf,
    home: PathBuf,
}

impl Script {
    /// The script with these arguments; says what it does at its top.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(&self.script).args(arguments).env("INTEROP_NODE", &self.home);
        command
    }

    /// Runs the script to its end with this on its stdin, and gives what it wrote to stdout.
    ///
    /// # Errors
    /// It can't be started, or it failed; then with what it wrote to stderr.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdin = child.stdin.take();
        let input = input.to_owned();
        // Beside reading: a script that answers line by line would else wait for its answers to be taken.
        let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output()?;
        // A script that fails early does not read to the end; its own word counts more.
        let _ = writer.join();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}\n{said}", self.script.display(), output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// `avro.py`: Confluent's Python client with its Avro serializers. None, said on stderr in the name of the test, if this
/// machine has no Python 3 with `venv`, or can't download.
///
/// # Errors
/// In CI, where nothing may be left out, what is missing.
pub fn avro(test: &str) -> Result<Option<Script>> {
    installed(test, "python", "avro.py", "bin/python", PYTHON_PACKAGES, |home| {
        run(Command::new("python3").args(["-m", "venv"]).arg(home), "python3 python3-venv")?;
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_PACKAGES]);
        run(&mut pip, "python3-venv")
    })
}

/// `keys.mjs`: kafkajs. None, said on stderr in the name of the test, if this machine has no Node with `npm`, or can't
/// download.
///
/// # Errors
/// In CI, where nothing may be left out, what is missing.
pub fn keys(test: &str) -> Result<Option<Script>> {
    let script = installed(test, "node", "keys.mjs", "", NODE_PACKAGES, |home| {
        let mut npm = Command::new("npm");
        npm.current_dir(home).args(["install", "--silent", "--no-audit", "--no-fund", "--prefix", "."]);
        run(npm.arg(NODE_PACKAGES), "nodejs npm")
    })?;
    Ok(script.map(|script| Script { program: "node".into(), ..script }))
}

/// Installs what a script needs, unless it is there. `debian` names packages in what is said.
fn installed(
    test: &str,
    folder: &str,
    script: &str,
    program: &str,
    packages: &str,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<Option<Script>> {
    let interop = target().join("interop");
    fs::create_dir_all(&interop).with_context(|| format!("cannot create {}", interop.display()))?;
    // Tests of several processes may want it at once.
    let lock = File::create(interop.join("lock"))?;
    lock.lock()?;
    let home = interop.join(folder);
    if !fetch::is_there(&home, packages)
        && let Err(error) = fetch::fetch(&home, packages, install)
    {
        if in_ci(std::env::var_os("CI").as_deref()) {
            return Err(error.context(format!("{test} needs {packages}")));
        }
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{test}: skipped for want of {packages}: {error:#}");
        return Ok(None);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop").join(script);
    Ok(Some(Script { program: home.join(program), script, home }))
}

fn run(command: &mut Command, debian: &str) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("this machine lacks {program}; Debian's packages: {debian}"))?;
    if !output.status.success() {
        bail!("{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
