//! The progress of a plugin's timers, and its documents.

use bson::raw::cstr;
use bson::{DateTime, RawDocument, RawDocumentBuf, rawdoc};

use super::StoreError;
use super::fields::{StoredFields, VERSION};

/// The key of a timer. It names no worker: another worker of the group may have the timer next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerKey {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The name of the timer.
    pub timer: String,
}

/// The ticks of a timer that are done. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerProgress {
    /// The schedule, as the plugin wrote it. With another one, the timer starts again.
    pub schedule: String,
    /// All ticks up to this time are done, or left out.
    pub done: u32,
    /// The tick that was delivered after it, and is not known to be done.
    pub begun: Option<u32>,
}

const LOST: &str = "the timer starts again, and its missed ticks are left out";

impl std::fmt::Display for TimerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the timer {} of the plugin {} of {}", self.timer, self.plugin, self.pipeline)
    }
}

impl TimerKey {
    /// Returns the `_id`.
    pub(super) fn document(&self) -> RawDocumentBuf {
        let Self { pipeline, plugin, timer } = self;
        rawdoc! { "pipeline": pipeline.as_str(), "plugin": plugin.as_str(), "timer": timer.as_str() }
    }
}

impl TimerProgress {
    pub(super) fn encode(&self, key: &TimerKey) -> RawDocumentBuf {
        let date = |second: u32| DateTime::from_millis(i64::from(second) * 1000);
        let mut document = rawdoc! {
            "_id": key.document(),
            "version": VERSION,
            "schedule": self.schedule.as_str(),
            "done": date(self.done),
        };
        if let Some(begun) = self.begun {
            document.append(cstr!("begun"), date(begun));
        }
        document
    }

    pub(super) fn decode(document: &RawDocument, key: &TimerKey, store: &str) -> Result<Self, StoreError> {
        let fields = StoredFields { document, what: key.to_string(), store, lost: LOST };
        fields.check_version(VERSION)?;
        let second = |name: &str| {
            let millis = fields.date(name)?.timestamp_millis();
            u32::try_from(millis / 1000).map_err(|_| fields.wrong(name, "a date from 1970 to 2106"))
        };
        Ok(Self {
            schedule: fields.text("schedule")?.to_owned(),
            done: second("done")?,
            begun: fields.find("begun")?.is_some().then(|| second("begun")).transpose()?,
        })
    }
}
