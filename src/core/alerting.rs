//! Owns the settings of what is told: channels, policies, silences; what is in force, and what is being written.

use super::incident::IncidentChange;
use super::io::{Output, Reply, RequestId, Trouble};
use super::scheduler::Scheduler;
use super::setting::{Setting, Silence};
use super::{Incident, IncidentId};
use crate::time::Now;

impl Scheduler {
    /// A change of an incident is on disk.
    pub(super) fn tell(&mut self, change: IncidentChange) {
        change.message.into_iter().for_each(|message| self.output(Output::Tell(message)));
    }

    pub(super) fn adopt_setting(&mut self, _setting: Setting) {}

    pub(super) fn adopt_incident(&mut self, _incident: Incident) {}

    pub(super) fn trouble(&mut self, _trouble: Trouble, _now: Now) {}

    pub(super) fn set(&mut self, request: RequestId, _setting: Setting, _now: Now) {
        self.output(Output::Reply(request, Reply::NoSuchSetting));
    }

    pub(super) fn silence(&mut self, request: RequestId, _silence: Silence, _now: Now) {
        self.output(Output::Reply(request, Reply::NoSuchSetting));
    }

    pub(super) fn acknowledge(
        &mut self,
        request: RequestId,
        _id: IncidentId,
        _by: Option<Box<str>>,
        _note: Option<Box<str>>,
        _now: Now,
    ) {
        self.output(Output::Reply(request, Reply::NoSuchIncident));
    }
}
