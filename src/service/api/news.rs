//! Owns the facts that become events: which those are, whom they concern, and how much one counts when there are too many.
//! It must not keep events, nor tell a fact that the API would not show.
//!
//! A fact is a small value until somebody has time to make text of it, and that text is made once for all who listen.
//! What an execution is told with is what a page of executions shows, without what the target said and without earlier
//! attempts: whoever wants to know asks for it by its id.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::event_text::{EventBody, event_text};
use super::events::EventId;
use crate::core::{
    Attempt, Change, Class, Details, Event, ExecutionId, Incident, IncidentChange, JobChange, LedgerRow, Notice,
    Persist, Record, SilenceId, Status, Subject,
};
use crate::job::{JobId, JobKey, Revision};
use crate::store::ExecutionRecord;
use crate::time::WallUs;

/// What clients can ask to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Executions: sent, and ended.
    Execution,
    /// Jobs: created, changed, paused, resumed, deleted.
    Job,
    /// Targets: failing, or well again.
    Target,
    /// What concerns the server as a whole.
    Notice,
    /// Incidents: opened, acknowledged, closed.
    Incidents,
}

impl Topic {
    pub(super) const ALL: [Topic; 5] = [Topic::Execution, Topic::Job, Topic::Target, Topic::Notice, Topic::Incidents];
    pub(super) const NAMES: [&'static str; 5] = ["execution", "job", "target", "notice", "incidents"];
}

/// What is left out first when there is too much, from the first on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// An attempt was sent.
    Fire,
    /// An execution ended well.
    Success,
    /// An execution failed, or was not sent.
    Failure,
    /// Everything that is no execution.
    Other,
}

/// What filters look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// What it tells of; None: of the telling itself, which concerns everybody.
    pub topic: Option<Topic>,
    /// Whose it is.
    pub job: Option<JobId>,
    /// How the execution stands.
    pub status: Option<Status>,
}

/// A fact that listeners are told.
#[derive(Clone, Debug)]
pub enum News {
    /// An attempt was handed to a worker.
    Fired {
        /// Of which execution.
        id: ExecutionId,
        /// On what footing.
        class: Class,
        /// Which attempt.
        attempt: u32,
    },
    /// An execution has ended.
    Ended(Box<ExecutionRecord>),
    /// A job is another one now.
    Job {
        /// Which.
        id: JobId,
        /// What became of it.
        change: JobTurn,
        /// What it is now; None: it is gone.
        now: Option<JobNow>,
        /// When that was accepted.
        at: WallUs,
    },
    /// A target began to fail, or answers again.
    Target {
        /// Which.
        name: String,
        /// Whether it counts as failing now.
        failing: bool,
        /// Since when.
        at: WallUs,
    },
    /// An incident is another one now.
    Incident {
        /// What became of it.
        turn: IncidentTurn,
        /// As it is with that.
        incident: Arc<Incident>,
        /// The silence that covers it.
        silenced_by: Option<SilenceId>,
    },
    /// More is due than can be sent.
    Overload {
        /// For how many looks at a job.
        jobs: u64,
        /// How many instants were passed over.
        instants: u64,
    },
    /// The wall clock stepped.
    ClockStep {
        /// By how much.
        by_us: i64,
        /// Jobs that wait because of it.
        held_jobs: usize,
    },
    /// There was too much to tell.
    Sampled {
        /// Events that were left out.
        left_out: u64,
    },
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum JobTurn {
    /// It is new.
    Created,
    /// It is to be something else.
    Changed,
    /// It rests. A pause that ends by itself is not told when it does.
    Paused,
    /// It goes on.
    Resumed,
    /// It is gone.
    Deleted,
}

/// What became of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentTurn {
    /// It is new, or the silence is over that had kept it from being told.
    Opened,
    /// Somebody knows of it.
    Acknowledged,
    /// It is over.
    Closed,
}

/// What a job is now, as far as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobNow {
    pub(super) revision: u32,
    pub(super) name: Option<Box<str>>,
    pub(super) paused: bool,
    pub(super) reason: Option<Box<str>>,
}

impl News {
    /// Whether something that is written down is told once that is on disk: how much it counts, and of which job it is.
    /// A row that is pending is not: what was decided of it is told when it is sent.
    pub fn announced(item: &Persist) -> Option<(Rank, JobKey)> {
        match item {
            Persist::Row(row, _) => {
                let rank = match row.record.status {
                    Status::Pending => return None,
                    Status::Success => Rank::Success,
                    Status::Failed | Status::Skipped => Rank::Failure,
                };
                Some((rank, row.key.job))
            }
            Persist::Change(change) => Some((Rank::Other, job_of(change))),
            Persist::Remove(_) | Persist::Calendar(_) | Persist::Runs(_) => None,
            Persist::Setting(_) | Persist::Incident(_) => None,
            Persist::Release { .. } | Persist::HandOver(_) => None,
        }
    }

    /// What is told of it. `before` is the job as it was until then.
    pub fn of_item(item: &Persist, before: &Revision, wall: WallUs) -> Option<News> {
        match item {
            Persist::Row(row, _) => Some(News::Ended(Box::new(told(row, before.id)))),
            Persist::Change(change) => Some(of_change(change, before, wall)),
            Persist::Remove(_) | Persist::Calendar(_) | Persist::Runs(_) => None,
            Persist::Setting(_) | Persist::Incident(_) => None,
            Persist::Release { .. } | Persist::HandOver(_) => None,
        }
    }

