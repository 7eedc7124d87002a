//! Owns what a job means: its definition compiled, compact, shared, and always valid.
//! It must not decide what follows from it: the core does.

use std::sync::Arc;

use super::{Definition, Delivery, FieldError, JobId, Post, TargetUrl};
use crate::schedule::{Schedule, Zone};
use crate::time::{Instant, WallUs};

/// A definition, compiled. Both conversions take the other side apart member by member, so that a forgotten one does
/// not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// When to fire.
    pub schedule: Arc<Schedule>,
    /// What to send.
    pub post: Arc<Post>,
    /// False while paused.
    pub active: bool,
}

impl JobSpec {
    /// What a definition means. `anchor` is the second in which its schedule was given, where `@every` counts from.
    ///
    /// # Errors
    /// Names the member that is wrong, and what was expected.
    pub fn compile(definition: &Definition, anchor: Instant) -> Result<JobSpec, FieldError> {
        let Definition { schedule, api, delivery, active } = definition;
        let schedule =
            Schedule::parse(schedule, Zone::default(), anchor).map_err(|why| FieldError::new("schedule", why))?;
        let url = TargetUrl::parse(api).map_err(|why| FieldError::new("api", why))?;
        let delivery = Delivery::compile(delivery)?;
        Ok(JobSpec {
            schedule: Arc::new(schedule),
            post: Arc::new(Post { url, delivery }),
            active: active.unwrap_or(true),
        })
    }

    /// Checks that the schedule has an instant after `now`. One that has none any more is still a job's: it is only
    /// not accepted from a client.
    ///
    /// # Errors
    /// When there is none.
    pub fn check_future(&self, now: Instant) -> Result<(), FieldError> {
        if self.schedule.next_after(now).is_some() {
            return Ok(());
        }
        let text = self.schedule.text();
        let message = format!("expected at least one time in the future, but {text:?} has none");
        Err(FieldError { member: "schedule", message })
    }

    /// Whether the other spec's schedule is read from the same text in the same zone, whatever it counts from.
    pub fn has_schedule_of(&self, other: &JobSpec) -> bool {
        self.schedule.text() == other.schedule.text() && self.schedule.zone() == other.schedule.zone()
    }
}

impl From<&JobSpec> for Definition {
    fn from(spec: &JobSpec) -> Definition {
        let JobSpec { schedule, post, active } = spec;
        let Post { url, delivery } = &**post;
        Definition {
            schedule: schedule.text().to_owned(),
            api: url.to_string(),
            delivery: delivery.name().to_owned(),
            active: Some(*active),
        }
    }
}

/// One revision of a job: what it was told to be from some moment on. Immutable and shared: a change makes a new one.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The job's public id, which holds its key.
    pub id: JobId,
    /// Raised by each change; 1 at creation.
    pub number: u32,
    /// The second of creation or of the last schedule change: where `@every` counts from.
    pub anchor: Instant,
    /// When the job was created.
    pub created_at: WallUs,
    /// When this revision was accepted. The job owes instants strictly after it.
    pub updated_at: WallUs,
    /// What it is to be.
    pub spec: JobSpec,
}

impl Revision {
    /// The first revision of a job.
    pub fn first(id: JobId, spec: JobSpec, at: WallUs) -> Revision {
        let anchor = spec.schedule.anchor().unwrap_or(at.floor());
        Revision { id, number: 1, anchor, created_at: at, updated_at: at, spec }
    }
}
