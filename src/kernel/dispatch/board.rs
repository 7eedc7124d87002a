//! Owns all that a worker has under way: flights, links and peers, the time limits, and who waits for what.
//! It must not move bytes: `driver` does, and throws the board away when it fails.

use std::collections::{HashMap, VecDeque};

use slab::Slab;

use super::allowlist::Allowlist;
use super::connection::{Link, Stage};
use super::flight::Flight;
use super::opening::Openers;
use super::peer::Peer;
use crate::time::{DeadlineHeap, MonoUs};

/// What is lost when a worker fails, and built anew.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) flights: Slab<Flight>,
    pub(super) links: Slab<Link>,
    pub(super) peers: Slab<Peer>,
    /// Targets by authority as written in the URL: plain ones and those with TLS.
    names: [HashMap<Box<str>, u32>; 2],
    /// The target found last: what is sent together often goes to one.
    last_found: Option<u32>,
    /// Time limits of the flights. A limit may have moved on since: then it is set anew when it is reached.
    pub(super) deadlines: DeadlineHeap<MonoUs>,
    /// Until when connections may drain.
    pub(super) draining: DeadlineHeap<MonoUs>,
    /// Since when connections rest, over all targets.
    resting: DeadlineHeap<MonoUs>,
    /// Attempts without a connection, over all targets.
    pub(super) waiting: usize,
    /// Targets whose attempts may be able to go on.
    dirty: Vec<u32>,
    /// Targets that want another connection.
    pub(super) openers: Openers,
    /// Targets whose attempts wait until a connection is free or worth opening.
    throttled: Vec<u32>,
    /// Targets whose name is being looked up.
    resolving: Vec<u32>,
}

impl Board {
    /// An attempt waits for its target, behind others.
    pub(super) fn wait(&mut self, peer: u32, id: u32) {
        self.queue_of(peer, id).push_back(id);
        self.waiting += 1;
        self.mark(peer);
    }

    /// An attempt waits for its target, before others.
    pub(super) fn wait_first(&mut self, peer: u32, id: u32) {
        self.queue_of(peer, id).push_front(id);
        self.waiting += 1;
        self.mark(peer);
    }

    /// The attempt that is next to get a connection that rested waits no more.
    pub(super) fn take_waiting(&mut self, peer: u32) {
        let first = self.peers[peer as usize].waiting.pop_front();
        self.waiting -= usize::from(first.is_some());
    }

    /// This attempt waits no more, wherever in a queue it stands.
    pub(super) fn stop_waiting(&mut self, peer: u32, id: u32) {
        let queue = self.queue_of(peer, id);
        let position = queue.iter().position(|&waits| waits == id);
        queue.remove(position.expect("a flight without a connection waits for its target"));
        self.waiting -= 1;
        self.mark(peer);
    }

    /// Where an attempt waits.
    fn queue_of(&mut self, peer: u32, id: u32) -> &mut VecDeque<u32> {
        let peer = &mut self.peers[peer as usize];
        if self.flights[id as usize].needs_fresh() { &mut peer.fresh } else { &mut peer.waiting }
    }

    /// Lets a connection of this target rest. False: the target has enough of them.
    #[must_use]
    pub(super) fn rest(&mut self, peer: u32, link: u32, now: MonoUs) -> bool {
        let room = self.peers[peer as usize].rest(link);
        if room {
            self.resting.set(link, now);
        }
        room
    }

    /// The connection of this target that began to rest last.
    pub(super) fn take_idle(&mut self, peer: u32) -> Option<u32> {
        let link = self.peers[peer as usize].take_idle()?;
        self.resting.remove(link);
        Some(link)
    }

    /// This connection rests no more.
    pub(super) fn forget_idle(&mut self, link: u32) {
        self.resting.remove(link);
        self.peers[self.links[link as usize].peer as usize].forget_idle(link);
    }

    /// The connection, of any target, that has rested longest, if since `limit` or before.
    pub(super) fn take_stale(&mut self, limit: MonoUs) -> Option<u32> {
        let link = self.resting.pop_due(limit)?;
        self.peers[self.links[link as usize].peer as usize].forget_idle(link);
        Some(link)
    }

    /// Connections that no attempt needs at the moment.
    pub(super) fn spare(&self) -> usize {
        self.resting.len() + self.draining.len()
    }

