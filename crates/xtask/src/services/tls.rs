//! Certificates made for one run: an authority, a server, and clients good and bad. All are PEM files in one directory.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::kafka::{DENIED, USER};

/// The password of [`USER`] and of [`DENIED`]. It guards nothing: the broker listens on this machine alone, and dies
/// with the run.
pub(super) const PASSWORD: &str = "only-for-tests-1";

/// What a broker shows of itself: its key, then its certificate.
pub(super) const SERVER: &str = "server.pem";
/// Certificate of the authority that signs.
pub(super) const CA: &str = "ca.pem";

/// Writes all files into a directory that exists; [`super::Broker::tls`] lists them.
pub(super) fn write(directory: &Path) -> Result<()> {
    let ca = Authority::new("Catchment test authority")?;
    let stranger = Authority::new("Nobody's authority")?;
    let file = |name: &str, text: &str| {
        fs::write(directory.join(name), text).with_context(|| format!("cannot write {name}"))
    };
    file(CA, &ca.pem)?;
    file("stranger-ca.pem", &stranger.pem)?;
    let server = ca.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth, &LIVE)?;
    file(SERVER, &format!("{}{}", server.key, server.certificate))?;
    for (name, authority, years) in
        [("client", &ca, &LIVE), ("expired-client", &ca, &EXPIRED), ("stranger-client", &stranger, &LIVE)]
    {
        let client = authority.sign(USER, ExtendedKeyUsagePurpose::ClientAuth, years)?;
        file(&format!("{name}.pem"), &client.certificate)?;
        file(&format!("{name}.key"), &client.key)?;
    }
    // Without a line end: what reads a secret from a file may not cut it off.
    file("user", USER)?;
    file("password", PASSWORD)?;
    file("denied-user", DENIED)?;
    file("denied-password", PASSWORD)
}

/// First and last year.
type Years = [i32; 2];
const LIVE: Years = [2020, 2100];
const EXPIRED: Years = [2020, 2021];

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(name, &[], &LIVE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), pem })
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose, years: &Years) -> Result<Signed> {
        let key = KeyPair::generate()?;
        let mut params = params(name, &["localhost", "127.0.0.1"], years)?;
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signed { certificate, key: key.serialize_pem() })
    }
}

fn params(name: &str, hosts: &[&str], years: &Years) -> Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts)?;
    // A name of its own only, as brokers make the user's name of all of it.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let [first, last] = *years;
    params.not_before = date_time_ymd(first, 1, 1);
    params.not_after = date_time_ymd(last, 1, 1);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_written() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let mut names: Vec<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = [
            "ca.pem",
            "client.key",
            "client.pem",
            "denied-password",
            "denied-user",
            "expired-client.key",
            "expired-client.pem",
            "password",
            "server.pem",
            "stranger-ca.pem",
            "stranger-client.key",
            "stranger-client.pem",
            "user",
        ];
        assert_eq!(names, expected);
        let server = fs::read_to_string(directory.path().join("server.pem")).unwrap();
        assert!(server.starts_with("-----BEGIN PRIVATE KEY-----"), "what Kafka's PEM store takes: PKCS #8");
        assert_eq!(server.matches("-----BEGIN CERTIFICATE-----").count(), 1);
    }
}
