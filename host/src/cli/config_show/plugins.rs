//! The settings of plugins that a host would have, as keys of a settings file.

use std::collections::BTreeSet;

use gtm_host::config::{ConfigValue, HIDDEN, PluginSettings, Settings, quoted_key};
use gtm_runtime::Secret;
use toml::{Table, Value};

use super::{Shown, hidden, text, without_secrets};

/// The key of what every plugin has that is not in the settings yet.
const EVERY_PLUGIN: &str = "plugins.*";

/// Returns whether the key is one of a plugin whose name is not known yet.
pub(super) fn is_of_every_plugin(key: &str) -> bool {
    key.starts_with(EVERY_PLUGIN)
}

/// What is known about the settings of plugins besides the settings themselves.
pub(super) struct PluginsShown<'a> {
    /// The grants of the command line, each with the plugin that has it, or none for all.
    pub(super) grants: &'a [(Option<&'a str>, &'a str)],
    /// The keys of values of configs that are not secret.
    pub(super) public: &'a BTreeSet<String>,
    /// Returns where the values of an option come from, by its id.
    pub(super) origin: &'a dyn Fn(&str) -> String,
}

/// Returns the settings of plugins, from the settings file and the command line.
pub(super) fn of_plugins(settings: &Settings, plugins: &PluginsShown<'_>) -> Vec<Shown> {
    let PluginsShown { grants, public, origin } = *plugins;
    let mut shown = Vec::new();
    for (key, value, origin) in settings.origins.of_plugins() {
        // Headers may be a table of their own.
        let is_secret = (key.contains(".config.") && !public.contains(key))
            || key.contains(".headers.")
            || key.contains(".aws_sigv4.");
        let value = if is_secret { hidden(value) } else { without_secrets(value) };
        shown.push(Shown { key: key.to_owned(), value: Some(value), origin: origin.to_string() });
    }
    for (name, plugin) in &settings.plugins {
        let place = format!("plugins.{}", quoted_key(name));
        for (key, value, id) in own_values(plugin) {
            let new = Shown { key: format!("{place}.{key}"), value: Some(value), origin: origin(id) };
            match shown.iter_mut().find(|shown| shown.key == new.key) {
                // The settings file may have the same path, relative to it.
                Some(found) if !is_same(found.value.as_ref(), new.value.as_ref()) => *found = new,
                Some(_) => {}
                None => shown.push(new),
            }
        }
    }
    let of_plugins = settings.plugins.iter().map(|(name, plugin)| ("plugins", name, &plugin.config));
    let of_filters = settings.filters.iter().map(|(name, filter)| ("filters", name, &filter.config));
    for (table, name, config) in of_plugins.chain(of_filters) {
        let place = format!("{table}.{}", quoted_key(name));
        for (key, value) in config {
            let key = format!("{place}.config.{}", quoted_key(key));
            let is_of_file = settings.origins.get(&key).is_some_and(|(written, _)| is_config(written, value));
            if !is_of_file {
                shown.retain(|shown| shown.key != key);
                let value = if public.contains(&key) { text(&value.to_string()) } else { text(HIDDEN) };
                shown.push(Shown { key, value: Some(value), origin: origin("values") });
            }
        }
    }
    let names = || settings.plugins.keys().map(|name| format!("plugins.{}", quoted_key(name)));
    for (plugin, grant) in grants {
        let places: Vec<_> = match plugin {
            Some(name) => vec![format!("plugins.{}", quoted_key(name))],
            None if settings.plugin_dir.is_some() => names().chain([EVERY_PLUGIN.to_owned()]).collect(),
            None => names().collect(),
        };
        for place in places {
            add_grant(&mut shown, &format!("{place}.grants"), grant, &origin("grants"));
        }
    }
    shown
}

/// Returns the values of a plugin that the command line can set by options of their own, with the ids of these.
fn own_values(plugin: &PluginSettings) -> impl Iterator<Item = (&'static str, Value, &'static str)> {
    let PluginSettings { path, sha256, restart_from, filters, .. } = plugin;
    let filters: Vec<_> = filters.iter().map(|path| text(&path.to_string_lossy())).collect();
    let all = [
        ("path", path.as_ref().map(|path| text(&path.to_string_lossy())), "plugins"),
        ("sha256", sha256.as_ref().map(|sha256| text(&sha256.to_string())), "plugins"),
        ("filters", (!filters.is_empty()).then_some(Value::Array(filters)), "filters"),
        ("restart_from", restart_from.as_ref().map(|start| text(start.words())), "restart_from"),
    ];
    all.into_iter().filter_map(|(key, value, id)| Some((key, value?, id)))
}

fn is_same(written: Option<&Value>, value: Option<&Value>) -> bool {
    match (written, value) {
        (Some(Value::String(written)), Some(Value::String(value))) => {
            std::path::Path::new(value).ends_with(written.trim_start_matches("./"))
        }
        (Some(Value::Array(written)), Some(Value::Array(values))) => {
            written.len() == values.len()
                && written.iter().zip(values).all(|(written, value)| is_same(Some(written), Some(value)))
        }
        _ => false,
    }
}

