//! Owns finding the job that somebody means, by its id or by its name, and what jobs are called.
//! It must not guess: a name is the whole name.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::failure::{Failure, Kind};
use super::server::{Ask, Server, query};
use super::shown::clean;

use uuid::Uuid;

/// The id of the job that is called so.
pub(crate) fn id_of(server: &Server, job: &str) -> Result<String, Failure> {
    if Uuid::try_parse(job).is_ok() {
        return Ok(job.to_owned());
    }
    Ok(named(server, job)?["jobId"].as_str().unwrap_or_default().to_owned())
}

/// The job with this name. The API searches for parts of names, so those that only contain it are passed over.
fn named(server: &Server, name: &str) -> Result<Value, Failure> {
    let mut cursor: Option<String> = None;
    loop {
        let path =
            query(&[("q", Some(name)), ("sort", Some("name")), ("limit", Some("1000")), ("cursor", cursor.as_deref())]);
        let mut page = server.ask(Ask::get(format!("/api/jobs{path}")))?.json()?;
        if let Some(found) =
            page["jobs"].as_array_mut().and_then(|jobs| jobs.iter_mut().find(|job| job["name"] == name))
        {
            return Ok(found.take());
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Err(Failure::new(Kind::NotFound, format!("no job has the id or the name {name:?}")));
        }
    }
}

/// How many jobs are asked for at once.
const TOGETHER_MAX: usize = 100;
/// Beyond so many, all are forgotten: whoever follows executions may do so for weeks.
const KNOWN_MAX: usize = 10_000;

/// What jobs are called, as far as it was asked for.
pub(crate) struct Names<'a> {
    server: &'a Server,
    known: HashMap<String, String>,
}

impl Names<'_> {
    pub(crate) fn new(server: &Server) -> Names<'_> {
        Names { server, known: HashMap::new() }
    }

    /// Asks what these jobs are called, unless that is known.
    pub(crate) fn learn<'a>(&mut self, ids: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
        let unknown: HashSet<&str> = ids.filter(|id| !self.known.contains_key(*id)).collect();
        let unknown: Vec<&str> = unknown.into_iter().collect();
        if self.known.len() + unknown.len() > KNOWN_MAX {
            self.known.clear();
        }
        for some in unknown.chunks(TOGETHER_MAX) {
            let path = query(&[("jobId", Some(&some.join(","))), ("limit", Some("1"))]);
            let told = self.server.ask(Ask::get(format!("/api/strips{path}")))?.json()?;
            for job in told["strips"].as_array().into_iter().flatten() {
                let id = job["jobId"].as_str().unwrap_or_default();
                // The name, as it is, may be a command of a terminal.
                let name = job["name"].as_str().map_or_else(|| id.to_owned(), clean);
                self.known.insert(id.to_owned(), name);
            }
        }
        Ok(())
    }

    /// What this job is called: by its name, or by its id.
    pub(crate) fn of(&self, id: &str) -> String {
        self.known.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }
}
