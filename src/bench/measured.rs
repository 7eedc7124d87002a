//! Owns everything that one measurement found out, and whether the promises were kept in it.
//! It must not measure, nor know how it is shown.

use std::time::Duration;

use serde_json::Value;

use super::Verdict;
use super::ceiling::{Limits, Sync};
use super::child::{Files, Stopped};
use super::load::PaceResult;
use super::procfs::{Machine, Usage};
use super::tally::{Counts, Drift, SecondLine};

/// Everything that was found out.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) machine: Machine,
    pub(super) limits: Option<Limits>,
    pub(super) sync: Option<Sync>,
    /// The window, in Unix seconds.
    pub(super) window: (u32, u32),
    pub(super) counts: Counts,
    pub(super) hung: Counts,
    pub(super) drift: Drift,
    pub(super) shares: Vec<(u64, f64)>,
    pub(super) seconds: Vec<SecondLine>,
    pub(super) minutes: Vec<Minute>,
    pub(super) creation: Option<Duration>,
    pub(super) api_load: Option<[PaceResult; 2]>,
    /// POSTs that came in during the window, of whatever second and attempt: what CPU times are divided by.
    pub(super) posts: u64,
    /// The subject's use at the beginning and the end of the window.
    pub(super) usage: Option<(Usage, Usage)>,
    pub(super) metrics: Option<Value>,
    pub(super) files: Option<Files>,
    pub(super) stopped: Option<Stopped>,
    /// What the receiver's threads used in the window.
    pub(super) receiver_cpu: Option<Duration>,
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
            (counts.early, "early"),
            (counts.doubled + self.hung.doubled, "doubled"),
            (counts.strays, "not due"),
            (missed, "missed"),
        ];
        let named = faults.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
        let named: Vec<String> = named.collect();
        if named.is_empty() { Verdict::Kept } else { Verdict::Broken(named.join(", ")) }
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