    /// The target will be served.
    pub(super) fn mark(&mut self, id: u32) {
        let peer = &mut self.peers[id as usize];
        if !peer.dirty {
            peer.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Takes a target that is to be served.
    pub(super) fn take_marked(&mut self) -> Option<u32> {
        let id = self.dirty.pop()?;
        self.peers[id as usize].dirty = false;
        Some(id)
    }

    /// The target is looked at again with the next tick.
    pub(super) fn throttle(&mut self, id: u32) {
        let peer = &mut self.peers[id as usize];
        if !peer.throttled {
            peer.throttled = true;
            self.throttled.push(id);
        }
    }

    /// Whether a target waits for the next tick.
    pub(super) fn has_throttled(&self) -> bool {
        !self.throttled.is_empty()
    }

    /// The tick has come: those who waited for it will be served.
    pub(super) fn mark_throttled(&mut self) {
        for id in std::mem::take(&mut self.throttled) {
            self.peers[id as usize].throttled = false;
            self.mark(id);
        }
    }

    /// The target's name is being looked up.
    pub(super) fn resolve(&mut self, id: u32) {
        let peer = &mut self.peers[id as usize];
        if !peer.resolving {
            peer.resolving = true;
            self.resolving.push(id);
        }
    }

    /// Names were looked up: those who wait for one will be served, and ask again.
    pub(super) fn mark_resolving(&mut self) {
        for id in std::mem::take(&mut self.resolving) {
            self.peers[id as usize].resolving = false;
            self.mark(id);
        }
    }

    /// Checks that every attempt has a time limit and either a connection or a place in a queue, and that the
    /// targets count their connections right; O(n).
    pub(super) fn check(&self) {
        assert_eq!(self.deadlines.len(), self.flights.len(), "an attempt without a time limit, or the reverse");
        let connected = self.flights.iter().filter(|(id, flight)| {
            let link = flight.link.map(|link| &self.links[link as usize]);
            assert!(link.is_none_or(|link| link.flight == Some(number(*id))), "a connection serves another attempt");
            let racing = flight.race.iter().flat_map(|race| &race.links);
            for &link in racing {
                assert_eq!(self.links[link as usize].flight, Some(number(*id)), "a connection is made for another");
            }
            link.is_some() || flight.race.is_some()
        });
        let waiting: usize = self.peers.iter().map(|(_, peer)| peer.waits()).sum();
        assert_eq!(waiting, self.waiting, "attempts that wait are counted wrong");
        assert_eq!(connected.count() + waiting, self.flights.len(), "an attempt that nobody will go on with");
        let (mut open, mut draining, mut connecting, mut idle) = (0, 0, 0, 0);
        for (_, peer) in &self.peers {
            (open, connecting) = (open + peer.open as usize, connecting + peer.connecting as usize);
            draining += peer.draining as usize;
            idle += peer.idle_len() as usize;
        }
        assert_eq!(open + draining, self.links.len(), "connections that no target counts");
        let drains = |link: &Link| matches!(link.stage, Stage::Draining(_));
        assert_eq!(draining, self.links.iter().filter(|(_, link)| drains(link)).count());
        assert_eq!(idle, self.resting.len(), "a connection that rests since no time, or the reverse");
        assert_eq!(draining, self.draining.len(), "a connection that drains without a time limit, or the reverse");
        assert_eq!(connecting, self.links.iter().filter(|(_, link)| !link.is_ready()).count());
        let rests = |link: &Link| link.flight.is_none() && !drains(link);
        assert_eq!(idle, self.links.iter().filter(|(_, link)| rests(link)).count());
    }

    /// Finds out where a flight goes, if it may go there.
    pub(super) fn find_peer(&mut self, flight: u32, targets: &Allowlist) -> Result<u32, String> {
        let url = &self.flights[flight as usize].errand.post().url;
        let (name, https) = (url.authority(), url.is_https());
        let last = self.last_found.map(|last| &self.peers[last as usize]);
        let id = if last.is_some_and(|last| *last.name == *name && last.https == https) {
            self.last_found.expect("it was just looked at")
        } else if let Some(&known) = self.names[usize::from(https)].get(name) {
            known
        } else {
            let new = number(self.peers.insert(Peer::new(url, targets)?));
            self.names[usize::from(https)].insert(name.into(), new);
            new
        };
        self.last_found = Some(id);
        self.flights[flight as usize].peer = Some(id);
        Ok(id)
    }

    /// Forgets a target to which nothing is under way.
    pub(super) fn forget_if_unused(&mut self, id: u32) {
        if self.peers[id as usize].is_unused() {
            let peer = self.peers.remove(id as usize);
            self.last_found = None;
            self.names[usize::from(peer.https)].remove(&peer.name);
        }
    }
}

/// A slab's key as the number that lists and heaps use.
pub(super) fn number(key: usize) -> u32 {
    u32::try_from(key).expect("memory ends long before four billion attempts or connections")
}
