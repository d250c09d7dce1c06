//! `gtm-host compile-component`: the child process in which the host compiles a plugin.

use std::path::PathBuf;
use std::process::ExitCode;

use gtm_runtime::{ChildCompiler, Compilation, CompileLimits, compile_as_child};

use super::arguments::{COMPILE_COMPONENT, CompileComponentArguments};

/// Returns the configuration for compiling plugins in a child process of this program.
pub(super) fn compilation() -> Compilation {
    // The running program, even if its file has been replaced by another version.
    let this = PathBuf::from("/proc/self/exe");
    let program = if this.exists() { this } else { std::env::current_exe().unwrap_or(this) };
    let arguments = vec![COMPILE_COMPONENT.to_owned()];
    Compilation::Child(ChildCompiler { program, arguments, limits: CompileLimits::default() })
}

pub(super) fn run(arguments: &CompileComponentArguments) -> ExitCode {
    let CompileComponentArguments { to, memory, processor_seconds } = arguments;
    ExitCode::from(compile_as_child(to, *memory, *processor_seconds))
}
