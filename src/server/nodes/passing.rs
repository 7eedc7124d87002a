//! Owns requests on their way between nodes: who has to carry one out, how it travels, and how its answer does.
//! It must not carry one out: the node that has what it is about does, as if a client had asked it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::access::{Scope, TokenId, Who};
use crate::api::Call;
use crate::core::{Concerns, RequestId, Scheduler, Shard};
use crate::http::{Accepts, Headers, Method, RareHeaders, Request};
use crate::job::{JobId, JobKey};
use crate::store::Owner;

/// Marks the numbers of requests that other nodes have passed on. Those of clients stay far below.
const PASSED_ON: u64 = 1 << 62;

/// The number here of a request that another node has passed on.
pub(in crate::server) fn number_of_passed(id: u64) -> RequestId {
    RequestId(PASSED_ON | id)
}

/// Under which number another node has passed this request on, if one has.
pub(in crate::server) fn is_passed_on(request: RequestId) -> Option<u64> {
    (request.0 & PASSED_ON != 0 && request.0 < 2 * PASSED_ON).then_some(request.0 & !PASSED_ON)
}

/// Who has to carry this out; None: this node.
pub(in crate::server) fn owner_of(
    core: &Scheduler,
    request: RequestId,
    call: &Call,
    key: Option<&str>,
) -> Option<Owner> {
    let of_shard = |shard: Shard| (!core.owns(shard)).then_some(Owner::Shard(shard));
    let of_job = |job: JobId| (!core.has_job(job)).then_some(Owner::Job(job.key()));
    match call {
        Call::Create(spec) => {
            match (spec.concurrency_key(), key, spec.labels().and_then(|labels| labels.name.as_deref())) {
                // Whoever counts what is under way of them has all that share it.
                (Some(shared), _, _) => of_shard(Shard::of_name(&shared.name)),
                // Two that are the same meet there, whichever nodes they come to.
                (None, Some(name), _) | (None, None, Some(name)) => of_shard(Shard::of_name(name)),
                (None, None, None) if core.shards().is_empty() => of_shard(Shard::of_key(JobKey(request.0 >> 16))),
                (None, None, None) => None,
            }
        }
        Call::Patch(patch) => of_job(patch.id()),
        Call::Replay(id, _) => of_job(id.job),
        Call::PutChannel(..) => of_shard(Shard(0)),
        Call::Change(action) => match action.concerns() {
            Concerns::Job(job) => of_job(job),
            Concerns::Incident(id) => (!core.has_open_incident(id)).then_some(Owner::Incident(id)),
            Concerns::All => of_shard(Shard(0)),
        },
        Call::ReplayAll { .. } | Call::Batch { .. } | Call::Try(_) | Call::TestChannel(_) | Call::Token(_) => None,
        Call::Read(_) | Call::Query(_) | Call::Preview(_) | Call::Jobs(_) | Call::Targets(_) | Call::Timeline => None,
        Call::Search(..) | Call::Stream(_) | Call::Ready(_) => None,
    }
}

/// A request as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::server) struct Passed {
    method: Box<str>,
    path: String,
    query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_match: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Box<str>>,
    by_cookie: bool,
    client: IpAddr,
    is_secure: bool,
}

impl Passed {
    /// A request that a client made here. None: its body is no text.
    pub(in crate::server) fn new(asked: &Request, who: Who, client: IpAddr, is_secure: bool) -> Option<Passed> {
        let rare = asked.headers.rare.as_deref();
        Some(Passed {
            method: asked.method.name().into(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            content_type: asked.headers.content_type.clone(),
            if_match: rare.and_then(|rare| rare.if_match.clone()),
            idempotency_key: rare.and_then(|rare| rare.idempotency_key.clone()),
            body: String::from_utf8(asked.body.clone()).ok()?,
            token: who.token.map(|token| token.number()),
            principal: who.principal.map(|token| token.number()),
            scope: who.scope.map(|scope| scope.name().into()),
            by_cookie: who.by_cookie,
            client,
            is_secure,
        })
    }

    /// As it is written down.
    pub(in crate::server) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("its keys are names")
    }

    /// The same read back. None: no version of this program writes that.
    pub(in crate::server) fn read(text: &[u8]) -> Option<Passed> {
        serde_json::from_slice(text).ok()
    }

    /// Who asked, from where, and whether that was secure.
    pub(in crate::server) fn asking(&self) -> (Who, IpAddr, bool) {
        let who = Who {
            token: self.token.and_then(TokenId::from_number),
            principal: self.principal.and_then(TokenId::from_number),
            scope: self.scope.as_deref().and_then(Scope::from_name),
            by_cookie: self.by_cookie,
        };
        (who, self.client, self.is_secure)
    }

    /// What was asked.
    pub(in crate::server) fn request(self) -> Request {
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
            body: self.body.into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_made() {
        let rare = RareHeaders { if_match: Some("\"3\"".to_owned()), ..RareHeaders::default() };
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
            body: b"{\"schedule\":\"\xc3\xa4\"}".to_vec(),
        };
        let who = Who {
            token: TokenId::from_number(7),
            principal: TokenId::from_number(5),
            scope: Some(Scope::Write),
            by_cookie: false,
        };
        let client: IpAddr = "10.0.0.1".parse().expect("an address");
        let passed = Passed::new(&asked, who, client, true).expect("it is text");
        let read = Passed::read(&passed.text()).expect("it was just written");
        assert_eq!(read.asking(), (who, client, true));
        assert_eq!(read.request(), asked);
        assert!(Passed::new(&Request { body: vec![0xff], ..asked }, who, client, true).is_none());
    }

    #[test]
    fn numbers_of_what_was_passed_on_are_no_clients() {
        assert_eq!(is_passed_on(number_of_passed(7)), Some(7));
        assert_eq!(is_passed_on(RequestId(7 << 16)), None);
        assert_eq!(is_passed_on(RequestId(u64::MAX - 1)), None, "the loop's own");
    }
}
