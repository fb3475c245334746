//! The program that the tests start: the binary's own entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    catchment::main()
}
