//! Owns everything that one measurement found out, and whether the promises were kept in it.
//! It must not measure, nor know how it is shown.

use std::time::Duration;

use serde_json::Value;

use super::Verdict;
use super::ceiling::{Limits, Sync};
use super::child::{Files, Stopped};
use super::load::PaceResult;
use super::overload::OverloadFigures;
use super::procfs::{Machine, Usage};
use super::takeover::TakeoverFigures;
use super::tally::{Counts, Drift, SecondLine};
use crate::store::Became;

/// Everything that was found out.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) machine: Machine,
    pub(super) limits: Option<Limits>,
    pub(super) sync: Option<Sync>,
    /// Jobs a second that SQLite alone creates, as many with a commit as the server has had.
    pub(super) creations_alone: Option<f64>,
    /// The window, in Unix seconds.
    pub(super) window: (u32, u32),
    pub(super) counts: Counts,
    pub(super) hung: Counts,
    pub(super) drift: Drift,
    pub(super) shares: Vec<(u64, f64)>,
    pub(super) seconds: Vec<SecondLine>,
    pub(super) minutes: Vec<Minute>,
    pub(super) creation: Option<Creation>,
    pub(super) api_load: Option<[PaceResult; 2]>,
    /// POSTs that came in during the window, of whatever second and attempt: what CPU times are divided by.
    pub(super) posts: u64,
    /// The subject's use at the beginning and the end of the window.
    pub(super) usage: Option<(Usage, Usage)>,
    /// What servers tell of themselves: one, or each node that lived to the end.
    pub(super) metrics: Vec<Value>,
    /// Of several servers each.
    pub(super) nodes: Vec<NodeFigures>,
    /// How long it took until each node had its share.
    pub(super) settled: Option<Duration>,
    pub(super) overload: Option<OverloadFigures>,
    pub(super) takeover: Option<TakeoverFigures>,
    /// What a shared database has of the window.
    pub(super) history: Option<Became>,
    pub(super) files: Option<Files>,
    pub(super) stopped: Option<Stopped>,
    /// What the receiver's threads used in the window.
    pub(super) receiver_cpu: Option<Duration>,
}

/// How the jobs were created.
#[derive(Clone, Copy, Debug)]
pub(super) struct Creation {
    pub(super) time: Duration,
    /// How many jobs there were in a commit on average, if nothing else was written meanwhile.
    pub(super) batch: Option<usize>,
}

impl Creation {
    /// So many jobs, with so many commits if that is known.
    pub(super) fn new(jobs: u32, time: Duration, commits: Option<u64>) -> Creation {
        let batch = commits.filter(|commits| *commits > 0).map(|commits| u64::from(jobs).div_ceil(commits));
        Creation { time, batch: batch.and_then(|batch| usize::try_from(batch).ok()) }
    }
}

/// One of several servers.
#[derive(Clone, Debug)]
pub(super) struct NodeFigures {
    pub(super) name: String,
    /// Parts of all jobs, of 256, before the window.
    pub(super) shards: u64,
    pub(super) is_killed: bool,
    /// Its use at the beginning and the end of the window.
    pub(super) usage: Option<(Usage, Usage)>,
}

/// One minute of a soak.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    pub(super) number: u32,
    pub(super) arrived: u64,
    pub(super) missed: u64,
    pub(super) drift: Drift,
    pub(super) usage: Option<Usage>,
    pub(super) files: Option<Files>,
    /// Since the server's start.
    pub(super) commit_p99_ms: Option<f64>,
    /// The longest that a batch waited for housekeeping, since the server's start.
    pub(super) held_up_max_ms: Option<f64>,
}

impl Measured {
    /// Whether the promises were kept.
    pub(super) fn verdict(&self, allow_missed: bool) -> Verdict {
        let counts = &self.counts;
        let missed = if allow_missed { 0 } else { counts.missed() };
        let faults = [
            (counts.early + self.hung.early, "early"),
            (counts.doubled + self.hung.doubled, "doubled"),
            (counts.strays + self.hung.strays, "not due"),
            (missed, "missed"),
            (self.history_differs(), "other in the database than received"),
        ];
        let named = faults.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
        let named: Vec<String> = named.collect();
        if named.is_empty() { Verdict::Kept } else { Verdict::Broken(named.join(", ")) }
    }

    /// How many executions were received and are not in the history of a shared database, or the other way round, or twice.
    pub(super) fn history_differs(&self) -> u64 {
        let received = self.counts.arrived + self.hung.arrived;
        self.history.map_or(0, |history| history.sent.abs_diff(received) + history.twice)
    }

    /// A figure that servers tell of themselves: of several the highest.
    pub(super) fn told(&self, pointer: &str) -> Option<f64> {
        highest(&self.metrics, pointer)
    }

    /// POSTs a second that came in during the window.
    pub(super) fn posts_per_second(&self) -> f64 {
        self.posts as f64 / self.window_seconds()
    }

    /// How long the window was.
    pub(super) fn window_seconds(&self) -> f64 {
        f64::from(self.window.1 - self.window.0)
    }

    /// A total of the window for each POST in it.
    pub(super) fn per_post(&self, total: f64) -> Option<f64> {
        (self.posts > 0).then(|| total / self.posts as f64)
    }

    /// How fast the subject worked off what was due together: the median over the seconds, a second.
    pub(super) fn drain_per_second(&self) -> Option<f64> {
        let seconds = self.seconds.iter().filter(|second| second.arrived > 0);
        let mut rates: Vec<f64> =
            seconds.map(|second| f64::from(second.arrived) * 1e6 / f64::from(second.last_us.max(1))).collect();
        rates.sort_unstable_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

/// A figure out of what servers tell of themselves: of several the highest.
pub(super) fn highest(metrics: &[Value], pointer: &str) -> Option<f64> {
    metrics.iter().filter_map(|metrics| metrics.pointer(pointer)?.as_f64()).reduce(f64::max)
}
