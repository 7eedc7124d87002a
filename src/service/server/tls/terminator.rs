//! Owns the thread that speaks TLS: who is let in, whose turn it is, who is cut off, with which certificate.
//! It must not wait for the loop, nor grow with what a client does.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use ipnet::IpNet;
use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::super::addresses::Addresses;
use super::super::listeners::{Listener, Listeners};
use super::super::peer::Peer;
use super::super::proxies;
use super::super::socket::Socket;
use super::relay::{Relay, Step};
use super::{Identity, Notify, Opened, Renewal, Shared};
use crate::clock;
use crate::limits::{
    ACCEPTS_PER_TURN_MAX, EXPIRIES_PER_TURN_MAX, LINGER_TIME_MAX, LISTENERS_MAX, TLS_ACCEPT_REST, TLS_END_TIME_MAX,
    TLS_HANDSHAKE_TIME_MAX, TLS_HANDSHAKES_MAX, TLS_PAIR_LEN, TURN_MAX,
};
use crate::time::{DeadlineHeap, MonoUs};

const WAKER: Token = Token(0);
const LISTENERS: Token = Token(1);
/// The first token of a connection. Each has two: the client's, and behind it that of the pair.
const FIRST_TOKEN: usize = LISTENERS.0 + LISTENERS_MAX;
/// Bytes read from a pair at once: as much as goes into one record.
const READ_SIZE: usize = 16 * 1024;

/// The thread's state.
pub(super) struct Terminator {
    poll: Poll,
    entrances: Listeners,
    trusted: Vec<IpNet>,
    identity: Identity,
    renewals: Receiver<Renewal>,
    all: Slab<Relay>,
    connections_max: usize,
    /// Those that have not come as far as the loop, by when they must have: the first is the oldest.
    handshakes: DeadlineHeap<MonoUs>,
    addresses: Addresses,
    /// Those that are behind in reading, by when they are looked at.
    behind: DeadlineHeap<MonoUs>,
    queue: VecDeque<u32>,
    opened: Sender<Opened>,
    notify: Notify,
    shared: Arc<Shared>,
    /// When to accept again, after the system had no file left for a client.
    accept_at: Option<MonoUs>,
    /// When to end at the latest, once told to.
    end_by: Option<MonoUs>,
    scratch: Vec<u8>,
}

impl Terminator {
    pub(super) fn new(
        listeners: Vec<Listener>,
        (identity, trusted): Renewal,
        renewals: Receiver<Renewal>,
        connections_max: usize,
        (opened, notify): (Sender<Opened>, Notify),
        shared: Arc<Shared>,
    ) -> io::Result<(Terminator, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let entrances = Listeners::new(listeners, None, poll.registry(), LISTENERS)?;
        let terminator = Terminator {
            poll,
            entrances,
            trusted,
            identity,
            renewals,
            all: Slab::new(),
            connections_max,
            handshakes: DeadlineHeap::default(),
            addresses: Addresses::default(),
            behind: DeadlineHeap::default(),
            queue: VecDeque::new(),
            opened,
            notify,
            shared,
            accept_at: None,
            end_by: None,
            scratch: vec![0; READ_SIZE],
        };
        Ok((terminator, waker))
    }