/// Returns whether the settings file has this value of a plugin's config.
fn is_config(written: &Value, value: &ConfigValue) -> bool {
    match (written, value) {
        (Value::String(written), ConfigValue::Secret(Secret::Value(value))) => written == value,
        (Value::Integer(written), ConfigValue::Integer(value)) => written == value,
        (Value::Float(written), ConfigValue::Float(value)) => written == value,
        (Value::Boolean(written), ConfigValue::Flag(value)) => written == value,
        (Value::Array(_), ConfigValue::Texts(_)) => true,
        (Value::Table(_), ConfigValue::Secret(Secret::Env { .. } | Secret::File { .. })) => true,
        _ => false,
    }
}

/// Adds a grant of the command line to those of a plugin, as the settings file would have it. `place` is the key of its grants.
fn add_grant(shown: &mut Vec<Shown>, place: &str, grant: &str, origin: &str) {
    let Some((key, value)) = in_file(grant) else { return };
    let key = format!("{place}.{key}");
    let mail = format!("{place}.mail");
    if key == mail && shown.iter().any(|shown| shown.key.starts_with(&format!("{mail}."))) {
        return;
    }
    if key.starts_with(&format!("{mail}.")) {
        // A limit of the grant replaces `mail = true`.
        shown.retain(|shown| shown.key != mail);
    }
    match shown.iter_mut().find(|shown| shown.key == key) {
        Some(Shown { value: Some(Value::Array(list)), origin: of_list, .. }) => {
            list.extend(value.as_array().cloned().unwrap_or_default());
            if of_list != origin {
                *of_list = format!("{of_list} and {origin}");
            }
        }
        Some(found) => (found.value, found.origin) = (Some(value), origin.to_owned()),
        None => shown.push(Shown { key, value: Some(value), origin: origin.to_owned() }),
    }
}

/// Returns the key and the value that a grant has in the settings file, below `grants`.
fn in_file(grant: &str) -> Option<(&'static str, Value)> {
    let (name, value) = grant.split_once('=').unwrap_or((grant, ""));
    let list = || Value::Array(vec![text(value)]);
    let table = |pairs: Vec<(&str, Value)>| {
        let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
        Value::Array(vec![Value::Table(Table::from_iter(pairs))])
    };
    Some(match name {
        "mail" => ("mail", true.into()),
        "state" => ("state", true.into()),
        "mail-from" => ("mail.from", list()),
        "mail-to" => ("mail.to", list()),
        "mail-per-minute" => ("mail.per_minute", value.parse::<i64>().ok()?.into()),
        "http" => ("http", list()),
        "http-private" => ("http", table(vec![("url", text(value)), ("private", true.into())])),
        "tcp" => ("tcp", list()),
        "tcp-private" => ("tcp", table(vec![("server", text(value)), ("private", true.into())])),
        "tls" => ("tcp", table(vec![("server", text(value)), ("tls", true.into())])),
        "tls-private" => {
            ("tcp", table(vec![("server", text(value)), ("tls", true.into()), ("private", true.into())]))
        }
        "mongodb-read" => ("mongodb.read", list()),
        "mongodb-write" => ("mongodb.write", list()),
        "env" => ("env", list()),
        "dir" | "dir-write" => {
            let (host, guest) = value.rsplit_once(':')?;
            let pairs =
                vec![("host", text(host)), ("guest", text(guest)), ("write", (name == "dir-write").into())];
            ("dirs", table(pairs))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use gtm_host::config::in_one_line;
    use gtm_runtime::{Grant, Grants};

    use super::*;

    /// One grant of each form.
    const FORMS: [&str; 18] = [
        "mail",
        "mail-from=a@a.example",
        "mail-to=*@a.example",
        "mail-per-minute=5",
        "state",
        "http=https://a.example",
        "http=GET,POST https://a.example/x",
        "http-private=http://solr:8983",
        "tcp=redis.example.com:6379",
        "tcp-private=db.internal:5432",
        "tls=redis.example.com:6380",
        "tls-private=[fd00::1]:5432",
        "mongodb-read=shop.*",
        "mongodb-write=shop.sums",
        "env=HOME",
        "env=PATH",
        "dir=/srv/a:b:/t",
        "dir-write=/srv:/s",
    ];

    #[test]
    fn each_grant_is_shown_as_a_settings_file_has_it() {
        for count in 1..=FORMS.len() {
            for forms in [&FORMS[..count], &FORMS[count - 1..], &FORMS[count - 1..count]] {
                let (mut shown, mut granted) = (Vec::new(), Grants::default());
                for form in forms {
                    let (name, value) =
                        form.split_once('=').map_or((*form, None), |(name, value)| (name, Some(value)));
                    granted.add(Grant::parse(name, value).unwrap());
                    add_grant(&mut shown, "grants", form, "--grant");
                }
                let lines = shown
                    .iter()
                    .map(|shown| format!("{} = {}\n", shown.key, in_one_line(shown.value.as_ref().unwrap())));
                let text = lines.collect::<String>();
                let read: toml::Table =
                    toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                let read = Grants::deserialize(read["grants"].clone()).unwrap();
                assert_eq!(read, granted, "{text}");
            }
        }
    }

    #[test]
    fn a_form_that_is_not_known_has_no_place() {
        let listed = Grant::parse("", None).unwrap_err();
        let names = listed.split([' ', ',']).filter_map(|word| word.split_once('=').map(|(name, _)| name));
        let known = |name: &str| FORMS.iter().any(|form| form.starts_with(&format!("{name}=")));
        let unknown: Vec<_> = names.filter(|name| !name.starts_with('(') && !known(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    use serde::Deserialize;
}
