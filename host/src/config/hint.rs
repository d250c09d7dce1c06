//! Explains mistakes in settings: unknown keys with the nearest known one, and values of another type, in the words of settings.

use super::{Kind, Setting};

/// The least similarity of two names that counts as a typing mistake, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.5;

/// Returns the message of a parser in the words of settings: the nearest known key, or the type that the `written` value of the key at
/// `path` should have.
pub(super) fn in_words(message: &str, written: &str, path: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    unknown(&message)
        .or_else(|| missing(&message))
        .or_else(|| form(&message, written, path))
        .or_else(|| other_type(&message, written, path))
        .unwrap_or(message)
}

/// Returns the message for a key or a word that is not known.
fn unknown(message: &str) -> Option<String> {
    let (what, rest) = match message.strip_prefix("unknown field ") {
        Some(rest) => ("key", rest),
        None => ("word", message.strip_prefix("unknown variant ")?),
    };
    // The names between backticks: first the one that was found, then the expected ones.
    let mut names = rest.split('`').skip(1).step_by(2);
    let found = names.next()?;
    let hint = nearest(found, names).map(|nearest| format!(". Did you mean `{nearest}`?"));
    Some(format!("unknown {what} {rest}{}", hint.unwrap_or_default()))
}

/// Returns the known name that is most like this one, if it is like it.
pub fn nearest<'n>(found: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let like =
        |name: &str| strsim::normalized_damerau_levenshtein(&found.to_lowercase(), &name.to_lowercase());
    let nearest = known.max_by(|one, other| like(one).total_cmp(&like(other)))?;
    (like(nearest) >= MIN_SIMILARITY).then_some(nearest)
}

fn missing(message: &str) -> Option<String> {
    let key = message.strip_prefix("missing field ")?;
    Some(format!("the key {key} is missing"))
}

/// Returns the message for a value in another form. It does not repeat a value in quotes, which may be a secret.
fn form(message: &str, written: &str, path: &str) -> Option<String> {
    if message.starts_with("invalid value: string") && message.ends_with("expected a duration") {
        return Some(format!(
            "{written} is not a time: write a number and a unit, like \"30s\" or \"500ms\""
        ));
    }
    let is_bare = !written.is_empty()
        && written
            .chars()
            .all(|character: char| character.is_ascii_alphanumeric() || "-+.:_ ".contains(character));
    if !is_bare || !message.starts_with("invalid") {
        return None;
    }
    let is_text = ["expected a string", "expected string", "expected a text", "expected path string"]
        .iter()
        .any(|end| message.contains(end));
    let is_count = ["usize", "u64", "u32"].iter().any(|end| message.ends_with(&format!("expected {end}")));
    match (is_time(message, path), is_text) {
        (true, _) => Some(format!(
            "{written} is not a time: write it in quotes with its unit, like \"30s\" or \"500ms\""
        )),
        (_, true) => Some(format!("{written} must be in quotes: \"{written}\"")),
        _ if is_count => Some(format!("{written} is not a count: write a whole number that is not negative")),
        _ => None,
    }
}

fn is_time(message: &str, path: &str) -> bool {
    message.ends_with("expected a duration") || kind(path) == Some(Kind::Time)
}

/// Returns the message for a value of another type. It does not repeat a text, which may be a secret.
fn other_type(message: &str, written: &str, path: &str) -> Option<String> {
    let is_text = written.starts_with(['"', '\'']);
    if message == "wanted string or table" || message.ends_with("expected string or table") {
        return Some(match kind(path) {
            Some(Kind::Choice(words)) => {
                let words =
                    words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
                format!("expected one of {words}")
            }
            _ => "expected a text in quotes".to_owned(),
        });
    }
    let rest = ["invalid type: ", "invalid value: ", "invalid length "];
    let rest = rest.iter().find_map(|start| message.strip_prefix(start))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    // The expectation may contain commas of its own.
    let (found, expected) = rest.split_once(", expected ").unwrap_or((found, expected));
    let expected = match expected {
        _ if is_time(message, path) => "a time in quotes with its unit, like \"30s\" or \"500ms\"",
        "a boolean" => "true or false",
        "a map" => "a table",
        "a nonzero u32" => "a whole number of 1 or more",
        "f32" | "f64" => "a number",
        "a string" | "string" | "path string" | "a character" => "a text in quotes",
        "a sequence" => list(path),
        _ if expected.starts_with("struct ") => "a table",
        _ if is_number(expected) && is_text => "a whole number without quotes",
        _ if is_number(expected) => "a whole number that is not negative",
        other => other,
    };
    Some(format!("expected {expected}; found {}", described(found)))
}

fn is_number(expected: &str) -> bool {
    ["usize", "u8", "u16", "u32", "u64", "i32", "i64"].contains(&expected)
}

/// Returns what a list at this path contains.
fn list(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("http") => "a list of servers, like [\"https://api.example.com\"]",
        Some("dirs") => "a list of tables, like [{ host = \"data\", guest = \"/data\" }]",
        _ => "a list of texts, like [\"a\", \"b\"]",
    }
}

/// Describes a value that was found, without the text that it may be.
fn described(found: &str) -> String {
    match found.split_once('`') {
        _ if found.starts_with("string") => "a text".to_owned(),
        Some((_, value)) => value.trim_end_matches('`').to_owned(),
        None => match found {
            "sequence" => "a list".to_owned(),
            "map" => "a table".to_owned(),
            other => other.to_owned(),
        },
    }
}

/// Returns the type of the setting at this path.
fn kind(path: &str) -> Option<Kind> {
    let of_plugin = || {
        let (_, key) = path.strip_prefix("plugins.")?.split_once('.')?;
        let key = if key.starts_with("limits.") { key.to_owned() } else { format!("plugins.*.{key}") };
        Setting::find(&key)
    };
    Setting::find(path).or_else(of_plugin).map(|setting| setting.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let hinted =
            in_words("unknown field `ur`, expected one of `uri`, `oplog`,\n`kind`", "ur", "source.ur");
        assert!(hinted.ends_with("expected one of `uri`, `oplog`, `kind`. Did you mean `uri`?"), "{hinted}");
        let hinted = in_words("unknown variant `nwo`, expected `now` or `oldest`", "", "");
        assert!(hinted.starts_with("unknown word `nwo`") && hinted.ends_with("mean `now`?"), "{hinted}");
    }

    #[test]
    fn an_unlike_name_is_not_suggested() {
        for message in [
            "unknown field `xyz`, expected one of `uri`, `oplog`",
            "unknown field `x`, there are no fields",
            "invalid type",
        ] {
            assert_eq!(in_words(message, "", ""), message.replace("unknown field", "unknown key"));
        }
    }
}
