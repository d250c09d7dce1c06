//! The commands that documents show are commands that the program has.

use std::collections::BTreeMap;
use std::process::Command;

use super::pages;

/// What the help of one command knows.
#[derive(Debug, Default)]
struct Help {
    /// Each option, in each of its forms, with how many values it takes.
    options: BTreeMap<String, usize>,
    commands: BTreeMap<String, Help>,
}

impl Help {
    /// Asks the program, and then for each command that it lists.
    fn of(path: &[&str]) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_gtm-host")).args(path).arg("--help").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "gtm-host {path:?} --help: {text}");
        let mut help = Self::default();
        let mut commands = false;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            let words: Vec<_> = line.split_whitespace().collect();
            match words.first() {
                Some(&"Commands:") => commands = true,
                None => commands = false,
                Some(&name) if commands && indent == 2 && name != "help" => {
                    let path = [path, &[name]].concat();
                    help.commands.insert(name.to_owned(), Self::of(&path));
                }
                Some(word) if word.starts_with('-') && indent <= 6 => help.option(&words),
                Some(_) => {}
            }
        }
        help
    }

    /// Keeps an option as a line of the help shows it: `-p, --plugin <[NAME=]FILE>`.
    fn option(&mut self, words: &[&str]) {
        let names: Vec<_> = words.iter().take_while(|word| word.starts_with('-')).collect();
        let values = words.iter().skip(names.len()).take_while(|word| word.starts_with(['<', '['])).count();
        for name in names {
            // The list of options comes first; examples after it show them with values of their own.
            // A value may be left out in --watch[=<BOOL>].
            let name = name.split('[').next().unwrap_or(name);
            self.options.entry(name.trim_end_matches(',').to_owned()).or_insert(values);
        }
    }

    /// What is wrong with these arguments.
    fn fault(&self, arguments: &[String]) -> Option<String> {
        let mut rest = arguments.iter();
        let mut first = true;
        while let Some(word) = rest.next() {
            let (name, value) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            if word == "--help" || word == "-h" {
                return None;
            }
            if word.starts_with('-') && word.len() > 1 {
                let Some(values) = self.options.get(name) else {
                    return Some(format!("unknown option {name}"));
                };
                for _ in 0..values.saturating_sub(usize::from(value.is_some())) {
                    rest.next();
                }
            } else if let (Some(command), true) = (self.commands.get(word), first) {
                return command.fault(rest.as_slice());
            } else if !self.commands.is_empty() && !is_placeholder(word) {
                return Some(format!("unknown command {word}"));
            }
            first = false;
        }
        None
    }
}

/// Stands for something else: `…`, `<command>`.
fn is_placeholder(word: &str) -> bool {
    word.starts_with(['…', '<'])
}

/// The calls of gtm-host in a line of a shell: the arguments of each.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for command in split(line) {
        let mut words = command.into_iter().skip_while(|word| is_assignment(word)).peekable();
        if words.next_if(|word| word == "sudo").is_some() && words.next_if(|word| word == "-u").is_some() {
            words.next();
        }
        let program = words.next().unwrap_or_default();
        if program == "gtm-host" || program.ends_with("/gtm-host") {
            calls.push(words.collect());
        }
    }
    calls
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// Splits a line into commands, and each into words, as far as documents need it: quotes, `|`, `&&`, `;`, `&` and comments.
fn split(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | '&' | ';') => {
                let last = commands.last_mut().unwrap();
                last.extend(word.take());
                if c != ' ' {
                    commands.push(Vec::new());
                }
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut().unwrap().extend(word);
    commands
}

#[test]
fn each_command_of_the_documents_is_one_that_the_program_has() {
    let help = Help::of(&[]);
    assert!(help.commands.len() >= 15 && help.options.len() >= 40, "{help:?}");
    let mut seen = 0;
    let mut faults = Vec::new();
    for page in pages::all(&super::root()) {
        for line in page.commands() {
            for arguments in calls(&line) {
                seen += 1;
                if let Some(fault) = help.fault(&arguments) {
                    faults.push(format!("{}: {line}: {fault}", page.path.display()));
                }
            }
        }
    }
    assert!(seen >= 80, "only {seen} commands were found");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_command_that_the_program_does_not_have_is_seen() {
    let help = Help::of(&[]);
    let fault = |line: &str| calls(line).iter().find_map(|arguments| help.fault(arguments));
    for right in [
        "gtm-host --plugin a.wasm --set a:text='x y' # --nothing",
        "GTM_LOG_FILTER=debug target/debug/gtm-host tail -n 'shop.*' | jq .ns",
        "gtm-host try a.wasm --insert app.users '{\"_id\": 1}' --answer 'GET https://a.example' b.json",
        "gtm-host dead-letters retry --plugin a && gtm-host status --watch",
        "cargo build --nothing",
    ] {
        assert_eq!(fault(right), None, "{right}");
    }
    for wrong in [
        "gtm-host --plugins a.wasm",
        "gtm-host tails",
        "gtm-host tail --plugin a.wasm",
        "gtm-host dead-letters remove",
        "sudo -u gtm-host gtm-host states",
        "cat a | gtm-host replay - --form 1",
    ] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
}
