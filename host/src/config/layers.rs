//! Layers settings: the environment overrides the settings file, and the command line overrides both. Each value keeps its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::definition::Setting;
use super::mistakes::mistakes;
use super::{ConfigError, SETTINGS, Settings, StoreKind};

/// What output shows instead of a secret. It is refused as the value of a secret.
pub const HIDDEN: &str = "(hidden)";

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The variable of the environment with this name.
    Variable(String),
    /// The option of the command line with this name.
    Option(String),
}

impl Origin {
    /// A variable that other programs share, such as MONGODB_URI, is below those of this program.
    fn layer(&self) -> u8 {
        let is_shared = |name: &str| SETTINGS.iter().any(|setting| setting.shared_variables.contains(&name));
        match self {
            Self::File { .. } => 0,
            Self::Variable(name) if is_shared(name) => 1,
            Self::Variable(_) => 2,
            Self::Option(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Option(name) => write!(f, "--{name}"),
        }
    }
}

/// A value that the environment or the command line has for a setting.
#[derive(Clone, PartialEq)]
pub struct GivenValue {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value, which is valid.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
}

impl GivenValue {
    /// Returns the old option by which it was set, if it was.
    fn old_option(&self) -> Option<OldName> {
        match &self.origin {
            Origin::Option(name) if self.setting.old_option == Some(name) => {
                Some(OldName { old: format!("--{name}"), new: format!("--{}", self.setting.option()) })
            }
            _ => None,
        }
    }
}

/// The value may be a secret.
impl fmt::Debug for GivenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, value: _, origin } = self;
        f.debug_struct("GivenValue")
            .field("key", &setting.key)
            .field("origin", origin)
            .finish_non_exhaustive()
    }
}

/// Returns the variables with names of earlier versions for which `is_set` holds, whether or not something overrides them.
pub fn old_variables(is_set: impl Fn(&str) -> bool) -> Vec<OldName> {
    let renamed = SETTINGS
        .iter()
        .filter(|setting| setting.has_option)
        .filter_map(|setting| Some(OldName { old: setting.old_variable()?, new: setting.variable() }));
    renamed.filter(|OldName { old, .. }| is_set(old)).collect()
}

/// An option or a variable that was set by the name that it had in earlier versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldName {
    /// The name that was used.
    pub old: String,
    /// The name that it has.
    pub new: String,
}

/// The values of all settings that have one, as they were written, with their origins.
#[derive(Clone, Default, PartialEq)]
pub struct Origins(BTreeMap<String, (Value, Origin)>);

/// The values may be secrets.
impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, (_, origin))| (key, origin))).finish()
    }
}

impl Origins {
    /// Returns the value of the setting with this key and its origin, if a layer has one.
    pub fn get(&self, key: &str) -> Option<(&Value, &Origin)> {
        self.0.get(key).map(|(value, origin)| (value, origin))
    }

    /// Returns the settings of plugins and filters in the settings file: their keys, values and origins.
    pub fn of_plugins(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        let all = self.0.iter().filter(|(key, _)| key.starts_with("plugins.") || key.starts_with("filters."));
        all.map(|(key, (value, origin))| (key.as_str(), value, origin))
    }

    fn is_of_file(&self, key: &str) -> bool {
        matches!(self.get(key), Some((_, Origin::File { .. })))
    }

    /// Puts a value over those of lower layers. Lists are joined.
    fn put(&mut self, setting: &'static Setting, mut value: Value, origin: Origin) {
        for key in setting.instead_of {
            if self.0.get(*key).is_some_and(|(_, other)| other.layer() < origin.layer()) {
                self.0.remove(*key);
            }
        }
        if let (Value::Array(more), Some((Value::Array(list), _))) = (&value, self.0.get(setting.key)) {
            value = Value::Array(list.iter().chain(more).cloned().collect());
        }
        self.0.insert(setting.key.to_owned(), (value, origin));
    }

