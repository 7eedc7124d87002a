//! Owns what happened in the last minutes, minute by minute: how many executions ended how, and the highest drift.
//! It must not grow with what happens: a minute is a few numbers, and of minutes as many are kept as are shown.

use crate::time::{US_PER_SECOND, WallUs};

/// How many minutes are kept: an hour, and a few for whoever asked before a minute was over.
const KEPT: usize = 64;
/// How many are shown, the present one among them.
const SHOWN: i64 = 60;
const US_PER_MINUTE: i64 = 60 * US_PER_SECOND;

/// How many executions ended, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// SUCCESS.
    pub success: u64,
    /// FAILED.
    pub failed: u64,
    /// SKIPPED.
    pub skipped: u64,
}

/// What happened in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// When it began.
    pub start: WallUs,
    /// What ended in it.
    pub ended: Ended,
    /// The highest drift that was told in it; None: none was.
    pub drift_max_us: Option<i64>,
}

/// The minutes of the last hour.
#[derive(Debug)]
pub struct Minutes {
    ring: [Minute; KEPT],
    /// What had ended when it was looked last.
    totals: Ended,
    began: WallUs,
}

impl Minutes {
    /// Nothing has happened at this time.
    pub fn new(now: WallUs) -> Minutes {
        let none = Minute { start: WallUs(i64::MIN), ended: Ended::default(), drift_max_us: None };
        Minutes { ring: [none; KEPT], totals: Ended::default(), began: now }
    }

    /// So much has ended in all; what is new in it ended now.
    pub fn note_totals(&mut self, now: WallUs, totals: Ended) {
        if totals == self.totals {
            return;
        }
        let before = std::mem::replace(&mut self.totals, totals);
        let ended = &mut self.at(now).ended;
        ended.success += totals.success - before.success;
        ended.failed += totals.failed - before.failed;
        ended.skipped += totals.skipped - before.skipped;
    }

    /// An execution turns out to have begun so late.
    pub fn note_drift(&mut self, now: WallUs, drift_us: i64) {
        let highest = &mut self.at(now).drift_max_us;
        *highest = (*highest).max(Some(drift_us));
    }

    /// The minutes of the hour up to this time, oldest first; the last one is not over.
    pub fn last_hour(&self, now: WallUs) -> impl Iterator<Item = Minute> {
        let present = minute_of(now);
        (present - SHOWN + 1..=present).map(|minute| {
            let start = WallUs(minute.saturating_mul(US_PER_MINUTE));
            let kept = self.ring[place_of(minute)];
            if kept.start == start { kept } else { Minute { start, ended: Ended::default(), drift_max_us: None } }
        })
    }

    /// Since when all that happened in that hour is counted.
    pub fn counted_since(&self, now: WallUs) -> WallUs {
        let first = WallUs((minute_of(now) - SHOWN + 1).saturating_mul(US_PER_MINUTE));
        self.began.max(first).min(now)
    }

    /// The minute of this time. Another one in its place is over, or lies ahead of a clock that stepped back.
    fn at(&mut self, now: WallUs) -> &mut Minute {
        let minute = minute_of(now);
        let start = WallUs(minute.saturating_mul(US_PER_MINUTE));
        let kept = &mut self.ring[place_of(minute)];
        if kept.start != start {
            *kept = Minute { start, ended: Ended::default(), drift_max_us: None };
        }
        kept
    }
}

fn minute_of(now: WallUs) -> i64 {
    now.0.div_euclid(US_PER_MINUTE)
}

fn place_of(minute: i64) -> usize {
    usize::try_from(minute.rem_euclid(KEPT as i64)).expect("a remainder is small")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time in microseconds, told in minutes and seconds.
    fn at(minute: i64, second: i64) -> WallUs {
        WallUs(minute * US_PER_MINUTE + second * US_PER_SECOND)
    }

    fn ended(success: u64, failed: u64, skipped: u64) -> Ended {
        Ended { success, failed, skipped }
    }

    #[test]
    fn what_is_new_counts_in_the_minute_in_which_it_ended() {
        let mut minutes = Minutes::new(at(1_000, 30));
        minutes.note_totals(at(1_000, 40), ended(2, 0, 1));
        minutes.note_totals(at(1_000, 50), ended(2, 0, 1));
        minutes.note_totals(at(1_001, 0), ended(5, 1, 1));
        minutes.note_drift(at(1_001, 1), 700);
        minutes.note_drift(at(1_001, 2), -5);
        let now = at(1_002, 3);
        let hour: Vec<Minute> = minutes.last_hour(now).collect();
        assert_eq!((hour.len(), hour[0].start, hour[59].start), (60, at(943, 0), at(1_002, 0)));
        let told: Vec<_> = hour.iter().filter(|minute| minute.ended != Ended::default()).collect();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].start, told[0].ended, told[0].drift_max_us), (at(1_000, 0), ended(2, 0, 1), None));
        assert_eq!((told[1].start, told[1].ended, told[1].drift_max_us), (at(1_001, 0), ended(3, 1, 0), Some(700)));
        assert_eq!(minutes.counted_since(now), at(1_000, 30));
        assert_eq!(minutes.counted_since(at(1_100, 7)), at(1_041, 0), "no longer than an hour ago");
    }

    #[test]
    fn an_old_minute_makes_room_and_a_clock_that_steps_back_counts_anew() {
        let mut minutes = Minutes::new(at(10, 0));
        minutes.note_totals(at(10, 0), ended(1, 0, 0));
        let place_again = 10 + KEPT as i64;
        minutes.note_totals(at(place_again, 0), ended(3, 0, 0));
        let success = |minutes: &Minutes, now| minutes.last_hour(now).map(|minute| minute.ended.success).sum::<u64>();
        assert_eq!(success(&minutes, at(place_again, 0)), 2);
        assert_eq!(success(&minutes, at(10, 59)), 0, "its place is another's now");
        minutes.note_totals(at(10, 30), ended(4, 0, 0));
        assert_eq!(success(&minutes, at(10, 59)), 1);
        assert_eq!(minutes.counted_since(at(9, 0)), at(9, 0), "never later than now");
    }
}
