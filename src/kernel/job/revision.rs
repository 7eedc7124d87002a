//! Owns a revision of a job: what it was told to be from some moment on, and whether it is paused.
//! It must not change one: a change makes another.

use serde::{Deserialize, Serialize};

use super::{JobId, JobSpec};
use crate::time::{Instant, WallUs};

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
    /// When this revision was accepted.
    pub updated_at: WallUs,
    /// The job owes instants strictly after this: mostly when it was accepted. It lies ahead where a job is paused until
    /// some moment, and behind where one is resumed that is to catch up.
    pub since: Instant,
    /// What it is to be.
    pub spec: JobSpec,
    /// Raised when a job is released that a clock held which stepped back: the number of its scheduled executions.
    pub era: u32,
    /// Why and for how long it is paused, if it is or was.
    pub pause: Option<Box<Pause>>,
}

/// A pause of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// What the job would have owed it would have owed after this.
    pub since: Instant,
    /// It ends by itself with this second. Left out: somebody has to end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
    /// What whoever paused it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
    /// Why its own policy paused it, if that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

impl Pause {
    /// One that somebody has to end, and of which nothing else is known.
    pub fn since(since: Instant) -> Pause {
        Pause { since, until: None, note: None, reason: None }
    }
}

impl Revision {
    /// The first revision of a job.
    pub fn first(id: JobId, spec: JobSpec, at: WallUs) -> Revision {
        let since = at.floor();
        let anchor = spec.schedule.anchor().unwrap_or(since);
        let pause = (!spec.active).then(|| Box::new(Pause::since(since)));
        Revision { id, number: 1, anchor, created_at: at, updated_at: at, since, spec, era: 0, pause }
    }

    /// The one that follows it, with another spec, from this moment on.
    #[must_use]
    pub fn next(&self, spec: JobSpec, at: WallUs) -> Revision {
        let Revision { id, number, anchor, created_at, era, ref pause, .. } = *self;
        let (number, since, pause) = (number.wrapping_add(1), at.floor(), pause.clone());
        Revision { id, number, anchor, created_at, updated_at: at, since, spec, era, pause }
    }

    /// The pause that it is in at this moment.
    pub fn pause_at(&self, wall: WallUs) -> Option<&Pause> {
        let pause = self.pause.as_deref()?;
        let lasts = pause.until.map_or(!self.spec.active, |until| WallUs::of(until) > wall);
        lasts.then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Context, Definition, JobKey};

    #[test]
    fn a_pause_lasts_until_its_second_or_until_somebody_ends_it() {
        let second = Instant::from_secs(1_767_225_600);
        let at = WallUs::of(second);
        for (active, until, lasts) in [
            (true, Some(second), [true, false, false]),
            (true, None, [false, false, false]),
            (false, None, [true, true, true]),
        ] {
            let definition = Definition { active: Some(active), ..Definition::plain("@daily", "http://a/") };
            let spec = JobSpec::compile(&definition, &Context::at(second)).expect("valid");
            let pause = Pause { until, ..Pause::since(second) };
            let first = Revision::first(JobId::new(JobKey(1), [0; 10]), spec, at);
            let revision = Revision { pause: Some(Box::new(pause.clone())), ..first };
            let paused = [-1, 0, 1].map(|us| revision.pause_at(at.plus_us(us)) == Some(&pause));
            assert_eq!(paused, lasts, "active {active}, until {until:?}");
        }
    }
}
