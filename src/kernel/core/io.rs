//! Owns the core's surface: what goes in, what comes out, and what is asked to be written.
//! Both enums are closed; no `match` on them has a catch-all arm.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, Report};
use super::bounds::Bounds;
use super::incident::{Cause, Incident, IncidentChange, IncidentId, Message, RowNews};
use super::key::ExecutionId;
use super::record::{AlertRecord, Class, LedgerRow, Record, Seq, Status};
use super::setting::{Setting, Silence, Silenced};
use super::shard::{NodeId, Shard, Shards};
use super::tally::Totals;
use super::view::JobView;
use crate::job::{FieldError, JobId, JobKey, JobSpec, Misfire, OwnBody, Pause, RetryPolicy, Revision};
use crate::schedule::Dates;
use crate::time::{Instant, MonoUs, WallUs};

/// What the server was told at start and the core obeys.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many attempts may be with the workers at once; at least 1.
    pub in_flight_max: u32,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
    /// What becomes of missed instants, where a job does not say.
    pub misfire: Misfire,
    /// How long a due execution that was never sent may wait before it is recorded as missed.
    pub lateness_max: Duration,
    /// How far ahead of its instant an execution is armed, in microseconds: [`limits::ARM_LEAD_US`](crate::limits) for
    /// who is alone, [`limits::CLUSTER_LEAD_US`](crate::limits) for a node among others, as a failover takes that long.
    pub lead_us: i64,
    /// How far the clocks of other nodes may be from this one's, in microseconds. None: there are no others, so what is
    /// ahead of this clock was written by it, and it has stepped back.
    pub skew_us: Option<i64>,
    /// Seeds the jitter of retries.
    pub noise: u64,
    /// How much of everything there may be.
    pub bounds: Bounds,
}

/// Those of them that may change while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// As [`Settings::retry`].
    pub retry: RetryPolicy,
    /// As [`Settings::misfire`].
    pub misfire: Misfire,
    /// As [`Settings::lateness_max`].
    pub lateness_max: Duration,
}

/// Everything that can happen to the core.
#[derive(Debug)]
pub enum Input {
    /// A job as the store has it, of a shard that is being acquired.
    RestoreJob(Box<StoredJob>),
    /// After the jobs: an unfinished row of the ledger, or one that another node has finished and whose job is here now.
    RestoreRow(Box<LedgerRow>, Known),
    /// A calendar as the store has it.
    RestoreCalendar(CalendarChange),
    /// A channel, a policy or a silence as the store has it.
    RestoreSetting(Setting),
    /// After the jobs: an incident that is open.
    RestoreIncident(Box<Incident>),
    /// That was all that is in these shards, which are this node's from now on: all of them at the start of one that is
    /// alone, else some or none, any number of times.
    Acquired(Restored),
    /// This node may trust until then, exclusively, that its shards are its own. At first that is for ever.
    Lease(MonoUs),
    /// These shards are another node's from now on.
    Release {
        /// Which.
        shards: Shards,
        /// Whose.
        to: NodeId,
    },
    /// Others took this node for dead: nothing is its own any more, and nothing it asked for is written. What is with the
    /// workers by then is nothing to it: they must have given that up before there is another lease.
    Lost,
    /// A client wants a change.
    Command(Box<Command>),
    /// The same of one job, which is to be written together with others.
    Gather(Box<Command>),
    /// All that were gathered are to be written, for this request.
    WriteGathered(RequestId),
    /// Every persist item up to this number is on disk, but for changes that were rejected.
    Committed {
        /// The newest number on disk.
        through: u64,
        /// Changes that could not be written and will not be, of any number.
        rejected: Vec<u64>,
    },
    /// A worker is done with an attempt.
    Report(Report),
    /// Wall time moved against monotonic time by this many microseconds since the last turn.
    ClockStep(i64),
    /// How this server is: told at the start, and whenever it changes.
    Trouble(Trouble),
    /// What jobs do that do not say: from now on, for whatever is decided then.
    Defaults(Defaults),
    /// Time has passed.
    Tick,
    /// Stop arming and firing; take unfired rows back.
    Drain,
}

