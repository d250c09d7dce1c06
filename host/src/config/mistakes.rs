//! Finds all mistakes in a settings file in one pass.

use std::collections::BTreeMap;
use std::fmt;

use serde_path_to_error::Segment;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::hint::in_words;
use super::{Settings, line};

/// The maximum number of mistakes that are listed.
const MAX_MISTAKES: usize = 100;

/// A mistake in a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The path of the key that is unknown, or whose value is not valid.
    pub key: Option<String>,
    /// What was expected. It does not repeat the line, which may contain a password.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, reason } = self;
        let key = key.as_ref().map(|key| format!(", {key}")).unwrap_or_default();
        write!(f, "line {line}{key}: {reason}")
    }
}

impl Mistake {
    fn new(text: &str, key: Option<String>, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or_default();
        let written = text.get(span.clone()).unwrap_or_default();
        let reason = in_words(error.message(), written, key.as_deref().unwrap_or_default());
        Self { line: line(text, span.start), key, reason }
    }
}

/// Returns all mistakes in this text, in the order of their lines. If it is not TOML, only the first is known.
pub(super) fn mistakes(text: &str) -> Vec<Mistake> {
    let mut document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => return vec![Mistake::new(text, None, &error)],
    };
    let (mut mistakes, mut shortened) = (Vec::new(), BTreeMap::new());
    // What is not valid is removed, so that the next mistake is found.
    while mistakes.len() < MAX_MISTAKES {
        let rest = toml::Deserializer::from(document.clone());
        let Err(error) = serde_path_to_error::deserialize::<_, Settings>(rest) else { break };
        let mut key = KeyPath { text: String::new(), shortened: &mut shortened };
        let is_removed = remove(document.get_mut(), &error.path().iter().collect::<Vec<_>>(), &mut key);
        let key = Some(key.text).filter(|key| !key.is_empty());
        mistakes.push(Mistake::new(text, key, error.inner()));
        if !is_removed {
            break;
        }
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    mistakes
}

/// The path of a key, which grows while a document is searched for it.
struct KeyPath<'a> {
    text: String,
    /// By the paths of lists, how many items were removed from the start of each.
    shortened: &'a mut BTreeMap<String, usize>,
}

