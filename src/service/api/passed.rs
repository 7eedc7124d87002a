//! Owns how a request travels to the node that carries it out, and its answer back to the one whose client waits for it.
//! It must not change either.

use serde::{Deserialize, Serialize};

use super::errors::PROBLEM_TYPE;
use super::parts::Part;
use crate::access::{Scope, TokenId, Who};
use crate::http::{Accepts, Body, Headers, Method, RareHeaders, Request, Response, Status};
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

/// A request as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Passed {
    method: Box<str>,
    path: String,
    query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_match: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    /// Which part of what a client asked it is, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
    #[serde(skip)]
    body: Vec<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Box<str>>,
    by_cookie: bool,
    client: Box<str>,
    is_secure: bool,
}

impl Passed {
    /// A request that a client made here. None: its body is no text.
    pub fn new(asked: &Request, who: Who, client: &str, is_secure: bool) -> Option<Passed> {
        let rare = asked.headers.rare.as_deref();
        Some(Passed {
            method: asked.method.name().into(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            content_type: asked.headers.content_type.clone(),
            if_match: rare.and_then(|rare| rare.if_match.clone()),
            idempotency_key: rare.and_then(|rare| rare.idempotency_key.clone()),
            part: None,
            body: str::from_utf8(&asked.body).ok()?.into(),
            token: who.token.map(|token| token.number()),
            principal: who.principal.map(|token| token.number()),
            scope: who.scope.map(|scope| scope.name().into()),
            by_cookie: who.by_cookie,
            client: client.into(),
            is_secure,
        })
    }

    /// A part of it, with this body. A key is for the whole.
    #[must_use]
    pub fn part(&self, part: Part, body: Vec<u8>) -> Passed {
        Passed { idempotency_key: None, part: Some(part), body, ..self.clone() }
    }

    /// Which part of what a client asked it is, if it is one.
    pub fn take_part(&mut self) -> Option<Part> {
        self.part.take()
    }

    /// As it is written down: a line with all but the body, and the body, which may be long.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("its keys are names");
        text.push(b'\n');
        text.extend_from_slice(&self.body);
        text
    }

    /// The same read back. None: no version of this program writes that.
    pub fn read(text: &[u8]) -> Option<Passed> {
        let head = text.iter().position(|&byte| byte == b'\n')?;
        let passed: Passed = serde_json::from_slice(&text[..head]).ok()?;
        Some(Passed { body: text[head + 1..].into(), ..passed })
    }

    /// Who asked, from where, and whether that was secure.
    pub fn asking(&self) -> (Who, &str, bool) {
        let who = Who {
            token: self.token.and_then(TokenId::from_number),
            principal: self.principal.and_then(TokenId::from_number),
            scope: self.scope.as_deref().and_then(Scope::from_name),
            by_cookie: self.by_cookie,
        };
        (who, &self.client, self.is_secure)
    }

    /// What was asked.
    pub fn request(self) -> Request {
        let rare = RareHeaders { if_match: self.if_match, idempotency_key: self.idempotency_key, last_event_id: None };
        let is_rare = rare.if_match.is_some() || rare.idempotency_key.is_some();
        let rare = is_rare.then(|| Box::new(rare));
        Request {
            method: Method::from_name(&self.method),
            path: self.path,
            query: self.query,
            keep_alive: true,
            http_10: false,
            accepts: Accepts::default(),
            headers: Headers { content_type: self.content_type, rare, ..Headers::default() },
            body: self.body,
        }
    }
}

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
    use crate::core::{Meant, Shard};

    #[test]
    fn a_request_arrives_as_it_was_made() {
        let rare = RareHeaders {
            if_match: Some("\"3\"".to_owned()),
            idempotency_key: Some("once".to_owned()),
            ..RareHeaders::default()
        };
        let headers = Headers {
            content_type: Some("application/json".to_owned()),
            rare: Some(Box::new(rare)),
            ..Headers::default()
        };
        let asked = Request {
            method: Method::Put,
            path: "/api/jobs/x".to_owned(),
            query: "a=b".to_owned(),
            keep_alive: true,
            http_10: false,
            accepts: Accepts::default(),
            headers,
            body: b"{\"schedule\":\"\xc3\xa4\"}\n{}\n".to_vec(),
        };
        let who = Who {
            token: TokenId::from_number(7),
            principal: TokenId::from_number(5),
            scope: Some(Scope::Write),
            by_cookie: false,
        };
        let client = "10.0.0.1";
        let passed = Passed::new(&asked, who, client, true).expect("it is text");
        let read = Passed::read(&passed.text()).expect("it was just written");
        assert_eq!(read.asking(), (who, client, true));
        assert_eq!(read.request(), asked);
        let part = Part::new(&[Shard(7), Shard(200)].into_iter().collect(), &Meant::default());
        let mut read =
            Passed::read(&passed.part(part.clone(), b"\n\n{}".to_vec()).text()).expect("it was just written");
        assert_eq!((read.take_part(), read.take_part()), (Some(part), None));
        let mut expected = Request { body: b"\n\n{}".to_vec(), ..asked.clone() };
        expected.headers.rare.as_mut().expect("it has some").idempotency_key = None;
        assert_eq!(read.request(), expected, "a key is for the whole");
        assert!(Passed::new(&Request { body: vec![0xff], ..asked }, who, client, true).is_none());
    }

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
