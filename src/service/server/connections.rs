//! Owns all client connections: accepting, their slots, their turns, their time limits.
//! It must not know what a request means.

use std::collections::{BTreeSet, VecDeque};

use mio::event::Event;
use mio::{Interest, Registry, Token};
use slab::Slab;

use super::addresses::Addresses;
use super::connection::{Allowance, Connection, Expiry, Given, Overdue, Step};
use super::listeners::Listeners;
use super::peer::Peer;
use super::socket::Socket;
use crate::api::Stream;
use crate::core::RequestId;
use crate::http::{Refusal, Request, Response};
use crate::limits::{
    ACCEPTS_PER_TURN_MAX, BEHIND_MIN, BEHIND_PACE_MIN, CONNECTIONS_MAX, EVENT_CLIENTS_MAX, EXPIRIES_PER_TURN_MAX,
    LARGE_BODIES_MAX, PIECES_PER_TURN_MAX, REQUESTS_AT_ONCE_MAX,
};
use crate::time::{DeadlineHeap, MonoUs};

/// The first token of a connection; those below belong to the loop.
pub(super) const FIRST_TOKEN: usize = 16;
/// Bytes read from a socket at once.
const READ_SIZE: usize = 16 * 1024;
/// Bits of a request's number that say in which slot it is.
const SLOT_BITS: u32 = 16;
const _: () = assert!(CONNECTIONS_MAX + EVENT_CLIENTS_MAX < 1 << SLOT_BITS, "a slot fits into a request's number");

/// Something to answer.
#[derive(Debug)]
pub(super) enum Asked {
    /// A request.
    Request(Request),
    /// What came is no request.
    Refused(Refusal),
    /// Too many send a large body.
    Crowded,
    /// The next piece of an answer that is streamed.
    Piece(Stream),
}

/// How many clients there are, and what became of others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clients {
    /// Connections.
    pub(super) open: usize,
    /// Those of them that listen to events.
    pub(super) listeners: usize,
    /// Unsent bytes of all of them.
    pub(super) unsent: usize,
    /// Closed at rest, or before their request was whole, to make room.
    pub(super) evicted: u64,
    /// Not taken up, as their address has many.
    pub(super) refused: u64,
    /// Cut off, as they read too slowly.
    pub(super) too_slow: u64,
    /// Ended before they were encrypted.
    pub(super) handshakes_failed: u64,
    /// Those that send a large body.
    pub(super) large: usize,
    /// Sent away, as too many did.
    pub(super) crowded: u64,
}

/// All client connections.
#[derive(Debug)]
pub(super) struct Connections {
    entrances: Listeners,
    output_max: usize,
    all: Slab<Connection>,
    /// Those that listen to events. They have a limit of their own, and count in no other.
    listeners: BTreeSet<u32>,
    addresses: Addresses,
    deadlines: DeadlineHeap<MonoUs>,
    /// Connections that can go on, in the order in which they do: one that has had its share comes behind all others.
    queue: VecDeque<u32>,
    /// Connections that want a piece of an answer, of which there was none left in this turn.
    without_piece: VecDeque<u32>,
    /// Connections that were given a piece of an answer in this turn: in the next one they come behind the others.
    given_pieces: VecDeque<u32>,
    /// Pieces that may still be made in this turn.
    pieces_left: u32,
    /// Until when none is made.
    rest_until: Option<MonoUs>,
    /// Another process goes on where this one ends: each connection ends with its next answer.
    is_handed_over: bool,
    /// There is no room for clients that wait to be accepted.
    is_full: bool,
    /// Requests so far: each has a number of its own, so that an answer that comes late finds nobody.
    requests: u64,
    counts: Clients,
    scratch: Vec<u8>,
}

impl Connections {
    /// Of which all together hold no more unsent bytes than `output_max`, but for one answer each.
    pub(super) fn new(entrances: Listeners, output_max: usize) -> Connections {
        Connections {
            entrances,
            output_max,
            all: Slab::new(),
            listeners: BTreeSet::new(),
            addresses: Addresses::default(),
            deadlines: DeadlineHeap::default(),
            queue: VecDeque::new(),
            without_piece: VecDeque::new(),
            given_pieces: VecDeque::new(),
            pieces_left: PIECES_PER_TURN_MAX,
            rest_until: None,
            is_handed_over: false,
            is_full: false,
            requests: 0,
            counts: Clients::default(),
            scratch: vec![0; READ_SIZE],
        }
    }

