//! Owns the sending of attempts: it takes them, POSTs each, and gives back exactly one report for every one.
//! It must not know the scheduler's state: only how much may be in flight is agreed.
//!
//! A few threads each drive thousands of connections. From outside in: [`Pool`] shares attempts out among the
//! `worker` threads, each with its `feed`; a worker waits and lets its `driver` act, whose `steps` follow each
//! `connection` through one `exchange` after the other; the `board` holds all that is under way; a `peer` is what is
//! known of one target: who waits for it, and how many connections it is worth; `opening` decides whose turn it is to
//! get one, and a `race` which of its addresses it leads to; the `resolver` looks names up on threads of its own, `names` are what it knows, and the `guard` says which addresses are never
//! POSTed to, by the operator's `allowlist` among others. `flight` is one attempt under way, `course` where its time goes, `told` what an answer says that is no success, `heard` what its bytes come to by themselves, `plain` the answers that nearly all targets give, `head` what its
//! request says, with the `trace` it belongs to, `lease` until when executions may be sent, `tls` how it is encrypted, `trust` whom its target is trusted by; the `bell` tells the loop of reports, `stats` are the figures.

mod allowlist;
mod bell;
mod board;
mod connection;
mod course;
mod driver;
mod exchange;
mod feed;
mod flight;
mod guard;
mod head;
mod heard;
mod lease;
mod names;
mod opening;
mod peer;
mod plain;
mod race;
mod resolver;
mod stats;
mod steps;
mod tls;
mod told;
mod trace;
mod trust;
mod worker;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use http::HeaderValue;
use mio::{Poll, Waker};

pub use allowlist::{Allowlist, MalformedAllowlist};
pub use bell::Notify;
pub use guard::check as may_reach;
pub use heard::{Heard, hear, hear_outcome};
pub use lease::Lease;
pub use resolver::{System, ask_system, resolve};
pub use stats::{PoolStats, WorkerStats};
pub use trust::{Trust, check_roots, machine_roots};

use crate::clock;
use crate::core::{Errand, ErrandReport};
use crate::limits::REPORT_BATCHES_PENDING_MAX;
use bell::Bell;
use driver::{Driver, Setup};
use feed::{Feed, feed};
use flight::TimeLimits;
use head::Heads;
use resolver::{Resolver, WakeWorker};
use stats::Counters;
use worker::{MAILBOX, Mailbox, Worker};

/// Fewer attempts than this in one call are not worth waking another worker for.
const SHARE_MIN: usize = 32;

/// How many threads send unless somebody says otherwise: one for every two cores, at most 4. On few cores a second one
/// only takes time from the first, the loop and the kernel.
pub fn default_workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).clamp(1, 4)
}

/// How attempts are sent.
#[derive(Clone, Debug)]
pub struct DispatchSettings {
    /// How many threads send; at least 1.
    pub workers: usize,
    /// How many attempts may be handed out and not reported.
    pub in_flight_max: u32,
    /// How many connections may rest, over all targets and workers.
    pub idle_max: u32,
    /// How long one attempt may take as a whole, counted from when it began to connect, or to write where a connection
    /// was there.
    pub timeout: Duration,
    /// How long a connection may take until it can carry a request, TLS included.
    pub connect_timeout: Duration,
    /// The `User-Agent` of every POST.
    pub user_agent: String,
    /// Where requests may go.
    pub targets: Allowlist,
    /// Root certificates in PEM format that are trusted beside those of this machine. Empty: none.
    pub extra_roots: Vec<u8>,
}

/// The worker pool. Dropped, it stops its threads and drops what is in flight.
#[derive(Debug)]
pub struct Pool {
    workers: Vec<Member>,
    reports: Receiver<(usize, Vec<ErrandReport>)>,
    /// Reports taken from the channel and not asked for yet.
    received: VecDeque<ErrandReport>,
    bell: Arc<Bell>,
    resolver: Resolver,
    trust: Arc<Trust>,
    lease: Lease,
    /// How many attempts may be out.
    room: usize,
}

/// One worker as the pool sees it.
#[derive(Debug)]
struct Member {
    attempts: Feed<Errand>,
    mailbox: Arc<Mailbox>,
    counters: Arc<Counters>,
    /// Attempts handed out, ever.
    sent: u64,
    /// Attempts handed out whose reports were not taken from the channel.
    load: usize,
    thread: Option<JoinHandle<()>>,
}

