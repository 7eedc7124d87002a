//! Owns every decision: what is armed, fired, retried, closed, and what a client's change does.
//! It must not touch anything: no clock, socket, thread, channel, SQL, JSON, log or randomness of its own.
//!
//! The surface is [`Scheduler`]: give it an [`Input`] and the time, drain its [`Output`]s, and call it again at the
//! [`Deadline`] at the latest.

mod arming;
mod attempt;
mod changes;
mod executions;
mod io;
mod key;
mod receipts;
mod record;
mod restore;
mod scheduler;
mod sending;
mod tally;
mod targets;
mod view;

pub use attempt::{AlertAttempt, AlertReport, Attempt, Errand, ErrandReport, Handle, Outcome, Report};
pub use io::{
    Action, Change, Command, Input, JobChange, Notice, Output, Persist, Refusal, Reply, RequestId, Restored, Settings,
    StoredJob,
};
pub use key::{ExecutionId, ExecutionKey, Kind};
pub use record::{AlertRecord, Class, Covers, LedgerRow, Record, Seq, Status};
pub use scheduler::{Counts, Scheduler};
pub use tally::{Counters, LastOutcome, Tally, Totals};
pub use view::{JobView, Load};

/// A slab's key as the small number that heaps and lists use.
fn slot(key: usize) -> u32 {
    u32::try_from(key).expect("memory ends long before four billion jobs or executions")
}
