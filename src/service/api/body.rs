//! Owns the reading of a JSON body into the type that a resource expects.
//! It must not accept what it does not understand: an unknown member is refused by name.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::errors::ApiError;
use crate::http::{Request, Status};

/// Reads the body of a request; `expected` says in an error what it must be.
pub(super) fn read<T: DeserializeOwned>(request: &Request, expected: &str) -> Result<T, ApiError> {
    check_content_type(request)?;
    parse_object(&request.body, expected)
}

/// Whether the body of a request can be lines of objects.
pub(super) fn check_lines(request: &Request) -> Result<(), ApiError> {
    if !request.headers.content_type.as_deref().is_some_and(is_lines) {
        check_content_type(request)?;
    }
    // Whether there is anything in them is seen as they are split.
    if request.body.is_empty() { Err(no_lines()) } else { Ok(()) }
}

/// There is nothing in the body.
pub(super) fn no_lines() -> ApiError {
    ApiError::bad_request("body: expected JSON objects, each in a line of its own")
}

/// Reads the text of an object, which is not a list of its members.
pub(super) fn parse_object<T: DeserializeOwned>(text: &[u8], expected: &str) -> Result<T, ApiError> {
    if text.trim_ascii().is_empty() {
        return Err(ApiError::at("#".to_owned(), "body", format!("expected {expected}, got nothing")));
    }
    // Serde would take a list for the members in their order.
    if text.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::at("#".to_owned(), "body", format!("expected {expected}, got a list")));
    }
    parse(text)
}

/// Reads the text of an object.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let body = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    let too_much = |error| ApiError::at("#".to_owned(), "body", format!("expected one JSON object: {error}"));
    reader.end().map_err(too_much)?;
    Ok(body)
}

/// The same where a client may leave the body out.
pub(super) fn read_if_any<T: DeserializeOwned + Default>(request: &Request, expected: &str) -> Result<T, ApiError> {
    if request.body.trim_ascii().is_empty() { Ok(T::default()) } else { read(request, expected) }
}

/// Whether a content type is that of JSON.
pub fn is_json(content_type: &str) -> bool {
    let media_type = media_type(content_type);
    let (_, subtype) = media_type.split_once('/').unwrap_or_default();
    let suffix = subtype.rsplit_once('+').map_or("", |(_, suffix)| suffix);
    media_type.eq_ignore_ascii_case("application/json") || suffix.eq_ignore_ascii_case("json")
}

/// Whether a content type is that of lines of JSON.
pub fn is_lines(content_type: &str) -> bool {
    let types = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"];
    types.iter().any(|known| media_type(content_type).eq_ignore_ascii_case(known))
}

/// A missing content type is forgiven: curl users forget it, and nothing else can be meant. Whether a web page may leave
/// it out was decided before.
fn check_content_type(request: &Request) -> Result<(), ApiError> {
    let Some(text) = &request.headers.content_type else { return Ok(()) };
    // What curl sends with -d, unless told otherwise.
    if is_json(text) || media_type(text).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(());
    }
    let message = format!("Content-Type: expected application/json, got {:?}", shortened(media_type(text)));
    Err(ApiError::new(Status::UNSUPPORTED_MEDIA_TYPE, message))
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Names the member, if the error has one.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = shortened(&error.path().to_string());
    let mut what = in_words_of_json(error.inner().to_string());
    // The path has no name where nothing could be read yet.
    if matches!(path.as_str(), "." | "?") {
        return ApiError::at("#".to_owned(), "body", shortened(&what));
    }
    // Where there is a name it says more than where in the text that was.
    if let Some(place) = what.rfind(" at line ") {
        what.truncate(place);
    }
    let what = nearest_name(&what).unwrap_or_else(|| shortened(&what));
    let mut pointer = "#".to_owned();
    for segment in error.path() {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } | Segment::Enum { variant: key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Unknown => break,
        };
        // Names are the client's. One that is too long ends what the pointer points to.
        if pointer.len() + name.len() > POINTER_LEN_MAX {
            break;
        }
        pointer.push('/');
        pointer.push_str(&name);
    }
    ApiError::at(pointer, &path, what)
}

/// Serde names types of Rust. What it expected stands behind what a client wrote, which is left as it is.
fn in_words_of_json(mut what: String) -> String {
    for (rust, json) in [("expected u64", "expected a whole number"), ("expected a sequence", "expected a list")] {
        if let Some(at) = what.rfind(rust) {
            what.replace_range(at..at + rust.len(), json);
        }
    }
    what
}

/// Of a longer name none is looked for that is like it.
const NAME_LIKE_LEN_MAX: usize = 100;

/// For a name that is not known, the known one that is most like it: it was meant, more likely than not.
fn nearest_name(what: &str) -> Option<String> {
    let (unknown, known) = what.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    let names = known.split('`').skip(1).step_by(2);
    // No name is that long, and likeness costs by the length of both.
    if unknown.len() > NAME_LIKE_LEN_MAX {
        return None;
    }
    let likeness = names.map(|name| (strsim::jaro_winkler(name, unknown), name));
    let (likeness, nearest) = likeness.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness > 0.8).then(|| format!("unknown field `{unknown}`: did you mean `{nearest}`?"))
}

/// How long a pointer to what is wrong may be.
const POINTER_LEN_MAX: usize = 400;

/// Client text is repeated in errors only so far.
fn shortened(text: &str) -> String {
    const MAX: usize = 200;
    if text.chars().count() <= MAX { text.to_owned() } else { text.chars().take(MAX).chain("...".chars()).collect() }
}
