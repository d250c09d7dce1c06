//! The command line and the environment, which override the settings file.

mod admin;
mod author;
mod brief;
mod check;
mod checkpoints;
mod common;
mod dead_letters;
mod documents;
mod environment;
mod files;
mod help;
mod old_names;
mod plugins;
mod replay;
mod restart;
mod run;
mod setting;
mod tail;
mod typed;
mod workers;

use std::ffi::OsString;
use std::path::PathBuf;

pub(super) use admin::{SeekArguments, StatusArguments, SteerArguments, SwapArguments};
pub(super) use author::{
    ComponentizeArguments, ConfigArguments, ConfigCheckArguments, ConfigCommand, ConfigShowArguments,
    Language, NewArguments, Purpose, TryArguments,
};
pub(super) use check::{CheckArguments, CompileArguments};
pub(super) use checkpoints::{
    ChangeArguments, CheckpointsArguments, CheckpointsCommand, LookArguments, SetArguments, WhoseArguments,
};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
pub(super) use common::Format;
pub(super) use dead_letters::{
    DeadLettersArguments, DeadLettersCommand, DropArguments, ListArguments, RetryArguments, ShowArguments,
    WhichArguments,
};
pub(super) use documents::{CompletionsArguments, ManArguments};
pub(super) use environment::UnknownVariable;
pub(super) use files::FileArguments;
use gtm_host::config::{Kind, LogFormat, SETTINGS, Setting, Settings};
use help::{
    CHECK, CHECKPOINTS, COMPILE, COMPLETIONS, COMPONENTIZE, CONFIG, DEAD_LETTERS, EXAMPLES, MAN, NEW, PAUSE,
    REPLAY, RESUME, SEEK, STATUS, SWAP, TAIL, TRY,
};
pub(super) use replay::ReplayArguments;
pub(super) use run::RunArguments;
pub(super) use tail::TailArguments;

/// The name of the program.
pub(super) const PROGRAM: &str = "gtm-host";
/// The command that the host starts itself with to compile a plugin.
pub(super) const COMPILE_COMPONENT: &str = "compile-component";

/// Runs sandboxed WebAssembly plugins on every change in MongoDB.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

/// A command, with its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run plugins on every change. This is the default command
    #[command(after_help = EXAMPLES)]
    Run(RunArguments),
    /// Run plugins over files: dumps of an oplog or of collections, or change events
    #[command(after_help = REPLAY)]
    Replay(ReplayArguments),
    /// Print every change of a server or of files, as a line of Extended JSON
    #[command(after_help = TAIL)]
    Tail(TailArguments),
    /// List, retry or drop the ops that plugins failed to handle
    #[command(after_help = DEAD_LETTERS)]
    DeadLetters(Box<DeadLettersArguments>),
    /// Show where plugins resume, and move or reset the checkpoints of a stopped pipeline
    #[command(after_help = CHECKPOINTS)]
    Checkpoints(Box<CheckpointsArguments>),
    /// Describe a plugin before it runs: whether it is valid, its subscriptions and the grants that it asks for
    #[command(after_help = CHECK)]
    Check(CheckArguments),
    /// Compile plugins into the cache, so that a host starts faster
    #[command(after_help = COMPILE)]
    Compile(CompileArguments),
    /// Compile a plugin. Only the host itself runs this command
    #[command(skip)]
    CompileComponent(CompileComponentArguments),
    /// Pass ops to a plugin and show its side effects: mails, requests and writes, none of which are performed
    #[command(after_help = TRY)]
    Try(TryArguments),
    /// Create a project for a plugin, which builds and has a test
    #[command(after_help = NEW)]
    New(NewArguments),
    /// Convert a core WebAssembly module into a plugin component
    #[command(after_help = COMPONENTIZE)]
    Componentize(ComponentizeArguments),
    /// Check and print settings, and describe all of them
    #[command(after_help = CONFIG)]
    Config(Box<ConfigArguments>),
    /// Show what a running host does: the progress, speed and errors of each plugin
    #[command(after_help = STATUS)]
    Status(StatusArguments),
    /// Pause one plugin of a running host, or all of them
    #[command(after_help = PAUSE)]
    Pause(SteerArguments),
    /// Resume one paused plugin, or all of them
    #[command(after_help = RESUME)]
    Resume(SteerArguments),
    /// Move the position of a plugin of a running host backward or forward
    #[command(after_help = SEEK)]
    Seek(SeekArguments),
    /// Replace a plugin of a running host by another version
    #[command(after_help = SWAP)]
    Swap(SwapArguments),
    /// Print the script by which a shell completes commands and options
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArguments),
    /// Print the manual page, or write those of all commands into a directory
    #[command(after_help = MAN)]
    Man(ManArguments),
}

