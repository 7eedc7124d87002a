//! Owns a page of jobs: how it is asked for, and how it is made, in pieces.
//! It must not keep jobs between two pieces: each piece shows the jobs as they are when it is made.
//!
//! Which jobs are on a page is known before it begins: memory is looked through for them in pieces, or a reader finds them
//! by what only the disk has in order. So the head can say where the next page is. Where several nodes share a database a
//! reader finds the jobs themselves, and makes the page as a whole.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;

use super::call::Call;
use super::errors::ApiError;
use super::jobs::JobBody;
use super::json::append;
use super::links::to_next;
use super::matching::Matched;
use super::parameters::{PAGE_DEFAULT, Parameters, Q, SORT, STATE, TAG, TARGET};
use super::stream::{Piece, Stream};
use crate::core::{JobFilter, JobOrder, JobState, JobView, Listing, Place, TargetFilter};
use crate::http::{Method, Response, Status};
use crate::job::{JobKey, TargetUrl};
use crate::limits::{PIECE_JOBS_MAX, PIECE_LEN_MAX};
use crate::store::{FoundJobs, JobSearch, NextJobs, SearchPlace};
use crate::time::Instant;

/// A page of jobs that are known, or what is still to be made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsPage {
    keys: VecDeque<JobKey>,
    next: Option<String>,
    /// Whether pieces were made, each of which has a job.
    begun: bool,
}

/// The shape of the whole, for the description.
#[derive(JsonSchema)]
#[schemars(rename = "Jobs", rename_all = "camelCase")]
#[expect(dead_code, reason = "it is made in pieces")]
pub(super) struct JobsBody {
    jobs: Vec<JobBody>,
    next_cursor: Option<String>,
}

/// A page of jobs.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    let limit = parameters.limit(PAGE_DEFAULT)?;
    let filter = JobFilter { state: state_of(&parameters)?, target: target_of(&parameters)? };
    let (tag, text) = (parameters.text(&TAG)?, parameters.text(&Q)?);
    let sort = parameters.name(&SORT)?.map_or("created", |place| SORTS[place]);
    let searches = tag.is_some() || text.is_some() || sort == "name";
    if sort == "next" && searches {
        let message = "expected created or name where tag or q are given: what is due next only memory knows";
        return Err(ApiError::parameter(SORT.name, message));
    }
    if matched.request.method == Method::Head {
        return Ok(Call::Ready(Response::unmade(Status::OK)));
    }
    if searches {
        let by_name = sort == "name";
        let after = parameters.cursor(|text| search_place(text, by_name))?;
        let search = JobSearch { tag, text: text.map(|text| text.to_lowercase().into()), by_name, after, limit };
        return Ok(Call::Search(search, filter));
    }
    let order = if sort == "next" { JobOrder::Next } else { JobOrder::Created };
    let after = parameters.cursor(|text| place(text, order))?;
    Ok(Call::Jobs(Listing::new(order, filter, after, limit)))
}

/// What jobs may be sorted by.
pub(super) const SORTS: [&str; 3] = ["created", "next", "name"];
/// How a job may stand. The last two overlap with the others.
pub(super) const STATES: [&str; 6] = ["active", "paused", "ended", "held", "failing", "autoPaused"];

fn state_of(parameters: &Parameters) -> Result<Option<JobState>, ApiError> {
    let all =
        [JobState::Active, JobState::Paused, JobState::Ended, JobState::Held, JobState::Failing, JobState::AutoPaused];
    Ok(parameters.name(&STATE)?.map(|place| all[place]))
}

fn target_of(parameters: &Parameters) -> Result<Option<TargetFilter>, ApiError> {
    let Some(text) = parameters.text(&TARGET)? else { return Ok(None) };
    if !text.contains("://") {
        return Ok(Some(TargetFilter::Host(text.to_lowercase().into())));
    }
    let url = TargetUrl::parse(&text).map_err(|why| ApiError::parameter(TARGET.name, why.to_string()))?;
    Ok(Some(TargetFilter::Exactly(url.target())))
}

