//! Does what a newcomer does in each language: `gtm-host new`, then each command that it prints.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use gtm_test_support::languages::{LANGUAGES, Language, rows_in_postgres};
use gtm_test_support::{Venv, target_dir};

use super::{cargo, succeed};

pub(crate) fn run(names: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| !LANGUAGES.iter().any(|one| one.name == **name)) {
        bail!(
            "\"{unknown}\" is not a known language. help: pass one of {}",
            LANGUAGES.map(|one| one.name).join(", ")
        );
    }
    succeed(&mut cargo(&["build", "--package", "gtm-host"]))?;
    let compilers = Venv::compilers()?;
    let mut skipped = Vec::new();
    for language in
        LANGUAGES.iter().filter(|one| names.is_empty() || names.iter().any(|name| name == one.name))
    {
        let walked = walk(language, &compilers).with_context(|| format!("a plugin in {}", language.name));
        match walked {
            Ok(None) => {}
            Ok(Some(missing)) => skipped.push(format!("{}: {missing}", language.name)),
            Err(error) => return Err(error),
        }
    }
    for skipped in &skipped {
        println!("    left out: {skipped}");
    }
    // A person may lack Node; CI must have every toolchain.
    if !skipped.is_empty() && std::env::var_os("CI").is_some() {
        bail!("toolchains are missing, and the variable CI is set: {}", skipped.join("; "));
    }
    Ok(())
}

/// The templates that are built and tried besides that of each language's example.
const TEMPLATES: [&str; 4] = ["webhook", "enrich", "aggregate", "filter"];

/// Makes a project and runs the commands that `gtm-host new` prints. Returns the toolchain that is missing, if one is.
fn walk(language: &Language, compilers: &Venv) -> anyhow::Result<Option<String>> {
    let project = language.project();
    let said = new(language, "mail", &project, compilers)?;
    // The lines: made DIR; cd DIR; what to install; then the commands that build, test, try and run the plugin.
    let lines: Vec<&str> = said.lines().skip(2).map(str::trim).collect();
    let Some((_run, lines)) = lines.split_last() else { bail!("gtm-host new prints no command: {said}") };
    if let [missing @ .., _, _, _] = lines
        && !missing.is_empty()
    {
        return Ok(Some(format!("needs {}", missing.join(", "))));
    }
    if language.name == "rust" {
        // Its dependencies are built once for all projects of the tests.
        let shared = target_dir().join("newcomer");
        fs::create_dir_all(&shared)?;
        symlink(shared, project.join("target"))?;
    }
    for line in lines {
        let started = Instant::now();
        run_line(line, &project, compilers)?;
        println!("    {}: {line}: {:.1} s", language.name, started.elapsed().as_secs_f64());
    }
    documented(language, lines, &project, compilers)?;
    templates(language, &project, compilers)?;
    again(language, lines, &project, compilers)?;
    // A plugin of the tests uses what the SDK offers beyond the example.
    let tests = gtm_test_support::root().join("host/tests/plugins");
    match language.name {
        "js" => {
            let copy = format!("cp '{}' src/errand.js", tests.join("errand_js/src/plugin.js").display());
            run_line(&copy, &project, compilers)?;
            run_line(
                "node_modules/.bin/gtm-plugin build src/errand.js -o build/errand.wasm",
                &project,
                compilers,
            )?;
            // The tests of the SDK, in its copy.
            let own = gtm_test_support::root().join("plugin-sdk/javascript/test");
            let test = format!(
                "cp -r '{}' gtm/test && GTM_CONFORMANCE='{}' node --test gtm/test/*.test.js && rm -r gtm/test",
                own.display(),
                gtm_test_support::root().join("plugin-sdk/conformance").display()
            );
            run_line(&test, &project, compilers)?;
        }
        "python" => {
            let copy = format!("cp '{}' .", tests.join("errand_py/errand.py").display());
            run_line(&copy, &project, compilers)?;
            run_line(
                ".venv/bin/python -m gtm_plugin.build build errand.py -o build/errand.wasm",
                &project,
                compilers,
            )?;
            let example = gtm_test_support::root().join("examples/rows_in_postgres");
            let make = format!("make -C '{}' BUILD='{}'", example.display(), rows_in_postgres().display());
            run_line(&make, &project, compilers)?;
            let own = gtm_test_support::root().join("plugin-sdk/python/tests");
            let test = format!(".venv/bin/python -B -m unittest discover -s '{}'", own.display());
            run_line(&test, &project, compilers)?;
        }
        "c" => batches(language, &tests.join("errand_c/errand.c"), "welcome.c", lines, compilers)?,
        "cpp" => batches(language, &tests.join("errand_cpp/errand.cpp"), "welcome.cpp", lines, compilers)?,
        "go" => {
            batches(language, &tests.join("errand_go/errand.go"), "welcome.go", lines, compilers)?;
            // The tests of the SDK in the repository: a project does not have the cases that all SDKs share.
            let own = gtm_test_support::root().join("plugin-sdk/go");
            run_line("go vet -composites=false . && go test -count=1 ./...", &own, compilers)?;
        }
        "zig" => {
            batches(language, &tests.join("errand_zig/errand.zig"), "src/welcome.zig", lines, compilers)?
        }
        _ => {}
    }
    let plugin = language.plugin();
    let size = fs::metadata(&plugin).with_context(|| format!("{} was not built", plugin.display()))?.len();
    println!("    {}: {} KiB", language.name, size / 1024);
    Ok(None)
}

