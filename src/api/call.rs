//! Owns what a request can ask for, once it is read: a change, something in memory, something on disk.
//! It must not carry a call out.

use crate::core::Action;
use crate::http::Response;
use crate::job::{JobId, JobKey, JobSpec};
use crate::store::Query;

/// What a request asks for.
#[derive(Debug)]
pub enum Call {
    /// A new job, for the core; its id takes randomness, which is not drawn here.
    Create(JobSpec),
    /// A change of a job, for the core.
    Change(Action),
    /// Something the loop has in memory.
    Read(Read),
    /// Something a reader thread has to look up.
    Query(Query),
    /// Known without asking anybody.
    Ready(Response),
}

/// What the loop has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// One job.
    Job(JobId),
    /// A page of jobs in order of creation.
    Jobs {
        /// The last job of the page before.
        after: Option<JobKey>,
        /// Items on the page.
        limit: usize,
    },
    /// Metrics, with the next jobs to fire.
    Metrics {
        /// How many jobs.
        limit: usize,
    },
    /// Whether all is well.
    Health,
    /// Who is there.
    Info,
}
