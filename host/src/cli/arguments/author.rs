//! The arguments of commands for authors of plugins, and of those about settings.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, ValueEnum};
use gtm_host::config::{Origin, PluginSettings, SecretText, Settings, file_name};

use super::common::{CommonArguments, Format};
use super::help::{CONFIG, SCHEMA, SHOW};
use super::plugins::{PluginFile, PluginFilter, PluginGrant, PluginValue};
use super::run::RunArguments;
use super::setting::{CacheGroup, SettingArguments};

/// The arguments of `try`.
#[derive(Debug, Args)]
pub(in crate::cli) struct TryArguments {
    /// The plugin. With a NAME, it is tried as a version of that plugin: with its config, limits and grants
    #[arg(value_name = "[NAME=]FILE")]
    pub(in crate::cli) plugin: PluginFile,
    /// A file of ops, as gtm-host tail prints them, or any file that gtm-host replay takes; - is the standard input. May be repeated
    #[arg(long = "op", value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Insert this document, which is Extended JSON
    #[arg(long = "insert", num_args = 2, value_names = ["DB.COLL", "DOCUMENT"])]
    pub(in crate::cli) inserts: Vec<String>,
    /// Replace a document by this one
    #[arg(long = "replace", num_args = 2, value_names = ["DB.COLL", "DOCUMENT"])]
    pub(in crate::cli) replacements: Vec<String>,
    /// Update a document to this one
    #[arg(long = "update", num_args = 2, value_names = ["DB.COLL", "DOCUMENT"])]
    pub(in crate::cli) updates: Vec<String>,
    /// What an --update changed, as a change stream describes it: '{"updatedFields":{"total":120},"removedFields":["note"]}'. The
    /// first belongs to the first --update, and so on
    #[arg(long = "changed", value_name = "DESCRIPTION")]
    pub(in crate::cli) changes: Vec<String>,
    /// Delete the document with this key
    #[arg(long = "delete", num_args = 2, value_names = ["DB.COLL", "KEY"])]
    pub(in crate::cli) deletions: Vec<String>,
    /// A filter that runs before that of the plugin. May be repeated: the filters run in this order
    #[arg(long = "filter", value_name = "FILE")]
    filters: Vec<PluginFilter>,
    /// Let this timer of the plugin be due: at a time such as 2026-01-31T06:00:00Z, by default now. May be repeated
    #[arg(long = "tick", value_name = "TIMER[@TIME]")]
    pub(in crate::cli) ticks: Vec<String>,
    /// A value of the plugin's config, or, with NAME, of the config of a filter. May be repeated
    #[arg(short = 's', long = "set", value_name = "[NAME:]KEY=VALUE")]
    values: Vec<PluginValue>,
    /// A grant, to see what happens without the others. May be repeated. Without --grant, and without grants in a settings file, the
    /// plugin has every grant but those for variables and directories, because the command performs no side effect
    #[arg(short, long = "grant", value_name = "GRANT")]
    grants: Vec<PluginGrant>,
    /// The answer to a request of the plugin, which is not sent: a file, or JSON. REQUEST is METHOD URL, followed by the status if it
    /// is not 200; the URL may end in *. May be repeated. Several answers to one request are used one after another
    #[arg(long = "answer", num_args = 2, value_names = ["REQUEST", "FILE|JSON"])]
    pub(in crate::cli) answers: Vec<String>,
    /// A header of the --answer before it. Without a Content-Type, the answer is JSON. May be repeated
    #[arg(long = "answer-header", value_name = "NAME: VALUE", requires = "answers")]
    headers: Vec<String>,
    /// For each header, the number of answers up to it.
    #[arg(skip)]
    answers_before_headers: Vec<usize>,
    /// Send the plugin's GET and HEAD requests that have no --answer. By default no request is sent, and each gets an empty 200
    #[arg(long)]
    pub(in crate::cli) allow_http_get: bool,
    /// A cluster that the plugin may read. Its writes are shown and not performed
    #[arg(long, value_name = "URI")]
    uri: Option<SecretText>,
    /// The output format: text for people, or one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    cache: SettingArguments<CacheGroup>,
    #[command(flatten)]
    common: CommonArguments,
}

impl TryArguments {
    /// Returns the plugin's name: of several names in the settings, that of the file, or else the first.
    pub(in crate::cli) fn name(&self, settings: &Settings) -> String {
        let (names, file) = (self.plugin.names(settings), file_name(&self.plugin.path));
        names.iter().find(|name| **name == file).or(names.first()).cloned().unwrap_or(file)
    }

    /// Finds out to which answer each header belongs.
    ///
    /// # Errors
    /// A header has no answer before it.
    pub(super) fn place_headers(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let indices = |id| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
        let (answers, headers) = (indices("answers"), indices("headers"));
        // Each answer has two values.
        let before = |header: &usize| answers.iter().filter(|answer| *answer < header).count() / 2;
        self.answers_before_headers = headers.iter().map(before).collect();
        match self.answers_before_headers.contains(&0) {
            true => Err(clap::Error::raw(
                ErrorKind::MissingRequiredArgument,
                "--answer-header has no --answer before it. help: pass it after the --answer to which it belongs\n",
            )),
            false => Ok(()),
        }
    }

