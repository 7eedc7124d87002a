//! Owns one process: its core, its membership, its writer's queue, and what its workers may believe.
//! It must not reach the store or the others: the world carries what it asks for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use punctual::cluster::Membership;
use punctual::core::{ExecutionId, Handle, NodeId, Persist, Scheduler, Shards};
use punctual::time::{Deadline, MonoUs};

use super::clock::Clock;

/// What is asked of the store, and not answered.
#[derive(Clone)]
pub(crate) enum Request {
    Batch { number: u64, items: Arc<Vec<(u64, Persist)>>, is_leaving: bool },
    Take { number: u64, held: Shards, most: usize },
    Look { asked: MonoUs },
    Revoke { node: NodeId, beat: u64 },
}

/// The batch or takeover that is on its way.
pub(crate) struct Out {
    pub(crate) request: Request,
    pub(crate) number: u64,
    /// The newest item in it.
    pub(crate) through: u64,
    /// When it was sent for the first time.
    pub(crate) first_sent: MonoUs,
    pub(crate) tries: u64,
}

pub(crate) struct Node {
    pub(crate) clock: Clock,
    /// How often a process was started.
    pub(crate) process: u64,
    pub(crate) me: Option<NodeId>,
    pub(crate) core: Option<Scheduler>,
    pub(crate) member: Option<Membership>,
    pub(crate) queue: VecDeque<(u64, Persist)>,
    pub(crate) out: Option<Out>,
    pub(crate) next_batch: u64,
    /// The newest item that is written, or given up.
    pub(crate) through: u64,
    pub(crate) issued: u64,
    pub(crate) wants_beat: bool,
    pub(crate) wants_take: Option<usize>,
    /// The item by which shards are released.
    pub(crate) releasing: Option<u64>,
    /// What workers may believe.
    pub(crate) lease: MonoUs,
    pub(crate) paused_until: u64,
    /// For how long it pauses as soon as a worker has looked at its lease.
    pub(crate) pauses_at_look: Option<u64>,
    pub(crate) cut_off_until: u64,
    /// When something last kept it from telling that it lives.
    pub(crate) hindered_until: u64,
    /// Since when it is to stop.
    pub(crate) draining_since: Option<u64>,
    pub(crate) down_us: u64,
    /// Only the newest alarm counts.
    pub(crate) alarm: u64,
    pub(crate) offset_us: i64,
    /// Who sent what is in flight.
    pub(crate) in_flight: BTreeMap<(Handle, u32), (NodeId, ExecutionId)>,
}

impl Node {
    pub(crate) fn new(clock: Clock) -> Node {
        Node {
            offset_us: clock.offset_us(),
            clock,
            process: 0,
            me: None,
            core: None,
            member: None,
            queue: VecDeque::new(),
            out: None,
            next_batch: 1,
            through: 0,
            issued: 0,
            wants_beat: false,
            wants_take: None,
            releasing: None,
            lease: MonoUs(0),
            paused_until: 0,
            pauses_at_look: None,
            cut_off_until: 0,
            hindered_until: 0,
            draining_since: None,
            down_us: 0,
            alarm: 0,
            in_flight: BTreeMap::new(),
        }
    }

    /// The process dies, or ends.
    pub(crate) fn end(&mut self) {
        let clock = self.clock.clone();
        let (process, alarm) = (self.process + 1, self.alarm + 1);
        let (paused_until, cut_off_until) = (0, self.cut_off_until);
        *self = Node { process, alarm, paused_until, cut_off_until, ..Node::new(clock) };
    }

    /// The incarnation is over; the process goes on.
    pub(crate) fn forget_incarnation(&mut self) {
        self.queue.clear();
        (self.me, self.member, self.out) = (None, None, None);
        (self.next_batch, self.through, self.wants_beat, self.wants_take) = (1, self.issued, false, None);
        (self.releasing, self.lease) = (None, MonoUs(0));
        // Workers give up what another incarnation handed out before they may trust again.
        self.in_flight.clear();
    }

    /// Its core, if it trusts that what it has is its own.
    pub(crate) fn trusting(&self, true_us: u64) -> Option<&Scheduler> {
        self.core.as_ref().filter(|_| self.clock.now(true_us).mono < self.lease)
    }

    /// When it has to do something by itself.
    pub(crate) fn when(&self) -> Option<u64> {
        let core = self.core.as_ref().map(Scheduler::poll_timeout).unwrap_or_default();
        let member = self.member.as_ref().and_then(Membership::poll_timeout);
        let member = self.clock.when(Deadline { wall: None, mono: member });
        [self.clock.when(core), member].into_iter().flatten().min()
    }

    /// The next thing for the store, if nothing is on its way.
    pub(crate) fn next_out(&mut self, true_us: u64) -> Option<Request> {
        if self.out.is_some() || self.member.is_none() {
            return None;
        }
        let (number, first_sent) = (self.next_batch, self.clock.now(true_us).mono);
        let request = if let Some(most) = self.wants_take.take() {
            let held = self.core.as_ref().map(|core| *core.shards()).unwrap_or_default();
            Request::Take { number, held, most }
        } else if self.wants_beat || !self.queue.is_empty() {
            self.wants_beat = false;
            let items: Vec<(u64, Persist)> = self.queue.drain(..self.queue.len().min(20)).collect();
            self.through = items.last().map_or(self.through, |(number, _)| *number);
            let is_leaving = self.member.as_ref().is_some_and(Membership::is_leaving);
            Request::Batch { number, items: Arc::new(items), is_leaving }
        } else {
            return None;
        };
        self.out = Some(Out { request: request.clone(), number, through: self.through, first_sent, tries: 1 });
        Some(request)
    }
}
