//! Owns the errors clients see: a status, a sentence that says what to do, and headers that belong to it.
//! It must not carry what only an operator may know.

use schemars::JsonSchema;
use serde::Serialize;

use super::json::json;
use crate::access::{Scope, Who};
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
    /// Where in the request it is wrong, if it is one place, and what was expected there.
    fault: Option<Box<Fault>>,
    /// The methods that would be allowed, for 405.
    allow: Option<String>,
}

/// One place of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Fault {
    /// A member of the body, as a JSON pointer in a fragment (RFC 6901, section 6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// A parameter of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What was expected.
    detail: String,
}

/// What is wrong (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what was expected.
    detail: String,
    /// The places in the request that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// The same as `detail`.
    error: String,
}

/// The media type of a [`Problem`].
pub(super) const PROBLEM_TYPE: &str = "application/problem+json";

/// Seconds after which a client may try again what was refused for lack of room.
const RETRY_AFTER_S: &str = "1";

impl ApiError {
    /// An error with this status and text.
    pub fn new(status: Status, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), fault: None, allow: None }
    }

    /// The same where something has changed all the same: what the text says of nothing is said of all but this.
    pub fn but(&self, what: &str) -> ApiError {
        ApiError { message: self.message.replace("nothing has changed", &format!("{what} changed")), ..self.clone() }
    }

    /// 400: the request is wrong.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(Status::BAD_REQUEST, message)
    }

    /// 400: a member of the body is wrong; dots stand between the names of nested ones.
    pub(super) fn member(member: &str, detail: impl Into<String>) -> ApiError {
        let pointer = format!("#/{}", member.replace('~', "~0").replace('/', "~1").replace('.', "/"));
        ApiError::at(pointer, member, detail)
    }

    /// 400: what the pointer leads to is wrong; `name` is what the message calls it.
    pub(super) fn at(pointer: String, name: &str, detail: impl Into<String>) -> ApiError {
        let detail = printable(detail.into());
        let message = format!("{name}: {detail}");
        let fault = Some(Box::new(Fault { pointer: Some(pointer), parameter: None, detail }));
        ApiError { fault, ..ApiError::bad_request(message) }
    }

    /// 400: a parameter of the query is wrong.
    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> ApiError {
        let detail = printable(detail.into());
        let message = format!("{name}: {detail}");
        let fault = Some(Box::new(Fault { pointer: None, parameter: Some(name.to_owned()), detail }));
        ApiError { fault, ..ApiError::bad_request(message) }
    }

    /// The same in a part of the body: the member that it is in.
    #[must_use]
    pub(super) fn within(mut self, member: &str) -> ApiError {
        if let Some(pointer) = self.fault.as_mut().and_then(|fault| fault.pointer.as_mut()) {
            pointer.insert_str(1, &format!("/{member}"));
            self.message.insert_str(0, &format!("{member}."));
        }
        self
    }

    /// 409: another node has the jobs with which this one is to share a concurrency key.
    pub(super) fn owned_elsewhere() -> ApiError {
        ApiError::new(
            Status::CONFLICT,
            "another node owns this concurrency key; delete the job and create it anew to let it have the key",
        )
    }

    /// 503: only a look at all jobs tells which are due next, and there are too many of them.
    pub(super) fn too_many_to_order() -> ApiError {
        ApiError::unavailable("there are too many jobs to find those that are due next; sort by created or name")
    }

    /// 409: a name is another job's.
    pub fn name_taken(name: &str) -> ApiError {
        ApiError::new(Status::CONFLICT, format!("name: another job is called {name:?}"))
    }

    /// 412: a job is not what it was, but has this ETag.
    pub(super) fn changed(number: u32) -> ApiError {
        ApiError::new(Status::PRECONDITION_FAILED, format!("the job has changed: its ETag is \"{number}\""))
    }

    /// 401: a token is missing, or one was shown that does not count.
    pub fn unauthorized(message: impl Into<String>) -> ApiError {
        ApiError::new(Status::UNAUTHORIZED, message)
    }

    /// 401 or 403: whoever asks may not do what needs this scope.
    pub(super) fn not_allowed(who: Who, needed: Scope) -> ApiError {
        match who.token {
            None => ApiError::unauthorized(format!(
                "Authorization: expected a token with the scope {needed}, as in \"Authorization: Bearer pun_...\""
            )),
            Some(_) => {
                let has = who.scope.map_or("none", Scope::name);
                ApiError::new(Status::FORBIDDEN, format!("the token has the scope {has}, and this needs {needed}"))
            }
        }
    }

    /// 404 for a job.
    pub fn no_such_job() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Job not found")
    }

    /// 404 for a job that is declared by its id.
    pub(super) fn nameless() -> ApiError {
        let message =
            "Job not found, and one without a name is not made, as it could not be found again; give it a name";
        ApiError::new(Status::NOT_FOUND, message)
    }

    /// 404 for an execution.
    pub fn no_such_execution() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Execution not found")
    }

    /// 404 for a calendar.
    pub fn no_such_calendar() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Calendar not found")
    }

    /// 404 for a node.
    pub fn no_such_node() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Node not found, or it is no more")
    }

    /// 404 for an incident, or for one that is over where only an open one will do.
    pub fn no_such_incident() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Incident not found, or it is over")
    }

    /// 404 for a silence.
    pub(super) fn no_such_silence() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Silence not found")
    }

    /// 404 for a channel.
    pub fn no_such_channel() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Channel not found")
    }

    /// 404 for whichever of them was to be removed.
    pub(super) fn no_such_setting() -> ApiError {
        ApiError::new(Status::NOT_FOUND, "Channel, policy or silence not found")
    }

    /// 405, with the methods that are allowed.
    pub fn method_not_allowed(allow: String) -> ApiError {
        let message = format!("method not allowed; allowed: {allow}");
        ApiError { allow: Some(allow), ..ApiError::new(Status::METHOD_NOT_ALLOWED, message) }
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(Status::SERVICE_UNAVAILABLE, message)
    }

    /// 429: not so fast.
    pub fn too_many(message: impl Into<String>) -> ApiError {
        ApiError::new(Status::TOO_MANY_REQUESTS, message)
    }

    /// 500: an id could not be drawn.
    pub fn no_randomness() -> ApiError {
        ApiError::new(Status::INTERNAL_SERVER_ERROR, "the system gave no random numbers")
    }

    /// Whether what was refused with this status is refused for now only.
    pub(super) fn may_be_tried_again(status: Status) -> bool {
        matches!(status, Status::SERVICE_UNAVAILABLE | Status::TOO_MANY_REQUESTS)
    }

    /// What is wrong, in the words of the standard.
    pub(super) fn problem(&self) -> Problem {
        let detail = printable(self.message.clone());
        Problem {
            kind: "about:blank",
            title: self.status.reason(),
            status: self.status.code(),
            errors: self.fault.as_deref().into_iter().cloned().collect(),
            error: detail.clone(),
            detail,
        }
    }

    /// The answer to send.
    pub fn response(&self) -> Response {
        let mut response = Response { content_type: PROBLEM_TYPE, ..json(self.status, &self.problem()) };
        if let Some(allow) = &self.allow {
            response = response.with_header("Allow", allow.clone());
        }
        if self.status == Status::UNAUTHORIZED {
            response = response.with_header("WWW-Authenticate", "Bearer");
        }
        if ApiError::may_be_tried_again(self.status) {
            response = response.with_header("Retry-After", RETRY_AFTER_S);
        }
        response
    }
}

