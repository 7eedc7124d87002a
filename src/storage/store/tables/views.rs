//! Owns jobs as the database has them: single ones, and pages in some order and of some kind. They are shown, and nothing
//! else: their secrets are not opened.
//! It must not know what is finished and in no totals yet: each backend keeps that its own way.

use std::collections::HashMap;
use std::iter::repeat;
use std::sync::Arc;
use std::time::Instant;

use super::rows::{SELECT_JOBS_WHERE, definition_len, read_job};
use super::{calendars, found};
use crate::core::{JobView, Listing, Place, StoredJob, Totals};
use crate::job::{Context, JobKey, JobSpec};
use crate::limits::{PIECE_JOBS_MAX, PIECE_LEN_MAX, READ_TIME_MAX, SHOWN_JOBS_LEN_MAX};
use crate::schedule::{Calendars, Zones};
use crate::store::sql::{Bad, Row, Sql, Value, values};
use crate::store::{FoundJobs, JobsAsked, JobsFound, NextJobs, SearchPlace};
use crate::time::{Instant as Second, WallUs};

/// How many jobs are asked for by their keys in one statement: its text is always the same.
const KEYS_AT_ONCE: usize = 100;

/// What is finished and in no totals yet: of these jobs, or of all.
pub(in crate::store) type Uncounted<'a, E> = &'a dyn Fn(Option<&[JobKey]>) -> Result<HashMap<JobKey, Totals>, E>;

/// The jobs on a page, and the place behind which there is more.
type Page = (Vec<JobKey>, Option<Place>);

/// One state of the database, as jobs are shown from it.
pub(in crate::store) struct Views<'a, S: Sql> {
    pub(in crate::store) sql: &'a S,
    /// The zones that jobs name.
    pub(in crate::store) zones: Option<&'a Zones>,
    pub(in crate::store) uncounted: Uncounted<'a, S::Error>,
    pub(in crate::store) now: WallUs,
}

