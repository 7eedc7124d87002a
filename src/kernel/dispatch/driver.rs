//! Owns the course of one worker's attempts: taken up, sent on a resting connection or queued for one, reported.
//! It must not wait: `worker` does, and calls it with what has happened. New connections are `opening`'s.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;

use super::board::{Board, number};
use super::connection::Stage;
use super::exchange::{Asked, Exchange};
use super::flight::{Flight, TimeLimits, describe};
use super::head::{Heads, closes};
use super::lease::Lease;
use super::resolver::Resolver;
use super::stats::Counters;
use super::trust::Trust;
use crate::clock;
use crate::core::{Errand, ErrandReport, Outcome};
use crate::job::Content;
use crate::limits::{ANSWER_READ_LEN, ATTEMPTS_PER_TURN_MAX, GROWTH_TICK, IDLE_CONNECTION_TIME_MAX};
use crate::time::MonoUs;

/// How often resting connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What a worker is told at its start.
#[derive(Debug)]
pub(super) struct Setup {
    /// The worker's number, by which the resolver wakes it.
    pub(super) worker: usize,
    pub(super) registry: Registry,
    pub(super) resolver: Resolver,
    pub(super) trust: Arc<Trust>,
    pub(super) counters: Arc<Counters>,
    pub(super) heads: Heads,
    pub(super) limits: TimeLimits,
    /// Until when executions may be sent.
    pub(super) lease: Lease,
    /// How many connections may be open that no attempt needs at the moment.
    pub(super) idle_max: usize,
}

impl Setup {
    pub(super) fn new(
        worker: usize,
        registry: Registry,
        resolver: Resolver,
        trust: Arc<Trust>,
        heads: Heads,
        limits: TimeLimits,
        idle_max: usize,
    ) -> Setup {
        let lease = Lease::default();
        Setup { worker, registry, resolver, trust, counters: Arc::default(), heads, limits, lease, idle_max }
    }

    /// With the lease that all workers look at.
    pub(super) fn under(self, lease: Lease) -> Setup {
        Setup { lease, ..self }
    }
}

/// One worker's attempts and connections.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) setup: Setup,
    /// Attempts that were handed over and not taken up.
    pub(super) inbox: VecDeque<Errand>,
    /// Reports to be given back.
    pub(super) reports: Vec<ErrandReport>,
    /// How long the worker has waited for events, ever.
    pub(super) waited: MonoUs,
    pub(super) board: Board,
    /// What all connections read into.
    pub(super) input: Box<[u8]>,
    /// Where bodies go that nobody reads.
    pub(super) scratch: Box<[u8]>,
    /// What all requests are written into.
    output: Vec<u8>,
    /// What bodies are filled in.
    body: String,
    next_tick: MonoUs,
    next_sweep: MonoUs,
}

impl Driver {
    pub(super) fn new(setup: Setup) -> Driver {
        Driver {
            setup,
            inbox: VecDeque::new(),
            reports: Vec::new(),
            waited: MonoUs(0),
            board: Board::default(),
            input: vec![0; ANSWER_READ_LEN].into(),
            scratch: vec![0; ANSWER_READ_LEN].into(),
            output: Vec::new(),
            body: String::new(),
            next_tick: MonoUs(0),
            next_sweep: MonoUs(0),
        }
    }

    /// How long the worker may wait for events; None: as long as it likes.
    pub(super) fn patience(&self) -> Option<Duration> {
        if !self.inbox.is_empty() || !self.board.openers.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.board.deadlines.peek().map(|(at, _)| at);
        let drained = self.board.draining.peek().map(|(at, _)| at);
        let tick = self.board.has_throttled().then_some(self.next_tick);
        let sweep = (!self.board.links.is_empty()).then_some(self.next_sweep);
        let at = [deadline, drained, tick, sweep].into_iter().flatten().min()?;
        Some(Duration::from_micros(at.0.saturating_sub(clock::mono().0)))
    }

