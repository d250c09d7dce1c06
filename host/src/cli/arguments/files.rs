//! The options about files.

use std::str::FromStr;

use clap::Args;
use gtm_oplog::Timestamp;
use gtm_source::StartAt;

/// Which part of files is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(in crate::cli) struct FileArguments {
    /// Only oplog entries from this time: 2026-01-31T12:00:00Z, 2026-01-31T14:00:00+02:00, -10m, yesterday,
    /// seconds since 1970, or SECONDS.INCREMENT
    #[arg(long, value_name = "TIME", requires = "paths", allow_hyphen_values = true)]
    from: Option<Bound>,

    /// Only oplog entries up to this time
    #[arg(long, value_name = "TIME", requires = "paths", allow_hyphen_values = true)]
    to: Option<Bound>,

    /// The collection of dumped documents, if the path of a file does not tell it
    #[arg(long, value_name = "DB.COLL", requires = "paths")]
    pub(in crate::cli) collection: Option<String>,
}

impl FileArguments {
    pub(in crate::cli) fn from(&self) -> Option<Timestamp> {
        self.from.map(|Bound(timestamp)| timestamp)
    }

    pub(in crate::cli) fn to(&self) -> Option<Timestamp> {
        self.to.map(|Bound(timestamp)| timestamp)
    }
}

/// A position in an oplog.
#[derive(Clone, Copy, Debug)]
struct Bound(Timestamp);

impl FromStr for Bound {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(StartAt::Time(timestamp)) => Ok(Self(timestamp)),
            _ => Err(
                "expected a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before now like -10m, today, yesterday, seconds since \
                  1970, or SECONDS.INCREMENT",
            ),
        }
    }
}
