//! What goes over the border between host and plugin, malformed.

use super::{GOOD, Parts, Workshop};
use crate::support::scaled;

/// An error text in memory: `result` at 64 is an error of the case `retry`, with a text of this place and length.
fn error(pointer: i64, length: i64) -> String {
    format!(
        "(i32.store8 (i32.const 64) (i32.const 1))
         (i32.store (i32.const 68) (i32.const 0))
         (i32.store (i32.const 72) (i32.const {pointer}))
         (i32.store (i32.const 76) (i32.const {length}))
         (i32.const 64)"
    )
}

#[test]
fn a_good_one_by_hand_is_one() {
    let workshop = Workshop::new();
    let good = workshop.make("good", &GOOD.wat());
    let (code, out, said) = crate::support::run(&["try", &good, "--insert", "a.b", r#"{"_id":1}"#]);
    assert!(code == Some(0) && out.ends_with("\n  handled\n"), "{out}{said}");
}

#[test]
fn what_handle_gives_back_is_looked_at() {
    let workshop = Workshop::new();
    for (name, handle, reasons) in [
        ("nowhere", "(i32.const -4)".to_owned(), &["out of bounds", "pointer"][..]),
        ("misaligned", "(i32.const 65)".to_owned(), &["aligned", "pointer"]),
        ("no_case", "(i32.store8 (i32.const 64) (i32.const 7)) (i32.const 64)".to_owned(), &["discriminant", "invalid"]),
        (
            "no_failure",
            "(i32.store8 (i32.const 64) (i32.const 1)) (i32.store8 (i32.const 68) (i32.const 9)) (i32.const 64)".to_owned(),
            &["discriminant", "invalid"],
        ),
        ("text_nowhere", error(0x7fff_0000, 16), &["out of bounds", "pointer"]),
        ("text_without_end", error(16, -1), &["out of bounds", "pointer"]),
        ("no_text", format!("(i32.store8 (i32.const 16) (i32.const 255)) {}", error(16, 1)), &["utf-8", "UTF-8"]),
    ] {
        let wat = Parts { handle: &handle, ..GOOD }.wat();
        let said = workshop.fails(name, &wat, reasons);
        assert!(said.contains("\n  trapped: handle trapped: "), "{name}: {said}");
    }
}

#[test]
fn what_a_plugin_passes_to_the_host_is_looked_at() {
    let workshop = Workshop::new();
    for (name, call, reasons) in [
        (
            "level",
            "(call $log (i32.const 200) (i32.const 16) (i32.const 1))",
            &["discriminant", "invalid", "enum"][..],
        ),
        ("nowhere", "(call $log (i32.const 2) (i32.const -8) (i32.const 16))", &["out of bounds", "pointer"]),
        (
            "without_end",
            "(call $log (i32.const 2) (i32.const 16) (i32.const -1))",
            &["out of bounds", "pointer"],
        ),
        (
            "no_text",
            "(i32.store8 (i32.const 16) (i32.const 255)) (call $log (i32.const 2) (i32.const 16) (i32.const 1))",
            &["utf-8", "UTF-8"],
        ),
    ] {
        let handle = format!("{call} (i32.const 0)");
        workshop.fails(name, &Parts { handle: &handle, ..GOOD }.wat(), reasons);
    }
}

#[test]
fn what_takes_up_the_op_is_looked_at() {
    let workshop = Workshop::new();
    for (name, realloc, reasons) in [
        ("nowhere", "(i32.const -16)", &["out of bounds", "realloc"][..]),
        ("misaligned", "(i32.const 4097)", &["aligned", "realloc"]),
        ("trap", "unreachable", &["unreachable"]),
        ("loop", "(loop (br 0)) (i32.const 0)", &["took longer than "]),
        (
            "recursion",
            "(call $handle (i32.const 0))",
            &["call stack", "stack", "cannot leave", "reenter", "enter"],
        ),
    ] {
        let fields = "";
        let handle = if name == "recursion" { "(call $handle (local.get 0))" } else { GOOD.handle };
        let wat = Parts { realloc, handle, fields, ..GOOD }.wat();
        let more = ["--config", &limits(&workshop)];
        workshop.fails_with(name, &wat, &more, reasons);
    }
}

/// A settings file with short times.
pub fn limits(workshop: &Workshop) -> String {
    let file = workshop.path("gtm.toml");
    let time = scaled(200);
    let settings = format!(
        "[limits]\nfilter_timeout = \"{time}ms\"\nhandle_timeout = \"{time}ms\"\nmemory = \"32 MiB\"\n"
    );
    std::fs::write(&file, settings).unwrap();
    file.to_str().unwrap().to_owned()
}
