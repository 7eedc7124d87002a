//! Owns the CORS headers that let a web page of one configured origin use the API.
//! It must not open the API to any other origin.

use std::borrow::Cow;

use super::matching;
use crate::http::{Method, Request, Response, Status};

/// How long a browser may remember a preflight, in seconds.
const MAX_AGE_S: &str = "600";

/// What cross-origin pages may do.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// The origin, or `*`; None: no CORS headers at all.
    pub origin: Option<String>,
}

impl Cors {
    /// Whether the request is a preflight that CORS answers.
    pub fn is_preflight(&self, request: &Request) -> bool {
        self.origin.is_some() && request.method == Method::Options && request.headers.origin.is_some()
    }

    /// The answer to a preflight.
    pub fn preflight(&self) -> Response {
        let response = Response::new(Status::NO_CONTENT, Vec::new())
            .with_header("Access-Control-Allow-Methods", self.methods())
            .with_header(
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, If-Match, Idempotency-Key, Last-Event-ID",
            )
            .with_header("Access-Control-Max-Age", MAX_AGE_S);
        self.mark(response)
    }

    /// Any page may read, if all may. Only one that is named may change something.
    fn methods(&self) -> Cow<'static, str> {
        if self.origin.as_deref() == Some("*") { "GET, HEAD, OPTIONS".into() } else { matching::allow_all().into() }
    }

    /// Adds to an answer what a browser must see.
    pub fn mark(&self, response: Response) -> Response {
        match &self.origin {
            None => response,
            Some(origin) if origin == "*" => response.with_header("Access-Control-Allow-Origin", "*"),
            Some(origin) => {
                response.with_header("Access-Control-Allow-Origin", origin.clone()).with_header("Vary", "Origin")
            }
        }
    }
}
