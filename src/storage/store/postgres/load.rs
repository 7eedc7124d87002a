//! Owns reading the store: what every node must know, and what is in some shards: jobs with their totals, and what is to be
//! told of them.
//! It must not judge what it finds: the core does.

use std::collections::{BTreeSet, HashMap};

use super::counts::{self, Whose};
use super::open::OpenError;
use super::session::Session;
use super::taking::Claim;
use crate::core::{Incident, NodeId, Restored, Shard, Shards, StoredJob, Subject};
use crate::job::{Compiled, Context, JobKey};
use crate::postgres::Error;
use crate::store::sharing::SharedEvent;
use crate::store::sql::{Row, Sql, bad, integer};
use crate::store::tables::rows::{SELECT_JOBS_WHERE, read_job};
use crate::store::tables::secrets::{self, Found, Unopened};
use crate::store::tables::{alerts, calendars, deliveries, incidents, settings, tokens};
use crate::store::{Loaded, SharedConfig, StoredAlert, Taken, UndeliveredMessage};
use crate::time::WallUs;
use crate::vault::Vault;

/// Which jobs are in some shards.
const IN_SHARDS: &str = "shard = ANY ($1)";

/// What was heard of messages whose own rows are not there: of jobs in some shards, and perhaps of what is not known at all.
const FORGET_UNWRITTEN: &str = "DELETE FROM messages m WHERE event IS NULL AND (EXISTS (SELECT 1 FROM incidents i \
     JOIN jobs j ON j.id = i.job_id WHERE i.id = m.incident AND j.shard = ANY ($1)) \
     OR ($2 AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.id = m.incident)))";

/// Why what is there was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It may be another time.
    Now(String),
    /// Not by this server: secrets were sealed with a key that it does not have.
    Here(String),
}

impl Unread {
    /// What the loop hears if this node could not read what it takes over.
    pub(super) fn told(self, node: NodeId) -> SharedEvent {
        match self {
            Unread::Now(why) => SharedEvent::Unread(node, why),
            Unread::Here(why) => SharedEvent::Unfit(why),
        }
    }
}

impl From<Error> for Unread {
    fn from(why: Error) -> Unread {
        Unread::Now(why.to_string())
    }
}

impl From<Unopened<Error>> for Unread {
    fn from(why: Unopened<Error>) -> Unread {
        match why {
            Unopened::Unread(why) => why.into(),
            Unopened::Sealed => Unread::Here(OpenError::Sealed.to_string()),
            Unopened::OtherKey => Unread::Here(OpenError::OtherKey.to_string()),
            Unopened::Damaged(why) => Unread::Now(why),
        }
    }
}

/// Reads what every node must know. `node` is who reads: the numbers of its rows begin above those of all before.
pub(super) fn common(session: &Session<'_>, node: i64, secrets: &Found) -> Result<Loaded, Error> {
    let jobs = "SELECT count(*) FROM jobs WHERE deleted_at IS NULL";
    let SharedConfig { version: _, calendars, settings, channels } = config(session, secrets)?;
    Ok(Loaded {
        restored: Restored { newest: None, ..above_all(session, node)? },
        alerts: Vec::new(),
        calendars,
        settings,
        channels,
        incidents: Vec::new(),
        messages: Vec::new(),
        tokens: (tokens::version(session)?, tokens::read_all(session)?),
        jobs: session.first(jobs, &[], |row| row.get::<u32>(0))?.unwrap_or_default() as usize,
    })
}

/// Reads what clients say of all jobs.
pub(super) fn config(session: &Session<'_>, secrets: &Found) -> Result<SharedConfig, Error> {
    Ok(SharedConfig {
        version: config_version(session)?,
        calendars: calendars::read_all(session)?,
        settings: settings::read_all(session, secrets)?,
        channels: settings::read_health(session)?,
    })
}

/// Goes up with each change of it.
pub(super) fn config_version<S: Sql>(sql: &S) -> Result<u64, S::Error> {
    let find = "SELECT value FROM config_version";
    Ok(sql.first(find, &[], |row| row.get(0))?.unwrap_or_default())
}

/// Opens the secrets of the jobs in some shards.
pub(super) fn secrets_in(
    session: &Session<'_>,
    shards: &Shards,
    vault: Option<&Vault>,
) -> Result<Found, Unopened<Error>> {
    let shards: Vec<String> = numbers(shards).iter().map(i16::to_string).collect();
    if shards.is_empty() {
        return Ok(Found::default());
    }
    secrets::open_of_jobs(session, vault, &format!("shard IN ({})", shards.join(",")))
}

/// Reads what was taken over with these shards. Jobs are handed on as they come, each read with `context` and its own anchor.
pub(super) fn taken(
    session: &Session<'_>,
    node: i64,
    claim: &Claim,
    secrets: &Found,
    context: &Context<'_>,
    job: &mut dyn FnMut(StoredJob),
) -> Result<Taken, Error> {
    let Claim { new, epochs, rows } = claim.clone();
    if new.is_empty() {
        let restored = Restored { shards: new, epochs, next_seq: 1, next_job: 1, next_incident: 1, newest: None };
        return Ok(Taken { rows, restored, incidents: Vec::new(), alerts: Vec::new(), messages: Vec::new() });
    }
    let compiled = Compiled::default();
    let context = &Context { compiled: Some(&compiled), ..*context };
    let newest = jobs(session, &new, secrets, context, job)?;
    // Of messages whose rows never came, as who sent them ended in between, nobody knows any more.
    session.query(FORGET_UNWRITTEN, &[&numbers(&new), &new.contains(Shard(0))])?;
    let restored = Restored { shards: new, epochs, newest, ..above_all(session, node)? };
    let told = Told::read(session, &new)?;
    let (incidents, alerts, messages) = (told.incidents, told.alerts, told.messages);
    Ok(Taken { rows, restored, incidents, alerts, messages })
}

