//! Owns the window of a measurement while it runs: what arrives is taken in and shown, a node is killed if it is to be, and
//! what is late is awaited.
//! It must not judge a single arrival, nor work at the full second: that is when the subject does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::BenchError;
use super::measured::{Minute, highest};
use super::options::{Mode, Options};
use super::overload::Overload;
use super::procfs::Usage;
use super::progress::Progress;
use super::receiver::Receiver;
use super::subject::Subject;
use super::takeover::Takeover;
use super::tally::{OPEN_SECONDS, Tally};
use crate::clock;
use crate::time::US_PER_SECOND;

/// Executions of the window that are late are awaited so long after it.
const STRAGGLE: Duration = Duration::from_secs(5);
/// The same where a node was killed, whose jobs others have to take over.
const STRAGGLE_AFTER_KILL: Duration = Duration::from_secs(20);
/// A node is killed so long after a full second: while POSTs are under way.
const KILL_AFTER_SECOND_US: i64 = 2_000;
/// What comes twice may come a little later.
const SETTLE: Duration = Duration::from_millis(500);
/// How long before a full second everything of ours is done with.
const BEFORE_SECOND_US: i64 = 60_000;

/// What is at hand while the window runs.
pub(super) struct Watch<'a> {
    pub(super) options: &'a Options,
    pub(super) receiver: &'a Receiver,
    pub(super) subject: Subject,
    pub(super) tally: Tally,
    pub(super) window: (u32, u32),
    pub(super) minutes: Vec<Minute>,
    /// Arrived and missed up to the last minute.
    pub(super) minute: (u64, u64),
    /// Once a node was killed.
    pub(super) takeover: Option<Takeover>,
    pub(super) overload: Option<Overload>,
    pub(super) stop: &'a AtomicBool,
}

impl Watch<'_> {
    /// POSTs so far, also of what is due beside.
    pub(super) fn requests(&self) -> u64 {
        self.receiver.requests() + self.overload.as_ref().map_or(0, Overload::requests)
    }

    /// Waits until just before the window.
    pub(super) fn warm_up(&self) -> Result<(), BenchError> {
        self.sleep_until(self.window.0, -BEFORE_SECOND_US)
    }

    /// Follows the window, and shows it.
    pub(super) fn window(&mut self, progress: &mut Progress) -> Result<(), BenchError> {
        let (from, until) = self.window;
        for second in from..until {
            if self.options.kills() && second == from + self.options.seconds / 2 {
                self.kill(second, progress)?;
            }
            // Everything of ours is done between the bursts.
            self.sleep_until(second + 1, -BEFORE_SECOND_US)?;
            self.take_in();
            self.overload.iter_mut().for_each(Overload::look);
            self.tally.close_before(second.saturating_sub(OPEN_SECONDS));
            self.subject.check()?;
            let passed = second + 1 - from;
            if progress.is_terminal() || self.options.seconds <= 60 || passed.is_multiple_of(10) {
                let counts = &self.tally.counts;
                let max_ms = self.tally.drift().max as f64 / 1_000.0;
                let (arrived, total) = (counts.arrived, self.options.seconds);
                progress.pass(&format!("second {passed} of {total}: {arrived} arrived, latest {max_ms:.1} ms"));
            }
            if self.options.mode == Mode::Soak && passed.is_multiple_of(60) {
                self.close_minute(passed / 60, progress);
            }
        }
        Ok(())
    }

    /// Waits for what is late, as long as that makes sense.
    pub(super) fn stragglers(&mut self, progress: &mut Progress) -> Result<(), BenchError> {
        self.sleep_until(self.window.1, i64::try_from(SETTLE.as_micros()).unwrap_or(0))?;
        self.take_in();
        let until = Instant::now() + if self.takeover.is_some() { STRAGGLE_AFTER_KILL } else { STRAGGLE };
        let mut said = false;
        while !self.is_complete() && Instant::now() < until {
            if !std::mem::replace(&mut said, true) {
                progress.say(&format!("waiting for {} that have not arrived", self.tally.counts.missed()));
            }
            self.nap(Duration::from_millis(50))?;
            self.take_in();
        }
        Ok(())
    }

    /// Whether all has arrived that was due, and every job of a node that was killed goes on.
    fn is_complete(&self) -> bool {
        self.tally.is_complete() && self.takeover.as_ref().is_none_or(Takeover::is_over)
    }

    /// Kills a node just after a second has begun.
    fn kill(&mut self, second: u32, progress: &mut Progress) -> Result<(), BenchError> {
        let (node, jobs) = self.subject.victim()?;
        progress.say(&format!("killing {node}, which has {} of the jobs", jobs.len()));
        self.sleep_until(second, KILL_AFTER_SECOND_US)?;
        self.takeover = Some(Takeover::new(node, jobs, self.subject.kill(), self.tally.counts.repeats));
        Ok(())
    }

    fn close_minute(&mut self, number: u32, progress: &mut Progress) {
        let drift = self.tally.take_recent();
        let metrics = self.subject.metrics();
        // What is due and not yet in is not missed yet: a minute is judged a second late.
        let (arrived, per_second) =
            (self.tally.counts.arrived, self.tally.counts.due / u64::from(self.options.seconds));
        let missed = (u64::from(number) * 60 * per_second).saturating_sub(arrived);
        let minute = Minute {
            number,
            arrived: arrived - self.minute.0,
            missed: missed.saturating_sub(self.minute.1),
            drift,
            usage: self.subject.usages().into_iter().flatten().reduce(Usage::plus),
            files: self.subject.files(),
            commit_p99_ms: highest(&metrics, "/store/commit/p99Ms"),
            held_up_max_ms: highest(&metrics, "/store/heldUp/maxMs"),
        };
        self.minute = (arrived, missed);
        progress.say(&super::table::minute(&minute));
        self.minutes.push(minute);
    }

    fn take_in(&mut self) {
        for arrivals in self.receiver.take() {
            self.tally.add(&arrivals);
            if let Some(takeover) = &mut self.takeover {
                takeover.add(&arrivals);
            }
        }
    }

    fn sleep_until(&self, second: u32, plus_us: i64) -> Result<(), BenchError> {
        let at_us = i64::from(second) * US_PER_SECOND + plus_us;
        loop {
            match u64::try_from(at_us - clock::wall().0) {
                Err(_) | Ok(0) => return Ok(()),
                Ok(left_us) => self.nap(Duration::from_micros(left_us.min(100_000)))?,
            }
        }
    }

    fn nap(&self, time: Duration) -> Result<(), BenchError> {
        std::thread::sleep(time);
        if self.stop.load(Ordering::Relaxed) { Err(BenchError::Interrupted) } else { Ok(()) }
    }
}
