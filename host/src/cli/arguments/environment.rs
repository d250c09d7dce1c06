//! Reads variables: an option that may be repeated takes each line of its variable as a value, and a setting is read from the first of
//! its variables that is set.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, ArgAction, Command};
use gtm_host::config::{SETTINGS, Setting, Settings, nearest};

/// The prefix of all variables of the host.
const PREFIX: &str = "GTM_";
/// Prefixes of variables that the tests and the examples of the project read.
const OF_OTHERS: [&str; 3] = ["GTM_TEST_", "GTM_FUZZ_", "GTM_HOST"];

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

/// Returns the command without variables.
pub(super) fn without_variables(command: Command) -> Command {
    command.mut_args(|argument| argument.env(None::<&str>)).mut_subcommands(without_variables)
}

/// Makes an error about a value that a variable has name the variable. clap names the option.
pub(super) fn with_variable_named(
    mut error: Error,
    mut command: Command,
    value: &impl Fn(&str) -> Option<OsString>,
) -> Error {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return error };
    command.build();
    if let Some(variable) = variable_of(&command, option, value) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// Returns the variable that sets the option, which is written as clap shows it.
fn variable_of(command: &Command, option: &str, value: &impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let of_this = command.get_arguments().find(|argument| argument.to_string() == option).cloned();
    let of_this = of_this.and_then(|argument| {
        let argument = with_set_variable(argument, value);
        argument.get_env().and_then(|variable| variable.to_str()).map(str::to_owned)
    });
    of_this
        .filter(|variable| value(variable).is_some())
        .or_else(|| command.get_subcommands().find_map(|inner| variable_of(inner, option, value)))
}

/// A variable that nothing reads.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct UnknownVariable {
    /// Its name.
    pub(in crate::cli) name: String,
    /// The known name that is most like it.
    pub(in crate::cli) nearest: Option<String>,
}

/// Returns the variables among `set` that look as if they were read and are not. A plugin may read any variable that the settings name.
pub(super) fn unknown(
    command: &Command,
    settings: &Settings,
    set: impl Iterator<Item = String>,
) -> Vec<UnknownVariable> {
    let of_settings = SETTINGS.iter().filter(|setting| setting.has_option);
    let mut known: BTreeSet<String> = of_settings.map(Setting::variable).collect();
    add_variables(command, &mut known);
    let old: BTreeSet<_> = SETTINGS.iter().filter_map(Setting::old_variable).collect();
    let of_plugins = settings.variables_of_plugins();
    let is_read = |name: &String| {
        known.contains(name)
            || old.contains(name)
            || of_plugins.contains(name.as_str())
            || OF_OTHERS.iter().any(|prefix| name.starts_with(prefix))
    };
    let unknown = set.filter(|name| name.starts_with(PREFIX) && !is_read(name));
    let with_nearest = |name: String| {
        let known = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
        let nearest = nearest(name.trim_start_matches(PREFIX), known);
        UnknownVariable { nearest: nearest.map(|nearest| format!("{PREFIX}{nearest}")), name }
    };
    unknown.map(with_nearest).collect()
}

fn add_variables(command: &Command, known: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    known.extend(variables.map(str::to_owned));
    command.get_subcommands().for_each(|command| add_variables(command, known));
}
