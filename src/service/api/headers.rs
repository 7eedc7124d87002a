//! Owns the header fields that the API gives a meaning to: what they look like, which errors they bring along, and how
//! those of a request are read.
//! It must not know which route has which: the table does.

use super::errors::ApiError;
use crate::http::{Request, Status};
use crate::limits::KEY_LEN_MAX;

/// A field that a request may have.
#[derive(Debug)]
pub(super) struct RequestHeader {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// A format of its own, which says no more than the pattern.
    pub(super) format: &'static str,
    /// What it looks like.
    pub(super) pattern: fn() -> String,
    /// What may be answered because of it.
    pub(super) errors: &'static [Status],
    /// What is said of it in answers when all is well.
    pub(super) answers: &'static [&'static AnswerHeader],
}

/// A field that an answer has.
#[derive(Debug)]
pub(super) struct AnswerHeader {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) form: HeaderForm,
    /// Whether every such answer has it.
    pub(super) is_always: bool,
}

/// What the value of an answer's field looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeaderForm {
    /// A text with this pattern.
    Pattern(&'static str),
    /// A reference to a resource.
    Reference,
    /// A whole number from 0 on.
    Number,
}

pub(super) const IF_MATCH: RequestHeader = RequestHeader {
    name: "If-Match",
    format: "entity-tags",
    about: "The ETag of the job as it must still be, several of them, or *. Left out: whatever it is.",
    // Commas separate: those inside of a tag, which none of ours has, are not told apart from them.
    pattern: || {
        const TAG: &str = r#"(W/)?"[!#-+\x2d-~]*""#;
        format!(r"^(\*|{TAG}([ \t]*,[ \t]*{TAG})*)$")
    },
    errors: &[Status::PRECONDITION_FAILED],
    answers: &[],
};
pub(super) const IDEMPOTENCY_KEY: RequestHeader = RequestHeader {
    name: "Idempotency-Key",
    format: "idempotency-key",
    about: "Names this request: the same one under the same key is carried out once, and answered alike for a day.",
    pattern: || {
        let most = KEY_LEN_MAX - 1;
        format!(r#"^([!#-~]([ !#-~]{{0,{}}}[!#-~])?|"[!#-~][ !#-~]{{0,{most}}}")$"#, most - 1)
    },
    errors: &[Status::CONFLICT, Status::UNPROCESSABLE_CONTENT],
    answers: &[&REPLAYED],
};
pub(super) const LAST_EVENT_ID: RequestHeader = RequestHeader {
    name: "Last-Event-ID",
    format: "event-id",
    about: "The id of the last event that came before: what was missed since is told first.",
    // Any other is one that nobody knows any more.
    pattern: || "^[ -~]{1,64}$".to_owned(),
    errors: &[],
    answers: &[],
};

pub(super) const ETAG: AnswerHeader = AnswerHeader {
    name: "ETag",
    about: "The revision of the job, for If-Match.",
    form: HeaderForm::Pattern("^\"[0-9]+\"$"),
    is_always: true,
};
pub(super) const LOCATION: AnswerHeader =
    AnswerHeader { name: "Location", about: "Where it is now.", form: HeaderForm::Reference, is_always: true };
pub(super) const LINK: AnswerHeader = AnswerHeader {
    name: "Link",
    about: "Where the next page is, if there is one (RFC 8288).",
    form: HeaderForm::Pattern("^<[^>]*>; rel=\"next\"$"),
    is_always: false,
};
pub(super) const RETRY_AFTER: AnswerHeader = AnswerHeader {
    name: "Retry-After",
    about: "After how many seconds it may be tried again.",
    form: HeaderForm::Number,
    is_always: true,
};
pub(super) const CACHE_CONTROL: AnswerHeader = AnswerHeader {
    name: "Cache-Control",
    about: "Nobody keeps it.",
    form: HeaderForm::Pattern("^no-store$"),
    is_always: true,
};
pub(super) const SET_COOKIE: AnswerHeader = AnswerHeader {
    name: "Set-Cookie",
    about: "The session, for no script and no other site.",
    form: HeaderForm::Pattern("^punctual_session="),
    is_always: true,
};
const REPLAYED: AnswerHeader = AnswerHeader {
    name: "Idempotency-Replayed",
    about: "That this was answered before under the same key.",
    form: HeaderForm::Pattern("^true$"),
    is_always: false,
};

/// The revisions of which a job must be one, as `If-Match` says; None: any.
pub(super) fn if_match(request: &Request) -> Result<Option<Box<[u32]>>, ApiError> {
    let text = request.headers.rare.as_deref().and_then(|rare| rare.if_match.as_deref());
    let Some(text) = text.filter(|text| text.trim() != "*") else { return Ok(None) };
    let malformed = || ApiError::bad_request("If-Match: expected the ETag of an earlier answer, such as \"3\", or *");
    let tags = text.split(',').map(|tag| {
        let tag = tag.trim();
        // A weak one never matches here (RFC 9110, section 13.1.1).
        let (tag, is_weak) = tag.strip_prefix("W/").map_or((tag, false), |tag| (tag, true));
        let inside = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(malformed)?;
        if inside.contains(|c: char| c == '"' || c == ' ' || c.is_control()) {
            return Err(malformed());
        }
        Ok(inside.parse::<u32>().ok().filter(|_| !is_weak))
    });
    let tags: Vec<Option<u32>> = tags.collect::<Result<_, ApiError>>()?;
    Ok(Some(tags.into_iter().flatten().collect()))
}

/// The last event that the client has, as it says.
pub(super) fn last_event_id(request: &Request) -> Option<&str> {
    request.headers.rare.as_deref().and_then(|rare| rare.last_event_id.as_deref())
}

/// The key under which the answer is to be kept, if the client gave one: bare, or as a string (RFC 9651).
pub(super) fn idempotency_key(request: &Request) -> Result<Option<&str>, ApiError> {
    let Some(text) = request.headers.rare.as_deref().and_then(|rare| rare.idempotency_key.as_deref()) else {
        return Ok(None);
    };
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    let is_plain = key.chars().all(|c| !c.is_control() && c != '"') && !key.trim().is_empty();
    if is_plain && key.chars().count() <= KEY_LEN_MAX {
        return Ok(Some(key));
    }
    let message = format!("Idempotency-Key: expected 1 to {KEY_LEN_MAX} characters without quotes inside");
    Err(ApiError::bad_request(message))
}