    /// Turns until told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let wait = self.patience(clock::mono());
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) => return Err(why),
            }
            let mono = clock::mono();
            self.take_orders(mono);
            for event in &events {
                self.note(event);
            }
            self.expire(mono);
            self.accept(mono);
            self.drive(mono);
            if self.end_by.is_some_and(|by| self.all.is_empty() || by <= mono) {
                return Ok(());
            }
        }
    }

    fn patience(&self, mono: MonoUs) -> Duration {
        let may_accept = self.entrances.has_clients() && !self.is_full() && self.end_by.is_none();
        if !self.queue.is_empty() || (may_accept && self.accept_at.is_none()) {
            return Duration::ZERO;
        }
        let first = |heap: &DeadlineHeap<MonoUs>| heap.peek().map(|(at, _)| at);
        let accept = self.accept_at.filter(|_| may_accept);
        let at = [first(&self.handshakes), first(&self.behind), accept, self.end_by].into_iter().flatten().min();
        at.map_or(TURN_MAX, |at| Duration::from_micros(at.0.saturating_sub(mono.0)).min(TURN_MAX))
    }

    fn take_orders(&mut self, mono: MonoUs) {
        if let Ok((identity, trusted)) = self.renewals.try_recv() {
            identity.tell();
            (self.identity, self.trusted) = (identity, trusted);
            // Somebody may wait for that.
            (self.notify)();
        }
        if self.shared.leave.swap(false, Ordering::SeqCst) {
            self.entrances.leave();
        }
        if self.end_by.is_none() && self.shared.stop.load(Ordering::SeqCst) {
            self.end_by = Some(mono.plus(TLS_END_TIME_MAX));
            for slot in self.handshakes.clear() {
                self.close(slot);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        let Some(index) = event.token().0.checked_sub(FIRST_TOKEN) else {
            if event.token() != WAKER {
                self.entrances.note(event.token().0 - LISTENERS.0);
            }
            return;
        };
        let Some(relay) = self.all.get_mut(index / 2) else { return };
        if index % 2 == 1 && (event.is_write_closed() || event.is_error()) {
            relay.note_inner_gone();
        }
        self.queue(small(index / 2));
    }

    fn expire(&mut self, mono: MonoUs) {
        for _ in 0..EXPIRIES_PER_TURN_MAX {
            let Some(slot) = self.handshakes.pop_due(mono) else { break };
            self.give_up(slot);
        }
        for _ in 0..EXPIRIES_PER_TURN_MAX {
            let Some(slot) = self.behind.pop_due(mono) else { break };
            if self.all[slot as usize].is_too_slow(mono) {
                self.close(slot);
            } else {
                self.queue(slot);
            }
        }
    }

    /// Whether all room is taken by connections that have come as far as the loop: it decides who makes room.
    fn is_full(&self) -> bool {
        self.all.len() >= self.connections_max && self.handshakes.is_empty()
    }

    fn accept(&mut self, mono: MonoUs) {
        if self.end_by.is_some() || self.accept_at.is_some_and(|at| at > mono) {
            return;
        }
        self.accept_at = None;
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            if self.is_full() {
                return;
            }
            match self.entrances.accept() {
                Ok(Some((Socket::Tcp(client), peer))) => self.admit(client, peer, mono),
                // Who can use a unix socket is on this machine: there is nobody to hide from.
                Ok(Some((Socket::Unix(_), _))) => {}
                Ok(None) => return,
                Err(why) => {
                    tracing::debug!(%why, "failed to accept a connection");
                    self.accept_at = Some(mono.plus(TLS_ACCEPT_REST));
                    return;
                }
            }
        }
    }

    fn admit(&mut self, mut client: TcpStream, peer: Peer, mono: MonoUs) {
        let is_trusted = proxies::is_trusted(&self.trusted, peer.address);
        if !is_trusted && self.addresses.is_full(peer.address) {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Whoever is silent for longest makes room: silent clients keep nobody out.
        if (self.handshakes.len() >= TLS_HANDSHAKES_MAX || self.all.len() >= self.connections_max)
            && let Some((_, oldest)) = self.handshakes.peek()
        {
            self.give_up(oldest);
        }
        // It fails only if the client is gone.
        drop(client.set_nodelay(true));
        let entry = self.all.vacant_entry();
        let token = Token(FIRST_TOKEN + 2 * entry.key());
        let watched = self.poll.registry().register(&mut client, token, Interest::READABLE | Interest::WRITABLE);
        if let Err(why) = watched {
            tracing::warn!(%why, "failed to watch a connection");
            return;
        }
        let slot = small(entry.key());
        match Relay::new(client, peer.address, self.identity.config()) {
            Ok(relay) => drop(entry.insert(relay)),
            Err(why) => return tracing::warn!(%why, "failed to begin a TLS session"),
        }
        self.addresses.add(peer.address);
        self.handshakes.set(slot, mono.plus(TLS_HANDSHAKE_TIME_MAX));
        self.queue(slot);
    }

    /// Lets each that can go on do so once.
    fn drive(&mut self, mono: MonoUs) {
        for _ in 0..self.queue.len() {
            let Some(slot) = self.queue.pop_front() else { return };
            let Some(relay) = self.all.get_mut(slot as usize) else { continue };
            relay.is_queued = false;
            let was_refused = relay.is_refused();
            let step = relay.step(&mut self.scratch, mono);
            if relay.is_refused() && !was_refused {
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                self.handshakes.set(slot, mono.plus(LINGER_TIME_MAX));
            }
            match step {
                Step::Wait => self.settle(slot),
                Step::Again => {
                    self.settle(slot);
                    self.queue(slot);
                }
                Step::Opened => {
                    if let Err(why) = self.open(slot) {
                        tracing::debug!(%why, "failed to hand over a connection");
                        self.close(slot);
                    }
                }
                Step::Over if self.all[slot as usize].is_open() => self.close(slot),
                Step::Over => self.give_up(slot),
            }
        }
    }

    /// Hands the loop a connection.
    fn open(&mut self, slot: u32) -> io::Result<()> {
        let (mut inner, outer) = UnixStream::pair()?;
        for end in [&inner, &outer] {
            rustix::net::sockopt::set_socket_send_buffer_size(end, TLS_PAIR_LEN)?;
        }
        let token = Token(FIRST_TOKEN + 2 * slot as usize + 1);
        self.poll.registry().register(&mut inner, token, Interest::READABLE | Interest::WRITABLE)?;
        let relay = &mut self.all[slot as usize];
        let peer = Peer::tls(relay.address);
        self.opened.try_send((outer, peer)).map_err(|why| io::Error::other(why.to_string()))?;
        relay.open(inner);
        self.handshakes.remove(slot);
        self.addresses.remove(peer.address);
        // What came with the end of the handshake is already there.
        self.queue(slot);
        (self.notify)();
        Ok(())
    }

    /// Takes note of whether it is behind.
    fn settle(&mut self, slot: u32) {
        match self.all[slot as usize].deadline() {
            Some(at) => self.behind.set(slot, at),
            None => drop(self.behind.remove(slot)),
        }
    }

    fn queue(&mut self, slot: u32) {
        let relay = &mut self.all[slot as usize];
        if !relay.is_queued {
            relay.is_queued = true;
            self.queue.push_back(slot);
        }
    }

    /// Closes one that did not get as far as the loop; it waits for nothing any more.
    fn give_up(&mut self, slot: u32) {
        if !self.all[slot as usize].is_refused() {
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.close(slot);
    }

    fn close(&mut self, slot: u32) {
        self.handshakes.remove(slot);
        self.behind.remove(slot);
        // Dropping it closes both sockets, and takes them out of the poll.
        let relay = self.all.remove(slot as usize);
        if !relay.is_open() {
            self.addresses.remove(relay.address);
        }
    }
}

fn small(index: usize) -> u32 {
    u32::try_from(index).expect("there are few connections")
}
