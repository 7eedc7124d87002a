//! Owns what one worker holds: attempts, connections and targets, and which attempt gets which resting connection.
//! It must not wait: `worker` does, and calls it with what has happened. New connections are `opening`'s.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;
use slab::Slab;

use super::connection::Link;
use super::flight::{Flight, describe};
use super::head::Heads;
use super::opening::Openers;
use super::resolver::Resolver;
use super::stats::Counters;
use super::target::Target;
use super::tls::Trust;
use crate::clock;
use crate::core::{Attempt, Outcome, Report};
use crate::limits::{ANSWER_READ_LEN, ATTEMPTS_PER_TURN_MAX, GROWTH_TICK, IDLE_CONNECTION_TIME_MAX, POST_LEN_MAX};
use crate::time::{DeadlineHeap, MonoUs};

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
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
}

/// One worker's attempts and connections.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) setup: Setup,
    /// Attempts that were handed over and not taken up.
    pub(super) inbox: VecDeque<Attempt>,
    /// Reports to be given back.
    pub(super) reports: Vec<Report>,
    /// How long the worker has waited for events, ever.
    pub(super) waited: MonoUs,
    pub(super) held: Held,
    /// What all connections read into.
    pub(super) input: Box<[u8]>,
    /// Where bodies go that nobody reads.
    pub(super) scratch: Box<[u8]>,
    /// What all requests are written into.
    output: Box<[u8]>,
    next_tick: MonoUs,
    next_sweep: MonoUs,
}

/// What is lost when a worker fails, and built anew.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) flights: Slab<Flight>,
    pub(super) links: Slab<Link>,
    pub(super) targets: Slab<Target>,
    /// Targets by authority as written in the URL: plain ones and those with TLS.
    names: [HashMap<Box<str>, u32>; 2],
    /// The target found last: what is sent together often goes to one.
    last_found: Option<u32>,
    /// Time limits of the flights. A limit may have moved on since: then it is set anew when it is reached.
    pub(super) deadlines: DeadlineHeap<MonoUs>,
    /// Attempts without a connection, over all targets.
    pub(super) waiting: usize,
    /// Targets whose attempts may be able to go on.
    dirty: Vec<u32>,
    /// Targets that want another connection.
    pub(super) openers: Openers,
    /// Targets whose attempts wait until a connection is free or worth opening.
    throttled: Vec<u32>,
    /// Targets whose name is being looked up.
    pub(super) resolving: Vec<u32>,
}

impl Driver {
    pub(super) fn new(setup: Setup) -> Driver {
        Driver {
            setup,
            inbox: VecDeque::new(),
            reports: Vec::new(),
            waited: MonoUs(0),
            held: Held::default(),
            input: vec![0; ANSWER_READ_LEN].into(),
            scratch: vec![0; ANSWER_READ_LEN].into(),
            output: vec![0; POST_LEN_MAX].into(),
            next_tick: MonoUs(0),
            next_sweep: MonoUs(0),
        }
    }

    /// How long the worker may wait for events; None: as long as it likes.
    pub(super) fn patience(&self) -> Option<Duration> {
        if !self.inbox.is_empty() || !self.held.openers.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.held.deadlines.peek().map(|(at, _)| at);
        let tick = (!self.held.throttled.is_empty()).then_some(self.next_tick);
        let sweep = (!self.held.links.is_empty()).then_some(self.next_sweep);
        let at = [deadline, tick, sweep].into_iter().flatten().min()?;
        Some(Duration::from_micros(at.0.saturating_sub(clock::mono().0)))
    }

    /// Takes up attempts that were handed over, a bounded number.
    pub(super) fn take_up(&mut self) {
        let now = clock::now();
        for _ in 0..ATTEMPTS_PER_TURN_MAX {
            let Some(attempt) = self.inbox.pop_front() else { break };
            self.begin(Flight::new(attempt, now));
        }
    }

    /// Names have been resolved.
    pub(super) fn note_resolved(&mut self) {
        for target in std::mem::take(&mut self.held.resolving) {
            self.held.targets[target as usize].resolving = false;
            self.held.mark(target);
        }
    }

