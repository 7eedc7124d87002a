//! Owns finding jobs on disk: by tag, by what their name, URL or owner contains, and in the order of their names.
//! It must not know how a job stands: memory does.

use std::time::Instant;

use rusqlite::{Connection, params};

use super::rows;
use crate::job::JobKey;
use crate::limits::READ_TIME_MAX;
use crate::store::{FoundJobs, JobSearch, SearchPlace};

/// What of a job is looked at.
const COLUMNS: &str = "id, name, api, definition ->> '$.owner'";

/// A page of jobs that are like what is searched for.
pub(super) fn jobs(connection: &Connection, search: &JobSearch) -> rusqlite::Result<FoundJobs> {
    let until = Instant::now() + READ_TIME_MAX / 2;
    let mut walk = Walk { connection, search, keys: Vec::new(), until };
    let from = search.after.clone().unwrap_or(SearchPlace { name: search.by_name.then(|| "".into()), job: JobKey(0) });
    if let Some(name) = &from.name
        && let Some(next) = walk.named(name, from.job)?
    {
        return Ok(FoundJobs { keys: walk.keys, next: Some(next) });
    }
    let after = if from.name.is_some() { JobKey(0) } else { from.job };
    let next = walk.by_key(after)?;
    Ok(FoundJobs { keys: walk.keys, next })
}

struct Walk<'a> {
    connection: &'a Connection,
    search: &'a JobSearch,
    keys: Vec<JobKey>,
    /// After this moment a walk that finds nothing ends.
    until: Instant,
}

impl Walk<'_> {
    /// Jobs with a name, in the order of their names. Where it goes on, if there is more.
    fn named(&mut self, name: &str, job: JobKey) -> rusqlite::Result<Option<SearchPlace>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE name IS NOT NULL AND deleted_at IS NULL AND (name, id) > (?1, ?2) \
             ORDER BY name, id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query(params![name, rows::integer(job.0)])?;
        self.walk(rows)
    }

    /// Jobs in order of creation; if they are sorted by name, those without one.
    fn by_key(&mut self, after: JobKey) -> rusqlite::Result<Option<SearchPlace>> {
        let unnamed = if self.search.by_name { "name IS NULL AND" } else { "" };
        let of_tag = if self.search.tag.is_some() {
            "id IN (SELECT job_id FROM job_tags WHERE tag = ?2) AND"
        } else {
            "?2 IS NULL AND"
        };
        let sql =
            format!("SELECT {COLUMNS} FROM jobs WHERE {unnamed} {of_tag} deleted_at IS NULL AND id > ?1 ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query(params![rows::integer(after.0), self.search.tag])?;
        self.walk(rows)
    }

    fn walk(&mut self, mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Option<SearchPlace>> {
        let mut last: Option<SearchPlace> = None;
        while let Some(row) = rows.next()? {
            if self.keys.len() >= self.search.limit || Instant::now() > self.until {
                // At least one was looked at, so that the next page is another one.
                if last.is_some() {
                    return Ok(last);
                }
            }
            let job = JobKey(rows::unsigned(row, 0)?);
            let name: Option<String> = row.get(1)?;
            if self.is_found(row, job, name.as_deref())? {
                self.keys.push(job);
            }
            let name = name.filter(|_| self.search.by_name).map(String::into_boxed_str);
            last = Some(SearchPlace { name, job });
        }
        Ok(None)
    }

    fn is_found(&self, row: &rusqlite::Row<'_>, job: JobKey, name: Option<&str>) -> rusqlite::Result<bool> {
        if let Some(tag) = self.search.tag.as_deref().filter(|_| self.search.by_name) {
            let mut has = self.connection.prepare_cached("SELECT 1 FROM job_tags WHERE job_id = ?1 AND tag = ?2")?;
            if !has.exists(params![rows::integer(job.0), tag])? {
                return Ok(false);
            }
        }
        let Some(text) = self.search.text.as_deref() else { return Ok(true) };
        let contains = |value: Option<&str>| value.is_some_and(|value| value.to_lowercase().contains(text));
        let (api, owner): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        Ok(contains(name) || contains(api.as_deref()) || contains(owner.as_deref()))
    }
}

/// Keeps a job's tags as they are now.
pub(super) fn put_tags(
    connection: &Connection,
    job: JobKey,
    tags: &[Box<str>],
    may_have: bool,
) -> rusqlite::Result<()> {
    let key = rows::integer(job.0);
    if may_have {
        connection.prepare_cached("DELETE FROM job_tags WHERE job_id = ?1")?.execute([key])?;
    }
    for tag in tags {
        connection.prepare_cached("INSERT INTO job_tags (job_id, tag) VALUES (?1, ?2)")?.execute(params![key, tag])?;
    }
    Ok(())
}
