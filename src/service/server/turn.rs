//! Owns the turn of the loop: wait, read the clocks, due work first, then messages, then sockets for a while.
//! It must not block anywhere but in the poll.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::{Events, Poll, Token};
use signal_hook::consts::SIGHUP;
use signal_hook_mio::v1_0::Signals;

use super::backups::Backups;
use super::calls::Calls;
use super::connection::Given;
use super::connections::{Connections, FIRST_TOKEN};
use super::engine::Engine;
use super::finish;
use super::nodes::{is_passed_on, number_of_passed};
use super::reload::{Live, Reload};
use super::supervisor::Supervisor;
use super::timer::Timer;
use super::tls::Tls;
use super::troubles::Troubles;
use crate::clock;
use crate::core::{Input, Reply, RequestId};
use crate::http;
use crate::limits::{
    CLIENT_TIME_PER_TURN, CLOCK_STEP_MIN_US, GREETING_WAIT_MAX, LAST_ANSWERS_TIME_MAX, LAST_REQUESTS_TIME_MAX,
    LISTENERS_MAX, TURN_MAX, WAKE_AHEAD_US, WRITER_END_LOOK_EVERY,
};
use crate::time::{MonoUs, Now};

pub(super) const WAKER: Token = Token(0);
pub(super) const SIGNALS: Token = Token(1);
pub(super) const TIMER: Token = Token(2);
/// The first of the addresses that are listened on.
pub(super) const LISTENERS: Token = Token(3);

const _: () = assert!(LISTENERS.0 + LISTENERS_MAX <= FIRST_TOKEN, "each has a token of its own");

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
    /// The thread that speaks TLS died: nobody would be served any more.
    TlsDied,
}

/// The loop.
pub(super) struct Loop {
    poll: Poll,
    timer: Timer,
    signals: Signals,
    connections: Connections,
    pub(super) engine: Engine,
    calls: Calls,
    /// Behind the connections, so that it is left alone after them, and sends the rest of what they had.
    tls: Option<Tls>,
    /// None where a signal means something else.
    reload: Option<Reload>,
    pub(super) supervisor: Supervisor,
    /// Answers of the core that were not passed on yet.
    replies: VecDeque<(RequestId, Reply)>,
    troubles: Troubles,
    /// What is said once it has all that it is to have, and until when it may be waited for that.
    greeting: Option<(Box<dyn FnOnce()>, MonoUs)>,
    drain_max: Duration,
    /// Until when a drain waits for what is in flight.
    drain_until: Option<MonoUs>,
    /// Since when it has nothing else to wait for than clients.
    drained: Option<MonoUs>,
    date: (i64, String),
    last: Now,
}

impl Loop {
    /// A loop that begins at `now`. What is registered with the poll stays so.
    #[expect(clippy::too_many_arguments, reason = "each is one part of the loop, named once, where it starts")]
    pub(super) fn new(
        poll: Poll,
        timer: Timer,
        signals: Signals,
        connections: Connections,
        engine: Engine,
        calls: Calls,
        tls: Option<Tls>,
        reload: Option<Reload>,
        supervisor: Supervisor,
        drain_max: Duration,
        now: Now,
    ) -> Loop {
        let second = now.wall.floor().as_secs();
        let date = (second, http::http_date(second));
        let replies = VecDeque::new();
        Loop {
            poll,
            timer,
            signals,
            connections,
            engine,
            calls,
            tls,
            reload,
            supervisor,
            replies,
            troubles: Troubles::default(),
            greeting: None,
            drain_max,
            drain_until: None,
            drained: None,
            date,
            last: now,
        }
    }

    /// Says this once clients can do what they want.
    pub(super) fn greet_with(&mut self, greeting: Box<dyn FnOnce()>) {
        self.greeting = Some((greeting, self.last.mono.plus(GREETING_WAIT_MAX)));
        self.greet(clock::now());
    }

