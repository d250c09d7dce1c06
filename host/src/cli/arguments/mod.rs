//! What can be said on the command line and in the environment, laid over the settings file.

mod admin;
mod author;
mod brief;
mod check;
mod checkpoints;
mod common;
mod dead_letters;
mod environment;
mod files;
mod help;
mod plugins;
mod replay;
mod restart;
mod run;
mod setting;
mod tail;
mod workers;

use std::ffi::OsString;
use std::path::PathBuf;

pub(super) use admin::{SeekArguments, StatusArguments, SteerArguments, SwapArguments};
pub(super) use author::{
    ComponentizeArguments, ConfigArguments, ConfigCheckArguments, ConfigCommand, ConfigShowArguments,
    Language, NewArguments, TryArguments,
};
pub(super) use check::{CheckArguments, CompileArguments};
pub(super) use checkpoints::{
    ChangeArguments, CheckpointsArguments, CheckpointsCommand, LookArguments, SetArguments, WhoseArguments,
};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
pub(super) use common::Format;
pub(super) use dead_letters::{
    DeadLettersArguments, DeadLettersCommand, DropArguments, ListArguments, RetryArguments, ShowArguments,
    WhichArguments,
};
pub(super) use files::FileArguments;
use gtm_host::config::Settings;
use help::{
    CHECK, CHECKPOINTS, COMPILE, COMPONENTIZE, CONFIG, DEAD_LETTERS, EXAMPLES, NEW, PAUSE, REPLAY, RESUME,
    SEEK, STATUS, SWAP, TAIL, TRY,
};
pub(super) use replay::ReplayArguments;
pub(super) use run::RunArguments;
pub(super) use tail::TailArguments;

/// Runs sandboxed WebAssembly plugins on every change in MongoDB.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, once")]
pub(super) enum Command {
    /// Run plugins on every change. This is what is done where no command is given
    #[command(after_help = EXAMPLES)]
    Run(RunArguments),
    /// Run plugins over files: dumps of an oplog or of collections
    #[command(after_help = REPLAY)]
    Replay(ReplayArguments),
    /// Print every change, as it comes by or from files, as a line of Extended JSON
    #[command(after_help = TAIL)]
    Tail(TailArguments),
    /// Look at the ops that plugins did not handle, and have them handled after all
    #[command(after_help = DEAD_LETTERS)]
    DeadLetters(Box<DeadLettersArguments>),
    /// See where the plugins of a pipeline resume, and move or reset those of one that is stopped
    #[command(after_help = CHECKPOINTS)]
    Checkpoints(Box<CheckpointsArguments>),
    /// Say what a plugin is before it runs: whether it fits, what it subscribes to and what it asks for
    #[command(after_help = CHECK)]
    Check(CheckArguments),
    /// Compile plugins into the cache, so that a host which starts with them need not
    #[command(after_help = COMPILE)]
    Compile(CompileArguments),
    /// What the host starts itself to compile a plugin
    #[command(hide = true)]
    CompileComponent(CompileComponentArguments),
    /// Hand ops to a plugin and show what it makes of them: mails, requests and writes are shown, not done
    #[command(after_help = TRY)]
    Try(TryArguments),
    /// Begin a plugin: a project that builds, with a test
    #[command(after_help = NEW)]
    New(NewArguments),
    /// Make a plugin of a core WebAssembly module, as compilers give it that know nothing of components
    #[command(after_help = COMPONENTIZE)]
    Componentize(ComponentizeArguments),
    /// Look at a settings file before a host starts with it
    #[command(after_help = CONFIG)]
    Config(Box<ConfigArguments>),
    /// Show what a running host does: how far each plugin is, how fast, and what is wrong
    #[command(after_help = STATUS)]
    Status(StatusArguments),
    /// Hand no more ops to a plugin of a running host, or to any
    #[command(after_help = PAUSE)]
    Pause(SteerArguments),
    /// Go on with a plugin that was paused, or with all
    #[command(after_help = RESUME)]
    Resume(SteerArguments),
    /// Have a plugin of a running host go on from elsewhere, back or forth
    #[command(after_help = SEEK)]
    Seek(SeekArguments),
    /// Have a plugin of a running host go on with another version of it
    #[command(after_help = SWAP)]
    Swap(SwapArguments),
}

/// Numbers as they are, for the host itself.
#[derive(Debug, Args)]
pub(super) struct CompileComponentArguments {
    /// The file to be made
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
    /// They are not understood, or ask for help.
    pub(super) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
        Self::read_with(words, |variable| std::env::var_os(variable))
    }

    /// `value`: the value of a variable, for options that may be given more than once.
    fn read_with(
        words: impl IntoIterator<Item = OsString>,
        value: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Command, clap::Error> {
        let command = brief::brief(environment::with_lines(Self::command(), &value), "gtm-host");
        let matches = command.try_get_matches_from(words).map_err(brief::with_hint)?;
        let Self { command, run } = Self::from_arg_matches(&matches)?;
        let mut command = command.unwrap_or(Command::Run(run));
        let said: &ArgMatches = matches.subcommand().map_or(&matches, |(_, said)| said);
        match &mut command {
            Command::DeadLetters(arguments) => {
                let said = said.subcommand().map_or(said, |(_, said)| said);
                arguments.sort(&|name| said.value_source(name) == Some(ValueSource::CommandLine));
            }
            Command::Config(arguments) => arguments.take_file(),
            _ => {}
        }
        Ok(command)
    }
}

impl Command {
    /// The settings: the file's, if there is one, with what was said here over them.
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
            Self::CompileComponent(_) => Ok(Settings::default()),
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