    pub(super) fn clients(&self) -> Clients {
        let (open, handshakes_failed) = (self.all.len(), self.entrances.handshakes_failed());
        Clients { open, listeners: self.listeners.len(), handshakes_failed, ..self.counts }
    }

    /// Whether something can go on without waiting.
    pub(super) fn has_more(&self) -> bool {
        let pieces = self.without_piece.len() + self.given_pieces.len();
        let has_queued = !self.queue.is_empty() || (pieces > 0 && self.rest_until.is_none());
        has_queued || (self.entrances.has_clients() && !self.is_full)
    }

    /// When to look at the next connection that may have to be cut off, or pieces are made again.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        let cut_off = self.deadlines.peek().map(|(at, _)| at);
        [cut_off, self.rest_until].into_iter().flatten().min()
    }

    /// Clients wait to be accepted at one of the addresses.
    pub(super) fn note_clients(&mut self, place: usize) {
        self.entrances.note(place);
    }

    /// The server stops. Where the socket is not ours, whoever comes from now on is left to the next process. Whether there
    /// is such a one.
    pub(super) fn leave(&mut self) -> bool {
        self.entrances.leave()
    }

    /// Another process goes on: each connection ends with its next answer, so that its client asks there.
    pub(super) fn hand_over(&mut self) {
        self.is_handed_over = true;
    }

    /// Whether somebody asks, or is being answered, who would not be answered by the next process.
    pub(super) fn has_asking(&self) -> bool {
        self.is_handed_over && self.all.iter().any(|(_, connection)| connection.asks())
    }

    /// Takes up clients that wait: some in each turn. A full house makes room by closing what is dubious, or at rest.
    /// `is_free`: as many as there are may come from there.
    pub(super) fn accept(&mut self, registry: &Registry, mono: MonoUs, is_free: impl Fn(Peer) -> bool) {
        if !self.entrances.has_clients() {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            self.is_full = self.all.len() - self.listeners.len() >= CONNECTIONS_MAX && !self.evict(mono);
            if self.is_full {
                return;
            }
            match self.entrances.accept() {
                Ok(Some((stream, peer))) => self.admit(stream, peer, is_free(peer), registry, mono),
                Ok(None) => return,
                // The client is gone already, or the process has too many files open: once another has left.
                Err(why) => {
                    tracing::debug!(%why, "failed to accept a connection");
                    self.is_full = true;
                    return;
                }
            }
        }
    }

    fn admit(&mut self, mut stream: Socket, peer: Peer, is_free: bool, registry: &Registry, mono: MonoUs) {
        if !is_free && self.addresses.is_full(peer.address) {
            self.counts.refused += 1;
            return;
        }
        let entry = self.all.vacant_entry();
        let token = Token(FIRST_TOKEN + entry.key());
        stream.send_at_once();
        if let Err(why) = registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE) {
            tracing::warn!(%why, "failed to watch a connection");
            return;
        }
        let slot = small(entry.key());
        entry.insert(Connection::new(stream, peer, mono));
        self.addresses.add(peer.address);
        self.queue(slot);
    }

    /// Makes room for another client. What is dubious goes first, the oldest before the others: a request that is not
    /// whole is from a client that trickles, and whoever waits is likelier to be served well. Then what is at rest, and then who
    /// takes what he is answered slowest: whoever reads just fast enough must not shut all others out.
    pub(super) fn evict(&mut self, mono: MonoUs) -> bool {
        let oldest = |is_meant: fn(&Connection) -> bool| {
            let mut slots = self.deadlines.ascending().map(|(_, slot)| slot);
            slots.find(|&slot| is_meant(&self.all[slot as usize]))
        };
        let behind = || {
            let all = self.all.iter().filter(|(slot, _)| !self.listeners.contains(&small(*slot)));
            let all = all.filter_map(|(slot, of)| Some((of.pace_behind(mono, BEHIND_MIN)?, small(slot))));
            all.min().filter(|(pace, _)| *pace < BEHIND_PACE_MIN).map(|(_, slot)| slot)
        };
        let found = oldest(Connection::is_dubious).or_else(|| oldest(Connection::is_idle)).or_else(behind);
        let Some(slot) = found else { return false };
        self.counts.evicted += 1;
        self.close(slot);
        true
    }

    /// Takes note of what a socket tells.
    pub(super) fn note(&mut self, event: &Event, mono: MonoUs) {
        let Some(index) = event.token().0.checked_sub(FIRST_TOKEN) else { return };
        let Some(connection) = self.all.get_mut(index) else { return };
        // Over a unix socket a client that has sent all and closed looks as if it were reset: what it sent counts, as over
        // TCP, and whether it still reads shows when something is sent.
        let gone = event.is_error() || (event.is_write_closed() && !connection.stream().is_unix());
        let left = event.is_read_closed() || event.is_write_closed();
        connection.note(event.is_readable() || left || gone, left, gone, mono);
        self.queue(small(index));
    }

    /// A new turn: those that waited for it come behind those whose turn did not come in the last one. While pieces rest,
    /// they wait for longer.
    pub(super) fn begin_turn(&mut self, rest_until: Option<MonoUs>) {
        self.rest_until = rest_until;
        if rest_until.is_some() {
            self.pieces_left = 0;
            return;
        }
        self.pieces_left = PIECES_PER_TURN_MAX;
        self.queue.append(&mut self.without_piece);
        self.queue.append(&mut self.given_pieces);
    }

    /// The connection whose turn it is.
    pub(super) fn next(&mut self) -> Option<u32> {
        let slot = self.queue.pop_front()?;
        if let Some(connection) = self.all.get_mut(slot as usize) {
            connection.is_queued = false;
        }
        Some(slot)
    }

    /// Lets a connection go on; `answer` gives what it asks for, and says whether there is time for more.
    pub(super) fn drive(
        &mut self,
        slot: u32,
        mono: MonoUs,
        date: &str,
        mut answer: impl FnMut(RequestId, Peer, Asked) -> (Given, bool),
    ) {
        let Some(connection) = self.all.get_mut(slot as usize) else { return };
        connection.begin();
        let (mut queue, mut had_piece) = (&mut self.queue, false);
        for _ in 0..REQUESTS_AT_ONCE_MAX {
            let allowance = Allowance {
                piece: self.pieces_left > 0,
                output: self.counts.unsent < self.output_max,
                large_body: self.counts.large < LARGE_BODIES_MAX,
            };
            let step = connection.step(&mut self.scratch, allowance, mono);
            if matches!(step, Step::Request(_) | Step::Refused(_) | Step::Crowded) {
                self.requests += 1;
                connection.request = RequestId(self.requests << SLOT_BITS | u64::from(slot));
            }
            let (asked, last) = match step {
                Step::Request(request) => (Asked::Request(request), false),
                Step::Refused(refusal) => (Asked::Refused(refusal), true),
                Step::Crowded => {
                    self.counts.crowded += 1;
                    (Asked::Crowded, true)
                }
                Step::Piece(stream) if stream.is_made_already() => (Asked::Piece(stream), false),
                Step::Piece(stream) => {
                    self.pieces_left -= 1;
                    had_piece = true;
                    queue = &mut self.given_pieces;
                    (Asked::Piece(stream), false)
                }
                Step::Wait => return self.settle(slot),
                Step::Again => break,
                // Unless it had one in this turn.
                Step::NextTurn if !had_piece => {
                    queue = &mut self.without_piece;
                    break;
                }
                Step::NextTurn => break,
                Step::Closed => return self.close(slot),
            };
            let (given, goes_on) = answer(connection.request, connection.peer, asked);
            connection.give(given, last || self.is_handed_over, date, mono);
            if !goes_on {
                break;
            }
        }
        // What it has does not wait for its next turn; if it cannot be sent, the next step says so.
        drop(connection.flush(mono));
        connection.is_queued = true;
        queue.push_back(slot);
        self.settle(slot);
    }

    /// Lets all that listen go on at once: nothing else will happen any more.
    pub(super) fn drive_listeners(
        &mut self,
        mono: MonoUs,
        date: &str,
        mut answer: impl FnMut(RequestId, Peer, Asked) -> (Given, bool),
    ) {
        self.wake_listeners();
        for slot in self.listeners.clone() {
            self.drive(slot, mono, date, &mut answer);
        }
    }

    /// Whether a connection still waits for the answer to this request.
    pub(super) fn awaits(&self, request: RequestId) -> bool {
        let connection = self.all.get(slot_of(request) as usize);
        connection.is_some_and(|connection| connection.request == request && connection.is_answering())
    }

    /// Gives a connection what it waits for. One that is gone, or waits for it no longer, needs nothing.
    pub(super) fn give(&mut self, request: RequestId, given: Given, date: &str, mono: MonoUs) {
        let slot = slot_of(request);
        let Some(connection) = self.all.get_mut(slot as usize) else { return };
        if connection.request != request {
            return;
        }
        connection.give(given, self.is_handed_over, date, mono);
        self.queue(slot);
        self.settle(slot);
    }

    /// There are events: whoever listens is to ask for them.
    pub(super) fn wake_listeners(&mut self) {
        let Connections { listeners, all, queue, .. } = self;
        for &slot in listeners.iter() {
            let connection = &mut all[slot as usize];
            if connection.wake() && !connection.is_queued {
                connection.is_queued = true;
                queue.push_back(slot);
            }
        }
    }

    /// Looks at connections whose time limit was reached: some in each turn.
    pub(super) fn expire(&mut self, mono: MonoUs, date: &str, answer: impl Fn(Overdue) -> Response) {
        for _ in 0..EXPIRIES_PER_TURN_MAX {
            let Some(slot) = self.deadlines.pop_due(mono) else { return };
            let connection = &mut self.all[slot as usize];
            match connection.expire(mono) {
                Expiry::Owed(overdue) => {
                    connection.answer(&answer(overdue), overdue == Overdue::Request, date, mono);
                    self.queue(slot);
                    self.settle(slot);
                }
                Expiry::TooSlow => {
                    self.counts.too_slow += 1;
                    self.close(slot);
                }
                Expiry::Over => self.close(slot),
                Expiry::Kept => {
                    // Something may have been sent, so that it can go on.
                    self.queue(slot);
                    self.settle(slot);
                }
            }
        }
    }

    /// Lets a connection go on when its turn comes.
    fn queue(&mut self, slot: u32) {
        let connection = &mut self.all[slot as usize];
        if !connection.is_queued {
            connection.is_queued = true;
            self.queue.push_back(slot);
        }
    }

    /// Takes note of a connection's time limit and of what it holds.
    fn settle(&mut self, slot: u32) {
        let connection = &mut self.all[slot as usize];
        self.counts.unsent = self.counts.unsent - connection.counted + connection.unsent();
        connection.counted = connection.unsent();
        self.counts.large =
            self.counts.large + usize::from(connection.is_large) - usize::from(connection.is_counted_large);
        connection.is_counted_large = connection.is_large;
        if connection.listens() && self.listeners.insert(slot) {
            // It makes room for another one.
            self.addresses.remove(connection.peer.address);
            self.is_full = false;
        }
        match connection.deadline() {
            Some(at) => self.deadlines.set(slot, at),
            None => drop(self.deadlines.remove(slot)),
        }
    }

    fn close(&mut self, slot: u32) {
        self.deadlines.remove(slot);
        // Dropping the stream closes it, and takes it out of the poll.
        let mut connection = self.all.remove(slot as usize);
        self.counts.unsent -= connection.counted;
        self.counts.large -= usize::from(connection.is_counted_large);
        if !self.listeners.remove(&slot) {
            self.addresses.remove(connection.peer.address);
        }
        self.is_full = false;
        drop(connection.stream().shutdown(std::net::Shutdown::Both));
    }
}

fn slot_of(request: RequestId) -> u32 {
    u32::try_from(request.0 & ((1 << SLOT_BITS) - 1)).expect("the other bits are masked")
}

fn small(index: usize) -> u32 {
    u32::try_from(index).expect("there are few connections")
}
