//! The command line: what can be said on it, and what is done then.

mod arguments;
mod asking;
mod check;
mod checkpoints;
mod compile;
mod compile_component;
mod completions;
mod componentize;
mod config_check;
mod config_show;
mod control;
mod dead_letters;
mod directories;
mod files;
mod going_on;
mod known;
mod load;
mod logging;
mod man;
mod new;
mod output;
mod replay;
mod run;
mod server;
mod signals;
mod starting;
mod summary;
mod table;
mod tail;
mod try_plugin;
mod usage;
mod workers;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use arguments::{Arguments, Command};
use gtm_host::config::{LogFormat, OldName, Settings};
use gtm_runtime::secret::without_passwords;
use gtm_text::sanitize;
use tokio_util::sync::CancellationToken;

const DEFECT: &str = "gtm-host has a defect, please report it";
/// Long enough for a handle that is in the middle of its work, which by default may take as long.
const GRACE: Duration = Duration::from_secs(30);
/// The exit status of what was stopped before its end, as a shell has it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs the program: 0 when it did what it should, 1 when it failed, 2 when what was said to it was not understood.
pub(crate) fn main() -> ExitCode {
    let command = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    if let Command::CompileComponent(arguments) = &command {
        return compile_component::run(arguments);
    }
    let started = command.settings().and_then(|settings| {
        logging::init(&settings.log)?;
        for OldName { old, new } in &settings.old_names {
            tracing::warn!(event = "setting.renamed", old, new, "renamed: use the new name");
        }
        if let Some(database) = &settings.store.database {
            database.choose()?;
        }
        Ok(settings)
    });
    let settings = match started.map_err(usage::of_settings) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, LogFormat::Text),
    };
    let format = settings.log.format.unwrap_or_default();
    execute(&command, settings).unwrap_or_else(|error| fail(&error, format))
}

fn execute(command: &Command, settings: Settings) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(_) => until_stopped(|shutdown| run::run(settings, || command.settings(), shutdown)),
        Command::Replay(arguments) => until_stopped(|shutdown| replay::run(arguments, settings, shutdown)),
        Command::Tail(arguments) => until_stopped(|shutdown| tail::run(arguments, settings, shutdown)),
        Command::DeadLetters(arguments) => {
            until_stopped(|shutdown| dead_letters::run(arguments, settings, shutdown))
        }
        Command::Checkpoints(arguments) => {
            until_stopped(|shutdown| checkpoints::run(arguments, settings, shutdown))
        }
        Command::Try(arguments) => until_stopped(|shutdown| try_plugin::run(arguments, settings, shutdown)),
        // These may be ended by a signal at any time.
        Command::New(arguments) => new::run(arguments),
        Command::Componentize(arguments) => componentize::run(arguments),
        Command::Config(arguments) => config_show::run(arguments, &settings),
        Command::Check(arguments) => check::run(arguments, &settings),
        Command::Compile(arguments) => compile::run(arguments, &settings),
        Command::CompileComponent(arguments) => Ok(compile_component::run(arguments)),
        Command::Status(arguments) => control::status(arguments, &settings),
        Command::Pause(arguments) => control::pause(arguments, &settings),
        Command::Resume(arguments) => control::resume(arguments, &settings),
        Command::Seek(arguments) => control::seek(arguments, &settings),
        Command::Swap(arguments) => control::swap(arguments, &settings),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(arguments),
    }
}

/// Does work that the first signal asks to end.
fn until_stopped<W>(work: impl FnOnce(CancellationToken) -> W) -> anyhow::Result<ExitCode>
where
    W: Future<Output = anyhow::Result<ExitCode>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        signals::listen(shutdown.clone()).context("signals cannot be listened for")?;
        work(shutdown).await
    });
    // The process ends now. A plugin that is still computing has had its time; and tasks of the driver panic if others of its
    // tasks are dropped before them, so none is.
    std::mem::forget(runtime);
    result
}

/// The last word of a program that fails, in the form of its log.
fn fail(error: &anyhow::Error, format: LogFormat) -> ExitCode {
    let words = format!("{error:#}");
    // An argument that was mistaken for another is repeated in the sentence.
    let words = without_passwords(&words);
    match format {
        // Where nobody reads it, there is nobody to tell.
        LogFormat::Text => {
            drop(writeln!(std::io::stderr(), "gtm-host: error: {}", sanitize::indented(&words, 2)));
        }
        LogFormat::Json => {
            let line = serde_json::json!({ "level": "ERROR", "message": words, "target": "gtm_host" });
            drop(writeln!(std::io::stderr(), "{line}"));
        }
    }
    usage::status(error)
}
