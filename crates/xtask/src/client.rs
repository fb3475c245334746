//! The Kafka client: librdkafka is built from source, for which not every machine has what it takes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Packages of Debian that are to be installed before it can be built; none where it can.
pub(crate) fn lacks() -> Result<Vec<&'static str>> {
    let mut lacks = Vec::new();
    let make = Command::new("make").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !make.is_ok_and(|status| status.success()) {
        lacks.push("make");
    }
    for (header, package) in [("openssl/ssl.h", "libssl-dev"), ("zlib.h", "zlib1g-dev")] {
        if !has_header(header)? {
            lacks.push(package);
        }
    }
    Ok(lacks)
}

/// Whether the C compiler finds a header.
fn has_header(header: &str) -> Result<bool> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut child = Command::new(compiler)
        .args(["-E", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the C compiler")?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "#include <{header}>")?;
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_c_is_there_and_another_is_not() {
        assert!(has_header("stdio.h").unwrap());
        assert!(!has_header("no/such/header.h").unwrap());
    }
}
