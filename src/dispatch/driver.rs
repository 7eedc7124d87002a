//! Owns what one worker holds: attempts, connections and targets, and which attempt gets which connection.
//! It must not wait: `worker` does, and calls it with what has happened.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mio::{Registry, Token};
use slab::Slab;

use super::connection::{Link, Route};
use super::flight::{Flight, describe, is_exhausted, is_out_of_files};
use super::head::Heads;
use super::resolver::{Lookup, Resolver};
use super::stats::Counters;
use super::target::Target;
use super::tls::Trust;
use crate::clock;
use crate::core::{Attempt, DeadlineHeap, MonoUs, Outcome, Report};
use crate::limits::{ANSWER_READ_LEN, ATTEMPTS_PER_TURN_MAX, GROWTH_TICK, IDLE_CONNECTION_TIME_MAX, POST_LEN_MAX};

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
    /// Time limits of the flights.
    pub(super) deadlines: DeadlineHeap<MonoUs>,
    /// Targets whose attempts may be able to go on.
    dirty: Vec<u32>,
    /// Targets whose attempts wait until a connection is free or worth opening.
    throttled: Vec<u32>,
    /// Targets whose name is being looked up.
    resolving: Vec<u32>,
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
        if !self.inbox.is_empty() {
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
        for _ in 0..ATTEMPTS_PER_TURN_MAX {
            let Some(attempt) = self.inbox.pop_front() else { break };
            self.begin(attempt);
        }
    }

    /// Names have been resolved.
    pub(super) fn note_resolved(&mut self) {
        for target in std::mem::take(&mut self.held.resolving) {
            self.held.targets[target as usize].resolving = false;
            self.held.mark(target);
        }
    }

    /// Does what time demands.
    pub(super) fn note_time(&mut self) {
        let now = clock::mono();
        while let Some(flight) = self.held.deadlines.pop_due(now) {
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

    /// Counts attempts without a connection. After serving, only targets on these two lists have any.
    pub(super) fn count_waiting(&self) {
        let held = &self.held;
        let throttled = held.throttled.iter().map(|&id| &held.targets[id as usize]);
        let resolving = held.resolving.iter().map(|&id| &held.targets[id as usize]).filter(|target| !target.throttled);
        let waiting: usize = throttled.chain(resolving).map(|target| target.waiting.len()).sum();
        self.setup.counters.wait(self.inbox.len() + waiting);
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

    fn begin(&mut self, attempt: Attempt) {
        let flight = Flight::new(attempt);
        let start = flight.start;
        let spec = Arc::clone(&flight.attempt.spec);
        let id = number(self.held.flights.insert(flight));
        match self.held.find_target(spec.endpoint.uri()) {
            Ok(target) => {
                self.held.flights[id as usize].target = Some(target);
                self.held.deadlines.set(id, start.plus(self.setup.timeout));
                self.held.targets[target as usize].waiting.push_back(id);
                self.held.mark(target);
            }
            Err(why) => self.finish(id, Outcome::ConnectionFailed(why)),
        }
    }

    fn serve(&mut self, id: u32) {
        loop {
            let now = clock::mono();
            let target = &mut self.held.targets[id as usize];
            let Some(&flight) = target.waiting.front() else { return };
            let must_be_fresh = self.held.flights[flight as usize].is_second_try;
            if !must_be_fresh && let Some(link) = target.take_idle() {
                target.waiting.pop_front();
                self.setup.counters.reused();
                self.send(link, flight);
                continue;
            }
            let may_open = if must_be_fresh { !target.is_paused(now) } else { target.may_open(now, self.waited) };
            if !may_open {
                self.held.throttle(id);
                return;
            }
            let found = match &target.literal {
                Some(address) => Lookup::Known(Arc::clone(address)),
                None => self.setup.resolver.lookup(&target.host, self.setup.worker),
            };
            match found {
                Lookup::Known(addresses) => {
                    target.waiting.pop_front();
                    let route = Route::new(addresses, target.preferred);
                    self.held.flights[flight as usize].connect_by = now.plus(self.setup.connect_timeout);
                    self.connect(flight, route);
                }
                Lookup::Failed(why) => {
                    target.waiting.pop_front();
                    self.finish(flight, Outcome::ConnectionFailed(why.as_ref().to_owned()));
                }
                Lookup::Wait => {
                    if !target.resolving {
                        target.resolving = true;
                        self.held.resolving.push(id);
                    }
                    return;
                }
            }
        }
    }

    /// Opens a connection for a flight, to the first of the route's addresses that does not fail at once.
    pub(super) fn connect(&mut self, id: u32, mut route: Route) {
        let flight = &mut self.held.flights[id as usize];
        let target_id = flight.target.expect("a flight connects when its target is known");
        let was_dispatched = flight.is_dispatched;
        flight.link = None;
        flight.dispatch();
        let (start, connect_by) = (flight.start, flight.connect_by);
        loop {
            let now = clock::mono();
            let target = &mut self.held.targets[target_id as usize];
            let error = match Link::connect(route.clone(), target.port, target_id, id, now) {
                Ok(mut link) => {
                    let entry = self.held.links.vacant_entry();
                    match link.register(&self.setup.registry, Token(entry.key())) {
                        Ok(()) => {
                            let shares = u64::try_from(route.left + 1).unwrap_or(u64::MAX);
                            let share = now.plus_us(connect_by.0.saturating_sub(now.0) / shares);
                            self.held.flights[id as usize].link = Some(number(entry.key()));
                            entry.insert(link);
                            target.open += 1;
                            target.connecting += 1;
                            self.setup.counters.opened();
                            self.held.deadlines.set(id, share.min(start.plus(self.setup.timeout)));
                            return;
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if is_out_of_files(&error) && self.close_an_idle_one() {
                continue;
            }
            if let Some(next) = route.next() {
                route = next;
                continue;
            }
            let target = &mut self.held.targets[target_id as usize];
            if is_exhausted(&error) && target.open > 0 {
                // The connections there are will have to do.
                target.pause(now);
                target.waiting.push_front(id);
                self.held.flights[id as usize].is_dispatched = was_dispatched;
                self.held.deadlines.set(id, start.plus(self.setup.timeout));
                self.held.mark(target_id);
            } else {
                self.finish(id, Outcome::ConnectionFailed(describe(&error)));
            }
            return;
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
                self.close(link_id);
                self.finish(id, Outcome::ConnectionFailed(format!("the request cannot be written: {why}")));
                return;
            }
        };
        flight.dispatch();
        flight.waited = self.waited;
        target.note_sent(self.waited);
        self.held.deadlines.set(id, flight.start.plus(self.setup.timeout));
        if let Err(error) = link.send(exchange, &self.output[..len]) {
            self.lose(link_id, describe(&error));
        }
    }

    /// Reports a flight. Its connection has been dealt with.
    pub(super) fn finish(&mut self, id: u32, outcome: Outcome) {
        self.held.deadlines.remove(id);
        let flight = self.held.flights.remove(id as usize);
        self.reports.push(flight.report(outcome, clock::mono()));
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

    /// Closes the connection that has rested longest, of any target; false: none rests.
    fn close_an_idle_one(&mut self) -> bool {
        let resting = self.held.targets.iter().filter_map(|(id, target)| Some((target.idle_since()?, id)));
        let Some((since, target)) = resting.min() else { return false };
        let link = self.held.targets[target].take_stale(since).expect("it was just seen to rest");
        self.close(link);
        true
    }
}

impl Held {
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

    fn throttle(&mut self, id: u32) {
        let target = &mut self.targets[id as usize];
        if !target.throttled {
            target.throttled = true;
            self.throttled.push(id);
        }
    }

    fn find_target(&mut self, uri: &http::Uri) -> Result<u32, String> {
        let name = uri.authority().ok_or("the URL has no host")?.as_str();
        let names = &mut self.names[usize::from(uri.scheme_str() == Some("https"))];
        if let Some(&known) = names.get(name) {
            return Ok(known);
        }
        let id = number(self.targets.insert(Target::new(uri)?));
        names.insert(name.into(), id);
        Ok(id)
    }

    fn forget_if_unused(&mut self, id: u32) {
        if self.targets[id as usize].is_unused() {
            let target = self.targets.remove(id as usize);
            self.names[usize::from(target.https)].remove(&target.name);
        }
    }
}

/// A slab's key as the number that lists and heaps use.
fn number(key: usize) -> u32 {
    u32::try_from(key).expect("memory ends long before four billion attempts or connections")
}
