//! Calls the function of `gtm:plugin/state` that is written in each document inserted into a collection `errands`, and logs the result:
//! `NUMBER ok RESULT` or `NUMBER error KIND: REASON`, where the number is the document's `_id`. It uses the contract without an SDK.

use bson::Document;

use bindings::exports::gtm::plugin::handler::{Failure, Guest as Handler, Op};
use bindings::exports::gtm::plugin::lifecycle::{Guest as Lifecycle, OperationType, Setting, Subscription};
use bindings::gtm::plugin::state::{self, Entry, Quota};
use bindings::gtm::plugin::types::Error;
use bindings::gtm::plugin::{config, log};

struct Keep;

impl Lifecycle for Keep {
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

impl Handler for Keep {
    fn handle(op: Op) -> Result<(), Failure> {
        let errand = op.full_document.unwrap_or_default();
        let errand = Document::from_reader(&*errand).map_err(|error| Failure::Reject(error.to_string()))?;
        let id = errand.get_i32("_id").unwrap_or_default();
        let text = match run(&errand) {
            Ok(result) => format!("{id} ok {result}"),
            Err(error) => format!("{id} error {}", described(error)),
        };
        log::log(log::Level::Info, &text);
        Ok(())
    }
}

fn run(errand: &Document) -> Result<String, Error> {
    let text = |name: &str| errand.get_str(name).unwrap_or_default();
    let bytes = |name: &str| errand.get_str(name).ok().map(str::as_bytes);
    let value = bytes("value").unwrap_or_default();
    let time_to_live = errand.get_i64("ttl").ok().map(i64::cast_unsigned);
    match text("do") {
        "get" => state::get(text("key"))
            .map(|value| value.map_or_else(|| "nothing".to_owned(), |value| shown(&value))),
        "set" => state::set(text("key"), value, time_to_live).map(|()| "set".to_owned()),
        "delete" => state::delete(text("key")).map(|()| "deleted".to_owned()),
        "swap" => state::compare_and_swap(text("key"), bytes("expected"), value, time_to_live)
            .map(|done| done.to_string()),
        "increment" => {
            let by = errand.get_i64("by").unwrap_or(1);
            state::increment(text("key"), by, time_to_live).map(|sum| sum.to_string())
        }
        "list" => {
            let limit = errand.get_i64("limit").ok().and_then(|limit| u32::try_from(limit).ok());
            let listed =
                state::list_entries(text("prefix"), errand.get_str("after").ok(), limit.unwrap_or(1000))?;
            let entry = |Entry { key, value, time_to_live }: &Entry| {
                let lasts = if time_to_live.is_some() { " for a while" } else { "" };
                format!("{key}={}{lasts}", shown(value))
            };
            Ok(listed.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        "quota" => state::get_quota().map(|Quota { keys, max_keys, bytes, max_bytes }| {
            format!("{keys} of {max_keys} keys, {bytes} of {max_bytes} bytes")
        }),
        other => Err(Error::Invalid(format!("there is no errand {other}"))),
    }
}

fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn described(error: Error) -> String {
    match error {
        Error::NotGranted(reason) => format!("not granted: {reason}"),
        Error::Invalid(reason) => format!("invalid: {reason}"),
        Error::Rejected(reason) => format!("rejected: {reason}"),
        Error::Unavailable(reason) => format!("unavailable: {reason}"),
        Error::Conflict(reason) => format!("conflict: {reason}"),
        Error::TooLarge(reason) => format!("too large: {reason}"),
    }
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
    use super::Keep;

    wit_bindgen::generate!({
        path: "../../../../wit/0.2",
        inline: "
        package gtm:keep;

        world keep {
            import gtm:plugin/config@0.2.0;
            import gtm:plugin/log@0.2.0;
            import gtm:plugin/state@0.2.0;
            export gtm:plugin/lifecycle@0.2.0;
            export gtm:plugin/handler@0.2.0;
        }
        ",
        generate_all,
    });

    export!(Keep);
}
