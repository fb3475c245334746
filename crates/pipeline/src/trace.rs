//! The trace that a record belongs to goes on with what is made of it.

use catchment_contracts::headers;
use catchment_runtime::Headers;

/// Longest header that is passed on: what the standard asks for at least. Upstream decides on its length, and every
/// decision of an event repeats it.
const LONGEST: usize = 512;

/// The headers of W3C's trace context, and no others. Nothing is allocated where there are none.
pub(crate) fn trace_context(headers: &Headers) -> Headers {
    let mut kept = Headers::default();
    for name in [headers::TRACEPARENT, headers::TRACESTATE] {
        if let Some(value) = headers.get(name).filter(|value| value.len() <= LONGEST) {
            kept.push(name, value);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_context_of_bounded_length_goes_on() {
        let mut headers = Headers::default();
        headers.push("traceparent", vec![b'0'; LONGEST]);
        headers.push("tracestate", vec![b'0'; LONGEST + 1]);
        headers.push("authorization", "secret");
        assert_eq!(trace_context(&headers).0, [("traceparent".to_owned(), vec![b'0'; LONGEST])]);
        assert_eq!(trace_context(&Headers::default()).0.capacity(), 0, "nothing is allocated for nothing");
    }
}
