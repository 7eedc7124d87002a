//! Owns what the house says to the store and hears from it: batches and events, queries and answers.
//! It must not know how they are kept: that is the backend's.

use std::sync::Arc;
use std::time::Duration;

use super::audit::{AuditPage, AuditQuery, AuditRow};
use super::incidents::{ChannelHealth, Delivery, IncidentPage, IncidentQuery, SentMessage, UndeliveredMessage};
use super::views::{JobsAsked, JobsFound};
use crate::access::{Token, TokenChange};
use crate::core::{
    CalendarChange, ExecutionId, ExecutionKey, Incident, IncidentId, Kind, Persist, Placing, Record, Restored, Seq,
    Setting, Status,
};
use crate::job::{JobId, JobKey};
use crate::time::{Instant, MonoUs, WallUs};

// --- The door for writing: a batch goes in, events come out. ---

/// One transaction's work.
#[derive(Debug, Default)]
pub struct Batch {
    /// Items of the core with their numbers, in order and without gaps.
    pub items: Vec<(u64, Persist)>,
    /// What became of alerts.
    pub alerts: Vec<AlertUpdate>,
    /// What became of messages.
    pub deliveries: Vec<Delivery>,
    /// How channels fared, by their names. One that is gone is passed over.
    pub channels: Vec<(Arc<str>, ChannelHealth)>,
    /// What changes among the items will be answered, to be kept with them; each with the number of its item.
    pub answers: Vec<(u64, KeyedAnswer)>,
    /// What becomes of tokens.
    pub tokens: Vec<TokenChange>,
    /// What is written down of who did what: with the change that has this number, or by itself.
    pub audits: Vec<(Option<u64>, AuditRow)>,
}

/// An answer that is kept under the key that its client gave.
#[derive(Clone, Debug)]
pub struct KeyedAnswer {
    /// The key.
    pub key: Arc<str>,
    /// What tells the request from others.
    pub digest: [u8; 32],
    /// When it came.
    pub at: WallUs,
    /// What it is answered.
    pub answer: StoredAnswer,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Its status.
    pub status: u16,
    /// Headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// Its body, as JSON.
    pub body: Vec<u8>,
}

/// What the writer tells the loop.
#[derive(Debug)]
pub enum WriterEvent {
    /// A batch is on disk, but for the changes that were rejected before.
    Committed {
        /// The newest item's number; None if the batch had no items.
        through: Option<u64>,
        /// How long the batch waited for a slice of the fold, of retention, or for a checkpoint.
        held_up: Duration,
        /// How long its transaction took.
        wrote: Duration,
        /// When it was sent, for the first time if nobody knew whether it had arrived.
        sent: MonoUs,
    },
    /// Others took this server for dead: nothing that it was given since the last event is written, nor will be, until it
    /// has joined them anew.
    Fenced,
    /// It has joined them anew. What it was given before is not written, and none of it is told of any more.
    Joined,
    /// Writing fails. What was given is kept and tried again, but for these changes, which are not on disk and never
    /// will be. What may be on disk is not among them.
    Failing {
        /// What the database said.
        why: String,
        /// The numbers of the changes.
        rejected: Vec<u64>,
    },
    /// Writing works again.
    Working,
    /// Housekeeping fails, and nothing is lost.
    ChoreFailed {
        /// Which kind.
        chore: &'static str,
        /// What SQLite said, and what follows from it.
        why: String,
    },
}

/// How much history is kept. The strictest of the three counts.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Finished executions and alerts younger than this.
    pub age: Duration,
    /// So many finished executions of each job.
    pub rows_per_job: u64,
    /// History until the database holds so many bytes.
    pub bytes: u64,
    /// Rows of the audit log younger than this.
    pub audit_age: Duration,
}

// --- The door for reading: a query goes in, an answer comes out. ---