    /// Checks values that are valid alone: a secret and its file in one layer, and a secret that is not one.
    fn check(&self) -> Result<(), ConfigError> {
        let named = |key: &str, origin: &Origin| match origin {
            Origin::File { .. } => format!("{key} ({origin})"),
            Origin::Variable(_) | Origin::Option(_) => origin.to_string(),
        };
        // Those of lower layers were removed.
        for setting in SETTINGS {
            for other in setting.instead_of {
                if let (Some((_, origin)), Some((_, of_other))) = (self.get(setting.key), self.get(other)) {
                    let (one, other) = (named(setting.key, origin), named(other, of_other));
                    return Err(ConfigError::Both { one, other });
                }
            }
        }
        let is_secret = |key: &str| {
            key.starts_with("plugins.")
                || key.starts_with("filters.")
                || Setting::find(key).is_some_and(Setting::is_secret)
        };
        let hidden = self.0.iter().filter(|(key, (value, _))| is_secret(key) && has_hidden(value));
        let hidden: Vec<_> = hidden.map(|(key, (_, origin))| named(key, origin)).collect();
        match hidden.is_empty() {
            true => Ok(()),
            false => Err(ConfigError::Hidden { keys: hidden.join(", ") }),
        }
    }
}

/// Returns whether a value is or contains the text that stands for a secret.
fn has_hidden(value: &Value) -> bool {
    match value {
        Value::String(text) => text == HIDDEN,
        Value::Array(items) => items.iter().any(has_hidden),
        Value::Table(table) => table.values().any(has_hidden),
        _ => false,
    }
}

impl Settings {
    /// Reads the settings file, if there is one, and puts the given values over it.
    ///
    /// # Errors
    /// The file cannot be read, or a setting is not valid.
    pub fn layered(file: Option<&Path>, given: &[GivenValue]) -> Result<Self, ConfigError> {
        let mut origins = Origins::default();
        let mut tree = Table::new();
        let mut listed = 0;
        if let Some(path) = file {
            let text = super::read(path)?;
            tree = parsed(path, &text)?;
            put_file(&mut origins, &tree, path, &text);
            listed =
                origins.get("admin.swap_from").map_or(0, |(list, _)| list.as_array().map_or(0, Vec::len));
        }
        let mut sorted: Vec<_> = given.iter().collect();
        sorted.sort_by_key(|given| given.origin.layer());
        for GivenValue { setting, value, origin } in sorted {
            origins.put(setting, value.clone(), origin.clone());
        }
        for setting in SETTINGS.iter().filter(|setting| !setting.is_of_plugin()) {
            match origins.get(setting.key) {
                Some((value, _)) => insert(&mut tree, setting.key, value.clone()),
                None => remove(&mut tree, setting.key),
            }
        }
        origins.check()?;
        let old_options = given.iter().filter_map(|given| given.old_option()).collect();
        let mut settings: Self = serde_path_to_error::deserialize(tree).map_err(|error| {
            // Each is valid alone. The text may contain a password.
            ConfigError::Combined {
                key: super::key(error.path()),
                reason: error.inner().message().to_owned(),
            }
        })?;
        let directory = file.and_then(Path::parent).unwrap_or(Path::new(""));
        settings.resolve(directory, &origins, listed);
        settings.origins = origins;
        settings.old_options = old_options;
        Ok(settings)
    }

    /// Resolves paths of the settings file against its directory. `listed` is the number of items in `swap_from` that the file has.
    fn resolve(&mut self, directory: &Path, origins: &Origins, listed: usize) {
        self.plugins.values_mut().for_each(|plugin| plugin.resolve(directory));
        self.filters.values_mut().for_each(|filter| filter.resolve(directory));
        let files = [
            ("source.uri_file", &mut self.source.uri_file),
            ("mail.url_file", &mut self.mail.url_file),
            ("workers.file", &mut self.workers.file),
            ("admin.token_file", &mut self.admin.token_file),
            ("cache_dir", &mut self.cache_dir),
            ("plugin_dir", &mut self.plugin_dir),
        ];
        for (key, path) in files {
            if let Some(path) = path.as_mut().filter(|_| origins.is_of_file(key)) {
                *path = directory.join(&*path);
            }
        }
        self.admin.swap_from.iter_mut().take(listed).for_each(|path| *path = directory.join(&*path));
        if origins.is_of_file("admin.listen") {
            self.admin.listen = self.admin.listen.take().map(|listen| listen.resolved(directory));
        }
        if let StoreKind::File(path) = &mut self.store.kind
            && origins.is_of_file("store.kind")
        {
            *path = directory.join(&*path);
        }
    }
}

