//! A plugin that cannot be loaded: one sentence, with the remedy.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{error_of, plugin};

fn file(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn error_with(path: &Path) -> String {
    error_of(&["--plugin", path.to_str().unwrap()])
}

/// What is said of a plugin with these bytes.
fn error_with_bytes(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    error_with(&file(&directory, "plugin.wasm", bytes))
}

/// A plugin that is good but for these bytes, replaced by as many others.
fn error_with_patch(old: &str, new: &str) -> String {
    assert_eq!(old.len(), new.len());
    let mut bytes = std::fs::read(plugin("send_welcome_email")).unwrap();
    let found: Vec<_> =
        (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old.as_bytes())).collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    }
    error_with_bytes(&bytes)
}

#[test]
fn missing() {
    let said = error_of(&["--plugin", "no/such/plugin.wasm"]);
    assert!(
        said.starts_with("the plugin no/such/plugin.wasm does not exist. help: check the path"),
        "{said}"
    );
}

#[test]
fn unreadable() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path(), Path::new("/dev/zero")] {
        let said = error_with(path);
        assert!(said.contains("is not a regular file"), "{said}");
    }
}

#[test]
fn empty() {
    assert!(error_with_bytes(b"").contains("is an empty file. help: build it again"));
}

#[test]
fn no_webassembly() {
    assert!(error_with_bytes(b"#!/bin/sh\n").contains("is not WebAssembly. help: name the .wasm file"));
}

#[test]
fn too_large() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "plugin.wasm", b"\0asm\x0d\0\x01\0");
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().set_len((64 << 20) + 1).unwrap();
    let said = error_with(&path);
    assert!(said.contains("has more than 64 MiB. help: build it without debug information"), "{said}");
}

#[test]
fn a_core_module() {
    let said = error_with_bytes(b"\0asm\x01\0\0\0");
    assert!(said.contains("is a core WebAssembly module, and a plugin is a component"), "{said}");
    assert!(
        said.contains("--target wasm32-wasip2") && said.contains("gtm-host componentize CORE.wasm"),
        "{said}"
    );
}

#[test]
fn what_this_host_does_not_run() {
    for (wat, said) in [
        (r#"(component (core module (memory 1 1 shared)))"#, "uses threads, and a plugin has one thread"),
        ("(component (core module (tag $t) (func (throw $t))))", "throws exceptions of WebAssembly"),
        (
            "(component (core module (type (struct (field i32))) (func (drop (struct.new 0 (i32.const 1))))))",
            "uses the garbage collector of WebAssembly (GC)",
        ),
        ("(component (type (stream u8)))", "is built for WASI 0.3, and this gtm-host offers WASI 0.2"),
        (
            r#"(component (import "wasi:cli/stdout@0.3.0" (instance)))"#,
            "is built for WASI 0.3, and this gtm-host offers WASI 0.2",
        ),
        (
            r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32))))"#,
            "is a core WebAssembly module for WASI 0.1",
        ),
        ("(module (memory 1 1 shared))", "uses threads, and a plugin has one thread"),
    ] {
        let error = error_with_bytes(&wat::parse_str(wat).unwrap());
        assert!(error.contains(said) && !error.contains("Build it again"), "{wat}: {error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let core = file(&directory, "core.wasm", &wat::parse_str("(module (memory 1 1 shared))").unwrap());
    let core = core.to_str().unwrap();
    let said = error_of(&["componentize", core, "-o", "/dev/null"]);
    assert!(said.contains("uses threads"), "{said}");
    let (code, said, _) = crate::support::run(&["check", core]);
    assert!(code == Some(1) && said.contains("uses threads"), "{said}");
}

#[test]
fn a_component_cut_short() {
    let bytes = std::fs::read(plugin("print_ops")).unwrap();
    let said = error_with_bytes(&bytes[..bytes.len() / 2]);
    assert!(said.contains("cannot be compiled: ") && said.contains("help: build it again"), "{said}");
}

#[test]
fn a_component_of_another_world() {
    // The smallest component: it imports and exports nothing.
    let said = error_with_bytes(b"\0asm\x0d\0\x01\0");
    assert!(said.contains("is a component of another world: it exports none of gtm:plugin/handler, gtm:plugin/batch-handler and gtm:plugin/schedule"), "{said}");
}

#[test]
fn a_newer_contract() {
    let said = error_with_patch("@0.2.0", "@0.3.0");
    assert!(
        said.contains(
            "was built against contract 0.3.0, and this gtm-host supports 0.1.0 and 0.2.0. help: update gtm-host"
        ),
        "{said}"
    );
}

#[test]
fn an_older_contract() {
    let said = error_with_patch("@0.2.0", "@0.0.1");
    assert!(said.contains("built against contract 0.0.1, which this gtm-host no longer supports"), "{said}");
}

#[test]
fn an_import_that_is_not_offered() {
    let said = error_with_patch("gtm:plugin/mail@0.2.0", "acme:parts/faxe@0.2.0");
    assert!(said.contains("imports acme:parts/faxe@0.2.0"), "{said}");
    assert!(said.contains("which this gtm-host does not provide"), "{said}");
}

#[test]
fn another_signature() {
    // Field names are part of a type.
    let said = error_with_patch("full-document-before-change", "full-document-before-chance");
    assert!(said.contains("does not fit contract 0.2.0: "), "{said}");
}
