//! The command line: what can be said on it, and what is done then.

mod arguments;
mod logging;
mod run;
mod signals;

use std::io::Write;
use std::process::ExitCode;

use gtm_host::config::{LogFormat, Settings};

use arguments::Arguments;

/// Runs the program: 0 when it was stopped, 1 when it failed, 2 when it was not understood.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let started = arguments.settings().and_then(|settings| {
        logging::init(&settings.log)?;
        Ok(settings)
    });
    let settings = match started {
        Ok(settings) => settings,
        Err(error) => return fail(&error, LogFormat::Text),
    };
    let format = settings.log.format.unwrap_or_default();
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, format),
    }
}

fn run(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run::run(settings));
    // A plugin that is still computing has had its time.
    runtime.shutdown_background();
    result
}

/// The last word of a program that fails, in the form of its log.
fn fail(error: &anyhow::Error, format: LogFormat) -> ExitCode {
    match format {
        // Where nobody reads it, there is nobody to tell.
        LogFormat::Text => drop(writeln!(std::io::stderr(), "gtm-host: error: {error:#}")),
        LogFormat::Json => {
            let line = serde_json::json!({ "level": "ERROR", "message": format!("{error:#}"), "target": "gtm_host" });
            drop(writeln!(std::io::stderr(), "{line}"));
        }
    }
    ExitCode::FAILURE
}
