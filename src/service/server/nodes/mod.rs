//! Owns this server's part among nodes that share a database: its membership, and carrying out what follows from it.
//! It must not decide who is to have what (`cluster` does), nor what becomes of a job (the core does).
//!
//! `arriving` is what was taken over, on its way to the core; `passing` are requests that another node has to carry out, and
//! those that others pass on; `told` is what clients hear of nodes; `shared` is what clients said at another node of what belongs to no job.

mod arriving;
mod passing;
mod shared;
mod told;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::connection::Given;
use super::engine::Engine;
use crate::api;
use crate::cluster::{Deed, Heard, Membership};
use crate::core::{Input, NodeId, RequestId, Shard};
use crate::dispatch::Lease;
use crate::limits::{LEAVE_TIME_MAX, SHARED_EVENTS_PER_TURN_MAX, SKEW_MAX};
use crate::store::{Ask, Forwarded, SharedEvent, Sharing, Sight, StoredAnswer, Unplaced};
use crate::time::{MonoUs, Now};

use arriving::Arriving;
pub(super) use passing::{is_part, is_passed_on, number_of_part, number_of_passed, owner_of};

/// What this server knows of the others, and they of it.
#[derive(Debug)]
pub(super) struct Nodes {
    sharing: Sharing,
    /// None: it is no node at the moment.
    member: Option<Membership>,
    lease: Lease,
    arriving: Option<Arriving>,
    /// The item by which shards are released that are on their way.
    releasing: Option<u64>,
    /// The version of what clients say of all jobs, and whether it was asked for anew and is still to come.
    config: (u64, bool),
    sight: Option<Box<Sight>>,
    /// Since when all is to be given away.
    leaving_since: Option<MonoUs>,
    /// Whether others took it for dead, and its workers still have something of that time.
    is_lost: bool,
    /// How often that happened.
    fenced: u64,
    /// Whether it was told that a clock is wrong.
    is_skewed: bool,
    /// What cannot be read that this node should know, and why, if so.
    unread: Option<String>,
    /// Why this server can be no node, if so.
    unfit: Option<String>,
    asked: VecDeque<Forwarded>,
    /// In which shard is what requests that others passed on are about.
    shards: BTreeMap<u64, Shard>,
    answered: VecDeque<(RequestId, Result<StoredAnswer, Unplaced>)>,
}

impl Nodes {
    /// A node that owns nothing yet. Until it is told otherwise nothing is sent.
    pub(super) fn new(sharing: Sharing, lease: Lease) -> Nodes {
        lease.set(MonoUs(0));
        Nodes {
            member: sharing.me().map(Membership::new),
            sharing,
            lease,
            arriving: None,
            releasing: None,
            config: (0, false),
            sight: None,
            leaving_since: None,
            is_lost: false,
            fenced: 0,
            is_skewed: false,
            unread: None,
            unfit: None,
            asked: VecDeque::new(),
            shards: BTreeMap::new(),
            answered: VecDeque::new(),
        }
    }

    /// Which node this server is; None: none at the moment.
    pub(super) fn me(&self) -> Option<NodeId> {
        self.sharing.me()
    }

    /// How the cluster was when it was last looked at.
    pub(super) fn sight(&self) -> Option<&Sight> {
        self.sight.as_deref()
    }

    /// How often others took this server for dead.
    pub(super) fn fenced(&self) -> u64 {
        self.fenced
    }

    /// Whether this node was no more when the cluster was looked at last, if that was after this moment.
    pub(super) fn is_gone(&self, node: NodeId, since: MonoUs) -> bool {
        let seen = self.sight.as_ref().map(|sight| &sight.seen).filter(|seen| seen.asked > since);
        seen.is_some_and(|seen| !seen.lives(node))
    }

    /// For how long it may still trust what it has.
    pub(super) fn lease_left(&self, mono: MonoUs) -> Duration {
        let until = self.member.as_ref().map_or(MonoUs(0), Membership::trusted_until);
        Duration::from_micros(until.0.saturating_sub(mono.0))
    }

