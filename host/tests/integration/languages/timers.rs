//! The timers of a plugin in each language, and their ticks.

use std::path::Path;
use std::time::Duration;

use gtm_oplog::Op;
use gtm_runtime::{Failure, MissedTicks, PluginSetup, Secret};

use super::Running;

super::capabilities::with_errands!(
    a_timer_ticks: js, python, c, cpp, go, zig;
);

async fn a_timer_ticks(plugin: &Path) {
    let set = |setup: &mut PluginSetup| {
        drop(setup.config.insert("level".to_owned(), Secret::Value("high".to_owned())))
    };
    let mut running = Running::with(plugin, set, None);
    let loaded = running.handler.plugin().clone();
    let timers: Vec<_> = loaded.timers().iter().map(|timer| (&*timer.name, timer.schedule.text())).collect();
    assert_eq!((timers.as_slice(), loaded.timers()[0].missed), (&[("chime", "1h")][..], MissedTicks::Each));
    let tick = Op::from_tick("chime", 1_769_860_800);
    assert_eq!(running.handler.call(&tick, 1).await, Ok(Ok(())));
    assert_eq!(running.said(), ["chime 1769860800000 1769860800.0.tick-chime 1 high"]);
    let after = Some(Duration::from_millis(1500));
    let outcome = running.handler.call(&tick, 2).await;
    assert_eq!(outcome, Ok(Err(Failure::Retry { reason: "later".to_owned(), after })));
    let gone = running.handler.call(&Op::from_tick("gong", 1_769_860_800), 1).await;
    assert!(matches!(&gone, Ok(Err(Failure::Reject { reason })) if reason.contains("gong")), "{gone:?}");
}
