//! Owns finding jobs on disk: by tag, by what their name, URL or owner contains, in the order of their names, and those that
//! keep something from being changed.
//! It must not know how a job stands: memory does.

use std::time::Instant;

use crate::job::{JobId, JobKey};
use crate::limits::READ_TIME_MAX;
use crate::store::sql::{Bad, Row, Sql, Value, bad, values};
use crate::store::{FoundJobs, JobSearch, Obstacle, SearchPlace};

/// What of a job is looked at; last, whether it has a tag.
const COLUMNS: &str = "id, name, api, definition ->> 'owner', CAST(?3 AS TEXT) IS NULL OR \
     EXISTS (SELECT 1 FROM job_tags t WHERE t.job_id = jobs.id AND t.tag = ?3)";

/// A page of jobs that are like what is searched for.
pub(in crate::store) fn jobs<S: Sql>(sql: &S, search: &JobSearch) -> Result<FoundJobs, S::Error> {
    let until = Instant::now() + READ_TIME_MAX / 2;
    let mut walk = Walk { sql, search, keys: Vec::new(), until };
    let from = search.after.clone().unwrap_or(SearchPlace { name: search.by_name.then(|| "".into()), job: JobKey(0) });
    if let Some(name) = &from.name
        && let Some(next) = walk.named(name, from.job)?
    {
        return Ok(FoundJobs { keys: walk.keys, next: Some(next) });
    }
    let after = if from.name.is_some() { JobKey(0) } else { from.job };
    // Of those without a name not one more than a page may have.
    let begun = (walk.keys.len() >= search.limit).then_some(SearchPlace { name: None, job: after });
    let next = walk.by_key(after, begun)?;
    Ok(FoundJobs { keys: walk.keys, next })
}

struct Walk<'a, S> {
    sql: &'a S,
    search: &'a JobSearch,
    keys: Vec<JobKey>,
    /// After this moment a walk that finds nothing ends.
    until: Instant,
}

impl<S: Sql> Walk<'_, S> {
    /// Jobs with a name, in the order of their names. Where it goes on, if there is more.
    fn named(&mut self, name: &str, job: JobKey) -> Result<Option<SearchPlace>, S::Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE name IS NOT NULL AND deleted_at IS NULL AND (name, id) > (?1, ?2) \
             ORDER BY name, id"
        );
        self.walk(&sql, values![name, job.0, self.search.tag.as_deref()], None)
    }

    /// Jobs in order of creation; if they are sorted by name, those without one.
    fn by_key(&mut self, after: JobKey, begun: Option<SearchPlace>) -> Result<Option<SearchPlace>, S::Error> {
        let unnamed = if self.search.by_name { "name IS NULL AND" } else { "" };
        // In the order of their names most are looked at anyway.
        let of_tag = if self.search.tag.is_some() && !self.search.by_name {
            "id IN (SELECT job_id FROM job_tags WHERE tag = ?2) AND"
        } else {
            "CAST(?2 AS TEXT) IS NULL AND"
        };
        let sql =
            format!("SELECT {COLUMNS} FROM jobs WHERE {unnamed} {of_tag} deleted_at IS NULL AND id > ?1 ORDER BY id");
        let tag = self.search.tag.as_deref();
        self.walk(
            &sql,
            values![after.0, tag.filter(|_| !self.search.by_name), tag.filter(|_| self.search.by_name)],
            begun,
        )
    }

    /// Where it goes on behind what was looked at last, if there is more; `last`: what that is so far.
    fn walk(
        &mut self,
        text: &str,
        values: &[Value<'_>],
        mut last: Option<SearchPlace>,
    ) -> Result<Option<SearchPlace>, S::Error> {
        let (sql, mut is_over) = (self.sql, true);
        sql.walk(text, values, &mut |row| {
            // At least one was looked at, so that the next page is another one.
            if last.is_some() && (self.keys.len() >= self.search.limit || Instant::now() > self.until) {
                is_over = false;
                return Ok(false);
            }
            let job = JobKey(row.get(0)?);
            let name: Option<String> = row.get(1)?;
            if self.is_found(row, name.as_deref())? {
                self.keys.push(job);
            }
            let name = name.filter(|_| self.search.by_name).map(String::into_boxed_str);
            last = Some(SearchPlace { name, job });
            Ok(true)
        })?;
        Ok(last.filter(|_| !is_over))
    }

    fn is_found(&self, row: &Row<'_>, name: Option<&str>) -> Result<bool, Bad> {
        if !row.get::<bool>(4)? {
            return Ok(false);
        }
        let Some(text) = self.search.text.as_deref() else { return Ok(true) };
        let contains = |value: Option<&str>| value.is_some_and(|value| value.to_lowercase().contains(text));
        Ok(contains(name) || contains(row.text_or_null(2)?) || contains(row.text_or_null(3)?))
    }
}

/// A job that keeps a change from being made, if one does.
pub(in crate::store) fn in_the_way<S: Sql>(sql: &S, obstacle: &Obstacle) -> Result<Option<JobId>, S::Error> {
    let (name, member) = match obstacle {
        Obstacle::Named(name) => {
            let find = "SELECT public_id FROM jobs WHERE name = ?1 AND deleted_at IS NULL ORDER BY id";
            return sql.first(find, values![&**name], |row| row.get(0).map(JobId::from_bytes));
        }
        Obstacle::Follows(calendar) => (calendar, "definition ->> 'excludeCalendars'"),
        Obstacle::TellsOver(channel) => (channel, "definition -> 'alerts' ->> 'channels'"),
    };
    let find =
        format!("SELECT public_id, {member} FROM jobs WHERE deleted_at IS NULL AND {member} IS NOT NULL ORDER BY id");
    let mut found = None;
    sql.walk(&find, &[], &mut |row| {
        let names: Vec<String> = serde_json::from_str(row.text(1)?).map_err(|why| bad(1, &why.to_string()))?;
        if names.iter().any(|other| **other == **name) {
            found = Some(row.get(0).map(JobId::from_bytes)?);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// Keeps a job's tags as they are now.
pub(in crate::store) fn put_tags<S: Sql>(
    sql: &S,
    job: JobKey,
    tags: &[Box<str>],
    may_have: bool,
) -> Result<(), S::Error> {
    if may_have {
        sql.run("DELETE FROM job_tags WHERE job_id = ?1", values![job.0])?;
    }
    tags.iter()
        .try_for_each(|tag| sql.run("INSERT INTO job_tags (job_id, tag) VALUES (?1, ?2)", values![job.0, &**tag]))
}