/// What is known of a row that is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: whoever had it died, so that what was due may have been sent.
    Nothing,
    /// How it stands: a node that lived gave it away, and the attempt that is next was not sent.
    Unsent,
    /// That it is in flight at a node which lives, and which hands it over when that ends.
    InFlight,
}

/// How a part of this server is, which only it can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which part: [`Cause::StoreFailing`] or [`Cause::DiskNearlyFull`].
    pub cause: Cause,
    /// What is wrong with it; None: nothing.
    pub why: Option<String>,
}

/// Everything the core asks for.
#[derive(Debug)]
pub enum Output {
    /// Write this. Items are numbered without gaps, and must be written in order.
    Persist(u64, Persist),
    /// Answer a client's command.
    Reply(RequestId, Reply),
    /// If the item with this number gets onto disk, a client that wants to know will be answered like this.
    Planned(u64, RequestId, Reply),
    /// This change is accepted, and waits for [`Input::WriteGathered`].
    Gathered(RequestId, Accepted),
    /// The items with these numbers, which come next, are to be one transaction.
    Together(RequestId, RangeInclusive<u64>),
    /// Hand this to a worker now.
    Fire(Attempt),
    /// An execution's first attempt left so many microseconds after its instant (negative: the clock stepped).
    Dispatched(Class, i64),
    /// Something due waits for what was asked to be written: it should not be gathered for longer.
    Hurry,
    /// This failure is on disk: tell somebody.
    Alert(Box<AlertRecord>),
    /// This message is on disk, or cannot wait for that as the store fails: send it over its channels.
    Tell(Message),
    /// Something an operator should find in the log.
    Notice(Notice),
}

/// What was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Of which job; None: of a new one that is only tried, and has no id.
    pub job: Option<JobId>,
    /// What became of a job that was declared.
    pub applied: Option<Applied>,
}

/// What became of a job that a client declared.
#[derive(Debug)]
pub enum Applied {
    /// There was none, and is one now.
    Created,
    /// It was one thing, and is to be another.
    Changed(Arc<Revision>, JobSpec),
}

/// What to write. Writing an item twice is the same as writing it once.
#[derive(Debug, Clone)]
pub enum Persist {
    /// Put this row into the ledger, whole, and with it what follows from how it ended.
    Row(LedgerRow, Option<Box<RowNews>>),
    /// Take an unfired row back.
    Remove(Seq),
    /// A client's change: all of it or nothing. Another concurrency key may move the job into another shard of this node, and
    /// all its rows with it.
    Change(Box<Change>),
    /// A client's change of a calendar.
    Calendar(Box<CalendarChange>),
    /// A client's change of a channel, a policy or a silence, or the end of a silence.
    Setting(Setting),
    /// An incident that no row decides about, as it is to be.
    Incident(Box<IncidentChange>),
    /// Executions that a client asked for: all of their rows or none.
    Runs(Vec<LedgerRow>),
    /// These shards are another node's from now on, and so are all rows in them that were this node's: it is known of them
    /// that the attempt which is next was not sent. It is never rejected, and nothing of these shards follows it but rows
    /// that are handed over.
    Release {
        /// Which.
        shards: Shards,
        /// Whose.
        to: NodeId,
        /// Rows that stay as they are: their attempts are in flight here.
        except: Vec<Seq>,
    },
    /// A row whose attempt was in flight when its job was released, as it is now: it belongs to whoever has its job, who
    /// goes on with it, and knows that the attempt which is next was not sent. If it is finished, all that follows from
    /// that is still to be done.
    HandOver(LedgerRow),
}

