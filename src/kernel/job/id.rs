//! Owns the identity of a job: the key inside this store, and the public id that holds it.
//! It must not look anything up: an id alone says which job it names.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use uuid::Uuid;

/// The integer key of a job inside this store. Never reused while anything of the job is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub u64);

/// Keys must fit the 48 bits that a public id has for them.
pub const JOB_KEY_MAX: u64 = (1 << 48) - 1;

/// The public id of a job: a UUID of version 8 (RFC 9562 section 5.8) whose last 48 bits are the job's key and whose
/// other bits are random. So no index is needed to find the job, ids are unique across stores, and the first eight
/// characters, which is what many clients show, tell jobs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Uuid);

impl JobId {
    /// The id of the job with this key; `entropy` makes it unique.
    pub fn new(key: JobKey, entropy: [u8; 10]) -> JobId {
        assert!(key.0 <= JOB_KEY_MAX, "2^48 jobs were created in one store");
        let mut bytes = [0; 16];
        bytes[..10].copy_from_slice(&entropy);
        bytes[10..].copy_from_slice(&key.0.to_be_bytes()[2..]);
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
        bytes[2..].copy_from_slice(&self.0.as_bytes()[10..]);
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

impl JsonSchema for JobId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "JobId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
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
        assert_eq!(text, "abababab-abab-8bab-abab-00000000002a");
        assert_eq!(text.parse(), Ok(job()));
        assert_eq!(job().key(), JobKey(42));
        assert_eq!(JobId::from_bytes(*job().as_bytes()), job());
        for (key, entropy) in [(JOB_KEY_MAX, [0xff; 10]), (0, [0; 10]), (1, [0x12; 10])] {
            assert_eq!(JobId::new(JobKey(key), entropy).key(), JobKey(key));
        }
        assert_ne!(text.get(..8), JobId::new(JobKey(42), [0xac; 10]).to_string().get(..8), "what clients show differs");
    }

    #[test]
    fn anything_else_is_refused() {
        let job = job().to_string();
        for text in ["", "x", "é", &job[1..], &format!("{{{job}}}"), &job.replace('-', "")] {
            assert_eq!(text.parse::<JobId>(), Err(MalformedId), "{text}");
        }
    }
}
