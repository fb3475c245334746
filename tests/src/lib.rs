//! Tests over the workspace as a whole and over the program as a user starts it. Each binary costs a link, so there are
//! few: `tests/all`, `tests/e2e`, `tests/interop`, and `tests/decoders`.
//!
//! [`fuzz`] is what holds for every decoder, whatever bytes come; the test `decoders` tries some, the fuzzer in
//! `tests/fuzz` as many as it is given time for.

pub mod fuzz;