/// Makes a project with a template. Returns what `gtm-host new` prints.
fn new(language: &Language, template: &str, project: &Path, compilers: &Venv) -> anyhow::Result<String> {
    if project.exists() {
        fs::remove_dir_all(project)?;
    }
    let mut new = Command::new(target_dir().join("debug/gtm-host"));
    new.args(["new", "welcome", "--lang", language.name, "--template", template, "--dir"]).arg(project);
    let output = path(&mut new, compilers)?.output().context("gtm-host cannot be started")?;
    if !output.status.success() {
        bail!("gtm-host new --template {template}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Tests the other templates, each with its files in place of those of the project, whose SDK and packages are built already. Builds and
/// tries them where that takes seconds: a component in Python takes as long to compile as all others together.
fn templates(language: &Language, project: &Path, compilers: &Venv) -> anyhow::Result<()> {
    let templates = match language.name {
        "rust" | "js" | "ts" | "python" => TEMPLATES.as_slice(),
        "go" => &["webhook", "enrich", "aggregate"],
        _ => return Ok(()),
    };
    let made = project.with_extension("template");
    let (plugin, overlay) =
        (language.plugin(), format!("rm -rf gtm .cargo && cp -R . '{}'", project.display()));
    let built = fs::read(&plugin)?;
    for template in templates {
        let said = new(language, template, &made, compilers)?;
        run_line(&overlay, &made, compilers)?;
        let lines: Vec<&str> = said.lines().skip(2).map(str::trim).collect();
        let [.., build, test, tried, _run] = lines.as_slice() else {
            bail!("gtm-host new prints no commands: {said}")
        };
        let lines = match (language.name, *template) {
            ("rust" | "js", _) | ("python", "webhook" | "filter") => vec![*build, *test, *tried],
            ("ts", _) => vec!["npm run check", *test],
            _ => vec![*test],
        };
        for line in lines {
            let started = Instant::now();
            run_line(line, project, compilers).with_context(|| format!("the template {template}"))?;
            println!("    {} {template}: {line}: {:.1} s", language.name, started.elapsed().as_secs_f64());
        }
    }
    new(language, "mail", &made, compilers)?;
    run_line(&overlay, &made, compilers)?;
    // Another build of the same source may have other bytes.
    Ok(fs::write(&plugin, built)?)
}

/// Builds a plugin of the tests in a copy of the project, in place of the example, as `errand.wasm`.
fn batches(
    language: &Language,
    source: &Path,
    example: &str,
    lines: &[&str],
    compilers: &Venv,
) -> anyhow::Result<()> {
    let [build, ..] = lines else { bail!("gtm-host new prints no build command") };
    let (project, plugin) = (language.project(), language.plugin());
    let copy = project.with_extension("errand");
    let steps = format!(
        "rm -rf '{copy}' && cp -R . '{copy}' && cd '{copy}' && rm -rf build zig-out *_test.go && cp '{source}' {example} && {build} && \
         cp '{}' '{}'",
        copy.join(plugin.strip_prefix(&project)?).display(),
        plugin.with_file_name("errand.wasm").display(),
        copy = copy.display(),
        source = source.display(),
    );
    run_line(&steps, &project, compilers)
}

/// Builds the plugin that the documents show in a language, in a new project: the documents must show all of it.
fn documented(language: &Language, lines: &[&str], project: &Path, compilers: &Venv) -> anyhow::Result<()> {
    let shown = |page: &str, fence: &str| -> anyhow::Result<String> {
        let text = fs::read_to_string(gtm_test_support::root().join(page))?;
        let block = text.split_once(&format!("```{fence}\n")).and_then(|(_, rest)| rest.split_once("```"));
        Ok(block.with_context(|| format!("{page} shows no plugin in {fence}"))?.0.to_owned())
    };
    match (language.name, lines) {
        ("rust", [build, ..]) => {
            let source = project.join("src/lib.rs");
            let example = fs::read(&source)?;
            fs::write(&source, shown("README.md", "rust")?)?;
            let built = run_line(build, project, compilers);
            fs::write(&source, example)?;
            built.and_then(|()| run_line(build, project, compilers))
        }
        ("python", _) => {
            fs::write(project.join("documented.py"), shown("docs/start/python.md", "python")?)?;
            let build = ".venv/bin/python -m gtm_plugin.build build documented.py -o build/documented.wasm";
            run_line(build, project, compilers)
        }
        _ => Ok(()),
    }
}

/// Builds the plugin again: the same source must give the same bytes, and the project must build in another folder.
fn again(language: &Language, lines: &[&str], project: &Path, compilers: &Venv) -> anyhow::Result<()> {
    let [build, ..] = lines else { bail!("gtm-host new prints no build command") };
    let plugin = language.plugin();
    let same = |built: &Path, before: &[u8]| -> anyhow::Result<()> {
        if fs::read(built).with_context(|| format!("{} was not built", built.display()))? != before {
            bail!("{} has other bytes, though its source is the same", built.display());
        }
        Ok(())
    };
    // QuickJS and CPython draw seeds during the build, so only a build with an unchanged source keeps its bytes.
    let is_reproducible = !matches!(language.name, "js" | "ts" | "python");
    let before = fs::read(&plugin)?;
    if !is_reproducible {
        run_line("touch *.py || true", project, compilers)?;
        run_line(build, project, compilers)?;
        same(&plugin, &before)?;
    }
    let moved = project.with_extension("moved");
    if moved.exists() {
        fs::remove_dir_all(&moved)?;
    }
    fs::rename(project, &moved)?;
    let built = moved.join(plugin.strip_prefix(project)?);
    let rebuilt = run_line("rm -rf build zig-out .zig-cache", &moved, compilers)
        .and_then(|()| run_line(build, &moved, compilers))
        .and_then(|()| if is_reproducible { same(&built, &before) } else { Ok(()) });
    fs::rename(&moved, project)?;
    rebuilt
}

fn run_line(line: &str, project: &Path, compilers: &Venv) -> anyhow::Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(project);
    for (name, _) in std::env::vars_os() {
        // A person's shell does not have these.
        if name.to_string_lossy().starts_with("CARGO") && name != "CARGO_HOME" {
            command.env_remove(&name);
        }
    }
    let output = path(&mut command, compilers)?.output()?;
    if !output.status.success() {
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{line}: {}\n{out}{said}", output.status);
    }
    Ok(())
}

/// Adds gtm-host and the compilers to the PATH of a command.
fn path<'a>(command: &'a mut Command, compilers: &Venv) -> anyhow::Result<&'a mut Command> {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let own = [target_dir().join("debug"), compilers.programs().to_owned()];
    let all = own.into_iter().chain(std::env::split_paths(&inherited));
    Ok(command.env("PATH", std::env::join_paths(all)?))
}