    /// Takes up attempts that were handed over, a bounded number.
    pub(super) fn take_up(&mut self) {
        let now = clock::now();
        // What they say is in no cache. Looked at one right behind the other, it comes from memory at once.
        let coming = self.inbox.iter().take(ATTEMPTS_PER_TURN_MAX).map(|errand| &errand.post().url);
        black_box(coming.map(|url| url.path().len()).sum::<usize>());
        for _ in 0..ATTEMPTS_PER_TURN_MAX {
            let Some(errand) = self.inbox.pop_front() else { break };
            self.begin(Flight::new(errand, now));
        }
    }

    /// Names have been resolved.
    pub(super) fn note_resolved(&mut self) {
        self.board.mark_resolving();
    }

    /// Does what time demands. No more than `most` attempts are given up in one turn: a thousand that were sent
    /// together end together, and others must not wait for that.
    pub(super) fn note_time(&mut self, most: usize) {
        let now = clock::mono();
        for _ in 0..most {
            let Some(flight) = self.board.deadlines.pop_due(now) else { break };
            self.expire(flight, now);
        }
        for _ in 0..most {
            let Some(link) = self.board.draining.pop_due(now) else { break };
            self.close(link);
        }
        if now >= self.next_tick {
            self.next_tick = now.plus(GROWTH_TICK);
            self.board.mark_throttled();
        }
        if now >= self.next_sweep {
            self.next_sweep = now.plus(SWEEP_EVERY);
            if cfg!(debug_assertions) {
                self.board.check();
            }
            let limit = now.0.checked_sub(u64::try_from(IDLE_CONNECTION_TIME_MAX.as_micros()).unwrap_or(u64::MAX));
            let Some(limit) = limit.map(MonoUs) else { return };
            while let Some(link) = self.board.take_stale(limit) {
                self.close(link);
            }
        }
    }

    /// Gives waiting attempts the connections there are, and opens those that are worth it.
    pub(super) fn serve_all(&mut self) {
        while let Some(peer) = self.board.take_marked() {
            self.serve(peer);
            self.board.forget_if_unused(peer);
        }
    }

    /// Tells how many attempts have no connection.
    pub(super) fn count_waiting(&self) {
        self.setup.counters.wait(self.inbox.len() + self.board.waiting);
    }

    /// Whether attempts wait that may be sent soon: then whoever takes reports is better left alone.
    pub(super) fn is_draining(&self) -> bool {
        !self.inbox.is_empty() || self.board.waiting > 0
    }

    /// Reports everything that was taken up as failed, and starts anew. What is in the inbox goes on.
    pub(super) fn abandon(&mut self, why: &str) {
        let now = clock::mono();
        let board = std::mem::take(&mut self.board);
        for (_, flight) in board.flights {
            self.reports.push(flight.report(Outcome::WorkerFailed(why.to_owned()), now));
        }
        self.setup.counters.abandoned();
    }

    /// Gives up all executions there are, sent or not: they are nobody's any more. Alerts and the like go on.
    pub(super) fn give_up(&mut self) {
        let now = clock::now();
        let is_execution = |errand: &Errand| matches!(errand, Errand::Execution(_));
        let (executions, others) = std::mem::take(&mut self.inbox).into_iter().partition(is_execution);
        self.inbox = others;
        let executions: VecDeque<Errand> = executions;
        for errand in executions {
            let flight = Flight::new(errand, now);
            let outcome = flight.withheld();
            self.reports.push(flight.report(outcome, now.mono));
        }
        let under_way = self.board.flights.iter().filter(|(_, flight)| is_execution(&flight.errand));
        for id in under_way.map(|(id, _)| number(id)).collect::<Vec<u32>>() {
            // As if their time were up.
            self.expire(id, self.limit(id));
        }
    }

    fn begin(&mut self, flight: Flight) {
        let start = flight.start;
        let id = number(self.board.flights.insert(flight));
        let peer_id = match self.board.find_peer(id, self.setup.resolver.targets()) {
            Ok(peer) => peer,
            Err(why) => return self.finish(id, Outcome::ConnectionFailed(why), start),
        };
        self.board.deadlines.set(id, self.limit(id));
        if self.board.peers[peer_id as usize].waiting.is_empty()
            && !self.board.flights[id as usize].needs_fresh()
            && let Some(link) = self.take_quiet(peer_id)
        {
            self.setup.counters.reused();
            self.send(link, id);
        } else {
            self.board.wait(peer_id, id);
        }
    }

