//! The remedies for errors of the libraries: which option or setting helps.
//!
//! A library says what happened. Which options, settings and commands there are, only this crate knows. The crates' errors that have
//! a remedy are listed here; the remedies are in a module per crate.

mod delivery;
mod mongo;
mod plugin;
mod runtime;
mod source;
mod store;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::iter::successors;

use gtm_delivery::{ControlError, DeliveryError};
use gtm_mongo::ConnectError;
use gtm_oplog::PatternError;
use gtm_runtime::{EngineError, LoadError, Uncached};
use gtm_source::oplog::OplogError;
use gtm_source::{FileError, SnapshotError, SourceError, StreamError};
use gtm_store::{LeaseError, StoreError, WorkersError};

pub use plugin::install;

/// An error that this crate knows a remedy for.
trait Remedy {
    /// Returns what the user can do, as a clause that follows `help: `. None: only the error's own sentence helps.
    fn remedy(&self) -> Option<Cow<'static, str>>;
}

/// Returns the remedy for an error of one type, if it is of that type.
type Find = fn(&(dyn Error + 'static)) -> Option<Cow<'static, str>>;

/// One entry per type. An error that another one shows as its own (`#[error(transparent)]`) is not among the causes of that one, so
/// the remedy of the outer error asks the inner error.
const FINDS: [Find; 15] = [
    find::<ConnectError>,
    find::<ControlError>,
    find::<DeliveryError>,
    find::<EngineError>,
    find::<FileError>,
    find::<LeaseError>,
    find::<LoadError>,
    find::<OplogError>,
    find::<PatternError>,
    find::<SnapshotError>,
    find::<SourceError>,
    find::<StoreError>,
    find::<StreamError>,
    find::<Uncached>,
    find::<WorkersError>,
];

fn find<E: Remedy + Error + 'static>(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    error.downcast_ref::<E>()?.remedy()
}

/// Returns the remedy for an error, or else for the first of its causes that has one.
pub fn remedy(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    causes(error).find_map(|error| FINDS.iter().find_map(|find| find(error)))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// Returns an error with its causes, as one sentence.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    for cause in causes(error).skip(1).map(ToString::to_string) {
        // Some errors name their cause themselves.
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// Displays an error with its causes, and `help: ` with the remedy if there is one.
#[derive(Clone, Copy, Debug)]
pub struct WithRemedy<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithRemedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = sentence(self.0);
        f.write_str(&sentence)?;
        let Some(remedy) = remedy(self.0) else { return Ok(()) };
        let stop = if sentence.ends_with(['.', '?', '!']) { "" } else { "." };
        write!(f, "{stop} help: {remedy}")
    }
}

#[cfg(test)]
mod tests;
