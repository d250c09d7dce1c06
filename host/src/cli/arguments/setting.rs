//! Options of the settings, made of their definitions. A command takes the settings of the groups that it names.

use std::marker::PhantomData;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use gtm_host::config::{GivenValue, Kind, Origin, SETTINGS, Setting};
use toml::Value;

/// Settings that a command takes.
pub(in crate::cli) trait SettingGroup {
    /// Their keys, or the tables that they are in.
    const KEYS: &'static [&'static str];
    /// Keys of these tables that the command does not take.
    const WITHOUT: &'static [&'static str] = &[];
}

/// Defines groups of settings.
macro_rules! groups {
    ($($(#[doc = $doc:literal])+ $name:ident: $keys:expr $(, without $without:expr)?;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug)]
            pub(in crate::cli) struct $name;
            impl SettingGroup for $name {
                const KEYS: &'static [&'static str] = &$keys;
                $(const WITHOUT: &'static [&'static str] = &$without;)?
            }
        )+
    };
}

groups! {
    /// What every command takes.
    CommonGroup: ["log", "store.database"];
    /// Which server is followed, and from where on.
    ServerGroup: ["source"];
    /// What is kept for after a restart, and where.
    StoreGroup: ["name", "store"], without ["store.database"];
    /// The name of the pipeline alone.
    NameGroup: ["name"];
    /// What plugins may take, and through which server they send mail.
    PluginGroup: ["plugin_dir", "mail", "limits", "cache_dir"];
    /// Where compiled plugins are.
    CacheGroup: ["cache_dir"];
    /// How ops are brought to plugins.
    DeliveryGroup: ["delivery", "retry", "breaker", "shutdown_grace"];
    /// Which part of the work is this host's, and when it is.
    WorkerGroup: ["workers", "lease"];
    /// When a host has taken over.
    LeaseGroup: ["lease"];
    /// Where a host is seen and steered.
    AdminGroup: ["admin"], without ["admin.ready_grace", "admin.swap_from"];
    /// How a host says whether it is ready, and what it takes from whoever steers it.
    ReadyGroup: ["admin.ready_grace", "admin.swap_from"];
    /// Whether a host looks at the files of plugins.
    WatchGroup: ["watch"];
}

/// The values that the environment and the command line have for the settings of a group.
#[derive(Clone, Debug)]
pub(in crate::cli) struct SettingArguments<G> {
    given: Vec<GivenValue>,
    group: PhantomData<G>,
}

impl<G: SettingGroup> SettingArguments<G> {
    /// Adds them to others.
    pub(super) fn add_to(&self, given: &mut Vec<GivenValue>) {
        given.extend(self.given.iter().cloned());
    }

    /// Whether there is a value for this setting.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.iter().any(|given| given.setting.key == key)
    }

    fn settings() -> impl Iterator<Item = &'static Setting> {
        let is_in = |setting: &Setting, keys: &[&str]| {
            keys.iter().any(|key| {
                setting.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        SETTINGS.iter().filter(move |setting| {
            setting.has_option && is_in(setting, G::KEYS) && !is_in(setting, G::WITHOUT)
        })
    }
}

impl<G: SettingGroup> Args for SettingArguments<G> {
    fn augment_args(command: Command) -> Command {
        command.args(Self::settings().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: SettingGroup> FromArgMatches for SettingArguments<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = Self::settings().filter_map(|setting| {
            let source = matches.value_source(setting.key)?;
            let values: Vec<Value> = matches.get_many::<Value>(setting.key)?.cloned().collect();
            let value = match setting.kind {
                Kind::Paths => Value::Array(values.into_iter().filter_map(items).flatten().collect()),
                _ => values.into_iter().next_back()?,
            };
            let origin = match source {
                ValueSource::CommandLine => Origin::Option(setting.option()),
                // The lines of a variable are defaults for clap.
                _ => Origin::Variable(setting.variable_name()),
            };
            Some(GivenValue { setting, value, origin })
        });
        Ok(Self { given: given.collect(), group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let argument = Arg::new(setting.key)
        // As long as the command, of which there is one.
        .long(&*setting.option().leak())
        .env(&*setting.variable_name().leak())
        .hide_env_values(setting.is_secret())
        .value_name(setting.value_name)
        .help(help(setting))
        .help_heading(heading(setting))
        .value_parser(parser(setting));
    let argument = match setting.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match setting.kind {
        Kind::Flag => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::Start => argument.allow_hyphen_values(true),
        Kind::Paths => argument.action(ArgAction::Append),
        _ => argument,
    }
}

fn help(setting: &Setting) -> String {
    let more = match setting.kind {
        Kind::Paths => ". May be given more than once; in the variable, a value a line",
        _ => "",
    };
    match (setting.default, setting.otherwise) {
        (Some(default), _) => format!("{}{more} [default: {default}]", setting.doc),
        (None, Some(otherwise)) => format!("{}{more} [default: {otherwise}]", setting.doc),
        (None, None) => format!("{}{more}", setting.doc),
    }
}

/// The heading under which the help has the setting.
fn heading(setting: &Setting) -> Option<&'static str> {
    match setting.key.split('.').next().unwrap_or_default() {
        "source" => Some("MongoDB"),
        "store" | "name" => Some("Store"),
        "mail" | "limits" | "cache_dir" | "plugin_dir" => Some("Plugins"),
        "delivery" | "retry" | "breaker" | "shutdown_grace" => Some("Delivery"),
        "workers" | "lease" => Some("More than one host"),
        "admin" => Some("Admin API"),
        _ => None,
    }
}

fn parser(setting: &'static Setting) -> ValueParser {
    match setting.kind {
        Kind::Choice(words) => {
            let words = words.iter().map(|(word, doc)| PossibleValue::new(*word).help(*doc));
            PossibleValuesParser::new(words).map(Value::String).into()
        }
        _ => ValueParser::new(move |text: &str| setting.parse(text)),
    }
}