    /// Sends what waits on connections that rest. For the rest, the target asks for another connection.
    fn serve(&mut self, id: u32) {
        while let Some(&flight) = self.board.peers[id as usize].waiting.front() {
            let Some(link) = self.take_quiet(id) else { break };
            self.board.take_waiting(id);
            self.setup.counters.reused();
            self.send(link, flight);
        }
        if self.board.peers[id as usize].waits() > 0 {
            self.board.ask_for_connection(id, self.waited);
        }
    }

    /// A connection of this target that rests and can be used. One that said something since its last answer is closed:
    /// it would pass for the next one.
    fn take_quiet(&mut self, peer: u32) -> Option<u32> {
        while let Some(link) = self.board.take_idle(peer) {
            if self.board.links[link as usize].is_quiet(&mut self.input) {
                return Some(link);
            }
            self.close(link);
        }
        None
    }

    /// Writes a flight's request to a connection that is ready.
    pub(super) fn send(&mut self, link_id: u32, id: u32) {
        let flight = &mut self.board.flights[id as usize];
        if matches!(flight.errand, Errand::Execution(_)) && self.setup.lease.has_ended() {
            let (outcome, now) = (flight.withheld(), flight.start);
            self.close(link_id);
            return self.finish(id, outcome, now);
        }
        let link = &mut self.board.links[link_id as usize];
        let peer = &mut self.board.peers[link.peer as usize];
        link.flight = Some(id);
        flight.link = Some(link_id);
        let post = flight.errand.post();
        let (body, content_type) = match post.content() {
            Content::None => (&b""[..], None),
            Content::Fixed(body, content_type) => (body, Some(content_type)),
            Content::Filled(template, content_type) => {
                self.body.clear();
                self.setup.heads.fill(&flight.errand, template, &mut self.body);
                (self.body.as_bytes(), Some(content_type))
            }
        };
        self.output.clear();
        let described = content_type.map(|content_type| (content_type, body));
        self.setup.heads.write(&flight.errand, &peer.host_value, described, &mut self.output);
        let exchange = Exchange::begin(Asked { method: post.method(), closes: closes(post) });
        flight.note_name(peer.name_wait(flight.start));
        let was_sent = flight.dispatch();
        flight.waited = self.waited;
        peer.note_sent(self.waited);
        if let Err((error, has_left)) = link.send(exchange, &self.output) {
            if !has_left {
                flight.take_back(was_sent);
            }
            self.lose(link_id, describe(&error));
        }
    }

    /// Until when a flight may take.
    pub(super) fn limit(&self, id: u32) -> MonoUs {
        self.board.flights[id as usize].start.plus(self.limits_of(id).whole)
    }

    /// How long a flight may take.
    pub(super) fn limits_of(&self, id: u32) -> TimeLimits {
        self.setup.limits.of(self.board.flights[id as usize].errand.post())
    }

    /// Reports a flight. Its connection has been dealt with.
    pub(super) fn finish(&mut self, id: u32, outcome: Outcome, now: MonoUs) {
        self.board.deadlines.remove(id);
        let flight = self.board.flights.remove(id as usize);
        self.reports.push(flight.report(outcome, now));
    }

    /// Closes the connection, of any target, that is needed least: it drains, or has rested longest. False: there is none.
    pub(super) fn close_a_spare_one(&mut self) -> bool {
        const ANY: MonoUs = MonoUs(u64::MAX);
        let Some(link) = self.board.draining.pop_due(ANY).or_else(|| self.board.take_stale(ANY)) else { return false };
        self.close(link);
        true
    }

    /// Closes a connection that no list of resting ones holds.
    pub(super) fn close(&mut self, id: u32) {
        let link = self.board.links.remove(id as usize);
        let peer = &mut self.board.peers[link.peer as usize];
        match link.stage {
            Stage::Connecting(_) | Stage::Securing(_) => {
                (peer.open, peer.connecting) = (peer.open - 1, peer.connecting - 1)
            }
            Stage::Busy(_) | Stage::Idle => peer.open -= 1,
            Stage::Draining(_) => {
                peer.draining -= 1;
                self.board.draining.remove(id);
            }
        }
        self.setup.counters.closed();
        self.board.mark(link.peer);
    }
}