/// What can be asked of history.
#[derive(Clone, Debug)]
pub enum Query {
    /// Executions of one job, newest first.
    OfJob {
        /// Which job; deleted ones too, while there is history.
        job: JobId,
        /// Items on the page.
        limit: usize,
        /// Where to go on.
        before: Option<ExecutionKey>,
        /// Now: armed rows that lie ahead are not shown.
        now: WallUs,
    },
    /// Executions of all jobs, newest first.
    OfAll {
        /// Items on the page.
        limit: usize,
        /// Where to go on.
        before: Option<ExecutionKey>,
        /// Which of them.
        filter: Filter,
        /// Now: armed rows that lie ahead are not shown.
        now: WallUs,
    },
    /// What there is of one second of a job.
    Why {
        /// Which job; deleted ones too, while there is history.
        job: JobId,
        /// Which second.
        at: Instant,
        /// Now: armed rows that lie ahead are not shown.
        now: WallUs,
    },
    /// Executions that are to be done again, newest first.
    ToReplay {
        /// How many at most.
        limit: usize,
        /// Which of them.
        filter: Filter,
        /// Now.
        now: WallUs,
    },
    /// Jobs, by what only the disk has in order.
    Jobs(JobSearch),
    /// Jobs as the database has them, whoever has them in memory.
    Views {
        /// Which.
        asked: JobsAsked,
        /// Now.
        now: WallUs,
    },
    /// Where jobs are that are called like this, or have these ids, whoever has them in memory.
    Placing {
        /// Names.
        names: Box<[Box<str>]>,
        /// Ids.
        ids: Box<[JobId]>,
    },
    /// A job that keeps a change from being made, whichever node has it.
    InTheWay(Obstacle),
    /// One execution.
    One {
        /// Which.
        id: ExecutionId,
        /// Now: armed rows that lie ahead are not shown.
        now: WallUs,
    },
    /// What was answered under an idempotency key.
    Key {
        /// Which.
        key: Arc<str>,
        /// Now: old ones are forgotten.
        now: WallUs,
    },
    /// The tokens, if they have changed since they had this version.
    Tokens {
        /// The version that is known.
        known: u64,
    },
    /// The audit log, newest first.
    Audit(AuditQuery),
    /// The last executions of some jobs, newest first, little of each.
    Strips {
        /// Which jobs; one that is unknown has none.
        jobs: Box<[JobId]>,
        /// Executions of each.
        limit: usize,
        /// Now: armed rows that lie ahead are not shown.
        now: WallUs,
    },
    /// The alert log, newest first.
    Alerts {
        /// Items on the page.
        limit: usize,
        /// Where to go on.
        before: Option<u64>,
    },
    /// Incidents, newest first.
    Incidents(IncidentQuery),
    /// One incident with its messages.
    Incident(IncidentId),
    /// What finished executions come to, step by step.
    Series {
        /// Of which job; None: of all.
        job: Option<JobId>,
        /// From when on.
        from: Instant,
        /// Until before when.
        to: Instant,
        /// How long a step is at least, in seconds. It is rounded up to a whole part of a day or to whole days, and so
        /// far that there are not too many.
        step_s: u32,
    },
}

/// What may keep a change from being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A job has this name.
    Named(Box<str>),
    /// A job follows this calendar.
    Follows(Arc<str>),
    /// A job names this channel.
    TellsOver(Arc<str>),
}

/// Which jobs are searched for.
#[derive(Clone, Debug)]
pub struct JobSearch {
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only those whose name, URL or owner contains this; in lower case.
    pub text: Option<Box<str>>,
    /// In the order of their names, and behind them those without one; not in order of creation.
    pub by_name: bool,
    /// Only those behind this place.
    pub after: Option<SearchPlace>,
    /// Items on the page.
    pub limit: usize,
}

/// Where a job stands among those that are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPlace {
    /// Its name, if they are sorted by that and it has one.
    pub name: Option<Box<str>>,
    /// Which job.
    pub job: JobKey,
}

/// Jobs that were found.
#[derive(Clone, Debug)]
pub struct FoundJobs {
    /// Which, in their order.
    pub keys: Vec<JobKey>,
    /// Where the next page begins, if there may be more.
    pub next: Option<SearchPlace>,
}

