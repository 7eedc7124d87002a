//! Owns how a worker's connections go on when something happens to them: an event, an end, a time limit.
//! It must not choose connections for attempts: `driver` does.

use std::io::ErrorKind;

use mio::event::Event;

use super::connection::Stage;
use super::course::Phase;
use super::driver::Driver;
use super::exchange::Progress;
use super::flight::{Flight, describe, within};
use super::tls::Session;
use super::told::Telling;
use crate::clock;
use crate::core::Outcome;
use crate::limits::{ANSWER_DRAIN_TIME_MAX, CONNECTION_AGE_MAX, DRAINING_MAX};
use crate::time::MonoUs;

/// What a target says to a connection on which no request came for long.
const REQUEST_TIMEOUT: u16 = 408;

impl Driver {
    /// Something happened to a socket. Events that come late, to a slot used anew, find nothing to do.
    pub(super) fn note_event(&mut self, event: &Event) {
        let Some(id) = u32::try_from(event.token().0).ok().filter(|&id| self.board.links.contains(id as usize)) else {
            return;
        };
        match &self.board.links[id as usize].stage {
            Stage::Connecting(_) => self.go_on_connecting(id),
            Stage::Securing(_) => self.go_on_securing(id),
            Stage::Busy(_) | Stage::Draining(_) => {
                if event.is_writable() && !self.flush(id) {
                    return;
                }
                self.read(id, event.is_read_closed());
            }
            Stage::Idle => self.check_idle(id),
        }
    }

    /// A flight's time is up.
    pub(super) fn expire(&mut self, id: u32, now: MonoUs) {
        let limits = self.limits_of(id);
        let limit = self.limit(id);
        let whole = now >= limit;
        let no_answer = || Outcome::TimedOut(format!("no whole answer {}", within(limits.whole)));
        let flight = &mut self.board.flights[id as usize];
        let link = flight.link.map(|link| (link, &self.board.links[link as usize]));
        if let Some((link, status)) = link.and_then(|(link, held)| Some((link, held.status()?))) {
            // The outcome was known; what was awaited was more of the answer's body.
            self.note_decided(link, status);
            return;
        }
        if let Some(race) = &flight.race {
            if !whole && now < race.by() {
                return self.start_next(id);
            }
            for link in flight.race.take().map(|race| race.links).unwrap_or_default() {
                self.close(link);
            }
            let not_connected = || Outcome::TimedOut(format!("not connected {}", within(limits.connect)));
            return self.finish(id, if whole { no_answer() } else { not_connected() }, now);
        }
        let Some(link_id) = flight.link else {
            if !whole {
                return self.board.deadlines.set(id, limit);
            }
            let mut what = "no connection was to be had";
            if let Some(peer) = flight.peer {
                let target = &mut self.board.peers[peer as usize];
                if target.resolving {
                    what = "the name was not resolved";
                    flight.note_name(target.name_wait_until(flight.start, now));
                }
                self.board.stop_waiting(peer, id);
            }
            return self.finish(id, Outcome::TimedOut(format!("{what} {}", within(limits.whole))), now);
        };
        if !whole {
            self.shun(link_id);
        }
        let outcome = match &self.board.links[link_id as usize].stage {
            // It was connected after the limit was set.
            Stage::Busy(_) if !whole => return self.board.deadlines.set(id, limit),
            Stage::Securing(_) if !whole => Outcome::TimedOut(format!("no TLS connection {}", within(limits.connect))),
            Stage::Connecting(_) | Stage::Securing(_) | Stage::Busy(_) | Stage::Draining(_) | Stage::Idle => {
                no_answer()
            }
        };
        self.close(link_id);
        self.finish(id, outcome, now);
    }

    /// A connection failed under a flight. If it was kept alive and the target gave no sign of life, the target
    /// may have closed it before it saw the request: one more try with a fresh one.
    pub(super) fn lose(&mut self, link_id: u32, why: String) {
        let link = &self.board.links[link_id as usize];
        let was_stale = link.reused && !link.has_heard();
        // One that drains has done what it was for.
        let Some(id) = link.flight else { return self.close(link_id) };
        if let Some(status) = link.status() {
            // The status decides; what was lost is the rest of the answer's body.
            return self.note_whole(link_id, status, false);
        }
        if was_stale && self.board.flights[id as usize].may_repeat() {
            return self.repeat(link_id, id);
        }
        self.close(link_id);
        self.finish(id, Outcome::ConnectionFailed(why), clock::mono());
    }