    /// Others may have to be taken for dead first.
    fn greet(&mut self, now: Now) {
        let is_settled = self.engine.nodes.as_ref().is_none_or(|nodes| nodes.is_settled());
        if let Some((greet, _)) = self.greeting.take_if(|(_, until)| is_settled || now.mono >= *until) {
            greet();
            self.supervisor.ready(&self.engine.summary(now), now.mono);
        }
    }

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
            let mut now = clock::now();
            self.compare_clocks(now);
            self.engine.tick(now);
            more = self.engine.take_messages(now);
            more |= self.engine.turn_nodes(now);
            if let Some(end) = self.handle_events(&events, now) {
                return Ok(end);
            }
            self.apply_reload(now);
            self.engine.events.tick(now.mono);
            more |= self.serve(&mut now);
            self.look_at_troubles(now);
            self.greet(now);
            self.stop_if_unfit(now);
            self.stop_if_left(now);
            self.hand_over(now);
            self.tell_supervisor(now);
            if let Some(end) = self.end(now) {
                if end == End::Clean {
                    self.end_events(now);
                }
                return Ok(end);
            }
        }
    }

    /// What waits for the writer goes to it, with all that is to be written with it.
    fn hand_over(&mut self, now: Now) {
        self.calls.keep_planned(&mut self.engine, now);
        if self.engine.flush(now.mono)
            && let Some(nodes) = &mut self.engine.nodes
        {
            nodes.note_sent(now);
        }
    }

    /// The core hears how store and disk are, where that has changed.
    fn look_at_troubles(&mut self, now: Now) {
        let store = self.troubles.of_store(self.engine.store_trouble(now.mono), now.mono);
        let disk = self.troubles.of_disk(self.calls.usage.read().disk_free);
        for trouble in [store, disk].into_iter().flatten() {
            self.engine.input(Input::Trouble(trouble), now);
        }
    }

    /// Whoever started the server hears that the loop turns, and how things stand.
    fn tell_supervisor(&mut self, now: Now) {
        let is_read = !self.reload.as_ref().is_some_and(Reload::is_reading);
        if self.supervisor.is_reloading() && is_read && self.tls.as_ref().is_none_or(Tls::has_renewed) {
            self.supervisor.reloaded();
        }
        let (engine, is_ending) = (&self.engine, self.drain_until.is_some());
        self.supervisor.turned(now.mono, || if is_ending { None } else { Some(engine.summary(now)) });
    }

    /// Whoever listens is told the rest, and that it was the rest, as far as its socket takes it now.
    fn end_events(&mut self, now: Now) {
        self.engine.events.end();
        let (calls, engine, clients) = (&mut self.calls, &mut self.engine, self.connections.clients());
        self.connections.drive_listeners(now.mono, &self.date.1, |request, peer, asked| {
            (calls.answer(engine, clients, now, request, peer, asked), true)
        });
    }

    /// Waits until the writer has ended, once everything is on disk. A disk that fails or stalls keeps it, but not the
    /// stop: the next start does the housekeeping that is left.
    pub(super) fn await_writer(&mut self) -> io::Result<End> {
        self.engine.finish_writer();
        let (engine, signals, poll) = (&self.engine, &mut self.signals, &mut self.poll);
        let supervisor = &mut self.supervisor;
        let mut events = Events::with_capacity(16);
        let rest = || match poll.poll(&mut events, Some(WRITER_END_LOOK_EVERY)) {
            Err(why) if why.kind() != io::ErrorKind::Interrupted => Err(why),
            Ok(()) | Err(_) => {
                let mono = clock::mono();
                supervisor.turned(mono, || None);
                Ok(mono)
            }
        };
        finish::wait(
            clock::mono(),
            || engine.is_writer_dead(),
            || signals.pending().any(|signal| signal != SIGHUP),
            rest,
        )
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
        let events = self.engine.events.deadline();
        let tokens = Some(self.calls.access.deadline());
        let awaited = [self.drain_until, self.supervisor.deadline()];
        let mono = [deadline.mono, events, self.connections.deadline(), tokens].into_iter().chain(awaited);
        let mono = mono.flatten().min();
        let mut wait = TURN_MAX;
        if let Some(at) = mono {
            wait = wait.min(Duration::from_micros(at.0.saturating_sub(now.mono.0)));
        }
        if let (false, Some(at)) = (has_timer, wake) {
            wait = wait.min(Duration::from_micros(u64::try_from(at.since_us(now.wall)).unwrap_or(0)));
        }
        Ok(wait)
    }

    /// Takes note of the time at the beginning of a turn.
    fn compare_clocks(&mut self, now: Now) {
        compare_clocks(&mut self.engine, &mut self.last, now);
        let second = now.wall.floor().as_secs();
        if self.date.0 != second {
            self.date = (second, http::http_date(second));
        }
    }

    fn handle_events(&mut self, events: &Events, now: Now) -> Option<End> {
        for event in events {
            match event.token() {
                // What the waker announces is looked for in every turn.
                WAKER => {}
                TIMER => self.timer.clear(),
                SIGNALS => {
                    if let Some(end) = self.handle_signals(now) {
                        return Some(end);
                    }
                }
                Token(below @ ..FIRST_TOKEN) => self.connections.note_clients(below - LISTENERS.0),
                _ => self.connections.note(event, now.mono),
            }
        }
        self.connections.expire(now.mono, &self.date.1, |overdue| self.calls.overdue(overdue));
        let gate = &self.calls.gate;
        self.connections.accept(self.poll.registry(), now.mono, |peer| gate.trusts(peer));
        None
    }

    /// Serves clients for a while: passes on answers that came from the core and from readers, and answers requests. The
    /// rest waits for the next turn, in the same order. True if there is some, so far as is known.
    ///
    /// The clocks are read between two requests, which is the one exception to reading them once a turn: what falls due
    /// meanwhile is not to wait for clients, however many and however chatty they are.
    fn serve(&mut self, now: &mut Now) -> bool {
        let until = now.mono.plus(CLIENT_TIME_PER_TURN);
        let rest_until = self.engine.rest_until(now.mono);
        self.connections.begin_turn(rest_until);
        for report in self.engine.take_trials() {
            if let Some((request, given)) = self.calls.tried(report) {
                self.give(request, given, now.mono);
            }
        }
        for (request, result) in self.engine.take_channel_tests() {
            let given = self.calls.channel_tested(request, result);
            self.give(request, given, now.mono);
        }
        self.calls.look_at_tokens(now.mono);
        for request in self.engine.take_unheard_tokens() {
            let given = self.calls.token_unheard(request);
            self.give(request, given, now.mono);
        }
        for (request, given) in self.calls.tokens_written(&mut self.engine) {
            self.give(request, given, now.mono);
        }
        // One in a turn, and none behind a burst, as with pieces of an answer.
        let connections = &self.connections;
        let is_awaited = |request| is_passed_on(request).is_some() || connections.awaits(request);
        if rest_until.is_none()
            && let Some((request, given)) = self.calls.look_further(&self.engine, *now, is_awaited)
        {
            self.give(request, given, now.mono);
        }
        for (request, given) in self.calls.kept_alone(&mut self.engine) {
            self.give(request, given, now.mono);
        }
        if let Some((request, given)) = self.calls.go_on_with_replays(&mut self.engine, *now) {
            self.give(request, given, now.mono);
        }
        let connections = &self.connections;
        let is_awaited = |request| is_passed_on(request).is_some() || connections.awaits(request);
        if let Some((request, given)) = self.calls.advance_batch(&mut self.engine, *now, is_awaited) {
            self.give(request, given, now.mono);
        }
        loop {
            self.replies.extend(self.engine.take_replies());
            if let Some((request, reply)) = self.replies.pop_front() {
                let given = self.calls.settled(&mut self.engine, *now, request, &reply);
                self.give(request, given, now.mono);
            } else if let Some(asked) = self.engine.nodes.as_mut().and_then(|nodes| nodes.next_asked()) {
                let (request, clients) = (number_of_passed(asked.id), self.connections.clients());
                let given = self.calls.play(&mut self.engine, clients, *now, request, asked);
                self.give(request, given, now.mono);
            } else if let Some((request, answer)) = self.engine.nodes.as_mut().and_then(|nodes| nodes.next_answered()) {
                let given = self.calls.passed_on(request, answer);
                self.give(request, given, now.mono);
            } else if let Some((request, response)) = self.calls.readers.try_answer() {
                let clients = self.connections.clients();
                let given = self.calls.found(&mut self.engine, clients, *now, request, response);
                self.give(request, given, now.mono);
            } else if self.engine.events.is_due(now.mono) {
                if self.engine.events.tell() {
                    self.connections.wake_listeners();
                }
            } else if let Some(slot) = self.connections.next() {
                self.drive(slot, now, until);
                if self.engine.is_writer_wanted() {
                    self.hand_over(*now);
                }
            } else {
                let looks = rest_until.is_none() && !self.calls.looks.is_empty();
                return self.connections.has_more()
                    || looks
                    || self.calls.batches.has_work()
                    || self.calls.replays.has_work();
            }
            if !look_at_clocks(&mut self.engine, &mut self.last, now, until) {
                return true;
            }
        }
    }

    /// What a request comes to is told whoever made it: a client here, or one of another node.
    fn give(&mut self, request: RequestId, given: Given, mono: MonoUs) {
        match (is_passed_on(request), &mut self.engine.nodes) {
            (Some(id), Some(nodes)) => nodes.answer(id, given),
            (Some(_), None) | (None, _) => self.connections.give(request, given, &self.date.1, mono),
        }
    }

    /// A node that is to stop does so once it has given away what it had, or nobody takes it.
    fn stop_if_left(&mut self, now: Now) {
        let has_left = self.engine.nodes.as_ref().is_none_or(|nodes| nodes.has_left(now));
        if self.drain_until.is_some() && !self.engine.is_draining() && has_left {
            self.engine.drain(now);
        }
    }

    fn drive(&mut self, slot: u32, now: &mut Now, until: MonoUs) {
        let (calls, engine, last) = (&mut self.calls, &mut self.engine, &mut self.last);
        let clients = self.connections.clients();
        self.connections.drive(slot, now.mono, &self.date.1, |request, peer, asked| {
            let given = calls.answer(engine, clients, *now, request, peer, asked);
            (given, look_at_clocks(engine, last, now, until))
        });
    }

    fn handle_signals(&mut self, now: Now) -> Option<End> {
        for signal in self.signals.pending().collect::<Vec<_>>() {
            if signal == SIGHUP {
                self.supervisor.reloading();
                self.reload.iter_mut().for_each(Reload::begin);
                continue;
            }
            if self.drain_until.is_some() {
                return Some(End::Forced);
            }
            tracing::info!("stopping: finishing what is in flight; a second signal stops at once");
            self.begin_stop(now);
            match &mut self.engine.nodes {
                Some(nodes) => nodes.leave(now),
                None => self.engine.drain(now),
            }
        }
        None
    }

    /// Why it stops by itself, as it can be no node, if so.
    pub(super) fn unfit(&self) -> Option<&str> {
        self.engine.nodes.as_ref().and_then(|nodes| nodes.unfit())
    }

    /// A server that can be no node gives others at once what it cannot read, with what else it has.
    fn stop_if_unfit(&mut self, now: Now) {
        if let (Some(why), None) = (self.unfit(), self.drain_until) {
            tracing::error!(reason = %why, "stopping, so that others have what this server cannot read");
            self.begin_stop(now);
        }
    }

    /// No client comes any more, and what is in flight may finish.
    fn begin_stop(&mut self, now: Now) {
        self.supervisor.stopping("stopping: what is in flight may finish");
        let tls_left = self.tls.as_ref().is_some_and(Tls::leave);
        if self.connections.leave() || tls_left {
            self.connections.hand_over();
        }
        self.drain_until = Some(now.mono.plus(self.drain_max));
        self.calls.backups.iter().for_each(Backups::give_up);
    }

    /// Takes over a configuration that was read again, if there is one.
    fn apply_reload(&mut self, now: Now) {
        let (engine, calls, drain_max) = (&mut self.engine, &mut self.calls, &mut self.drain_max);
        if let Some(reload) = &mut self.reload {
            reload.apply(Live { engine, calls, tls: self.tls.as_ref(), drain_max }, now);
        }
    }

    fn end(&mut self, now: Now) -> Option<End> {
        if self.engine.is_writer_dead() {
            return Some(End::WriterDied);
        }
        if self.tls.as_ref().is_some_and(Tls::has_ended) {
            return Some(End::TlsDied);
        }
        let until = self.drain_until?;
        if self.engine.is_drained() {
            // Who is in line with many changes is told that nothing comes of them, and a long answer is sent as a whole.
            let owes = !self.calls.batches.is_empty() || self.connections.clients().unsent > 0;
            let drained = *self.drained.get_or_insert(now.mono);
            let has_waited = |time| now.mono >= drained.plus(time);
            let is_answered = !owes || has_waited(LAST_ANSWERS_TIME_MAX);
            let is_asked = !self.connections.has_asking() || has_waited(LAST_REQUESTS_TIME_MAX);
            if is_answered && is_asked {
                return Some(End::Clean);
            }
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

/// Does what has fallen due since the clocks were read. Whether there is time to go on.
fn look_at_clocks(engine: &mut Engine, last: &mut Now, now: &mut Now, until: MonoUs) -> bool {
    // One clock tells both times: within a turn they do not move apart by as much as it costs to read the other.
    let mono = clock::mono();
    let passed_us = i64::try_from(mono.0.saturating_sub(now.mono.0)).unwrap_or(i64::MAX);
    *now = Now { wall: now.wall.plus_us(passed_us), mono };
    if engine.deadline().is_reached(*now) {
        // As at the beginning of a turn: nothing is early, and what a step of the clock has made due is not late.
        *now = clock::now();
        compare_clocks(engine, last, *now);
        engine.tick(*now);
    }
    now.mono < until
}

/// A step of the wall clock, or a suspend, shows as wall and monotonic time moving apart.
fn compare_clocks(engine: &mut Engine, last: &mut Now, now: Now) {
    let wall_us = now.wall.since_us(last.wall);
    let mono_us = i64::try_from(now.mono.0.saturating_sub(last.mono.0)).unwrap_or(i64::MAX);
    let step_us = wall_us.saturating_sub(mono_us);
    *last = now;
    if step_us.abs() > CLOCK_STEP_MIN_US {
        engine.input(Input::ClockStep(step_us), now);
    }
}
