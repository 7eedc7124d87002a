//! Owns the opening of connections: which target gets the next one, and when that is worth a worker's time.
//! It must not use a connection: once one is ready, `driver` does.
//!
//! To open a connection costs several times what a request on a resting one does, and a silent target wants one for
//! everything that is sent to it. So a turn opens only a few, targets that answer come first, and the silent ones get
//! theirs when there is nothing else to do.

use std::collections::VecDeque;

use mio::Token;

use super::board::{Board, number};
use super::connection::{Link, Route};
use super::driver::Driver;
use super::flight::{describe, is_exhausted, is_out_of_files};
use super::resolver::Lookup;
use crate::clock;
use crate::core::Outcome;
use crate::limits::{OPENINGS_PER_BUSY_TURN, OPENINGS_PER_TURN};
use crate::time::MonoUs;

/// Targets that want another connection, each once, in turn.
#[derive(Debug, Default)]
pub(super) struct Openers {
    answering: VecDeque<u32>,
    silent: VecDeque<u32>,
}

impl Openers {
    pub(super) fn is_empty(&self) -> bool {
        self.answering.is_empty() && self.silent.is_empty()
    }
}

impl Board {
    /// A target's first waiting attempt needs a connection that is not there.
    pub(super) fn ask_for_connection(&mut self, id: u32, waited: MonoUs) {
        let peer = &mut self.peers[id as usize];
        if !std::mem::replace(&mut peer.opening, true) {
            let silent = peer.is_silent(waited);
            let queue = if silent { &mut self.openers.silent } else { &mut self.openers.answering };
            queue.push_back(id);
        }
    }
}

impl Driver {
    /// Opens some of the connections that targets want. `busy`: other things happened in this turn.
    pub(super) fn open_some(&mut self, busy: bool) {
        for _ in 0..OPENINGS_PER_TURN {
            let Some(peer) = self.board.openers.answering.pop_front() else { break };
            self.open_one(peer);
        }
        for _ in 0..if busy { OPENINGS_PER_BUSY_TURN } else { OPENINGS_PER_TURN } {
            let Some(peer) = self.board.openers.silent.pop_front() else { break };
            self.open_one(peer);
        }
    }

    /// Opens a connection for a target's first waiting attempt, if it is worth one.
    fn open_one(&mut self, id: u32) {
        let now = clock::mono();
        let peer = &mut self.board.peers[id as usize];
        peer.opening = false;
        let Some(&flight) = peer.waiting.front() else { return self.board.mark(id) };
        let must_be_fresh = self.board.flights[flight as usize].is_second_try;
        if !must_be_fresh && peer.idle_len() > 0 {
            return self.board.mark(id);
        }
        let may_open = if must_be_fresh { !peer.is_paused(now) } else { peer.may_open(now, self.waited) };
        if !may_open {
            return self.board.throttle(id);
        }
        let found = match &peer.literal {
            Some(known) => known.clone(),
            None => self.setup.resolver.lookup(&peer.host, self.setup.worker),
        };
        match found {
            Lookup::Known(addresses) => {
                let route = Route::new(addresses, peer.preferred);
                self.board.take_first(id);
                self.board.flights[flight as usize].connect_by = now.plus(self.limits_of(flight).connect);
                self.connect(flight, route);
            }
            Lookup::Failed(why) => {
                self.board.take_first(id);
                self.finish(flight, Outcome::ConnectionFailed(why.as_ref().to_owned()), now);
            }
            Lookup::Wait => return self.board.resolve(id),
        }
        self.board.mark(id);
        if !self.board.peers[id as usize].waiting.is_empty() {
            self.board.ask_for_connection(id, self.waited);
        }
    }

    /// Opens a connection for a flight, to the first of the route's addresses that does not fail at once.
    pub(super) fn connect(&mut self, id: u32, mut route: Route) {
        let flight = &mut self.board.flights[id as usize];
        let peer_id = flight.peer.expect("a flight connects when its target is known");
        let was_dispatched = flight.is_dispatched;
        flight.link = None;
        flight.dispatch();
        let connect_by = flight.connect_by;
        let limit = self.limit(id);
        loop {
            let now = clock::mono();
            let peer = &mut self.board.peers[peer_id as usize];
            let error = match Link::connect(route.clone(), peer.port, peer_id, id, now) {
                Ok(mut link) => {
                    let entry = self.board.links.vacant_entry();
                    match link.register(&self.setup.registry, Token(entry.key())) {
                        Ok(()) => {
                            let shares = u64::try_from(route.left + 1).unwrap_or(u64::MAX);
                            let share = now.plus_us(connect_by.0.saturating_sub(now.0) / shares);
                            self.board.flights[id as usize].link = Some(number(entry.key()));
                            entry.insert(link);
                            peer.open += 1;
                            peer.connecting += 1;
                            self.setup.counters.opened();
                            self.board.deadlines.set(id, share.min(limit));
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
            let peer = &mut self.board.peers[peer_id as usize];
            if is_exhausted(&error) && peer.open > 0 {
                // The connections there are will have to do.
                peer.pause(now);
                self.board.flights[id as usize].is_dispatched = was_dispatched;
                self.board.deadlines.set(id, limit);
                self.board.wait_first(peer_id, id);
            } else {
                self.finish(id, Outcome::ConnectionFailed(describe(&error)), now);
            }
            return;
        }
    }

    /// Closes the connection that has rested longest, of any target; false: none rests.
    fn close_an_idle_one(&mut self) -> bool {
        let resting = self.board.peers.iter().filter_map(|(id, peer)| Some((peer.idle_since()?, id)));
        let Some((since, peer)) = resting.min() else { return false };
        let link = self.board.peers[peer].take_stale(since).expect("it was just seen to rest");
        self.close(link);
        true
    }
}
