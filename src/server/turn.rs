//! Owns the turn of the loop: wait, read the clocks once, due work first, then messages, then sockets.
//! It must not block anywhere but in the poll.

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token};
use signal_hook_mio::v1_0::Signals;

use super::calls::{self, Calls, Clients};
use super::connection::Given;
use super::connections::Connections;
use super::engine::Engine;
use super::timer::Timer;
use crate::api;
use crate::clock;
use crate::core::Input;
use crate::http;
use crate::limits::{CLOCK_STEP_MIN_US, TURN_MAX, WAKE_AHEAD_US};
use crate::time::{MonoUs, Now};

pub(super) const LISTENER: Token = Token(0);
pub(super) const WAKER: Token = Token(1);
pub(super) const SIGNALS: Token = Token(2);
pub(super) const TIMER: Token = Token(3);

/// How the loop came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Stopped, with everything on disk.
    Clean,
    /// A second signal: at once.
    Forced,
    /// Stopped, but not everything could be written.
    Unwritten,
    /// The writer thread died.
    WriterDied,
}

/// The loop.
pub(super) struct Loop {
    pub(super) poll: Poll,
    pub(super) timer: Timer,
    pub(super) signals: Signals,
    pub(super) connections: Connections,
    pub(super) engine: Engine,
    pub(super) calls: Calls,
    pub(super) drain_max: Duration,
    /// Until when a drain waits for what is in flight.
    pub(super) drain_until: Option<MonoUs>,
    pub(super) date: (i64, String),
    pub(super) last: Now,
}

impl Loop {
    /// Turns until told to stop.
    pub(super) fn run(&mut self) -> io::Result<End> {
        let mut events = Events::with_capacity(1024);
        let mut more = true;
        loop {
            let wait = self.wait(more)?;
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) => return Err(why),
            }
            let now = clock::now();
            self.compare_clocks(now);
            self.engine.tick(now);
            more = self.engine.take_messages(now);
            self.send_answers(now);
            if let Some(end) = self.handle_events(&events, now) {
                return Ok(end);
            }
            self.send_answers(now);
            self.engine.flush(now.mono);
            if let Some(end) = self.end(now) {
                return Ok(end);
            }
        }
    }

    /// How long the poll may wait; sets the timer.
    fn wait(&mut self, more: bool) -> io::Result<Duration> {
        let deadline = self.engine.deadline();
        // Woken a little before the time, the loop looks at the clock until it has come: a sleeping core takes longer
        // to wake than that. Nothing is done before its time, and clients are served meanwhile.
        let wake = deadline.wall.map(|at| at.plus_us(-WAKE_AHEAD_US));
        let has_timer = self.timer.set(wake)?;
        let now = clock::now();
        if more || self.connections.has_more() || wake.is_some_and(|wake| wake <= now.wall) {
            return Ok(Duration::ZERO);
        }
        let mono = [deadline.mono, self.connections.deadline(), self.drain_until].into_iter().flatten().min();
        let mut wait = TURN_MAX;
        if let Some(at) = mono {
            wait = wait.min(Duration::from_micros(at.0.saturating_sub(now.mono.0)));
        }
        if let (false, Some(at)) = (has_timer, wake) {
            wait = wait.min(Duration::from_micros(u64::try_from(at.since_us(now.wall)).unwrap_or(0)));
        }
        Ok(wait)
    }

    /// A step of the wall clock, or a suspend, shows as wall and monotonic time moving apart.
    fn compare_clocks(&mut self, now: Now) {
        let wall_us = now.wall.since_us(self.last.wall);
        let mono_us = i64::try_from(now.mono.0.saturating_sub(self.last.mono.0)).unwrap_or(i64::MAX);
        let step_us = wall_us.saturating_sub(mono_us);
        self.last = now;
        if step_us.abs() > CLOCK_STEP_MIN_US {
            self.engine.input(Input::ClockStep(step_us), now);
        }
        let second = now.wall.floor().as_secs();
        if self.date.0 != second {
            self.date = (second, http::http_date(second));
        }
    }

    fn handle_events(&mut self, events: &Events, now: Now) -> Option<End> {
        for event in events {
            match event.token() {
                LISTENER => self.connections.accept(self.poll.registry(), now.mono),
                // What the waker announces is looked for in every turn.
                WAKER => {}
                TIMER => self.timer.clear(),
                SIGNALS => {
                    if let Some(end) = self.handle_signals(now) {
                        return Some(end);
                    }
                }
                token => {
                    if let Some(slot) = self.connections.slot_of(token) {
                        self.drive(slot, event.is_readable() || event.is_read_closed() || event.is_error(), now);
                    }
                }
            }
        }
        for slot in self.connections.take_again() {
            self.drive(slot, false, now);
        }
        self.connections.expire(now.mono, &self.date.1, &calls::timed_out());
        self.connections.accept_backlog(self.poll.registry(), now.mono);
        None
    }

    fn drive(&mut self, slot: u32, readable: bool, now: Now) {
        let (calls, engine) = (&mut self.calls, &mut self.engine);
        let clients = Clients { open: self.connections.len(), evicted: self.connections.evicted() };
        self.connections.drive(slot, readable, now.mono, &self.date.1, |request, asked| {
            calls.answer(engine, clients, now, request, asked)
        });
    }

    /// Passes on answers that came from the core and from readers.
    fn send_answers(&mut self, now: Now) {
        for (request, reply) in self.engine.take_replies() {
            let response = self.calls.cors.mark(api::reply(&reply));
            self.connections.give(request, Given::Answer(response), &self.date.1, now.mono);
        }
        while let Some((request, response)) = self.calls.readers.try_answer() {
            let response = self.calls.cors.mark(response);
            self.connections.give(request, Given::Answer(response), &self.date.1, now.mono);
        }
    }

    fn handle_signals(&mut self, now: Now) -> Option<End> {
        for _ in self.signals.pending().collect::<Vec<_>>() {
            if self.drain_until.is_some() {
                return Some(End::Forced);
            }
            tracing::info!("stopping: finishing what is in flight; a second signal stops at once");
            self.drain_until = Some(now.mono.plus(self.drain_max));
            self.engine.drain(now);
        }
        None
    }

    fn end(&mut self, now: Now) -> Option<End> {
        if self.engine.is_writer_dead() {
            return Some(End::WriterDied);
        }
        let until = self.drain_until?;
        if self.engine.is_drained() {
            return Some(End::Clean);
        }
        if now.mono < until {
            return None;
        }
        // What is in flight is found again at the next start. What is decided must be on disk.
        if self.engine.is_written() {
            return Some(End::Clean);
        }
        // Writing has not kept up: as long again, and no longer.
        (now.mono > until.plus(self.drain_max)).then_some(End::Unwritten)
    }
}
