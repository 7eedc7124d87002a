//! Owns what was taken over on its way to the core, a few jobs in each turn: there may be a million, and what is here goes on.
//! It must not let any of it begin before all of it is there.

use super::Nodes;
use crate::cluster::Heard;
use crate::core::{Input, StoredJob};
use crate::limits::TAKEN_PER_TURN_MAX;
use crate::server::engine::Engine;
use crate::store::Taken;
use crate::time::Now;

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    pub(super) jobs: Vec<StoredJob>,
    /// What comes behind the jobs, once it is there.
    pub(super) rest: Option<Box<Taken>>,
}

impl Nodes {
    /// Gives the core some of what was taken over. True if there is more.
    pub(super) fn arrive(&mut self, engine: &mut Engine, now: Now) -> bool {
        let Some(arriving) = self.arriving.as_mut().filter(|arriving| arriving.rest.is_some()) else { return false };
        if engine.is_draining() {
            // It was taken in vain: others have it as soon as this node is gone.
            self.arriving = None;
            return false;
        }
        let left = arriving.jobs.len().saturating_sub(TAKEN_PER_TURN_MAX);
        for job in arriving.jobs.drain(left..) {
            engine.input(Input::RestoreJob(Box::new(job)), now);
        }
        if left > 0 {
            return true;
        }
        let Some(taken) = self.arriving.take().and_then(|arriving| arriving.rest) else { return false };
        let Taken { rows, restored, incidents, alerts, messages } = *taken;
        let (shards, rows_taken) = (restored.shards.len(), rows.len());
        for (row, known) in rows {
            engine.input(Input::RestoreRow(Box::new(row), known), now);
        }
        for incident in incidents {
            engine.input(Input::RestoreIncident(Box::new(incident)), now);
        }
        engine.input(Input::Acquired(restored), now);
        engine.resume_alerts(&alerts, now);
        engine.resume_telling(Vec::new(), messages, now);
        if shards > 0 {
            tracing::info!(shards, executions = rows_taken, "shards were taken over");
        }
        self.hear(Heard::Taken(*engine.core().shards()), now);
        false
    }
}
