//! Owns what clients, targets and those who are told of failures saw of a server until some moment, and the judgement that
//! all of it is on disk.
//! It must not judge a server by what it says of itself: only what came out of its sockets counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use punctual::core::{ExecutionId, IncidentId, Status};
use punctual::job::JobId;
use punctual::vault::Vault;

use super::DATABASE;
use super::content::Served;

/// What was seen until some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Of each job what it may send; None: it may be deleted.
    jobs: BTreeMap<JobId, BTreeSet<Option<String>>>,
    /// Jobs that send one after the other, some of which fail.
    turning: BTreeSet<JobId>,
    /// Of each execution the newest attempt that came.
    posts: BTreeMap<ExecutionId, u32>,
    /// Executions of which it was told that they failed.
    alerts: BTreeSet<ExecutionId>,
    /// Of each incident the number of the newest message that came, and whether one said that it is over.
    told: BTreeMap<IncidentId, (u32, bool)>,
}

/// How much there was to be seen.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) jobs: usize,
    pub(crate) secrets: usize,
    pub(crate) posts: usize,
    pub(crate) retries: usize,
    pub(crate) alerts: usize,
    pub(crate) opened: usize,
    pub(crate) closed: usize,
}

impl Seen {
    pub(crate) fn hear(&mut self, what: &str) {
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        let execution = |text: &str| text.parse::<ExecutionId>().expect("it is the id of an execution");
        let job = |text: &str| text.parse::<JobId>().expect("it is the id of a job");
        match verb {
            "posted" => {
                let (id, attempt) = rest.split_once(' ').expect("an id and a number");
                let newest = self.posts.entry(execution(id)).or_default();
                *newest = (*newest).max(attempt.parse().expect("a number"));
            }
            "alerted" => drop(self.alerts.insert(execution(rest))),
            "turning" => drop(self.turning.insert(job(rest))),
            // A digest says of each of its messages that it came.
            "incident.opened" | "incident.reminded" | "incident.closed" | "incident.digest" => {
                let mut parts = rest.split('.').map(|part| part.parse::<u64>());
                let mut number = || parts.next().and_then(Result::ok).expect("a number");
                let (id, number) = (IncidentId(number()), number());
                let (newest, is_over) = self.told.entry(id).or_default();
                *newest = (*newest).max(u32::try_from(number).expect("there are few"));
                *is_over |= verb == "incident.closed";
            }
            _ => {
                let Some((id, sent)) = rest.split_once(' ') else { return };
                let may_be = self.jobs.entry(job(id)).or_default();
                match verb {
                    "created" | "changed" => *may_be = [Some(sent.to_owned())].into(),
                    "changing" => drop(may_be.insert(Some(sent.to_owned()))),
                    "deleting" => drop(may_be.insert(None)),
                    "deleted" => *may_be = [None].into(),
                    other => panic!("nobody says {other}"),
                }
            }
        }
    }

    /// Whether all of it is on disk. The key that opens the secrets is in this file.
    pub(crate) fn judge(&self, folder: &Path, key: &Path) -> Result<(), String> {
        let vault = Vault::open_file(key).map_err(|why| why.to_string())?;
        let served = Served::open(&folder.join(DATABASE), vault)?;
        for (id, may_be) in &self.jobs {
            let found = served.jobs.get(id);
            if !may_be.contains(&found.cloned()) {
                return Err(format!("{id} was acknowledged as {may_be:?} and is {found:?}"));
            }
        }
        for (&id, &attempt) in &self.posts {
            let known = served.record(id).map(|record| record.attempt);
            if known.is_none_or(|known| known < attempt) {
                return Err(format!("attempt {attempt} of {id} came, and {known:?} is on disk"));
            }
        }
        for &id in &self.alerts {
            let status = served.record(id).map(|record| record.status);
            if status != Some(Status::Failed) {
                return Err(format!("it was told that {id} failed, and it is {status:?}"));
            }
        }
        for (&id, &(number, is_over)) in &self.told {
            let found = served.incident(id).map(|incident| (incident.messages, incident.closed.is_some()));
            if found.is_none_or(|(messages, closed)| messages < number || (is_over && !closed)) {
                return Err(format!("message {number} of incident {id} came (over: {is_over}), and it is {found:?}"));
            }
        }
        for &id in &self.turning {
            let (fails, is_told) = served.fails(id);
            if fails != is_told {
                return Err(format!("{id} failed last: {fails}; an incident of that is open: {is_told}"));
            }
        }
        Ok(())
    }

    pub(crate) fn counts(&self) -> Counts {
        let secrets = self.jobs.values().flatten().flatten().filter(|sent| !sent.ends_with(" -")).count();
        Counts {
            jobs: self.jobs.len(),
            secrets,
            posts: self.posts.len(),
            retries: self.posts.values().filter(|&&attempt| attempt > 1).count(),
            alerts: self.alerts.len(),
            opened: self.told.len(),
            closed: self.told.values().filter(|(_, is_over)| *is_over).count(),
        }
    }
}
