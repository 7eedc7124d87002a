//! Owns the errors clients see: a status, a sentence that says what to do, and headers that belong to it.
//! It must not carry what only an operator may know.

use serde::Serialize;

use crate::core::Refusal;
use crate::http::{self, Response, Status};
use crate::job::FieldError;
use crate::store::ReadError;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: Status,
    /// What is wrong, and what was expected.
    pub message: String,
    /// The methods that would be allowed, for 405.
    allow: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
}

/// Seconds after which a client may try again what was refused for lack of room.
const RETRY_AFTER_S: &str = "1";

impl ApiError {
    /// An error with this status and text.
    pub fn new(status: Status, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), allow: None }
    }

    /// 400: the request is wrong.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(Status::BAD_REQUEST, message)
    }

    /// 404 for a job.
    pub fn no_such_job() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Job not found")
    }

    /// 404 for a calendar.
    pub fn no_such_calendar() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Calendar not found")
    }

    /// 405, with the methods that are allowed.
    pub fn method_not_allowed(allow: String) -> ApiError {
        let message = format!("method not allowed; allowed: {allow}");
        ApiError { status: Status::METHOD_NOT_ALLOWED, message, allow: Some(allow) }
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(Status::SERVICE_UNAVAILABLE, message)
    }

    /// The answer to send.
    pub fn response(&self) -> Response {
        // What a client sent is repeated here; a terminal that shows it must not obey it.
        let message = self.message.replace(|c: char| c.is_control(), "\u{fffd}");
        let body = serde_json::to_vec(&Body { error: &message }).expect("a string is JSON");
        let mut response = Response::new(self.status, body);
        if let Some(allow) = &self.allow {
            response = response.with_header("Allow", allow.clone());
        }
        if self.status == Status::SERVICE_UNAVAILABLE {
            response = response.with_header("Retry-After", RETRY_AFTER_S);
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        ApiError::unavailable(match refusal {
            Refusal::Draining => "the server is stopping and takes no changes",
            Refusal::NotWritten => "the change could not be written to disk; nothing has changed",
            Refusal::TooManyChanges => "too many changes are waiting to be written; nothing has changed",
            Refusal::ChangesPending => "other changes are being written; nothing has changed, try again",
            Refusal::TooManyChangesOfJob => "too many changes of this job are waiting; nothing has changed",
        })
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> ApiError {
        ApiError::bad_request(error.to_string())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> ApiError {
        ApiError::unavailable(match error {
            ReadError::TooLong => "reading took too long; ask for fewer items",
            ReadError::Unreadable => "the history could not be read",
        })
    }
}

impl From<http::Refusal> for ApiError {
    fn from(refusal: http::Refusal) -> ApiError {
        ApiError::new(refusal.status(), refusal.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn control_characters_do_not_come_back() {
        // Those of ASCII and the second set (C1), which some terminals obey.
        let response = ApiError::bad_request("a\u{1b}[2J\u{85}\u{9b}b\u{7f}\u{e9}").response();
        let http::Body::Whole(body) = response.body else { panic!("an error is no stream") };
        let text = String::from_utf8(body).expect("it is JSON");
        assert_eq!(text, "{\"error\":\"a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}\u{e9}\"}");
    }
}
