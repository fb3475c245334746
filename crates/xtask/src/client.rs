//! The Kafka client: librdkafka is built from source, for which not every machine has what it takes.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Packages of Debian that are to be installed before it can be built; none where it can.
pub(crate) fn lacks() -> Result<Vec<&'static str>> {
    let mut lacks = Vec::new();
    let runs = |program: &OsStr| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !runs("make".as_ref()) {
        lacks.push("make");
    }
    // Nothing is compiled with it, but the configuration of librdkafka fails without.
    if !runs(&std::env::var_os("CXX").unwrap_or_else(|| "c++".into())) {
        lacks.push("g++");
    }
    // By which OpenSSL is found, unless a variable says where it is.
    let finder = std::env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    if std::env::var_os("OPENSSL_DIR").is_none() && !runs(&finder) {
        lacks.push("pkg-config");
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
