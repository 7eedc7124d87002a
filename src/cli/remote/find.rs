//! Owns finding the job that somebody means: by its id, or by its name.
//! It must not guess: a name is the whole name.

use serde_json::Value;

use super::failure::{Failure, Kind};
use super::server::{Ask, Server, query};
use crate::job::JobId;

/// The id of the job that is called so.
pub(super) fn id_of(server: &Server, job: &str) -> Result<String, Failure> {
    if job.parse::<JobId>().is_ok() {
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
