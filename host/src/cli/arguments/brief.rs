//! What `-h` shows of a command: one screen. `--help` shows all there is.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, Command};
use gtm_runtime::secret::without_passwords;

/// A command with so many options shows all of them.
const FEW: usize = 9;
/// Those of a command with more that most people need first.
const SHOWN: [&str; 18] = [
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

/// The same of a command that is about a host that runs, or about what one has kept, or that prints.
const SHOWN_OF_HOSTS: [&str; 6] = ["admin.listen", "all", "name", "new", "source.start", "store.kind"];
/// Where a command that looks at what was kept would begin is of no account.
const HIDDEN_OF_STORES: &str = "source.start";
/// An argument of the commands that are hosts themselves, which have most options.
const OF_DELIVERY: &str = "delivery.ordering";

/// The command, with a short help. `path`: what is typed to call it.
pub(super) fn brief(command: Command, path: &str) -> Command {
    let hides = command.get_arguments().filter(|argument| !argument.is_hide_set()).count() > FEW;
    let has = |name: &str| command.get_arguments().any(|argument| argument.get_id() == name);
    let (delivers, looks_at_store) = (has(OF_DELIVERY), has("store.kind"));
    let command = command.mut_args(|argument| {
        let name = argument.get_id().as_str();
        let is_shown = !hides
            || argument.is_positional()
            || SHOWN.contains(&name)
            || (!delivers && SHOWN_OF_HOSTS.contains(&name) && !(looks_at_store && name == HIDDEN_OF_STORES));
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
        // In a list of commands, what each is; the rest in its own help.
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

/// Makes the first sentence of an argument's help its short help.
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

/// The error, without the passwords of URLs that are quoted in it, and with what was probably meant: a time of which the shell made
/// two words.
pub(super) fn with_hint(error: Error) -> Error {
    let error = without_secrets(error);
    let found = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg]
        .into_iter()
        .find_map(|kind| error.get(kind));
    match found {
        Some(ContextValue::String(word)) if is_time_of_day(word) => Error::raw(
            error.kind(),
            format!(
                "\"{word}\" stands alone, as the shell takes a time with a space for two words: put it in quotes, as in \
                 --start '2026-01-31 {word}'\n"
            ),
        ),
        _ => error,
    }
}

/// What was typed is quoted where it is not understood, and may have a password in it.
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

    /// Lines of a terminal window, as most are opened or made larger than.
    const SCREEN: usize = 50;

    fn check(mut command: Command, path: &str) {
        let short = command.render_help().to_string();
        let long = command.render_long_help().to_string();
        assert!(short.lines().count() <= SCREEN, "{path}: {} lines\n{short}", short.lines().count());
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

    /// The short help of a command of a running host, or of what was kept.
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
    fn an_option_stands_under_its_own_heading() {
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

    /// What comes after the options is wrapped where it is shown, so that it must not be wrapped before, and an example fits.
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
