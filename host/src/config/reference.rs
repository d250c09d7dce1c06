//! The reference of all settings, and their JSON schema for editors.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::definition::{Kind, SETTINGS, Setting};

const HEAD: &str = "\
# Settings

This page lists every setting: its key in the settings file, its option and its variable. `gtm-host config reference` prints it. An option
overrides its variable, and a variable overrides the settings file (`--config`). [Configuration](configuration.md) explains how they work
together.

";

/// Returns the reference page, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut section = None;
    for setting in SETTINGS {
        let (table, key) = setting.place();
        if section != Some(table) {
            let title =
                if table.is_empty() { "Top level".to_owned() } else { format!("`[{}]`", named(table)) };
            let _ = writeln!(page, "## {title}\n");
            section = Some(table);
        }
        let _ = writeln!(page, "### `{key}`\n\n{}.\n", setting.doc);
        describe(&mut page, setting);
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn describe(page: &mut String, setting: &Setting) {
    let _ = writeln!(page, "- Type: {}", type_name(setting.kind));
    match (setting.default, setting.otherwise) {
        (Some(default), _) => {
            let _ = writeln!(page, "- Default: `{default}`");
        }
        (None, Some(otherwise)) => {
            let _ = writeln!(page, "- If it is not set: {otherwise}");
        }
        (None, None) => {}
    }
    if setting.has_option {
        let short = setting.short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
        let short_name = setting.short_name.map(|name| format!("`--{name}`, ")).unwrap_or_default();
        let _ = writeln!(page, "- Option: {short}{short_name}`--{}`", setting.option());
        let shared = setting.shared_variables.iter().map(|name| format!(", `{name}`")).collect::<String>();
        let _ = writeln!(page, "- Variable: `{}`{shared}", setting.variable());
    }
    if !setting.instead_of.is_empty() {
        let others: Vec<_> = setting.instead_of.iter().map(|key| format!("`{key}`")).collect();
        let _ = writeln!(page, "- Instead of: {}", others.join(", "));
    }
    if let Kind::Choice(words) = setting.kind {
        for (word, doc) in words {
            let _ = writeln!(page, "- `{word}`: {doc}");
        }
    }
    if setting.applies_on_reload() {
        let _ = writeln!(page, "- A running host applies a new value on SIGHUP");
    }
}

/// Returns the name of the table, with a word for the name of a plugin.
fn named(table: &str) -> String {
    table.replace('*', "NAME")
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Name => "text",
        Kind::Secret => "text, which may contain a password",
        Kind::Path => "path, in the settings file relative to it",
        Kind::Paths => "list of paths, in the settings file relative to it",
        Kind::Flag => "true or false",
        Kind::Count => "whole number",
        Kind::Size => "size with its unit, such as `64 MiB`",
        Kind::SizeOrZero => "size with its unit, such as `64 MiB`, or 0",
        Kind::Time => "time with its unit, such as `30s` or `500ms`",
        Kind::Start => "position",
        Kind::Choice(_) => "one of the words below",
        Kind::List => "list",
        Kind::Table => "table",
        Kind::FlagOrTable => "true, false or a table",
    }
}

/// Returns a JSON schema of the settings file.
pub fn schema() -> Value {
    let mut root = table();
    for setting in SETTINGS {
        put(&mut root, setting.key, property(setting));
    }
    // The limits of one plugin or filter have the keys of [limits], and the store may be a word instead of a table.
    let limits = root.pointer("/properties/limits").cloned().unwrap_or_default();
    for place in ["plugins", "filters"] {
        let pointer = format!("/properties/{place}/additionalProperties/properties/limits");
        if let Some(of_one) = root.pointer_mut(&pointer) {
            of_one.clone_from(&limits);
        }
    }
    let word = root.pointer("/properties/store/properties/kind").cloned().unwrap_or_default();
    if let Some(store) = root.pointer_mut("/properties/store") {
        *store = json!({ "anyOf": [word, store.take()] });
    }
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("Settings of gtm-host"));
    }
    root
}

