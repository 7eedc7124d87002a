//! Owns the way of requests that change many jobs where several nodes share a database: who has the jobs is looked up, others
//! are asked for what is theirs, and what they say of it is put in its places.
//! It must not decide whose a change is (the core does), nor carry a part out: that goes like any other request.
//!
//! What is this node's is done last: an answer that is kept under a key is kept with it, as a whole.

use std::collections::{BTreeMap, VecDeque};

use super::audits::Asking;
use super::batches::{Batches, Ready, Stage, UnderWay, until};
use super::calls::Calls;
use super::connection::Given;
use super::engine::Engine;
use super::nodes::number_of_part;
use crate::api::{ApiError, Part, Passed};
use crate::clock;
use crate::core::{Dealing, Dealt, NodeId, Placing, Refusal, RequestId, Shards};
use crate::http::Request;
use crate::limits::PARTS_WAIT_MAX;
use crate::store::{Ask, Owner, Query, StoredAnswer, Unplaced};
use crate::time::{MonoUs, Now};

/// What other nodes have of a request.
#[derive(Debug)]
pub(super) struct Share {
    /// The request without its lines.
    passed: Passed,
    pub(super) dealing: Dealing,
    /// What is not dealt yet.
    undealt: VecDeque<Ready>,
    /// What others have and have not answered.
    theirs: BTreeMap<NodeId, Theirs>,
    /// Since when they are waited for.
    since: MonoUs,
    /// Whether one of them was asked for something, and whether one has done something.
    pub(super) has_asked: bool,
    pub(super) has_done: bool,
}

/// What another node has.
#[derive(Debug, Default)]
struct Theirs {
    places: Vec<u32>,
    shards: Shards,
    /// Under which number it is asked for; None: it is not asked for yet.
    number: Option<RequestId>,
}

impl Share {
    /// What may be divided, of a request whose lines are taken out.
    pub(super) fn new(asking: &Asking, asked: &Request) -> Option<Box<Share>> {
        let passed = Passed::new(asked, asking.who, &asking.client.to_string(), asking.is_secure)?;
        let (undealt, theirs) = (VecDeque::new(), BTreeMap::new());
        let dealing = Dealing::default();
        Some(Box::new(Share { passed, dealing, undealt, theirs, since: MonoUs(0), has_asked: false, has_done: false }))
    }
}

impl UnderWay {
    /// Everything is this node's, or was told to those whose it is.
    fn end_sharing(&mut self) {
        self.batch.forget_text();
        self.stage = Stage::Gather;
    }
}

impl Batches {
    fn find(&mut self, request: RequestId) -> Option<&mut UnderWay> {
        self.queue.iter_mut().chain(self.away.values_mut()).find(|under_way| under_way.request == request)
    }

    /// Goes on with those that wait for nobody any more.
    fn fetch_answered(&mut self) {
        let is_answered = |under_way: &UnderWay| under_way.share.as_ref().is_none_or(|share| share.theirs.is_empty());
        self.queue.extend(self.away.extract_if(.., |_, away| is_answered(away)).map(|(_, away)| away));
    }
}

impl Calls {
    /// All lines are read. What this node lacks is asked of the database.
    pub(super) fn look_up(&mut self, engine: &Engine, request: RequestId) -> Option<Given> {
        let first = self.batches.first_of(request)?;
        let share = first.share.as_mut()?;
        let is_alone = *engine.core().shards() == Shards::ALL;
        let Some((names, ids)) = share.dealing.lacking().filter(|_| !is_alone) else {
            share.undealt = std::mem::take(&mut first.ready);
            return None;
        };
        first.stage = Stage::AwaitPlacing;
        let given = self.query(request, Query::Placing { names: names.into(), ids: ids.into() });
        match self.end_unless_later(request, given) {
            Given::Answer(response) => Some(Given::Answer(self.cors.mark(response))),
            Given::Later | Given::MuchLater | Given::Streamed(..) | Given::Piece(_) | Given::Nothing(_) => None,
        }
    }

    /// It was looked up.
    pub(super) fn placing_found(&mut self, request: RequestId, placing: Placing) -> Given {
        if let Some(first) = self.batches.first_of(request)
            && let Some(share) = &mut first.share
        {
            share.dealing.learn(placing);
            share.undealt = std::mem::take(&mut first.ready);
            first.stage = Stage::Deal;
        }
        Given::Later
    }