    /// Returns the headers of an answer, from 0.
    pub(in crate::cli) fn headers_of(&self, answer: usize) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter().zip(&self.answers_before_headers);
        headers.filter(move |(_, before)| **before == answer + 1).map(|(header, _)| header.as_str())
    }

    /// Returns whether the command line grants anything.
    pub(in crate::cli) fn says_grants(&self) -> bool {
        !self.grants.is_empty()
    }

    /// Returns the URI of the cluster that the plugin may read.
    pub(in crate::cli) fn uri(&self) -> Option<&str> {
        self.uri.as_ref().map(SecretText::expose)
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings_with(|given| self.cache.add_to(given))?;
        self.plugin.check_name(&settings)?;
        let name = self.name(&settings);
        settings.plugins.entry(name.clone()).or_insert_with(PluginSettings::default);
        self.filters.iter().try_for_each(|filter| filter.apply_to_one(&name, &mut settings))?;
        self.values.iter().try_for_each(|value| value.apply_to_one(&name, &mut settings))?;
        let plugin = settings.plugins.entry(name).or_insert_with(PluginSettings::default);
        self.grants.iter().for_each(|grant| plugin.grants.add(grant.grant.clone()));
        Ok(settings)
    }
}

/// The arguments of `new`.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArguments {
    /// The name of the plugin, and of its folder
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// The language of the plugin
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    pub(in crate::cli) lang: Language,
    /// What the plugin does: it sends mail, or each document to a web server (webhook), adds what a server knows to documents (enrich), adds
    /// documents up (aggregate), or decides which ops reach other plugins (filter). C, C++ and Zig have mail, and Go has all but filter
    #[arg(long, value_name = "PURPOSE", default_value = "mail")]
    pub(in crate::cli) template: Purpose,
    /// The folder to create, or an empty one [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// Use the SDK in this folder (plugin-sdk of gtm-host) instead of copying it into the project. The project refers to it by a
    /// relative path. For rust, js, ts and python
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) sdk: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

/// What a new plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Purpose {
    Mail,
    Webhook,
    Enrich,
    Aggregate,
    Filter,
}

/// The language of a new plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Language {
    Rust,
    #[value(alias = "javascript")]
    Js,
    #[value(alias = "typescript")]
    Ts,
    #[value(alias = "py")]
    Python,
    C,
    #[value(alias = "c++")]
    Cpp,
    #[value(alias = "golang")]
    Go,
    Zig,
}

/// The arguments of `componentize`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ComponentizeArguments {
    /// The core WebAssembly module
    #[arg(value_name = "CORE.wasm")]
    pub(in crate::cli) path: PathBuf,
    /// The plugin's file to write
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: PathBuf,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

/// The arguments of `config`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Check whether a host can start: all keys, the files and secrets that they name, and the plugins
    #[command(after_help = CONFIG)]
    Check(ConfigCheckArguments),
    /// Print the settings that a host would have, as dotted keys of TOML, without secrets
    #[command(after_help = SHOW)]
    Show(ConfigShowArguments),
    /// Print the reference of all settings, in Markdown
    Reference,
    /// Print a JSON schema of the settings file, for editors
    #[command(after_help = SCHEMA)]
    Schema,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigCheckArguments {
    /// The settings file [default: that of --config]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The output format: text for people, or a JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigShowArguments {
    /// The settings file [default: that of --config]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Add where each value comes from: the default, a line of the settings file, a variable or an option
    #[arg(long)]
    pub(in crate::cli) origin: bool,
    /// The output format: text for people, or one JSON object per line, always with the origin
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    run: RunArguments,
}

impl ConfigShowArguments {
    /// Returns the grants of the command line as they are written, with the plugin that has each, or none for all.
    pub(in crate::cli) fn written_grants(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.run.written_grants()
    }

    /// Returns where the values of plugins on the command line come from: the id is that of the option.
    pub(in crate::cli) fn origin(&self, id: &str) -> Origin {
        self.run.origin(id)
    }
}

impl ConfigArguments {
    /// Reads the settings from the file that the command names.
    pub(super) fn take_file(&mut self) {
        let (file, run) = match &mut self.command {
            ConfigCommand::Check(ConfigCheckArguments { file, run, .. })
            | ConfigCommand::Show(ConfigShowArguments { file, run, .. }) => (file, run),
            ConfigCommand::Reference | ConfigCommand::Schema => return,
        };
        if let Some(file) = file {
            run.read_from(file);
        }
    }

    /// Returns whether the command reads settings.
    pub(super) fn has_settings(&self) -> bool {
        matches!(self.command, ConfigCommand::Check(_) | ConfigCommand::Show(_))
    }

    /// Returns the settings of a host that is started with the same file, arguments and environment.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        match &self.command {
            ConfigCommand::Check(check) => check.run.settings(),
            ConfigCommand::Show(show) => show.run.settings_to_show(),
            ConfigCommand::Reference | ConfigCommand::Schema => Ok(Settings::default()),
        }
    }
}
