//! Owns the receiving end: listeners, their threads, and the arrivals those note down.
//! It must not judge arrivals, and must stay cheap enough not to be what is measured.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::connection::{Connection, Step};
use super::spread::Spread;
use super::stream::Identity;
use crate::background;
use crate::time::US_PER_SECOND;

/// Arrivals that are handed over at once.
const CHUNK_LEN: usize = 8_192;
/// How long an arrival waits at most until it is handed over.
const FLUSH_EVERY: Duration = Duration::from_millis(50);
/// Connections that one thread holds; further ones are closed at once.
const CONNECTIONS_MAX: usize = 16_384;
/// Connections that were made and not accepted yet.
#[cfg(unix)]
const QUEUE_LEN: i32 = 4_096;
const WAKER: Token = Token(usize::MAX);

/// How the receiver behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    /// Ports, and who POSTs to them.
    pub(super) spread: Spread,
    /// The wait before each answer.
    pub(super) delay: Duration,
    /// The share of first attempts that is answered 500.
    pub(super) fail_per_cent: u32,
    /// How far ahead of its second an arrival that does not say its instant may be.
    pub(super) slack_us: i64,
}

/// One POST of a job that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The number in its path.
    pub(super) job: u32,
    /// The second it belongs to, Unix time.
    pub(super) instant: u32,
    /// From that second to the moment it was read, in microseconds.
    pub(super) late_us: i32,
    /// Tells idempotency keys apart; the lowest bit says whether it is a repeated attempt.
    pub(super) tag: u32,
}

impl Arrival {
    /// Whether it says that it is not a first attempt.
    pub(super) fn is_repeat(self) -> bool {
        self.tag & 1 == 1
    }

    /// The fingerprint of its key, never 0.
    pub(super) fn key(self) -> u32 {
        self.tag | 1
    }
}

/// The running receiver. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Receiver {
    ports: Vec<u16>,
    shared: Arc<Shared>,
    threads: Vec<(JoinHandle<()>, Waker)>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    /// Without one, connections are plain.
    identity: Option<Identity>,
    stop: AtomicBool,
    recording: AtomicBool,
    requests: AtomicU64,
    handed_over: Mutex<Vec<Vec<Arrival>>>,
    /// Where the system tells what each thread used.
    tasks: Mutex<Vec<PathBuf>>,
}

impl Receiver {
    /// Listens on loopback, from `port` upwards or on free ports, with so many threads.
    pub(super) fn start(
        behaviour: Behaviour,
        identity: Option<Identity>,
        port: u16,
        threads: u32,
    ) -> io::Result<Receiver> {
        let mut listeners = Vec::new();
        for number in 0..behaviour.spread.targets {
            let port = if port == 0 { 0 } else { port + u16::try_from(number).unwrap_or(0) };
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let listener = listen(address)
                .map_err(|why| io::Error::new(why.kind(), format!("failed to listen on {address}: {why}")))?;
            listeners.push(listener);
        }
        let ports = listeners.iter().map(|listener| listener.local_addr().map(|address| address.port()));
        let ports = ports.collect::<io::Result<Vec<u16>>>()?;
        let shared = Arc::new(Shared {
            behaviour,
            identity,
            stop: AtomicBool::new(false),
            recording: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            handed_over: Mutex::default(),
            tasks: Mutex::default(),
        });
        let mut receiver = Receiver { ports, shared, threads: Vec::new() };
        for number in 0..threads {
            let (thread, waker) = Thread::new(&listeners, Arc::clone(&receiver.shared))?;
            let name = format!("receiver-{number}");
            receiver.threads.push((std::thread::Builder::new().name(name).spawn(move || thread.run())?, waker));
        }
        Ok(receiver)
    }

    /// The ports of the targets.
    pub(super) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The URL that job `n` is to POST to.
    pub(super) fn url(&self, job: u32) -> String {
        let port = self.ports[self.shared.behaviour.spread.target_of(job) as usize];
        let scheme = if self.shared.identity.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{port}/job/{job}")
    }

