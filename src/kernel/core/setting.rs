//! Owns the words in which clients steer what is told: channels, policies of tags and of the server, silences.
//! It must not decide what follows from them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::channel::Channel;
use crate::job::{AlertPolicy, JobId, MalformedId};
use crate::time::{Instant, WallUs};

/// What names a silence: the microsecond since 1970 in which it began, or the first free one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceId(pub u64);

impl fmt::Display for SilenceId {
    /// Decimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SilenceId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<SilenceId, MalformedId> {
        // Written like those of incidents.
        text.parse().map(|super::IncidentId(number)| SilenceId(number))
    }
}

/// Whose policy it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyScope {
    /// The server's: of all that says nothing else.
    Server,
    /// Of jobs with this tag. Of several tags of a job that counts whose name comes first.
    Tag(Box<str>),
}

/// What is silenced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silenced {
    /// A job.
    Job(JobId),
    /// Jobs with this tag.
    Tag(Box<str>),
    /// A target, and the jobs that have it.
    Target(Box<str>),
}

/// Nothing is told of this until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Of what.
    pub of: Silenced,
    /// Why.
    pub note: Box<str>,
    /// Until when.
    pub ends_at: Instant,
    /// When it was made.
    pub created_at: WallUs,
    /// The name of the token, if one was shown.
    pub by: Option<Box<str>>,
}

/// A setting as it is to be; None: there is to be none.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A channel, by its name.
    Channel(Arc<str>, Option<Arc<Channel>>),
    /// A policy.
    Policy(PolicyScope, Option<Arc<AlertPolicy>>),
    /// A silence.
    Silence(SilenceId, Option<Arc<Silence>>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_silence_reads_back() {
        let id = SilenceId(1_767_225_600_000_001);
        assert_eq!((id.to_string().as_str(), id.to_string().parse()), ("1767225600000001", Ok(id)));
    }
}
