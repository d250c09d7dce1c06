//! Asks whoever starts a host at a terminal for what its plugins lack, so that the first try of a plugin needs no manual.
//!
//! What is granted so is granted for this run. Without a terminal nothing is asked: what is missing is logged.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use gtm_host::config::{LogFormat, Settings};
use gtm_runtime::{Actor, Grant, MissingGrant, Plugin, Services};

use super::DEFECT;

/// How long an answer is waited for: a host that somebody's script starts in a terminal is to begin after all.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a mail server listens on the machine of a person who tries a plugin.
const SMTP: &str = "smtp://localhost:25";

/// Says what a plugin asks for and does not have. `then`: what becomes of an op that needs it, where it is not a dry run.
pub(super) fn say_gaps(plugin: &Plugin, services: &Services, then: &str) {
    if let Some(gaps) = plugin.gaps_in_words(services) {
        let then = if services.recorder.is_some() { "is counted as not known" } else { then };
        tracing::warn!(plugin = plugin.name(), "{gaps}. An op that needs it {then}");
    }
}

/// Grants plugins, for this run, what is agreed to at the terminal. Returns the names of those that were granted something: they are
/// to be loaded again.
pub(super) async fn complete(
    settings: &mut Settings,
    plugins: impl IntoIterator<Item = &Plugin>,
) -> anyhow::Result<Vec<String>> {
    let mut changed = Vec::new();
    let is_for_people = settings.log.format.unwrap_or_default() == LogFormat::Text;
    if !(is_for_people && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(changed);
    }
    for plugin in plugins {
        // A question that nobody answers still reads the terminal: it would take the answer to the next.
        let Some(granted) = ask(plugin, settings).await? else { break };
        if !granted.is_empty() {
            for grant in granted {
                Actor::Terminal.did("grant", plugin.name(), Some(&grant.name()));
                settings.grant_for_this_run(plugin.name(), grant);
            }
            changed.push(plugin.name().to_owned());
        }
    }
    Ok(changed)
}

/// What may be done that takes only a yes, for one plugin. None: nobody answers.
async fn ask(plugin: &Plugin, settings: &mut Settings) -> anyhow::Result<Option<Vec<Grant>>> {
    let name = plugin.name();
    let gaps = plugin.gaps(&Services::default());
    let lacks = |capability| gaps.contains(&MissingGrant::Grant(capability));
    let wanted: Vec<_> = ["mail", "state"].into_iter().filter(|capability| lacks(capability)).collect();
    let needs_server = (lacks("mail") || gaps.contains(&MissingGrant::Service("mail")))
        && !settings.has_mail_server()
        && !settings.dry_run;
    let question = match (wanted.as_slice(), needs_server) {
        ([], false) => return Ok(Some(Vec::new())),
        ([], true) => {
            format!(
                "{name} may send mail, and there is no mail server (--mail-url URL). Name one for this run?"
            )
        }
        (_, server) => {
            let listed = wanted.join(" and ");
            let flags: Vec<_> =
                wanted.iter().map(|capability| format!("--grant {name}:{capability}")).collect();
            let server = if server { ", and there is no mail server (--mail-url URL)" } else { "" };
            format!(
                "{name} asks for {listed}, which it is not granted ({}){server}. Grant it for this run?",
                flags.join(" ")
            )
        }
    };
    let Some(said) = answer(&format!("{question} [y/N] ")).await? else { return Ok(None) };
    if !matches!(said.to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(Some(Vec::new()));
    }
    if needs_server {
        let url = answer(&format!("The URL of the mail server [{SMTP}]: ")).await?.unwrap_or_default();
        settings.for_this_run.smtp = Some(if url.is_empty() { SMTP.to_owned() } else { url }.into());
    }
    Ok(Some(wanted.into_iter().filter_map(|capability| Grant::parse(capability, None).ok()).collect()))
}

/// Returns the line that is typed. None: nobody types.
async fn answer(question: &str) -> anyhow::Result<Option<String>> {
    let mut err = std::io::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    match tokio::time::timeout(PATIENCE, typed).await {
        Ok(line) => Ok(Some(line.context(DEFECT)??.trim().to_owned())),
        Err(_) => {
            writeln!(err)?;
            Ok(None)
        }
    }
}
