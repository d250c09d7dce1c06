//! `gtm-host compile-component`: what the host starts itself to have a plugin compiled, apart from it.

use std::path::PathBuf;
use std::process::ExitCode;

use gtm_runtime::{ChildCompiler, Compilation, CompileLimits, compile_as_child};

use super::arguments::{COMPILE_COMPONENT, CompileComponentArguments};

/// Has plugins compiled by this program.
pub(super) fn compilation() -> Compilation {
    // The program that runs, even if its file was replaced since by that of another version.
    let this = PathBuf::from("/proc/self/exe");
    let program = if this.exists() { this } else { std::env::current_exe().unwrap_or(this) };
    let arguments = vec![COMPILE_COMPONENT.to_owned()];
    Compilation::Child(ChildCompiler { program, arguments, limits: CompileLimits::default() })
}

pub(super) fn run(arguments: &CompileComponentArguments) -> ExitCode {
    let CompileComponentArguments { to, memory, processor_seconds } = arguments;
    ExitCode::from(compile_as_child(to, *memory, *processor_seconds))
}
