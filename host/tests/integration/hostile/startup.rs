//! Plugins that do wrong before they are called.

use super::boundary::limits;
use super::{GOOD, Parts, Workshop};

#[test]
fn a_start_that_does_not_end_well_is_the_plugins_own() {
    let workshop = Workshop::new();
    let more = ["--config", &limits(&workshop)];
    for (name, start, reasons) in [
        ("loop", "(loop (br 0))", &["took longer than "][..]),
        ("trap", "unreachable", &["unreachable"]),
        ("recursion", "(call $start)", &["call stack exhausted"]),
        (
            "memory",
            "(drop (memory.grow (i32.const 65000))) (i32.store (i32.const 100000000) (i32.const 1))",
            &["more memory", "out of bounds"],
        ),
    ] {
        let fields = format!("(func $start {start}) (start $start)");
        workshop.fails_with(name, &Parts { fields: &fields, ..GOOD }.wat(), &more, reasons);
    }
}

/// Of a plugin that is asked what it subscribes to when it is loaded.
#[test]
fn subscriptions_that_are_none_are_said_at_once() {
    let workshop = Workshop::new();
    let more = ["--config", &limits(&workshop)];
    let list = |pointer: i64, length: i64| {
        format!(
            "(i32.store (i32.const 64) (i32.const {pointer})) (i32.store (i32.const 68) (i32.const {length})) (i32.const 64)"
        )
    };
    // A subscription to a namespace whose text is at 128, with one operation type at 160.
    let one = |text: &str, operation: u8| {
        format!(
            "(i32.store (i32.const 80) (i32.const 128)) (i32.store (i32.const 84) (i32.const {})) (i32.store (i32.const 88) \
             (i32.const 160)) (i32.store (i32.const 92) (i32.const 1)) (i32.store8 (i32.const 160) (i32.const {operation})) {}",
            text.len(),
            list(80, 1)
        )
    };
    // The same one so many times, from 1024 on.
    let expressions = |count: u32| {
        let each = |n: u32| {
            let at = 1024 + 16 * n;
            format!(
                "(i32.store (i32.const {at}) (i32.const 128)) (i32.store (i32.const {}) (i32.const 3))",
                at + 4
            )
        };
        format!("{} {}", (0..count).map(each).collect::<String>(), list(1024, count.into()))
    };
    for (name, data, body, reasons) in [
        (
            "loop",
            "",
            "(loop (br 0)) (i32.const 0)".to_owned(),
            &["cannot be started: subscriptions took longer than "][..],
        ),
        ("trap", "", "unreachable".to_owned(), &["cannot be started: subscriptions trapped"]),
        ("nowhere", "", "(i32.const -4)".to_owned(), &["out of bounds", "pointer"]),
        ("without_end", "", list(80, 0x0fff_ffff), &["out of bounds", "pointer"]),
        ("no_operation", "shop.orders", one("shop.orders", 99), &["discriminant", "invalid", "enum"]),
        ("no_namespace", "shop", one("shop", 0), &["subscribes to \"shop\": \"shop\" is not a namespace"]),
        (
            "of_the_server",
            "admin.*",
            one("admin.*", 0),
            &["subscribes to \"admin.*\"", "the databases admin, config and local are the server's own"],
        ),
        ("several", "a.b,a.c", one("a.b,a.c", 0), &["specify each namespace by itself"]),
        ("no_regex", "/(/", one("/(/", 0), &["is not a valid regular expression"]),
        (
            "large_regex",
            r"/\\w{999}{9}/",
            one(r"/\w{999}{9}/", 0),
            &["is not a valid regular expression: ", "size limit"],
        ),
        ("many", "", list(4096, 1001), &["has 1001 subscriptions, and at most 1000 are allowed"]),
        (
            "long",
            "",
            format!(
                "(i32.store (i32.const 80) (i32.const 4096)) (i32.store (i32.const 84) (i32.const 5000)) {}",
                list(80, 1)
            ),
            &["has a subscription of 5000 bytes, and at most 4096 are allowed"],
        ),
        (
            "expressions",
            "/a/",
            expressions(65),
            &["has 65 regular expressions among its subscriptions, and at most 64 are allowed"],
        ),
    ] {
        let fields = format!(
            "(data (i32.const 128) \"{data}\") (func (export \"subscriptions\") (result i32) {body})"
        );
        workshop.fails_with(name, &Parts { fields: &fields, ..GOOD }.wat(), &more, reasons);
    }
}

#[test]
fn one_with_ten_thousand_functions_is_a_plugin_like_others() {
    let workshop = Workshop::new();
    let functions: String = (0..10_000)
        .map(|n| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {n})))"))
        .collect();
    let many = workshop.make("many", &Parts { fields: &functions, ..GOOD }.wat());
    let (code, out, said) = crate::support::run(&["try", &many, "--insert", "a.b", r#"{"_id":1}"#]);
    assert!(code == Some(0) && out.ends_with("\n  handled\n"), "{out}{said}");
}

#[test]
fn one_of_a_thousand_memories_or_tables_is_refused() {
    let workshop = Workshop::new();
    let tables: String = (0..100).map(|_| "(table 900000 funcref)".to_owned()).collect();
    let memory = "(memory 3000)";
    for (name, fields, reasons) in [
        ("tables", tables.as_str(), &["table", "memory"][..]),
        ("memories", memory, &["memory", "memories", "does not fit the contract"]),
    ] {
        let more = ["--config", &limits(&workshop)];
        let core = Parts { fields, ..GOOD }.wat();
        // Two memories may already be too much for who makes a component of it.
        let path = workshop.path("core.wasm");
        std::fs::write(&path, wat::parse_str(&core).unwrap()).unwrap();
        let component = workshop.path("made.wasm");
        let (path, component) = (path.to_str().unwrap(), component.to_str().unwrap());
        let (code, _, said) = crate::support::run(&["componentize", path, "-o", component]);
        if code == Some(0) {
            workshop.fails_with(name, &core, &more, reasons);
        } else {
            assert!(reasons.iter().any(|reason| said.contains(reason)), "{name}: {said}");
        }
    }
}