impl Pool {
    /// Starts the threads. `notify` is called from them when reports wait, once until [`Pool::receive`] is called.
    ///
    /// # Errors
    /// When a setting is malformed, or the system gives no thread or no way to wait for events.
    pub fn start(settings: DispatchSettings, notify: Notify) -> io::Result<Pool> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
        if settings.workers == 0 || settings.in_flight_max == 0 {
            return Err(invalid("sending takes at least one worker and one attempt in flight"));
        }
        let user_agent = HeaderValue::from_str(&settings.user_agent);
        let user_agent = user_agent.map_err(|_| invalid("the user agent is not a header value"))?;
        let room = settings.in_flight_max as usize;
        let trust = Arc::new(Trust::new(&settings.extra_roots)?);
        let bell = Arc::new(Bell::new(notify));
        let (report, reports) = bounded(REPORT_BATCHES_PENDING_MAX);

        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..settings.workers {
            let poll = Poll::new()?;
            mailboxes.push(Arc::new(Mailbox::new(Waker::new(poll.registry(), MAILBOX)?)));
            polls.push(poll);
        }
        let wake: WakeWorker = {
            let mailboxes = mailboxes.clone();
            Arc::new(move |worker| mailboxes[worker].note_resolved())
        };
        let prepare = {
            let trust = Arc::clone(&trust);
            // Reading the machine's certificates takes milliseconds that no worker should spend.
            move || drop(trust.config(clock::mono()))
        };
        let resolver = Resolver::start(Arc::new(resolver::ask_system), settings.targets, &wake, prepare)?;

        // From here on, dropping the pool stops what was started.
        let lease = Lease::default();
        let received = VecDeque::new();
        let mut pool = Pool { workers: Vec::new(), reports, received, bell, resolver, trust, lease, room };
        let idle_max = (settings.idle_max as usize / settings.workers).max(1);
        let limits = TimeLimits { whole: settings.timeout, connect: settings.connect_timeout };
        for (number, (poll, mailbox)) in polls.into_iter().zip(mailboxes).enumerate() {
            let (registry, resolver) = (poll.registry().try_clone()?, pool.resolver.clone());
            let heads = Heads::new(user_agent.clone());
            let setup = Setup::new(number, registry, resolver, Arc::clone(&pool.trust), heads, limits, idle_max);
            let setup = setup.under(pool.lease.clone());
            let counters = Arc::clone(&setup.counters);
            let (attempts, work) = feed();
            let (reports, bell) = (report.clone(), Arc::clone(&pool.bell));
            let worker = Worker::new(poll, Arc::clone(&mailbox), work, reports, bell, Driver::new(setup));
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).stack_size(512 * 1024);
            let thread = Some(thread.spawn(move || worker.run())?);
            pool.workers.push(Member { attempts, mailbox, counters, sent: 0, load: 0, thread });
        }
        Ok(pool)
    }

    /// Hands attempts over. Never blocks: the caller sees to it that no more than `in_flight_max` are out.
    pub fn send<T: Into<Errand>>(&mut self, attempts: impl IntoIterator<Item = T>) {
        let mut attempts = attempts.into_iter().map(Into::into).collect::<Vec<Errand>>();
        let out: usize = self.workers.iter().map(|worker| worker.load).sum();
        assert!(out + attempts.len() <= self.room, "more is handed out than may be in flight");
        let shares = (attempts.len() / SHARE_MIN).clamp(1, self.workers.len());
        for left in (1..=shares).rev() {
            let rest = attempts.split_off(attempts.len() / left);
            let share = std::mem::replace(&mut attempts, rest);
            if share.is_empty() {
                continue;
            }
            // Among equals the first, so that a few attempts find the connections that others left.
            let worker =
                self.workers.iter_mut().min_by_key(|worker| worker.load).expect("there is at least one worker");
            worker.load += share.len();
            worker.sent += share.len() as u64;
            // Otherwise attempts would gather where nobody takes them.
            let lives = worker.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(lives, "a worker lives as long as the pool");
            worker.attempts.put(share);
            worker.mailbox.note_attempts();
        }
    }

    /// All executions that are out are given up: their reports come soon, whatever targets do, and say nothing.
    pub fn give_up(&self) {
        self.workers.iter().for_each(|worker| worker.mailbox.give_up());
    }

    /// Appends up to `max` reports.
    pub fn receive(&mut self, max: usize, into: &mut Vec<ErrandReport>) {
        self.bell.silence();
        let enough = into.len().saturating_add(max);
        loop {
            let room = enough - into.len();
            into.extend(self.received.drain(..room.min(self.received.len())));
            if into.len() == enough {
                break;
            }
            let Ok((worker, reports)) = self.reports.try_recv() else { return };
            self.workers[worker].load -= reports.len();
            self.received.extend(reports);
        }
        if !self.received.is_empty() || !self.reports.is_empty() {
            self.bell.ring();
        }
    }

    /// Until when executions may be sent: to be set by whoever knows.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// Whom its targets are trusted by.
    pub fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust)
    }

    /// Why some of the machine's root certificates could not be read, once; they are tried again.
    pub fn take_news_of_roots(&self) -> Option<String> {
        self.trust.take_news()
    }

    /// The figures of now.
    pub fn stats(&self) -> PoolStats {
        PoolStats { workers: self.workers.iter().map(Member::stats).collect(), lookups: self.resolver.lookups() }
    }
}

impl Member {
    fn stats(&self) -> WorkerStats {
        self.counters.read(self.sent, self.load as u64)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.mailbox.stop();
        }
        for thread in self.workers.iter_mut().filter_map(|worker| worker.thread.take()) {
            // A worker catches its panics; should one have died all the same, there is nothing left to stop.
            drop(thread.join());
        }
    }
}
