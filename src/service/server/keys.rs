//! Owns requests with an idempotency key that are under way: which key is whose, and what is to be kept with it.
//! It must not carry a request out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::api::{self, ApiError, Call};
use crate::core::RequestId;
use crate::http::{Request, Response, Status};
use crate::store::KeyedAnswer;
use crate::time::WallUs;
use crate::vault::Blind;

/// The requests with a key that are under way.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// What hides digests of requests, as there may be secrets in these; None: there are none.
    blind: Option<Blind>,
    keys: BTreeSet<Arc<str>>,
    requests: BTreeMap<RequestId, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    key: Arc<str>,
    /// What tells the request from others; None: that is still being made.
    digest: Option<[u8; 32]>,
    /// When it was read.
    read_at: WallUs,
    /// What is to be done once it is known that the key is new.
    call: Option<Box<Call>>,
    /// What it will be answered with, once that is on disk.
    planned: Option<Response>,
}

impl Keys {
    /// Those of a server that seals secrets, if it does.
    pub(super) fn new(blind: Option<Blind>) -> Keys {
        Keys { blind, ..Keys::default() }
    }

    /// Notes a request with a key, before it is looked up.
    pub(super) fn begin(
        &mut self,
        request: RequestId,
        digest: Option<[u8; 32]>,
        key: &str,
        call: Call,
        read_at: WallUs,
    ) -> Result<(), ApiError> {
        let key: Arc<str> = key.into();
        if !self.keys.insert(Arc::clone(&key)) {
            let message = "Idempotency-Key: the first request with this key is under way; try again";
            return Err(ApiError::new(Status::CONFLICT, message));
        }
        let under_way = UnderWay {
            key,
            digest: digest.map(|digest| self.hidden(digest)),
            read_at,
            call: Some(Box::new(call)),
            planned: None,
        };
        self.requests.insert(request, under_way);
        Ok(())
    }

    /// What tells a request with a key from others is known now. Its key.
    pub(super) fn tell_apart(&mut self, request: RequestId, digest: [u8; 32]) -> Option<Arc<str>> {
        let digest = self.hidden(digest);
        let under_way = self.requests.get_mut(&request)?;
        under_way.digest = Some(digest);
        Some(Arc::clone(&under_way.key))
    }

    /// When a request with a key was read.
    pub(super) fn read_at(&self, request: RequestId) -> Option<WallUs> {
        self.requests.get(&request).map(|under_way| under_way.read_at)
    }

    /// A digest as it is kept: without the key that secrets are sealed with it tells nothing of what was sent.
    fn hidden(&self, digest: [u8; 32]) -> [u8; 32] {
        self.blind.as_ref().map_or(digest, |blind| blind.hide(&digest))
    }

    /// Whether a request has a key.
    pub(super) fn has(&self, request: RequestId) -> bool {
        self.requests.contains_key(&request)
    }

    /// What a request is to do now that its key is looked up: `stored` is what was answered under it. If that was to
    /// another request, it is an error.
    pub(super) fn found(
        &mut self,
        request: RequestId,
        stored: Option<([u8; 32], Response)>,
    ) -> Result<Box<Call>, Response> {
        let under_way = self.requests.get_mut(&request).expect("who looked up a key is under way");
        match stored {
            None => Ok(under_way.call.take().expect("a key is looked up once")),
            Some((digest, response)) if Some(digest) == under_way.digest => {
                Err(response.with_header("Idempotency-Replayed", "true"))
            }
            Some(_) => {
                let message = "Idempotency-Key: this key was used for another request";
                Err(ApiError::new(Status::UNPROCESSABLE_CONTENT, message).response())
            }
        }
    }

    /// What a request will be answered with, and what is to be kept of that together with what it changes.
    pub(super) fn plan(&mut self, request: RequestId, response: Response, at: WallUs) -> Option<KeyedAnswer> {
        let under_way = self.requests.get_mut(&request)?;
        let answer = KeyedAnswer {
            key: Arc::clone(&under_way.key),
            digest: under_way.digest?,
            at,
            answer: api::stored(&response),
        };
        under_way.planned = Some(response);
        Some(answer)
    }

    /// A request is over. What it was to be answered with, if it came that far.
    pub(super) fn end(&mut self, request: RequestId) -> Option<Response> {
        let under_way = self.requests.remove(&request)?;
        self.keys.remove(&under_way.key);
        under_way.planned
    }
}

/// What tells two requests apart.
pub(super) struct Digest(ring::digest::Context);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

impl Digest {
    /// That of a request without its body, which is to be added.
    pub(super) fn of_head(asked: &Request) -> Digest {
        let mut digest = Digest(ring::digest::Context::new(&ring::digest::SHA256));
        for part in [asked.method.name().as_bytes(), asked.path.as_bytes(), asked.query.as_bytes()] {
            digest.add(&(part.len() as u64).to_be_bytes());
            digest.add(part);
        }
        digest.add(&(asked.body.len() as u64).to_be_bytes());
        // Only where it is, so that digests without it are what they were.
        if let Some(expected) = asked.headers.rare.as_deref().and_then(|rare| rare.if_match.as_deref()) {
            digest.add(&(expected.len() as u64).to_be_bytes());
            digest.add(expected.as_bytes());
        }
        digest
    }

    /// That of a request.
    pub(super) fn of(asked: &Request) -> [u8; 32] {
        let mut digest = Digest::of_head(asked);
        digest.add(&asked.body);
        digest.end()
    }

    /// More of the body.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest.
    pub(super) fn end(self) -> [u8; 32] {
        self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}