    /// Does what time demands. No more than `most` attempts are given up in one turn: a thousand that were sent
    /// together end together, and others must not wait for that.
    pub(super) fn note_time(&mut self, most: usize) {
        let now = clock::mono();
        for _ in 0..most {
            let Some(flight) = self.held.deadlines.pop_due(now) else { break };
            self.expire(flight, now);
        }
        if now >= self.next_tick {
            self.next_tick = now.plus(GROWTH_TICK);
            for target in std::mem::take(&mut self.held.throttled) {
                self.held.targets[target as usize].throttled = false;
                self.held.mark(target);
            }
        }
        if now >= self.next_sweep {
            self.next_sweep = now.plus(SWEEP_EVERY);
            if cfg!(debug_assertions) {
                self.held.check();
            }
            let limit = now.0.checked_sub(u64::try_from(IDLE_CONNECTION_TIME_MAX.as_micros()).unwrap_or(u64::MAX));
            let Some(limit) = limit.map(MonoUs) else { return };
            let mut stale = Vec::new();
            for (_, target) in &mut self.held.targets {
                stale.extend(std::iter::from_fn(|| target.take_stale(limit)));
            }
            stale.into_iter().for_each(|link| self.close(link));
        }
    }

    /// Gives waiting attempts the connections there are, and opens those that are worth it.
    pub(super) fn serve_all(&mut self) {
        while let Some(target) = self.held.dirty.pop() {
            self.held.targets[target as usize].dirty = false;
            self.serve(target);
            self.held.forget_if_unused(target);
        }
    }

    /// Tells how many attempts have no connection.
    pub(super) fn count_waiting(&self) {
        self.setup.counters.wait(self.inbox.len() + self.held.waiting);
    }

    /// Whether attempts wait that may be sent soon: then whoever takes reports is better left alone.
    pub(super) fn is_draining(&self) -> bool {
        !self.inbox.is_empty() || self.held.waiting > 0
    }

    /// Reports everything that was taken up as failed, and starts anew. What is in the inbox goes on.
    pub(super) fn abandon(&mut self, why: &str) {
        let now = clock::mono();
        let held = std::mem::take(&mut self.held);
        for (_, flight) in &held.flights {
            self.reports.push(flight.report(Outcome::WorkerFailed(why.to_owned()), now));
        }
        self.setup.counters.abandoned();
    }

    fn begin(&mut self, flight: Flight) {
        let start = flight.start;
        let post = Arc::clone(&flight.attempt.post);
        let id = number(self.held.flights.insert(flight));
        let target_id = match self.held.find_target(post.url.uri()) {
            Ok(target) => target,
            Err(why) => return self.finish(id, Outcome::ConnectionFailed(why), start),
        };
        self.held.flights[id as usize].target = Some(target_id);
        self.held.deadlines.set(id, start.plus(self.setup.timeout));
        let target = &mut self.held.targets[target_id as usize];
        if target.waiting.is_empty()
            && let Some(link) = target.take_idle()
        {
            self.setup.counters.reused();
            self.send(link, id);
        } else {
            self.held.wait(target_id, id);
        }
    }

    /// Sends what waits on connections that rest. For the rest, the target asks for another connection.
    fn serve(&mut self, id: u32) {
        loop {
            let target = &mut self.held.targets[id as usize];
            let Some(&flight) = target.waiting.front() else { return };
            let must_be_fresh = self.held.flights[flight as usize].is_second_try;
            let resting = if must_be_fresh { None } else { target.take_idle() };
            let Some(link) = resting else { return self.held.ask_for_connection(id, self.waited) };
            self.held.take_first(id);
            self.setup.counters.reused();
            self.send(link, flight);
        }
    }

    /// Writes a flight's request to a connection that is ready.
    pub(super) fn send(&mut self, link_id: u32, id: u32) {
        let flight = &mut self.held.flights[id as usize];
        let link = &mut self.held.links[link_id as usize];
        let target = &mut self.held.targets[link.target as usize];
        link.flight = Some(id);
        flight.link = Some(link_id);
        let begun = self.setup.heads.request(&flight.attempt, &target.host_value);
        let begun = begun.and_then(|call| super::exchange::Exchange::begin(call, &mut self.output));
        let (exchange, len) = match begun {
            Ok(begun) => begun,
            Err(why) => {
                let now = flight.start;
                self.close(link_id);
                self.finish(id, Outcome::ConnectionFailed(format!("the request cannot be written: {why}")), now);
                return;
            }
        };
        flight.dispatch();
        flight.waited = self.waited;
        target.note_sent(self.waited);
        if let Err(error) = link.send(exchange, &self.output[..len]) {
            self.lose(link_id, describe(&error));
        }
    }

    /// Reports a flight. Its connection has been dealt with.
    pub(super) fn finish(&mut self, id: u32, outcome: Outcome, now: MonoUs) {
        self.held.deadlines.remove(id);
        let flight = self.held.flights.remove(id as usize);
        self.reports.push(flight.report(outcome, now));
    }