    /// Why nothing is sent, if so.
    pub(super) fn trouble(&self, mono: MonoUs) -> Option<String> {
        if self.member.is_none() {
            return Some("others took this node for dead; it joins them anew".to_owned());
        }
        let has_lapsed = self.lease_left(mono).is_zero();
        has_lapsed
            .then(|| "the database has not answered in time, so that others may take over; nothing is sent".into())
    }

    /// Why some jobs are not sent, if so.
    pub(super) fn unread(&self) -> Option<String> {
        self.unread.clone()
    }

    /// Why this server can be no node, and is to end, if so.
    pub(super) fn unfit(&self) -> Option<&str> {
        self.unfit.as_deref()
    }

    /// Whether all shards are some node's that lives, and those that are this one's are in its memory.
    pub(super) fn is_settled(&self) -> bool {
        let (Some(member), Some(sight), Some(me)) = (&self.member, &self.sight, self.me()) else { return false };
        sight.seen.unowned() == 0 && sight.seen.owned_by(me).len() <= member.held().len()
    }

    /// All is given away from now on.
    pub(super) fn leave(&mut self, now: Now) {
        self.leaving_since.get_or_insert(now.mono);
        // If it cannot be told, others go on giving it shards, which it gives away.
        let _is_asked = self.sharing.ask(Ask::Leave(None));
        self.hear(Heard::Drain, now);
    }