impl<S: Sql> Views<'_, S> {
    /// The jobs that are asked for.
    pub(in crate::store) fn find(&self, asked: &JobsAsked) -> Result<JobsFound, S::Error> {
        match asked {
            JobsAsked::These(ids) => {
                let keys: Vec<JobKey> = ids.iter().map(|id| id.key()).collect();
                let mut found = self.of(&keys, usize::MAX)?;
                found.retain(|view| ids.contains(&view.revision.id));
                Ok(JobsFound::Some(found))
            }
            JobsAsked::Behind(after) => {
                let keys = self.keys_behind(*after, PIECE_JOBS_MAX)?;
                self.of(&keys, PIECE_LEN_MAX).map(JobsFound::Some)
            }
            JobsAsked::Listed(listing) => self.listed(listing),
            JobsAsked::Searched(search, filter) => {
                let FoundJobs { keys, next } = found::jobs(self.sql, search)?;
                let views = self.of(&keys, SHOWN_JOBS_LEN_MAX)?;
                let place = |view: &JobView| {
                    let name = view.revision.spec.name().filter(|_| search.by_name).map(Box::from);
                    SearchPlace { name, job: view.revision.id.key() }
                };
                let next = views.last().filter(|_| views.len() < keys.len()).map(place).or(next);
                let views = views.into_iter().filter(|view| filter.lets_through(view)).collect();
                Ok(JobsFound::Page { views, next: next.map(NextJobs::Searched) })
            }
        }
    }

    fn listed(&self, listing: &Listing) -> Result<JobsFound, S::Error> {
        let order = listing.order();
        let found = if listing.goes_by_views() { self.walk(listing.clone())? } else { self.note(listing.clone())? };
        let Some((keys, next)) = found else { return Ok(JobsFound::TooMany) };
        let views = self.of(&keys, SHOWN_JOBS_LEN_MAX)?;
        let cut = views.last().filter(|_| views.len() < keys.len()).map(|view| Place::of(view, order));
        Ok(JobsFound::Page { views, next: cut.or(next).map(|place| NextJobs::Listed(order, place)) })
    }

    /// Which jobs are on a page, where it is enough to know which there are.
    fn note(&self, mut listing: Listing) -> Result<Option<Page>, S::Error> {
        for key in self.keys_behind(listing.reached(), listing.limit() + 1)? {
            listing.note(key);
        }
        Ok(Some(listing.end()))
    }

    /// Which jobs are on a page, where each is looked at; None: it would take too long.
    fn walk(&self, mut listing: Listing) -> Result<Option<Page>, S::Error> {
        let until = Instant::now() + READ_TIME_MAX / 2;
        let (calendars, uncounted) = (self.calendars()?, (self.uncounted)(None)?);
        let (mut is_late, mut is_first) = (false, true);
        let from = listing.reached().map_or(0, |job| job.0);
        let find = format!("{SELECT_JOBS_WHERE}id > ?1 ORDER BY id");
        self.sql.walk(&find, values![from], &mut |row| {
            // At least one is looked at, so that the next page is another one.
            is_late = !std::mem::take(&mut is_first) && Instant::now() > until;
            if is_late {
                return Ok(false);
            }
            let mut stored = self.read(row)?;
            follow(&mut stored.revision.spec, &calendars);
            count(&mut stored, &uncounted);
            Ok(!listing.look_at(&stored.view(self.now)))
        })?;
        Ok(if is_late { listing.cut_short() } else { Some(listing.end()) })
    }

    fn keys_behind(&self, after: Option<JobKey>, limit: usize) -> Result<Vec<JobKey>, S::Error> {
        let find = "SELECT id FROM jobs WHERE deleted_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2";
        self.sql.all(find, values![after.map_or(0, |job| job.0), limit as u64], |row| row.get(0).map(JobKey))
    }

    /// The jobs with these keys, in their order, as far as they are there: the first of them whose definitions have so many
    /// bytes, and one at least.
    fn of(&self, keys: &[JobKey], len_max: usize) -> Result<Vec<JobView>, S::Error> {
        let (mut views, mut len) = (Vec::with_capacity(keys.len()), 0);
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let mut found = self.some(keys)?;
            for (definition, view) in keys.iter().filter_map(|key| found.remove(key)) {
                if len >= len_max {
                    return Ok(views);
                }
                len += definition;
                views.push(view);
            }
        }
        Ok(views)
    }

    /// As many jobs as one statement finds, each with the length of its definition.
    fn some(&self, keys: &[JobKey]) -> Result<HashMap<JobKey, (usize, JobView)>, S::Error> {
        let Some(&last) = keys.last() else { return Ok(HashMap::new()) };
        let places = if keys.len() == 1 { 1 } else { KEYS_AT_ONCE };
        let numbers: Vec<String> = (1..=places).map(|number| format!("?{number}")).collect();
        let find = format!("{SELECT_JOBS_WHERE}id IN ({})", numbers.join(", "));
        let keys_and_more = keys.iter().copied().chain(repeat(last)).take(places);
        let values: Vec<Value<'_>> = keys_and_more.map(|key| key.0.into()).collect();
        let mut found = self.sql.all(&find, &values, |row| Ok((definition_len(row)?, self.read(row)?)))?;
        let uncounted = (self.uncounted)(Some(keys))?;
        if found.iter().any(|(_, job)| job.revision.spec.schedule.calendars().next().is_some()) {
            let calendars = self.calendars()?;
            found.iter_mut().for_each(|(_, job)| follow(&mut job.revision.spec, &calendars));
        }
        let shown = found.into_iter().map(|(len, mut job)| {
            count(&mut job, &uncounted);
            (job.revision.id.key(), (len, job.view(self.now)))
        });
        Ok(shown.collect())
    }
}

impl<S: Sql> Views<'_, S> {
    /// A job whose calendars have no dates yet.
    fn read(&self, row: &Row<'_>) -> Result<StoredJob, Bad> {
        read_job(row, &Context { zones: self.zones, ..Context::at(Second::FIRST) }, None)
    }

    fn calendars(&self) -> Result<Calendars, S::Error> {
        let mut all = Calendars::default();
        for change in calendars::read_all(self.sql)? {
            if let Some(dates) = change.dates {
                // They were within the bounds when they were written.
                drop(all.insert(&change.name, dates));
            }
        }
        Ok(all)
    }
}

/// A job follows its calendars.
fn follow(spec: &mut JobSpec, calendars: &Calendars) {
    if spec.schedule.calendars().next().is_some() {
        spec.schedule = Arc::new(spec.schedule.with_calendars(calendars));
    }
}

/// What is finished and in no totals yet counts, too.
fn count(job: &mut StoredJob, uncounted: &HashMap<JobKey, Totals>) {
    if let Some(recent) = uncounted.get(&job.revision.id.key()) {
        job.totals.merge(recent);
    }
}
