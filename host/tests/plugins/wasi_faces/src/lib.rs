//! Calls the function of `wasi:keyvalue` that is written in each document inserted into a collection `errands`, and logs the result with
//! `wasi:logging`: `NUMBER ok RESULT` or `NUMBER error KIND: REASON`, where the number is the document's `_id`. A field `draft` chooses the
//! draft: 1 or 2. It uses the contract without an SDK.

mod draft;
mod draft2;

use bson::Document;

use bindings::exports::gtm::plugin::filter::Guest as Filter;
use bindings::exports::gtm::plugin::handler::{Failure, Guest as Handler, Op};
use bindings::exports::gtm::plugin::lifecycle::{Guest as Lifecycle, OperationType, Setting, Subscription};
use bindings::gtm::plugin::config;
use bindings::wasi::logging::logging as unversioned;
use bindings::wasi::logging0_1_0_draft::logging;

struct Faces;

/// What the fields of a document ask for.
struct Errand(Document);

impl Lifecycle for Faces {
    fn settings() -> Option<Vec<Setting>> {
        None
    }

    fn init() -> Result<Vec<Subscription>, String> {
        // Each host of the tests has a database of its own.
        let database = config::get("database").unwrap_or_else(|| "*".to_owned());
        let namespace = format!("{database}.errands");
        Ok(vec![Subscription { namespace, operation_types: vec![OperationType::Insert] }])
    }
}

impl Filter for Faces {
    fn filter(op: Op) -> bool {
        match Errand::of(&op) {
            Ok(errand) if errand.0.get_bool("in_filter").unwrap_or_default() => {
                errand.run();
                false
            }
            _ => true,
        }
    }
}

impl Handler for Faces {
    fn handle(op: Op) -> Result<(), Failure> {
        Errand::of(&op).map_err(Failure::Reject)?.run();
        Ok(())
    }
}

impl Errand {
    fn of(op: &Op) -> Result<Self, String> {
        let document = op.full_document.as_deref().unwrap_or_default();
        Document::from_reader(document).map(Self).map_err(|error| error.to_string())
    }

    fn run(&self) {
        let id = self.0.get_i32("_id").unwrap_or_default();
        let result = match (self.text("do"), self.0.get_i32("draft")) {
            ("log", _) => {
                self.log();
                Ok("logged".to_owned())
            }
            (_, Ok(1)) => draft::run(self),
            _ => draft2::run(self),
        };
        let text = match result {
            Ok(result) => format!("{id} ok {result}"),
            Err(error) => format!("{id} error {error}"),
        };
        logging::log(logging::Level::Info, "", &text);
    }

    /// Logs the value at each level of both versions of `wasi:logging`.
    fn log(&self) {
        use logging::Level;
        for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Critical] {
            logging::log(level, self.text("key"), self.text("value"));
        }
        unversioned::log(unversioned::Level::Critical, "unversioned", self.text("value"));
    }

    fn text(&self, name: &str) -> &str {
        self.0.get_str(name).unwrap_or_default()
    }

    /// The keys of a batch: those in the field `key`, separated by commas.
    fn keys(&self) -> Vec<String> {
        self.text("key").split(',').map(str::to_owned).collect()
    }

    /// Each key of a batch with its value, which is the key in uppercase.
    fn entries(&self) -> Vec<(String, Vec<u8>)> {
        self.keys().into_iter().map(|key| (key.clone(), key.to_uppercase().into_bytes())).collect()
    }
}

fn shown(value: Option<Vec<u8>>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned())
}

fn shown_entries(entries: Vec<Option<(String, Vec<u8>)>>) -> String {
    let entry = |entry: Option<(String, Vec<u8>)>| match entry {
        Some((key, value)) => format!("{key}={}", String::from_utf8_lossy(&value)),
        None => "nothing".to_owned(),
    };
    entries.into_iter().map(entry).collect::<Vec<_>>().join(",")
}

#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::restriction,
    reason = "they are generated"
)]
mod bindings {
    use super::Faces;

    wit_bindgen::generate!({
        path: [
            "../../../../wit/0.2",
            "../../../runtime/wit/wasi-keyvalue-0.2.0-draft",
            "../../../runtime/wit/wasi-keyvalue-0.2.0-draft2",
            "../../../runtime/wit/wasi-logging",
            "../../../runtime/wit/wasi-logging-0.1.0-draft",
        ],
        inline: "
        package gtm:faces;

        world faces {
            import gtm:plugin/config@0.2.0;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
            import wasi:keyvalue/batch@0.2.0-draft;
            import wasi:keyvalue/store@0.2.0-draft2;
            import wasi:keyvalue/atomics@0.2.0-draft2;
            import wasi:keyvalue/batch@0.2.0-draft2;
            import wasi:logging/logging;
            import wasi:logging/logging@0.1.0-draft;
            export gtm:plugin/lifecycle@0.2.0;
            export gtm:plugin/filter@0.2.0;
            export gtm:plugin/handler@0.2.0;
        }
        ",
        generate_all,
    });

    export!(Faces);
}
