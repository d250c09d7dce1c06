//! `gtm-host new`: makes the project of a plugin from the example in its language.

mod purposes;
mod sdk;
mod templates;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use purposes::PurposeTemplate;
use regex::Regex;
use templates::Template;

use super::arguments::NewArguments;
use super::output::print_text;
use super::usage::bail_usage;

/// The name of the plugin in the examples.
const EXAMPLE: &str = "welcome";

/// Names that are keywords of a language or used by the bindings.
const RESERVED_NAMES: [&str; 26] = [
    "abstract", "as", "assert", "async", "await", "break", "class", "const", "continue", "def", "do", "else",
    "enum", "fn", "for", "gtm", "if", "import", "in", "main", "plugin", "sdk", "self", "struct", "type",
    "while",
];

pub(super) fn run(arguments: &NewArguments) -> anyhow::Result<ExitCode> {
    let NewArguments { name, lang, template: purpose, dir, sdk, .. } = arguments;
    let is_part = |part: char| part.is_ascii_lowercase() || part.is_ascii_digit() || part == '_';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.chars().all(is_part) {
        bail_usage!(
            "\"{name}\" is not a valid name of a plugin. help: use lowercase letters, digits and _, as in send_welcome_email"
        );
    }
    if RESERVED_NAMES.contains(&name.as_str()) {
        bail_usage!(
            "\"{name}\" is not a valid name of a plugin, because it is a reserved word. help: choose another name"
        );
    }
    let dir = dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if std::fs::read_dir(&dir).is_ok_and(|mut files| files.next().is_some()) || dir.is_file() {
        bail!("{} is not empty. help: pass another folder with --dir", dir.display());
    }
    let template = templates::of(*lang);
    let purpose = PurposeTemplate::of(*purpose);
    let Some(sources) = (purpose.sources)(*lang) else {
        bail_usage!(
            "the template {} does not exist in this language. help: choose one of the languages that have it with --lang: {}",
            purpose.name(),
            purpose.languages().join(", ")
        );
    };
    if sdk.is_some() && template.package.is_none() {
        bail_usage!("this language has no SDK outside of the project. help: leave --sdk out");
    }
    write(&template, (&purpose, sources), name, &dir, sdk.as_deref())?;
    print_text(&steps(&template, &purpose, name, &dir, sdk.as_deref()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the files of a project: those of the example under another name, and a copy of the SDK unless the project uses one outside.
fn write(
    template: &Template,
    (purpose, sources): (&PurposeTemplate, templates::Files),
    name: &str,
    dir: &Path,
    outside: Option<&Path>,
) -> anyhow::Result<()> {
    // It matches `welcome.wasm` and `welcome_test.go` too, but not `welcomed`.
    let example = Regex::new(&format!(r"\b{EXAMPLE}(\b|_test\b)"))?;
    let named = |text: &str| example.replace_all(text, format!("{name}$1")).into_owned();
    let location = match (&template.package, outside) {
        (Some(package), Some(folder)) => Some(sdk::outside(package, folder, dir)?),
        _ => None,
    };
    let text = |path: &str, text: &str| match path {
        "README.md" => {
            let readme = named(&purpose.readme(text, &named(template.wasm)));
            location.as_deref().map(|location| sdk::readme_of_outside(&readme, location)).unwrap_or(readme)
        }
        _ => named(text),
    };
    let is_replaced = |path: &str| sources.iter().any(|(source, _)| *source == path);
    let kept = template.files.iter().filter(|(path, _)| !is_replaced(path));
    let mut files: Vec<_> = kept
        .chain(sources)
        .map(|(path, content)| (PathBuf::from(named(path)), text(path, content)))
        .collect();
    if let Some(package) = &template.package {
        let location = location.clone().unwrap_or_else(|| format!("./{}", sdk::FOLDER));
        for (_, text) in &mut files {
            *text = text.replace(package.relative, &location);
        }
        if outside.is_none() {
            files.extend(sdk::copy(package)?);
        }
    }
    for (path, text) in files {
        let path = dir.join(path);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn steps(
    template: &Template,
    purpose: &PurposeTemplate,
    name: &str,
    dir: &Path,
    outside: Option<&Path>,
) -> String {
    let wasm = template.wasm.replace(EXAMPLE, name);
    let Template { build, test, .. } = template;
    let (project, folder) = (dir.display(), sdk::FOLDER);
    let sdk = match (outside, &template.package) {
        (Some(sdk), _) => format!("with the SDK in {}", sdk.display()),
        (None, Some(_)) => {
            format!("with a copy of the SDK in {folder}/ to commit with it (or pass --sdk DIR)")
        }
        (None, None) => format!("with a copy of the SDK in {folder}/ to commit with it"),
    };
    let mut steps = format!("made {project}, {sdk}. Now:\n  cd {project}");
    for tool in template.tools {
        if !tool.is_there() {
            steps.push_str(&format!("\n  {}", tool.install));
        }
    }
    let (tried, run) = (purpose.try_command(&wasm), purpose.run_command(&wasm));
    steps.push_str(&format!("\n  {build}\n  {test}\n  {tried}\n  {run}"));
    steps
}

/// A tool that the build of a language needs.
struct Tool {
    /// Commands of which one has to succeed.
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
