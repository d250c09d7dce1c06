//! `gtm-host new`: begins a plugin, as a copy of the example in its language.

mod templates;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use regex::Regex;

use super::arguments::NewArguments;
use super::output::print_text;
use templates::{Package, Template};

/// The name of the plugin that the examples are.
const EXAMPLE: &str = "welcome";

/// Names that are words of one of the languages, or that the bindings have.
const TAKEN: [&str; 26] = [
    "abstract", "as", "assert", "async", "await", "break", "class", "const", "continue", "def", "do", "else",
    "enum", "fn", "for", "gtm", "if", "import", "in", "main", "plugin", "sdk", "self", "struct", "type",
    "while",
];

pub(super) fn run(arguments: &NewArguments) -> anyhow::Result<ExitCode> {
    let NewArguments { name, lang, dir, sdk, .. } = arguments;
    let is_part = |part: char| part.is_ascii_lowercase() || part.is_ascii_digit() || part == '_';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.chars().all(is_part) {
        bail!(
            "\"{name}\" cannot be the name of a plugin: take small letters, digits and _, as in send_welcome_email"
        );
    }
    if TAKEN.contains(&name.as_str()) {
        bail!("\"{name}\" cannot be the name of a plugin: it means something else already");
    }
    let dir = dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if std::fs::read_dir(&dir).is_ok_and(|mut files| files.next().is_some()) || dir.is_file() {
        bail!("{} is not empty: name another folder by --dir", dir.display());
    }
    let template = templates::of(*lang);
    let package = template.package.as_ref().map(|package| location(package, sdk.as_deref())).transpose()?;
    write(&template, name, &dir, package.as_deref())?;
    print_text(&steps(&template, name, &dir))?;
    Ok(ExitCode::SUCCESS)
}

fn write(template: &Template, name: &str, dir: &Path, package: Option<&str>) -> anyhow::Result<()> {
    // Of `welcome.wasm` and `welcome_test.go` too, but not of `welcomed`.
    let example = Regex::new(&format!(r"\b{EXAMPLE}(\b|_test\b)"))?;
    let named = |text: &str| example.replace_all(text, format!("{name}$1")).into_owned();
    for (file, text) in template.files {
        let mut text = named(text);
        if let (Some(Package { relative, .. }), Some(location)) = (&template.package, package) {
            text = text.replace(relative, location);
        }
        let path = dir.join(named(file));
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// What is put in the place of the SDK's relative path.
fn location(package: &Package, sdk: Option<&Path>) -> anyhow::Result<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk");
    let folder = sdk.map_or(beside, Path::to_owned).join(package.folder);
    if !folder.join(package.manifest).is_file() {
        return match (sdk, package.published) {
            (Some(sdk), _) => bail!(
                "there is no {} in {}: name the folder plugin-sdk of gtm-host",
                Path::new(package.folder).join(package.manifest).display(),
                sdk.display()
            ),
            (None, published) => Ok(published.to_owned()),
        };
    }
    let folder = folder.canonicalize().with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(package.located.replace("PATH", &folder.to_string_lossy()))
}

fn steps(template: &Template, name: &str, dir: &Path) -> String {
    let wasm = template.wasm.replace(EXAMPLE, name);
    let Template { build, test, .. } = template;
    let mut steps = format!("made {}. Now:\n  cd {0}", dir.display());
    for tool in template.tools {
        if !tool.is_there() {
            steps.push_str(&format!("\n  {}", tool.install));
        }
    }
    steps.push_str(&format!(
        "\n  {build}\n  {test}\n  gtm-host try {wasm} --insert app.users '{{\"_id\":1,\"name\":\"Ada\",\"email\":\"ada@example.com\"}}'\n  \
         gtm-host --plugin {wasm} --grant mail --smtp smtp://localhost:1025"
    ));
    steps
}

/// What a language's build needs.
struct Tool {
    /// Each of them will do.
    commands: &'static [&'static [&'static str]],
    install: &'static str,
}

impl Tool {
    fn is_there(&self) -> bool {
        self.commands.iter().any(|command| {
            let [program, arguments @ ..] = command else { return false };
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    }
}