/// Parses a file and checks its settings.
fn parsed(path: &Path, text: &str) -> Result<Table, ConfigError> {
    let mistakes = mistakes(text);
    let invalid = |mistakes| ConfigError::Invalid { path: path.to_owned(), mistakes };
    if !mistakes.is_empty() {
        return Err(invalid(mistakes));
    }
    // Cannot fail: the text was parsed.
    let mut tree: Table = toml::from_str(text).map_err(|_| invalid(Vec::new()))?;
    // The store may be a word instead of a table.
    if let Some(store @ Value::String(_)) = tree.get("store") {
        let kind = store.clone();
        tree.insert("store".to_owned(), Value::Table(Table::from_iter([("kind".to_owned(), kind)])));
    }
    Ok(tree)
}

fn put_file(origins: &mut Origins, tree: &Table, path: &Path, text: &str) {
    let Ok(lines) = DeTable::parse(text) else { return };
    let lines = lines.get_ref();
    let origin = |offset| Origin::File { path: path.to_owned(), line: super::line(text, offset) };
    for place in ["plugins", "filters"] {
        let (Some(Value::Table(named)), Some(lines)) = (tree.get(place), inner(lines, place)) else {
            continue;
        };
        flatten(place, named, lines, &mut |key, value, offset| {
            origins.0.insert(key, (value, origin(offset)));
        });
    }
    for setting in SETTINGS.iter().filter(|setting| !setting.is_of_plugin()) {
        if let Some(value) = find(tree, setting.key) {
            origins.put(setting, value.clone(), origin(offset(lines, setting.key).unwrap_or_default()));
        }
    }
}

/// Calls a function with each value of a table, the path of its key and its offset in the text.
fn flatten(place: &str, table: &Table, lines: &DeTable<'_>, found: &mut dyn FnMut(String, Value, usize)) {
    for (name, value) in table {
        let key = format!("{place}.{}", quoted_key(name));
        match (value, inner(lines, name)) {
            // In a plugin's config, a table is a value: it refers to a secret.
            (Value::Table(table), Some(lines)) if !place.ends_with(".config") => {
                flatten(&key, table, lines, found);
            }
            _ => {
                let name = lines.get_key_value(name.as_str());
                found(key, value.clone(), name.map_or(0, |(name, _)| name.span().start));
            }
        }
    }
}

/// Returns the key as TOML writes it: in quotes if it has other characters than letters, digits, `-` and `_`.
pub fn quoted_key(key: &str) -> String {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        false => quoted_text(key),
    }
}

/// Returns a text in double quotes, in which the escapes of JSON are those of TOML, too.
fn quoted_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns a value as TOML writes it, in one line.
pub fn in_one_line(value: &Value) -> String {
    let all = |values: Vec<String>| values.join(", ");
    match value {
        Value::String(text) => quoted_text(text),
        Value::Array(items) => format!("[{}]", all(items.iter().map(in_one_line).collect())),
        Value::Table(table) if table.is_empty() => "{}".to_owned(),
        Value::Table(table) => {
            let pair =
                |(key, value): (&String, &Value)| format!("{} = {}", quoted_key(key), in_one_line(value));
            format!("{{ {} }}", all(table.iter().map(pair).collect()))
        }
        other => other.to_string(),
    }
}

/// Returns a table that is inside of another.
fn inner<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<&'t DeTable<'a>> {
    match table.get(name)?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    }
}

/// Returns the offset of a key of the host in the text.
fn offset(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match (rest, inner(table, first)) {
        (Some(rest), Some(inner)) => offset(inner, rest),
        _ => table.get_key_value(first).map(|(name, _)| name.span().start),
    }
}

fn find<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        Some((first, rest)) => find(table.get(first)?.as_table()?, rest),
        None => table.get(key),
    }
}

/// Sets the value of a key.
pub(super) fn insert(table: &mut Table, key: &str, value: Value) {
    let Some((first, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        insert(inner, rest, value);
    }
}

fn remove(table: &mut Table, key: &str) {
    match key.split_once('.') {
        Some((first, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(first) {
                remove(inner, rest);
            }
        }
        None => drop(table.remove(key)),
    }
}
