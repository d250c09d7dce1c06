//! The command that opens a change stream.

use bson::raw::cstr;
use bson::{Document, RawArrayBuf, RawDocumentBuf, rawdoc};
use gtm_oplog::event::pushdown::wanted_events;
use gtm_oplog::{Selection, StreamStart};
use mongodb::error::{Error, ErrorKind};

use super::scope::Scope;

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

    /// The command. Its first reply is to be empty, so that it comes at once: the server may have to read
    /// much of its oplog until it finds an event.
    pub(super) fn command(&self, start: &StreamStart) -> RawDocumentBuf {
        let mut spec = rawdoc! { "fullDocument": "updateLookup" };
        if self.expanded {
            spec.append(cstr!("showExpandedEvents"), true);
            spec.append(cstr!("fullDocumentBeforeChange"), "whenAvailable");
        }
        if self.scope == Scope::Deployment {
            spec.append(cstr!("allChangesForCluster"), true);
        }
        match start {
            StreamStart::Now => {}
            StreamStart::At(timestamp) => {
                spec.append(cstr!("startAtOperationTime"), bson::Timestamp::from(*timestamp));
            }
            // Unlike `resumeAfter`, this goes past an invalidate event too.
            StreamStart::After(token) => spec.append(cstr!("startAfter"), token.as_document()),
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

    /// Leaves out what the server says it does not know. False: it is not about that.
    pub(super) fn lower(&mut self, error: &Error) -> bool {
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

fn raw(stages: &[Document]) -> bson::error::Result<Vec<RawDocumentBuf>> {
    stages.iter().map(RawDocumentBuf::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(request: &ChangeStreamRequest, start: &StreamStart) -> Vec<Document> {
        let command = Document::try_from(request.command(start)).unwrap();
        let stages = command.get_array("pipeline").unwrap().iter();
        stages.map(|stage| stage.as_document().unwrap().clone()).collect()
    }

    #[test]
    fn what_a_server_does_not_know_is_left_out() {
        let own = bson::doc! { "$match": { "operationType": "insert" } };
        let options = StreamOptions { pipeline: vec![own.clone()] };
        let mut request =
            ChangeStreamRequest::new(Scope::Deployment, &Selection::everything(), options).unwrap();
        let stages = pipeline(&request, &StreamStart::Now);
        let spec = stages[0].get_document("$changeStream").unwrap();
        assert!(spec.get_bool("showExpandedEvents").unwrap());
        assert!(spec.get_bool("allChangesForCluster").unwrap());
        assert_eq!(stages[1..], [own.clone(), bson::doc! { "$changeStreamSplitLargeEvent": {} }]);

        assert!(!request.refused(189, "PrimarySteppedDown"), "not about that");
        assert!(request.refused(40324, "Unrecognized pipeline stage name: '$changeStreamSplitLargeEvent'"));
        assert!(request.refused(40415, "BSON field '$changeStream.showExpandedEvents' is an unknown field."));
        assert!(!request.refused(40324, "Unrecognized pipeline stage name: '$own'"), "left out already");
        assert!(!request.refused(40415, "BSON field 'own' is an unknown field."), "left out already");
        let stages = pipeline(&request, &StreamStart::Now);
        let spec = bson::doc! { "fullDocument": "updateLookup", "allChangesForCluster": true };
        assert_eq!(stages, [bson::doc! { "$changeStream": spec }, own]);
    }
}
