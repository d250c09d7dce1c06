//! What the path of a file says, where `mongodump` chose it. Pure.

use std::path::Path;

use gtm_oplog::Namespace;

use super::compression::without_ending;

/// Names longer than this are cut after the 208th byte, and end with `%24` and a hash. The rest of the name is then
/// in the metadata only.
const LONGEST: usize = 238;
const CUT: usize = 208;

/// The namespace of a dump `DATABASE/COLLECTION.bson`, which may be compressed as in `.bson.gz`, in which signs that a file's name does not
/// take are written as `%` and two hexadecimal digits. None: the path does not say it, or is that of an oplog.
pub(super) fn namespace(path: &Path) -> Option<Namespace> {
    let name = path.file_name()?.to_str()?;
    let name = without_ending(name).strip_suffix(".bson")?;
    let is_cut = name.len() == LONGEST && name.get(CUT..).is_some_and(|rest| rest.starts_with("%24"));
    let collection = unescaped(name).filter(|name| !name.is_empty() && !is_cut)?;
    let database =
        path.parent()?.file_name()?.to_str().filter(|name| !name.contains(['.', ' ', '$', '"']))?;
    let is_oplog = matches!(collection.as_str(), "oplog" | "oplog.rs");
    (!is_oplog).then(|| Namespace { database: database.into(), collection: collection.into() })
}

/// Whether a file is what `mongodump` writes beside its dumps: options and indexes, and what server it was.
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
    fn a_path_of_mongodump_says_the_namespace() {
        let cut = format!("dump/shop/{}%24{}.bson", "x".repeat(CUT), "h".repeat(27));
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
    fn metadata_is_known_by_its_name() {
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