impl Persist {
    /// Whether anything waits for this to be on disk: a client, a POST, an alert. If not, a crash before it is written
    /// costs a repeated POST, and nothing else.
    pub fn is_awaited(&self) -> bool {
        match self {
            Persist::Row(row, news) => row.record.status == Status::Pending || news.is_some(),
            Persist::Remove(_) | Persist::Change(_) | Persist::Calendar(_) | Persist::Runs(_) => true,
            Persist::Setting(_) | Persist::Incident(_) => true,
            Persist::Release { .. } | Persist::HandOver(_) => true,
        }
    }

    /// How much of a transaction it takes up: the rows it has, a change counting as one.
    pub fn rows(&self) -> usize {
        match self {
            Persist::Row(_, news) => {
                1 + news.iter().flat_map(|news| &news.incidents).map(IncidentChange::rows).sum::<usize>()
            }
            Persist::Incident(change) => change.rows(),
            Persist::Remove(_) | Persist::Change(_) | Persist::Calendar(_) | Persist::Setting(_) => 1,
            Persist::Release { .. } | Persist::HandOver(_) => 1,
            Persist::Runs(rows) => rows.len(),
        }
    }
}

/// A change of one job with everything that follows from it in the ledger.
#[derive(Debug, Clone)]
pub struct Change {
    /// The job itself.
    pub job: JobChange,
    /// Armed rows of the revision before.
    pub remove: Vec<Seq>,
    /// Armed rows of the new revision.
    pub rows: Vec<LedgerRow>,
}

/// A calendar as it is to be.
#[derive(Debug, Clone)]
pub struct CalendarChange {
    /// Which.
    pub name: Arc<str>,
    /// Its dates; None: it is deleted.
    pub dates: Option<Arc<Dates>>,
}

/// What becomes of the job's own row.
#[derive(Debug, Clone)]
pub enum JobChange {
    /// Create it, or replace it by this revision.
    Put(Arc<Revision>),
    /// Make it a tombstone, which stays while there is history.
    Delete(JobKey, WallUs),
}

/// What the core tells an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Recovery at start: rows in doubt that are sent again.
    InDoubt {
        /// How many.
        rows: usize,
    },
    /// Instants of a job passed while nobody could fire.
    Missed {
        /// Whose.
        job: JobId,
        /// How many.
        count: u32,
        /// Whether there were more than `count`.
        more: bool,
        /// Why.
        reason: &'static str,
    },
    /// More is due than can be sent: instants were passed over, and are recorded as missed.
    Overload {
        /// For how many looks at a job.
        jobs: u64,
        /// How many instants, since it was told last.
        instants: u64,
    },
    /// The wall clock stepped.
    ClockStep {
        /// By how much; negative is back.
        by_us: i64,
        /// Jobs that wait until the clock has passed what they already fired.
        held_jobs: usize,
    },
    /// A job was paused by its own policy.
    Paused {
        /// Which.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// A target began to fail, or answers again.
    Target {
        /// Which.
        name: String,
        /// Whether it counts as failing now.
        failing: bool,
    },
}

/// Where the answer to a command goes; only the server knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What a client asks to change.
#[derive(Debug)]
pub struct Command {
    /// Where the answer goes.
    pub request: RequestId,
    /// What to do.
    pub action: Action,
    /// Whether it is to be said what will be answered, when it is asked to be written.
    pub plans: bool,
    /// When it was read. What it says of times was true then, and may have passed since.
    pub read_at: Instant,
}

