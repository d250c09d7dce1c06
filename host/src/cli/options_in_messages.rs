//! Options in messages: the libraries name none, because [`gtm_host::remedy`] adds them, and the program names only those that it has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::arguments::Arguments;

const LIBRARIES: [&str; 7] = ["text", "oplog", "mongo", "source", "store", "runtime", "delivery"];

#[test]
fn libraries_name_no_option_or_command_of_the_program() {
    let words = Words::of_program();
    let mut offenders = Vec::new();
    for library in LIBRARIES {
        for file in sources(&root().join(library).join("src")) {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            for (line, word) in words.named_in(&std::fs::read_to_string(&file).unwrap()) {
                offenders.push(format!("{name}:{line}: {word}"));
            }
        }
    }
    assert!(offenders.is_empty(), "move these to gtm_host::remedy:\n{}", offenders.join("\n"));
}

/// Options of other programs in messages.
const FOREIGN: [&str; 4] = ["print", "release", "replSet", "target"];

/// Sources that define options or test them.
const DEFINITIONS: [&str; 2] = ["/cli/arguments/", "/options_in_messages.rs"];

#[test]
fn the_program_names_only_options_that_it_has() {
    let words = Words::of_program();
    let mut offenders = Vec::new();
    for folder in ["remedy", "admin", "cli"] {
        for file in sources(&root().join("src").join(folder))
            .iter()
            .filter(|file| !DEFINITIONS.iter().any(|own| file.to_str().unwrap().contains(own)))
        {
            for (line, option) in after_mark_in(&std::fs::read_to_string(file).unwrap(), "--") {
                let is_known = words.options.contains(&option) || FOREIGN.contains(&option.as_str());
                if !option.is_empty() && !is_known {
                    offenders.push(format!("{}:{line}: --{option}", file.display()));
                }
            }
        }
    }
    assert!(offenders.is_empty(), "these options do not exist:\n{}", offenders.join("\n"));
}

#[test]
fn options_commands_and_the_file_are_found_outside_of_comments_and_tests() {
    let words = Words::of_program();
    let named = |text: &str| words.named_in(text).into_iter().map(|(_, word)| word).collect::<Vec<_>>();
    assert_eq!(named("\"pass --store file:DIR\""), ["--store"]);
    assert_eq!(named("\"run gtm-host checkpoints list\""), ["gtm-host checkpoints"]);
    assert_eq!(named("\"set it in gtm.toml\""), ["gtm.toml"]);
    assert_eq!(named("\"cargo build --release\"; \"a gtm-host of this version\""), Vec::<String>::new());
    assert_eq!(
        named("  /// As `--store` says.\n#[cfg(test)]\nmod tests { \"--store\" }"),
        Vec::<String>::new()
    );
}

/// The words that only the program may use.
struct Words {
    options: BTreeSet<String>,
    commands: BTreeSet<String>,
}

impl Words {
    fn of_program() -> Self {
        let mut words = Self { options: BTreeSet::new(), commands: BTreeSet::new() };
        words.add(&Arguments::command());
        words
    }

    fn add(&mut self, command: &clap::Command) {
        self.options
            .extend(command.get_arguments().filter_map(|option| option.get_long()).map(str::to_owned));
        for command in command.get_subcommands() {
            self.commands.insert(command.get_name().to_owned());
            self.add(command);
        }
    }

    /// Returns the words in this source, with the numbers of their lines.
    fn named_in(&self, source: &str) -> Vec<(usize, String)> {
        let options = after_mark_in(source, "--").filter(|(_, word)| self.options.contains(word));
        let options = options.map(|(line, word)| (line, format!("--{word}")));
        let commands = after_mark_in(source, "gtm-host ").filter(|(_, word)| self.commands.contains(word));
        let commands = commands.map(|(line, word)| (line, format!("gtm-host {word}")));
        let files = code(source).filter(|(_, text)| text.contains("gtm.toml"));
        options.chain(commands).chain(files.map(|(line, _)| (line, "gtm.toml".to_owned()))).collect()
    }
}

/// Returns the lines of code in a source, with their numbers, without comments and the tests at its end.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = source.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
    code.enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

/// Returns the words of the code that follow this mark, with the numbers of their lines.
fn after_mark_in<'a>(source: &'a str, mark: &'a str) -> impl Iterator<Item = (usize, String)> + 'a {
    code(source).flat_map(move |(number, line)| {
        line.match_indices(mark).map(move |(at, _)| {
            let rest = &line[at + mark.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
            (number, rest[..end].to_owned())
        })
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the sources in a directory and those below it, without those of tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs"))
        .collect()
}