    /// From now on arrivals are noted down.
    pub(super) fn record(&self) {
        self.shared.recording.store(true, Ordering::Release);
    }

    /// Requests so far, of any kind.
    pub(super) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// Takes the arrivals noted down since the last call.
    pub(super) fn take(&self) -> Vec<Vec<Arrival>> {
        std::mem::take(&mut *self.shared.handed_over.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the system tells what each thread used.
    pub(super) fn tasks(&self) -> Vec<PathBuf> {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for (thread, waker) in self.threads.drain(..) {
            // Both fail only if the thread is gone already.
            drop(waker.wake());
            drop(thread.join());
        }
    }
}

impl Shared {
    /// Copies, so that the receiving thread always writes to the same, warm memory.
    fn hand_over(&self, chunk: &mut Vec<Arrival>) {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner).push(chunk.clone());
        chunk.clear();
    }
}

struct Thread {
    poll: Poll,
    listeners: Vec<TcpListener>,
    connections: Slab<Connection>,
    /// Answers that wait: when, for which connection, whether it is an error.
    delayed: BinaryHeap<Reverse<(Instant, usize, u64, bool)>>,
    generation: u64,
    noise: u64,
    chunk: Vec<Arrival>,
    flushed: Instant,
    shared: Arc<Shared>,
}

impl Thread {
    fn new(listeners: &[StdListener], shared: Arc<Shared>) -> io::Result<(Thread, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut own = Vec::new();
        for (number, listener) in listeners.iter().enumerate() {
            let copy = StdListener::from(listener.as_fd().try_clone_to_owned()?);
            let mut copy = TcpListener::from_std(copy);
            poll.registry().register(&mut copy, Token(number), Interest::READABLE)?;
            own.push(copy);
        }
        let thread = Thread {
            poll,
            listeners: own,
            connections: Slab::new(),
            delayed: BinaryHeap::new(),
            generation: 0,
            noise: 0x9e37_79b9_7f4a_7c15,
            chunk: Vec::with_capacity(CHUNK_LEN),
            flushed: Instant::now(),
            shared,
        };
        Ok((thread, waker))
    }

