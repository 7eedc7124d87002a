//! Owns what becomes of a job that a client declares: which one it is, whether it is so already, or what it is to be.
//! It must not write what does not differ.

use std::sync::Arc;

use super::changes::owed_since;
use super::io::{Applied, Apply, Output, Reply, RequestId};
use super::scheduler::Scheduler;
use crate::time::{Instant, Now};

/// What is to be done for a declared job.
pub(super) enum Verdict {
    /// There is none: it is made.
    Create,
    /// It is what it is to be.
    Nothing,
    /// It is made what it is to be, and stays active or paused, as it is, if that is said.
    Replace {
        /// Whether.
        keep_active: bool,
    },
}

impl Scheduler {
    /// The job that is declared: the one with its name; if there is none, the one with its id, which is to have another
    /// name. That is another one if somebody declares that one beside it. None: it is a new one.
    pub(super) fn declared(&self, apply: &Apply) -> Result<Option<u32>, Reply> {
        let known = apply.id.and_then(|id| self.find(id));
        let Some(name) = apply.spec.name() else { return known.map(Some).ok_or(Reply::Nameless) };
        if let Some(named) = self.jobs.named(name) {
            // One that is being made is seen to be changing.
            let is_there = self.jobs[named].is_visible() || self.jobs[named].pending.is_some();
            return if is_there { Ok(Some(named)) } else { Err(Reply::NameTaken(name.into())) };
        }
        Ok(known.filter(|&slot| {
            let revision = self.jobs[slot].revision();
            let is_declared = revision.spec.name().is_some_and(|name| apply.beside.names.contains(name));
            !is_declared && !apply.beside.ids.contains(&revision.id)
        }))
    }

    /// What is to be done for a declared job, whose spec is completed by what it is.
    pub(super) fn judge_declared(
        &self,
        apply: &mut Apply,
        job: Option<u32>,
        read_at: Instant,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<Verdict, Reply> {
        let Some(job) = job else {
            apply.spec.check_future(read_at).map_err(Reply::Invalid)?;
            // One that has none left is made all the same, and rests.
            apply.spec.spend_runs(apply.runs);
            return Ok(Verdict::Create);
        };
        let old = self.jobs[job].revision();
        // Who says of a job what was shown of it leaves its pause as it is.
        let keep_active = apply.keep_active || apply.spec.active == old.spec.active;
        self.complete(&mut apply.spec, Some(old), keep_active, is_taken)?;
        let old = &old.spec;
        if apply.spec.says_what(old) {
            return Ok(Verdict::Nothing);
        }
        if !apply.spec.has_schedule_of(old) {
            apply.spec.check_future(read_at).map_err(Reply::Invalid)?;
        }
        Ok(Verdict::Replace { keep_active })
    }

    /// Lets a job be what a client declares it to be.
    pub(super) fn apply(&mut self, request: RequestId, mut apply: Apply, job: Option<u32>, read_at: Instant, now: Now) {
        let verdict = match self.judge_declared(&mut apply, job, read_at, |_| false) {
            Ok(verdict) => verdict,
            Err(reply) => return self.output(Output::Reply(request, reply)),
        };
        let Apply { spec, entropy, .. } = apply;
        match (verdict, job) {
            (Verdict::Nothing, Some(job)) => {
                let id = self.jobs[job].revision().id;
                self.gathering.settle(id.key());
                self.output(Output::Reply(request, Reply::Unchanged(id)));
            }
            (Verdict::Replace { keep_active }, Some(job)) => {
                let (old, since) = (Arc::clone(self.jobs[job].revision()), owed_since(&spec, read_at, now));
                self.gathering.applied = Some(Applied::Changed(old, spec.clone()));
                self.replace_by(request, job, spec, keep_active, since, now);
            }
            (Verdict::Create, None) => {
                let since = owed_since(&spec, read_at, now);
                self.gathering.applied = Some(Applied::Created);
                self.create(request, spec, entropy, None, since, now);
            }
            (Verdict::Create, Some(_)) | (Verdict::Nothing | Verdict::Replace { .. }, None) => {
                unreachable!("a job is made if there is none")
            }
        }
    }
}