    /// Closes a connection that no list of resting ones holds.
    pub(super) fn close(&mut self, id: u32) {
        let link = self.held.links.remove(id as usize);
        let target = &mut self.held.targets[link.target as usize];
        target.open -= 1;
        if !link.is_ready() {
            target.connecting -= 1;
        }
        self.setup.counters.closed();
        self.held.mark(link.target);
    }
}

impl Held {
    /// An attempt waits for its target, behind others.
    fn wait(&mut self, target: u32, id: u32) {
        self.targets[target as usize].waiting.push_back(id);
        self.waiting += 1;
        self.mark(target);
    }

    /// An attempt waits for its target, before others.
    pub(super) fn wait_first(&mut self, target: u32, id: u32) {
        self.targets[target as usize].waiting.push_front(id);
        self.waiting += 1;
        self.mark(target);
    }

    /// The attempt that is next to be sent to a target waits no more.
    pub(super) fn take_first(&mut self, target: u32) {
        let first = self.targets[target as usize].waiting.pop_front();
        self.waiting -= usize::from(first.is_some());
    }

    /// This attempt waits no more, wherever in the queue it stands.
    pub(super) fn stop_waiting(&mut self, target: u32, id: u32) {
        let waiting = &mut self.targets[target as usize].waiting;
        let position = waiting.iter().position(|&waits| waits == id);
        waiting.remove(position.expect("a flight without a connection waits for its target"));
        self.waiting -= 1;
        self.mark(target);
    }

    /// The target will be served.
    pub(super) fn mark(&mut self, id: u32) {
        let target = &mut self.targets[id as usize];
        if !target.dirty {
            target.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Checks that every attempt has a time limit and either a connection or a place in a queue, and that the
    /// targets count their connections right; O(n).
    pub(super) fn check(&self) {
        assert_eq!(self.deadlines.len(), self.flights.len(), "an attempt without a time limit, or the reverse");
        let connected = self.flights.iter().filter(|(id, flight)| {
            let link = flight.link.map(|link| &self.links[link as usize]);
            assert!(link.is_none_or(|link| link.flight == Some(number(*id))), "a connection serves another attempt");
            link.is_some()
        });
        let waiting: usize = self.targets.iter().map(|(_, target)| target.waiting.len()).sum();
        assert_eq!(waiting, self.waiting, "attempts that wait are counted wrong");
        assert_eq!(connected.count() + waiting, self.flights.len(), "an attempt that nobody will go on with");
        let (mut open, mut connecting, mut idle) = (0, 0, 0);
        for (_, target) in &self.targets {
            (open, connecting) = (open + target.open as usize, connecting + target.connecting as usize);
            idle += target.idle_len() as usize;
        }
        assert_eq!(open, self.links.len(), "connections that no target counts");
        assert_eq!(connecting, self.links.iter().filter(|(_, link)| !link.is_ready()).count());
        assert_eq!(idle, self.links.iter().filter(|(_, link)| link.flight.is_none()).count());
    }

    /// The target is looked at again with the next tick.
    pub(super) fn throttle(&mut self, id: u32) {
        let target = &mut self.targets[id as usize];
        if !target.throttled {
            target.throttled = true;
            self.throttled.push(id);
        }
    }

    fn find_target(&mut self, uri: &http::Uri) -> Result<u32, String> {
        let name = uri.authority().ok_or("the URL has no host")?.as_str();
        let https = uri.scheme_str() == Some("https");
        let last = self.last_found.map(|last| &self.targets[last as usize]);
        if last.is_some_and(|last| *last.name == *name && last.https == https) {
            return Ok(self.last_found.expect("it was just looked at"));
        }
        let names = &mut self.names[usize::from(https)];
        let id = match names.get(name) {
            Some(&known) => known,
            None => {
                let new = number(self.targets.insert(Target::new(uri)?));
                names.insert(name.into(), new);
                new
            }
        };
        self.last_found = Some(id);
        Ok(id)
    }

    fn forget_if_unused(&mut self, id: u32) {
        if self.targets[id as usize].is_unused() {
            let target = self.targets.remove(id as usize);
            self.last_found = None;
            self.names[usize::from(target.https)].remove(&target.name);
        }
    }
}

/// A slab's key as the number that lists and heaps use.
pub(super) fn number(key: usize) -> u32 {
    u32::try_from(key).expect("memory ends long before four billion attempts or connections")
}
