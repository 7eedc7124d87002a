//! Owns all client connections: accepting, their slots, their time limits.
//! It must not know what a request means.

use std::collections::VecDeque;
use std::io;

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use slab::Slab;

use super::connection::{Connection, Given, Step};
use crate::api::Stream;
use crate::core::RequestId;
use crate::http::{Refusal, Request, Response};
use crate::limits::{CONNECTIONS_MAX, PIECES_PER_TURN_MAX};
use crate::time::{DeadlineHeap, MonoUs};

/// The first token of a connection; those below belong to the loop.
pub(super) const FIRST_TOKEN: usize = 16;
/// Bytes read from a socket at once.
const READ_SIZE: usize = 16 * 1024;
/// Requests of one connection answered in a turn.
const REQUESTS_PER_TURN_MAX: usize = 32;

/// Something to answer.
#[derive(Debug)]
pub(super) enum Asked {
    /// A request.
    Request(Request),
    /// What came is no request.
    Refused(Refusal),
    /// The next piece of an answer that is streamed.
    Piece(Stream),
}

/// All client connections.
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    all: Slab<Connection>,
    deadlines: DeadlineHeap<MonoUs>,
    /// Connections whose share of the last turn was used up.
    again: VecDeque<u32>,
    /// Connections that were given a piece of an answer in this turn: in the next one they come behind the others.
    given_pieces: VecDeque<u32>,
    /// Pieces that may still be made in this turn.
    pieces_left: u32,
    /// Clients wait to be accepted, and there is no room.
    backlog: bool,
    generations: u32,
    /// Connections at rest that were closed to make room.
    evicted: u64,
    scratch: Vec<u8>,
}