/// The kinds of change.
#[derive(Debug)]
pub enum Action {
    /// Register a job.
    Create {
        /// What it is to be.
        spec: JobSpec,
        /// Makes its id unique.
        entropy: [u8; 10],
        /// A pause that it begins with. One without an end is of a job that is not active; any other of one that is.
        pause: Option<Box<Pause>>,
    },
    /// Replace a job's spec.
    Update {
        /// Which.
        id: JobId,
        /// What it is to be.
        spec: JobSpec,
        /// Whether it stays active or paused, as it is, whatever the spec says.
        keep_active: bool,
        /// Only if its revision is one of these.
        expected: Option<Box<[u32]>>,
    },
    /// Let a job be what a client declares it to be.
    Apply(Box<Apply>),
    /// Delete a job.
    Delete {
        /// Which.
        id: JobId,
        /// Only if its revision is one of these.
        expected: Option<Box<[u32]>>,
    },
    /// Let a job rest.
    Pause {
        /// Which.
        id: JobId,
        /// Through this second; None: until somebody resumes it.
        until: Option<Instant>,
        /// What the client says of it.
        note: Option<Box<str>>,
        /// Only if its revision is one of these.
        expected: Option<Box<[u32]>>,
    },
    /// Let a job go on that rests.
    Resume {
        /// Which.
        id: JobId,
        /// Whether it owes what it would have owed meanwhile.
        missed: bool,
        /// Only if its revision is one of these.
        expected: Option<Box<[u32]>>,
    },
    /// Register a calendar of dates, or replace it.
    PutCalendar {
        /// Which.
        name: Arc<str>,
        /// Its dates.
        dates: Arc<Dates>,
    },
    /// Delete a calendar.
    DeleteCalendar {
        /// Which.
        name: Arc<str>,
    },
    /// Register or replace a channel or a policy, or remove one, or end a silence.
    Set(Setting),
    /// Begin a silence.
    Silence(Silence),
    /// Say that somebody knows of an incident.
    Acknowledge {
        /// Of which.
        id: IncidentId,
        /// The name of the token, if one was shown.
        by: Option<Box<str>>,
        /// What the client says of it.
        note: Option<Box<str>>,
    },
    /// Let a job go on that is held because the clock stepped back.
    Release {
        /// Which.
        id: JobId,
    },
    /// Send now, whatever the schedule says.
    Run(Box<Run>),
    /// Do these again, of whatever jobs; those of a job wait for each other where its policy says so.
    ReplayAll(Vec<(ExecutionId, Option<OwnBody>)>),
}

/// What an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// One job.
    Job(JobId),
    /// One incident.
    Incident(IncidentId),
    /// No job, or any.
    All,
}

impl Action {
    /// What it is about.
    pub fn concerns(&self) -> Concerns {
        match self {
            Action::Update { id, .. } | Action::Delete { id, .. } | Action::Release { id } => Concerns::Job(*id),
            Action::Pause { id, .. } | Action::Resume { id, .. } => Concerns::Job(*id),
            Action::Run(run) => Concerns::Job(run.id),
            Action::Silence(Silence { of: Silenced::Job(id), .. }) => Concerns::Job(*id),
            Action::Acknowledge { id, .. } => Concerns::Incident(*id),
            Action::Create { .. } | Action::Apply(_) | Action::ReplayAll(_) => Concerns::All,
            Action::PutCalendar { .. } | Action::DeleteCalendar { .. } => Concerns::All,
            Action::Set(_) | Action::Silence(_) => Concerns::All,
        }
    }
}

/// A job as a client declares it: one that there is, or a new one.
#[derive(Debug)]
pub struct Apply {
    /// Which, if none has its name.
    pub id: Option<JobId>,
    /// What it is to be.
    pub spec: JobSpec,
    /// Whether it stays active or paused, as it is, whatever the spec says.
    pub keep_active: bool,
    /// How many of its runs a new one has had elsewhere.
    pub runs: u64,
    /// Makes the id of a new one unique.
    pub entropy: [u8; 10],
    /// Which jobs are declared beside it.
    pub beside: Arc<Meant>,
}

/// Which jobs a client means.
#[derive(Debug, Default)]
pub struct Meant {
    /// Those with these names.
    pub names: HashSet<Box<str>>,
    /// Those that have no name, or are to have none.
    pub ids: HashSet<JobId>,
}

/// Executions that a client asks for.
#[derive(Debug)]
pub struct Run {
    /// Of which job.
    pub id: JobId,
    /// Which.
    pub of: RunOf,
    /// What is sent in place of the job's own body.
    pub own_body: Option<OwnBody>,
    /// Whether it runs whatever the job's overlap policy says. A backfill does not.
    pub force: bool,
    /// How long the client waits for how it ends, if it does. For a backfill nobody waits.
    pub wait: Option<Duration>,
}

