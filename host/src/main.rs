//! The program `gtm-host`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
