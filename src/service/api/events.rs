//! Owns how events are asked for: which of them, and from which on; and what a stream says between them.
//! It must not hold an event: a place is all that a listener has.

use std::fmt;
use std::str::FromStr;

use super::call::Call;
use super::errors::ApiError;
use super::matching::Matched;
use super::news::{About, Topic};
use super::parameters::{EVENT_JOB, EVENT_STATUS, TOPICS};
use super::stream::Stream;
use crate::access::Who;
use crate::core::Status;
use crate::job::JobId;
use crate::limits::EVENT_RETRY_WAIT;

/// Events as they happen, from now on or behind the last one that the client has.
pub(super) fn listen(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    let topics = parameters.names(&TOPICS)?.map(|places| Topics::of(places.into_iter().map(|place| Topic::ALL[place])));
    let filter = EventFilter {
        topics: topics.unwrap_or(Topics::of(Topic::ALL)),
        job: parameters.job(&EVENT_JOB)?,
        status: parameters.status(&EVENT_STATUS)?,
    };
    let since = matched.last_event_id().map_or(Since::Now, |text| Since::Behind(text.parse().ok()));
    Ok(Call::Stream(Stream::Events(Listening { who: matched.who(), filter, since, is_silent: false })))
}

/// A client that listens: to what, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Who listens: for as long as he may.
    pub who: Who,
    filter: EventFilter,
    /// What it is told next.
    pub since: Since,
    /// It was told nothing for so long that it must hear something, lest it or somebody in between thinks that it is
    /// over.
    pub is_silent: bool,
}

/// Where a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It has just come.
    Now,
    /// It has just come back, and this is what it had. None: nobody knows what that is.
    Behind(Option<EventId>),
    /// It is told this event next.
    Place(u64),
}

impl Listening {
    /// One that wants everything.
    #[cfg(test)]
    pub fn to_all(since: Since) -> Listening {
        let filter = EventFilter { topics: Topics::of(Topic::ALL), job: None, status: None };
        Listening { who: Who::without_token(None), filter, since, is_silent: false }
    }

    /// Whether it is told of this.
    pub fn wants(&self, about: &About) -> bool {
        self.filter.lets(about)
    }

    /// The same further on.
    #[must_use]
    pub fn at(self, place: u64) -> Listening {
        Listening { since: Since::Place(place), is_silent: false, ..self }
    }

    /// The same after it was told nothing for long.
    #[must_use]
    pub fn after_silence(self) -> Listening {
        Listening { is_silent: true, ..self }
    }
}

/// Which events are asked for. What is asked of something that an event does not have lets it not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EventFilter {
    topics: Topics,
    job: Option<JobId>,
    status: Option<Status>,
}

impl EventFilter {
    fn lets(&self, about: &About) -> bool {
        let Some(topic) = about.topic else { return true };
        self.topics.has(topic)
            && self.job.is_none_or(|job| about.job == Some(job))
            && self.status.is_none_or(|status| about.status == Some(status))
    }
}

/// A set of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Topics(u8);

impl Topics {
    fn of(topics: impl IntoIterator<Item = Topic>) -> Topics {
        Topics(topics.into_iter().fold(0, |all, topic| all | 1 << topic as u8))
    }

    fn has(self, topic: Topic) -> bool {
        self.0 & 1 << topic as u8 != 0
    }
}

/// Names an event over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// When the process began that tells it, in microseconds since 1970: no two that tell of one store begin together.
    pub process: i64,
    /// Its number there. Rises.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.process, self.number)
    }
}

impl FromStr for EventId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<EventId, Self::Err> {
        let (process, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(EventId { process: process.parse()?, number: number.parse()? })
    }
}

/// How a stream begins: when to come back if it ends, and what was the last event before it, if the client has none.
pub fn opening_text(before: Option<EventId>) -> Vec<u8> {
    let id = before.map(|before| format!("id: {before}\n")).unwrap_or_default();
    format!("retry: {}\n{id}\n", EVENT_RETRY_WAIT.as_millis()).into_bytes()
}

/// A comment, and how far the client has come: what its filter let not pass it has not missed.
pub fn silence_text(before: EventId) -> Vec<u8> {
    format!(": \nid: {before}\n\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobKey;

    #[test]
    fn a_filter_lets_pass_what_has_all_that_is_asked_for() {
        let (job, other) = (JobId::new(JobKey(1), [1; 10]), JobId::new(JobKey(2), [2; 10]));
        let about = |topic, job, status| About { topic, job, status };
        let ended = about(Some(Topic::Execution), Some(job), Some(Status::Failed));
        let changed = about(Some(Topic::Job), Some(job), None);
        let target = about(Some(Topic::Target), None, None);
        let of =
            |topics: &[Topic], job, status| EventFilter { topics: Topics::of(topics.iter().copied()), job, status };
        for (filter, expected) in [
            (of(&Topic::ALL, None, None), [true, true, true]),
            (of(&Topic::ALL, Some(job), None), [true, true, false]),
            (of(&Topic::ALL, Some(other), None), [false, false, false]),
            (of(&Topic::ALL, None, Some(Status::Failed)), [true, false, false]),
            (of(&Topic::ALL, None, Some(Status::Success)), [false, false, false]),
            (of(&[Topic::Job, Topic::Target], None, None), [false, true, true]),
            (of(&[Topic::Execution], Some(job), Some(Status::Failed)), [true, false, false]),
        ] {
            assert_eq!([ended, changed, target].map(|about| filter.lets(&about)), expected, "{filter:?}");
            assert!(filter.lets(&about(None, None, None)), "what is left out concerns everybody");
        }
    }

    #[test]
    fn ids_read_back_and_others_are_none() {
        let id = EventId { process: 1_767_229_831_000_001, number: 7 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "-", "1", "1-", "-1", "x-1", "1-x", "1-2-3", "1 - 2"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}
