//! Finds the WebAssembly feature that a component needs and this host does not support.

use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// Each feature, and the end of a sentence about a component that needs it. The first one that is needed is reported.
const UNSUPPORTED: [(WasmFeatures, &str); 9] = [
    (WasmFeatures::SHARED_EVERYTHING_THREADS, THREADS),
    (WasmFeatures::THREADS, THREADS),
    (WasmFeatures::CM_THREADING, THREADS),
    (WasmFeatures::CM_ASYNC, WASI_0_3),
    (
        WasmFeatures::LEGACY_EXCEPTIONS,
        "throws exceptions by the old proposal for WebAssembly, which gtm-host does not support. Compile it without them (in C++: \
         -fno-exceptions)",
    ),
    (
        WasmFeatures::EXCEPTIONS,
        "throws exceptions of WebAssembly, which gtm-host does not support. Compile it without them (in C++: -fno-exceptions)",
    ),
    (
        WasmFeatures::GC,
        "uses the garbage collector of WebAssembly (GC), which gtm-host does not support. Compile it with a collector of its own, or write \
         it in a language that brings one",
    ),
    (
        WasmFeatures::CM64,
        "has 64-bit memory, and a component of WASI 0.2 has 32-bit memory. Compile it for wasm32",
    ),
    (
        WasmFeatures::STACK_SWITCHING,
        "switches stacks, which is a proposal for WebAssembly that gtm-host does not support. Compile it without",
    ),
];
const THREADS: &str = "uses threads, and a plugin has one thread. Compile it without them (in Rust: --target wasm32-wasip2; in C: no -pthread)";
/// Also for a component that only names the interfaces of 0.3.
pub(super) const WASI_0_3: &str = "is built for WASI 0.3, and this gtm-host offers WASI 0.2. Build it for 0.2 (in Rust: --target wasm32-wasip2)";

/// Describes the feature that a valid module or component needs and this host does not support. None: it is not valid, or needs no
/// such feature.
pub fn unsupported(wasm: &[u8]) -> Option<&'static str> {
    let is_valid = |features| Validator::new_with_features(features).validate_all(wasm).is_ok();
    let all = WasmFeatures::all();
    if !is_valid(all) {
        return None;
    }
    UNSUPPORTED.iter().find(|(feature, _)| !is_valid(all.difference(*feature))).map(|(_, said)| *said)
}

/// Returns whether a core module imports functions of WASI 0.1, as older compilers and the target `wasm32-wasip1` make it.
pub(super) fn is_wasi_0_1(module: &[u8]) -> bool {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads
        .filter_map(|payload| match payload {
            Payload::ImportSection(imports) => Some(imports),
            _ => None,
        })
        .flat_map(|imports| imports.into_imports())
        .map_while(Result::ok)
        .any(|import| matches!(import.module, "wasi_snapshot_preview1" | "wasi_unstable"))
}

/// Returns whether an import is an interface of WASI that is newer than 0.2.
pub(super) fn is_newer_wasi(import: &str) -> bool {
    let version =
        import.strip_prefix("wasi:").and_then(|import| import.split_once('@')).map(|(_, version)| version);
    let parsed = version.and_then(|version| semver::Version::parse(version).ok());
    parsed.is_some_and(|version| (version.major, version.minor) > (0, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(wat: &str) -> Option<&'static str> {
        unsupported(&wat::parse_str(wat).unwrap())
    }

    #[test]
    fn the_unsupported_feature_is_named() {
        for (part, wat) in [
            ("threads", r#"(module (memory 1 1 shared))"#),
            ("exceptions of WebAssembly", "(module (tag $t) (func (throw $t)))"),
            ("(GC)", "(module (type (struct (field i32))) (func (drop (struct.new 0 (i32.const 1)))))"),
            ("WASI 0.3", "(component (type (stream u8)))"),
            ("threads", "(component (core module (memory 1 1 shared)))"),
        ] {
            assert!(said(wat).is_some_and(|said| said.contains(part)), "{wat}: {:?}", said(wat));
        }
        // try, catch: current tools no longer write it.
        let old = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0d\x03\x01\0\0\x0a\x09\x01\x07\0\x06\x40\x07\0\x0b\x0b";
        assert!(unsupported(old).is_some_and(|said| said.contains("exceptions by the old")));
        assert_eq!(said("(module (func (export \"filter\")))"), None);
        assert_eq!(unsupported(b"\0asm\x0d\0\x01\0\xff"), None);
    }

    #[test]
    fn versions_of_wasi_are_distinguished() {
        assert!(
            is_newer_wasi("wasi:cli/stdout@0.3.0") && is_newer_wasi("wasi:http/types@0.3.0-rc-2026-01-06")
        );
        assert!(!is_newer_wasi("wasi:cli/stdout@0.2.99") && !is_newer_wasi("gtm:plugin/log@0.3.0"));
        let module =
            |from: &str| wat::parse_str(format!("(module (import \"{from}\" \"fd_write\" (func)))")).unwrap();
        assert!(is_wasi_0_1(&module("wasi_snapshot_preview1")) && !is_wasi_0_1(&module("env")));
    }
}
