//! The binary. All it does is in the library, so that tests can start the very same program.

use std::process::ExitCode;

fn main() -> ExitCode {
    catchment::main()
}
