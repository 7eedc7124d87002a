//! Owns a live execution: where it stands between being armed and being finished.
//! It must not decide what comes next: the policies beside it do.

use super::record::{AlertRecord, LedgerRow};
use crate::time::MonoUs;

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