impl Connections {
    pub(super) fn new(listener: TcpListener) -> Connections {
        Connections {
            listener,
            all: Slab::new(),
            deadlines: DeadlineHeap::default(),
            again: VecDeque::new(),
            given_pieces: VecDeque::new(),
            pieces_left: PIECES_PER_TURN_MAX,
            backlog: false,
            generations: 0,
            evicted: 0,
            scratch: vec![0; READ_SIZE],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether some connection can go on without waiting.
    pub(super) fn has_more(&self) -> bool {
        !(self.again.is_empty() && self.given_pieces.is_empty())
    }

    /// When the next connection is to be cut off.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        self.deadlines.peek().map(|(at, _)| at)
    }

    /// Takes up every client that waits. A full house makes room by closing a connection at rest.
    pub(super) fn accept(&mut self, registry: &Registry, mono: MonoUs) {
        self.backlog = true;
        while self.all.len() < CONNECTIONS_MAX || self.evict_idle() {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream, registry, mono),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    self.backlog = false;
                    return;
                }
                // The client is gone already, or the process has too many files open: the next turn tries again.
                Err(why) => {
                    tracing::debug!(%why, "failed to accept a connection");
                    return;
                }
            }
        }
    }

    /// Accepts again once there is room, if clients wait.
    pub(super) fn accept_backlog(&mut self, registry: &Registry, mono: MonoUs) {
        if self.backlog {
            self.accept(registry, mono);
        }
    }

    fn admit(&mut self, mut stream: mio::net::TcpStream, registry: &Registry, mono: MonoUs) {
        let entry = self.all.vacant_entry();
        let token = Token(FIRST_TOKEN + entry.key());
        // Small answers must not wait for the client's acknowledgements.
        drop(stream.set_nodelay(true));
        if let Err(why) = registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE) {
            tracing::warn!(%why, "failed to watch a connection");
            return;
        }
        self.generations = self.generations.wrapping_add(1);
        let slot = small(entry.key());
        entry.insert(Connection::new(stream, self.generations, mono));
        self.queue(slot);
    }

    fn evict_idle(&mut self) -> bool {
        let idle = self.deadlines.ascending().map(|(_, slot)| slot).find(|&slot| self.all[slot as usize].is_idle());
        if let Some(slot) = idle {
            self.evicted += 1;
            self.close(slot);
        }
        idle.is_some()
    }

    /// The connection that a poll event is about.
    pub(super) fn slot_of(&self, token: Token) -> Option<u32> {
        let index = token.0.checked_sub(FIRST_TOKEN)?;
        self.all.contains(index).then(|| small(index))
    }

    /// Connections that can go on without waiting. Asked once a turn.
    pub(super) fn take_again(&mut self) -> VecDeque<u32> {
        self.pieces_left = PIECES_PER_TURN_MAX;
        self.again.append(&mut self.given_pieces);
        for &slot in &self.again {
            if let Some(connection) = self.all.get_mut(slot as usize) {
                connection.is_queued = false;
            }
        }
        std::mem::take(&mut self.again)
    }

    /// Lets a connection go on; `answer` gives what it asks for.
    pub(super) fn drive(
        &mut self,
        slot: u32,
        readable: bool,
        mono: MonoUs,
        date: &str,
        mut answer: impl FnMut(RequestId, Asked) -> Given,
    ) {
        let Some(connection) = self.all.get_mut(slot as usize) else { return };
        connection.begin_turn(readable);
        if connection.is_queued {
            // Its time comes, and only once: what its socket tells must not put it before others.
            return;
        }
        let request = request_of(slot, connection.generation);
        let mut queue = &mut self.again;
        for _ in 0..REQUESTS_PER_TURN_MAX {
            let (asked, last) = match connection.step(&mut self.scratch, self.pieces_left > 0, mono) {
                Step::Request(request) => (Asked::Request(request), false),
                Step::Refused(refusal) => (Asked::Refused(refusal), true),
                Step::Piece(stream) => {
                    self.pieces_left -= 1;
                    queue = &mut self.given_pieces;
                    (Asked::Piece(stream), false)
                }
                Step::Wait => return self.note_deadline(slot),
                Step::Again => break,
                Step::Closed => return self.close(slot),
            };
            connection.give(answer(request, asked), last, date, mono);
        }
        connection.is_queued = true;
        queue.push_back(slot);
        self.note_deadline(slot);
    }

    /// Gives a connection what it waits for. One that is gone needs nothing.
    pub(super) fn give(&mut self, request: RequestId, given: Given, date: &str, mono: MonoUs) {
        let slot = slot_of(request);
        let Some(connection) = self.all.get_mut(slot as usize) else { return };
        if request_of(slot, connection.generation) != request {
            return;
        }
        connection.give(given, false, date, mono);
        self.queue(slot);
    }

    /// Cuts off what has reached its time limit.
    pub(super) fn expire(&mut self, mono: MonoUs, date: &str, timeout: &Response) {
        while let Some(slot) = self.deadlines.pop_due(mono) {
            let connection = &mut self.all[slot as usize];
            if connection.is_owed_a_timeout(mono) {
                connection.answer(timeout, true, date, mono);
                self.queue(slot);
            } else {
                self.close(slot);
            }
        }
    }

    /// Lets a connection go on in the next turn.
    fn queue(&mut self, slot: u32) {
        let connection = &mut self.all[slot as usize];
        if !connection.is_queued {
            connection.is_queued = true;
            self.again.push_back(slot);
        }
    }

    fn note_deadline(&mut self, slot: u32) {
        match self.all[slot as usize].deadline() {
            Some(at) => self.deadlines.set(slot, at),
            None => drop(self.deadlines.remove(slot)),
        }
    }

    fn close(&mut self, slot: u32) {
        self.deadlines.remove(slot);
        // Dropping the stream closes it, and takes it out of the poll.
        let mut connection = self.all.remove(slot as usize);
        drop(connection.stream().shutdown(std::net::Shutdown::Both));
    }
}

/// The request that a connection works on: there is one at a time.
fn request_of(slot: u32, generation: u32) -> RequestId {
    RequestId(u64::from(generation) << 32 | u64::from(slot))
}

fn slot_of(request: RequestId) -> u32 {
    u32::try_from(request.0 & u64::from(u32::MAX)).expect("the other bits are masked")
}

fn small(index: usize) -> u32 {
    u32::try_from(index).expect("there are few connections")
}
