//! The page of log events lists what the code logs: each event with its levels and fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use regex::Regex;

/// The crates of the host, with the program itself as the empty name.
const CRATES: [&str; 8] = ["", "text", "oplog", "mongo", "source", "store", "runtime", "delivery"];

#[derive(Debug, Default, PartialEq, Eq)]
struct LogEvent {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
    /// The fields that some lines lack.
    optional: BTreeSet<String>,
}

type LogEvents = BTreeMap<String, LogEvent>;

impl LogEvent {
    fn add<'a>(
        events: &mut LogEvents,
        name: &str,
        levels: impl IntoIterator<Item = &'a str>,
        fields: impl IntoIterator<Item = &'a str>,
    ) {
        let fields: BTreeSet<_> = fields.into_iter().map(str::to_owned).collect();
        let first = Self { fields: fields.clone(), ..Self::default() };
        let event = events.entry(name.to_owned()).or_insert(first);
        event.levels.extend(levels.into_iter().map(str::to_owned));
        event.optional.extend(event.fields.symmetric_difference(&fields).cloned());
        event.fields.extend(fields);
    }
}

/// Splits the arguments of a macro, which begin after its parenthesis, at the commas between them.
fn arguments(text: &str) -> Vec<&str> {
    let (mut all, mut start, mut depth, mut in_text) = (Vec::new(), 0, 0, false);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if in_text => drop(characters.next()),
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                all.push(text[start..at].trim());
                start = at + 1;
            }
            ')' => {
                all.push(text[start..at].trim());
                break;
            }
            _ => {}
        }
    }
    all.retain(|argument| !argument.is_empty());
    all
}

/// Adds what one file logs. The audit's actions are events without levels and fields.
fn add_events(path: &str, code: &str, events: &mut LogEvents) {
    let statement = Regex::new(r"tracing::(trace|debug|info|warn|error)!\(").unwrap();
    for found in statement.captures_iter(code) {
        let whole = found.get(0).unwrap();
        let (mut name, mut fields) = (None, Vec::new());
        for argument in arguments(&code[whole.end()..]) {
            if argument.starts_with('"') || argument.starts_with("target:") {
                continue;
            }
            let (field, value) = argument.split_once('=').unwrap_or((argument, ""));
            match field.trim().trim_start_matches(['%', '?']) {
                "event" => name = Some(value.trim().trim_matches('"')),
                field => fields.push(field),
            }
        }
        let name = name.unwrap_or_else(|| panic!("{path}: {} has no event", &code[whole.range()]));
        // Without a value, the name comes from the caller.
        if !name.is_empty() {
            LogEvent::add(events, name, [&found[1]], fields);
        }
    }
    for found in Regex::new(r#"\.pause\(\s*"([a-z_.]+)""#).unwrap().captures_iter(code) {
        LogEvent::add(events, &found[1], ["warn"], ["delay_ms", "error"]);
    }
    let audit =
        Regex::new(r#"(?:did|was_refused|recorded|self\.record)\(\s*(?:peer,\s*)?"([a-z ]+)""#).unwrap();
    for found in audit.captures_iter(code) {
        LogEvent::add(events, &format!("audit.{}", found[1].replace(' ', "_")), [], []);
    }
}

fn in_the_code() -> LogEvents {
    let mut events = LogEvents::new();
    let tests = Regex::new(r"#\[cfg\(test\)\]\nmod \w+ \{").unwrap();
    for name in CRATES {
        let mut files = Vec::new();
        super::rust_files(&super::root().join("host").join(name).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = tests.split(&text).next().unwrap();
            add_events(file.to_str().unwrap(), code, &mut events);
        }
    }
    events
}

/// Returns what is in backticks.
fn code_spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn on_the_page() -> LogEvents {
    let mut events = LogEvents::new();
    let page = fs::read_to_string(super::root().join("docs/reference/logs.md")).unwrap();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = code_spans(cells[1]).next().unwrap();
        assert!(!events.contains_key(name), "{name} is listed twice");
        match cells[2..cells.len() - 1] {
            [levels, _, fields] => {
                LogEvent::add(&mut events, name, code_spans(levels), code_spans(fields));
                let optional = fields.split(' ').filter_map(|field| field.strip_suffix("`?"));
                let optional = optional.map(|field| field.trim_start_matches('`').to_owned()).collect();
                events.get_mut(name).unwrap().optional = optional;
            }
            _ => LogEvent::add(&mut events, name, [], []),
        }
    }
    events
}

#[test]
fn the_page_of_log_events_lists_what_the_code_logs() {
    let (code, page) = (in_the_code(), on_the_page());
    assert!(code.len() > 100, "only {} events were found", code.len());
    let names = |events: &LogEvents| events.keys().cloned().collect::<BTreeSet<_>>();
    let (in_code, on_page) = (names(&code), names(&page));
    let missing: Vec<_> = in_code.symmetric_difference(&on_page).collect();
    assert!(missing.is_empty(), "these are in the code or on the page, but not in both: {missing:#?}");
    for (name, event) in &code {
        let page = &page[name];
        assert_eq!((&event.levels, &event.fields), (&page.levels, &page.fields), "{name}");
        let unmarked: Vec<_> = event.optional.difference(&page.optional).collect();
        assert!(
            unmarked.is_empty(),
            "{name} has these in some lines only, so mark each with a ?: {unmarked:?}"
        );
    }
}

#[test]
fn a_name_has_an_area_and_an_action() {
    let form = Regex::new("^[a-z_]+[.][a-z_]+$").unwrap();
    let other: Vec<_> = in_the_code().into_keys().filter(|name| !form.is_match(name)).collect();
    assert!(other.is_empty(), "{other:?}");
}
