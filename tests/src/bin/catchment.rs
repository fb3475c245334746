//! The program that the tests start: the binary's own entry point.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: catchment::Allocator = catchment::Allocator;

fn main() -> ExitCode {
    catchment::main()
}
