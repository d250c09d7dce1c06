//! The arguments of the commands that print what shells and manual readers need.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Which shell completes.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(in crate::cli) shell: Shell,
}

/// Which manual pages are wanted.
#[derive(Debug, Args)]
pub(in crate::cli) struct ManArguments {
    /// Write the page of each command into this directory, instead of printing that of gtm-host
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(in crate::cli) dir: Option<PathBuf>,
}
