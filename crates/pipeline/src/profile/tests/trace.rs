use super::*;

const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Headers of what was written to a topic in the step.
fn headers_of(bench: &mut Bench, topic: TopicId) -> Vec<Headers> {
    bench.task.flush(&mut bench.step);
    let records = bench.step.outbox.records().iter().filter(|record| record.topic == topic);
    let headers = records.map(|record| record.headers.clone()).collect();
    bench.task.committed();
    bench.step.clear();
    headers
}

fn take(bench: &mut Bench, event: &CustomerEvent<'_>, headers: &Headers) {
    let mut value = Vec::new();
    wire::write_header(&mut value, SchemaIds::builtin().customer_event);
    event.encode(&mut value);
    bench.record(Some(&value), headers);
}

#[test]
fn a_decision_goes_on_with_the_trace_of_its_event() {
    let mut traced = Headers::default();
    traced.push("traceparent", PARENT);
    traced.push("catchment.source", "web");
    traced.push("tracestate", "shop=1");
    let mut kept = Headers::default();
    kept.push("traceparent", PARENT);
    kept.push("tracestate", "shop=1");
    for topic in [DECISIONS, TRIGGERS] {
        let mut bench = Bench::new(&shared(&[THANKS], Publish::Step, true));
        take(&mut bench, &event("o1", "Order Completed", 5), &traced);
        assert_eq!(headers_of(&mut bench, topic), std::slice::from_ref(&kept));
        take(&mut bench, &event("o2", "Order Completed", 5), &Headers::default());
        assert_eq!(headers_of(&mut bench, topic), [Headers::default()]);
    }
    let mut bench = Bench::new(&shared(&[THANKS], Publish::Step, true));
    take(&mut bench, &event("o1", "Order Completed", 5), &traced);
    assert_eq!(headers_of(&mut bench, PROFILES), [Headers::default()], "a profile comes of many events");
}

#[test]
fn a_decision_that_waited_has_no_trace() {
    let mut traced = Headers::default();
    traced.push("traceparent", PARENT);
    let mut bench = Bench::new(&shared(&[CART], Publish::Step, true));
    bench.read_up_to(&["web", "crm"], 0);
    take(&mut bench, &event("e1", "Product Added", 0), &traced);
    bench.read_up_to(&["web", "crm"], 55 * MINUTE);
    assert_eq!(headers_of(&mut bench, TRIGGERS), [Headers::default()]);
}
