//! Plugins that take much to be compiled: that is done by a child process, which ends at its limits.

use std::fmt::Write;
use std::time::Duration;

use gtm_runtime::{
    ChildCompiler, Compilation, CompileLimits, Engine, Limits, LoadError, Plugin, PluginSetup,
};

use super::{GOOD, Parts, Workshop};
use crate::log;
use crate::support::{Host, run};
use crate::swapping::put;

/// Native code of some 20 MB, which takes some hundred MB of memory to be made.
fn large() -> String {
    let mut functions = String::new();
    for n in 0..4000 {
        write!(functions, "(func (param i32 i32) (result i32) (local.get 0)").unwrap();
        for k in 0..100 {
            write!(
                functions,
                "(i32.mul (local.get 1)) (i32.xor (i32.const {})) (i32.load offset={k})",
                n * 100 + k
            )
            .unwrap();
        }
        functions.push(')');
    }
    Parts { fields: &functions, ..GOOD }.wat()
}

fn load_within(workshop: &Workshop, component: &str, limits: CompileLimits) -> Result<Plugin, LoadError> {
    let program = env!("CARGO_BIN_EXE_gtm-host").into();
    let compiler = ChildCompiler { program, arguments: vec!["compile-component".to_owned()], limits };
    let engine = Engine::compiling(&workshop.path("cache"), Compilation::Child(compiler)).unwrap();
    Plugin::load(&engine, component.as_ref(), &PluginSetup::new("large", Limits::default()))
}

#[test]
fn one_that_takes_more_than_it_may_is_refused() {
    let workshop = Workshop::new();
    let large = workshop.make("large", &large());
    let limits = CompileLimits::default();
    for (limits, reason) in [
        (CompileLimits { memory: 64 << 20, ..limits }, "it takes more than 64 MiB of memory"),
        (
            CompileLimits { processor_time: Duration::from_secs(1), ..limits },
            "it takes more than 1 s of processor time",
        ),
        (CompileLimits { time: Duration::from_millis(1), ..limits }, "it was not compiled after 0 s"),
    ] {
        let error = load_within(&workshop, &large, limits).err().unwrap();
        assert!(matches!(&error, LoadError::Compile { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    // Only a note is left of those that always take too much, which are not compiled again.
    let left = std::fs::read_dir(workshop.path("cache/compiled")).unwrap();
    let left = left.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("lock"));
    let left: Vec<_> = left.map(|path| path.extension().unwrap().to_owned()).collect();
    assert_eq!(left, ["refused", "refused"]);
    let again = CompileLimits { memory: 64 << 20, time: Duration::from_millis(1), ..limits };
    let error = load_within(&workshop, &large, again).err().unwrap().to_string();
    assert!(error.contains("it takes more than 64 MiB of memory, found 0 min ago; remove "), "{error}");
    // With enough, it is a plugin.
    assert!(load_within(&workshop, &large, limits).is_ok());
}

#[test]
fn what_is_wrong_with_a_component_is_said_by_the_child_too() {
    let workshop = Workshop::new();
    let path = workshop.path("bad.wasm");
    std::fs::write(&path, b"\0asm\x0d\0\x01\0\x7f").unwrap();
    let error = load_within(&workshop, path.to_str().unwrap(), CompileLimits::default()).err().unwrap();
    assert!(matches!(&error, LoadError::Invalid { .. }), "{error}");
    let (code, _, said) = run(&["check", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn what_is_compiled_is_loaded_and_a_file_that_is_damaged_is_made_anew() {
    let workshop = Workshop::new();
    let good = workshop.make("good", &GOOD.wat());
    let native = || {
        let files = std::fs::read_dir(workshop.path("cache/compiled")).unwrap();
        let mut native = files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some());
        let only = native.next().unwrap();
        assert!(native.next().is_none());
        only
    };
    let load = || load_within(&workshop, &good, CompileLimits::default()).unwrap();
    load();
    let made = || std::fs::metadata(native()).unwrap().created().unwrap();
    let first = made();
    load();
    assert_eq!(made(), first, "it is not compiled again");
    std::fs::write(native(), "no native code").unwrap();
    load();
    assert!(std::fs::metadata(native()).unwrap().len() > 1000);
}

/// The most memory that a process had, in bytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Compiled by the host itself, the large one takes some hundred MB.
#[tokio::test]
async fn a_swap_is_said_from_the_first_and_compiled_apart_from_the_host() {
    let server = gtm_test_support::Server::ready().unwrap();
    let workshop = Workshop::new();
    let (good, large) = (workshop.make("good", &GOOD.wat()), workshop.make("large", &large()));
    let file = workshop.path("p.wasm");
    put(&good, &file);
    let cache = workshop.path("cache");
    let arguments = ["--plugin", file.to_str().unwrap(), "--uri", server.uri()];
    let mut host = Host::start_in(&arguments, &[("GTM_CACHE_DIR", cache.to_str().unwrap())]);
    host.wait_for("source.tail", &[]);
    let before = peak(host.pid());
    put(&large, &file);
    for event in ["plugin.swap_start", "plugin.compile_start", "plugin.compile", "plugin.load", "plugin.swap"]
    {
        host.wait_for(event, &[("plugin", "p")]);
    }
    let more = peak(host.pid()) - before;
    assert!(more < 64 << 20, "{more} bytes");
    let (code, log) = host.stop();
    assert_eq!(code, Some(0));
    assert_eq!(log::count(&log, "plugin.compile_start", &[]), 0, "{log:?}");
}
