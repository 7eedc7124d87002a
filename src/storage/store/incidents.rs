//! Owns what the house says to the store about incidents and hears of them: pages, deliveries, and how channels fared.
//! It must not know how they are kept.

use std::sync::Arc;

use crate::core::{Cause, Event, Incident, IncidentId, Message};
use crate::job::JobKey;
use crate::time::WallUs;

use super::messages::AlertState;

/// Which incidents are asked for, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentQuery {
    /// Incidents on the page.
    pub limit: usize,
    /// Only those with a lower id: where to go on.
    pub before: Option<IncidentId>,
    /// Only open ones (true), or closed ones.
    pub open: Option<bool>,
    /// Only of this job.
    pub job: Option<JobKey>,
    /// Only with this cause.
    pub cause: Option<Cause>,
}

/// A page of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentPage {
    /// The incidents.
    pub incidents: Vec<Incident>,
    /// Whether there are more, below the last one.
    pub more: bool,
}

/// What became of a message on one of its channels: also what is to be recorded of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Of which incident.
    pub incident: IncidentId,
    /// Which of its messages.
    pub number: u32,
    /// Over which channel.
    pub channel: Arc<str>,
    /// Never [`AlertState::Logged`]: a message has a channel.
    pub state: AlertState,
    /// When it was delivered; None: it was not.
    pub delivered_at: Option<WallUs>,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// A message as it is shown with its incident: one for each of its channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// What it said.
    pub event: Event,
    /// When it was made.
    pub at: WallUs,
    /// What became of it.
    pub delivery: Delivery,
}

/// A message that was not delivered over a channel when the process before ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndeliveredMessage {
    /// The message; its incident is as it is now.
    pub message: Message,
    /// Over which channel.
    pub channel: Arc<str>,
    /// Tries so far.
    pub attempts: u32,
}

/// How a channel fared last. Kept with the channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelHealth {
    /// When it last delivered something.
    pub delivered_at: Option<WallUs>,
    /// When it last failed to.
    pub failed_at: Option<WallUs>,
    /// Why; None: it delivered since.
    pub error: Option<String>,
}
