//! The progress of a snapshot.

use std::fmt;
use std::time::Duration;

use gtm_text::sanitize::counted;

/// The progress of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SnapshotProgress {
    /// The number of documents that were returned, in this run and the ones before it.
    pub documents: u64,
    /// The number of these in the runs before.
    pub earlier: u64,
    /// The size of the documents that were returned in this run, in bytes.
    pub bytes: u64,
    /// The approximate number of documents when the snapshot was planned, without those of views.
    pub estimated: u64,
    /// The number of collections and views to read.
    pub collections: usize,
    /// The number of these that are complete.
    pub ended: usize,
    /// The number of these that were dropped or renamed.
    pub gone: usize,
    /// The number of collections that the server refuses to read, and of databases whose collections it refuses to list.
    pub refused: usize,
    /// The duration of this run.
    pub elapsed: Duration,
}

impl SnapshotProgress {
    /// Returns the number of documents per second in this run.
    pub fn rate(&self) -> f64 {
        let documents = self.documents.saturating_sub(self.earlier);
        if documents == 0 { 0.0 } else { documents as f64 / self.elapsed.as_secs_f64().max(0.001) }
    }

    /// Returns the approximate time that is left. None: it cannot be estimated.
    pub fn left(&self) -> Option<Duration> {
        let documents = self.estimated.checked_sub(self.documents)?;
        let seconds = documents as f64 / self.rate();
        // Without a rate, the result is not a number.
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Returns whether everything was read.
    pub fn has_ended(&self) -> bool {
        self.ended == self.collections
    }
}

/// Displays the progress like `120000 of about 1000000 documents (12 %), 52000/s, 17 s left`.
impl fmt::Display for SnapshotProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { documents, estimated, ended, collections, .. } = *self;
        if self.has_ended() {
            let seconds = self.elapsed.as_secs_f64();
            let collections = counted(collections as u64, "collection");
            write!(f, "{} of {collections}, in {seconds:.1} s", counted(documents, "document"))?;
        } else if documents <= estimated && estimated > 0 {
            let percent = u128::from(documents) * 100 / u128::from(estimated);
            write!(f, "{documents} of about {} ({percent} %)", counted(estimated, "document"))?;
        } else {
            let collections = counted(collections as u64, "collection");
            write!(f, "{}, {ended} of {collections}", counted(documents, "document"))?;
        }
        write!(f, ", {:.0}/s", self.rate())?;
        if let Some(left) = self.left().filter(|_| !self.has_ended()) {
            write!(f, ", {} s left", left.as_secs())?;
        }
        if self.gone > 0 {
            write!(f, ", {} dropped meanwhile", self.gone)?;
        }
        if self.refused > 0 {
            write!(f, ", {} COULD NOT BE READ", self.refused)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_displayed_in_one_line() {
        let mut progress = SnapshotProgress {
            documents: 120_000,
            earlier: 16_000,
            estimated: 1_000_000,
            collections: 3,
            elapsed: Duration::from_secs(2),
            ..SnapshotProgress::default()
        };
        assert_eq!(progress.to_string(), "120000 of about 1000000 documents (12 %), 52000/s, 16 s left");
        progress.estimated = 100_000;
        assert_eq!(progress.to_string(), "120000 documents, 0 of 3 collections, 52000/s");
        (progress.ended, progress.gone, progress.refused) = (3, 1, 1);
        assert_eq!(
            progress.to_string(),
            "120000 documents of 3 collections, in 2.0 s, 52000/s, 1 dropped meanwhile, 1 COULD NOT BE READ"
        );
        let nothing = SnapshotProgress { collections: 1, estimated: 5, ..SnapshotProgress::default() };
        assert_eq!(nothing.to_string(), "0 of about 5 documents (0 %), 0/s");
    }
}
