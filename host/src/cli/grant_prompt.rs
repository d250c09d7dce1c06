//! Offers missing grants at the terminal, so that the first try of a plugin needs no manual.
//!
//! Such a grant holds for this run. Without a terminal, the host only logs the missing grants.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use gtm_host::config::{LogFormat, Settings};
use gtm_runtime::{Actor, Grant, MissingGrant, Plugin, Services};

use super::DEFECT;
use super::log_format::HELP;

/// The time to wait for an answer: a host that a script starts in a terminal has to begin without one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The capability whose server can be named at the terminal.
const MAIL: &str = "mail";
/// The mail server on the machine of a person who tries a plugin.
const DEFAULT_SMTP_URL: &str = "smtp://localhost:25";

/// Logs the grants and services that a plugin lacks. `then` is the fate of an op that needs them, outside of a dry run.
pub(super) fn log_missing_grants(plugin: &Plugin, services: &Services, then: &str) {
    if let Some(gaps) = plugin.gaps_in_words(services) {
        let then = if services.recorder.is_some() { "is counted as not known" } else { then };
        let (missing, help) = without_help(&gaps);
        tracing::warn!(
            event = "plugin.lack_grant",
            plugin = plugin.name(),
            missing,
            affected_ops = then,
            help,
            "the plugin asks for what it does not have"
        );
    }
}

/// Splits sentences, each of which may end with a help, into what they say and what helps.
fn without_help(sentences: &str) -> (String, Option<String>) {
    let parts: Vec<_> = sentences
        .split("; ")
        .map(|sentence| match sentence.split_once(HELP) {
            Some((sentence, help)) => (sentence, Some(help)),
            None => (sentence, None),
        })
        .collect();
    let said = parts.iter().map(|(sentence, _)| *sentence).collect::<Vec<_>>().join("; ");
    let helps: Vec<_> = parts.iter().filter_map(|(_, help)| *help).collect();
    (said, (!helps.is_empty()).then(|| helps.join("; ")))
}

/// Offers each plugin's missing grants at the terminal, and adds the accepted ones for this run. Returns the names of the plugins that got
/// a grant: the caller has to load them again.
pub(super) async fn offer_grants(
    settings: &mut Settings,
    plugins: impl IntoIterator<Item = &Plugin>,
) -> anyhow::Result<Vec<String>> {
    let mut changed = Vec::new();
    let is_for_people = settings.log.format.unwrap_or_default() == LogFormat::Text;
    if !(is_for_people && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(changed);
    }
    for plugin in plugins {
        // A question without an answer still reads the terminal, and would take the answer to the next question.
        let Some(granted) = offer(plugin, settings).await? else { break };
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

/// Offers one plugin's missing grants that need only a yes. Returns the accepted grants. None: nobody answers.
async fn offer(plugin: &Plugin, settings: &mut Settings) -> anyhow::Result<Option<Vec<Grant>>> {
    let name = plugin.name();
    let gaps = plugin.gaps(&Services::default());
    // A grant with a value, such as the server of http, needs more than a yes.
    let whole = |gap: &MissingGrant| match gap {
        MissingGrant::Grant(capability) => Some((*capability, Grant::parse(capability, None).ok()?)),
        MissingGrant::Service(_) => None,
    };
    let wanted: Vec<_> = gaps.iter().filter_map(whole).collect();
    let needs_server =
        gaps.iter().any(|gap| gap.capability() == MAIL) && !settings.has_mail_server() && !settings.dry_run;
    let question = match (wanted.as_slice(), needs_server) {
        ([], false) => return Ok(Some(Vec::new())),
        ([], true) => {
            format!(
                "{name} may send mail, and there is no mail server (--mail-url URL). Name one for this run?"
            )
        }
        (_, server) => {
            let listed = wanted.iter().map(|(capability, _)| *capability).collect::<Vec<_>>().join(" and ");
            let flags: Vec<_> =
                wanted.iter().map(|(capability, _)| format!("--grant {name}:{capability}")).collect();
            let server = if server { ", and there is no mail server (--mail-url URL)" } else { "" };
            format!(
                "{name} asks for {listed}, which it is not granted ({}){server}. Grant it for this run?",
                flags.join(" ")
            )
        }
    };
    let Some(reply) = read_answer(&format!("{question} [y/N] ")).await? else { return Ok(None) };
    if !matches!(reply.to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(Some(Vec::new()));
    }
    if needs_server {
        let url = read_answer(&format!("The URL of the mail server [{DEFAULT_SMTP_URL}]: "))
            .await?
            .unwrap_or_default();
        settings.for_this_run.smtp =
            Some(if url.is_empty() { DEFAULT_SMTP_URL.to_owned() } else { url }.into());
    }
    Ok(Some(wanted.into_iter().map(|(_, grant)| grant).collect()))
}

/// Returns the answer to a question. None: nobody answers.
async fn read_answer(question: &str) -> anyhow::Result<Option<String>> {
    let mut err = std::io::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    match tokio::time::timeout(ANSWER_TIMEOUT, typed).await {
        Ok(line) => Ok(Some(line.context(DEFECT)??.trim().to_owned())),
        Err(_) => {
            writeln!(err)?;
            Ok(None)
        }
    }
}
