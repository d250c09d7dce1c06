//! Plugins that mean harm, or are broken in every way: the host says so, and goes on.
//!
//! What a plugin of some language does wrong is in `sandbox`, and what it may not reach in `capabilities`. Here they are written by
//! hand, so that they can do what no compiler would.

mod boundary;
mod budget;
mod compiling;
mod defects;
mod every_call;
pub mod filter_batch;
mod floods;
mod mutations;
mod pipelines;
mod places;
mod side_by_side;
mod startup;

use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::run;

/// A plugin written by hand: what differs from one that handles everything.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// What is there beside the functions.
    pub fields: &'a str,
    pub realloc: &'a str,
    pub filter: &'a str,
    pub handle: &'a str,
}

/// Handles everything, and says nothing.
pub const GOOD: Parts<'_> = Parts {
    fields: "",
    realloc: "(local $at i32)
        (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
        (global.set $free (i32.add (local.get $at) (local.get 3)))
        (local.get $at)",
    filter: "(global.set $free (i32.const 4096)) (i32.const 1)",
    handle: "(global.set $free (i32.const 4096)) (i32.const 0)",
};

impl Parts<'_> {
    pub fn wat(&self) -> String {
        let Self { fields, realloc, filter, handle } = self;
        format!(
            "(module
                (import \"gtm:plugin/log@0.1.0\" \"log\" (func $log (param i32 i32 i32)))
                (memory (export \"memory\") 2)
                (global $free (mut i32) (i32.const 4096))
                {fields}
                (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export \"filter\") (param i32) (result i32) {filter})
                (func $handle (export \"handle\") (param i32) (result i32) {handle}))"
        )
    }
}

/// Plugins written by hand, in a directory of their own.
pub struct Workshop(TempDir);

impl Workshop {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a plugin of a core module.
    pub fn make(&self, name: &str, wat: &str) -> String {
        let core = self.path(&format!("{name}.core"));
        std::fs::write(&core, wat::parse_str(wat).unwrap()).unwrap();
        let component = self.path(&format!("{name}.wasm")).to_str().unwrap().to_owned();
        let (code, _, said) = run(&["componentize", core.to_str().unwrap(), "-o", &component]);
        assert_eq!(code, Some(0), "{said}");
        component
    }

    /// Tries a plugin with an op, which is to fail for a reason with one of these in it. Gives back what is said.
    pub fn fails(&self, name: &str, wat: &str, reasons: &[&str]) -> String {
        self.fails_with(name, wat, &[], reasons)
    }

    pub fn fails_with(&self, name: &str, wat: &str, more: &[&str], reasons: &[&str]) -> String {
        let component = self.make(name, wat);
        let arguments = ["try", &component, "--insert", "a.b", r#"{"_id":1,"text":"Grüße"}"#];
        let (code, out, said) = run(&[&arguments[..], more].concat());
        assert_eq!(code, Some(1), "{name}: {out}{said}");
        let all = format!("{out}{said}");
        assert!(!all.contains("panicked at host/"), "{name}: {all}");
        assert!(
            reasons.iter().any(|reason| all.contains(reason)),
            "{name}: {}",
            all.get(..2000).unwrap_or(&all)
        );
        all
    }
}
