//! Owns what a job is: the spec a client registered, and the state the scheduler keeps beside it.
//! It must not decide anything: `scheduler` and its neighbours do.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::id::JobId;
use crate::schedule::Schedule;
use crate::time::{Instant, WallUs};

/// How often an execution may reach its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Repeated until it succeeded or its retries are used up; a crash may repeat it.
    AtLeastOnce,
}

impl Delivery {
    /// The name clients and the store use.
    pub fn name(self) -> &'static str {
        match self {
            Delivery::AtLeastOnce => "ATLEAST_ONCE",
        }
    }

    /// The delivery with that name.
    pub fn from_name(name: &str) -> Option<Delivery> {
        [Delivery::AtLeastOnce].into_iter().find(|delivery| delivery.name() == name)
    }
}

/// What to do about instants that passed while nobody could fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfire {
    /// One run for the latest missed instant, which says how many it stands for.
    Once,
    /// A run for every missed instant, up to a bound; one row covers the rest.
    All,
    /// No run; one row covers them.
    Skip,
}

impl Misfire {
    /// The name users and the store use.
    pub fn name(self) -> &'static str {
        match self {
            Misfire::Once => "once",
            Misfire::All => "all",
            Misfire::Skip => "skip",
        }
    }

    /// The policy with that name.
    pub fn from_name(name: &str) -> Option<Misfire> {
        [Misfire::Once, Misfire::All, Misfire::Skip].into_iter().find(|policy| policy.name() == name)
    }
}

/// One revision of what a client registered. Immutable and shared: a change makes a new one.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// The public id, which holds the key.
    pub id: JobId,
    /// Raised by each change; 1 at creation.
    pub revision: u32,
    /// When to fire.
    pub schedule: Arc<Schedule>,
    /// The second of creation or of the last schedule change: where `@every` counts from.
    pub anchor: Instant,
    /// Where to POST.
    pub endpoint: Endpoint,
    /// How often an execution may reach its target.
    pub delivery: Delivery,
    /// This job's own misfire policy; None: the server's.
    pub misfire: Option<Misfire>,
    /// False while paused.
    pub active: bool,
    /// When the job was created.
    pub created_at: WallUs,
    /// When this revision was accepted. The job owes instants strictly after it.
    pub updated_at: WallUs,
}

impl JobSpec {
    /// The first revision of an active job, with the policies that count unless something else is asked for.
    pub fn new(id: JobId, schedule: Arc<Schedule>, endpoint: Endpoint, at: WallUs) -> JobSpec {
        JobSpec {
            id,
            revision: 1,
            anchor: schedule.anchor().unwrap_or(at.floor()),
            schedule,
            endpoint,
            delivery: Delivery::AtLeastOnce,
            misfire: None,
            active: true,
            created_at: at,
            updated_at: at,
        }
    }
}

/// What became of a job's executions so far. Rebuilt at start, kept in memory, never counted by a scan of history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Executions that ended SUCCESS.
    pub success: u64,
    /// Executions that ended FAILED.
    pub failed: u64,
    /// Rows that ended SKIPPED; no POST was made for them.
    pub skipped: u64,
    /// The deciding attempts' durations of all that ended SUCCESS or FAILED after a dispatch, in microseconds.
    pub duration_us: u64,
    /// How many executions `duration_us` sums up.
    pub timed: u64,
}

impl Counters {
    /// Executions that were POSTed and are finished.
    pub fn total(&self) -> u64 {
        self.success + self.failed
    }

    /// The mean duration of the deciding attempts in milliseconds; None before the first.
    pub fn mean_duration_ms(&self) -> Option<f64> {
        // Both stay far below 2^53 for any history a machine can hold.
        (self.timed > 0).then(|| self.duration_us as f64 / self.timed as f64 / 1000.0)
    }
}

/// How a job's latest finished execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastOutcome {
    /// Which execution.
    pub instant: Instant,
    /// How it ended.
    pub status: super::execution::Status,
    /// The status of the deciding answer; None if there was no answer.
    pub http_status: Option<u16>,
}
