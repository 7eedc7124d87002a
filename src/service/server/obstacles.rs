//! Owns looking whether jobs of other nodes are in the way of a change: the core knows only those that this one has.
//! It must not decide for what the core knows.

use std::sync::Arc;

use super::calls::{Calls, refuse};
use super::connection::Given;
use super::engine::Engine;
use crate::api::ApiError;
use crate::core::{Action, RequestId, Scheduler, Setting};
use crate::http::Status;
use crate::job::{JobId, JobSpec};
use crate::store::Obstacle;
use crate::time::Now;

impl Calls {
    /// What may be in the way of this at another node, if there are others.
    pub(super) fn obstacle_elsewhere(&self, core: &Scheduler, action: &Action) -> Option<Obstacle> {
        if !self.shared {
            return None;
        }
        let named = |spec: &JobSpec| spec.name().map(|name| Obstacle::Named(name.into()));
        match action {
            Action::Create { spec, .. } => named(spec),
            Action::Update { id, spec, .. } => {
                let has_it = core.revision_of(id.key()).is_some_and(|before| before.spec.name() == spec.name());
                if has_it { None } else { named(spec) }
            }
            Action::DeleteCalendar { name } => Some(Obstacle::Follows(Arc::clone(name))),
            Action::Set(Setting::Channel(name, None)) => Some(Obstacle::TellsOver(Arc::clone(name))),
            // Batches look for themselves.
            Action::Apply(_) | Action::Delete { .. } | Action::Pause { .. } | Action::Resume { .. } => None,
            Action::PutCalendar { .. } | Action::Set(_) | Action::Silence(_) | Action::Acknowledge { .. } => None,
            Action::Release { .. } | Action::Run(_) | Action::ReplayAll(_) => None,
        }
    }

    /// What is in the way of a change was looked up.
    pub(super) fn go_on_with(
        &mut self,
        engine: &mut Engine,
        now: Now,
        request: RequestId,
        action: Action,
        in_the_way: Option<JobId>,
    ) -> Given {
        // Of its own jobs the core knows more: they may be about to be changed.
        let Some(_) = in_the_way.filter(|job| !engine.core().has_job(*job)) else {
            return self.submit(engine, now, request, action);
        };
        self.patches.remove(&request);
        self.channels_changing.remove(&request);
        if let Some(asking) = self.audits.get(request) {
            engine.write_down(None, asking.row(None, Status::CONFLICT, now.wall), now.mono);
        }
        refuse(&match &action {
            Action::DeleteCalendar { .. } => ApiError::new(Status::CONFLICT, "jobs follow this calendar"),
            Action::Set(_) => ApiError::new(Status::CONFLICT, "a job or a policy names this channel"),
            Action::Create { spec, .. } | Action::Update { spec, .. } => {
                ApiError::name_taken(spec.name().unwrap_or_default())
            }
            _ => ApiError::unavailable("a job of another node is in the way; nothing has changed"),
        })
    }
}
