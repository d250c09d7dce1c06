//! The options of settings, which come from their definitions. Each command names the groups of settings that it takes.

use std::marker::PhantomData;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint};
use gtm_host::config::{GivenValue, Kind, Origin, SETTINGS, Setting};
use toml::Value;

use super::old_names;

/// Settings that a command takes.
pub(in crate::cli) trait SettingGroup {
    /// The keys of the settings, or their tables.
    const KEYS: &'static [&'static str];
    /// Keys of these tables that do not belong to the group.
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
    /// The settings of every command.
    CommonGroup: ["log", "store.database"];
    /// Which server is followed, and from which position.
    ServerGroup: ["source"];
    /// What is stored, and where.
    StoreGroup: ["name", "store"], without ["store.database"];
    /// The name of the pipeline.
    NameGroup: ["name"];
    /// What plugins may use, and the mail server.
    PluginGroup: ["plugin_dir", "mail", "limits", "cache_dir"];
    /// Where compiled plugins are.
    CacheGroup: ["cache_dir"];
    /// How ops are delivered to plugins.
    DeliveryGroup: ["delivery", "retry", "breaker", "shutdown_grace"];
    /// The share of the work, and the lease.
    WorkerGroup: ["workers", "lease"];
    /// The lease.
    LeaseGroup: ["lease"];
    /// The address of the admin API.
    AdminGroup: ["admin"], without ["admin.ready_grace", "admin.swap_from"];
    /// The readiness of a host, and what it accepts for swaps.
    ReadyGroup: ["admin.ready_grace", "admin.swap_from"];
    /// Whether a host watches the files of plugins.
    WatchGroup: ["watch"];
}

/// The values that the environment and the command line have for the settings of a group.
#[derive(Clone, Debug)]
pub(in crate::cli) struct SettingArguments<G> {
    given: Vec<GivenValue>,
    group: PhantomData<G>,
}

impl<G: SettingGroup> SettingArguments<G> {
    /// Adds the values to others.
    pub(super) fn add_to(&self, given: &mut Vec<GivenValue>) {
        given.extend(self.given.iter().cloned());
    }

    /// Returns whether there is a value for this setting.
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
        let given: Result<Vec<_>, _> = Self::settings().map(|setting| given(matches, setting)).collect();
        Ok(Self { given: given?.into_iter().flatten().collect(), group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the values of a setting that is set by its option, its old option or a variable. A variable counts only without an option.
fn given(matches: &ArgMatches, setting: &'static Setting) -> Result<Vec<GivenValue>, Error> {
    let is_typed = matches.value_source(setting.key) == Some(ValueSource::CommandLine);
    let old = old_names::typed(matches, setting).zip(setting.old_option);
    let own = match (is_typed, &old) {
        (true, Some((_, old))) if setting.kind != Kind::Paths => {
            let option = setting.option();
            let error = format!("--{old} is an old name of --{option}. help: pass --{option} alone\n");
            return Err(Error::raw(ErrorKind::ArgumentConflict, error));
        }
        (true, _) => Some(Origin::Option(setting.usual_option())),
        (false, Some(_)) => None,
        // The lines of a variable are defaults for clap.
        (false, None) => Some(Origin::Variable(variable(setting))),
    };
    let own = own.and_then(|origin| value(matches, setting.key, setting, origin));
    let old = old.and_then(|(id, name)| value(matches, &id, setting, Origin::Option(name.to_owned())));
    Ok(own.into_iter().chain(old).collect())
}

/// Returns the variable that sets it.
fn variable(setting: &Setting) -> String {
    let set = setting.set_variable(|variable| std::env::var_os(variable).is_some());
    set.unwrap_or_else(|| setting.variable())
}

fn value(matches: &ArgMatches, id: &str, setting: &'static Setting, origin: Origin) -> Option<GivenValue> {
    let values: Vec<Value> = matches.get_many::<Value>(id)?.cloned().collect();
    let value = match setting.kind {
        Kind::Paths => Value::Array(values.into_iter().filter_map(items).flatten().collect()),
        _ => values.into_iter().next_back()?,
    };
    Some(GivenValue { setting, value, origin })
}

fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn argument(setting: &'static Setting) -> Arg {
    // As long as the command, of which there is one.
    let (option, variable): (&str, &str) = (setting.option().leak(), setting.variable().leak());
    let argument = Arg::new(setting.key)
        .long(option)
        .env(variable)
        .hide_env_values(setting.is_secret())
        .value_name(setting.value_name)
        .help(help(setting))
        .help_heading(heading(setting))
        .value_hint(hint(setting))
        .value_parser(parser(setting));
    let argument = match setting.short_name {
        Some(name) => argument.long(name).visible_alias(option),
        None => argument,
    };
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
        Kind::Paths => ". May be repeated; in the variable, one value per line",
        _ => "",
    };
    let default = setting.default.or(setting.otherwise).map(|default| format!(" [default: {default}]"));
    let shared = setting.shared_variables.iter().map(|variable| format!(" [or env: {variable}]"));
    format!("{}{more}{}{}", setting.doc, default.unwrap_or_default(), shared.collect::<String>())
}

/// What a shell completes the value by.
fn hint(setting: &Setting) -> ValueHint {
    match (setting.kind, setting.value_name) {
        (Kind::Path | Kind::Paths, "DIR") => ValueHint::DirPath,
        (Kind::Path | Kind::Paths, _) => ValueHint::FilePath,
        _ => ValueHint::Unknown,
    }
}

/// Returns the heading of the help under which the setting is.
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