/// The arguments of the host's own compiler, without units.
#[derive(Debug, Args)]
pub(super) struct CompileComponentArguments {
    /// The file to write
    pub(super) to: PathBuf,
    /// Bytes of memory
    pub(super) memory: u64,
    /// Seconds of processor time
    pub(super) processor_seconds: u64,
}

impl Arguments {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// The command line or a variable is not valid, or asks for help.
    pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
        Self::read_with(words, |variable| std::env::var_os(variable))
    }

    /// Returns the command line as help, completions and manual pages describe it.
    pub(super) fn documented() -> clap::Command {
        brief::brief(Self::command(), PROGRAM)
    }

    /// `value` returns the value of a variable.
    fn read_with(
        words: impl IntoIterator<Item = OsString>,
        value: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Command, clap::Error> {
        let words: Vec<OsString> = words.into_iter().collect();
        if words.get(1).is_some_and(|word| word == COMPILE_COMPONENT) {
            return CompileComponentArguments::read(&words).map(Command::CompileComponent);
        }
        let matches = Self::matches(words, &value)?;
        let Self { command, run } = Self::from_arg_matches(&matches)?;
        let mut command = command.unwrap_or(Command::Run(run));
        let deepest: &ArgMatches = matches.subcommand().map_or(&matches, |(_, deepest)| deepest);
        match &mut command {
            Command::DeadLetters(arguments) => {
                let deepest = deepest.subcommand().map_or(deepest, |(_, deepest)| deepest);
                arguments.sort(&|name| deepest.value_source(name) == Some(ValueSource::CommandLine));
            }
            Command::Config(arguments) => arguments.take_file(),
            Command::Try(arguments) => arguments.place_headers(deepest)?,
            _ => {}
        }
        Ok(command)
    }
}

impl Arguments {
    fn matches(
        words: Vec<OsString>,
        value: &impl Fn(&str) -> Option<OsString>,
    ) -> Result<ArgMatches, clap::Error> {
        check_flags(&words)?;
        let own = old_names::with_old_options(Self::command());
        let command = brief::brief(environment::with_variables(own.clone(), value), PROGRAM);
        command.try_get_matches_from(&words).map_err(|error| {
            // Without variables, only what was typed is wrong.
            let typed = brief::brief(environment::without_variables(own.clone()), PROGRAM);
            let typed = typed.try_get_matches_from(&words).err();
            let is_typed = typed.is_some_and(|typed| typed.to_string() == error.to_string());
            let error = match is_typed {
                true => old_names::with_new_option(error),
                false => environment::with_variable_named(error, own.clone(), value),
            };
            brief::with_hint(error)
        })
    }

    /// Returns the format of the error with which the program ends, even if the command line is not valid: that of the log, or else that
    /// of the output.
    pub(super) fn error_format(words: impl IntoIterator<Item = OsString>) -> LogFormat {
        Self::error_format_with(words, |variable| std::env::var_os(variable))
    }