fn table() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

fn put(schema: &mut Value, key: &str, property: Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let place = match first {
        // Any plugin.
        "*" => schema.entry("additionalProperties").or_insert(Value::Null),
        _ => match schema.get_mut("properties") {
            Some(Value::Object(properties)) => properties.entry(first).or_insert(Value::Null),
            _ => return,
        },
    };
    match rest {
        None => *place = property,
        Some(rest) => {
            if !place.is_object() {
                *place = table();
            }
            put(place, rest, property);
        }
    }
}

fn property(setting: &Setting) -> Value {
    let text = || json!({ "type": "string" });
    let mut property = match setting.kind {
        Kind::Text | Kind::Secret | Kind::Path | Kind::Time | Kind::Start | Kind::Size => text(),
        Kind::Name => json!({ "type": "string", "minLength": 1 }),
        Kind::Paths => json!({ "type": "array", "items": text() }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::SizeOrZero => json!({ "anyOf": [text(), { "const": 0 }] }),
        Kind::Choice(words) => {
            json!({ "enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>() })
        }
        Kind::List => json!({ "type": "array" }),
        Kind::Table => json!({ "type": "object" }),
        Kind::FlagOrTable => json!({ "type": ["boolean", "object"] }),
    };
    if let Some(property) = property.as_object_mut() {
        describe_property(property, setting);
    }
    property
}

fn describe_property(property: &mut Map<String, Value>, setting: &Setting) {
    property.insert("description".to_owned(), json!(setting.doc));
    let Some(text) = setting.default else { return };
    let default = match setting.kind {
        Kind::Count => text.parse::<u64>().map(Value::from).ok(),
        Kind::Flag | Kind::FlagOrTable => text.parse::<bool>().map(Value::from).ok(),
        _ => Some(json!(text)),
    };
    if let Some(default) = default {
        property.insert("default".to_owned(), default);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/settings.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == reference(),
            "docs/reference/settings.md is out of date. help: run gtm-host config reference > docs/reference/settings.md"
        );
    }

    /// The keys of the example are those of the schema, and have its types.
    #[test]
    fn the_example_fits_the_schema() {
        fn check(schema: &Value, value: &Value, place: &str) {
            let one = std::slice::from_ref(schema);
            let schemas = schema.get("anyOf").and_then(Value::as_array).map_or(one, Vec::as_slice);
            let fits = |schema: &&Value| match value {
                Value::Object(_) => {
                    schema["type"] == "object"
                        || schema["type"].as_array().is_some_and(|types| types.contains(&json!("object")))
                }
                Value::String(text) => {
                    schema["type"] == "string"
                        || schema["enum"].as_array().is_some_and(|words| words.contains(&json!(text)))
                }
                Value::Number(_) => schema["type"] == "integer" || schema["const"] == *value,
                Value::Bool(_) => {
                    schema["type"] == "boolean"
                        || schema["type"].as_array().is_some_and(|types| types.contains(&json!("boolean")))
                }
                Value::Array(_) => schema["type"] == "array",
                Value::Null => false,
            };
            let schema = schemas.iter().find(fits).unwrap_or_else(|| panic!("{place}: {value} {schema}"));
            let (Value::Object(keys), Some(properties)) = (value, schema.get("properties")) else { return };
            for (key, value) in keys {
                let more = &schema["additionalProperties"];
                let property = properties.get(key).or(more.is_object().then_some(more));
                check(property.unwrap_or_else(|| panic!("{place}.{key}")), value, &format!("{place}.{key}"));
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/gtm.toml");
        let example: Value = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        check(&schema(), &example, "");
        let store = json!({ "store": { "kind": "none", "database": "x" } });
        check(&schema(), &store, "");
        let limits = schema().pointer("/properties/plugins/additionalProperties/properties/limits").cloned();
        assert!(limits.unwrap()["properties"]["memory"]["default"] == "256 MiB");
    }
}
