//! Owns the JSON a client sends for a job: read, and compiled.
//! It must not accept what it does not understand: an unknown member is refused by name.

use super::errors::ApiError;
use crate::http::{Request, Status};
use crate::job::{Definition, JobSpec};
use crate::time::WallUs;

/// What a body must be.
const EXPECTED: &str = "a JSON object with schedule, api and type";

/// Reads the body of a create or an update. With it: whether the client said if the job is to be active.
pub(super) fn job(request: &Request, now: WallUs) -> Result<(JobSpec, bool), ApiError> {
    check_content_type(request)?;
    // Serde would take a list for the members in their order.
    if request.body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::bad_request(format!("body: expected {EXPECTED}, got a list")));
    }
    let mut reader = serde_json::Deserializer::from_slice(&request.body);
    let definition: Definition = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| ApiError::bad_request(format!("body: expected one JSON object: {error}")))?;
    let spec = JobSpec::compile(&definition, now.floor())?;
    spec.check_future(now.floor())?;
    Ok((spec, definition.active.is_some()))
}

/// A missing content type is forgiven: curl users forget it, and nothing else can be meant.
fn check_content_type(request: &Request) -> Result<(), ApiError> {
    let Some(text) = &request.headers.content_type else { return Ok(()) };
    let media_type = text.split(';').next().unwrap_or_default().trim();
    // What curl sends with -d, unless told otherwise.
    let accepted = ["application/json", "application/x-www-form-urlencoded"];
    if accepted.iter().any(|accepted| media_type.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    let message = format!("Content-Type: expected application/json, got {:?}", shortened(media_type));
    Err(ApiError::new(Status::UNSUPPORTED_MEDIA_TYPE, message))
}

/// Names the member, if the error has one.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    // The path has no name where nothing could be read yet.
    let place = if matches!(path.as_str(), "." | "?") { "body".to_owned() } else { path };
    let what = error.inner().to_string();
    ApiError::bad_request(format!("{place}: {}", shortened(&what)))
}

/// Client text is repeated in errors only so far.
fn shortened(text: &str) -> String {
    const MAX: usize = 200;
    if text.chars().count() <= MAX { text.to_owned() } else { text.chars().take(MAX).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn request(body: &str) -> Request {
        Request {
            method: Method::Post,
            path: "/api/jobs".to_owned(),
            query: String::new(),
            keep_alive: true,
            http_10: false,
            headers: crate::http::Headers::default(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn the_three_members_and_active_are_read() {
        let body = r#"{"schedule":"31 10-15 1 * * MON-FRI","api":"https://localhost:4444/foo","type":"ATLEAST_ONCE"}"#;
        let (found, says_active) = job(&request(body), WallUs(0)).unwrap();
        assert_eq!((found.schedule.text(), found.active, says_active), ("31 10-15 1 * * MON-FRI", true, false));
        let body = r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","active":false}"#;
        let (found, says_active) = job(&request(body), WallUs(0)).unwrap();
        assert_eq!((found.active, says_active), (false, true));
    }

    #[test]
    fn errors_name_the_member_and_what_was_expected() {
        let good = r#""schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE""#;
        for (body, why) in [
            (String::new(), "body: EOF"),
            ("{".to_owned(), "body: EOF"),
            ("[]".to_owned(), "body: expected a JSON object"),
            (r#" ["@daily","http://a/","ATLEAST_ONCE"]"#.to_owned(), "got a list"),
            ("7".to_owned(), "expected a JSON object with schedule, api and type"),
            ("{}".to_owned(), "missing field `schedule`"),
            (format!("{{{good}}} x"), "body: expected one JSON object"),
            (format!("{{{good},\"retries\":3}}"), "unknown field `retries`, expected one of `schedule`"),
            (format!("{{{good},\"api\":\"http://b/\"}}"), "duplicate field `api`"),
            (format!("{{{good},\"active\":\"yes\"}}"), "active: invalid type: string \"yes\", expected a boolean"),
            (good.replace("\"@daily\"", "5"), "schedule: invalid type: integer `5`, expected a string"),
            (good.replace("@daily", "0 0 30 2 *"), "schedule: expected at least one time in the future"),
            (good.replace("@daily", "* * 25 * * *"), "schedule: hour: expected"),
            (good.replace("http://a/", "ftp://a/"), "api: expected the scheme http or https"),
            (good.replace("ATLEAST_ONCE", "ATMOST_ONCE"), "type: expected \"ATLEAST_ONCE\", got \"ATMOST_ONCE\""),
        ] {
            let body = if body.starts_with('"') { format!("{{{body}}}") } else { body };
            let error = job(&request(&body), WallUs(0)).expect_err(&body);
            assert_eq!(error.status.code(), 400);
            assert!(error.message.contains(why), "{body}: {}", error.message);
        }
    }

    #[test]
    fn another_content_type_is_415() {
        let mut request = request("{}");
        request.headers.content_type = Some("text/xml; charset=utf-8".to_owned());
        assert_eq!(job(&request, WallUs(0)).expect_err("xml").status.code(), 415);
    }
}
