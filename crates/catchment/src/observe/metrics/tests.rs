use super::*;
use crate::metrics::ALL;
use metrics::{Key, Label, Level, Metadata};

/// The page of what is recorded in `record`, by this thread.
pub(crate) fn page_of(record: impl FnOnce()) -> String {
    let recorder = recorder().unwrap();
    let handle = recorder.handle();
    let rendered = metrics::with_local_recorder(&recorder, || {
        let rendered = start(handle).unwrap();
        record();
        rendered
    });
    rendered.page()
}

/// The value of the one line that begins with the name and holds all the labels.
#[track_caller]
pub(crate) fn value_of(page: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let holds = |line: &&str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| {
            labels.iter().all(|(key, value)| rest.contains(&format!("{key}=\"{value}\"")))
        })
    };
    let found: Vec<&str> = page.lines().filter(holds).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?} in\n{page}");
    found[0].rsplit(' ').next().unwrap().parse().unwrap()
}

/// Records each metric of the table once, as its kind says.
fn record_all() {
    let metadata = Metadata::new("", Level::INFO, None);
    metrics::with_recorder(|recorder| {
        for metric in ALL.iter().filter(|metric| !metric.name.starts_with("process_")) {
            let labels: Vec<Label> = metric.labels.iter().map(|label| Label::new(*label, "some")).collect();
            let key = Key::from_parts(metric.name, labels);
            match metric.kind {
                Kind::Counter => recorder.register_counter(&key, &metadata).increment(2),
                Kind::Gauge => recorder.register_gauge(&key, &metadata).set(0.5),
                Kind::Histogram(_) => recorder.register_histogram(&key, &metadata).record(0.02),
            }
        }
    });
}

/// What `promtool check metrics` looks at, and that the table and the page are the same.
#[test]
fn every_metric_is_on_the_page_with_help_and_type() {
    let page = page_of(record_all);
    for metric in ALL {
        let help = format!("# HELP {} {}", metric.name, metric.help);
        assert_eq!(page.lines().filter(|line| **line == *help).count(), 1, "{help}\n{page}");
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let kind = format!("# TYPE {} {kind}", metric.name);
        assert_eq!(page.lines().filter(|line| **line == *kind).count(), 1, "{kind}\n{page}");
    }
    let known = |line: &str| {
        ALL.iter().any(|metric| {
            let rest = line.strip_prefix(metric.name);
            let rest = rest.map(|rest| match metric.kind {
                Kind::Histogram(_) => {
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| rest.strip_prefix(end))
                }
                Kind::Counter | Kind::Gauge => Some(rest),
            });
            rest.flatten().is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
    };
    for line in page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(known(line), "{line}");
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok_and(f64::is_finite), "{line}");
    }
}

#[test]
fn a_distribution_has_the_buckets_of_the_table() {
    let page = page_of(record_all);
    for metric in ALL {
        let Kind::Histogram(buckets) = metric.kind else { continue };
        let bucket = format!("{}_bucket{{", metric.name);
        let bounds = page.lines().filter(|line| line.starts_with(&bucket)).count();
        assert_eq!(bounds, buckets.bounds().len() + 1, "{}: its bounds and +Inf", metric.name);
    }
    let at = |bound: &str| value_of(&page, "catchment_record_age_seconds_bucket", &[("le", bound)]);
    assert_eq!((at("0.01"), at("0.02"), at("+Inf")), (0.0, 1.0, 1.0));
}

#[test]
fn the_page_names_the_version() {
    let page = page_of(|| {});
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(value_of(&page, table::BUILD_INFO, &version), 1.0);
}

#[test]
fn a_process_records_for_one_page() {
    let page = install().unwrap().page();
    assert!(page.contains("# TYPE process_cpu_seconds_total counter"), "{page}");
    assert_eq!(install().unwrap_err().to_string(), "metrics are recorded already");
}