/// Which executions are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only with this status.
    pub status: Option<Status>,
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only from this second on.
    pub from: Option<Instant>,
    /// Only up to this second.
    pub to: Option<Instant>,
}

impl Filter {
    /// Whether it lets everything through.
    pub fn is_none(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether it lets an execution through.
    pub fn lets_through(&self, key: &ExecutionKey, record: &Record) -> bool {
        let Filter { status, job, kind, from, to } = *self;
        status.is_none_or(|status| status == record.status)
            && job.is_none_or(|job| job.key() == key.job)
            && kind.is_none_or(|kind| kind == key.kind)
            && from.is_none_or(|from| from <= key.instant)
            && to.is_none_or(|to| key.instant <= to)
    }

    /// Whether anything older than this may be let through.
    pub fn may_reach(&self, key: &ExecutionKey) -> bool {
        self.from.is_none_or(|from| from <= key.instant)
    }
}

/// What history answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Executions of one job.
    OfJob(JobId, ExecutionPage),
    /// There is no such job, nor history of one.
    NoSuchJob,
    /// Executions of all jobs.
    OfAll(ExecutionPage),
    /// Executions that are to be done again, newest first.
    ToReplay(Vec<ExecutionRecord>),
    /// Jobs that are like what is searched for.
    Jobs(FoundJobs),
    /// Jobs as the database has them.
    Views(JobsFound),
    /// Where jobs are.
    Placing(Box<Placing>),
    /// What there is of one second of a job: its executions, and the row that covers it.
    Why(JobId, Instant, Vec<ExecutionRecord>),
    /// A job that keeps a change from being made.
    InTheWay(Option<JobId>),
    /// One execution; None: there is none, or none any more.
    One(Option<Box<ExecutionRecord>>),
    /// What was answered under a key, and the digest of the request that was answered.
    Key(Option<([u8; 32], StoredAnswer)>),
    /// The version of the tokens, and all of them; None: they have not changed.
    Tokens(Option<(u64, Vec<Token>)>),
    /// A page of the audit log.
    Audit(AuditPage),
    /// The last executions of some jobs, in the order in which these were named.
    Strips(Vec<Strip>),
    /// Alerts.
    Alerts(AlertPage),
    /// Incidents.
    Incidents(IncidentPage),
    /// One incident with its messages, oldest first; None: there is none, or none any more.
    Incident(Option<Box<(Incident, Vec<SentMessage>)>>),
    /// What executions came to, of one job or of all.
    Series(Option<JobId>, Series),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It took too long.
    TooLong,
    /// The store could not be read.
    Unreadable,
}

/// A page of executions.
#[derive(Clone, Debug)]
pub struct ExecutionPage {
    /// The executions, newest first.
    pub executions: Vec<ExecutionRecord>,
    /// Where the next page begins, if there is more.
    pub next: Option<ExecutionKey>,
}

/// An execution as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionRecord {
    /// Which.
    pub id: ExecutionId,
    /// What became of it.
    pub record: Record,
}

/// The last executions of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Whose.
    pub job: JobId,
    /// What the job is called; None: there is no such job, or no more.
    pub called: Option<Called>,
    /// The executions, newest first.
    pub runs: Vec<StripRun>,
}

/// What a job is called by people: its name, if it has one, or its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Its name.
    pub name: Option<Box<str>>,
    /// Where it POSTs to.
    pub api: Box<str>,
}

/// Little of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripRun {
    /// Its instant.
    pub instant: Instant,
    /// Why there is one.
    pub kind: Kind,
    /// Its number among those of its instant and kind.
    pub number: u32,
    /// How it stands.
    pub status: Status,
    /// Its first dispatch.
    pub executed: Option<WallUs>,
    /// How long the deciding attempt took.
    pub duration_us: Option<u64>,
}

