//! Owns the public identities of jobs and executions, and their reversible text forms.
//! It must not look anything up: an id alone says which row it names.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::time::Instant;

/// The integer key of a job inside this store. Never reused while anything of the job is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub u64);

/// Keys must fit the 48 bits that a public id has for them.
pub const JOB_KEY_MAX: u64 = (1 << 48) - 1;

/// The public id of a job: a UUID of version 8 (RFC 9562 section 5.8) whose first 48 bits are the job's key
/// and whose other bits are random. So no index is needed to find the job, and ids are unique across stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Uuid);

impl JobId {
    /// The id of the job with this key; `entropy` makes it unique.
    pub fn new(key: JobKey, entropy: [u8; 10]) -> JobId {
        assert!(key.0 <= JOB_KEY_MAX, "2^48 jobs were created in one store");
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&key.0.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&entropy);
        JobId(Uuid::new_v8(bytes))
    }

    /// The id with these bytes, as the store kept them.
    pub fn from_bytes(bytes: [u8; 16]) -> JobId {
        JobId(Uuid::from_bytes(bytes))
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The key inside the id. Whether that job has this id is for the holder of the job to say.
    pub fn key(&self) -> JobKey {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        JobKey(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for JobId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<JobId, MalformedId> {
        // Only the hyphenated form is an id: one job has one URL.
        if text.len() != 36 {
            return Err(MalformedId);
        }
        Uuid::try_parse(text).map(JobId).map_err(|_| MalformedId)
    }
}

/// Why an execution exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Its schedule was due.
    Scheduled,
    /// A client asked for it now.
    Manual,
    /// A client asked for an earlier execution again.
    Replay,
}

impl Kind {
    /// The number the store keeps. Released numbers never change.
    pub fn code(self) -> u8 {
        match self {
            Kind::Scheduled => 0,
            Kind::Manual => 1,
            Kind::Replay => 2,
        }
    }

    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<Kind> {
        match code {
            0 => Some(Kind::Scheduled),
            1 => Some(Kind::Manual),
            2 => Some(Kind::Replay),
            _ => None,
        }
    }
}

/// The identity of an execution: the same over all its attempts and over restarts.
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

impl fmt::Display for ExecutionId {
    /// `<job id>-<instant in Unix seconds>`, and for other kinds than scheduled `-m<number>` or `-r<number>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.job, self.instant.as_secs())?;
        match self.kind {
            Kind::Scheduled => Ok(()),
            Kind::Manual => write!(f, "-m{}", self.number),
            Kind::Replay => write!(f, "-r{}", self.number),
        }
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
                    Some(_) | None => return Err(MalformedId),
                };
                (kind, digits(&suffix[1..])?)
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

/// The text is not an id of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedId;

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobId {
        JobId::new(JobKey(42), [0xab; 10])
    }

    #[test]
    fn a_job_id_carries_its_key_and_reads_back() {
        let text = job().to_string();
        assert_eq!(text, "00000000-002a-8bab-abab-abababababab");
        assert_eq!(text.parse(), Ok(job()));
        assert_eq!(job().key(), JobKey(42));
        assert_eq!(JobId::from_bytes(*job().as_bytes()), job());
    }

    #[test]
    fn execution_ids_read_back_for_every_kind() {
        for (kind, number, end) in [(Kind::Scheduled, 0, ""), (Kind::Manual, 3, "-m3"), (Kind::Replay, 12, "-r12")] {
            let id = ExecutionId { job: job(), instant: Instant::from_secs(1_767_229_831), kind, number };
            assert_eq!(id.to_string(), format!("{}-1767229831{end}", job()));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let job = job().to_string();
        for text in ["", "x", "é", &job[1..], &format!("{{{job}}}"), &job.replace('-', "")] {
            assert_eq!(text.parse::<JobId>(), Err(MalformedId), "{text}");
        }
        for end in ["", "-", "-+1", "-01", "-1-", "-1-x1", "-1-m", "-1-m01", "-1-m4294967296", "-é", "-1-é"] {
            let text = format!("{job}{end}");
            assert_eq!(text.parse::<ExecutionId>(), Err(MalformedId), "{text}");
        }
        assert_eq!("ä".repeat(40).parse::<ExecutionId>(), Err(MalformedId));
    }
}
