//! Owns the record of which states a run reached, and the list of those the simulation is for.
//! It must not influence a run.

use std::collections::BTreeMap;

/// What a sweep must have seen at least once; a simulation that never gets there proves nothing.
pub(crate) const REQUIRED: &[&str] = &[
    "acknowledgement early rejection",
    "acknowledgement late",
    "acknowledgement lost",
    "acknowledgement twice",
    "alert told",
    "ambiguous commit survived crash",
    "batch failed",
    "batch of changes given up",
    "batch of changes rejected",
    "batch of changes written",
    "batch of many changes",
    "change of a batch refused",
    "batch lost in crash",
    "batch survived crash",
    "catch-up sent",
    "clock behind at start",
    "clock slewed",
    "clock step back",
    "clock step forward",
    "command before tick",
    "crash",
    "crash amid outputs",
    "crash while draining",
    "commit ambiguous",
    "create rejected",
    "delete rejected",
    "deleted while due",
    "deleted while in flight",
    "drain took back",
    "drained",
    "due before its row is on disk",
    "failed for good",
    "gap counted beyond its bound",
    "gap row",
    "held job",
    "in doubt",
    "in doubt before its instant",
    "in doubt twice",
    "job deleted closes a row",
    "lateness skip",
    "misfire all over its bound",
    "not found",
    "refused while draining",
    "report stale",
    "report twice",
    "retry",
    "retry outlived a crash",
    "row of a deleted job at start",
    "row retried after a failed batch",
    "suspended",
    "target failing",
    "target well again",
    "tick late",
    "too many changes of a job",
    "update before a gap was settled",
    "update rejected",
    "update withheld rows",
    "withheld fired late",
    // What clients ask to be run.
    "backfill",
    "backfill of several",
    "backfill waits for another",
    "passed over when all were done again",
    "replay",
    "run",
    "run beside another",
    "run in doubt",
    "run of nothing",
    "run rejected",
    "several done again",
    "waited for an end",
    "waited too long for an end",
    // Names, revisions and pauses.
    "change as it was planned",
    "changed meanwhile",
    "planned in vain",
    "run as it was planned",
    "declared and changed",
    "declared and created",
    "declared and refused",
    "declared and unchanged",
    "name taken",
    "pause rejected",
    "paused by a client",
    "paused until a moment",
    "resumed",
    "resumed with what was missed",
    // What is told of trouble.
    "acknowledged",
    "channel deleted",
    "channel kept",
    "channel put",
    "closed and never told",
    "end of a full disk",
    "end of a pause",
    "end of a target's failure",
    "end of failures",
    "end of lateness",
    "end of no success",
    "end of the store's failure",
    "incident of a pause",
    "incident of a target",
    "incident of failures",
    "incident of lateness",
    "incident of no success",
    "incident of the disk",
    "incident of the store",
    "job with an unknown channel refused",
    "message told",
    "no success to the end",
    "no such setting",
    "nothing to acknowledge",
    "policy deleted",
    "policy put",
    "reminded",
    "setting rejected",
    "silence begun",
    "silence ended by a client",
    "silenced to the end",
    "told before it is on disk",
    "unknown channel refused",
    // Policies of jobs.
    "at most once in doubt",
    "at most once tried again, as nothing was sent",
    "calendar deleted",
    "calendar put",
    "calendar with jobs kept",
    "catch-up within its lateness",
    "fired alone",
    "gap beyond the job's lateness",
    "held job released",
    "hurried",
    "in doubt one after the other",
    "job exhausted by its runs",
    "kept for the next start",
    "misfire by the job's own policy",
    "paused by policy",
    "release of a job that is not held",
    "retries gave way",
    "retries took too long",
    "retry that is known to be unsent",
    "sent at most once",
    "skipped as another runs",
    "skipped as another waits",
    "waits for another execution",
    "waits for its key",
];

/// What may come together in an attempt.
const FEATURES: [&str; 9] = [
    "change of the clock",
    "overlap",
    "misfire",
    "retry",
    "restart",
    "change while running",
    "at most once",
    "key",
    "days left out",
];

/// Pairs of features that exclude each other: what is caught up or recovered is not both, and what is to be sent at
/// most once is not sent again after a crash. Retries are told from what is recovered.
const APART: [(usize, usize); 3] = [(2, 4), (3, 4), (4, 6)];

/// Which features an attempt has.
#[derive(Clone, Copy)]
pub(crate) struct Mix(pub(crate) [bool; FEATURES.len()]);

/// How often each state was reached, and each pair of features.
#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<&'static str, u64>, BTreeMap<(usize, usize), u64>);

impl Coverage {
    pub(crate) fn hit(&mut self, state: &'static str) {
        *self.0.entry(state).or_default() += 1;
    }

    pub(crate) fn hit_if(&mut self, reached: bool, state: &'static str) {
        if reached {
            self.hit(state);
        }
    }

    /// Notes what came together.
    pub(crate) fn mix(&mut self, mix: Mix) {
        for one in 0..FEATURES.len() {
            for other in one + 1..FEATURES.len() {
                if mix.0[one] && mix.0[other] {
                    *self.1.entry((one, other)).or_default() += 1;
                }
            }
        }
    }

    /// Fails for features that never came together.
    pub(crate) fn assert_mixed(&self) {
        let pairs = (0..FEATURES.len()).flat_map(|one| (one + 1..FEATURES.len()).map(move |other| (one, other)));
        let missed = pairs.filter(|pair| !self.1.contains_key(pair) && !APART.contains(pair));
        let missed: Vec<_> = missed.map(|(one, other)| (FEATURES[one], FEATURES[other])).collect();
        assert!(missed.is_empty(), "the simulation never mixed {missed:?}");
    }

    pub(crate) fn add(&mut self, other: Coverage) {
        for (state, count) in other.0 {
            *self.0.entry(state).or_default() += count;
        }
        for (pair, count) in other.1 {
            *self.1.entry(pair).or_default() += count;
        }
    }

    pub(crate) fn count(&self, state: &'static str) -> u64 {
        self.0.get(state).copied().unwrap_or(0)
    }

    /// Fails for states that were never reached.
    pub(crate) fn assert_reached(&self, required: &[&'static str]) {
        let missed: Vec<_> = required.iter().filter(|state| self.count(state) == 0).collect();
        assert!(missed.is_empty(), "the simulation never reached {missed:?}; it reached {:#?}", self.0);
    }
}
