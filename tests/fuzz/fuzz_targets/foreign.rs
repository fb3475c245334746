//! See `catchment_tests::fuzz`.

#![no_main]

use catchment_tests::fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: Target::of("foreign").prepare(), |input: &[u8]| Target::of("foreign").run(input));
