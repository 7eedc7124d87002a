//! Owns the identity of an execution: its key inside this store, and its public id with its reversible text.
//! It must not look anything up: an id alone says which row it names.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::job::{JobId, JobKey, MalformedId};
use crate::time::Instant;

/// Why an execution exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Its schedule was due.
    Scheduled,
    /// A client asked for it now.
    Manual,
    /// A client asked for an earlier execution again.
    Replay,
    /// A client asked for an instant of the past.
    Backfill,
}

impl Kind {
    /// The number the store keeps. Released numbers never change.
    pub fn code(self) -> u8 {
        match self {
            Kind::Scheduled => 0,
            Kind::Manual => 1,
            Kind::Replay => 2,
            Kind::Backfill => 3,
        }
    }

    /// The name clients know.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Scheduled => "scheduled",
            Kind::Manual => "manual",
            Kind::Replay => "replay",
            Kind::Backfill => "backfill",
        }
    }

    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<Kind> {
        match code {
            0 => Some(Kind::Scheduled),
            1 => Some(Kind::Manual),
            2 => Some(Kind::Replay),
            3 => Some(Kind::Backfill),
            _ => None,
        }
    }
}

/// The identity of an execution inside this store: the same over all its attempts and over restarts. Ordered as pages
/// are: by time first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionKey {
    /// The whole second it belongs to.
    pub instant: Instant,
    /// Whose execution.
    pub job: JobKey,
    /// Why it exists.
    pub kind: Kind,
    /// Tells executions of one job, instant and kind apart: of scheduled ones the job's era, mostly 0; of others the end
    /// of their number in the ledger.
    pub number: u32,
}

impl ExecutionKey {
    /// The key of what a schedule was due for.
    pub fn scheduled(job: JobKey, instant: Instant) -> ExecutionKey {
        ExecutionKey { instant, job, kind: Kind::Scheduled, number: 0 }
    }

    /// The public id of the same execution, given that of its job.
    pub fn of(self, job: JobId) -> ExecutionId {
        assert_eq!(job.key(), self.job, "an execution is its own job's");
        ExecutionId { job, instant: self.instant, kind: self.kind, number: self.number }
    }
}

/// The public identity of an execution, which holds its job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId {
    /// Whose execution.
    pub job: JobId,
    /// The whole second it belongs to.
    pub instant: Instant,
    /// Why it exists.
    pub kind: Kind,
    /// Tells executions of one job, instant and kind apart; 0 for scheduled ones.
    pub number: u32,
}

impl ExecutionId {
    /// Which execution of this store that is.
    pub fn key(&self) -> ExecutionKey {
        ExecutionKey { instant: self.instant, job: self.job.key(), kind: self.kind, number: self.number }
    }
}

impl fmt::Display for ExecutionId {
    /// `<job id>-<instant in Unix seconds>`, and `-m<number>`, `-r<number>`, `-b<number>` for manual ones, replays and
    /// backfills; scheduled ones have `-s<number>` if it is not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.job, self.instant.as_secs())?;
        match self.kind {
            Kind::Scheduled if self.number == 0 => Ok(()),
            Kind::Scheduled => write!(f, "-s{}", self.number),
            Kind::Manual => write!(f, "-m{}", self.number),
            Kind::Replay => write!(f, "-r{}", self.number),
            Kind::Backfill => write!(f, "-b{}", self.number),
        }
    }
}

impl Serialize for ExecutionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExecutionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExecutionId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|_| D::Error::custom("expected the id of an execution"))
    }
}

impl JsonSchema for ExecutionId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ExecutionId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let uuid = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
        let pattern = format!("^{uuid}-(0|[1-9][0-9]{{0,17}})(-(s[1-9][0-9]{{0,8}}|[mrb](0|[1-9][0-9]{{0,9}})))?$");
        json_schema!({ "type": "string", "format": "execution-id", "pattern": pattern })
    }
}

impl FromStr for ExecutionId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<ExecutionId, MalformedId> {
        let job = text.get(..36).ok_or(MalformedId)?.parse()?;
        let rest = text.get(36..).and_then(|rest| rest.strip_prefix('-')).ok_or(MalformedId)?;
        let (instant, suffix) = rest.split_once('-').map_or((rest, None), |(instant, suffix)| (instant, Some(suffix)));
        let (kind, number) = match suffix {
            None => (Kind::Scheduled, 0),
            Some(suffix) => {
                let kind = match suffix.as_bytes().first() {
                    Some(b'm') => Kind::Manual,
                    Some(b'r') => Kind::Replay,
                    Some(b'b') => Kind::Backfill,
                    Some(b's') => Kind::Scheduled,
                    Some(_) | None => return Err(MalformedId),
                };
                let number = digits(&suffix[1..])?;
                if (kind, number) == (Kind::Scheduled, 0) {
                    return Err(MalformedId);
                }
                (kind, number)
            }
        };
        let instant = Instant::from_secs(digits(instant)?);
        Ok(ExecutionId { job, instant, kind, number })
    }
}

/// Parses what `Display` prints and nothing else: no sign, no leading zero.
fn digits<T: FromStr>(text: &str) -> Result<T, MalformedId> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !canonical {
        return Err(MalformedId);
    }
    text.parse().map_err(|_| MalformedId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobId {
        JobId::new(JobKey(42), [0xab; 10])
    }

    #[test]
    fn execution_ids_read_back_for_every_kind() {
        for (kind, number, end) in [
            (Kind::Scheduled, 0, ""),
            (Kind::Scheduled, 2, "-s2"),
            (Kind::Manual, 3, "-m3"),
            (Kind::Replay, 12, "-r12"),
            (Kind::Backfill, 4_294_967_295, "-b4294967295"),
        ] {
            let id = ExecutionId { job: job(), instant: Instant::from_secs(1_767_229_831), kind, number };
            assert_eq!(id.to_string(), format!("{}-1767229831{end}", job()));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let job = job().to_string();
        for end in
            ["", "-", "-+1", "-01", "-1-", "-1-x1", "-1-m", "-1-m01", "-1-m4294967296", "-1-s0", "-1-s", "-é", "-1-é"]
        {
            let text = format!("{job}{end}");
            assert_eq!(text.parse::<ExecutionId>(), Err(MalformedId), "{text}");
        }
        assert_eq!("ä".repeat(40).parse::<ExecutionId>(), Err(MalformedId));
    }
}
