//! Owns what a worker knows of one target: who waits for it, which connections rest, and how many more it needs.
//! It must not open, close or use a connection.

use std::collections::VecDeque;
use std::net::IpAddr;

use http::HeaderValue;

use super::allowlist::Allowlist;
use super::head::host_value;
use super::resolver::{Lookup, literal};
use crate::job::TargetUrl;
use crate::limits::{CONNECTING_SHARE, CONNECTIONS_FREE, DRAIN_TIME, GROWTH_TICK, IDLE_PER_TARGET_MAX, SILENCE_GRACE};
use crate::time::MonoUs;

/// One scheme, host and port, and all that is under way to it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) https: bool,
    /// The authority as the URL has it.
    pub(super) name: Box<str>,
    /// Without the brackets of an IPv6 address.
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// What it wants to hear as `Host`.
    pub(super) host_value: HeaderValue,
    /// What is known of the host, if it is written as an address.
    pub(super) literal: Option<Lookup>,
    /// Attempts that have no connection, in the order they came.
    pub(super) waiting: VecDeque<u32>,
    /// Those that must not have one that rested.
    pub(super) fresh: VecDeque<u32>,
    /// Connections of any kind, except those that drain.
    pub(super) open: u32,
    /// Connections on which the rest of an answer is read whose status is known.
    pub(super) draining: u32,
    /// Those of them that are not ready yet.
    pub(super) connecting: u32,
    /// Which of its addresses was the first to connect last time.
    pub(super) preferred: Option<IpAddr>,
    /// Whether a lookup of its name is awaited.
    pub(super) resolving: bool,
    /// Since when its name was waited for, and until when; None: it still is.
    name_asked: Option<(MonoUs, Option<MonoUs>)>,
    /// Whether it is in the worker's list of targets to serve.
    pub(super) dirty: bool,
    /// Whether it is in the worker's list of targets that want another connection.
    pub(super) opening: bool,
    /// Whether it is in the worker's list of targets that wait for a free connection.
    pub(super) throttled: bool,
    /// Connections that rest, those that began last at the back.
    idle: VecDeque<u32>,
    pace: Pace,
    /// No connection is opened before this time.
    paused_until: MonoUs,
}

impl Peer {
    /// The target of this URL.
    pub(super) fn new(url: &TargetUrl, targets: &Allowlist) -> Result<Peer, String> {
        let host = url.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Peer {
            https: url.is_https(),
            name: url.authority().into(),
            host: bare.into(),
            port: url.port(),
            host_value: host_value(url)?,
            literal: literal(bare, targets),
            waiting: VecDeque::new(),
            fresh: VecDeque::new(),
            open: 0,
            draining: 0,
            connecting: 0,
            preferred: None,
            resolving: false,
            name_asked: None,
            dirty: false,
            opening: false,
            throttled: false,
            idle: VecDeque::new(),
            pace: Pace::NEW,
            paused_until: MonoUs(0),
        })
    }

    /// Whether nothing is under way, so that it can be forgotten.
    pub(super) fn is_unused(&self) -> bool {
        let listed = self.resolving || self.dirty || self.opening || self.throttled;
        self.open + self.draining == 0 && self.waits() == 0 && !listed
    }

    /// How many attempts have no connection.
    pub(super) fn waits(&self) -> usize {
        self.waiting.len() + self.fresh.len()
    }

    /// The connection that began to rest last: the others may grow old.
    pub(super) fn take_idle(&mut self) -> Option<u32> {
        self.idle.pop_back()
    }

    /// Lets a connection rest. False: there are enough.
    #[must_use]
    pub(super) fn rest(&mut self, link: u32) -> bool {
        let room = self.idle.len() < IDLE_PER_TARGET_MAX;
        if room {
            self.idle.push_back(link);
        }
        room
    }

    /// A resting connection is gone; mostly it is the one that has rested longest.
    pub(super) fn forget_idle(&mut self, link: u32) {
        if self.idle.front() == Some(&link) {
            self.idle.pop_front();
        } else {
            self.idle.retain(|&other| other != link);
        }
    }

    /// Whether the next attempt that waits is worth another connection.
    ///
    /// `waited` is how long this worker has waited for events, ever.
    pub(super) fn may_open(&self, now: MonoUs, waited: MonoUs) -> bool {
        let load = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX).saturating_add(u64::from(self.open));
        self.may_connect(now) && u64::from(self.open) < self.pace.connections(load, waited)
    }

    /// Whether another connection may be made, worth it or not. More at once would not fit into the queue in which the
    /// target's system keeps what it has not accepted: what is dropped there is tried again by the system a whole
    /// second later.
    pub(super) fn may_connect(&self, now: MonoUs) -> bool {
        let ready = self.open - self.connecting;
        now >= self.paused_until && self.connecting < CONNECTIONS_FREE.max(ready / CONNECTING_SHARE)
    }

    /// Its name is being looked up, and waited for.
    pub(super) fn ask_name(&mut self, now: MonoUs) {
        if !matches!(self.name_asked, Some((_, None))) {
            self.name_asked = Some((now, None));
        }
    }

    /// Its name, or that it has none, is known.
    pub(super) fn note_name(&mut self, now: MonoUs) {
        if let Some((_, until @ None)) = &mut self.name_asked {
            *until = Some(now);
        }
    }

    /// How long its name was waited for by an attempt that was taken up at this time, in microseconds.
    pub(super) fn name_wait(&self, since: MonoUs) -> u64 {
        self.name_asked.and_then(|(_, until)| until).map_or(0, |until| self.name_wait_until(since, until))
    }

    /// The same, where it is waited for until now.
    pub(super) fn name_wait_until(&self, since: MonoUs, now: MonoUs) -> u64 {
        self.name_asked.map_or(0, |(from, until)| until.unwrap_or(now).0.saturating_sub(from.max(since).0))
    }

    /// Whether requests are under way and nothing has been heard for a while.
    pub(super) fn is_silent(&self, waited: MonoUs) -> bool {
        self.open - self.connecting > self.idle_len() && self.pace.silence(waited) > 0
    }

    /// This machine has no room for another connection: none is tried for a moment.
    pub(super) fn pause(&mut self, now: MonoUs) {
        self.paused_until = now.plus(GROWTH_TICK * 10);
    }

    /// A request is written. If it is the only one under way, silence counts from now on.
    pub(super) fn note_sent(&mut self, waited: MonoUs) {
        if self.open - self.connecting - self.idle_len() <= 1 {
            self.pace.heard = waited;
        }
    }

    /// An answer came to a request written when the worker had waited for so long.
    pub(super) fn note_answer(&mut self, sent: MonoUs, waited: MonoUs) {
        self.pace.note_answer(waited.0.saturating_sub(sent.0));
        self.pace.heard = waited;
    }

    /// How many connections rest.
    pub(super) fn idle_len(&self) -> u32 {
        u32::try_from(self.idle.len()).unwrap_or(u32::MAX)
    }
}

