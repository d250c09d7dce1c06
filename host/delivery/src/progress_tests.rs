//! What is seen of a plugin's progress: its lag, its errors, and when its checkpoint is due.

use super::*;
use crate::testing::op;

const NOW: u32 = 1_700_000_100;

fn at(time: u32) -> Timestamp {
    Timestamp { time, increment: 1 }
}

fn progress(from: Option<u32>) -> PluginProgress {
    let bounds = Bounds { ops: usize::MAX, bytes: usize::MAX, unstored_ops: u64::MAX };
    PluginProgress::new(bounds, from.map(|time| (Position::Oplog(at(time)), None)), true)
}

fn status(progress: &PluginProgress, source: &SourceHealth) -> PluginStatus {
    progress.status("p", "1", false, source)
}

/// Begins an op that is wanted, and returns its number.
fn begin(progress: &PluginProgress, time: u32) -> u64 {
    let mut begun = 0;
    let ops = std::iter::once((Arc::new(op(time)), Ok(true)));
    progress.take_up(ops, 0, |_, _, number| begun = number);
    begun
}

fn passes(progress: &PluginProgress, time: u32) {
    progress.take_up(std::iter::once((Arc::new(op(time)), Ok(false))), 0, |_, _, _| {});
}

#[test]
fn who_is_at_the_newest_change_does_not_lag_whether_it_reads_or_not() {
    let (progress, source) = (progress(Some(NOW)), SourceHealth::connected(Some(at(NOW))));
    assert_eq!(status(&progress, &source).lag_seconds, Some(0.0));
    progress.set_reader(ReaderState::Own);
    assert_eq!(status(&progress, &source).lag_seconds, Some(0.0));
}

#[test]
fn who_is_behind_the_newest_change_lags_though_nothing_is_queued() {
    let (progress, source) = (progress(Some(NOW - 60)), SourceHealth::connected(Some(at(NOW))));
    for reader in [ReaderState::None, ReaderState::Own, ReaderState::Shared] {
        progress.set_reader(reader);
        // What it read, it did not want; and there is more.
        progress.set_caught_up(false, source.newest());
        assert!(status(&progress, &source).lag_seconds.unwrap() >= 60.0);
    }
}

#[test]
fn who_has_read_all_there_is_does_not_lag_behind_what_it_does_not_want() {
    let (progress, source) = (progress(Some(NOW - 60)), SourceHealth::connected(Some(at(NOW))));
    progress.set_reader(ReaderState::Shared);
    progress.set_caught_up(true, source.newest());
    assert_eq!(status(&progress, &source).lag_seconds, Some(0.0));
    // It had read as far as that when it was paused.
    progress.set_reader(ReaderState::None);
    assert_eq!(status(&progress, &source).lag_seconds, Some(0.0));
    let later = SourceHealth::connected(Some(at(NOW + 1)));
    assert!(status(&progress, &later).lag_seconds.unwrap() >= 1.0);
}

#[test]
fn who_has_work_lags_by_the_oldest_of_it_though_all_is_read() {
    let (progress, source) = (progress(Some(NOW - 60)), SourceHealth::connected(Some(at(NOW))));
    let number = begin(&progress, NOW - 50);
    progress.set_caught_up(true, source.newest());
    assert!(status(&progress, &source).lag_seconds.unwrap() >= 50.0);
    progress.done(number, Done::Handled, 1);
    assert_eq!(status(&progress, &source).lag_seconds, Some(0.0));
}

#[test]
fn nobody_knows_of_a_source_that_never_answered() {
    assert_eq!(status(&progress(None), &SourceHealth::default()).lag_seconds, None);
}

#[test]
fn an_error_is_over_with_a_success_but_not_while_its_op_is_tried() {
    let (progress, source) = (progress(None), SourceHealth::default());
    let (one, two, three) = (begin(&progress, 1), begin(&progress, 2), begin(&progress, 3));
    let error = || status(&progress, &source).last_error;
    progress.attempt_failed(one, 1, "no route");
    progress.done(two, Done::Handled, 1);
    assert_eq!(error().as_deref(), Some("no route"), "another op was handled");
    progress.attempt_failed(one, 2, "no route");
    progress.done(one, Done::Handled, 3);
    assert_eq!(error(), None);
    assert!(status(&progress, &source).last_error_seconds.is_some());
    let counts = status(&progress, &source).counts;
    assert_eq!((counts.attempts, counts.retries, counts.handled), (4, 2, 2));

    progress.attempt_failed(three, 1, "no such user");
    progress.done(three, Done::Failed, 1);
    assert_eq!(error().as_deref(), Some("no such user"), "it was given up");
    let four = begin(&progress, 4);
    progress.done(four, Done::Handled, 1);
    assert_eq!(error(), None);
    assert_eq!(status(&progress, &source).counts.attempts, 6);

    progress.problem(Subject::Checkpoint, "no space");
    let five = begin(&progress, 5);
    progress.done(five, Done::Handled, 1);
    assert_eq!(error().as_deref(), Some("no space"), "it is of the checkpoint");
    let due = progress.to_store().unwrap();
    progress.stored(due.position, due.number, due.done);
    assert_eq!(error(), None);
}

#[test]
fn a_checkpoint_is_due_at_once_after_ops_that_the_filter_passed_over() {
    let progress = progress(Some(1));
    assert!(progress.to_store().is_none());
    passes(&progress, 2);
    let due = progress.to_store().unwrap();
    assert!(due.worked);
    progress.stored(due.position, due.number, due.done);
    progress.read(Position::Oplog(at(3)));
    assert!(!progress.to_store().unwrap().worked, "only the source moved on");
}

#[test]
fn a_checkpoint_ages_while_it_is_behind() {
    let (progress, source) = (progress(Some(1)), SourceHealth::default());
    let age = || status(&progress, &source).checkpoint_age_seconds.unwrap();
    assert_eq!(age(), 0.0);
    passes(&progress, 2);
    assert!(age() > 0.0);
    let due = progress.to_store().unwrap();
    progress.stored(due.position, due.number, due.done);
    assert_eq!(age(), 0.0);
}
