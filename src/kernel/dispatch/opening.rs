//! Owns the opening of connections: which target gets the next one, and when that is worth a worker's time.
//! It must not use a connection: once one is ready, `driver` does.
//!
//! To open a connection costs several times what a request on a resting one does, and a silent target wants one for
//! everything that is sent to it. So a turn opens only a few, targets that answer come first, and the silent ones get
//! theirs when there is nothing else to do.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use mio::Token;

use super::board::{Board, number};
use super::connection::{Link, Stage};
use super::course::Phase;
use super::driver::Driver;
use super::flight::{describe, is_exhausted, is_out_of_files};
use super::race::Race;
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
    /// Attempts wait for a target that need a connection which is not there.
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
        // Those that cannot do with a resting one first: one of them may have been on its way before.
        let (flight, may_open) = match (peer.fresh.front(), peer.waiting.front()) {
            (Some(&flight), _) => (flight, peer.may_connect(now)),
            (None, Some(&flight)) if peer.idle_len() == 0 => (flight, peer.may_open(now, self.waited)),
            (None, _) => return self.board.mark(id),
        };
        if !may_open {
            return self.board.throttle(id);
        }
        let found = match &peer.literal {
            Some(known) => known.clone(),
            None => self.setup.resolver.lookup(&peer.host, self.setup.worker),
        };
        let peer = &mut self.board.peers[id as usize];
        match found {
            Lookup::Known(_) | Lookup::Failed(_) => peer.note_name(now),
            Lookup::Wait => peer.ask_name(now),
        }
        let name_wait = peer.name_wait(self.board.flights[flight as usize].start);
        match found {
            Lookup::Known(addresses) => {
                let race = Race::new(addresses, peer.preferred, now.plus(self.limits_of(flight).connect));
                self.board.stop_waiting(id, flight);
                let begun = &mut self.board.flights[flight as usize];
                begun.note_name(name_wait);
                begun.race = Some(Box::new(race));
                self.start_next(flight);
            }
            Lookup::Failed(why) => {
                self.board.stop_waiting(id, flight);
                self.board.flights[flight as usize].note_name(name_wait);
                self.finish(flight, Outcome::ConnectionFailed(why.as_ref().to_owned()), now);
            }
            Lookup::Wait => return self.board.resolve(id),
        }
        self.board.mark(id);
        if self.board.peers[id as usize].waits() > 0 {
            self.board.ask_for_connection(id, self.waited);
        }
    }

    /// Starts the next of the addresses that race for a flight. If none is left and none pending, the flight is over.
    pub(super) fn start_next(&mut self, id: u32) {
        let flight = &mut self.board.flights[id as usize];
        let peer_id = flight.peer.expect("a flight connects when its target is known");
        let (was_started, start) = (flight.is_started, flight.start);
        flight.link = None;
        let now = clock::mono();
        flight.begin(now);
        flight.enter(Phase::Connect, now);
        let limit = self.limit(id);
        loop {
            let now = clock::mono();
            let race = self.board.flights[id as usize].race.as_mut().expect("there is a race until somebody wins");
            let Some(address) = race.start_next(now) else { break };
            match self.open(id, peer_id, address, now) {
                Ok(link) => {
                    let race = self.board.flights[id as usize].race.as_mut().expect("opening does not end it");
                    race.links.push(link);
                    let deadline = race.deadline().min(limit);
                    return self.board.deadlines.set(id, deadline);
                }
                Err(error) => {
                    let race = self.board.flights[id as usize].race.as_mut().expect("opening does not end it");
                    race.note_unopened(address, describe(&error), is_exhausted(&error));
                }
            }
        }
        let now = clock::mono();
        let flight = &mut self.board.flights[id as usize];
        let race = flight.race.take().expect("it was looked at above");
        if !race.links.is_empty() {
            // Others are still pending.
            self.board.deadlines.set(id, race.deadline().min(limit));
            flight.race = Some(race);
            return;
        }
        let peer = &mut self.board.peers[peer_id as usize];
        if race.is_exhausted() && peer.open > 0 {
            // The connections there are will have to do. It waits as it did, and no longer for having tried.
            peer.pause(now);
            (flight.is_started, flight.start) = (was_started, start);
            flight.enter(Phase::Other, now);
            let limit = self.limit(id);
            self.board.deadlines.set(id, limit);
            self.board.wait_first(peer_id, id);
        } else {
            self.finish(id, Outcome::ConnectionFailed(race.into_failure()), now);
        }
    }

    /// Begins to connect to an address. Resting connections give way if there is no file left.
    fn open(&mut self, id: u32, peer_id: u32, address: IpAddr, now: MonoUs) -> io::Result<u32> {
        loop {
            let peer = &mut self.board.peers[peer_id as usize];
            let entry = self.board.links.vacant_entry();
            let opened = Link::connect(address, peer.port, peer_id, id, now).and_then(|mut link| {
                link.register(&self.setup.registry, Token(entry.key()))?;
                Ok(link)
            });
            match opened {
                Ok(link) => {
                    let key = number(entry.key());
                    entry.insert(link);
                    peer.open += 1;
                    peer.connecting += 1;
                    self.setup.counters.opened();
                    return Ok(key);
                }
                Err(error) if is_out_of_files(&error) && self.close_a_spare_one() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// One of the connections that are being made for a flight has failed: the next address is tried at once.
    pub(super) fn lose_race(&mut self, link_id: u32, why: String) {
        let id = self.board.links[link_id as usize].flight.expect("a connection is made for a flight");
        self.close(link_id);
        let race = self.board.flights[id as usize].race.as_mut().expect("a connection that is being made races");
        race.note_failed(link_id, why);
        if race.has_untried() || race.links.is_empty() {
            self.start_next(id);
        }
    }

    /// A connection is made: the others that were being made for the same flight are closed, and the address is
    /// remembered. Until when it must be ready.
    pub(super) fn win_race(&mut self, link_id: u32, address: IpAddr) -> MonoUs {
        let link = &self.board.links[link_id as usize];
        let id = link.flight.expect("a connection is made for a flight");
        let flight = &mut self.board.flights[id as usize];
        let race = flight.race.take().expect("a connection that is being made races");
        flight.link = Some(link_id);
        let peer = &mut self.board.peers[link.peer as usize];
        peer.preferred = Some(address);
        if race.is_news(address) {
            // The target may be forgotten before it is sent to again; its name is not.
            self.setup.resolver.prefer(&peer.host, address);
        }
        for &other in race.links.iter().filter(|&&other| other != link_id) {
            self.close(other);
        }
        race.by()
    }

    /// If a connection comes to nothing as it shakes hands, the address that was connected to is of no use: the next attempt
    /// begins with another one, if there is one.
    pub(super) fn shun(&mut self, link_id: u32) {
        let link = &self.board.links[link_id as usize];
        let peer = &mut self.board.peers[link.peer as usize];
        // While others to the same target are ready it is that one connection that went wrong.
        if let Stage::Securing(address) = link.stage
            && peer.open == peer.connecting
        {
            peer.preferred = peer.preferred.filter(|&preferred| preferred != address);
            self.setup.resolver.shun(&peer.host, address);
        }
    }

    /// A connection has shaken hands: its address is of use, whatever was thought of it.
    pub(super) fn vouch(&mut self, link_id: u32) {
        let link = &self.board.links[link_id as usize];
        if let Stage::Securing(address) = link.stage {
            self.setup.resolver.vouch(&self.board.peers[link.peer as usize].host, address);
        }
    }
}
