//! Which registry, and how to speak to it.

use super::RegistryError;
use reqwest::{Certificate, ClientBuilder};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which registry, and how to speak to it. Secrets are named by file, and read whenever a client is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// URL, with the path of the Confluent-compatible interface.
    pub url: String,
    /// Who asks.
    pub login: Login,
    /// Certificates (PEM) of authorities to trust, besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody in particular.
    Anonymous,
    /// Basic authentication.
    Basic {
        /// Name of the user.
        username: String,
        /// File with the password.
        password_file: Option<PathBuf>,
    },
    /// A bearer token.
    Token {
        /// File with the token.
        token_file: PathBuf,
    },
}

/// A login with its secret, as it is now. No `Debug`: nothing shows it.
#[derive(Clone)]
pub(super) enum Credentials {
    None,
    Basic { username: String, password: Option<String> },
    Token(String),
}

impl RegistrySettings {
    /// A registry that anybody may ask, with a timeout of 5 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let timeout = Duration::from_secs(5);
        RegistrySettings { url: url.into(), login: Login::Anonymous, ca_file: None, timeout }
    }

    /// The URL that routes are appended to.
    pub(super) fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    pub(super) fn credentials(&self) -> Result<Credentials, RegistryError> {
        Ok(match &self.login {
            Login::Anonymous => Credentials::None,
            Login::Basic { username, password_file } => Credentials::Basic {
                username: username.clone(),
                password: password_file.as_deref().map(secret).transpose()?,
            },
            Login::Token { token_file } => Credentials::Token(secret(token_file)?),
        })
    }

    /// A builder of HTTP clients with what TLS needs.
    pub(super) fn http(&self) -> Result<ClientBuilder, RegistryError> {
        install_tls();
        let builder = reqwest::Client::builder().timeout(self.timeout).connect_timeout(self.timeout);
        let Some(file) = &self.ca_file else {
            // Without TLS the authorities of the system need not be there, as in an image without any.
            let plain = self.url.starts_with("http://");
            return Ok(if plain { builder.tls_certs_only([]) } else { builder });
        };
        let unusable = |what: String| RegistryError::Settings(format!("`registry.ca_file`: {what}"));
        let pem = fs::read(file).map_err(|error| unusable(format!("{}: {error}", file.display())))?;
        let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|list| !list.is_empty());
        let certificates = certificates
            .ok_or_else(|| unusable(format!("{} holds no certificate in PEM form", file.display())))?;
        Ok(builder.tls_certs_merge(certificates))
    }
}

/// Content of a file, without the line break that editors leave at its end.
fn secret(file: &Path) -> Result<String, RegistryError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(RegistryError::Settings(format!("secret {}: {error}", file.display()))),
    }
}

/// `reqwest` is built without a provider of cryptography; whoever comes first sets the process's.
fn install_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The error is that another thread has just done the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_their_files_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let login = Login::Token { token_file: file.clone() };
        let settings = RegistrySettings { login, ..RegistrySettings::new("http://r/") };
        assert_eq!(settings.base(), "http://r");
        let token = || match settings.credentials() {
            Ok(Credentials::Token(token)) => token,
            Ok(_) => panic!("another login"),
            Err(error) => error.to_string(),
        };
        assert!(token().starts_with("secret "), "{}", token());
        for (content, expected) in [("one\n", "one"), ("t w o\r\n", "t w o")] {
            fs::write(&file, content).unwrap();
            assert_eq!(token(), expected);
        }
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let settings = RegistrySettings { ca_file: Some(file.clone()), ..RegistrySettings::new("https://r") };
        let refused = || settings.http().unwrap_err().to_string();
        assert!(refused().contains("registry.ca_file"), "{}", refused());
        fs::write(&file, "no certificate").unwrap();
        assert!(refused().contains("holds no certificate"), "{}", refused());
    }
}
