//! Which options were typed: the values of the others come from variables.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use gtm_host::config::Origin;

/// The options that do not belong to one setting: their ids, names and variables.
const OPTIONS: [(&str, &str, &str); 6] = [
    ("plugins", "plugin", "GTM_PLUGIN"),
    ("values", "set", "GTM_SET"),
    ("filters", "filter", "GTM_FILTER"),
    ("grants", "grant", "GTM_GRANT"),
    ("restart_from", "restart-from", "GTM_RESTART_FROM"),
    ("no_watch", "no-watch", "GTM_NO_WATCH"),
];

/// The ids of the options that were typed.
#[derive(Clone, Debug, Default)]
pub(super) struct TypedOptions(Vec<&'static str>);

impl TypedOptions {
    /// Returns where the values of an option come from, if it has any.
    pub(super) fn origin(&self, id: &str) -> Origin {
        let option = OPTIONS.iter().find(|(known, ..)| *known == id);
        let (_, option, variable) = option.copied().unwrap_or_default();
        match self.0.contains(&id) {
            true => Origin::Option(option.to_owned()),
            false => Origin::Variable(variable.to_owned()),
        }
    }

    /// Returns the name of what set an option, as errors show it: `--set` or `GTM_SET`.
    pub(super) fn name(&self, id: &str) -> String {
        match self.origin(id) {
            Origin::Variable(variable) => variable,
            option => option.to_string(),
        }
    }
}

/// It adds no options.
impl Args for TypedOptions {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl FromArgMatches for TypedOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_typed = |id: &&str| {
            // An error if the command has no such option.
            matches!(matches.try_contains_id(id), Ok(true))
                && matches.value_source(id) == Some(ValueSource::CommandLine)
        };
        Ok(Self(OPTIONS.iter().map(|(id, ..)| *id).filter(is_typed).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
