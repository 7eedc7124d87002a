//! Owns every decision: what is armed, fired, retried, closed, and what a client's change does.
//! It must not touch anything: no clock, socket, thread, channel, SQL, JSON, log or randomness of its own.
//!
//! The surface is [`Scheduler`]: give it an [`Input`] and the time, drain its [`Output`]s, and call it again at the
//! [`Deadline`](crate::time::Deadline) at the latest.
//!
//! In reading order: `io` is what goes in and comes out, with `key`, `record`, `details`, `shard` and `attempt`, the words it is said in.
//! `bounds` is how much of everything there may be.
//! Six tables hold the state and own its transitions: `executions` (where the diagram of states is), `jobs` (each found by a `key_index`, armed in the order of an `arm_queue`; a `link` is how one points at another),
//! `targets`, concurrency `keys`, named `calendars`, and `receipts` of what is on its way to the disk. `scheduler` is the surface over them. Policy decides,
//! and asks the tables: `arming`, `admission`, `sending`, `changes` (with `applying` for jobs that are declared) and their `gathering`, which a `rehearsal` only tries, `dealing` (whose each of many changes is), `runs`, `pausing`, `restore`, and `ownership` where there are other nodes. What goes wrong: `incident` and `setting` are its words, `watching` notices, `incidents` is the table of what is open and says
//! when it is told, `alerting` holds what clients set. `policies` is what a job says to their questions, `tally` the one rule of what counts, `counts` what happened in all, `overdue` what should have; `view` is
//! what can be read, `listing` how jobs are found, `ranking` how targets are, and `forecast` what is due
//! in the next hour.

mod admission;
mod alerting;
mod applying;
mod arm_queue;
mod arming;
mod attempt;
#[cfg(test)]
mod bound_tests;
mod bounds;
#[cfg(test)]
mod calendar_tests;
mod calendars;
#[cfg(test)]
mod change_tests;
mod changes;
#[cfg(test)]
mod counting_tests;
mod counts;
mod dealing;
#[cfg(test)]
mod dealing_tests;
mod details;
mod executions;
mod forecast;
#[cfg(test)]
mod forecast_tests;
#[cfg(test)]
mod found_tests;
mod gathering;
mod incident;
#[cfg(test)]
mod incident_tests;
mod incidents;
mod io;
mod jobs;
mod key;
mod key_index;
mod keys;
#[cfg(test)]
mod lateness_tests;
#[cfg(test)]
mod leaving_tests;
mod link;
mod listing;
#[cfg(test)]
mod node_tests;
mod overdue;
#[cfg(test)]
mod overlap_tests;
mod ownership;
mod pausing;
mod policies;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod promise_tests;
mod ranking;
#[cfg(test)]
mod reading_tests;
mod receipts;
mod record;
mod rehearsal;
mod restore;
#[cfg(test)]
mod retry_tests;
mod runs;
mod scheduler;
mod sending;
mod setting;
#[cfg(test)]
mod setting_tests;
mod shard;
#[cfg(test)]
mod stage_tests;
#[cfg(test)]
mod table_tests;
mod tally;
#[cfg(test)]
mod target_tests;
mod targets;
mod view;
mod watching;
#[cfg(test)]
mod watching_tests;

pub use alerting::{AlertSettings, Whose};
pub use attempt::{
    AlertAttempt, AlertReport, Answer, Attempt, Errand, ErrandReport, Handle, Letter, MailAttempt, MailReport,
    MessageAttempt, MessageReport, Outcome, ParcelId, Report,
};
pub use bounds::Bounds;
pub use counts::{AttemptCounts, Counts, EndedCounts};
pub use dealing::{Dealing, Dealt, Placed, Placing};
pub use details::{Details, PastAttempt, Timings, Wait};
pub use forecast::{Ahead, Forecast};
pub use incident::{
    Acknowledged, Cause, Closed, Event, Incident, IncidentChange, IncidentId, JobLabel, Message, RowNews, Subject,
};
pub use io::{
    Accepted, Action, Applied, Apply, CalendarChange, Change, Command, Concerns, Defaults, Input, JobChange, Known,
    Meant, Notice, Output, Persist, Refusal, Reply, RequestId, Restored, Run, RunOf, Settings, StoredJob, Trouble,
};
pub use key::{ExecutionId, ExecutionKey, Kind};
pub use listing::{JobFilter, JobOrder, JobState, Listing, Place, TargetFilter};
pub use ranking::{Ranking, TargetView};
pub use record::{AlertRecord, Class, Covers, LedgerRow, Record, Seq, Status};
pub use rehearsal::Rehearsal;
pub use scheduler::Scheduler;
pub use setting::{PolicyScope, Setting, Silence, SilenceId, Silenced};
pub use shard::{NodeId, Shard, Shards};
pub use tally::{Counters, LastOutcome, Tally, Totals};
pub use view::{Herd, JobView, Load};

/// A slab's key as the small number that heaps and lists use.
fn slot(key: usize) -> u32 {
    u32::try_from(key).expect("memory ends long before four billion jobs or executions")
}
