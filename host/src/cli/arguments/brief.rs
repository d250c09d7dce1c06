//! What `-h` shows of a command: one screen. `--help` shows all there is.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, Command};

/// A command with so many options shows all of them.
const FEW: usize = 9;
/// Those of a command with more that most people need first.
const SHOWN: [&str; 18] = [
    "config",
    "uri",
    "plugin",
    "plugins",
    "values",
    "grants",
    "smtp",
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

/// The command, with a short help. `path`: what is typed to call it.
pub(super) fn brief(command: Command, path: &str) -> Command {
    let hides = command.get_arguments().filter(|argument| !argument.is_hide_set()).count() > FEW;
    let command = command.mut_args(|argument| {
        let is_shown = !hides || argument.is_positional() || SHOWN.contains(&argument.get_id().as_str());
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

/// The error, with what was probably meant: a time of which the shell made two words.
pub(super) fn with_hint(error: Error) -> Error {
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

    #[test]
    fn a_short_help_is_one_screen_and_a_long_one_has_all() {
        let mut command = brief(Arguments::command(), "gtm-host");
        command.build();
        check(command, "gtm-host");
    }
}
