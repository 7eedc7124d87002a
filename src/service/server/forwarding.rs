//! Owns the way of requests that are about what another node has: passed on from here, carried out here for others.
//! It must not know how they travel.

use super::audits::Asking;
use super::calls::{Calls, refuse};
use super::connection::Given;
use super::connections::Clients;
use super::engine::Engine;
use super::nodes::{is_part, is_passed_on, owner_of};
use crate::api::{self, ApiError, Call, Passed};
use crate::core::{Concerns, Refusal, RequestId};
use crate::http::{Request, Status};
use crate::store::{Ask, Forwarded, Owner, StoredAnswer, Unplaced};
use crate::time::Now;

impl Calls {
    /// Who has to carry this out, if that is another node.
    pub(super) fn owner_elsewhere(
        &self,
        engine: &Engine,
        request: RequestId,
        call: &Call,
        key: Option<&str>,
    ) -> Option<Owner> {
        // What was passed on is carried out where it arrives: that was looked at.
        let is_alone = engine.nodes.is_none() || is_passed_on(request).is_some();
        if is_alone { None } else { owner_of(engine.core(), request, call, key) }
    }

    /// Whether what a request is about is not here, and may have gone to another node while something was read for it.
    pub(super) fn may_have_left(&self, engine: &Engine, request: RequestId, about: Concerns) -> bool {
        let (core, Some(nodes)) = (engine.core(), &engine.nodes) else { return false };
        // What was passed on came here for its shard. While that is here nobody else has the job.
        let shard_is_here = is_passed_on(request).map(|id| nodes.shard_of(id).is_none_or(|shard| core.owns(shard)));
        match about {
            Concerns::Job(job) => !core.has_job(job) && shard_is_here != Some(true),
            Concerns::Incident(id) => !core.has_open_incident(id) && shard_is_here != Some(true),
            Concerns::All => false,
        }
    }

    /// Passes a request on to the node that can carry it out. Its answer comes later.
    pub(super) fn pass_on(
        &self,
        engine: &Engine,
        (request, call): (RequestId, &Call),
        asking: &Asking,
        asked: &Request,
        (to, now): (Owner, Now),
    ) -> Given {
        let Some(passed) = Passed::new(asked, asking.who, &asking.client.to_string(), asking.is_secure) else {
            return refuse(&ApiError::bad_request("expected a body in UTF-8"));
        };
        let nodes = engine.nodes.as_ref();
        let (asked, text) = (now.mono, passed.text());
        let is_asked = nodes.is_some_and(|nodes| nodes.ask(Ask::Forward { request, asked, to, text }));
        if is_asked {
            return if call.waits() { Given::MuchLater } else { Given::Later };
        }
        refuse(&ApiError::unavailable("the node that has this cannot be asked now; nothing has changed, try again"))
    }

    /// A node is to give away all it has.
    pub(super) fn drain_node(
        &self,
        engine: &mut Engine,
        now: Now,
        request: RequestId,
        asking: &Asking,
        name: Box<str>,
    ) -> Given {
        let Some(nodes) = &engine.nodes else { return refuse(&ApiError::no_such_node()) };
        if !nodes.ask(Ask::Leave(Some((request, name)))) {
            return refuse(&ApiError::unavailable("the database cannot be asked now; nothing has changed, try again"));
        }
        engine.write_down(None, asking.row(None, Status::NO_CONTENT, now.wall), now.mono);
        Given::Later
    }

    /// What another node answered to a request that was passed on.
    pub(super) fn passed_on(&mut self, request: RequestId, answer: Result<StoredAnswer, Unplaced>) -> Given {
        if is_part(request) {
            self.part_answered(request, answer);
            return Given::Later;
        }
        let response = match answer {
            Ok(answer) => api::passed_back(answer),
            Err(Unplaced::NoJob) => ApiError::no_such_job().response(),
            Err(Unplaced::NoIncident) => ApiError::no_such_incident().response(),
            Err(Unplaced::NoNode) => ApiError::no_such_node().response(),
            Err(Unplaced::Late) => {
                ApiError::unavailable("the database did not answer in time; nothing has changed, try again").response()
            }
            Err(Unplaced::Failed) => ApiError::from(Refusal::Unknown).response(),
        };
        Given::Answer(self.cors.mark(response))
    }

    /// Carries out what another node has passed on, if it can be.
    pub(super) fn play(
        &mut self,
        engine: &mut Engine,
        clients: Clients,
        now: Now,
        request: RequestId,
        asked: Forwarded,
    ) -> Given {
        let Forwarded { id, shard, text } = asked;
        if shard.is_some_and(|shard| !engine.core().owns(shard)) {
            // It is on its way to another node, or has not arrived yet.
            engine.nodes.iter_mut().for_each(|nodes| nodes.give_back(id));
            return Given::Later;
        }
        let passed = Passed::read(&text).and_then(|passed| {
            let (who, client, is_secure) = passed.asking();
            Some(((who, client.parse().ok()?, is_secure), passed))
        });
        let Some(((who, client, is_secure), mut passed)) = passed else {
            return refuse(&ApiError::unavailable("another version of this program has passed this request on"));
        };
        let asking = Asking { who, client, is_secure, operation: "", subject: Box::default() };
        self.batches.expect(request, passed.take_part());
        self.call(engine, clients, now, request, asking, &mut passed.request())
    }
}
