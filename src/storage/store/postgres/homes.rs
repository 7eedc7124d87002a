//! Owns in which shard each job is, of those for which its key does not say so.
//! It must not know who owns a shard.

use std::collections::HashMap;

use crate::core::{JobChange, Persist, Shard};
use crate::job::{JobKey, Revision};

/// The shards of jobs.
#[derive(Debug, Default)]
pub(super) struct Homes {
    /// Those of jobs that share a concurrency key.
    shared: HashMap<JobKey, Shard>,
}

impl Homes {
    /// The shard of a job.
    pub(super) fn of(&self, job: JobKey) -> Shard {
        self.shared.get(&job).copied().unwrap_or(Shard::of_key(job))
    }

    /// A job is as this revision says. Whether it is in another shard than before.
    pub(super) fn note(&mut self, revision: &Revision) -> bool {
        let (job, shard) = (revision.id.key(), Shard::of(revision));
        let before = self.of(job);
        if shard == Shard::of_key(job) {
            self.shared.remove(&job);
        } else {
            self.shared.insert(job, shard);
        }
        shard != before
    }

    /// These items are about to be written: the jobs that are in another shard then, and in which they were.
    pub(super) fn expect<'a>(&mut self, items: impl Iterator<Item = &'a Persist>) -> Vec<(JobKey, Shard)> {
        let mut moved = Vec::new();
        for item in items {
            if let Persist::Change(change) = item
                && let JobChange::Put(revision) = &change.job
            {
                let before = self.of(revision.id.key());
                if self.note(revision) {
                    moved.push((revision.id.key(), before));
                }
            }
        }
        moved
    }

    /// They were not written.
    pub(super) fn take_back(&mut self, moved: Vec<(JobKey, Shard)>) {
        for (job, before) in moved.into_iter().rev() {
            if before == Shard::of_key(job) {
                self.shared.remove(&job);
            } else {
                self.shared.insert(job, before);
            }
        }
    }
}
