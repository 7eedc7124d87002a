//! Owns what a job's policies say to the core's questions.
//! It must not decide by them. Most jobs have none of their own, which is known without a look at their revision: of ten
//! thousand that are due together it would be in no cache.

use super::jobs::Job;
use crate::job::{Failure, JobSpec, MisfireRule, Overlap, RetryPolicy};

impl Job {
    /// What becomes of missed instants, as far as the job says it.
    pub(super) fn misfire(&self) -> MisfireRule {
        self.policies().map(JobSpec::misfire).unwrap_or_default()
    }

    /// How failed attempts are repeated, where the server was told this.
    pub(super) fn retry(&self, server: &RetryPolicy) -> RetryPolicy {
        self.policies().map_or(*server, |spec| spec.retry(server))
    }

    /// Whether a failure is followed by another attempt at all.
    pub(super) fn is_retried(&self, failure: Failure) -> bool {
        self.policies().is_none_or(|spec| spec.is_retried(failure))
    }

    /// What becomes of an execution that is due while another one runs.
    pub(super) fn overlap(&self) -> Overlap {
        self.policies().map(JobSpec::overlap).unwrap_or_default()
    }

    /// How many scheduled executions are fired at most.
    pub(super) fn max_runs(&self) -> Option<u64> {
        self.policies()?.max_runs()
    }

    /// How many failures in a row pause the job.
    pub(super) fn auto_pause_after(&self) -> Option<u32> {
        self.policies()?.auto_pause_after()
    }

    /// Whether an answer with this status pauses the job.
    pub(super) fn is_paused_by(&self, status: u16) -> bool {
        self.policies().is_some_and(|spec| spec.is_paused_by(status))
    }
}
