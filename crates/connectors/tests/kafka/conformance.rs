use crate::support::{Kafka, brokers};
use catchment_runtime::conformance::{Case, cases};
use std::sync::Mutex;
use std::time::Instant;

/// Cases at a time. Most of their time is waiting.
const AT_A_TIME: usize = 4;

#[test]
fn kafka_is_the_log_that_lanes_expect() {
    let Some(brokers) = brokers("conformance") else {
        return;
    };
    let left: Mutex<Vec<Case<Kafka>>> = Mutex::new(cases());
    let failed = Mutex::new(Vec::new());
    let run = || {
        loop {
            let Some((name, case)) = left.lock().unwrap().pop() else {
                return;
            };
            let start = Instant::now();
            let result = std::panic::catch_unwind(|| case(&mut Kafka::new(&brokers)).unwrap());
            println!(
                "{name}: {} in {:.1} s",
                if result.is_ok() { "ok" } else { "FAILED" },
                start.elapsed().as_secs_f64()
            );
            if result.is_err() {
                failed.lock().unwrap().push(name);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(run);
        }
    });
    assert_eq!(failed.into_inner().unwrap(), [""; 0]);
}