/// What a client sent is repeated in errors; a terminal that shows it must not obey it.
fn printable(text: String) -> String {
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        match refusal {
            Refusal::Draining => ApiError::unavailable("the server is stopping and takes no changes"),
            Refusal::NotWritten => {
                ApiError::unavailable("the change could not be written to disk; nothing has changed")
            }
            Refusal::TooManyChanges => {
                ApiError::unavailable("too many changes are waiting to be written; nothing has changed")
            }
            Refusal::ChangesPending => {
                ApiError::unavailable("other changes are being written; nothing has changed, try again")
            }
            Refusal::TooManyExecutions => ApiError::unavailable("too many executions are waiting; nothing was begun"),
            Refusal::TooManyExecutionsOfJob => ApiError::too_many(
                "too many executions of this job were asked for and have not ended; nothing was begun",
            ),
            Refusal::TooManyWaiting => {
                ApiError::too_many("too many clients wait for executions to end; ask without wait")
            }
            Refusal::NotOwned => {
                ApiError::unavailable("no node has the job at the moment; nothing has changed, try again")
            }
            Refusal::Unknown => ApiError::unavailable(
                "the server was taken for dead while the change was written; it may be done or not",
            ),
            Refusal::TooManyChangesOfJob => {
                ApiError::too_many("too many changes of this job are waiting; nothing has changed")
            }
        }
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> ApiError {
        ApiError::member(error.member, error.message)
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
    fn an_error_says_where_it_is() {
        let text = |error: ApiError| {
            let response = error.response();
            assert_eq!(response.content_type, "application/problem+json");
            let http::Body::Whole(body) = response.body else { panic!("an error is no stream") };
            String::from_utf8(body).expect("it is JSON")
        };
        assert_eq!(
            text(ApiError::member("retry.on", "expected x\u{7}")),
            "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"retry.on: expected \
             x\u{fffd}\",\"errors\":[{\"pointer\":\"#/retry/on\",\"detail\":\"expected x\u{fffd}\"}],\
             \"error\":\"retry.on: expected x\u{fffd}\"}"
        );
        assert!(text(ApiError::parameter("limit", "y")).contains(r#""errors":[{"parameter":"limit","detail":"y"}]"#));
        assert!(!text(ApiError::no_such_job()).contains("errors"));
    }

    #[test]
    fn control_characters_do_not_come_back() {
        // Those of ASCII and the second set (C1), which some terminals obey.
        let response = ApiError::bad_request("a\u{1b}[2J\u{85}\u{9b}b\u{7f}\u{e9}").response();
        let http::Body::Whole(body) = response.body else { panic!("an error is no stream") };
        let text = String::from_utf8(body).expect("it is JSON");
        assert!(text.ends_with(",\"error\":\"a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}\u{e9}\"}"), "{text}");
    }
}
