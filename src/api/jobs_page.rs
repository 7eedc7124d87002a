//! Owns a page of jobs: how it is asked for, and how it is made, at once or in pieces.
//! It must not keep jobs between two pieces: each piece shows the jobs as they are when it is made.

use schemars::JsonSchema;

use super::call::Call;
use super::errors::ApiError;
use super::jobs::JobBody;
use super::json::{append, whole};
use super::parameters::PAGE_DEFAULT;
use super::routes::Matched;
use super::stream::{Piece, Stream};
use crate::core::JobView;
use crate::http::{Method, Response, Status};
use crate::job::JobKey;
use crate::limits::{PIECE_JOBS_MAX, PIECE_LEN_MAX};

/// A page of jobs, or what is still to be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobsPage {
    after: Option<JobKey>,
    /// Jobs that may still come; above 0.
    left: usize,
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

/// A page of jobs in order of creation. A long one is made in pieces: whole, it would keep the loop from what is due.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    let after = parameters.number_cursor()?.map(JobKey);
    let page = JobsPage { after, left: parameters.limit(PAGE_DEFAULT)?, begun: false };
    let is_long = page.left > PIECE_JOBS_MAX;
    if matched.request.method == Method::Head && !is_long {
        return Ok(Call::Ready(Response::unmade(Status::OK)));
    }
    Ok(if is_long { Call::Stream(Stream::Jobs(page)) } else { Call::Jobs(page) })
}

impl JobsPage {
    /// The job behind which the next piece begins.
    pub fn after(&self) -> Option<JobKey> {
        self.after
    }

    /// How many jobs to look up for the next piece: one more than it shows, which says that there is more.
    pub fn views_wanted(&self) -> usize {
        self.in_piece() + 1
    }

    fn in_piece(&self) -> usize {
        self.left.min(PIECE_JOBS_MAX)
    }

    /// Makes the next piece of `{"jobs":[...],"nextCursor":...}`, and says what is left to make.
    fn advance(self, views: &[JobView]) -> (Vec<u8>, Option<JobsPage>) {
        let mut out = Vec::new();
        if !self.begun {
            out.extend_from_slice(b"{\"jobs\":[");
        }
        let mut shown = 0;
        for view in views.iter().take(self.in_piece()) {
            // Jobs may carry bodies.
            if shown > 0 && out.len() >= PIECE_LEN_MAX {
                break;
            }
            if self.begun || shown > 0 {
                out.push(b',');
            }
            append(&mut out, &JobBody::from(view));
            shown += 1;
        }
        let (shown, more) = views.split_at(shown);
        let next = if more.is_empty() { None } else { shown.last().map(|view| view.revision.id.key()) };
        let left = self.left - shown.len();
        if next.is_some() && left > 0 {
            return (out, Some(JobsPage { after: next, left, begun: true }));
        }
        out.extend_from_slice(b"],\"nextCursor\":");
        append(&mut out, &next.map(|key| key.0.to_string()));
        out.push(b'}');
        (out, None)
    }
}

/// A page that is one piece; None if its jobs carry so much that it must be made in pieces.
pub fn jobs(page: JobsPage, views: &[JobView]) -> Option<Response> {
    let (bytes, rest) = page.advance(views);
    rest.is_none().then(|| whole(bytes))
}

/// The next piece of a page.
pub fn jobs_piece(page: JobsPage, views: &[JobView]) -> Piece {
    let (bytes, rest) = page.advance(views);
    Piece { bytes, rest: rest.map(Stream::Jobs) }
}