impl KeyPath<'_> {
    fn push(&mut self, key: &str) {
        let dot = if self.text.is_empty() { "" } else { "." };
        self.text = format!("{}{dot}{}", self.text, super::layers::quoted_key(key));
    }

    /// Adds the rest of a path that is inside of an item of a list.
    fn push_rest(&mut self, rest: &[&Segment]) {
        for segment in rest {
            match segment {
                Segment::Seq { index } => self.text = format!("{}[{index}]", self.text),
                Segment::Map { key } => self.push(key),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
    }
}

/// Removes what is at the end of the path, and returns whether it is there. Of a list, removes the item and those before it, which are
/// valid: an item without one of its keys could be wrong because of that alone.
fn remove(table: &mut DeTable<'_>, path: &[&Segment], key: &mut KeyPath<'_>) -> bool {
    let [Segment::Map { key: name }, rest @ ..] = path else { return false };
    key.push(name);
    let Some(value) = table.get_mut(name.as_str()) else { return false };
    match (value.get_mut(), rest) {
        (DeValue::Table(inner), [Segment::Map { .. }, ..]) => remove(inner, rest, key),
        (DeValue::Array(list), [Segment::Seq { index }, inside @ ..]) => {
            let removed = key.shortened.entry(key.text.clone()).or_default();
            let place = *removed + index;
            *removed = place + 1;
            *list = without_first(list, index + 1);
            key.text = format!("{}[{place}]", key.text);
            key.push_rest(inside);
            true
        }
        _ => {
            key.push_rest(rest);
            table.remove(name.as_str()).is_some()
        }
    }
}

fn without_first<'t>(list: &DeArray<'t>, count: usize) -> DeArray<'t> {
    let mut rest = DeArray::new();
    let items = list.iter().skip(count).cloned();
    items.for_each(|item: Spanned<DeValue<'t>>| rest.push(item));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SETTINGS, Setting};

    fn shown(text: &str) -> Vec<String> {
        mistakes(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_mistakes_are_found_in_the_order_of_their_lines() {
        let text = "nam = \"x\"\nstore = 3\nadmin = \"x\"\n[delivery]\nlanes = \"4\"\nbatch_wait = 5\nlane = 1\n[mail]\nurll = \"x\"\n\
                    [plugins.x]\npath = \"x.wasm\"\nlane = 3\n[plugins.x.grants]\nhttp = [\"https://a\", 3, \"https://b\", { uri = 1 }]\n\
                    dirs = [{ host = \"a\" }]\n[plugins.\"a.b\"]\npath = 5\n";
        let expected = [
            "line 1, nam: unknown key `nam`, ",
            "line 2, store: expected mongodb, file:DIR, none, or a table with kind and database; found 3",
            "line 3, admin: expected a table; found a text",
            "line 5, delivery.lanes: expected a whole number without quotes; found a text",
            "line 6, delivery.batch_wait: 5 is not a time: write it in quotes with its unit, like \"30s\" or \"500ms\"",
            "line 7, delivery.lane: unknown key `lane`, ",
            "line 9, mail.urll: unknown key `urll`, ",
            "line 12, plugins.x.lane: unknown key `lane`, ",
            "line 14, plugins.x.grants.http[1]: expected a server like \"https://api.example.com\", ",
            "line 14, plugins.x.grants.http[3].uri: unknown key `uri`, ",
            "line 15, plugins.x.grants.dirs[0]: the key `guest` is missing",
            "line 17, plugins.\"a.b\".path: 5 must be in quotes: \"5\"",
        ];
        let shown = shown(text);
        assert_eq!(shown.len(), expected.len(), "{shown:#?}");
        for (shown, expected) in shown.iter().zip(expected) {
            assert!(shown.starts_with(expected), "{shown}\n{expected}");
        }
        for (line, nearest) in [(0, "name"), (5, "lanes"), (6, "url"), (7, "lanes")] {
            assert!(shown[line].ends_with(&format!("Did you mean `{nearest}`?")), "{}", shown[line]);
        }
    }

    /// Words of the language in which the host is written.
    const FOREIGN: [&str; 16] = [
        "u8",
        "u16",
        "u32",
        "u64",
        "usize",
        "i64",
        "f64",
        "struct",
        "sequence",
        " map",
        "variant",
        "field",
        "boolean",
        "invalid type",
        "wanted",
        "integer",
    ];

    #[test]
    fn a_value_of_another_type_is_refused_in_plain_words() {
        let values = [
            "\"s3cret text\"",
            "\"4\"",
            "3",
            "-3",
            "99999999999999",
            "1.5",
            "true",
            "[3]",
            "[]",
            "{ a = 3 }",
            "2026-01-31",
        ];
        let lists = ["plugins.*.grants.http", "plugins.*.grants.dirs", "plugins.*.grants.mail"];
        let inside = [
            "plugins.*.grants.http = [{ url = VALUE }]",
            "plugins.*.grants.http = [{ url = \"https://h\", private = VALUE }]",
            "plugins.*.grants.http = [{ url = \"https://h\", methods = VALUE }]",
            "plugins.*.grants.http = [{ url = \"https://h\", headers = VALUE }]",
            "plugins.*.grants.http = [{ url = \"https://h\", aws_sigv4 = VALUE }]",
            "plugins.*.grants.http = [{ url = \"https://h\", aws_sigv4 = { region = VALUE } }]",
            "plugins.*.grants.http = [VALUE]",
            "plugins.*.grants.dirs = [VALUE]",
            "plugins.*.grants.dirs = [{ host = VALUE, guest = \"/a\" }]",
            "plugins.*.grants.dirs = [{ host = \"a\", guest = \"/a\", write = VALUE }]",
            "plugins.*.grants.mail = { per_minute = VALUE }",
            "plugins.*.grants.mail = { from = VALUE }",
            "plugins.*.config.k = VALUE",
            "plugins.* = VALUE",
            "plugins = VALUE",
            "limits = VALUE",
        ];
        let alone = SETTINGS.iter().map(|Setting { key, .. }| format!("{key} = VALUE"));
        let mut count = 0;
        for form in alone.chain(inside.map(str::to_owned)) {
            for value in values {
                let text = form.replace('*', "x").replace("VALUE", value);
                for mistake in mistakes(&text) {
                    count += 1;
                    let words = mistake.reason.replace("`", " ");
                    let is_foreign = |word: &&&str| words.contains(**word);
                    assert_eq!(FOREIGN.iter().find(is_foreign), None, "{text}: {mistake}");
                    let may_quote = lists.iter().any(|list| text.starts_with(&list.replace('*', "x")));
                    assert!(
                        may_quote || !text.contains("uri = \"s3") || !words.contains("s3cret"),
                        "{text}: {mistake}"
                    );
                }
            }
        }
        assert!(count > 300, "{count}");
    }
}
