//! Owns the way from what a reader found to the resource that prints it.
//! It must not print anything itself.

use super::errors::ApiError;
use super::{alerts, audit, executions, jobs_page, series, strips};
use crate::access::Token;
use crate::core::{Incident, JobView, Placing};
use crate::http::{Body, Response, Status};
use crate::job::JobId;
use crate::store::{Answer, ExecutionRecord, FoundJobs, IncidentPage, JobsFound, ReadError, SentMessage, StoredAnswer};
use crate::time::Instant;

/// What becomes of what a reader found.
#[derive(Debug)]
pub enum Found {
    /// It is the answer to a request.
    Response(Response),
    /// What was answered under a key, and the digest of the request that was answered.
    Key(Option<([u8; 32], Response)>),
    /// The version of the tokens, and all of them; None: they have not changed.
    Tokens(Option<(u64, Vec<Token>)>),
    /// A job that keeps a change from being made.
    InTheWay(Option<JobId>),
    /// Jobs that are like what was searched for.
    Jobs(FoundJobs),
    /// Jobs as the database has them.
    Views(Vec<JobView>),
    /// Where jobs are.
    Placing(Box<Placing>),
    /// Executions that are to be done again, newest first.
    Executions(Vec<ExecutionRecord>),
    /// What there is of a second of a job.
    Why(JobId, Instant, Vec<ExecutionRecord>),
    /// Incidents.
    Incidents(IncidentPage),
    /// One incident with its messages; None: there is no such one.
    Incident(Option<Box<(Incident, Vec<SentMessage>)>>),
    /// An execution, which may be what a request is to go on with; None: there is no such one.
    Execution(Option<Box<ExecutionRecord>>),
}

/// A response as it is kept under a key. It must be whole.
pub fn stored(response: &Response) -> StoredAnswer {
    let Body::Whole(body) = &response.body else { unreachable!("what a change is answered is no stream") };
    let headers = response.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_owned()));
    StoredAnswer { status: response.status.code(), headers: headers.collect(), body: body.clone() }
}

/// The same response once more.
fn again(answer: StoredAnswer) -> Response {
    let StoredAnswer { status, headers, body } = answer;
    let known = [Status::OK, Status::CREATED, Status::ACCEPTED];
    let status = known.into_iter().find(|known| known.code() == status).unwrap_or(Status::OK);
    let mut response = Response::new(status, body);
    for (name, value) in headers {
        // What a change may be answered with; anything else stays away.
        if let Some(name) = ["ETag", "Location"].into_iter().find(|known| *known == name) {
            response = response.with_header(name, value);
        }
    }
    response
}

/// What a reader found.
pub fn answer(answer: Result<Answer, ReadError>) -> Found {
    Found::Response(match answer {
        Ok(Answer::Incidents(page)) => return Found::Incidents(page),
        Ok(Answer::Incident(found)) => return Found::Incident(found),
        Ok(Answer::One(found)) => return Found::Execution(found),
        Ok(Answer::ToReplay(found)) => return Found::Executions(found),
        Ok(Answer::InTheWay(job)) => return Found::InTheWay(job),
        Ok(Answer::Jobs(found)) => return Found::Jobs(found),
        Ok(Answer::Views(JobsFound::Some(views))) => return Found::Views(views),
        Ok(Answer::Views(JobsFound::Page { views, next })) => jobs_page::whole(&views, next),
        Ok(Answer::Views(JobsFound::TooMany)) => ApiError::too_many_to_order().response(),
        Ok(Answer::Placing(found)) => return Found::Placing(found),
        Ok(Answer::Why(job, at, found)) => return Found::Why(job, at, found),
        Ok(Answer::Key(found)) => return Found::Key(found.map(|(digest, answer)| (digest, again(answer)))),
        Ok(Answer::Tokens(found)) => return Found::Tokens(found),
        Ok(Answer::Audit(page)) => audit::page(page),
        Ok(Answer::OfJob(job, page)) => executions::page(Some(job), page),
        Ok(Answer::OfAll(page)) => executions::page(None, page),
        Ok(Answer::Strips(found)) => strips::strips(found),
        Ok(Answer::Alerts(page)) => alerts::page(page),
        // No route asks for them yet.
        Ok(Answer::Series(job, found)) => series::series(job, found),
        Ok(Answer::NoSuchJob) => ApiError::no_such_job().response(),
        Err(error) => ApiError::from(error).response(),
    })
}
