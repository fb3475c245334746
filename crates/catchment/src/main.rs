//! The binary. All it does is in the library, so that tests can start the very same program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: catchment::Allocator = catchment::Allocator;

fn main() -> ExitCode {
    catchment::main()
}