/// What finished executions came to, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// How long a step is, in seconds.
    pub step_s: u32,
    /// The steps in which something ended, in order. The first and the last one are whole, even where less was asked for.
    pub points: Vec<SeriesPoint>,
    /// If there was too much that had just ended: what has a later instant may be missing. None: nothing is missing.
    pub complete_through: Option<Instant>,
}

/// What finished executions came to whose instants lie in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesPoint {
    /// The beginning of the step.
    pub start: Instant,
    /// How long it is: a step, or the day that is all that is left of it.
    pub seconds: u32,
    /// Executions that ended SUCCESS.
    pub success: u64,
    /// Executions that ended FAILED.
    pub failed: u64,
    /// Rows that ended SKIPPED.
    pub skipped: u64,
    /// How late the first dispatch was, of scheduled executions that were on time.
    pub drift: Option<Distribution>,
    /// How long the deciding attempts took.
    pub duration: Option<Distribution>,
}

/// How some values are distributed, in microseconds. The highest is exact, the others as near as the room allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// How many values there are.
    pub count: u64,
    /// Half of them are not above this.
    pub p50_us: u64,
    /// 99 % of them are not above this.
    pub p99_us: u64,
    /// The highest.
    pub max_us: u64,
}

// --- At a start. ---

/// What the store held beside jobs and rows.
#[derive(Debug)]
pub struct Loaded {
    /// For the core.
    pub restored: Restored,
    /// Alerts that were not delivered, oldest first.
    pub alerts: Vec<StoredAlert>,
    /// The calendars.
    pub calendars: Vec<CalendarChange>,
    /// Channels, policies and silences.
    pub settings: Vec<Setting>,
    /// How channels fared.
    pub channels: Vec<(Arc<str>, ChannelHealth)>,
    /// Incidents that are open, oldest first.
    pub incidents: Vec<Incident>,
    /// Messages that were not delivered, in the order in which they were made.
    pub messages: Vec<UndeliveredMessage>,
    /// The version of the tokens, and all of them.
    pub tokens: (u64, Vec<Token>),
    /// How many jobs there are.
    pub jobs: usize,
}

// --- Alerts, on their way in and out. ---

/// What became of an alert's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// Not delivered yet.
    Pending,
    /// The webhook took it.
    Delivered,
    /// Given up.
    Failed,
    /// No webhook is set: the log has it.
    Logged,
}

impl AlertState {
    /// The name in the table and in the API.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Pending => "PENDING",
            AlertState::Delivered => "DELIVERED",
            AlertState::Failed => "FAILED",
            AlertState::Logged => "LOGGED",
        }
    }

    /// The state with that name.
    pub(super) fn from_name(name: &str) -> Option<AlertState> {
        [AlertState::Pending, AlertState::Delivered, AlertState::Failed, AlertState::Logged]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// A try to deliver an alert, to be recorded with it.
#[derive(Clone, Debug)]
pub struct AlertUpdate {
    /// Which alert.
    pub seq: Seq,
    /// What became of it.
    pub state: AlertState,
    /// When.
    pub at: WallUs,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// An alert as the store has it.
#[derive(Clone, Debug)]
pub struct StoredAlert {
    /// Its number.
    pub seq: Seq,
    /// The job that failed.
    pub job: JobId,
    /// The execution that failed, in its public form.
    pub execution: String,
    /// The job's URL then.
    pub api: String,
    /// The job's schedule then.
    pub schedule: String,
    /// Why the last attempt failed.
    pub error: String,
    /// When the core decided.
    pub at: WallUs,
    /// What became of the delivery.
    pub state: AlertState,
    /// When it was delivered.
    pub delivered_at: Option<WallUs>,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last try failed.
    pub delivery_error: Option<String>,
}

/// A page of the alert log, newest first.
#[derive(Clone, Debug)]
pub struct AlertPage {
    /// The alerts.
    pub alerts: Vec<StoredAlert>,
    /// Where the next page begins, if there is more.
    pub next: Option<u64>,
}
