//! Owns a worker thread: it waits for events and attempts, lets its driver act, and gives reports back.
//! It must not lose an attempt: also when the driver panics, each one that was handed over is reported once.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use mio::{Events, Poll, Token, Waker};

use super::bell::Bell;
use super::driver::Driver;
use crate::clock;
use crate::core::{Errand, ErrandReport};
use crate::limits::{
    ATTEMPTS_PER_TURN_MAX, EVENTS_PER_TURN_MAX, EXPIRIES_PER_BUSY_TURN, EXPIRIES_PER_TURN, REPORT_WAIT_MAX,
    REPORTS_TOGETHER,
};
use crate::time::MonoUs;

/// The token of the mailbox; connections count from 0.
pub(super) const MAILBOX: Token = Token(usize::MAX);

/// The wait after the system refused to wait for events, so that a lasting fault does not burn a core.
const FAULT_WAIT: Duration = Duration::from_millis(100);

/// How a worker is woken, and why.
#[derive(Debug)]
pub(super) struct Mailbox {
    waker: Waker,
    /// Whether the worker waits or is about to: only then it needs to be woken for attempts.
    asleep: AtomicBool,
    resolved: AtomicBool,
    gives_up: AtomicBool,
    stop: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Mailbox {
        Mailbox {
            waker,
            asleep: AtomicBool::new(false),
            resolved: AtomicBool::new(false),
            gives_up: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// Attempts were put into the worker's channel.
    pub(super) fn note_attempts(&self) {
        // Either the worker, about to sleep, sees the channel filled, or this sees it asleep.
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// A name the worker asked for is resolved.
    pub(super) fn note_resolved(&self) {
        self.resolved.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Executions that were put into the worker's channel are nobody's any more.
    pub(super) fn give_up(&self) {
        self.gives_up.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// The worker shall end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        // It fails only if the worker's poll is gone, and then nobody is left to be woken.
        drop(self.waker.wake());
    }
}

/// A worker thread's belongings.
pub(super) struct Worker {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    attempts: Receiver<Vec<Errand>>,
    /// Reports go back together with the worker's number.
    reports: Sender<(usize, Vec<ErrandReport>)>,
    bell: Arc<Bell>,
    driver: Driver,
    /// Until when reports may be held back; None: there are none.
    deliver_by: Option<MonoUs>,
}

impl Worker {
    /// Nothing is done before [`Worker::run`].
    pub(super) fn new(
        poll: Poll,
        mailbox: Arc<Mailbox>,
        attempts: Receiver<Vec<Errand>>,
        reports: Sender<(usize, Vec<ErrandReport>)>,
        bell: Arc<Bell>,
        driver: Driver,
    ) -> Worker {
        Worker { poll, mailbox, attempts, reports, bell, driver, deliver_by: None }
    }

    /// Works until it is stopped.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        while !self.mailbox.stop.load(Ordering::SeqCst) {
            let polled = self.wait(&mut events);
            if self.mailbox.gives_up.swap(false, Ordering::SeqCst) {
                while self.collect_some() {}
                guarded(&mut self.driver, Driver::give_up);
            }
            self.collect();
            let resolved = self.mailbox.resolved.swap(false, Ordering::SeqCst);
            match polled {
                Ok(()) => guarded(&mut self.driver, |driver| turn(driver, &events, resolved)),
                Err(error) => {
                    self.driver.abandon(&format!("the worker cannot wait for events: {error}"));
                    std::thread::sleep(FAULT_WAIT);
                }
            }
            self.driver.count_waiting();
            if !self.deliver() {
                return;
            }
        }
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        self.mailbox.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let mut patience = if self.attempts.is_empty() { self.driver.patience() } else { Some(Duration::ZERO) };
        if !self.driver.reports.is_empty() {
            patience = Some(patience.map_or(REPORT_WAIT_MAX, |patience| patience.min(REPORT_WAIT_MAX)));
        }
        let before = clock::mono();
        let polled = match self.poll.poll(events, patience) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        };
        self.mailbox.asleep.store(false, Ordering::SeqCst);
        let waited = clock::mono().0.saturating_sub(before.0);
        self.driver.waited = MonoUs(self.driver.waited.0 + waited);
        polled
    }

    /// Takes attempts from the channel until there are enough for the next turns.
    fn collect(&mut self) {
        while self.driver.inbox.len() < ATTEMPTS_PER_TURN_MAX && self.collect_some() {}
    }

    /// Takes what was handed over together. False: there is nothing.
    fn collect_some(&mut self) -> bool {
        let Ok(attempts) = self.attempts.try_recv() else { return false };
        self.driver.setup.counters.took(attempts.len());
        self.driver.inbox.extend(attempts);
        true
    }

    /// Gives reports back: at once, but while a burst drains some together. Whoever takes them works on the same cores.
    /// False: nobody wants reports any more.
    fn deliver(&mut self) -> bool {
        if self.driver.reports.is_empty() {
            return true;
        }
        if self.driver.is_draining() && self.driver.reports.len() < REPORTS_TOGETHER {
            let now = clock::mono();
            if now < *self.deliver_by.get_or_insert(now.plus(REPORT_WAIT_MAX)) {
                return true;
            }
        }
        self.deliver_by = None;
        let reports = std::mem::take(&mut self.driver.reports);
        match self.reports.try_send((self.driver.setup.worker, reports)) {
            Ok(()) => {}
            // The loop has not looked for long. To wait here would keep what is to be sent; the reports go with the next.
            Err(TrySendError::Full((_, reports))) => self.driver.reports = reports,
            Err(TrySendError::Disconnected(_)) => return false,
        }
        self.bell.ring();
        true
    }
}

/// What a worker does each time it has waited: first what is ready, then what takes long.
fn turn(driver: &mut Driver, events: &Events, resolved: bool) {
    // Events first: they say which of the resting connections are gone.
    let mut busy = !driver.inbox.is_empty();
    for event in events.iter().filter(|event| event.token() != MAILBOX) {
        busy = true;
        driver.note_event(event);
    }
    // Those who wait longest go first.
    driver.serve_all();
    driver.take_up();
    if resolved {
        driver.note_resolved();
    }
    driver.serve_all();
    driver.open_some(busy);
    driver.note_time(if busy { EXPIRIES_PER_BUSY_TURN } else { EXPIRIES_PER_TURN });
    driver.serve_all();
}

/// Lets the driver act. If it panics, all it had taken up is reported, and it goes on with nothing.
fn guarded(driver: &mut Driver, act: impl FnOnce(&mut Driver)) {
    if catch_unwind(AssertUnwindSafe(|| act(driver))).is_err() {
        driver.abandon("the worker failed in the middle of the attempt");
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