/// Reads the jobs of shards. The newest time among them.
fn jobs(
    session: &Session<'_>,
    shards: &Shards,
    secrets: &Found,
    context: &Context<'_>,
    job: &mut dyn FnMut(StoredJob),
) -> Result<Option<WallUs>, Error> {
    let mut recent = counts::uncounted_totals(session, Whose::InShards(shards))?;
    let (shards, mut newest) = (numbers(shards), None);
    session.flush()?;
    let find = format!("{SELECT_JOBS_WHERE} {IN_SHARDS} ORDER BY id");
    session.each_of(&find, &[&shards], &mut |found: &Row<'_>| {
        let StoredJob { revision, mut totals } = read_job(found, context, Some(secrets))?;
        if let Some(recent) = recent.remove(&revision.id.key()) {
            totals.merge(&recent);
        }
        let finished = totals.finished_through.map(|(_, through)| WallUs::of(through));
        newest = newest.max(Some(revision.updated_at)).max(finished);
        job(StoredJob { revision, totals });
        Ok(())
    })?;
    Ok(newest)
}

fn numbers(shards: &Shards) -> Vec<i16> {
    shards.iter().map(|shard| i16::from(shard.0)).collect()
}

/// What nothing new may be called.
fn above_all(session: &Session<'_>, node: i64) -> Result<Restored, Error> {
    let max = |find: &str| session.first(find, &[], |row| row.get::<Option<i64>>(0)).map(Option::flatten);
    let key = max("SELECT greatest((SELECT max(id) FROM jobs), (SELECT value FROM marks WHERE name = 'job'))")?;
    let incident = max("SELECT max(id) FROM incidents")?;
    let above = |highest: Option<i64>| highest.unwrap_or(0).unsigned_abs() + 1;
    Ok(Restored {
        shards: Shards::NONE,
        epochs: Vec::new(),
        next_seq: first_seq(node),
        next_job: above(key),
        next_incident: above(incident),
        newest: None,
    })
}

/// The first number that a node gives to a row: each has a range of its own, so that no two give the same.
fn first_seq(node: i64) -> u64 {
    const NODE_BITS: u32 = 40;
    (node.unsigned_abs() << NODE_BITS) + 1
}

/// What is to be told, or was, of jobs in some shards; what is no job's belongs to the first shard.
struct Told {
    incidents: Vec<Incident>,
    alerts: Vec<StoredAlert>,
    messages: Vec<UndeliveredMessage>,
}

impl Told {
    fn read(session: &Session<'_>, shards: &Shards) -> Result<Told, Error> {
        let (incidents, alerts) = (incidents::open(session)?, alerts::undelivered(session)?);
        let messages = deliveries::undelivered(session)?;
        let told = messages.iter().map(|left| &*left.message.incident);
        let of_incidents = incidents.iter().chain(told).filter_map(|incident| match &incident.subject {
            Subject::Job(job) => Some(job.key()),
            Subject::Target(_) | Subject::Server => None,
        });
        let keys = of_incidents.chain(alerts.iter().map(|alert| alert.job.key()));
        let homes = homes(session, keys.collect())?;
        let noticed =
            "SELECT i.id FROM incidents i JOIN nodes n ON n.id = i.node WHERE NOT n.dead AND i.job_id IS NULL";
        let of_others: Vec<u64> = session.all(noticed, &[], |row| row.get(0))?;
        // Of a job that is long gone only its key is known.
        let has = |job: JobKey| shards.contains(homes.get(&job).copied().unwrap_or(Shard::of_key(job)));
        let is_here = |incident: &Incident| match &incident.subject {
            Subject::Job(job) => has(job.key()),
            // Who noticed it goes on with it while he lives.
            Subject::Target(_) | Subject::Server => shards.contains(Shard(0)) && !of_others.contains(&incident.id.0),
        };
        Ok(Told {
            incidents: incidents.into_iter().filter(&is_here).collect(),
            alerts: alerts.into_iter().filter(|alert| has(alert.job.key())).collect(),
            messages: messages.into_iter().filter(|left| is_here(&left.message.incident)).collect(),
        })
    }
}

/// In which shards jobs are, as far as they are known.
fn homes(session: &Session<'_>, jobs: BTreeSet<JobKey>) -> Result<HashMap<JobKey, Shard>, Error> {
    let keys: Vec<i64> = jobs.iter().map(|job| integer(job.0)).collect();
    let mut homes = HashMap::new();
    session.each_of("SELECT id, shard FROM jobs WHERE id = ANY ($1)", &[&keys], &mut |row: &Row<'_>| {
        let shard = u8::try_from(row.get::<u16>(1)?).map_err(|_| bad(1, "there are 256 shards"))?;
        homes.insert(JobKey(row.get(0)?), Shard(shard));
        Ok(())
    })?;
    Ok(homes)
}
