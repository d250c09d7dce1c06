//! The functions of `wasi:keyvalue@0.2.0-draft`.

use crate::bindings::wasi::keyvalue0_2_0_draft::store::{self, Bucket, Error};
use crate::bindings::wasi::keyvalue0_2_0_draft::{atomics, batch};
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
        other => Err(Error::Other(format!("there is no errand {other}"))),
    }
}

fn increment(errand: &Errand, bucket: &Bucket) -> Result<String, Error> {
    let by = errand.0.get_i64("by").unwrap_or(1).cast_unsigned();
    atomics::increment(bucket, errand.text("key"), by).map(|sum| sum.to_string())
}

fn list(errand: &Errand, bucket: &Bucket) -> Result<String, Error> {
    let cursor = errand.0.get_i64("by").ok().map(i64::cast_unsigned);
    let page = bucket.list_keys(cursor)?;
    let end = if page.cursor.is_none() { "" } else { ",..." };
    Ok(format!("{}{end}", page.keys.join(",")))
}
