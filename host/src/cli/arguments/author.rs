//! What the author of a plugin asks for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gtm_host::config::{PluginSettings, Settings, file_name};

use super::common::{CommonArguments, Format};
use super::help::CONFIG;
use super::plugins::{PluginGrant, PluginValue};
use super::run::RunArguments;
use super::setting::{CacheGroup, SettingArguments};

/// A plugin that is tried.
#[derive(Debug, Args)]
pub(in crate::cli) struct TryArguments {
    /// The plugin
    #[arg(value_name = "FILE")]
    pub(in crate::cli) path: PathBuf,
    /// Ops, as gtm-host tail prints them, or any file that gtm-host replay takes; - is the standard input. May be given more
    /// than once
    #[arg(long = "op", value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// An insert of this document, as Extended JSON
    #[arg(long = "insert", num_args = 2, value_names = ["DB.COLL", "DOCUMENT"])]
    pub(in crate::cli) inserts: Vec<String>,
    /// A replacement by this document
    #[arg(long = "replace", num_args = 2, value_names = ["DB.COLL", "DOCUMENT"])]
    pub(in crate::cli) replacements: Vec<String>,
    /// An update, after which the document is this
    #[arg(long = "update", num_args = 2, value_names = ["DB.COLL", "DOCUMENT"])]
    pub(in crate::cli) updates: Vec<String>,
    /// What changed in an update, as a change stream says it: '{"updatedFields":{"total":120},"removedFields":["note"]}'. The first
    /// is of the first --update, and so on
    #[arg(long = "changed", value_name = "DESCRIPTION")]
    pub(in crate::cli) changes: Vec<String>,
    /// A deletion of the document with this key
    #[arg(long = "delete", num_args = 2, value_names = ["DB.COLL", "KEY"])]
    pub(in crate::cli) deletions: Vec<String>,
    /// A value of the plugin's config. May be given more than once
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    values: Vec<PluginValue>,
    /// What the plugin is granted, to see what happens without the rest. Without it, and without grants in a settings file, it is
    /// granted everything but variables and directories, as nothing is done in any case
    #[arg(short, long = "grant", value_name = "GRANT")]
    grants: Vec<PluginGrant>,
    /// What a server answers to a request of the plugin, which is not sent: a file, or JSON. The request is METHOD URL, with a status
    /// after it if that is not 200; the URL may end in *. May be given more than once; of several to one request, each is given once
    #[arg(long = "answer", num_args = 2, value_names = ["REQUEST", "FILE|JSON"])]
    pub(in crate::cli) answers: Vec<String>,
    /// Send the plugin's requests by GET and HEAD that have no --answer. By default none is sent: each is answered by an empty 200
    #[arg(long)]
    pub(in crate::cli) allow_http_get: bool,
    /// A cluster that the plugin may read from. What it writes is shown, and not written
    #[arg(long, value_name = "URI")]
    uri: Option<String>,
    /// What is printed: text for people, or JSON objects, one a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    cache: SettingArguments<CacheGroup>,
    #[command(flatten)]
    common: CommonArguments,
}

impl TryArguments {
    /// The name that the plugin has; of several in the settings, that of the file, or the first.
    pub(in crate::cli) fn name(&self, settings: &Settings) -> String {
        let (names, file) = (settings.names_of(&self.path), file_name(&self.path));
        names.iter().find(|name| **name == file).or(names.first()).cloned().unwrap_or(file)
    }

    /// Whether it is said what is granted.
    pub(in crate::cli) fn says_grants(&self) -> bool {
        !self.grants.is_empty()
    }

    pub(in crate::cli) fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings_with(|given| self.cache.add_to(given))?;
        let plugin = settings.plugins.entry(self.name(&settings)).or_insert_with(PluginSettings::default);
        for value in &self.values {
            plugin.config.insert(value.key.clone(), value.value.clone().into());
        }
        self.grants.iter().for_each(|grant| plugin.grants.add(grant.grant.clone()));
        Ok(settings)
    }
}

/// A plugin that is begun.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArguments {
    /// The name of the plugin, and of the folder that is made for it
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// The language that it is written in
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    pub(in crate::cli) lang: Language,
    /// The folder to make, or an empty one [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// Use the SDK in this folder, plugin-sdk of gtm-host, instead of copying it into the project. The project names it by a relative
    /// path. Of rust, js, ts and python
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) sdk: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

/// A language that plugins are begun in.
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

/// A core module that becomes a component.
#[derive(Debug, Args)]
pub(in crate::cli) struct ComponentizeArguments {
    /// The core WebAssembly module
    #[arg(value_name = "CORE.wasm")]
    pub(in crate::cli) path: PathBuf,
    /// The plugin to write
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: PathBuf,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

/// What is done with a settings file.
#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Look whether a host could start with it: all keys, the files and secrets that it names, and its plugins
    #[command(after_help = CONFIG)]
    Check(ConfigCheckArguments),
    /// Show the settings that a host would have, as dotted keys of TOML. Secrets are hidden
    Show(ConfigShowArguments),
    /// Print the reference of all settings, in Markdown
    Reference,
    /// Print a JSON schema of the settings file, by which an editor checks it
    Schema,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigCheckArguments {
    /// The settings file [default: that of --config]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// What is printed: text for people, or a JSON object
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
    /// What is printed: text for people, or JSON objects, one a line, always with the origin
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
}

impl ConfigArguments {
    /// Takes the file that is named.
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

    /// Those of a host that is started with the same file, arguments and environment.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        match &self.command {
            ConfigCommand::Check(check) => check.run.settings(),
            ConfigCommand::Show(show) => show.run.settings_to_show(),
            ConfigCommand::Reference | ConfigCommand::Schema => Ok(Settings::default()),
        }
    }
}
