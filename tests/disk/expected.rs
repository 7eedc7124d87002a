//! Owns what a store must hold after each batch: that of a store whose disk is well.
//! It must not keep house, so that what is compared with it has to look the same for all that was folded and moved.

use std::path::Path;

use punctual::job::JobId;

use super::child::{DATABASE, Keeping, Task, keep, never, open};
use super::content::Content;
use super::workload::{Workload, job};

/// What is there after each number of batches, from none on.
pub(crate) struct Expected {
    pub(crate) contents: Vec<Content>,
    /// Jobs that may be there.
    pub(crate) jobs: Vec<JobId>,
}

impl Expected {
    /// Of what this task writes.
    pub(crate) fn of(task: &Task, folder: &Path) -> Expected {
        let path = folder.join(DATABASE);
        let mut workload = Workload::new(task.seed, task.second);
        let mut contents = vec![Content::of(&path, &[]).expect("it can be made")];
        for _ in 0..task.batches {
            let store = open(&path).expect("it can be read");
            let mut keeping = Keeping::begin(store, keep(u64::MAX), never());
            keeping.send(workload.batch());
            keeping.settle(0, || ());
            keeping.stop();
            let jobs: Vec<JobId> = (1..=workload.jobs_made()).map(job).collect();
            contents.push(Content::of(&path, &jobs).expect("it can be read"));
        }
        Expected { contents, jobs: (1..=workload.jobs_made()).map(job).collect() }
    }
}
