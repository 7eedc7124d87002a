//! Owns TLS towards clients: a thread that accepts, encrypts and decrypts, and hands the loop plain bytes.
//! It must not know HTTP, beyond the one answer to whoever speaks it without TLS.
//!
//! In reading order: `identity` (the certificate and its key, from files), `terminator` (the thread: who comes, who is cut
//! off, whose turn it is), `relay` (one connection).

mod identity;
mod relay;
mod terminator;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;
use ipnet::IpNet;
use mio::Waker;
use mio::net::UnixStream;

use super::listeners::Listener;
use super::peer::Peer;
use crate::background;
pub(super) use identity::Identity;
use terminator::Terminator;

/// Wakes the loop.
pub(super) type Notify = Arc<dyn Fn() + Send + Sync>;

/// A connection whose handshake is done: the end of a pair that carries plain bytes, and who is behind it.
pub(super) type Opened = (UnixStream, Peer);

/// The thread, as the loop sees it. Dropped, it sends what it has, for a moment, and ends.
pub(super) struct Tls {
    shared: Arc<Shared>,
    waker: Arc<Waker>,
    /// Whether one of its sockets was inherited.
    has_inherited: bool,
    thread: Option<JoinHandle<()>>,
}

/// What the loop and the thread tell each other beside connections.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How often the files were to be read again, and with which of these times that was done.
    reloads: AtomicU64,
    reloaded: AtomicU64,
    leave: AtomicBool,
    stop: AtomicBool,
    has_ended: AtomicBool,
    failures: AtomicU64,
}

impl Shared {
    /// Connections that ended before their handshake did.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// What the loop takes from the thread.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) opened: Receiver<Opened>,
    pub(super) shared: Arc<Shared>,
}

impl Tls {
    /// Starts the thread, which has so many connections at most. Clients behind `trusted` proxies may be as many of them as
    /// there are.
    pub(super) fn start(
        listeners: Vec<Listener>,
        identity: Identity,
        trusted: Vec<IpNet>,
        connections_max: usize,
        notify: Notify,
    ) -> io::Result<(Tls, Entrance)> {
        // Room for all that there can be: the thread never waits for the loop.
        let (sender, opened) = crossbeam_channel::bounded(connections_max);
        let shared = Arc::new(Shared::default());
        let has_inherited = listeners.iter().any(|listener| !listener.is_ours());
        let entrance = Entrance { opened, shared: Arc::clone(&shared) };
        let last = Last { shared: Arc::clone(&shared), notify: Arc::clone(&notify) };
        let made =
            Terminator::new(listeners, identity, (trusted, connections_max), (sender, notify), Arc::clone(&shared));
        let (terminator, waker) = made?;
        let thread = std::thread::Builder::new().name("tls".to_owned()).spawn(move || {
            let _last = last;
            background::give_way();
            if let Err(why) = terminator.run() {
                tracing::error!(%why, "failed to wait for TLS clients");
            }
        });
        Ok((Tls { shared, waker, has_inherited, thread: Some(thread?) }, entrance))
    }

    /// Lets the thread read the files again: new connections get what is in them.
    pub(super) fn reload(&self) {
        self.shared.reloads.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Whether it has done so, as often as it was told to.
    pub(super) fn has_reloaded(&self) -> bool {
        self.shared.reloaded.load(Ordering::SeqCst) == self.shared.reloads.load(Ordering::SeqCst)
    }

    /// Lets the thread leave to the next process whoever comes from now on, where the socket is not ours. Whether there is
    /// such a one.
    pub(super) fn leave(&self) -> bool {
        self.order(&self.shared.leave);
        self.has_inherited
    }

    /// Whether the thread has ended, which it is not to do by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::SeqCst)
    }

    fn order(&self, what: &AtomicBool) {
        what.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        // It fails only if the poll is gone, and with it the thread.
        drop(self.waker.wake());
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.order(&self.shared.stop);
        // It is over within a bound; if it has panicked, that was told.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Tells the loop of the end of the thread, however it comes.
struct Last {
    shared: Arc<Shared>,
    notify: Notify,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        (self.notify)();
    }
}
