//! What a deployment passes through in `kafka.properties` to be let in, and what becomes of it where it isn't.

use crate::support::{PATIENCE, cluster, wanted};
use catchment_connectors::kafka::{Cluster, RawProducer, RawRecord, TopicAdmin};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use xtask::services::{BROKERS, MTLS, SASL_SSL, TLS_DIR, deny};

/// A broker with listeners that want to know who comes.
pub(crate) struct Guarded {
    pub(crate) open: String,
    sasl_ssl: String,
    mtls: String,
    files: PathBuf,
}

impl Guarded {
    /// None: says so, past the capture of the test harness.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let var = |name: &str| std::env::var(name).ok();
        let guarded = (|| {
            let [open, sasl_ssl, mtls] = [var(BROKERS)?, var(SASL_SSL)?, var(MTLS)?];
            Some(Guarded { open, sasl_ssl, mtls, files: var(TLS_DIR)?.into() })
        })();
        if guarded.is_none() {
            let text = format!("skipped: {SASL_SSL}, {MTLS} and {TLS_DIR} name no Kafka");
            writeln!(std::io::stderr(), "kafka::{test}: {text}").unwrap();
        }
        guarded
    }

    fn file(&self, name: &str) -> String {
        self.files.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.files.join(name)).unwrap()
    }

    pub(crate) fn scram(&self, user: &str, password: &str, ca: &str) -> Cluster {
        let properties = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", user),
            ("sasl.password", password),
            ("ssl.ca.location", &self.file(ca)),
        ];
        cluster(&self.sasl_ssl, &properties)
    }

    fn certified(&self, client: &str) -> Cluster {
        let properties = [
            ("security.protocol", "ssl"),
            ("ssl.ca.location", &*self.file("ca.pem")),
            ("ssl.certificate.location", &self.file(&format!("{client}.pem"))),
            ("ssl.key.location", &self.file(&format!("{client}.key"))),
        ];
        cluster(&self.mtls, &properties)
    }
}

/// Whether the broker lets it ask what there is.
fn enters(cluster: &Cluster, timeout: Duration) -> bool {
    TopicAdmin::new(cluster, timeout).unwrap().describe([]).is_ok()
}

#[test]
fn scram_over_tls_and_certificates_of_clients_open_the_door() {
    let Some(kafka) = Guarded::new("security") else {
        return;
    };
    let [user, password] = ["user", "password"].map(|name| kafka.text(name));
    assert!(enters(&kafka.scram(&user, &password, "ca.pem"), PATIENCE));
    assert!(enters(&kafka.certified("client"), PATIENCE));
}

#[test]
fn a_wrong_password_and_a_bad_certificate_do_not() {
    let Some(kafka) = Guarded::new("security") else {
        return;
    };
    let [user, password] = ["user", "password"].map(|name| kafka.text(name));
    let enters = |cluster: &Cluster| enters(cluster, Duration::from_secs(2));
    assert!(!enters(&kafka.scram(&user, "wrong", "ca.pem")), "wrong password");
    assert!(
        !enters(&kafka.scram(&user, &password, "stranger-ca.pem")),
        "the broker is not known to our authority"
    );
    assert!(!enters(&kafka.certified("expired-client")), "expired");
    assert!(
        !enters(&kafka.certified("stranger-client")),
        "signed by an authority that the broker does not know"
    );
}

#[test]
fn a_topic_can_be_closed_to_one_user() {
    let Some(kafka) = Guarded::new("security") else {
        return;
    };
    let topic = format!("test-{}-closed", SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos());
    let admin = TopicAdmin::new(&cluster(&kafka.open, &[]), PATIENCE).unwrap();
    admin.create(&[wanted(&topic, 1)]).unwrap();
    let [user, denied, password] = ["user", "denied-user", "password"].map(|name| kafka.text(name));
    let allowed = RawProducer::new(&kafka.scram(&user, &password, "ca.pem")).unwrap();
    let denied_producer = RawProducer::new(&kafka.scram(&denied, &password, "ca.pem")).unwrap();
    let write = |producer: &RawProducer| {
        producer.send(&RawRecord { topic: &topic, value: Some(b"hello"), ..RawRecord::default() })?;
        producer.flush(PATIENCE)
    };
    write(&denied_producer).unwrap();
    deny(&kafka.open, &topic, &denied).unwrap();
    let start = Instant::now();
    let error = loop {
        match write(&denied_producer) {
            Err(error) => break error.to_string(),
            Ok(()) => assert!(start.elapsed() < PATIENCE, "still let in"),
        }
    };
    assert!(error.contains("Topic authorization failed"), "{error}");
    write(&allowed).unwrap();
    admin.delete(&[&topic]).unwrap();
}
