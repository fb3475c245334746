//! Kafka behind TLS, passwords and permissions.

use crate::deployment::Deployment;
use crate::process::Process;
use crate::shop::comes_out_as;
use crate::wait::until;
use crate::worlds::{alive, not_ready};
use std::fs;
use xtask::services::{BrokerOptions, deny};

/// A deployment whose processes go through the door with SCRAM and TLS, under the name in that file. Its password is read
/// from a file of the deployment.
fn behind_a_password(test: &str, user: &str) -> Option<Deployment> {
    let options = BrokerOptions { tls: true, ..BrokerOptions::default() };
    let mut deployment = Deployment::bare(test, options)?;
    deployment.set_up();
    let tls = deployment.broker.tls();
    let read = |name: &str| fs::read_to_string(tls.join(name)).unwrap();
    let (name, password) = match user {
        "user" => (read("user"), read("password")),
        _ => (read("denied-user"), read("denied-password")),
    };
    let file = deployment.path("password");
    fs::write(&file, password).unwrap();
    let properties = format!(
        "{{security.protocol: SASL_SSL, sasl.mechanism: SCRAM-SHA-512, sasl.username: {}, ssl.ca.location: '{}'}}",
        name.trim(),
        tls.join("ca.pem").display(),
    );
    deployment.set("KAFKA__BROKERS", &deployment.broker.sasl_ssl());
    deployment.set("KAFKA__PROPERTIES", &properties);
    deployment.set("KAFKA__SECRET_FILES", &format!("{{sasl.password: '{}'}}", file.display()));
    Some(deployment)
}

#[test]
fn the_shop_goes_through_tls_and_a_password_and_a_wrong_password_is_waited_out() {
    let Some(deployment) = behind_a_password("sasl_ssl", "user") else { return };
    let sandbox = deployment.sandbox();
    // Before the start: by order of arrival only what is there can be taken.
    deployment.load();
    let right = fs::read_to_string(deployment.path("password")).unwrap();
    fs::write(deployment.path("password"), "wrong").unwrap();
    let process = deployment.run("one", &[], &[]);
    process.says("waits for kafka");
    assert!(
        process.text().contains("denied") || process.text().contains("uthentication"),
        "{}",
        process.text()
    );
    assert!(!process.text().contains("wrong"), "no secret is logged");
    not_ready(&process, "kafka");
    alive(&process);
    // Read again without a restart.
    fs::write(deployment.path("password"), right).unwrap();
    process.ready();
    comes_out_as(&deployment, &sandbox);
    assert!(process.stop().success());
}

#[test]
fn a_certificate_that_is_over_is_refused_and_said() {
    let options = BrokerOptions { tls: true, ..BrokerOptions::default() };
    let Some(mut deployment) = Deployment::bare("expired", options) else { return };
    deployment.set_up();
    let tls = deployment.broker.tls();
    let properties = |client: &str| {
        let path = |name: &str| tls.join(name).display().to_string();
        format!(
            "{{security.protocol: SSL, ssl.ca.location: '{}', ssl.certificate.location: '{}', ssl.key.location: '{}'}}",
            path("ca.pem"),
            path(&format!("{client}.pem")),
            path(&format!("{client}.key")),
        )
    };
    deployment.set("KAFKA__BROKERS", &deployment.broker.mtls());
    deployment.set("KAFKA__PROPERTIES", &properties("expired-client"));
    let process = deployment.run("one", &[], &[]);
    process.says("waits for kafka");
    not_ready(&process, "kafka");
    alive(&process);
    let denied = |process: &Process| process.text().to_lowercase().contains("certificate");
    until(|| denied(&process).then_some(()), || process.text());
    drop(process);
    deployment.set("KAFKA__PROPERTIES", &properties("client"));
    deployment.run("one", &[], &[]).ready();
}

#[test]
fn a_topic_that_is_forbidden_stops_the_lane_and_is_said() {
    let Some(deployment) = behind_a_password("forbidden", "denied") else { return };
    let name = fs::read_to_string(deployment.broker.tls().join("denied-user")).unwrap();
    deny(&deployment.broker.address(), "customer.events", name.trim()).unwrap();
    let process = deployment.run("one", &["profile"], &[]);
    let said = || process.text().contains("customer.events") && process.text().contains("uthorization");
    until(|| said().then_some(()), || process.text());
    not_ready(&process, "kafka");
    alive(&process);
}