    /// A kept-alive connection was of no use: the request goes out once more, with a fresh one.
    fn repeat(&mut self, link_id: u32, id: u32) {
        let peer = self.board.links[link_id as usize].peer;
        self.close(link_id);
        let flight = &mut self.board.flights[id as usize];
        flight.is_second_try = true;
        flight.link = None;
        self.board.wait_first(peer, id);
        self.setup.counters.repeated();
    }

    fn go_on_connecting(&mut self, id: u32) {
        let link = &mut self.board.links[id as usize];
        let Stage::Connecting(address) = link.stage else { return };
        let (peer_id, flight) = (link.peer, link.flight.expect("only a connection in use connects"));
        match link.is_connected() {
            Ok(false) => {}
            Ok(true) => {
                let by = self.win_race(id, address).min(self.limit(flight));
                let peer = &self.board.peers[peer_id as usize];
                if !peer.https {
                    return self.note_ready(id, flight);
                }
                let config = self.setup.trust.config(clock::mono());
                match config.and_then(|config| Session::new(config, &peer.host)) {
                    Ok(session) => {
                        self.board.flights[flight as usize].enter(Phase::Tls, clock::mono());
                        self.board.links[id as usize].secure(session, address);
                        self.board.deadlines.set(flight, by);
                        self.go_on_securing(id);
                    }
                    Err(why) => self.lose(id, format!("TLS: {why}")),
                }
            }
            Err(error) => self.lose_race(id, describe(&error)),
        }
    }

    fn go_on_securing(&mut self, id: u32) {
        let link = &mut self.board.links[id as usize];
        let flight = link.flight.expect("only a connection in use shakes hands");
        match link.handshake() {
            Ok(true) => {
                self.vouch(id);
                self.note_ready(id, flight);
            }
            Ok(false) => {}
            Err(error) => {
                let why = describe(&error);
                self.shun(id);
                self.lose(id, if why.starts_with("TLS: ") { why } else { format!("TLS: {why}") });
            }
        }
    }

    fn note_ready(&mut self, id: u32, flight: u32) {
        let peer = self.board.links[id as usize].peer;
        self.board.links[id as usize].stage = Stage::Idle;
        self.board.peers[peer as usize].connecting -= 1;
        // One more is ready, so one more may connect.
        self.board.mark(peer);
        self.send(id, flight);
        // What came before the request was written, such as with the end of the handshake, raises no event any more.
        let link = self.board.links.get(id as usize);
        if link.is_some_and(|link| link.flight == Some(flight) && matches!(link.stage, Stage::Busy(_))) {
            self.read(id, false);
        }
    }

    /// False: the connection is gone.
    fn flush(&mut self, id: u32) -> bool {
        match self.board.links[id as usize].flush() {
            Ok(()) => true,
            // What the target said before it stopped listening is worth reading.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => true,
            Err(error) => {
                self.lose(id, describe(&error));
                false
            }
        }
    }

