//! Owns the way from what a reader found to the resource that prints it.
//! It must not print anything itself.

use super::errors::ApiError;
use super::{alerts, executions};
use crate::http::Response;
use crate::store::{Answer, ExecutionRecord, ReadError};

/// What becomes of what a reader found.
#[derive(Debug)]
pub enum Found {
    /// It is the answer to a request.
    Response(Response),
    /// An execution, which may be what a request is to go on with; None: there is no such one.
    Execution(Option<Box<ExecutionRecord>>),
}

/// What a reader found.
pub fn answer(answer: Result<Answer, ReadError>) -> Found {
    Found::Response(match answer {
        Ok(Answer::One(found)) => return Found::Execution(found),
        Ok(Answer::OfJob(job, page)) => executions::page(Some(job), page),
        Ok(Answer::OfAll(page)) => executions::page(None, page),
        Ok(Answer::Alerts(page)) => alerts::page(page),
        Ok(Answer::NoSuchJob) => ApiError::no_such_job().response(),
        Err(error) => ApiError::from(error).response(),
    })
}
