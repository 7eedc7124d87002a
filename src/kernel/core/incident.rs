//! Owns the words in which trouble is said: an incident, the messages of it, and what is written down of both.
//! It must not decide when there is one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::key::ExecutionId;
use super::record::AlertRecord;
use crate::job::{JobId, MalformedId};
use crate::time::WallUs;

/// What names an incident: the microsecond since 1970 in which it was opened, or the first free one after it. So it is
/// unique and rises without a counter on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    /// Decimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for IncidentId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<IncidentId, MalformedId> {
        // One incident has one text.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let number = text.parse().ok().filter(|&number| is_plain && i64::try_from(number).is_ok());
        number.map(IncidentId).ok_or(MalformedId)
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// So many executions of a job in a row failed.
    Failing,
    /// A job had no success for too long.
    NoSuccess,
    /// A scheduled execution of a job began too late, or did not begin.
    Late,
    /// A job was paused by its own policy.
    AutoPaused,
    /// A target fails.
    TargetFailing,
    /// The store cannot be written.
    StoreFailing,
    /// The disk is nearly full.
    DiskNearlyFull,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 7] = [
        Cause::Failing,
        Cause::NoSuccess,
        Cause::Late,
        Cause::AutoPaused,
        Cause::TargetFailing,
        Cause::StoreFailing,
        Cause::DiskNearlyFull,
    ];

    /// The name clients know.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Failing => "FAILING",
            Cause::NoSuccess => "NO_SUCCESS",
            Cause::Late => "LATE",
            Cause::AutoPaused => "AUTO_PAUSED",
            Cause::TargetFailing => "TARGET_FAILING",
            Cause::StoreFailing => "STORE_FAILING",
            Cause::DiskNearlyFull => "DISK_NEARLY_FULL",
        }
    }

    /// The cause with this name.
    pub fn from_name(name: &str) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// What something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A job.
    Job(JobId),
    /// A target, by its name.
    Target(Arc<str>),
    /// This server.
    Server,
}

/// What a job was called when an incident of it was opened: it may be gone when it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLabel {
    /// What people call it.
    pub name: Option<Box<str>>,
    /// Its URL.
    pub api: Box<str>,
    /// Its schedule.
    pub schedule: Box<str>,
}

/// The end of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When it was decided.
    pub at: WallUs,
    /// Why, such as "an execution succeeded".
    pub why: Box<str>,
}

/// Somebody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Since when.
    pub at: WallUs,
    /// The name of the token, if one was shown.
    pub by: Option<Box<str>>,
    /// What that one wrote.
    pub note: Option<Box<str>>,
}

/// Something that is wrong, from when it was noticed until it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Which.
    pub id: IncidentId,
    /// What is wrong.
    pub cause: Cause,
    /// With what. There is one open incident of a cause and a subject at most.
    pub subject: Subject,
    /// Of the job, if it is about one.
    pub label: Option<Box<JobLabel>>,
    /// What is wrong, in a sentence, as it was when it was opened.
    pub summary: Box<str>,
    /// The execution that it was opened by.
    pub execution: Option<ExecutionId>,
    /// When it was opened.
    pub opened_at: WallUs,
    /// How it ended; None: it is open.
    pub closed: Option<Closed>,
    /// Who knows of it.
    pub acknowledged: Option<Box<Acknowledged>>,
    /// How many messages there were of it.
    pub messages: u32,
    /// Whether it was told that it is open.
    pub told: bool,
    /// When it was last told that it is open.
    pub told_at: Option<WallUs>,
}

/// What a message says of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// It was opened.
    Opened,
    /// It is still open.
    Reminded,
    /// It is over.
    Closed,
}

impl Event {
    /// The name clients know.
    pub const fn name(self) -> &'static str {
        match self {
            Event::Opened => "OPENED",
            Event::Reminded => "REMINDED",
            Event::Closed => "CLOSED",
        }
    }

    /// The event with this name.
    pub fn from_name(name: &str) -> Option<Event> {
        [Event::Opened, Event::Reminded, Event::Closed].into_iter().find(|event| event.name() == name)
    }
}

/// A message of an incident, to be sent over some channels at least once each. What identifies it there is the id of the
/// incident, its number, and the name of the channel: `1764421200123456.1.ops`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The incident as it is with this message.
    pub incident: Arc<Incident>,
    /// Counts the messages of the incident, from 1.
    pub number: u32,
    /// What it says.
    pub event: Event,
    /// When it was made.
    pub at: WallUs,
    /// Over which channels; never none.
    pub channels: Box<[Box<str>]>,
}

/// An incident as it is to be, and the message of the change, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentChange {
    /// The incident, whole: writing it again changes nothing.
    pub incident: Arc<Incident>,
    /// To be kept until it has been delivered over each of its channels.
    pub message: Option<Message>,
}

impl IncidentChange {
    /// How many rows it is on disk.
    pub(super) fn rows(&self) -> usize {
        1 + self.message.as_ref().map_or(0, |message| message.channels.len())
    }
}

/// What follows from how an execution ended, and is written with its row.
#[derive(Clone, Debug, Default)]
pub struct RowNews {
    /// That it failed, for the plain webhook and the alert log.
    pub alert: Option<AlertRecord>,
    /// Incidents that it opened or closed.
    pub incidents: Vec<IncidentChange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_name(cause.name()), Some(cause));
        }
        for event in [Event::Opened, Event::Reminded, Event::Closed] {
            assert_eq!(Event::from_name(event.name()), Some(event));
        }
        let id = IncidentId(1_764_421_200_123_456);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "0", "01", "+1", "-1", "1x", "9223372036854775808", "99999999999999999999999"] {
            assert_eq!(text.parse::<IncidentId>(), Err(MalformedId), "{text}");
        }
    }
}
