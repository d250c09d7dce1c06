//! Options that settings had in earlier versions. The command line takes them, and the host warns of each.

use clap::error::{ContextKind, ContextValue, Error};
use clap::{Arg, ArgMatches, Command};
use gtm_host::config::{SETTINGS, Setting};

/// Adds the old options, which no help shows.
pub(super) fn with_old_options(command: Command) -> Command {
    let old: Vec<Arg> = command.get_arguments().filter_map(old_argument).collect();
    command.args(old).mut_subcommands(with_old_options)
}

fn old_argument(argument: &Arg) -> Option<Arg> {
    let setting = Setting::find(argument.get_id().as_str())?;
    let option = setting.old_option?;
    // As long as the command, of which there is one.
    Some(argument.clone().id(&*id(option).leak()).long(option).env(None::<&str>).hide(true))
}

fn id(option: &str) -> String {
    format!("--{option}")
}

/// Returns the id of the argument by which a setting was typed with its old option, if it was.
pub(super) fn typed(matches: &ArgMatches, setting: &Setting) -> Option<String> {
    let id = id(setting.old_option?);
    // An error if the command has no such argument.
    matches!(matches.try_contains_id(&id), Ok(true)).then_some(id)
}

/// Makes a tip that names an old option name the option that replaces it. clap knows all options, also those that no help shows.
pub(super) fn with_new_option(mut error: Error) -> Error {
    let Some(ContextValue::String(tip)) = error.get(ContextKind::SuggestedArg) else { return error };
    let option = tip.trim_start_matches("--");
    let renamed = SETTINGS.iter().find(|setting| setting.old_option == Some(option));
    if let Some(setting) = renamed {
        let tip = format!("--{}", setting.usual_option());
        error.insert(ContextKind::SuggestedArg, ContextValue::String(tip));
    }
    error
}
