//! The ticks of one timer that are done, and the one that is due next.

use gtm_runtime::{MissedTicks, Timer};
use gtm_store::TimerProgress;

/// The maximum number of missed ticks that are delivered.
const MAX_MISSED_TICKS: usize = 100;

/// Ticks that are left out: the first and the last of them, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftOutTicks {
    pub(super) first: u32,
    pub(super) last: u32,
}

/// Returns the progress of a timer with this stored progress. Without one, and with one of another schedule, it starts at `now`, except
/// that a tick that was begun is delivered.
pub(super) fn resume(timer: &Timer, stored: Option<TimerProgress>, now: u32) -> TimerProgress {
    match stored {
        Some(stored) if stored.schedule == timer.schedule.text() => stored,
        other => TimerProgress {
            schedule: timer.schedule.text().to_owned(),
            done: now,
            begun: other.and_then(|stored| stored.begun),
        },
    }
}

/// Leaves out ticks that were missed until `now`, as the timer says. Returns the first and the last of them. None: no tick is left out.
pub(super) fn leave_out(timer: &Timer, progress: &mut TimerProgress, now: u32) -> Option<LeftOutTicks> {
    let schedule = &timer.schedule;
    let first = schedule.after(progress.done).filter(|first| *first <= now)?;
    let newest = schedule.through(now)?;
    let kept = match timer.missed {
        MissedTicks::Skip => 0,
        MissedTicks::Once => 1,
        MissedTicks::Each => MAX_MISSED_TICKS,
    };
    // The last tick that is left out.
    let mut last = newest;
    for _ in 0..kept {
        last = schedule.through(last.checked_sub(1)?)?;
    }
    (last >= first).then(|| {
        progress.done = last;
        LeftOutTicks { first, last }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A multiple of ten seconds.
    const START: u32 = 1_769_860_800;

    fn timer(missed: MissedTicks) -> Timer {
        Timer::new("t".to_owned(), "10s", missed).unwrap()
    }

    fn progress(done: u32) -> TimerProgress {
        TimerProgress { schedule: "10s".to_owned(), done, begun: None }
    }

    /// Returns what is left out of the ticks up to `now`, and the ticks that remain.
    fn missed(missed: MissedTicks, now: u32) -> (Option<LeftOutTicks>, Vec<u32>) {
        let (timer, mut progress) = (timer(missed), progress(START));
        let left_out = leave_out(&timer, &mut progress, now);
        let next = |tick: &u32| timer.schedule.after(*tick).filter(|next| *next <= now);
        let due = std::iter::successors(next(&progress.done), next).collect();
        (left_out, due)
    }

    #[test]
    fn missed_ticks_are_left_out_as_the_timer_says() {
        let left_out = |first, last| Some(LeftOutTicks { first: START + first, last: START + last });
        for all in [MissedTicks::Skip, MissedTicks::Once, MissedTicks::Each] {
            assert_eq!(missed(all, START + 9), (None, vec![]), "{all:?}");
        }
        assert_eq!(missed(MissedTicks::Skip, START + 10), (left_out(10, 10), vec![]));
        assert_eq!(missed(MissedTicks::Skip, START + 35), (left_out(10, 30), vec![]));
        assert_eq!(missed(MissedTicks::Once, START + 10), (None, vec![START + 10]));
        assert_eq!(missed(MissedTicks::Once, START + 35), (left_out(10, 20), vec![START + 30]));
        let each = vec![START + 10, START + 20, START + 30];
        assert_eq!(missed(MissedTicks::Each, START + 35), (None, each));
    }

    #[test]
    fn each_missed_tick_is_delivered_up_to_a_maximum() {
        assert_eq!(missed(MissedTicks::Each, START + 1000).0, None);
        let (left_out, due) = missed(MissedTicks::Each, START + 2000);
        assert_eq!(left_out, Some(LeftOutTicks { first: START + 10, last: START + 1000 }));
        assert_eq!((due.len(), due[0], due[99]), (100, START + 1010, START + 2000));
    }

    #[test]
    fn a_timer_resumes_unless_its_schedule_is_another() {
        let (timer, stored) =
            (timer(MissedTicks::Each), TimerProgress { begun: Some(START + 10), ..progress(START) });
        assert_eq!(resume(&timer, None, START + 99), progress(START + 99));
        assert_eq!(resume(&timer, Some(stored.clone()), START + 99), stored);
        let other = TimerProgress { schedule: "1h".to_owned(), ..stored.clone() };
        let resumed = resume(&timer, Some(other), START + 99);
        assert_eq!(resumed, TimerProgress { done: START + 99, ..stored });
    }
}
