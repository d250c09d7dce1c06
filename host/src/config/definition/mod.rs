//! Defines each setting: its name, type, default and description. Options, variables, the checks of values, `config show`, the
//! reference page, the JSON schema, the man pages and shell completions come from these definitions.
//!
//! A setting has one name in all three places: the key `section.some_key` of the settings file is the option `--section-some-key` and the
//! variable `GTM_SECTION_SOME_KEY`. A few that people often type have a shorter option beside it.

mod table;
mod value;

pub use table::SETTINGS;

/// The type of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that may contain a password.
    Secret,
    /// A text with at least one character.
    Name,
    /// A path. In the settings file, it is relative to the directory of that file.
    Path,
    /// Several paths. In a variable, each line is one.
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
    /// A position to begin at.
    Start,
    /// One of these words.
    Choice(&'static [(&'static str, &'static str)]),
    /// An array, which has no option of its own.
    List,
    /// A table with any keys, which has no option of its own.
    Table,
    /// True or false, or a table with details.
    FlagOrTable,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The path of its key in the settings file, such as `source.uri`. `*` is the name of a plugin or filter.
    pub key: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its default, as it is written on the command line.
    pub default: Option<&'static str>,
    /// What the host does if the setting has neither a value nor a default.
    pub otherwise: Option<&'static str>,
    /// What it does: the first sentence is the summary.
    pub doc: &'static str,
    /// The word for its value in the help, such as `FILE`.
    pub value_name: &'static str,
    /// The option of one letter.
    pub short: Option<char>,
    /// A shorter name of the option, which people type.
    pub short_name: Option<&'static str>,
    /// Whether it has an option and a variable of its own.
    pub has_option: bool,
    /// The keys that set the same in another way. A value replaces those that these keys have in lower layers.
    pub instead_of: &'static [&'static str],
    /// Variables that other programs use for the same. Its own variable overrides them.
    pub shared_variables: &'static [&'static str],
    /// The name that the option had in earlier versions.
    pub old_option: Option<&'static str>,
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
            short_name: None,
            has_option: true,
            instead_of: &[],
            shared_variables: &[],
            old_option: None,
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

    const fn short_name(self, name: &'static str) -> Self {
        Self { short_name: Some(name), ..self }
    }

    const fn shared_variable(self, names: &'static [&'static str]) -> Self {
        Self { shared_variables: names, ..self }
    }

    const fn formerly(self, option: &'static str) -> Self {
        Self { old_option: Some(option), ..self }
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
        self.key.replace(['.', '_'], "-")
    }

    /// Returns the option that help and errors name, without its dashes: the shorter one, if there is one.
    pub fn usual_option(&self) -> String {
        self.short_name.map_or_else(|| self.option(), str::to_owned)
    }

    /// Returns the variable of the environment.
    pub fn variable(&self) -> String {
        variable_of(&self.option())
    }

    /// Returns the variable that the setting had in earlier versions, if it had another one: it was named after the option.
    pub fn old_variable(&self) -> Option<String> {
        let option = self.old_option.or(self.short_name).filter(|_| self.shared_variables.is_empty())?;
        Some(variable_of(option))
    }

    /// Returns the variable that sets it, of those for which `is_set` holds: its own, or else a shared one, or else that of earlier
    /// versions.
    pub fn set_variable(&self, is_set: impl Fn(&str) -> bool) -> Option<String> {
        let shared = self.shared_variables.iter().map(|name| (*name).to_owned());
        let mut all = std::iter::once(self.variable()).chain(shared).chain(self.old_variable());
        all.find(|name| is_set(name))
    }

    /// Returns the table that holds the key, and the key in it. The table of a top-level key is empty.
    pub fn place(&self) -> (&'static str, &'static str) {
        self.key.rsplit_once('.').unwrap_or(("", self.key))
    }

    /// Returns whether its value may hold a secret.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// Returns whether a running host applies a new value when it reads the settings file again.
    pub fn applies_on_reload(&self) -> bool {
        let section = self.key.split('.').next().unwrap_or_default();
        ["plugins", "filters", "plugin_dir", "limits", "delivery", "retry", "breaker"].contains(&section)
    }

    /// Returns whether this is a setting of one plugin or filter.
    pub fn is_of_plugin(&self) -> bool {
        self.key.contains('*')
    }
}

/// Returns the variable that is named after an option.
fn variable_of(option: &str) -> String {
    format!("GTM_{}", option.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gtm_delivery::{BreakerPolicy, DeliverySettings, RetryPolicy};
    use gtm_runtime::Limits;

    use super::*;
    use crate::config::{LeaseSettings, NAME, Settings};

    /// Returns the keys that the settings have in a table. The error for an unknown key lists them.
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
    fn a_setting_has_one_name_in_all_three_places() {
        for setting in SETTINGS.iter().filter(|setting| setting.has_option) {
            let words = setting.key.replace('.', "_");
            assert_eq!(setting.option().replace('-', "_"), words);
            assert_eq!(setting.variable(), format!("GTM_{}", words.to_uppercase()));
        }
    }

    /// Each exception is a promise, so that none is added by the way.
    #[test]
    fn few_settings_have_a_shorter_option_or_a_shared_variable() {
        let short: Vec<_> = SETTINGS.iter().filter_map(|setting| setting.short_name).collect();
        assert_eq!(short, ["store", "uri", "start", "snapshot", "admin", "log"]);
        let shared: Vec<_> = SETTINGS.iter().flat_map(|setting| setting.shared_variables).collect();
        assert_eq!(shared, [&"MONGODB_URI", &"MONGODB_URI_FILE"]);
    }

    #[test]
    fn options_and_variables_are_distinct() {
        let with_option = || SETTINGS.iter().filter(|setting| setting.has_option);
        let shared = |setting: &Setting| setting.shared_variables.iter().map(|name| (*name).to_owned());
        let short = |setting: &Setting| setting.short_name.or(setting.old_option).map(str::to_owned);
        for names in [
            with_option().flat_map(|setting| [Some(setting.option()), short(setting)]).flatten().collect(),
            with_option()
                .flat_map(|setting| shared(setting).chain([setting.variable()]).chain(setting.old_variable()))
                .collect::<Vec<_>>(),
        ] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    use serde::Deserialize;
}