    /// Whether all is being given away, or was.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving_since.is_some()
    }

    /// Whether nothing is left to be given away, or nobody is there who could take it, or not in time.
    pub(super) fn has_left(&self, now: Now) -> bool {
        let (Some(member), Some(since)) = (&self.member, self.leaving_since) else { return true };
        let others = self.sight.iter().flat_map(|sight| &sight.seen.nodes);
        let mut sharing = others.filter(|node| Some(node.id) != self.me() && !node.is_dead && !node.is_leaving);
        member.has_left() || sharing.next().is_none() || now.mono >= since.plus(LEAVE_TIME_MAX)
    }

    /// When it is to turn again at the latest.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        self.member.as_ref().and_then(Membership::poll_timeout)
    }

    /// Something was told by another thread or node, is carried out, or is due. True if there is more to do at once.
    pub(super) fn turn(&mut self, engine: &mut Engine, now: Now) -> bool {
        self.note_batches(engine, now);
        for _ in 0..SHARED_EVENTS_PER_TURN_MAX {
            let Some(event) = self.sharing.try_event() else { break };
            self.note(event, engine, now);
        }
        let arrives = self.arrive(engine, now);
        while let Some(deed) = self.member.as_mut().and_then(|member| member.poll(now)) {
            self.carry_out(deed, engine, now);
        }
        if self.is_lost && engine.has_nothing_out() {
            // Whatever workers had of the time before is given up.
            self.is_lost = false;
            self.sharing.join();
        }
        if self.member.is_none() && !self.is_lost && self.me().is_some() {
            // It has joined anew, and goes on when it knows what clients say of all jobs: none goes by what was before.
            self.ask_config();
        }
        arrives || !self.asked.is_empty() || !self.answered.is_empty()
    }

    /// A batch was handed over, so that it need not beat.
    pub(super) fn note_sent(&mut self, now: Now) {
        self.hear(Heard::Sent, now);
    }

    /// The next request that another node has passed on.
    pub(super) fn next_asked(&mut self) -> Option<Forwarded> {
        let asked = self.asked.pop_front()?;
        self.shards.extend(asked.shard.map(|shard| (asked.id, shard)));
        Some(asked)
    }

    /// In which shard is what a request is about that another node has passed on.
    pub(super) fn shard_of(&self, id: u64) -> Option<Shard> {
        self.shards.get(&id).copied()
    }

    /// The next answer to a request that was passed on.
    pub(super) fn next_answered(&mut self) -> Option<(RequestId, Result<StoredAnswer, Unplaced>)> {
        self.answered.pop_front()
    }

    /// Asks something of the database or another node. False: too much is asked already.
    #[must_use]
    pub(super) fn ask(&self, ask: Ask) -> bool {
        self.sharing.ask(ask)
    }

    /// What a request comes to that another node has passed on.
    pub(super) fn answer(&mut self, id: u64, given: Given) {
        let answer = match given {
            Given::Later | Given::MuchLater => return,
            Given::Answer(response) => api::passed(&response),
            // What changes something is answered as a whole.
            Given::Streamed(..) | Given::Piece(_) | Given::Nothing(_) => None,
        };
        self.shards.remove(&id);
        // If it cannot be told, whoever asked hears that it is not known what became of it.
        let _is_told = self.sharing.ask(Ask::Answer { id, answer: Some(answer.unwrap_or_else(unanswerable)) });
    }

    /// A request that another node has passed on is nobody's here: nothing was done.
    pub(super) fn give_back(&mut self, id: u64) {
        self.shards.remove(&id);
        let _is_told = self.sharing.ask(Ask::Answer { id, answer: None });
    }

    fn hear(&mut self, heard: Heard, now: Now) {
        if let Some(member) = &mut self.member {
            member.hear(heard, now);
        }
    }

    /// What became of batches.
    fn note_batches(&mut self, engine: &mut Engine, now: Now) {
        if engine.is_fenced() {
            return self.hear(Heard::Fenced, now);
        }
        if let Some(sent) = engine.take_acknowledged() {
            self.hear(Heard::Acknowledged { sent }, now);
        }
        if self.releasing.is_some_and(|item| item <= engine.through()) {
            self.releasing = None;
            self.hear(Heard::Released(*engine.core().shards()), now);
        }
    }

    fn note(&mut self, event: SharedEvent, engine: &mut Engine, now: Now) {
        match event {
            SharedEvent::Joined(node) => {
                tracing::info!(node = node.0, "joined the others anew");
                self.config = (0, false);
            }
            SharedEvent::Config(config) => {
                self.config = (config.version, false);
                // Of jobs that cannot be read that is said again.
                self.unread = None;
                shared::take(engine, *config, now);
                if self.member.is_none() && !self.is_lost {
                    self.member = self.me().map(Membership::new);
                    if self.leaving_since.is_some() {
                        self.leave(now);
                    }
                }
            }
            SharedEvent::ConfigUnread => self.config.1 = false,
            SharedEvent::Acknowledged(sent) => self.hear(Heard::Acknowledged { sent }, now),
            SharedEvent::NotBeaten => self.hear(Heard::NotBeaten, now),
            SharedEvent::NotTaken => self.hear(Heard::Taken(*engine.core().shards()), now),
            SharedEvent::Jobs(node, jobs) if self.is_member(node) => {
                self.arriving.get_or_insert_default().jobs.extend(jobs);
            }
            SharedEvent::Unread(node, why) if self.is_member(node) => {
                self.arriving = None;
                tracing::error!(reason = %why, "jobs that were taken over cannot be read; it is tried again");
                self.unread = Some(format!("jobs that it takes over cannot be read, and are not sent: {why}"));
            }
            SharedEvent::Taken(node, taken) if self.is_member(node) => {
                self.unread = None;
                self.arriving.get_or_insert_default().rest = Some(taken);
            }
            SharedEvent::Seen(node, sight) if self.is_member(node) => self.see(sight, now),
            // Of the node that this server was before.
            SharedEvent::Jobs(..) | SharedEvent::Unread(..) | SharedEvent::Taken(..) | SharedEvent::Seen(..) => {}
            SharedEvent::Unfit(why) => self.note_unfit(why),
            SharedEvent::Rung => self.hear(Heard::Rung, now),
            SharedEvent::Asked(requests) => self.asked.extend(requests),
            SharedEvent::Answered(answers) => self.answered.extend(answers),
            SharedEvent::Failed { what, why } => tracing::warn!(reason = %why, "{what} fails; it is tried again"),
        }
    }

    /// This server lacks what secrets were sealed with. It ends if there is somebody who may have that; if there is none, what
    /// it can read goes on all the same.
    fn note_unfit(&mut self, why: String) {
        let (me, others) = (self.me(), self.sight.iter().flat_map(|sight| &sight.seen.nodes));
        let mut others = others.filter(|node| Some(node.id) != me && !node.is_dead && !node.is_leaving);
        if others.next().is_some() {
            self.unfit = Some(why);
            return;
        }
        self.arriving = None;
        if self.unread.as_ref() != Some(&why) {
            tracing::error!(reason = %why, "not everything can be read, and no other node is there");
        }
        self.unread = Some(why);
    }

    /// Whether this server is this node, and was not taken for dead as it: until it joins anew it still has the name.
    fn is_member(&self, node: NodeId) -> bool {
        self.member.is_some() && self.me() == Some(node)
    }

    fn see(&mut self, sight: Box<Sight>, now: Now) {
        let skew_max_us = i64::try_from(SKEW_MAX.as_micros()).unwrap_or(i64::MAX) / 2;
        let is_skewed = sight.skew_us.abs() > skew_max_us;
        if is_skewed && !self.is_skewed {
            let by_ms = sight.skew_us / 1000;
            tracing::warn!(by_ms, "this machine's clock is not that of the database: check both");
        }
        self.is_skewed = is_skewed;
        let me = self.me();
        let is_to_leave = sight.seen.nodes.iter().any(|node| Some(node.id) == me && node.is_leaving);
        if is_to_leave && self.leaving_since.is_none() {
            tracing::info!("this node was told to give away all it has");
            self.leave(now);
        }
        if sight.config != self.config.0 {
            self.ask_config();
        }
        self.hear(Heard::Seen(Box::new(sight.seen.clone())), now);
        self.sight = Some(sight);
    }

    fn ask_config(&mut self) {
        // If it cannot be asked for now, it is again at the next look, or turn.
        self.config.1 = self.config.1 || self.sharing.ask(Ask::Config);
    }

    fn carry_out(&mut self, deed: Deed, engine: &mut Engine, now: Now) {
        match deed {
            // If it cannot be asked, it is again in time.
            Deed::Look => drop(self.sharing.ask(Ask::Look { asked: now.mono })),
            Deed::Beat => self.sharing.beat(),
            Deed::Trust(until) => {
                self.lease.set(until);
                engine.input(Input::Lease(until), now);
            }
            Deed::Revoke { node, beat } => {
                tracing::warn!(node = node.0, "a node shows no sign of life; it counts as dead from now on");
                // If it cannot be, the next look finds the same.
                let _is_asked = self.sharing.ask(Ask::Revoke { node, beat });
            }
            // Whoever stops takes nothing over, and gives away no more than it has.
            Deed::Take { .. } | Deed::Release { .. } if engine.is_draining() => {}
            Deed::Take { most } => self.sharing.take(most, *engine.core().shards()),
            Deed::Release { shards, to } => {
                tracing::info!(shards = shards.len(), node = to.0, "shards are given to another node");
                engine.release(shards, to, now);
                self.releasing = Some(engine.newest());
            }
            Deed::Lost => self.lose(engine, now),
        }
    }

    /// Others took this node for dead, and have what it had.
    fn lose(&mut self, engine: &mut Engine, now: Now) {
        tracing::error!("others took this node for dead, and have its jobs; it joins them anew");
        self.lease.set(MonoUs(0));
        (self.member, self.arriving, self.releasing, self.unread) = (None, None, None, None);
        self.shards.clear();
        (self.is_lost, self.fenced) = (true, self.fenced + 1);
        engine.lose(now);
    }
}

fn unanswerable() -> StoredAnswer {
    StoredAnswer { status: 500, headers: Vec::new(), body: Vec::new() }
}
