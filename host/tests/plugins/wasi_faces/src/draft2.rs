//! The functions of `wasi:keyvalue@0.2.0-draft2`.

use crate::bindings::wasi::keyvalue0_2_0_draft2::atomics::{self, Cas, CasError};
use crate::bindings::wasi::keyvalue0_2_0_draft2::batch;
use crate::bindings::wasi::keyvalue0_2_0_draft2::store::{self, Bucket, Error};
use crate::{Errand, shown, shown_entries};

/// Calls the function that the errand names.
pub(super) fn run(errand: &Errand) -> Result<String, String> {
    call(errand).map_err(|error| match error {
        Error::NoSuchStore => "no such store".to_owned(),
        Error::AccessDenied => "access denied".to_owned(),
        Error::Other(reason) => format!("other: {reason}"),
    })
}

fn call(errand: &Errand) -> Result<String, Error> {
    let bucket = store::open(errand.text("bucket"))?;
    let (key, value) = (errand.text("key"), errand.text("value"));
    match errand.text("do") {
        "open" => Ok("open".to_owned()),
        "get" => bucket.get(key).map(shown),
        "set" => bucket.set(key, value.as_bytes()).map(|()| "set".to_owned()),
        "delete" => bucket.delete(key).map(|()| "deleted".to_owned()),
        "exists" => bucket.exists(key).map(|exists| exists.to_string()),
        "get-many" => batch::get_many(&bucket, &errand.keys()).map(shown_entries),
        "set-many" => batch::set_many(&bucket, &errand.entries()).map(|()| "set".to_owned()),
        "delete-many" => batch::delete_many(&bucket, &errand.keys()).map(|()| "deleted".to_owned()),
        "increment" => increment(errand, &bucket),
        "list" => list(errand, &bucket),
        "current" => Cas::new(&bucket, key)?.current().map(shown),
        "swap" => swap(errand, &bucket),
        "hold" => hold(errand, &bucket),
        other => Err(Error::Other(format!("there is no errand {other}"))),
    }
}

fn increment(errand: &Errand, bucket: &Bucket) -> Result<String, Error> {
    let by = errand.0.get_i64("by").unwrap_or(1);
    atomics::increment(bucket, errand.text("key"), by).map(|sum| sum.to_string())
}

/// Lists the keys of all pages, with a bar after each page.
fn list(_: &Errand, bucket: &Bucket) -> Result<String, Error> {
    let (mut keys, mut cursor) = (String::new(), None);
    loop {
        let page = bucket.list_keys(cursor.as_deref())?;
        keys.push_str(&page.keys.join(","));
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(keys);
        }
        keys.push('|');
    }
}

/// Swaps the value. If there is a field `between`, that value is written before, so that the first swap fails and the second one, with the
/// newer handle, does not.
fn swap(errand: &Errand, bucket: &Bucket) -> Result<String, Error> {
    let (key, value) = (errand.text("key"), errand.text("value"));
    let cas = Cas::new(bucket, key)?;
    if let Ok(between) = errand.0.get_str("between") {
        bucket.set(key, between.as_bytes())?;
    }
    match atomics::swap(cas, value.as_bytes()) {
        Ok(()) => Ok("swapped".to_owned()),
        Err(CasError::StoreError(error)) => Err(error),
        Err(CasError::CasFailed(newer)) => {
            let current = shown(newer.current()?);
            match atomics::swap(newer, value.as_bytes()) {
                Ok(()) => Ok(format!("swapped after {current}")),
                Err(CasError::StoreError(error)) => Err(error),
                Err(CasError::CasFailed(_)) => Ok("not swapped".to_owned()),
            }
        }
    }
}

/// Holds as many handles of a compare-and-swap as the field `count` says.
fn hold(errand: &Errand, bucket: &Bucket) -> Result<String, Error> {
    let mut held = Vec::new();
    for _ in 0..errand.0.get_i32("count").unwrap_or_default() {
        held.push(Cas::new(bucket, errand.text("key"))?);
    }
    Ok(format!("held {}", held.len()))
}
