//! The arguments of `dead-letters`.

use std::time::SystemTime;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use gtm_host::config::{GivenValue, Settings};
use gtm_oplog::OperationType;
use gtm_store::{DeadLetterFilter, DeadLetterKind};

use super::common::{CommonArguments, Format};
use super::plugins::PluginArguments;
use super::setting::{ServerGroup, SettingArguments, StoreGroup};

#[derive(Debug, Args)]
pub(in crate::cli) struct DeadLettersArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: DeadLettersCommand,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeadLettersCommand {
    /// List dead letters, in the order of their changes
    List(ListArguments),
    /// Show a dead letter with all details, as Extended JSON
    Show(ShowArguments),
    /// Pass ops to their plugins again, and remove those that are handled
    Retry(Box<RetryArguments>),
    /// Remove dead letters permanently
    Drop(DropArguments),
}

/// Where the dead letters or checkpoints are.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhereArguments {
    /// The output format: text for people, or one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    pub(super) common: CommonArguments,
    #[command(flatten)]
    server: SettingArguments<ServerGroup>,
    #[command(flatten)]
    store: SettingArguments<StoreGroup>,
}

impl WhereArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        self.settings_with(|_| {})
    }

    /// Returns the settings, with those that a command adds.
    pub(super) fn settings_with(&self, add: impl FnOnce(&mut Vec<GivenValue>)) -> anyhow::Result<Settings> {
        self.common.settings_with(|given| {
            self.server.add_to(given);
            self.store.add_to(given);
            add(given);
        })
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    /// Only this plugin
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) place: WhereArguments,
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    /// The id of the dead letter, as list shows it, or of its op, as the log has it
    #[arg(value_name = "ID")]
    pub(in crate::cli) id: String,
    /// The plugin, if several failed to handle the op
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) place: WhereArguments,
}

#[derive(Debug, Args)]
#[command(mut_arg("plugins", |argument| argument.short('f').long("file").help(FILE).long_help(FILE)))]
pub(in crate::cli) struct RetryArguments {
    /// Only this plugin
    #[arg(short = 'p', long = "plugin", value_name = "NAME")]
    names: Vec<String>,
    /// Files that were passed as --plugin, as in earlier versions.
    #[arg(skip)]
    pub(in crate::cli) files_as_plugins: Vec<String>,
    /// Whether a file was typed, for which --plugin may be any name.
    #[arg(skip)]
    pub(in crate::cli) is_file_typed: bool,
    #[command(flatten)]
    pub(in crate::cli) place: WhereArguments,
    #[command(flatten)]
    pub(in crate::cli) which: WhichArguments,
    #[command(flatten)]
    pub(super) plugins: PluginArguments,
}

const FILE: &str = "The component of a plugin, and the plugin's name (by default --plugin, or the file's name). By default, the \
                    settings file names the component. May be repeated";

impl RetryArguments {
    /// Returns the plugin whose dead letters are wanted.
    ///
    /// # Errors
    /// Several were named.
    pub(in crate::cli) fn plugin(&self) -> anyhow::Result<Option<&str>> {
        match self.names.as_slice() {
            [] => Ok(None),
            [name] => Ok(Some(name)),
            _ => bail!("--plugin takes one name. help: leave it out to retry the letters of all plugins"),
        }
    }

    /// Distinguishes names from files, which belong to --file. `typed` means that files come from the command line, not from the host's
    /// environment.
    fn sort(&mut self, typed: bool) {
        let is_file = |name: &String| name.contains(['/', '=']) || name.ends_with(".wasm");
        self.files_as_plugins = self.names.extract_if(.., |name| is_file(name)).collect();
        if !self.files_as_plugins.is_empty() && !typed {
            self.plugins.clear();
        }
        self.files_as_plugins.retain(|file| self.plugins.add(file).is_ok());
        self.is_file_typed = typed || !self.files_as_plugins.is_empty();
        if let ([name], true) = (self.names.as_slice(), self.is_file_typed) {
            self.plugins.name_the_only(name);
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DropArguments {
    /// Only this plugin
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) place: WhereArguments,
    #[command(flatten)]
    pub(in crate::cli) which: WhichArguments,
}

/// These dead letters, those that match a filter, or all.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhichArguments {
    /// The ids of dead letters, as list shows them, or of their ops
    #[arg(value_name = "ID")]
    pub(in crate::cli) ids: Vec<String>,
    /// All dead letters
    #[arg(long, conflicts_with = "ids")]
    pub(in crate::cli) all: bool,
    #[command(flatten)]
    pub(in crate::cli) filter: FilterArguments,
}

/// Parses the operation of a dead letter, which may be a tick.
fn operation(name: &str) -> Result<OperationType, String> {
    let all = || OperationType::ALL.map(OperationType::name).join(", ");
    OperationType::named(name).ok_or_else(|| format!("expected one of {}", all()))
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub(in crate::cli) struct FilterArguments {
    /// Only changes in these namespaces, as for gtm-host tail
    #[arg(short, long, value_name = "PATTERN")]
    namespace: Option<String>,
    /// Only this operation
    #[arg(short = 'O', long, value_name = "TYPE", value_parser = operation)]
    operation: Option<OperationType>,
    /// Only ops that the plugin rejected, or that failed
    #[arg(long, value_name = "KIND")]
    kind: Option<LetterKindArgument>,
    /// Only ops given up at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    since: Option<SystemTime>,
    /// Only ops given up before this time
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    until: Option<SystemTime>,
    /// Only ops whose error contains this text
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LetterKindArgument {
    Rejected,
    Failed,
}

impl FilterArguments {
    /// Returns the filter, without a pipeline.
    pub(in crate::cli) fn filter(&self, plugin: Option<&str>) -> DeadLetterFilter {
        DeadLetterFilter {
            pipeline: None,
            plugin: plugin.map(str::to_owned),
            namespace: self.namespace.clone(),
            operation: self.operation,
            kind: self.kind.map(|kind| match kind {
                LetterKindArgument::Rejected => DeadLetterKind::Rejected,
                LetterKindArgument::Failed => DeadLetterKind::Failed,
            }),
            since: self.since,
            until: self.until,
            error: self.error.clone(),
            op: None,
        }
    }

    pub(in crate::cli) fn says_nothing(&self) -> bool {
        let Self { namespace, operation, kind, since, until, error } = self;
        namespace.is_none()
            && operation.is_none()
            && kind.is_none()
            && since.is_none()
            && until.is_none()
            && error.is_none()
    }
}

impl DeadLettersArguments {
    /// `typed` returns whether an argument comes from the command line, not from the environment.
    pub(super) fn sort(&mut self, typed: &dyn Fn(&str) -> bool) {
        if let DeadLettersCommand::Retry(retry) = &mut self.command {
            retry.sort(typed("plugins"));
        }
    }

    fn place(&self) -> &WhereArguments {
        match &self.command {
            DeadLettersCommand::List(list) => &list.place,
            DeadLettersCommand::Show(show) => &show.place,
            DeadLettersCommand::Retry(retry) => &retry.place,
            DeadLettersCommand::Drop(drop) => &drop.place,
        }
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let DeadLettersCommand::Retry(retry) = &self.command else { return self.place().settings() };
        let mut settings = retry.place.settings_with(|given| retry.plugins.add_to(given))?;
        if retry.plugins.is_empty() && settings.plugins.is_empty() && settings.plugin_dir.is_none() {
            bail!(
                "the file of the plugin is not known. help: pass --file [NAME=]FILE, or --config FILE with the settings of the \
                 host"
            );
        }
        retry.plugins.apply_to(&mut settings)?;
        Ok(settings)
    }
}
