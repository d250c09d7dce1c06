//! Reads the host's log by events and fields. Its sentences may change.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Returns whether a line is this event with these fields.
pub fn is_event(line: &Value, event: &str, fields: &[(&str, &str)]) -> bool {
    line["event"] == event && fields.iter().all(|(name, value)| field(line, name) == *value)
}

/// Returns a field as text, which is empty if there is no such field.
pub fn field<'a>(line: &'a Value, name: &str) -> Cow<'a, str> {
    match &line[name] {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Returns the error of a line and the help for it, as one text.
pub fn error(line: &Value) -> String {
    let (error, help) = (field(line, "error"), field(line, "help"));
    if help.is_empty() { error.into_owned() } else { format!("{error}. help: {help}") }
}

/// Counts the events with these fields.
pub fn count<'a>(lines: impl IntoIterator<Item = &'a Value>, event: &str, fields: &[(&str, &str)]) -> usize {
    lines.into_iter().filter(|line| is_event(line, event, fields)).count()
}

/// Returns whether a log in the text format has an event with these fields.
pub fn has(text: &str, event: &str, fields: &[(&str, &str)]) -> bool {
    count(&parse(text), event, fields) > 0
}

/// Parses a log in the text format into its events, as in the JSON format but without their time, level and target. Other
/// lines are left out.
pub fn parse(text: &str) -> Vec<Value> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Value> {
    let mut rest = &line[line.find(" event=")?..];
    let mut fields = Map::new();
    while let Some((name, after)) = rest.trim_start().split_once('=') {
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, rest) = after.split_once(' ').unwrap_or((after, ""));
                (value.to_owned(), rest)
            }
        };
        fields.insert(name.to_owned(), value.into());
    }
    Some(fields.into())
}

/// Returns a value up to its closing quote, and what follows.
fn unquote(quoted: &str) -> (String, &str) {
    let (mut value, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next().filter(|character| *character != '"') {
        value.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    (value, characters.as_str())
}

#[test]
fn a_line_of_text_is_read_as_it_was_written() {
    let text =
        "gtm-host: error: none\n2026 INFO a: b=c event=a.b n=1 error=\"a \\\"b\\\" c=d \\\\\" help=x\nother";
    let [line] = &parse(text)[..] else { panic!("{:?}", parse(text)) };
    assert!(is_event(line, "a.b", &[("n", "1"), ("error", r#"a "b" c=d \"#), ("help", "x")]), "{line}");
}
