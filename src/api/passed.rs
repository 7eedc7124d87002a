//! Owns an answer on its way from the node that gives it to the one whose client waits for it.
//! It must not change it.

use super::errors::PROBLEM_TYPE;
use crate::http::{Body, Response, Status};
use crate::store::StoredAnswer;

/// The name under which the media type of a body travels.
const CONTENT_TYPE: &str = "Content-Type";
/// The fields that what a change is answered may have.
const FIELDS: [&str; 5] = ["Allow", "ETag", "Idempotency-Replayed", "Location", "Retry-After"];
/// The statuses that it may have.
const STATUSES: [Status; 19] = [
    Status::OK,
    Status::CREATED,
    Status::ACCEPTED,
    Status::NO_CONTENT,
    Status::NOT_MODIFIED,
    Status::BAD_REQUEST,
    Status::FORBIDDEN,
    Status::NOT_FOUND,
    Status::METHOD_NOT_ALLOWED,
    Status::CONFLICT,
    Status::GONE,
    Status::PRECONDITION_FAILED,
    Status::CONTENT_TOO_LARGE,
    Status::UNSUPPORTED_MEDIA_TYPE,
    Status::UNPROCESSABLE_CONTENT,
    Status::PRECONDITION_REQUIRED,
    Status::TOO_MANY_REQUESTS,
    Status::SERVICE_UNAVAILABLE,
    Status::GATEWAY_TIMEOUT,
];

/// A response as it travels; None: it is a stream.
pub fn passed(response: &Response) -> Option<StoredAnswer> {
    let body = match &response.body {
        Body::Whole(body) => body.clone(),
        Body::Unmade => Vec::new(),
        Body::Stream => return None,
    };
    let headers = response.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_owned()));
    let kind = (CONTENT_TYPE.to_owned(), response.content_type.to_owned());
    Some(StoredAnswer { status: response.status.code(), headers: headers.chain([kind]).collect(), body })
}

/// The same response where it is awaited.
pub fn passed_back(answer: StoredAnswer) -> Response {
    let StoredAnswer { status, headers, body } = answer;
    let status = STATUSES.into_iter().find(|known| known.code() == status).unwrap_or(Status::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(status, body);
    for (name, value) in headers {
        if name == CONTENT_TYPE && value == PROBLEM_TYPE {
            response.content_type = PROBLEM_TYPE;
        } else if let Some(name) = FIELDS.into_iter().find(|known| *known == name) {
            response = response.with_header(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ApiError;

    #[test]
    fn an_answer_arrives_as_it_was_given() {
        let created = Response::new(Status::CREATED, b"{}".to_vec()).with_header("Location", "/api/jobs/x");
        let refused = ApiError::unavailable("not now").response();
        for response in [created, refused, Response::new(Status::NO_CONTENT, Vec::new())] {
            let arrived = passed_back(passed(&response).expect("it is whole"));
            assert_eq!(format!("{arrived:?}"), format!("{response:?}"));
        }
        assert!(passed(&Response::streamed(Status::OK)).is_none());
    }
}
