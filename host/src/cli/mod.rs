//! The command line: what can be said on it, and what is done then.

mod arguments;
mod logging;
mod run;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

/// Runs the program: 0 when it was stopped, 1 when it failed, 2 when it was not understood.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a program that fails")]
fn report(error: &anyhow::Error) {
    eprintln!("gtm-host: error: {error:#}");
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let settings = arguments.settings()?;
    logging::init(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run::run(settings));
    // A plugin that is still computing has had its time.
    runtime.shutdown_background();
    result
}
