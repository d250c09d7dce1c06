//! `gtm-host completions`: the script by which a shell completes the command line.

use std::process::ExitCode;

use anyhow::Context;
use clap_complete::Shell;

use super::DEFECT;
use super::arguments::{Arguments, CompletionsArguments, PROGRAM};
use super::output::print;

pub(super) fn run(arguments: &CompletionsArguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::documented(), PROGRAM, &mut script);
    let mut script = String::from_utf8(script).context(DEFECT)?;
    if arguments.shell == Shell::Bash {
        script = with_labels_of_commands(&script);
    }
    print(script.trim_end().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Spells the program's name as clap does elsewhere in the script for bash. Where it lists the options of a command, clap takes the hyphen
/// of the name for the start of a subcommand, and bash would find no options (clap-rs/clap#6421).
fn with_labels_of_commands(script: &str) -> String {
    script.replace(&PROGRAM.replace('-', "__subcmd__"), &PROGRAM.replace('-', "__"))
}