    /// Deals changes for a while.
    pub(super) fn deal(&mut self, engine: &Engine, request: RequestId) -> Option<Given> {
        let first = self.batches.first_of(request)?;
        let (share, beside, until) = (first.share.as_mut()?, first.batch.meant(), until());
        let Some(me) = engine.nodes.as_ref().and_then(|nodes| nodes.me()) else {
            return Some(self.refuse_batch(request, &Refusal::NotOwned.into()));
        };
        while clock::mono() < until {
            let Some(ready) = share.undealt.pop_front() else {
                match share.theirs.is_empty() {
                    true => first.end_sharing(),
                    false => first.stage = Stage::Ask,
                }
                return None;
            };
            match share.dealing.deal(engine.core(), me, &ready.action, &beside) {
                Dealt::Here(shard) => first.ready.push_back(Ready { shard, ..ready }),
                Dealt::There(node, shard) => {
                    let theirs = share.theirs.entry(node).or_default();
                    theirs.places.push(ready.place);
                    theirs.shards.insert(shard);
                }
                Dealt::Refused(reply) => first.batch.note(ready.place, &reply),
            }
        }
        None
    }

    /// Asks another node for what it has. Once all are asked, they are waited for.
    pub(super) fn ask_others(&mut self, engine: &Engine, request: RequestId, now: Now) -> Option<Given> {
        let number = number_of_part(self.batches.parts_asked);
        let first = self.batches.first_of(request)?;
        let share = first.share.as_mut()?;
        let Some((&node, theirs)) = share.theirs.iter_mut().find(|(_, theirs)| theirs.number.is_none()) else {
            share.since = now.mono;
            first.end_sharing();
            self.batches.away.extend(self.batches.queue.pop_front().map(|first| (request, first)));
            self.batches.fetch_answered();
            return None;
        };
        let (body, places) = first.batch.part(&theirs.places);
        let text = share.passed.part(Part::new(&theirs.shards, &first.batch.meant()), body).text();
        (theirs.number, theirs.places) = (Some(number), places);
        let ask = Ask::Forward { request: number, asked: now.mono, to: Owner::Node(node), text };
        if engine.nodes.as_ref().is_some_and(|nodes| nodes.ask(ask)) {
            share.has_asked = true;
            self.batches.parts_asked += 1;
            self.batches.parts.insert(number, request);
        } else if let Some(theirs) = share.theirs.remove(&node) {
            first.batch.refuse_all(&theirs.places, &not_asked());
        }
        None
    }

    /// Another node answers to the part that has this number.
    pub(super) fn part_answered(&mut self, number: RequestId, answer: Result<StoredAnswer, Unplaced>) {
        let Some(request) = self.batches.parts.remove(&number) else {
            return self.replays.note(number, answer);
        };
        let Some(UnderWay { batch, share: Some(share), .. }) = self.batches.find(request) else { return };
        let mut asked = share.theirs.extract_if(.., |_, theirs| theirs.number == Some(number));
        if let Some((_, theirs)) = asked.next() {
            share.has_done |= batch.merge(&theirs.places, answer);
        }
        drop(asked);
        self.batches.fetch_answered();
    }

    /// Answers that nothing of this node's own could be kept with are kept.
    pub(super) fn kept_alone(&mut self, engine: &mut Engine) -> Vec<(RequestId, Given)> {
        let kept = engine.take_kept_alone().into_iter();
        let planned = kept.filter_map(|request| Some((request, self.keys.end(request)?))).collect::<Vec<_>>();
        planned.into_iter().map(|(request, response)| (request, Given::Answer(self.cors.mark(response)))).collect()
    }

    /// Nodes that are gone, or take too long, are waited for no longer.
    pub(super) fn give_up_waiting(&mut self, engine: &Engine, now: Now) {
        let nodes = engine.nodes.as_ref();
        let mut given_up = Vec::new();
        for share in self.batches.away.values().filter_map(|away| away.share.as_ref()) {
            let is_late = now.mono >= share.since.plus(PARTS_WAIT_MAX);
            let is_gone = |node| nodes.is_some_and(|nodes| nodes.is_gone(node, share.since));
            let theirs = share.theirs.iter().filter(|(node, _)| is_late || is_gone(**node));
            given_up.extend(theirs.filter_map(|(_, theirs)| theirs.number));
        }
        for number in given_up {
            self.part_answered(number, Err(Unplaced::Failed));
        }
    }
}

fn not_asked() -> ApiError {
    ApiError::unavailable("the node that has the job cannot be asked now; nothing has changed, try again")
}
