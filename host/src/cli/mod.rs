//! The command line: its arguments, and a module per command.

mod arguments;
mod chains;
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
mod grant_prompt;
mod known_names;
mod load;
mod log_format;
mod logging;
mod man;
mod new;
#[cfg(test)]
mod options_in_messages;
mod output;
mod plugin_errors;
mod preflight;
mod replay;
mod resume;
mod run;
mod server;
mod shared_settings;
mod signals;
mod store_help;
mod summary;
mod table;
mod tail;
mod try_plugin;
mod usage;
mod workers;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arguments::{Arguments, Command, UnknownVariable};
use gtm_host::config::{LogFormat, OldName, Settings, old_variables};
use gtm_host::remedy::WithRemedy;
use gtm_runtime::secret::without_passwords;
use gtm_text::sanitize;
use plugin_errors::PluginErrors;
use tokio_util::sync::CancellationToken;
use usage::{OrUsage, UsageError};

const DEFECT: &str = "gtm-host has a defect, please report it";
/// The time for ops in work after a stop signal: as long as one `handle` may take by default.
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// The exit status of a command that a signal stopped, as shells report SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs the program. Returns 0 after success, 1 after a failure, and 2 if the arguments, the environment or the settings are not valid.
pub(crate) fn main() -> ExitCode {
    gtm_host::remedy::install();
    let command = match Arguments::read(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return refuse_arguments(&error),
    };
    if let Command::CompileComponent(arguments) = &command {
        return compile_component::run(arguments);
    }
    let started = command.settings().and_then(|settings| {
        let collected = command.checks_plugins().then(PluginErrors::collect);
        logging::init(&settings.log, collected)?;
        if command.has_settings() {
            warn_of_variables(&settings);
        }
        settings.old_options.iter().for_each(warn_of_old_name);
        if let Some(database) = &settings.store.database {
            database.choose()?;
        }
        Ok(settings)
    });
    let settings = match started.or_usage() {
        Ok(settings) => settings,
        Err(error) => return fail(&error, Arguments::error_format(std::env::args_os())),
    };
    let format = settings.log.format.unwrap_or_else(|| Arguments::error_format(std::env::args_os()));
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
        // A signal may end these at any time.
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

/// Warns of variables with old names, and of those that nothing reads.
fn warn_of_variables(settings: &Settings) {
    old_variables(|variable| std::env::var_os(variable).is_some()).iter().for_each(warn_of_old_name);
    for UnknownVariable { name, nearest } in Arguments::unknown_variables(settings) {
        let help = match nearest {
            Some(nearest) => format!("did you mean {nearest}? gtm-host --help lists the variables"),
            None => "gtm-host --help lists the variables".to_owned(),
        };
        tracing::warn!(
            event = "settings.ignore_variable",
            variable = name,
            help,
            "the host does not read this variable"
        );
    }
}

fn warn_of_old_name(OldName { old, new }: &OldName) {
    tracing::warn!(event = "settings.rename", old, new, "a setting has its former name; use the new one");
}

/// Runs work that the first signal asks to stop.
fn until_stopped<W>(work: impl FnOnce(CancellationToken) -> W) -> anyhow::Result<ExitCode>
where
    W: Future<Output = anyhow::Result<ExitCode>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        signals::listen(shutdown.clone()).context("the signal handlers cannot be installed")?;
        work(shutdown).await
    });
    // The process ends now. Plugins that still compute have had their time. Tasks of the driver panic if others of its tasks are dropped
    // before them, so none is dropped.
    std::mem::forget(runtime);
    result
}

/// Ends with the error in the command line, or prints the help that it asks for.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let format = Arguments::error_format(std::env::args_os());
    if !error.use_stderr() || format == LogFormat::Text {
        error.exit()
    }
    let words = error.to_string();
    let words = words.strip_prefix("error: ").unwrap_or(&words);
    // What follows is the same for all errors.
    let words = words.split("\n\nUsage:").next().unwrap_or(words);
    let words = words.split("\n\nFor more information").next().unwrap_or(words);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    fail(&UsageError(anyhow!(words)).into(), format)
}

/// Prints the error with which the program ends, in the format of its log. No filter hides it.
fn fail(error: &anyhow::Error, format: LogFormat) -> ExitCode {
    let words = WithRemedy(error.as_ref()).to_string();
    // The error may repeat a URI that was passed as another argument.
    let words = without_passwords(&words);
    match format {
        // If nobody reads standard error, nobody can be told.
        LogFormat::Text => {
            drop(writeln!(std::io::stderr(), "gtm-host: error: {}", sanitize::indented(&words, 2)));
        }
        LogFormat::Json => logging::unfiltered(format, || {
            tracing::error!(event = "host.fail", error = &*words, "the program ends with this error");
        }),
    }
    usage::status(error)
}
