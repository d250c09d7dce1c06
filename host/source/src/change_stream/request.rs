//! The command that opens a change stream.

use bson::raw::cstr;
use bson::{Document, RawArrayBuf, RawDocumentBuf, rawdoc};
use gtm_oplog::event::pushdown::wanted_events;
use gtm_oplog::{Selection, Timestamp};
use mongodb::error::{Error, ErrorKind};

use super::scope::Scope;
use crate::position::Position;
use crate::start_at::StartAt;

/// How a change stream is read.
#[derive(Clone, Debug, Default)]
pub struct StreamOptions {
    /// Further stages that the server runs on each event. They must leave the fields of an event as they are.
    pub pipeline: Vec<Document>,
}

/// The command that opens a stream, except for the position.
pub(super) struct ChangeStreamRequest {
    scope: Scope,
    /// Keeps unwanted events on the server.
    wanted: Vec<RawDocumentBuf>,
    further: Vec<RawDocumentBuf>,
    /// Whether to ask for the events that came with 6.0 (`create`, `createIndexes`, …) and for documents before the change.
    expanded: bool,
    /// Whether to ask for events over 16 MB in fragments, which servers send from 6.0.9 and 7.0 on.
    split: bool,
}

impl ChangeStreamRequest {
    /// Creates a request for everything that a server may support.
    ///
    /// # Errors
    /// A stage cannot be written as BSON.
    pub(super) fn new(
        scope: Scope,
        selection: &Selection,
        options: StreamOptions,
    ) -> bson::error::Result<Self> {
        let (wanted, further) = (raw(&wanted_events(selection))?, raw(&options.pipeline)?);
        Ok(Self { scope, wanted, further, expanded: true, split: true })
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Asks for what `selection` wants, in a scope that has all of it. Returns whether that is another request.
    ///
    /// # Errors
    /// A stage cannot be written as BSON.
    pub(super) fn reselect(&mut self, selection: &Selection) -> bson::error::Result<bool> {
        let wanted = raw(&wanted_events(selection))?;
        // The position may be that of an event which the new selection does not want.
        let scope = self.scope.union(&Scope::of(selection));
        let is_other = wanted != self.wanted || scope != self.scope;
        (self.wanted, self.scope) = (wanted, scope);
        Ok(is_other)
    }

    /// Returns the command. It asks for an empty first reply, which comes immediately: the server may have to read much of
    /// its oplog until it finds an event.
    pub(super) fn command(&self, start: &StartAt) -> RawDocumentBuf {
        let mut spec = rawdoc! { "fullDocument": "updateLookup" };
        if self.expanded {
            spec.append(cstr!("showExpandedEvents"), true);
            spec.append(cstr!("fullDocumentBeforeChange"), "whenAvailable");
        }
        if self.scope == Scope::Deployment {
            spec.append(cstr!("allChangesForCluster"), true);
        }
        match start {
            // Unlike `resumeAfter`, this goes past an invalidate event too.
            StartAt::After(Position::ChangeStream(token)) => {
                spec.append(cstr!("startAfter"), token.as_document());
            }
            start => {
                if let Some(time) = first_time(start) {
                    spec.append(cstr!("startAtOperationTime"), bson::Timestamp::from(time));
                }
            }
        }
        let mut pipeline = RawArrayBuf::new();
        pipeline.push(rawdoc! { "$changeStream": spec });
        for stage in self.wanted.iter().chain(&self.further) {
            pipeline.push(&**stage);
        }
        if self.split {
            pipeline.push(rawdoc! { "$changeStreamSplitLargeEvent": {} });
        }
        rawdoc! {
            "aggregate": self.scope.target(),
            "pipeline": pipeline,
            "cursor": { "batchSize": 0 },
            "readConcern": { "level": "majority" },
        }
    }

    /// Removes from the request what the server does not support, according to its error. Returns false if the error has
    /// another reason.
    pub(super) fn drop_unsupported(&mut self, error: &Error) -> bool {
        let ErrorKind::Command(error) = &*error.kind else { return false };
        self.refused(error.code, &error.message)
    }

    fn refused(&mut self, code: i32, message: &str) -> bool {
        /// Unrecognized pipeline stage name.
        const UNKNOWN_STAGE: i32 = 40324;
        /// Unknown field of a command.
        const UNKNOWN_FIELD: i32 = 40415;
        let scope = &self.scope;
        if self.split && (code == UNKNOWN_STAGE || message.contains("$changeStreamSplitLargeEvent")) {
            self.split = false;
            tracing::info!(
                event = "change_stream.drop_option", option = "splitLargeEvent", %scope,
                "this server does not split change events: one over 16 MB will end the stream. Servers do from 6.0.9 and 7.0 on"
            );
            return true;
        }
        let named =
            ["showExpandedEvents", "fullDocumentBeforeChange"].iter().any(|name| message.contains(name));
        if self.expanded && (code == UNKNOWN_FIELD || named) {
            self.expanded = false;
            tracing::info!(
                event = "change_stream.drop_option", option = "showExpandedEvents", %scope,
                "this server has no expanded change events: the stream comes without create, createIndexes, dropIndexes, modify \
                 and documents before the change. Servers have them from 6.0 on"
            );
            return true;
        }
        false
    }
}

/// Returns the time of the first event from a start that has no token. None: the start is now.
fn first_time(start: &StartAt) -> Option<Timestamp> {
    match start {
        StartAt::Time(time) | StartAt::After(Position::Oplog(time) | Position::OplogTime(time)) => {
            Some(Timestamp { increment: time.increment.saturating_add(1), ..*time })
        }
        // The events of one time have no numbers, so some of them may be repeated.
        StartAt::After(Position::OplogOp(time, _)) => Some(*time),
        StartAt::Now | StartAt::Oldest | StartAt::After(Position::ChangeStream(_)) => None,
    }
}

fn raw(stages: &[Document]) -> bson::error::Result<Vec<RawDocumentBuf>> {
    stages.iter().map(RawDocumentBuf::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(request: &ChangeStreamRequest, start: &StartAt) -> Vec<Document> {
        let command = Document::try_from(request.command(start)).unwrap();
        let stages = command.get_array("pipeline").unwrap().iter();
        stages.map(|stage| stage.as_document().unwrap().clone()).collect()
    }

    #[test]
    fn a_request_leaves_out_what_the_server_does_not_support() {
        let own = bson::doc! { "$match": { "operationType": "insert" } };
        let options = StreamOptions { pipeline: vec![own.clone()] };
        let mut request =
            ChangeStreamRequest::new(Scope::Deployment, &Selection::everything(), options).unwrap();
        let stages = pipeline(&request, &StartAt::Now);
        let spec = stages[0].get_document("$changeStream").unwrap();
        assert!(spec.get_bool("showExpandedEvents").unwrap());
        assert!(spec.get_bool("allChangesForCluster").unwrap());
        assert_eq!(stages[1..], [own.clone(), bson::doc! { "$changeStreamSplitLargeEvent": {} }]);

        assert!(!request.refused(189, "PrimarySteppedDown"), "another reason");
        assert!(request.refused(40324, "Unrecognized pipeline stage name: '$changeStreamSplitLargeEvent'"));
        assert!(request.refused(40415, "BSON field '$changeStream.showExpandedEvents' is an unknown field."));
        assert!(!request.refused(40324, "Unrecognized pipeline stage name: '$own'"), "left out already");
        assert!(!request.refused(40415, "BSON field 'own' is an unknown field."), "left out already");
        let stages = pipeline(&request, &StartAt::Now);
        let spec = bson::doc! { "fullDocument": "updateLookup", "allChangesForCluster": true };
        assert_eq!(stages, [bson::doc! { "$changeStream": spec }, own]);
    }
}