    /// Reads until the answer is whole, or the socket is empty.
    fn read(&mut self, id: u32, closed: bool) {
        loop {
            let link = &mut self.board.links[id as usize];
            let len = match link.read(&mut self.input) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.lose(id, describe(&error)),
            };
            let (flight, reused, was_heard) = (link.flight, link.reused, link.has_heard());
            let tells = |status| {
                let flight = flight.map(|flight| &self.board.flights[flight as usize]);
                // One that goes out once more has told nothing.
                let flight = flight.filter(|flight| !is_for_resting(status, reused, flight));
                flight.map_or(Telling::Nothing, |flight| flight.interest(status))
            };
            let progress = if len == 0 { link.end() } else { link.take(&self.input[..len], &mut self.scratch, &tells) };
            let emptied = len < self.input.len() && !closed && link.is_emptied_by_short_read();
            match progress {
                Progress::More(_) if was_heard => {}
                Progress::More(_) => self.note_begun(id),
                Progress::Listening { .. } => self.note_listening(id),
                Progress::Decided { status, .. } => {
                    if !self.note_decided(id, status) {
                        return;
                    }
                }
                Progress::Whole { status, reusable } => {
                    // A full buffer may have left something behind that would pass for the next answer.
                    return self.note_whole(id, status, reusable && !closed && len < self.input.len());
                }
                Progress::Unusable(why) => return self.lose(id, why),
            }
            if emptied {
                return;
            }
        }
    }

    /// The first bytes of an answer came, and do not suffice.
    fn note_begun(&mut self, link_id: u32) {
        if let Some(flight) = self.board.links[link_id as usize].flight {
            self.board.flights[flight as usize].hear(clock::mono());
        }
    }

    /// The head of an answer is whole and says that the attempt failed. What its body says is worth waiting for a moment.
    fn note_listening(&mut self, link_id: u32) {
        let now = clock::mono();
        let id = self.board.links[link_id as usize].flight.expect("only a connection in use is answered");
        let flight = &mut self.board.flights[id as usize];
        flight.hear(now);
        // How long its target talks says nothing of how long it takes to answer.
        flight.is_counted = true;
        let peer = flight.peer.expect("what is answered was sent to a target");
        self.board.peers[peer as usize].note_answer(flight.waited, self.waited);
        let until = now.plus(ANSWER_DRAIN_TIME_MAX).min(self.limit(id));
        self.board.deadlines.set(id, until);
    }

    /// Nothing more of an answer is awaited. False: the connection is gone.
    fn note_decided(&mut self, link_id: u32, status: u16) -> bool {
        let now = clock::mono();
        let Some(id) = self.note_answer(link_id, status) else { return false };
        self.board.flights[id as usize].told = self.board.links[link_id as usize].take_told();
        self.finish(id, Outcome::Answered(status), now);
        let link = &mut self.board.links[link_id as usize];
        link.drain();
        let peer_id = link.peer;
        let peer = &mut self.board.peers[peer_id as usize];
        (peer.open, peer.draining) = (peer.open - 1, peer.draining + 1);
        // One fewer counts as open, so one more may be opened.
        self.board.mark(peer_id);
        self.board.draining.set(link_id, now.plus(ANSWER_DRAIN_TIME_MAX));
        if self.board.draining.len() > DRAINING_MAX || self.board.spare() > self.setup.idle_max {
            self.close_a_spare_one();
        }
        // It is the one itself if there is no room at all.
        self.board.draining.key(link_id).is_some()
    }

    /// The flight that is answered. None: it goes out once more.
    fn note_answer(&mut self, link_id: u32, status: u16) -> Option<u32> {
        let link = &self.board.links[link_id as usize];
        let (peer, reused) = (link.peer, link.reused);
        let id = link.flight.expect("only a connection in use is answered");
        let flight = &self.board.flights[id as usize];
        if is_for_resting(status, reused, flight) {
            self.repeat(link_id, id);
            return None;
        }
        if !flight.is_counted {
            self.board.peers[peer as usize].note_answer(flight.waited, self.waited);
        }
        Some(id)
    }

    /// An answer is whole, or nobody wants more of it.
    fn note_whole(&mut self, link_id: u32, status: u16, reusable: bool) {
        let now = clock::mono();
        let link = &mut self.board.links[link_id as usize];
        let (peer_id, drains) = (link.peer, link.flight.is_none());
        let young = now < link.opened.plus(CONNECTION_AGE_MAX);
        // With TLS a short read says that nothing is left only if the socket was read to its end.
        let quiet = link.is_emptied_by_short_read() || link.is_quiet(&mut self.input);
        let usable = reusable && quiet && young && !link.has_unsent();
        let mut answered = None;
        if !drains {
            let Some(id) = self.note_answer(link_id, status) else { return };
            self.board.flights[id as usize].told = self.board.links[link_id as usize].take_told();
            answered = Some(id);
        }
        if usable {
            let peer = &mut self.board.peers[peer_id as usize];
            if drains {
                (peer.open, peer.draining) = (peer.open + 1, peer.draining - 1);
                self.board.draining.remove(link_id);
            }
            self.board.links[link_id as usize].rest();
        }
        let next = self.board.peers[peer_id as usize].waiting.front().copied();
        let next = next.filter(|_| usable);
        if let Some(id) = answered {
            self.finish(id, Outcome::Answered(status), now);
        }
        if let Some(next) = next {
            // No detour over the resting ones: the target works while this worker reads on.
            self.board.take_waiting(peer_id);
            self.setup.counters.reused();
            return self.send(link_id, next);
        }
        let peer = &self.board.peers[peer_id as usize];
        if peer.waits() > 0 {
            self.board.mark(peer_id);
        }
        if !usable || !self.board.rest(peer_id, link_id, now) {
            self.close(link_id);
        } else if self.board.spare() > self.setup.idle_max {
            self.close_a_spare_one();
        }
    }

    /// A connection that rests has nothing to say but its end.
    fn check_idle(&mut self, id: u32) {
        let link = &mut self.board.links[id as usize];
        if !link.is_quiet(&mut self.input) {
            self.board.forget_idle(id);
            self.close(id);
        }
    }
}

/// Whether an answer may have been said to a connection as it rested, and met the request on its way.
fn is_for_resting(status: u16, reused: bool, flight: &Flight) -> bool {
    status == REQUEST_TIMEOUT && reused && flight.may_repeat()
}
