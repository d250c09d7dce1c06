//! Variables of the environment for options that may be given more than once: each line of one is a value.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// The command, with what the environment says of options that may be given more than once. An option that is typed goes before it.
/// `value`: the value of a variable.
pub(super) fn with_lines(command: Command, value: &impl Fn(&str) -> Option<OsString>) -> Command {
    let command = command.mut_args(|argument| match lines(&argument, value) {
        Some(lines) => argument.env(None::<&str>).default_values(lines).hide_default_value(true),
        None => argument,
    });
    command.mut_subcommands(|command| with_lines(command, value))
}

/// The values that the environment has for such an option, if it has any. Where they are not text, clap says so.
fn lines(argument: &Arg, value: &impl Fn(&str) -> Option<OsString>) -> Option<Vec<&'static str>> {
    let variable = argument.get_env()?.to_str()?;
    if !matches!(argument.get_action(), ArgAction::Append) {
        return None;
    }
    let text = value(variable)?.into_string().ok()?;
    // As long as the command, of which there is one.
    let lines = text.leak().lines().map(str::trim).filter(|line| !line.is_empty());
    Some(lines.collect())
}