/// How fast a target answers, not counting the time in which the worker itself was busy: if that is what takes
/// long, more connections do not help.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long the target takes when it is not crowded, in microseconds. Falls at once, rises slowly.
    answer_us: u64,
    /// How long the worker had waited in all when the target last gave a sign of life.
    heard: MonoUs,
}

impl Pace {
    /// Nothing is known.
    const NEW: Pace = Pace { answer_us: 0, heard: MonoUs(0) };

    fn note_answer(&mut self, us: u64) {
        if us < self.answer_us || self.answer_us == 0 {
            self.answer_us = us.max(1);
        } else {
            self.answer_us += (us - self.answer_us).div_ceil(256);
        }
    }

    /// How long nothing was heard, beyond what is usual, in microseconds.
    fn silence(&self, waited: MonoUs) -> u64 {
        waited.0.saturating_sub(self.heard.0).saturating_sub(us(SILENCE_GRACE))
    }

    /// How many connections it takes to send `load` requests within [`DRAIN_TIME`].
    fn connections(&self, load: u64, waited: MonoUs) -> u64 {
        let answer = self.answer_us.max(self.silence(waited));
        (load.saturating_mul(answer) / us(DRAIN_TIME)).max(u64::from(CONNECTIONS_FREE))
    }
}

fn us(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("limits are short")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer::new(&TargetUrl::parse("http://127.0.0.1:8080/a").unwrap(), &Allowlist::default()).unwrap()
    }

    #[test]
    fn a_fast_target_gets_few_connections_and_a_slow_one_as_many_as_it_needs() {
        let mut pace = Pace::NEW;
        pace.note_answer(200);
        assert_eq!(pace.connections(10_000, MonoUs(0)), u64::from(CONNECTIONS_FREE));
        let mut pace = Pace::NEW;
        pace.note_answer(us(DRAIN_TIME) / 2);
        assert_eq!(pace.connections(10_000, MonoUs(0)), 5_000);
    }

    #[test]
    fn a_silent_target_gets_a_connection_for_everything_that_waits() {
        let pace = Pace::NEW;
        assert_eq!(pace.connections(2_000, MonoUs(us(SILENCE_GRACE))), u64::from(CONNECTIONS_FREE));
        assert!(pace.connections(2_000, MonoUs(us(SILENCE_GRACE + DRAIN_TIME))) >= 2_000);
    }

    #[test]
    fn one_slow_answer_does_not_make_a_target_slow() {
        let mut pace = Pace::NEW;
        pace.note_answer(100);
        pace.note_answer(1_000_000);
        assert!(pace.answer_us < 5_000, "{}", pace.answer_us);
        for _ in 0..2_000 {
            pace.note_answer(1_000_000);
        }
        assert!(pace.answer_us > 900_000, "{}", pace.answer_us);
    }

    #[test]
    fn connections_that_are_not_ready_hold_back_others() {
        let mut peer = peer();
        peer.waiting.extend(0..1_000);
        (peer.open, peer.connecting) = (CONNECTIONS_FREE, CONNECTIONS_FREE);
        assert!(!peer.may_open(MonoUs(0), MonoUs(10_000_000)));
        peer.connecting = CONNECTIONS_FREE - 1;
        assert!(peer.may_open(MonoUs(0), MonoUs(10_000_000)));
        assert!(!peer.may_open(MonoUs(0), MonoUs(0)), "nothing is known yet, and enough are open");
        peer.pause(MonoUs(0));
        assert!(!peer.may_open(MonoUs(0), MonoUs(10_000_000)));
        peer.paused_until = MonoUs(0);
        // Of many that are ready, a quarter may be added at once.
        (peer.open, peer.connecting) = (500, 100);
        assert!(!peer.may_open(MonoUs(0), MonoUs(10_000_000)));
        (peer.open, peer.connecting) = (500, 99);
        assert!(peer.may_open(MonoUs(0), MonoUs(10_000_000)));
    }

    #[test]
    fn the_newest_connection_is_used() {
        let mut peer = peer();
        for link in 0..4 {
            assert!(peer.rest(link));
        }
        peer.forget_idle(2);
        peer.forget_idle(0);
        assert_eq!(std::iter::from_fn(|| peer.take_idle()).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn hosts_lose_their_brackets() {
        let peer = Peer::new(&TargetUrl::parse("https://[::1]/").unwrap(), &Allowlist::default()).unwrap();
        assert_eq!((&*peer.host, peer.port, peer.https), ("::1", 443, true));
        assert!(peer.literal.is_some());
    }
}
