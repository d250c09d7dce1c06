//! The short help: `-h` shows one screen, and `--help` everything.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, Command};
use gtm_runtime::secret::without_passwords;

/// The largest number of options of a command that `-h` shows without choosing.
const MAX_OPTIONS: usize = 9;
/// The options that `-h` shows of a command with more: those that most people need first.
const COMMON_OPTIONS: [&str; 18] = [
    "config",
    "source.uri",
    "plugin",
    "plugins",
    "values",
    "grants",
    "mail.url",
    "dry_run",
    "output",
    "namespaces",
    "operations",
    "from",
    "to",
    "files",
    "answers",
    "changes",
    "inserts",
    "updates",
];

/// The options that `-h` also shows of commands that do not run plugins themselves.
const COMMON_TARGET_OPTIONS: [&str; 6] = ["admin.listen", "all", "name", "new", "source.start", "store.kind"];
/// An option that does not matter to commands about the store.
const UNUSED_BY_STORES: &str = "source.start";
/// An option that only commands that run plugins have.
const DELIVERY_OPTION: &str = "delivery.ordering";

/// Returns the command with a short help. `path` is how it is called.
pub(super) fn brief(command: Command, path: &str) -> Command {
    let hides = command.get_arguments().filter(|argument| !argument.is_hide_set()).count() > MAX_OPTIONS;
    let has = |name: &str| command.get_arguments().any(|argument| argument.get_id() == name);
    let (delivers, looks_at_store) = (has(DELIVERY_OPTION), has("store.kind"));
    let command = command.mut_args(|argument| {
        let name = argument.get_id().as_str();
        let is_shown = !hides
            || argument.is_positional()
            || COMMON_OPTIONS.contains(&name)
            || (!delivers
                && COMMON_TARGET_OPTIONS.contains(&name)
                && !(looks_at_store && name == UNUSED_BY_STORES));
        shorten(argument).hide_short_help(!is_shown)
    });
    let command = match command.get_after_help().map(ToString::to_string) {
        Some(after) => command
            .after_help(format!("Run {path} --help for all options, and examples."))
            .after_long_help(after),
        None => command,
    };
    let path = path.to_owned();
    let command = match command.get_about().map(ToString::to_string) {
        // A list of commands shows the part before the colon.
        Some(about) if command.get_long_about().is_none() => match about.split_once(": ") {
            Some((what, _)) => command.about(what.to_owned()).long_about(about),
            None => command,
        },
        _ => command,
    };
    command.mut_subcommands(|command| {
        let path = format!("{path} {}", command.get_name());
        brief(command, &path)
    })
}

/// Makes the first sentence of an argument's help the short help.
fn shorten(argument: Arg) -> Arg {
    let Some(whole) = argument.get_help().map(ToString::to_string) else { return argument };
    match whole.split_once(". ") {
        Some((first, _)) if argument.get_long_help().is_none() => {
            let first = first.to_owned();
            argument.help(first).long_help(whole)
        }
        _ => argument,
    }
}

/// Returns the error without the passwords of URLs that it quotes. The error also explains a time that the shell split at its space.
pub(super) fn with_hint(error: Error) -> Error {
    let error = without_secrets(error);
    let found = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg]
        .into_iter()
        .find_map(|kind| error.get(kind));
    match found {
        Some(ContextValue::String(word)) if is_time_of_day(word) => Error::raw(
            error.kind(),
            format!(
                "\"{word}\" is a separate word, because the shell splits a time at its space. help: put it in quotes, as in \
                 --start '2026-01-31 {word}'\n"
            ),
        ),
        _ => error,
    }
}

