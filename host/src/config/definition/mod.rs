//! The definition of each setting: its name, type, default and description. The command line, the environment, the checks of values,
//! `config show`, the reference page and the JSON schema are made of it.

mod table;
mod value;

pub use table::SETTINGS;

/// The type of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that may hold a password.
    Secret,
    /// A text with at least one character.
    Name,
    /// A path. One that the settings file names is relative to the directory of that file.
    Path,
    /// Paths. In the environment, each line is one.
    Paths,
    /// True or false.
    Flag,
    /// A whole number.
    Count,
    /// A number of bytes with its unit, such as `256 MiB`.
    Size,
    /// A number of bytes with its unit, or 0 for no limit.
    SizeOrZero,
    /// A time with its unit, such as `30s`.
    Time,
    /// A position at which reading begins.
    Start,
    /// One of these words.
    Choice(&'static [(&'static str, &'static str)]),
    /// An array that has no option of its own on the command line.
    List,
    /// A table with any keys that has no option of its own.
    Table,
    /// A flag, or a table with more about it.
    FlagOrTable,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The path of its key in the settings file, such as `source.uri`. `*` is the name of a plugin.
    pub key: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its default, as it would be written on the command line.
    pub default: Option<&'static str>,
    /// What holds if the setting has neither a value nor a default.
    pub otherwise: Option<&'static str>,
    /// What it does: the first sentence is the summary.
    pub doc: &'static str,
    /// The word for its value in the help, such as `FILE`.
    pub value_name: &'static str,
    /// The short option.
    pub short: Option<char>,
    /// Whether it can be set by an option and a variable of its own.
    pub has_option: bool,
    /// Keys that say the same in another way. Where one of two is set later, the other is void.
    pub instead_of: &'static [&'static str],
    name: Option<&'static str>,
    variable: Option<&'static str>,
}

impl Setting {
    const fn new(key: &'static str, kind: Kind, doc: &'static str) -> Self {
        let value_name = match kind {
            Kind::Text | Kind::Secret => "TEXT",
            Kind::Name => "NAME",
            Kind::Path => "FILE",
            Kind::Paths => "DIR",
            Kind::Flag | Kind::FlagOrTable => "BOOL",
            Kind::Count => "N",
            Kind::Size | Kind::SizeOrZero => "SIZE",
            Kind::Time => "TIME",
            Kind::Start => "START",
            Kind::Choice(_) => "WORD",
            Kind::List | Kind::Table => "",
        };
        Self {
            key,
            kind,
            default: None,
            otherwise: None,
            doc,
            value_name,
            short: None,
            has_option: true,
            instead_of: &[],
            name: None,
            variable: None,
        }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn otherwise(self, otherwise: &'static str) -> Self {
        Self { otherwise: Some(otherwise), ..self }
    }

    const fn value(self, value_name: &'static str) -> Self {
        Self { value_name, ..self }
    }

    const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    const fn instead_of(self, keys: &'static [&'static str]) -> Self {
        Self { instead_of: keys, ..self }
    }

    /// Names the option, where its name is not that of the key.
    const fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    const fn variable(self, variable: &'static str) -> Self {
        Self { variable: Some(variable), ..self }
    }

    const fn without_option(self) -> Self {
        Self { has_option: false, ..self }
    }

    /// Returns the setting with this key.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Returns the long option, without its dashes.
    pub fn option(&self) -> String {
        self.name.map_or_else(|| self.key.replace(['.', '_'], "-"), str::to_owned)
    }

    /// Returns the variable of the environment.
    pub fn variable_name(&self) -> String {
        let of_option = || format!("GTM_{}", self.option().to_uppercase().replace('-', "_"));
        self.variable.map_or_else(of_option, str::to_owned)
    }

    /// Returns the table that holds the key, and the key in it. The table of top-level keys is empty.
    pub fn place(&self) -> (&'static str, &'static str) {
        self.key.rsplit_once('.').unwrap_or(("", self.key))
    }

    /// Whether its value may hold a secret.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// Whether a running host takes up a new value when it reads the settings file again.
    pub fn is_taken_up(&self) -> bool {
        let section = self.key.split('.').next().unwrap_or_default();
        ["plugins", "plugin_dir", "limits", "delivery", "retry", "breaker"].contains(&section)
    }

    /// Whether this is a setting of one plugin.
    pub fn is_of_plugin(&self) -> bool {
        self.key.starts_with("plugins.")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gtm_delivery::{BreakerPolicy, DeliverySettings, RetryPolicy};
    use gtm_runtime::Limits;

    use super::*;
    use crate::config::{LeaseSettings, NAME, Settings};

    /// The keys that the settings have at this place, as they are named where an unknown one is refused.
    fn keys(place: &str) -> BTreeSet<String> {
        let table = if place.is_empty() { String::new() } else { format!("[{place}]\n") };
        let refused = toml::from_str::<Settings>(&format!("{table}\"?\" = 1\n")).unwrap_err();
        let (_, expected) = refused.message().split_once(", expected ").unwrap();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_key_is_defined_once_and_no_other() {
        let places: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.place().0).collect();
        for place in places {
            let of_plugins = place.replace('*', "x");
            let own = SETTINGS.iter().filter(|setting| setting.place().0 == place);
            let names: Vec<_> = own.map(|setting| setting.place().1.to_owned()).collect();
            let tables = SETTINGS.iter().filter_map(|setting| {
                let rest = setting.key.strip_prefix(place)?;
                let rest = if place.is_empty() { rest } else { rest.strip_prefix('.')? };
                rest.split_once('.').map(|(table, _)| table.to_owned())
            });
            let all: BTreeSet<_> = names.iter().cloned().chain(tables).collect();
            assert_eq!(all, keys(&of_plugins), "[{place}]");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "[{place}]");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_host() {
        let mut all = toml::Table::new();
        for setting in SETTINGS.iter().filter(|setting| !setting.is_of_plugin()) {
            if let Some(default) = setting.default {
                let value = setting.parse(default).unwrap_or_else(|error| panic!("{}: {error}", setting.key));
                crate::config::layers::insert(&mut all, setting.key, value);
            }
        }
        let settings = Settings::deserialize(all).unwrap();
        assert_eq!(settings.limits(), Limits::default());
        assert_eq!(settings.delivery, DeliverySettings::default());
        assert_eq!(settings.retry, RetryPolicy::default());
        assert_eq!(settings.breaker, BreakerPolicy::default());
        assert_eq!(settings.lease, LeaseSettings::default());
        assert_eq!(settings.source.kind, Settings::default().source.kind);
        assert_eq!(settings.source.on_history_lost, Settings::default().source.on_history_lost);
        assert_eq!(settings.store.kind, Settings::default().store.kind);
        assert_eq!(settings.source.start, Some(gtm_source::StartAt::default()));
        assert_eq!(settings.admin.ready_grace, Some(crate::admin::READY_GRACE));
        assert_eq!(settings.name(), NAME);
    }

    #[test]
    fn options_and_variables_are_distinct() {
        let with_option = || SETTINGS.iter().filter(|setting| setting.has_option);
        for names in [
            with_option().map(Setting::option).collect::<Vec<_>>(),
            with_option().map(Setting::variable_name).collect(),
        ] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        }
    }

    use serde::Deserialize;
}
