//! Owns the figures of the worker pool.
//! It must not decide anything.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the pool is doing and has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Each worker's share.
    pub workers: Vec<WorkerStats>,
    /// Lookups made, ever.
    pub lookups: u64,
}

/// What one worker is doing and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Attempts handed out and not reported.
    pub in_flight: u64,
    /// Those of them that have no connection, not even one that is being opened.
    pub waiting: u64,
    /// Connections that are open, resting ones included.
    pub connections: u64,
    /// Connections opened, ever, whatever became of them.
    pub opened: u64,
    /// Requests that a kept-alive connection was there for, ever.
    pub reused: u64,
    /// Requests sent a second time because a kept-alive connection was lost, ever.
    pub repeated: u64,
    /// Faults that made this worker drop all it held, ever.
    pub faults: u64,
}

/// One worker's figures; only that worker writes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    taken: AtomicU64,
    waiting: AtomicU64,
    closed: AtomicU64,
    opened: AtomicU64,
    reused: AtomicU64,
    repeated: AtomicU64,
    faults: AtomicU64,
}

impl Counters {
    pub(super) fn opened(&self) {
        add(&self.opened);
    }

    pub(super) fn closed(&self) {
        add(&self.closed);
    }

    pub(super) fn reused(&self) {
        add(&self.reused);
    }

    pub(super) fn repeated(&self) {
        add(&self.repeated);
    }

    /// All connections are gone at once.
    pub(super) fn abandoned(&self) {
        add(&self.faults);
        self.closed.store(self.opened.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Attempts came out of the channel.
    pub(super) fn took(&self, count: usize) {
        self.taken.store(self.taken.load(Ordering::Relaxed) + count as u64, Ordering::Relaxed);
    }

    /// How many attempts have no connection now.
    pub(super) fn wait(&self, count: usize) {
        self.waiting.store(count as u64, Ordering::Relaxed);
    }

    /// The figures, given how many attempts were handed out ever and are in flight.
    pub(super) fn read(&self, sent: u64, in_flight: u64) -> WorkerStats {
        // Closings first: a connection opened in between must not make this negative.
        let closed = self.closed.load(Ordering::Relaxed);
        let opened = self.opened.load(Ordering::Relaxed);
        WorkerStats {
            in_flight,
            waiting: sent.saturating_sub(self.taken.load(Ordering::Relaxed)) + self.waiting.load(Ordering::Relaxed),
            connections: opened.saturating_sub(closed),
            opened,
            reused: self.reused.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
        }
    }
}

/// Only one thread writes, so that no locked instruction is needed.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
