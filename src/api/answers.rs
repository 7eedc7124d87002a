//! Owns the way from what a reader found to the resource that prints it.
//! It must not print anything itself.

use super::errors::ApiError;
use super::{alerts, executions};
use crate::http::Response;
use crate::store::{Answer, ReadError};

/// What a reader found.
pub fn answer(answer: Result<Answer, ReadError>) -> Response {
    match answer {
        Ok(Answer::OfJob(job, page)) => executions::page(Some(job), page),
        Ok(Answer::OfAll(page)) => executions::page(None, page),
        Ok(Answer::Alerts(page)) => alerts::page(page),
        // No route asks for them yet.
        Ok(Answer::Series(..)) => ApiError::unavailable("series are not served yet").response(),
        Ok(Answer::NoSuchJob) => ApiError::no_such_job().response(),
        Err(error) => ApiError::from(error).response(),
    }
}