    /// The changes of incidents that are written with an item, or are all of it.
    pub fn incidents_of(item: &Persist) -> &[IncidentChange] {
        match item {
            Persist::Row(_, Some(news)) => &news.incidents,
            Persist::Incident(change) => std::slice::from_ref(change),
            Persist::Row(_, None) | Persist::Remove(_) | Persist::Change(_) => &[],
            Persist::Calendar(_) | Persist::Setting(_) | Persist::Runs(_) => &[],
            Persist::Release { .. } | Persist::HandOver(_) => &[],
        }
    }

    /// What is told of a change of an incident, once it is on disk. That it is told again is no news.
    pub fn of_incident(change: &IncidentChange, silenced_by: Option<SilenceId>) -> Option<News> {
        let incident = Arc::clone(&change.incident);
        let event = change.message.as_ref().map(|message| message.event);
        let turn = match (&incident.closed, event, &incident.acknowledged) {
            (Some(_), _, _) => IncidentTurn::Closed,
            (None, Some(Event::Opened), _) => IncidentTurn::Opened,
            (None, Some(Event::Reminded | Event::Closed), _) => return None,
            (None, None, Some(_)) => IncidentTurn::Acknowledged,
            // Over no channel, or under a silence.
            (None, None, None) => IncidentTurn::Opened,
        };
        Some(News::Incident { turn, incident, silenced_by })
    }

    /// An attempt is sent.
    pub fn of_attempt(attempt: &Attempt) -> News {
        News::Fired { id: attempt.id, class: attempt.class, attempt: attempt.number }
    }

    /// What an operator is told, where it is for listeners, too. Missed instants and pauses are told with their rows.
    pub fn of_notice(notice: &Notice, wall: WallUs) -> Option<News> {
        match notice {
            Notice::Target { name, failing } => Some(News::Target { name: name.clone(), failing: *failing, at: wall }),
            Notice::Overload { jobs, instants } => Some(News::Overload { jobs: *jobs, instants: *instants }),
            Notice::ClockStep { by_us, held_jobs } => Some(News::ClockStep { by_us: *by_us, held_jobs: *held_jobs }),
            Notice::InDoubt { .. } | Notice::Missed { .. } | Notice::Paused { .. } => None,
        }
    }

    /// What filters look at.
    pub fn about(&self) -> About {
        let about = |topic| About { topic: Some(topic), job: None, status: None };
        match self {
            News::Fired { id, .. } => {
                About { job: Some(id.job), status: Some(Status::Pending), ..about(Topic::Execution) }
            }
            News::Ended(ended) => {
                About { job: Some(ended.id.job), status: Some(ended.record.status), ..about(Topic::Execution) }
            }
            News::Job { id, .. } => About { job: Some(*id), ..about(Topic::Job) },
            News::Target { .. } => about(Topic::Target),
            News::Incident { incident, .. } => {
                let job = match incident.subject {
                    Subject::Job(id) => Some(id),
                    Subject::Target(_) | Subject::Server => None,
                };
                About { job, ..about(Topic::Incidents) }
            }
            News::Overload { .. } | News::ClockStep { .. } => about(Topic::Notice),
            News::Sampled { .. } => About { topic: None, job: None, status: None },
        }
    }

    /// The text of the event.
    pub fn text(self, id: EventId) -> Vec<u8> {
        event_text(id, &EventBody::from(self))
    }
}

fn job_of(change: &Change) -> JobKey {
    match &change.job {
        JobChange::Put(revision) => revision.id.key(),
        JobChange::Delete(key, _) => *key,
    }
}

fn of_change(change: &Change, before: &Revision, wall: WallUs) -> News {
    let id = before.id;
    match &change.job {
        JobChange::Delete(_, at) => News::Job { id, change: JobTurn::Deleted, now: None, at: *at },
        JobChange::Put(revision) => {
            let (was, pause) = (before.pause_at(wall).is_some(), revision.pause_at(wall));
            let change = match (revision.number, was, pause.is_some()) {
                // The core shows a job that is being created as what it will be.
                (1, _, _) => JobTurn::Created,
                (_, false, true) => JobTurn::Paused,
                (_, true, false) => JobTurn::Resumed,
                (_, true, true) | (_, false, false) => JobTurn::Changed,
            };
            let now = JobNow {
                revision: revision.number,
                name: revision.spec.name().map(Box::from),
                paused: pause.is_some(),
                reason: pause.and_then(|pause| pause.reason.clone()),
            };
            News::Job { id, change, now: Some(now), at: revision.updated_at }
        }
    }
}

/// What of a row is told.
fn told(row: &LedgerRow, job: JobId) -> ExecutionRecord {
    let Record { status, class, attempt, recoveries, executed, http_status, duration_us, .. } = row.record;
    let origin = row.record.details.as_ref().and_then(|details| details.origin);
    let details = origin.map(|origin| Box::new(Details { origin: Some(origin), ..Details::default() }));
    let (error, covers) = (row.record.error.clone(), row.record.covers);
    let record =
        Record { status, class, attempt, recoveries, executed, http_status, duration_us, error, covers, details };
    ExecutionRecord { id: row.key.of(job), record }
}
