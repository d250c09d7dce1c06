//! A change as one line of JSON: in the form that the host prints, and that the plugins of the project send, log and store.

use bson::raw::{CStr, cstr};
use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};

use crate::extended_json::{canonical, relaxed};
use crate::{DecodeError, Error, Failure, Namespace, Op, Origin};

/// Writes a document as JSON.
type Form = fn(&RawDocument) -> Result<String, Error>;

impl Op {
    /// Returns the change as one line of relaxed Extended JSON, with the names of MongoDB's change events: `_id` (`{"_data": …}`, with the
    /// op's id), `operationType`, `clusterTime`, `wallTime`, `ns` (`{"db": …, "coll": …}`), `documentKey`, `fullDocument`,
    /// `fullDocumentBeforeChange`, `updateDescription`, and `command`, `transaction` and `origin` for what change events lack. Unknown parts
    /// are left out.
    ///
    /// The line is the same for each attempt, and `gtm-host tail` prints the same. All fields of a document are in it, also several with the
    /// same name, which an update description can have.
    ///
    /// ```
    /// # use gtm_plugin::{bson::doc, testing::insert};
    /// let event = insert("shop.orders", doc! { "_id": 1 }).to_change_event()?;
    /// assert!(event.starts_with(r#"{"_id":{"_data":"1700000000.1.0"},"operationType":"insert","#));
    /// # Ok::<_, gtm_plugin::Failure>(())
    /// ```
    ///
    /// # Errors
    /// A document of the op is not BSON, or the text is too large for the host.
    pub fn to_change_event(&self) -> Result<String, Failure> {
        self.write_change_event(relaxed)
    }

    /// Returns the same as canonical Extended JSON, which has the type of each value.
    ///
    /// # Errors
    /// As [`to_change_event`](Self::to_change_event).
    pub fn to_canonical_change_event(&self) -> Result<String, Failure> {
        self.write_change_event(canonical)
    }

    /// Returns the same as a document, with the documents of the op as the server wrote them.
    ///
    /// # Errors
    /// A document of the op is not BSON.
    pub fn to_raw_change_event(&self) -> Result<RawDocumentBuf, DecodeError> {
        let mut event = self.event_head();
        for (name, part) in self.event_parts()? {
            event.append(name, part);
        }
        for (name, value) in self.event_tail().iter().filter_map(Result::ok) {
            event.append(name, value);
        }
        Ok(event)
    }

    /// Writes the parts one by one: together they may be larger than the host converts in one call.
    fn write_change_event(&self, form: Form) -> Result<String, Failure> {
        let mut event = form(&self.event_head())?;
        event.pop();
        for (name, part) in self.event_parts()? {
            event.push_str(&format!(",\"{}\":{}", name.as_str(), form(part)?));
        }
        event.push(',');
        event.push_str(form(&self.event_tail())?.trim_start_matches('{'));
        Ok(event)
    }

    fn event_head(&self) -> RawDocumentBuf {
        let operation_type = self.operation_type().to_string();
        let mut head = rawdoc! { "_id": { "_data": self.id() }, "operationType": operation_type };
        let crate::Timestamp { time, increment } = self.timestamp();
        if (time, increment) != (0, 0) {
            head.append(cstr!("clusterTime"), Timestamp { time, increment });
        }
        if let Some(time) = self.wall_time() {
            head.append(cstr!("wallTime"), time);
        }
        let Namespace { database, collection } = self.namespace();
        let mut namespace = rawdoc! { "db": database };
        if !collection.is_empty() {
            namespace.append(cstr!("coll"), collection);
        }
        head.append(cstr!("ns"), namespace);
        head
    }

    fn event_parts(&self) -> Result<Vec<(&'static CStr, &RawDocument)>, DecodeError> {
        let parts = [
            (cstr!("documentKey"), self.raw_document_key()),
            (cstr!("fullDocument"), self.raw_document()),
            (cstr!("fullDocumentBeforeChange"), self.raw_document_before_change()),
            (cstr!("updateDescription"), self.raw_update_description()),
            (cstr!("command"), self.raw_command()),
        ];
        let parts = parts.into_iter().filter(|(_, part)| !matches!(part, Err(DecodeError::Missing(_))));
        parts.map(|(name, part)| Ok((name, part?))).collect()
    }

    fn event_tail(&self) -> RawDocumentBuf {
        let mut tail = RawDocumentBuf::new();
        if let Some(transaction) = self.transaction() {
            let transaction = rawdoc! { "id": &*transaction.id, "index": i64::from(transaction.index) };
            tail.append(cstr!("transaction"), transaction);
        }
        tail.append(cstr!("origin"), origin(self.origin()));
        tail
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Oplog => "oplog",
        Origin::ChangeStream => "change-stream",
        Origin::Snapshot => "snapshot",
        Origin::Replay => "replay",
    }
}
