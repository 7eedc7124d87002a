//! Owns what a worker is given and what it gives back: one POST, and what it came to.
//! It must not decide what an outcome leads to.

use std::sync::Arc;

use super::key::ExecutionId;
use super::record::{Class, Seq};
use crate::job::Post;
use crate::time::WallUs;

/// Where an execution is kept in memory; valid for exactly one execution because `seq` is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// The slot.
    pub slot: u32,
    /// Which execution must be there for the handle to be valid.
    pub seq: Seq,
}

/// One POST to make: all that a worker needs to know.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Comes back with the report.
    pub handle: Handle,
    /// 1 is the first.
    pub number: u32,
    /// Sent as `Idempotency-Key`.
    pub id: ExecutionId,
    /// On what footing it goes out.
    pub class: Class,
    /// What to send, as the revision in force now says.
    pub post: Arc<Post>,
}

impl Attempt {
    /// Whether the target should be told that this is not the instant's own time.
    pub fn is_late(&self) -> bool {
        match self.class {
            Class::OnTime | Class::Manual => false,
            Class::Recovered | Class::CatchUp => true,
        }
    }
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered with this status.
    Answered(u16),
    /// No whole answer within the time limit.
    TimedOut(String),
    /// The connection failed before a whole answer came.
    ConnectionFailed(String),
    /// The worker could not carry out the attempt; not the target's fault.
    WorkerFailed(String),
}

/// A worker's report of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which execution.
    pub handle: Handle,
    /// Which attempt of it.
    pub attempt: u32,
    /// What it came to.
    pub outcome: Outcome,
    /// The worker's wall clock just before it connected or wrote.
    pub dispatched: WallUs,
    /// From dispatch to outcome, in microseconds.
    pub duration_us: u64,
}
