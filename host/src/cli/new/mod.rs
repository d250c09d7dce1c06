//! `gtm-host new`: begins a plugin.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::arguments::{Language, NewArguments};
use super::output::print;

/// The files of a plugin in Rust, in which `NAME`, `TYPE` and `SDK` stand for what is chosen.
const RUST: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("rust/Cargo.toml.in")),
    (".cargo/config.toml", include_str!("rust/config.toml.in")),
    (".gitignore", "/target\n"),
    ("src/lib.rs", include_str!("rust/lib.rs.in")),
    ("README.md", include_str!("rust/README.md.in")),
];

pub(super) fn run(arguments: &NewArguments) -> anyhow::Result<ExitCode> {
    let NewArguments { name, lang, dir, sdk, .. } = arguments;
    let is_part = |part: char| part.is_ascii_lowercase() || part.is_ascii_digit() || part == '_';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.chars().all(is_part) {
        bail!(
            "\"{name}\" cannot be the name of a crate: take small letters, digits and _, as in send_welcome_email"
        );
    }
    let dir = dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if dir.exists() {
        bail!("{} exists already: name another folder by --dir", dir.display());
    }
    let files = match lang {
        Language::Rust => RUST,
    };
    let sdk = dependency(sdk.as_deref())?;
    for (file, text) in files {
        let path = dir.join(file);
        let text = text.replace("NAME", name).replace("TYPE", &camel(name)).replace("SDK", &sdk);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let (dir, wasm) = (dir.display(), format!("target/wasm32-wasip2/release/{name}.wasm"));
    let steps = format!(
        "made {dir}. Now:\n  cd {dir}\n  rustup target add wasm32-wasip2\n  cargo test && cargo plugin\n  gtm-host try {wasm} --insert shop.orders \
         '{{\"_id\":1,\"total\":120}}'\n  gtm-host --plugin {wasm}"
    );
    print(steps.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The crate `gtm-plugin`, as Cargo.toml names it.
fn dependency(sdk: Option<&Path>) -> anyhow::Result<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk");
    let path = match sdk {
        Some(path) if path.join("Cargo.toml").is_file() => path.to_owned(),
        Some(path) => {
            bail!("there is no crate in {}: name the folder plugin-sdk of gtm-host", path.display())
        }
        None if beside.join("Cargo.toml").is_file() => beside,
        None => return Ok(format!("\"{}\"", env!("CARGO_PKG_VERSION"))),
    };
    let path = path.canonicalize().with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(format!("{{ path = {:?} }}", path.to_string_lossy()))
}

/// `send_welcome_email` is `SendWelcomeEmail`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(word).collect()
}
