//! A plugin that sends a pipeline which two readers understand in two ways.

use bson::{RawDocumentBuf, rawdoc};
use gtm_test_support::Server;

use super::{GOOD, Parts, Workshop};
use crate::support::run;

/// Where the bytes are in the plugin's memory: the namespace, the list of stages, the stage, and what the host answers.
const NAMESPACE: usize = 1024;
const STAGES: usize = 2048;
const STAGE: usize = 3072;
const ANSWER: usize = 512;

/// Bytes as a text in WebAssembly.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A plugin that sends this stage to the collection `shop.orders` and logs what is wrong with it.
fn sends(stage: &RawDocumentBuf) -> String {
    let namespace = "shop.orders";
    let stage = stage.as_bytes();
    let list: Vec<_> = [STAGE, stage.len()]
        .iter()
        .flat_map(|number| u32::try_from(*number).unwrap().to_le_bytes())
        .collect();
    let data = [(NAMESPACE, namespace.as_bytes()), (STAGES, &list), (STAGE, stage)];
    let data = data.map(|(at, bytes)| format!("(data (i32.const {at}) \"{}\")", text(bytes))).join("\n");
    // The result begins with whether it is an error, then which, then its text.
    let handle = format!(
        "(call $aggregate (i32.const {NAMESPACE}) (i32.const {}) (i32.const {STAGES}) (i32.const 1) (i32.const {ANSWER}))
         (if (i32.load8_u (i32.const {ANSWER})) (then
            (call $log (i32.const 2) (i32.load (i32.const {})) (i32.load (i32.const {})))))
         (i32.const 0)",
        namespace.len(),
        ANSWER + 8,
        ANSWER + 12
    );
    let wat = Parts { fields: &data, handle: &handle, ..GOOD }.wat();
    let import =
        "(import \"gtm:plugin/mongodb@0.1.0\" \"aggregate\" (func $aggregate (param i32 i32 i32 i32 i32)))";
    wat.replacen("(memory", &format!("{import}\n(memory"), 1)
}

#[test]
fn a_collection_that_is_named_twice_is_not_read() {
    let workshop = Workshop::new();
    let server = Server::ready().unwrap();
    let mut lookup = rawdoc! { "from": "orders" };
    lookup.append(bson::raw::cstr!("from"), "secrets");
    lookup.append(bson::raw::cstr!("as"), "x");
    for (name, from, said) in [
        ("once", rawdoc! { "from": "secrets", "as": "x" }, "to read shop.secrets is not granted"),
        ("twice", lookup, "the field from occurs twice in a document"),
    ] {
        let plugin = workshop.make(name, &sends(&rawdoc! { "$lookup": from }));
        let (_, out, log) = run(&[
            "try",
            &plugin,
            "--uri",
            server.uri(),
            "--grant",
            "mongodb-read=shop.orders",
            "--insert",
            "a.b",
            r#"{"_id":1}"#,
        ]);
        assert!(format!("{out}{log}").contains(said), "{out}{log}");
    }
}
