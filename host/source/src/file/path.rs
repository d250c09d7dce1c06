//! Reads the path of a file that `mongodump` wrote. Pure.

use std::path::Path;

use gtm_oplog::Namespace;

use super::compression::without_ending;

/// The maximum length of a name in bytes. A longer one is cut after the 208th byte and ends with `%24` and a hash; the rest of
/// it is only in the metadata.
const MAX_NAME_LENGTH: usize = 238;
const CUT_NAME_LENGTH: usize = 208;

/// Returns the namespace of a dump `DATABASE/COLLECTION.bson`, or a compressed one such as `.bson.gz`. In it, `%` and two
/// hexadecimal digits stand for characters that a file name cannot contain. None: the path does not contain a namespace, or
/// is that of an oplog.
pub(super) fn namespace(path: &Path) -> Option<Namespace> {
    let name = path.file_name()?.to_str()?;
    let name = without_ending(name).strip_suffix(".bson")?;
    let is_cut = name.len() == MAX_NAME_LENGTH
        && name.get(CUT_NAME_LENGTH..).is_some_and(|rest| rest.starts_with("%24"));
    let collection = unescaped(name).filter(|name| !name.is_empty() && !is_cut)?;
    let database =
        path.parent()?.file_name()?.to_str().filter(|name| !name.contains(['.', ' ', '$', '"']))?;
    let is_oplog = matches!(collection.as_str(), "oplog" | "oplog.rs");
    (!is_oplog).then(|| Namespace { database: database.into(), collection: collection.into() })
}

/// Returns whether a file is metadata that `mongodump` writes next to its dumps: options, indexes and the server.
pub(super) fn is_metadata(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let name = without_ending(name);
    name.ends_with(".metadata.json") || name == "prelude.json"
}

fn unescaped(name: &str) -> Option<String> {
    let mut pieces = name.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_mongodump_contains_the_namespace() {
        let cut = format!("dump/shop/{}%24{}.bson", "x".repeat(CUT_NAME_LENGTH), "h".repeat(27));
        for (path, expected) in [
            ("dump/shop/orders.bson", Some("shop.orders")),
            ("shop/orders.2026.bson.gz", Some("shop.orders.2026")),
            ("shop/orders.bson.zst", Some("shop.orders")),
            ("shop/orders.bson.lz4", Some("shop.orders")),
            ("dump/shop/a%2Fb%3A%25%C3%A9.bson", Some("shop.a/b:%é")),
            ("/dump/shop/system.views.bson", Some("shop.system.views")),
            ("dump/oplog.bson", None),
            ("dump/local/oplog.rs.bson", None),
            ("orders.bson", None),
            ("dump/shop/orders.json", None),
            ("dump/shop/.bson", None),
            ("dump/shop/a%2.bson", None),
            ("dump/shop/a%+1.bson", None),
            ("dump/shop/a%ff.bson", None),
            ("my dumps/orders.bson", None),
            (&cut, None),
        ] {
            let found = namespace(Path::new(path)).map(|namespace| namespace.to_string());
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn metadata_is_recognized_by_its_name() {
        for (path, expected) in [
            ("dump/shop/orders.metadata.json", true),
            ("dump/shop/orders.metadata.json.gz", true),
            ("dump/prelude.json", true),
            ("dump/shop/prelude.json.gz", true),
            ("dump/shop/orders.json", false),
            ("dump/shop/orders.bson", false),
        ] {
            assert_eq!(is_metadata(Path::new(path)), expected, "{path}");
        }
    }
}