    fn error_format_with(
        words: impl IntoIterator<Item = OsString>,
        value: impl Fn(&str) -> Option<OsString>,
    ) -> LogFormat {
        let words: Vec<OsString> = words.into_iter().skip(1).take_while(|word| word != "--").collect();
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        // The last one counts.
        let typed = |option: &str| {
            let value = |(index, word): (usize, &&str)| match word.strip_prefix(option)?.split_once('=') {
                Some(("", value)) => Some(value.to_owned()),
                _ if *word == option => words.get(index + 1).map(|&value| value.to_owned()),
                _ => None,
            };
            words.iter().enumerate().filter_map(value).next_back()
        };
        let set = Setting::find("log.format").and_then(|setting| {
            typed(&format!("--{}", setting.option()))
                .or_else(|| value(&setting.variable())?.into_string().ok())
        });
        match set.or_else(|| typed("--output")).as_deref() {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        }
    }

    /// Returns the variables of the environment that look as if this program read them and that it does not read.
    pub(super) fn unknown_variables(settings: &Settings) -> Vec<UnknownVariable> {
        let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        environment::unknown(&Self::command(), settings, set)
    }
}

/// Refuses a separate word after an option that is true or false: clap would read it as a command or a file.
fn check_flags(words: &[OsString]) -> Result<(), clap::Error> {
    let flags = || SETTINGS.iter().filter(|setting| setting.kind == Kind::Flag && setting.has_option);
    let is_flag = |word: &str| {
        let names = |setting: &Setting| [Some(setting.option()), setting.short_name.map(str::to_owned)];
        word.strip_prefix("--")
            .is_some_and(|option| flags().flat_map(names).flatten().any(|name| name == option))
    };
    for (option, value) in words.iter().zip(words.iter().skip(1)) {
        if let (Some(option), Some(value @ ("true" | "false" | "yes" | "no" | "on" | "off"))) =
            (option.to_str(), value.to_str())
            && is_flag(option)
        {
            let error =
                format!("\"{value}\" is a separate word after {option}. help: write {option}={value}\n");
            return Err(clap::Error::raw(ErrorKind::InvalidValue, error));
        }
    }
    Ok(())
}

impl CompileComponentArguments {
    fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new(COMPILE_COMPONENT));
        Self::from_arg_matches(&command.try_get_matches_from(words.iter().skip(1))?)
    }
}

impl Command {
    /// Returns whether it checks the plugins of the settings.
    pub(super) fn checks_plugins(&self) -> bool {
        matches!(self, Self::Config(arguments) if matches!(arguments.command, ConfigCommand::Check(_)))
    }

    /// Returns whether it reads settings.
    pub(super) fn has_settings(&self) -> bool {
        match self {
            Self::CompileComponent(_) | Self::Completions(_) | Self::Man(_) => false,
            Self::Config(arguments) => arguments.has_settings(),
            _ => true,
        }
    }

    /// Returns the settings: those of the settings file, if there is one, with the environment and the command line over them.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        match self {
            Self::Run(arguments) => arguments.settings(),
            Self::Replay(arguments) => arguments.settings(),
            Self::Tail(arguments) => arguments.settings(),
            Self::DeadLetters(arguments) => arguments.settings(),
            Self::Checkpoints(arguments) => arguments.settings(),
            Self::Check(arguments) => arguments.settings(),
            Self::Compile(arguments) => arguments.settings(),
            Self::Try(arguments) => arguments.settings(),
            Self::Config(arguments) => arguments.settings(),
            Self::CompileComponent(_) | Self::Completions(_) | Self::Man(_) => Ok(Settings::default()),
            Self::New(NewArguments { common, .. })
            | Self::Componentize(ComponentizeArguments { common, .. }) => common.settings(),
            Self::Status(StatusArguments { asked, .. })
            | Self::Swap(SwapArguments { asked, .. })
            | Self::Pause(SteerArguments { asked, .. })
            | Self::Resume(SteerArguments { asked, .. })
            | Self::Seek(SeekArguments { steer: SteerArguments { asked, .. }, .. }) => asked.settings(),
        }
    }
}

#[cfg(test)]
mod tests;
