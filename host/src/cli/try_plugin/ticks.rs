//! The ticks on the command line.

use std::time::SystemTime;

use anyhow::{Context, bail};
use gtm_oplog::Op;
use gtm_runtime::{Plugin, seconds};

/// Returns the ticks that these texts name, each a timer and perhaps a time.
pub(super) fn ticks(texts: &[String]) -> anyhow::Result<Vec<Op>> {
    let tick = |text: &String| {
        let (timer, at) = match text.split_once('@') {
            Some((timer, at)) => {
                let parsed = humantime::parse_rfc3339(at).ok();
                let at = parsed.with_context(|| {
                    format!("--tick: \"{at}\" is not a valid time. help: write it as in 2026-01-31T06:00:00Z")
                })?;
                (timer, at)
            }
            None => (text.as_str(), SystemTime::now()),
        };
        Ok(Op::from_tick(timer, seconds(at)))
    };
    texts.iter().map(tick).collect()
}

/// Checks that the plugin has the timers of these ticks.
pub(super) fn check(ticks: &[Op], plugin: &Plugin) -> anyhow::Result<()> {
    let names: Vec<_> = plugin.timers().iter().map(|timer| timer.name.as_str()).collect();
    for tick in ticks {
        let timer = &*tick.namespace.database;
        if names.is_empty() {
            bail!("--tick: the plugin {} has no timers", plugin.name());
        }
        if !names.contains(&timer) {
            bail!(
                "--tick: the plugin {} has no timer {timer}. help: use one of {}",
                plugin.name(),
                names.join(", ")
            );
        }
    }
    Ok(())
}