    fn run(mut self) {
        // Elsewhere a target is another machine: it does not take the core from the thread that has just sent something.
        background::give_way();
        if let Ok(task) = std::fs::read_link("/proc/thread-self") {
            let task = PathBuf::from("/proc").join(task);
            self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        }
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; 64 * 1024];
        while !self.shared.stop.load(Ordering::Acquire) {
            let due = self.delayed.peek().map(|Reverse((at, ..))| at.saturating_duration_since(Instant::now()));
            let wait = due.map_or(FLUSH_EVERY, |due| due.min(FLUSH_EVERY));
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                // Without a poll there is nothing to receive; the run ends with everything missed.
                Err(_) => return,
            }
            for event in &events {
                let Token(number) = event.token();
                if event.token() == WAKER {
                    continue;
                }
                match number.checked_sub(self.listeners.len()) {
                    None => self.accept(number),
                    Some(key) => self.serve(key, event, &mut buffer),
                }
            }
            let now = Instant::now();
            self.answer_delayed(now);
            if now.duration_since(self.flushed) >= FLUSH_EVERY {
                self.flush(now);
            }
        }
    }

    fn accept(&mut self, target: usize) {
        // Any error means that there is nothing more to accept for now.
        while let Ok((stream, _)) = self.listeners[target].accept() {
            if self.connections.len() >= CONNECTIONS_MAX {
                continue;
            }
            self.generation += 1;
            let hangs = target < self.shared.behaviour.spread.hang as usize;
            let entry = self.connections.vacant_entry();
            let token = Token(self.listeners.len() + entry.key());
            let identity = self.shared.identity.as_ref();
            let made = Connection::new(stream, identity, self.poll.registry(), token, self.generation, hangs);
            if let Ok(connection) = made {
                entry.insert(connection);
            }
        }
    }

    fn serve(&mut self, key: usize, event: &Event, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut alive = !event.is_writable() || connection.flush().is_ok();
        while alive && event.is_readable() {
            match connection.read(buffer) {
                Ok(Step::Heard { heard, at_us }) => {
                    let mut failing = false;
                    if let Some(job) = heard.job {
                        self.shared.requests.fetch_add(1, Ordering::Relaxed);
                        if self.shared.recording.load(Ordering::Relaxed) {
                            let slack_us = self.shared.behaviour.slack_us;
                            self.chunk.push(arrival(job, heard.instant, heard.attempt, heard.key, at_us, slack_us));
                        }
                        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let draw = (self.noise >> 33) % 100;
                        failing = heard.attempt <= 1 && draw < u64::from(self.shared.behaviour.fail_per_cent);
                    }
                    let delay = self.shared.behaviour.delay;
                    if connection.hangs {
                        // It has been read, and that is all it gets.
                    } else if delay.is_zero() {
                        connection.answer(failing);
                    } else {
                        let due = Instant::now() + delay;
                        self.delayed.push(Reverse((due, key, connection.generation, failing)));
                    }
                    if self.chunk.len() >= CHUNK_LEN {
                        self.shared.hand_over(&mut self.chunk);
                    }
                }
                Ok(Step::Wait) => break,
                Ok(Step::Closed) | Err(_) => alive = false,
            }
        }
        if !alive || connection.flush().is_err() {
            self.connections.remove(key);
        }
    }

    fn answer_delayed(&mut self, now: Instant) {
        while let Some(&Reverse((at, key, generation, failing))) = self.delayed.peek() {
            if at > now {
                return;
            }
            self.delayed.pop();
            // The client may have gone, and another one taken the slot.
            let connection = self.connections.get_mut(key).filter(|connection| connection.generation == generation);
            if let Some(connection) = connection {
                connection.answer(failing);
                if connection.flush().is_err() {
                    self.connections.remove(key);
                }
            }
        }
    }

    fn flush(&mut self, now: Instant) {
        self.flushed = now;
        if !self.chunk.is_empty() {
            self.shared.hand_over(&mut self.chunk);
        }
    }
}

/// Places a request in time: by the instant it says, or else by the second it is nearest to within the slack.
fn arrival(job: u32, instant: Option<u32>, attempt: u32, key: u32, at_us: i64, slack_us: i64) -> Arrival {
    let nearest = || u32::try_from((at_us + slack_us).div_euclid(US_PER_SECOND)).unwrap_or(0);
    let instant = instant.unwrap_or_else(nearest);
    let late_us = at_us - i64::from(instant) * US_PER_SECOND;
    let late_us = i32::try_from(late_us).unwrap_or(if late_us < 0 { i32::MIN } else { i32::MAX });
    Arrival { job, instant, late_us, tag: key & !1 | u32::from(attempt > 1) }
}

/// With a queue long enough for all that connect at once: what does not fit comes again a second later.
fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    #[cfg(unix)]
    rustix::net::listen(&listener, QUEUE_LEN)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_without_an_instant_take_the_second_within_the_slack() {
        let told = arrival(1, Some(10), 2, 7, 10_000_400, 500_000);
        assert_eq!((told.instant, told.late_us, told.is_repeat()), (10, 400, true));
        for (at_us, slack_us, instant, late_us) in [
            (10_000_400, 500_000, 10, 400),
            (9_999_000, 500_000, 10, -1_000),
            (9_880_000, 500_000, 10, -120_000),
            (9_880_000, 100_000, 9, 880_000),
        ] {
            let placed = arrival(1, None, 1, 0, at_us, slack_us);
            assert_eq!((placed.instant, placed.late_us), (instant, late_us));
        }
    }
}
