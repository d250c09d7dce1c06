//! `gtm-host man`: the manual pages, from the definitions of commands and settings.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::arguments::{Arguments, ManArguments, PROGRAM};
use super::output::print;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    // Pages of the command help would say no more than gtm-host(1).
    let mut command = with_all_options(Arguments::documented()).disable_help_subcommand(true);
    command.build();
    match &arguments.dir {
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("{} cannot be created", directory.display()))?;
            write_all(&command, directory)?;
        }
        None => drop(print(page(&command)?.trim_ascii_end())?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the options that a short help leaves out.
fn with_all_options(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_short_help(false)).mut_subcommands(with_all_options)
}

/// Writes the page of the command, and those of its subcommands.
fn write_all(command: &Command, directory: &Path) -> anyhow::Result<()> {
    let path = directory.join(format!("{}.1", name(command)));
    std::fs::write(&path, page(command)?).with_context(|| format!("{} cannot be written", path.display()))?;
    command.get_subcommands().try_for_each(|command| write_all(command, directory))
}

/// Returns the name of the page, such as `gtm-host-tail`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let man = Man::new(command.clone().override_usage(usage)).source(format!("{PROGRAM} {VERSION}"));
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let parts = Parts::of(&help);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    parts.description().to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    parts.sections().to_writer(&mut page)?;
    Ok(page)
}

/// The parts of what the help of a command says after its options.
#[derive(Debug, Default, PartialEq)]
struct Parts<'h> {
    description: Vec<&'h str>,
    examples: Vec<&'h str>,
    exit_status: Option<&'h str>,
}

impl<'h> Parts<'h> {
    fn of(help: &'h str) -> Self {
        let mut parts = Self::default();
        for paragraph in help.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            if let Some(status) = paragraph.strip_prefix("Exit status: ") {
                parts.exit_status = Some(status);
            } else if paragraph.starts_with("  ") {
                parts.examples.push(paragraph);
            } else if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
                parts.examples.push(examples);
            } else {
                parts.description.push(paragraph);
            }
        }
        parts
    }

    fn description(&self) -> Roff {
        let mut roff = Roff::new();
        for paragraph in &self.description {
            roff.control("PP", []).text([roman(*paragraph)]);
        }
        roff
    }

    fn sections(&self) -> Roff {
        let mut roff = Roff::new();
        if !self.examples.is_empty() {
            roff.control("SH", ["EXAMPLES"]);
        }
        for example in &self.examples {
            // As it is written, line by line.
            roff.control("PP", []).control("nf", []);
            for line in example.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
        }
        if let Some(status) = self.exit_status {
            roff.control("SH", ["EXIT STATUS"]).text([roman(status)]);
        }
        roff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_help_have_their_sections() {
        let help =
            "What it does.\n\nExamples:\n  gtm-host x\n\n  gtm-host y\n\nMore.\n\nExit status: 0 done.";
        let parts = Parts::of(help);
        assert_eq!(parts.description, ["What it does.", "More."]);
        assert_eq!(parts.examples, ["  gtm-host x", "  gtm-host y"]);
        assert_eq!(parts.exit_status, Some("0 done."));
    }
}
