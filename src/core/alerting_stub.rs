//! Owns, until the core has them, the readers of what is told: empty settings, no incident, no silence.
//! It must not outlive the merge with the core's own.

use std::sync::Arc;

use super::incident::Incident;
use super::scheduler::Scheduler;
use super::setting::{Silence, SilenceId};
use crate::channel::Channel;
use crate::job::{AlertPolicy, JobKey};

/// Channels, policies and silences in force.
#[derive(Debug, Default)]
pub struct AlertSettings {
    server: AlertPolicy,
}

static NOTHING: AlertSettings = AlertSettings {
    server: AlertPolicy {
        after: None,
        recovery: None,
        remind_every: None,
        no_success_for: None,
        late_by: None,
        on_auto_pause: None,
        on_server_trouble: None,
        channels: None,
    },
};

impl AlertSettings {
    /// The channels, in the order of their names.
    pub fn channels(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Channel>)> {
        std::iter::empty()
    }

    /// The channel with this name.
    pub fn channel(&self, _name: &str) -> Option<&Arc<Channel>> {
        None
    }

    /// The policy of the server.
    pub fn server_policy(&self) -> &AlertPolicy {
        &self.server
    }

    /// The policies of tags, in the order of these.
    pub fn tag_policies(&self) -> impl Iterator<Item = (&str, &Arc<AlertPolicy>)> {
        std::iter::empty()
    }

    /// The silences, in the order in which they began.
    pub fn silences(&self) -> impl Iterator<Item = (SilenceId, &Arc<Silence>)> {
        std::iter::empty()
    }
}

impl Scheduler {
    /// Channels, policies and silences in force.
    pub fn settings(&self) -> &AlertSettings {
        &NOTHING
    }

    /// The policy that counts for a job: its own over those of its tags over the server's.
    pub fn policy_of(&self, job: JobKey) -> Option<AlertPolicy> {
        Some(self.revision_of(job)?.spec.alerts().cloned().unwrap_or_default())
    }

    /// How many incidents are open.
    pub fn open_incidents(&self) -> usize {
        0
    }

    /// The open incidents of a job.
    pub fn open_incidents_of(&self, _job: JobKey) -> impl Iterator<Item = &Arc<Incident>> {
        std::iter::empty()
    }

    /// The silence that covers an incident now.
    pub fn silence_of(&self, _incident: &Incident) -> Option<SilenceId> {
        None
    }
}
