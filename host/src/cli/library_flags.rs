//! Libraries name no option, command or settings file of the program: [`gtm_host::remedy`] adds those to their errors.

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

    /// Returns the words in this source, with the number of their line.
    fn named_in(&self, source: &str) -> Vec<(usize, String)> {
        let code = source.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
        let code = code.enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.flat_map(|(index, line)| self.named_in_line(line).into_iter().map(move |word| (index + 1, word)))
            .collect()
    }

    fn named_in_line(&self, line: &str) -> Vec<String> {
        let after = |mark: &'static str| {
            line.match_indices(mark).map(move |(at, _)| {
                let rest = &line[at + mark.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
                (mark, rest[..end].to_owned())
            })
        };
        let options = after("--").filter(|(_, word)| self.options.contains(word));
        let commands = after("gtm-host ").filter(|(_, word)| self.commands.contains(word));
        let words = options.chain(commands).map(|(mark, word)| format!("{mark}{word}"));
        words.chain(line.contains("gtm.toml").then(|| "gtm.toml".to_owned())).collect()
    }
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
