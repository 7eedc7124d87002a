//! Owns what an execution is on disk and towards a worker: its row, its attempts and their outcomes.
//! It must not decide what an outcome leads to.

use std::sync::Arc;

use super::id::{ExecutionId, Kind};
use crate::job::{JobKey, Post};
use crate::time::{Instant, MonoUs, WallUs};

/// The place of a row in the ledger. Rises with every execution armed, over restarts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// What became of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not finished: armed, in flight, or waiting for a retry.
    Pending,
    /// A target answered 2xx.
    Success,
    /// The last attempt failed.
    Failed,
    /// No POST was made; the row gives the reason.
    Skipped,
}

impl Status {
    /// The name clients know.
    pub fn name(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Success => "SUCCESS",
            Status::Failed => "FAILED",
            Status::Skipped => "SKIPPED",
        }
    }

    /// The number the store keeps. Success is 0, which costs SQLite no byte. Released numbers never change.
    pub fn code(self) -> u8 {
        match self {
            Status::Success => 0,
            Status::Pending => 1,
            Status::Failed => 2,
            Status::Skipped => 3,
        }
    }

    /// The status with this code.
    pub fn from_code(code: u8) -> Option<Status> {
        match code {
            0 => Some(Status::Success),
            1 => Some(Status::Pending),
            2 => Some(Status::Failed),
            3 => Some(Status::Skipped),
            _ => None,
        }
    }
}

/// On what footing an execution goes out. Only `OnTime` counts as drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Armed ahead of its instant and fired at it.
    OnTime,
    /// In doubt after a crash, and sent again.
    Recovered,
    /// Its instant passed while nobody could fire.
    CatchUp,
    /// A client asked for it.
    Manual,
}

impl Class {
    /// The number the store keeps. Released numbers never change.
    pub fn code(self) -> u8 {
        match self {
            Class::OnTime => 0,
            Class::Recovered => 1,
            Class::CatchUp => 2,
            Class::Manual => 3,
        }
    }

    /// The class with this code.
    pub fn from_code(code: u8) -> Option<Class> {
        match code {
            0 => Some(Class::OnTime),
            1 => Some(Class::Recovered),
            2 => Some(Class::CatchUp),
            3 => Some(Class::Manual),
            _ => None,
        }
    }
}

/// The instants one row stands for, where it is more than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covers {
    /// The earliest instant covered; the row's own is the latest.
    pub from: Instant,
    /// How many.
    pub count: u32,
    /// Whether there are more than `count`.
    pub more: bool,
}

/// One row of the ledger, whole: writing it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its place.
    pub seq: Seq,
    /// Whose execution.
    pub job: JobKey,
    /// The whole second it belongs to.
    pub instant: Instant,
    /// Why it exists.
    pub kind: Kind,
    /// Tells executions of one job, instant and kind apart.
    pub number: u32,
    /// What became of it.
    pub status: Status,
    /// On what footing it goes out.
    pub class: Class,
    /// The number of the attempt that is next, in flight, or decided. 1 is the first.
    pub attempt: u32,
    /// How many of the attempts were made because of a crash; they do not use up retries.
    pub recoveries: u32,
    /// While pending: when the next attempt is due.
    pub due: WallUs,
    /// The first dispatch.
    pub executed: Option<WallUs>,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// How long the last attempt took, in microseconds.
    pub duration_us: Option<u64>,
    /// Why the last attempt failed, or why no POST was made.
    pub error: Option<Box<str>>,
    /// The missed instants this row stands for.
    pub covers: Option<Covers>,
}

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

/// A failed execution that somebody must hear of.
#[derive(Clone, Debug)]
pub struct AlertRecord {
    /// The place of the failed execution, which also identifies the alert.
    pub seq: Seq,
    /// Which execution failed.
    pub execution: ExecutionId,
    /// The job's URL when it failed.
    pub api: Box<str>,
    /// The job's schedule when it failed.
    pub schedule: Box<str>,
    /// Why the last attempt failed.
    pub error: Box<str>,
    /// When the core decided.
    pub at: WallUs,
}

/// Where a live execution stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Written as part of a change that is not on disk yet.
    Proposed,
    /// Waits for its instant in the fire heap.
    Armed,
    /// Armed, but a change that takes it back is being written.
    Withheld,
    /// Due, but its row or a change of its job is not on disk yet.
    Held,
    /// Due and durable; waits in its target's queue.
    Queued,
    /// With a worker.
    InFlight,
    /// Waits for its retry in the retry heap.
    Backoff,
    /// Decided; its final row is being written.
    Closing,
}

/// A live execution.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) row: LedgerRow,
    /// The slot of its job.
    pub(super) job: u32,
    pub(super) state: State,
    /// The number of the persist item that holds its newest row.
    pub(super) written_as: u64,
    /// When it last became due: from then on lateness counts.
    pub(super) ready: Option<MonoUs>,
    /// The target an attempt in flight was counted for.
    pub(super) sent_to: u32,
    /// The alert its final row carries.
    pub(super) alert: Option<Box<AlertRecord>>,
    /// Neighbours in the job's list of executions.
    pub(super) prev: Option<u32>,
    pub(super) next: Option<u32>,
}

impl Execution {
    /// An execution of the job in that slot, with nothing written or planned yet.
    pub(super) fn new(row: LedgerRow, job: u32) -> Execution {
        Execution {
            row,
            job,
            state: State::Proposed,
            written_as: u64::MAX,
            ready: None,
            sent_to: 0,
            alert: None,
            prev: None,
            next: None,
        }
    }
}
