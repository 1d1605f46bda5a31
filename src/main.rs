//! The `prewarm` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    prewarm::commands::main()
}
