//! Reads variables: an option that may be repeated takes each line of its variable as a value, and a setting is read from the first of
//! its variables that is set.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};
use gtm_host::config::Setting;

/// Returns the command with the variables that are set. `value` returns the value of a variable.
pub(super) fn with_variables(command: Command, value: &impl Fn(&str) -> Option<OsString>) -> Command {
    let command = command.mut_args(|argument| {
        let argument = with_set_variable(argument, value);
        match lines(&argument, value) {
            Some(lines) => argument.env(None::<&str>).default_values(lines).hide_default_value(true),
            None => argument,
        }
    });
    command.mut_subcommands(|command| with_variables(command, value))
}

/// Makes a setting read the one of its variables that is set, if it is not its own.
fn with_set_variable(argument: Arg, value: &impl Fn(&str) -> Option<OsString>) -> Arg {
    let setting = Setting::find(argument.get_id().as_str());
    let is_set = |variable: &str| value(variable).is_some();
    match setting.and_then(|setting| setting.set_variable(is_set)) {
        // As long as the command, of which there is one.
        Some(variable) => argument.env(&*variable.leak()),
        None => argument,
    }
}

/// Returns the values that a variable has for an option that may be repeated. clap reports values that are not text.
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