fn place(text: &str, order: JobOrder) -> Option<Place> {
    let (next, job) = match order {
        JobOrder::Created => (Instant::FIRST, text),
        JobOrder::Next => {
            let (next, job) = text.split_once('.')?;
            (Instant::from_secs(next.parse().ok()?), job)
        }
    };
    Some(Place { next, job: JobKey(job.parse().ok()?) })
}

fn print_place(place: Place, order: JobOrder) -> String {
    match order {
        JobOrder::Created => place.job.0.to_string(),
        JobOrder::Next => format!("{}.{}", place.next.as_secs(), place.job.0),
    }
}

/// Reads what [`print_search_place`] prints.
fn search_place(text: &str, by_name: bool) -> Option<SearchPlace> {
    let (job, name) = text.split_once('.').map_or((text, None), |(job, name)| (job, Some(name)));
    let job = JobKey(job.parse().ok()?);
    let text = |name: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok();
    let name = match name {
        Some(name) => Some(text(name)?.into()),
        None => None,
    };
    (by_name || name.is_none()).then_some(SearchPlace { name, job })
}

fn print_search_place(place: &SearchPlace) -> String {
    let name =
        place.name.as_ref().map(|name| format!(".{}", URL_SAFE_NO_PAD.encode(name.as_bytes()))).unwrap_or_default();
    format!("{}{name}", place.job.0)
}

impl JobsPage {
    /// The page that memory was looked through for.
    pub fn of_listing(listing: Listing) -> JobsPage {
        let order = listing.order();
        let (keys, next) = listing.end();
        JobsPage { keys: keys.into(), next: next.map(|next| print_place(next, order)), begun: false }
    }

    /// The page that a reader found, without those jobs that are not shown after all.
    pub fn of_search(found: &FoundJobs, shown: Vec<JobKey>) -> JobsPage {
        JobsPage { keys: shown.into(), next: found.next.as_ref().map(print_search_place), begun: false }
    }

    /// The head of an answer, or all of it, with where the next page begins.
    pub fn with_next(&self, response: Response) -> Response {
        to_next(response, self.next.as_deref())
    }

    /// The jobs that the next piece is to show.
    pub fn in_piece(&self) -> impl Iterator<Item = JobKey> {
        self.keys.iter().copied().take(PIECE_JOBS_MAX)
    }

    /// Makes the next piece of `{"jobs":[...],"nextCursor":...}`, and says what is left to make. `views` are those of
    /// `in_piece`; None for one that is gone.
    pub fn piece(mut self, views: &[Option<JobView>]) -> Piece {
        let mut out = Vec::new();
        if !self.begun {
            begin(&mut out);
        }
        let mut shown = 0;
        for view in views {
            // Jobs may carry bodies.
            if shown > 0 && out.len() >= PIECE_LEN_MAX {
                break;
            }
            shown += 1;
            let Some(view) = view else { continue };
            add(&mut out, &mut self.begun, view);
        }
        self.keys.drain(..shown);
        if self.keys.is_empty() {
            end(&mut out, self.next.as_deref());
            return Piece { bytes: out, rest: None };
        }
        if !self.begun {
            // All of them were gone: the beginning is not made twice.
            out.clear();
        }
        Piece { bytes: out, rest: Some(Stream::Jobs(Box::new(self))) }
    }
}

/// A page that was made where the jobs were found.
pub(super) fn whole(views: &[JobView], next: Option<NextJobs>) -> Response {
    let next = next.map(|next| match next {
        NextJobs::Listed(order, place) => print_place(place, order),
        NextJobs::Searched(place) => print_search_place(&place),
    });
    let (mut out, mut has_some) = (Vec::new(), false);
    begin(&mut out);
    views.iter().for_each(|view| add(&mut out, &mut has_some, view));
    end(&mut out, next.as_deref());
    to_next(Response::new(Status::OK, out), next.as_deref())
}

fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"jobs\":[");
}

fn add(out: &mut Vec<u8>, has_some: &mut bool, view: &JobView) {
    if std::mem::replace(has_some, true) {
        out.push(b',');
    }
    append(out, &JobBody::from(view));
}

fn end(out: &mut Vec<u8>, next: Option<&str>) {
    out.extend_from_slice(b"],\"nextCursor\":");
    append(out, &next);
    out.push(b'}');
}
