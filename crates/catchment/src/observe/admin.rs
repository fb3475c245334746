//! The pages of the admin server.

use anyhow::Context as _;
use catchment_connectors::admin::{self, AdminServer, Answer, Page};

use super::health::Health;
use super::metrics::{CONTENT_TYPE, Rendered};
use crate::config::Admin;

/// Serves metrics and health where the configuration says. To be called before anything that waits for the world, so that
/// who asks sees what is waited for.
///
/// # Errors
/// Nobody can listen there.
pub fn serve(config: &Admin, metrics: &Rendered, health: &Health) -> anyhow::Result<AdminServer> {
    let address = config.listen.parse().with_context(|| format!("`admin.listen`: {}", config.listen))?;
    admin::serve(address, &pages(metrics, health)).context("`admin.listen`")
}

fn pages(metrics: &Rendered, health: &Health) -> [Page; 3] {
    let (alive, ready, watched, metrics) = (health.clone(), health.clone(), health.clone(), metrics.clone());
    let page = move || {
        // Sets the metric that says the same.
        let _ = watched.ready();
        Answer { status: 200, content_type: CONTENT_TYPE, body: metrics.page() }
    };
    [
        Page::new("/metrics", "metrics, for Prometheus", page),
        Page::new("/healthz", "200 while every lane's loop turns", move || alive.alive()),
        Page::new("/readyz", "200 while every lane works and Kafka answers", move || ready.ready()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::health::{State, World};
    use crate::observe::metrics::{recorder, start};
    use metrics_exporter_prometheus::PrometheusRecorder;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn rendered(recorder: &PrometheusRecorder) -> Rendered {
        metrics::with_local_recorder(recorder, || start(recorder.handle())).unwrap()
    }

    #[test]
    fn an_operator_sees_the_process_start() {
        let recorder = recorder().unwrap();
        let metrics = rendered(&recorder);
        metrics::with_local_recorder(&recorder, || {
            let health = Health::new(Duration::from_secs(10));
            let server = serve(&Admin { listen: "127.0.0.1:0".to_owned() }, &metrics, &health).unwrap();
            let get = |path| get(server.address(), path);
            let waiting = health.waiting_for(World::Kafka);
            assert!(get("/healthz").starts_with("HTTP/1.1 200 "));
            let answer = get("/readyz");
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"kafka\""), "{answer}");
            drop(waiting);
            health.lane("ingest", 0).set(State::Running);
            assert!(get("/readyz").starts_with("HTTP/1.1 200 "));
            let answer = get("/metrics");
            assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
            for line in ["catchment_ready 1\n", "catchment_waiting{for=\"kafka\"} 0\n", "process_open_fds "] {
                assert!(answer.contains(line), "{line}\n{answer}");
            }
            assert!(get("/").contains("/readyz"));
        });
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        let metrics = rendered(&recorder().unwrap());
        let health = Health::new(Duration::from_secs(10));
        let error = serve(&Admin { listen: "here".to_owned() }, &metrics, &health).unwrap_err();
        assert!(format!("{error:#}").starts_with("`admin.listen`: here: "), "{error:#}");
    }
}