/// Removes passwords from the words that the error quotes.
fn without_secrets(mut error: Error) -> Error {
    let shown: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => {
                Some((kind, ContextValue::String(without_passwords(text).into_owned())))
            }
            ContextValue::Strings(texts) => {
                let texts = texts.iter().map(|text| without_passwords(text).into_owned()).collect();
                Some((kind, ContextValue::Strings(texts)))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in shown {
        error.insert(kind, value);
    }
    error
}

fn is_time_of_day(word: &str) -> bool {
    let mut parts = word.split(':');
    let hour = parts
        .next()
        .is_some_and(|hour| (1..=2).contains(&hour.len()) && hour.bytes().all(|byte| byte.is_ascii_digit()));
    hour && parts.next().is_some_and(|minute| minute.len() == 2)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::arguments::Arguments;

    /// The number of lines of a usual terminal window.
    const SCREEN_LINES: usize = 50;

    fn check(mut command: Command, path: &str) {
        let short = command.render_help().to_string();
        let long = command.render_long_help().to_string();
        assert!(short.lines().count() <= SCREEN_LINES, "{path}: {} lines\n{short}", short.lines().count());
        assert!(long.len() >= short.len() || !short.contains("--help for all"), "{path}");
        for argument in command.get_arguments().filter_map(Arg::get_long) {
            assert!(long.contains(&format!("--{argument}")), "{path} --{argument}");
        }
        for subcommand in command.get_subcommands() {
            check(subcommand.clone(), &format!("{path} {}", subcommand.get_name()));
        }
    }

    fn all() -> Command {
        let mut command = brief(Arguments::command(), "gtm-host");
        command.build();
        command
    }

    #[test]
    fn a_short_help_is_one_screen_and_a_long_one_has_all() {
        check(all(), "gtm-host");
    }

    /// Commands about a running host or a store name it in their short help.
    #[test]
    fn a_short_help_names_which_host_and_which_store() {
        for (path, options) in [
            (&["seek"][..], &["--admin"][..]),
            (&["swap"], &["--admin"]),
            (&["pause"], &["--admin"]),
            (&["status"], &["--admin"]),
            (&["checkpoints", "list"], &["--name", "--store", "--uri"]),
            (&["checkpoints", "set"], &["--name", "--store", "--uri", "--plugin", "--new", "--all"]),
            (&["checkpoints", "reset"], &["--name", "--store", "--uri", "--plugin", "--all"]),
            (&["dead-letters", "list"], &["--name", "--store", "--uri"]),
            (&["dead-letters", "drop"], &["--name", "--store", "--uri"]),
            (&["tail"], &["--start", "--uri"]),
        ] {
            let command =
                path.iter().fold(all(), |command, name| command.find_subcommand(name).unwrap().clone());
            let short = command.clone().render_help().to_string();
            for option in options {
                assert!(short.contains(option), "{path:?} {option}\n{short}");
            }
        }
    }

    #[test]
    fn an_option_is_under_its_own_heading() {
        let command = all();
        let heading = |command: &Command, name: &str| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == name).unwrap();
            argument.get_help_heading().map(str::to_owned)
        };
        for name in ["config", "log.filter", "dry_run", "watch"] {
            assert_eq!(heading(&command, name), None, "{name}");
        }
        assert_eq!(heading(&command, "admin.listen").as_deref(), Some("Admin API"));
        let letters = command.find_subcommand("dead-letters").unwrap();
        for name in ["config", "log.filter", "output"] {
            let list = letters.find_subcommand("list").unwrap();
            assert_eq!(heading(list, name), None, "{name}");
        }
    }

    /// clap wraps the text after the options, so it must not be wrapped before, and an example must fit.
    #[test]
    fn the_end_of_a_help_is_wrapped_once() {
        fn check(command: &Command) {
            let path = command.get_name();
            let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = after.lines().collect();
            for (line, next) in lines.iter().zip(lines.iter().skip(1).chain([&""])) {
                let is_example = line.starts_with("  ");
                assert!(!is_example || line.chars().count() <= 80, "{path}: {line}");
                let is_followed = next.is_empty() || next.starts_with("  ") || is_example;
                assert!(line.is_empty() || is_followed, "{path} is wrapped twice: {line}\n{next}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&all());
    }

    #[test]
    fn a_password_is_not_quoted() {
        for arguments in [
            &["--grant", "http=https://ada:s3cret@host/x"][..],
            &["try", "x.wasm", "--grant", "x:http=https://ada:s3cret@host"],
            &["mongodb://ada:s3cret@host"],
            &["--set", "mongodb://ada:s3cret@host"],
            &["--start", "mongodb://ada:s3cret@host"],
            &["--uri", "mongodb://ada:s3cret@host", "mongodb://ada:s3cret@host"],
            &["--admin", "http://ada:s3cret@host"],
            &["--oplog-uri=mongodb://ada:s3cret@host"],
        ] {
            let words = std::iter::once("gtm-host").chain(arguments.iter().copied());
            let refused = Arguments::read(words.map(Into::into)).unwrap_err().to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
