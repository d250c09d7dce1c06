//! Interprets the server's reply to a write, and errors of the driver.

use bson::{Bson, Document, RawDocument, doc};
use gtm_mongo::server_error::{UNAUTHORIZED, command_code, is_retryable_code, sentence};
use mongodb::error::{Error as DriverError, ErrorKind};

use super::contract::UpdateResult;
use crate::abi::v0_2::types::Error;

const DUPLICATE_KEY: i32 = 11000;
/// The cluster refuses the host's user or password: AuthenticationFailed, AtlasError.
const LOGIN_CODES: [i32; 2] = [18, 8000];
/// Codes of transient failures of a plugin's reads and writes, in addition to the retryable ones: LockTimeout, MaxTimeMSExpired,
/// WriteConcernFailed, WriteConflict, ConflictingOperationInProgress, NetworkInterfaceExceededTimeLimit, SnapshotUnavailable,
/// LockBusy, ObjectIsBusy, TemporarilyUnavailable, IngressRequestRateLimitExceeded, OutOfDiskSpace.
const TRANSIENT_CODES: [i32; 12] = [24, 50, 64, 112, 117, 202, 246, 46, 314, 365, 462, 14031];

/// Converts an error of the driver to one of the contract.
pub(super) fn error(error: &DriverError) -> Error {
    let reason = sentence(error);
    match (command_code(error), &*error.kind) {
        (Some(code), _) if !TRANSIENT_CODES.contains(&code) && is_labeled_transient(error) => {
            Error::Unavailable(reason)
        }
        (Some(code), _) => of_code(code, reason),
        // The driver itself refuses the arguments.
        (None, ErrorKind::InvalidArgument { .. } | ErrorKind::IncompatibleServer { .. }) => {
            Error::Rejected(reason)
        }
        (None, ErrorKind::Authentication { .. }) => not_allowed(&reason),
        // No server has refused the command.
        (None, _) => Error::Unavailable(reason),
    }
}

/// Returns whether the server labels the error as transient.
fn is_labeled_transient(error: &DriverError) -> bool {
    ["RetryableWriteError", "RetryableReadError", "TransientTransactionError", "SystemOverloadedError"]
        .iter()
        .any(|label| error.contains_label(label))
}

fn not_allowed(reason: &str) -> Error {
    Error::NotGranted(format!("the cluster does not allow this to gtm-host's own user: {reason}"))
}

fn of_code(code: i32, reason: String) -> Error {
    match code {
        DUPLICATE_KEY => Error::Conflict(reason),
        UNAUTHORIZED => not_allowed(&reason),
        code if LOGIN_CODES.contains(&code) => not_allowed(&reason),
        code if TRANSIENT_CODES.contains(&code) || is_retryable_code(code) => Error::Unavailable(reason),
        _ => Error::Rejected(reason),
    }
}

/// Fails with the first error in the reply to a write. The command itself succeeded.
pub(super) fn check(answer: &Document) -> Result<(), Error> {
    let one = match (answer.get("writeErrors"), answer.get("writeConcernError")) {
        (Some(Bson::Array(errors)), _) => errors.first().and_then(Bson::as_document),
        (_, Some(Bson::Document(error))) => Some(error),
        _ => None,
    };
    let Some(one) = one else { return Ok(()) };
    let reason = one.get_str("errmsg").unwrap_or("the server does not give a reason").to_owned();
    // The write has not reached a majority yet.
    if !answer.contains_key("writeErrors") {
        return Err(Error::Unavailable(reason));
    }
    let code = one.get("code").and_then(number).and_then(|code| i32::try_from(code).ok());
    Err(of_code(code.unwrap_or_default(), reason))
}

/// Returns the result of an update.
pub(super) fn updated(answer: &Document) -> Result<UpdateResult, Error> {
    let count = |name| answer.get(name).and_then(number).unwrap_or_default();
    let upserted_id = match answer.get_array("upserted").ok().and_then(|all| all.first()) {
        Some(Bson::Document(one)) => {
            let id = one.get("_id").cloned().unwrap_or(Bson::Null);
            let document = bson::serialize_to_vec(&doc! { "_id": id });
            Some(document.map_err(|error| Error::Rejected(error.to_string()))?)
        }
        _ => None,
    };
    let inserted = u64::from(upserted_id.is_some());
    Ok(UpdateResult {
        // The server counts an inserted document as matched.
        matched_count: count("n").saturating_sub(inserted),
        modified_count: count("nModified"),
        upserted_id,
    })
}

/// Returns how many documents were deleted.
pub(super) fn deleted(answer: &Document) -> u64 {
    answer.get("n").and_then(number).unwrap_or_default()
}

fn number(value: &Bson) -> Option<u64> {
    match value {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Bson::Double(number) => Some(*number as u64),
        _ => None,
    }
}

/// Parses the bytes of a plugin as a document.
pub(super) fn parse(bytes: &[u8]) -> Result<&RawDocument, Error> {
    RawDocument::from_bytes(bytes).map_err(|error| Error::Invalid(format!("not valid BSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_within_a_reply_is_found() {
        assert!(check(&doc! { "n": 1, "ok": 1 }).is_ok());
        let duplicate =
            doc! { "ok": 1, "writeErrors": [ { "index": 0, "code": 11000, "errmsg": "E11000" } ] };
        assert!(matches!(check(&duplicate), Err(Error::Conflict(_))));
        let refused = doc! { "ok": 1, "writeErrors": [ { "code": 121, "errmsg": "no" } ] };
        assert!(matches!(check(&refused), Err(Error::Rejected(said)) if said == "no"));
        for code in [13436, 11601, 43, 24, 365] {
            let passing = doc! { "ok": 1, "writeErrors": [ { "code": code, "errmsg": "later" } ] };
            assert!(matches!(check(&passing), Err(Error::Unavailable(_))), "{code}");
        }
        for code in [13, 18] {
            let refused = doc! { "ok": 1, "writeErrors": [ { "code": code, "errmsg": "no" } ] };
            assert!(matches!(check(&refused), Err(Error::NotGranted(_))), "{code}");
        }
        let unsure = doc! { "ok": 1, "n": 1, "writeConcernError": { "code": 64, "errmsg": "waiting" } };
        assert!(matches!(check(&unsure), Err(Error::Unavailable(_))));
    }

    #[test]
    fn an_inserted_document_is_not_matched() {
        let answer = doc! { "n": 1, "nModified": 0, "upserted": [ { "index": 0, "_id": 7 } ] };
        let UpdateResult { matched_count, modified_count, upserted_id } = updated(&answer).unwrap();
        assert_eq!((matched_count, modified_count), (0, 0));
        assert_eq!(upserted_id.unwrap(), bson::serialize_to_vec(&doc! { "_id": 7 }).unwrap());
        let UpdateResult { matched_count, modified_count, upserted_id } =
            updated(&doc! { "n": 2_i64, "nModified": 1.0 }).unwrap();
        assert_eq!((matched_count, modified_count, upserted_id), (2, 1, None));
    }
}