/// Which executions a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOf {
    /// One that belongs to this moment.
    Now,
    /// This one again.
    Again(ExecutionId),
    /// Those that the schedule has between two seconds of the past, both included.
    Past {
        /// The first second.
        from: Instant,
        /// The last one.
        to: Instant,
    },
}

/// The answer to a command.
#[derive(Debug)]
pub enum Reply {
    /// The job is on disk.
    Created(JobView),
    /// The change is on disk.
    Updated(JobView),
    /// The job is what it is to be.
    Unchanged(JobId),
    /// The tombstone is on disk.
    Deleted,
    /// There is no such job.
    NotFound,
    /// There is no such job, and one without a name could not be found again.
    Nameless,
    /// The calendar is on disk.
    CalendarPut {
        /// Which.
        name: Arc<str>,
        /// Its dates.
        dates: Arc<Dates>,
        /// How many jobs follow it.
        jobs: usize,
    },
    /// The calendar is gone.
    CalendarDeleted,
    /// There is no such calendar.
    NoSuchCalendar,
    /// This channel, policy or silence is on disk, or gone.
    Set(Setting),
    /// There is none to be removed.
    NoSuchSetting,
    /// The incident with who knows of it is on disk.
    Acknowledged(Arc<Incident>),
    /// There is no open incident with this id.
    NoSuchIncident,
    /// The rows of what was asked for are on disk.
    Started(Vec<ExecutionId>),
    /// The same of executions of several jobs; and how many were passed over, as their job is gone or their time lies ahead.
    StartedAll(Vec<ExecutionId>, usize),
    /// What was asked for, and waited for, has ended like this; that is on disk, too.
    Ended(ExecutionId, Box<Record>),
    /// There are as many of it as there may be.
    TooMany(String),
    /// Another job has this name.
    NameTaken(Box<str>),
    /// Another node has the jobs with which this one is to share a concurrency key, or is to share none any more.
    OwnedElsewhere,
    /// The job's revision is none of those that were expected, but this one.
    Changed(u32),
    /// It is not to be done to the job as it is, for this reason.
    Conflict(&'static str),
    /// The job cannot be what it is to be.
    Invalid(FieldError),
    /// Not done; the job is as it was.
    Refused(Refusal),
}

/// Why a change was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server is stopping.
    Draining,
    /// The change could not be written.
    NotWritten,
    /// Too many changes wait for the disk.
    TooManyChanges,
    /// Other changes are being written that this one must not meet.
    ChangesPending,
    /// Too many changes of this job wait for each other.
    TooManyChangesOfJob,
    /// Too many executions wait for anything.
    TooManyExecutions,
    /// Too many executions of this job were asked for and have not ended.
    TooManyExecutionsOfJob,
    /// Too many clients wait for executions to end.
    TooManyWaiting,
    /// The job is another node's to change, or none's; nothing was done here.
    NotOwned,
    /// Others took this node for dead before it was known what became of it: it may have been done, or not.
    Unknown,
}

/// A job as the store has it.
#[derive(Debug)]
pub struct StoredJob {
    /// Its revision in force.
    pub revision: Revision,
    /// What became of its executions.
    pub totals: Totals,
}

/// What was acquired, and what the store knows beside jobs and rows.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The shards that are this node's from now on, beside those that it has.
    pub shards: Shards,
    /// How often each of them was taken from a node that died. Those that are left out: never, as where there is one node.
    pub epochs: Vec<(Shard, u32)>,
    /// Above every number ever used in the ledger. In a cluster each incarnation of a node has its own, of which the number
    /// of the incarnation is the part above 40 bits.
    pub next_seq: u64,
    /// Above every job key ever used that ends like one of these shards.
    pub next_job: u64,
    /// Above the id of every incident that is kept.
    pub next_incident: u64,
    /// The newest time in the store, to notice a clock that stepped back while nobody looked.
    pub newest: Option<WallUs>,
}
