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

use crossbeam_channel::{Receiver, Sender, TrySendError};
use ipnet::IpNet;
use mio::Waker;
use mio::net::UnixStream;

use super::listeners::Listener;
use super::peer::Peer;
use crate::background;
pub(super) use identity::Identity;
pub use identity::certificate_times;
pub use relay::speaks_tls;
use terminator::Terminator;

/// Wakes the loop.
pub(super) type Notify = Arc<dyn Fn() + Send + Sync>;

/// A connection whose handshake is done: the end of a pair that carries plain bytes, and who is behind it.
pub(super) type Opened = (UnixStream, Peer);

/// The thread, as the loop sees it. Dropped, it sends what it has, for a moment, and ends.
pub(super) struct Tls {
    shared: Arc<Shared>,
    /// What is shown from now on, until the thread has seen it: the newest word counts.
    renewals: (Sender<Renewal>, Receiver<Renewal>),
    waker: Arc<Waker>,
    /// Whether one of its sockets was inherited.
    has_inherited: bool,
    thread: Option<JoinHandle<()>>,
}

/// What is shown to new connections, and which proxies are believed there.
type Renewal = (Identity, Vec<IpNet>);

/// What the loop and the thread tell each other beside connections.
#[derive(Debug, Default)]
pub(super) struct Shared {
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
        let renewals = crossbeam_channel::bounded(1);
        let made = Terminator::new(
            listeners,
            (identity, trusted),
            renewals.1.clone(),
            connections_max,
            (sender, notify),
            Arc::clone(&shared),
        );
        let (terminator, waker) = made?;
        let thread = std::thread::Builder::new().name("tls".to_owned()).spawn(move || {
            let _last = last;
            background::give_way();
            if let Err(why) = terminator.run() {
                tracing::error!(%why, "failed to wait for TLS clients");
            }
        });
        Ok((Tls { shared, renewals, waker, has_inherited, thread: Some(thread?) }, entrance))
    }

    /// From now on new connections get this certificate, and these proxies are believed. Never blocks.
    pub(super) fn renew(&self, identity: Identity, trusted: Vec<IpNet>) {
        let (say, said) = &self.renewals;
        let mut renewal = (identity, trusted);
        while let Err(TrySendError::Full(back)) = say.try_send(renewal) {
            // Whoever takes what was said before, there is room then.
            drop(said.try_recv());
            renewal = back;
        }
        self.wake();
    }

    /// Whether the thread has taken over what it was told to.
    pub(super) fn has_renewed(&self) -> bool {
        self.renewals.1.is_empty()
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
