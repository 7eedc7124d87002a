//! Owns where clients come in: every address the server listens on, and whose turn it is to be looked at.
//! It must not judge a client.
//!
//! A socket that was inherited stays when the process goes: whoever comes while it stops is left to the next one.

use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use super::inherited::Inherited;
use super::peer::Peer;
use super::socket::Socket;
use super::tls;
use super::unix_socket::UnixSocket;
use crate::config::Listen;
use crate::limits::{CLIENTS_QUEUED_MAX, LISTENERS_MAX};

/// One address that is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    /// Over the network. `is_ours`: it ends with this process.
    Tcp { listener: TcpListener, is_ours: bool },
    /// Within this machine.
    Unix(UnixSocket),
}

impl Listener {
    fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Tcp { listener, .. } => {
                let (stream, address) = listener.accept()?;
                Ok((Socket::Tcp(stream), Peer::tcp(address.ip())))
            }
            Listener::Unix(listener) => Ok((Socket::Unix(listener.accept()?), Peer::local())),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Tcp { listener, .. } => listener,
            Listener::Unix(socket) => &mut socket.listener,
        }
    }

    /// Whether it ends with this process. Otherwise another process keeps it, and another one after this may accept there.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Listener::Tcp { is_ours, .. } => *is_ours,
            Listener::Unix(socket) => socket.is_ours(),
        }
    }
}

/// All addresses that are listened on.
#[derive(Debug)]
pub(super) struct Listeners {
    /// With each, whether clients may wait there. Readiness is told once, at each change. None: it was left to others.
    all: Vec<(Option<Listener>, bool)>,
    /// Where those come from that speak TLS.
    tls: Option<tls::Entrance>,
    /// Whose turn it is: a crowd at one address must not hold up the others.
    turn: usize,
}

impl Listeners {
    /// Takes them over; `first` and the tokens behind it are theirs.
    pub(super) fn new(
        all: Vec<Listener>,
        tls: Option<tls::Entrance>,
        registry: &Registry,
        first: Token,
    ) -> io::Result<Listeners> {
        let mut watched = Vec::with_capacity(all.len());
        for (place, mut listener) in all.into_iter().enumerate() {
            registry.register(listener.source(), Token(first.0 + place), Interest::READABLE)?;
            watched.push((Some(listener), false));
        }
        Ok(Listeners { all: watched, tls, turn: 0 })
    }

    /// Leaves to the next process whoever comes from now on, where the socket is not ours. Whether there is such a one.
    pub(super) fn leave(&mut self) -> bool {
        let mut has_left = false;
        for (listener, has_clients) in &mut self.all {
            // Dropped, it is out of the poll.
            if listener.take_if(|listener| !listener.is_ours()).is_some() {
                (*has_clients, has_left) = (false, true);
            }
        }
        has_left
    }

    /// Clients wait at one of them, by its place.
    pub(super) fn note(&mut self, place: usize) {
        if let Some((listener, has_clients)) = self.all.get_mut(place) {
            *has_clients = listener.is_some();
        }
    }

    /// Whether clients may wait somewhere.
    pub(super) fn has_clients(&self) -> bool {
        self.all.iter().any(|(_, has_clients)| *has_clients)
            || self.tls.as_ref().is_some_and(|tls| !tls.opened.is_empty())
    }

    /// Connections that ended before they were encrypted.
    pub(super) fn handshakes_failed(&self) -> u64 {
        self.tls.as_ref().map_or(0, |tls| tls.shared.failures())
    }

    /// The next client; None if there is none.
    pub(super) fn accept(&mut self) -> io::Result<Option<(Socket, Peer)>> {
        for _ in 0..=self.all.len() {
            let place = self.turn % (self.all.len() + 1);
            self.turn = place + 1;
            let Some((listener, has_clients)) = self.all.get_mut(place) else {
                match self.tls.as_ref().and_then(|tls| tls.opened.try_recv().ok()) {
                    Some((stream, peer)) => return Ok(Some((Socket::Unix(stream), peer))),
                    None => continue,
                }
            };
            let Some(listener) = listener.as_ref().filter(|_| *has_clients) else { continue };
            match listener.accept() {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => *has_clients = false,
                accepted => return accepted.map(Some),
            }
        }
        Ok(None)
    }
}

/// What is listened on, before anybody watches it.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// Where that is, with the ports that were found.
    pub(super) addresses: Vec<Listen>,
    pub(super) plain: Vec<Listener>,
    /// Those that speak TLS.
    pub(super) tls: Vec<Listener>,
}

/// Listens on all of these, or on none. Of what was inherited, what is named there is what it is named as, and the rest
/// comes behind it: over TLS if there is a certificate, `has_tls`.
///
/// # Errors
/// Says where it could not be done.
pub(super) fn bind(
    all: &[Listen],
    mode: u32,
    mut inherited: Vec<Inherited>,
    has_tls: bool,
) -> Result<Bound, (Listen, io::Error)> {
    let mut bound = Bound::default();
    for listen in all {
        let is_same = |inherited: &mut Inherited| inherited.listen(has_tls).is_at(listen);
        let added = match inherited.extract_if(.., is_same).next() {
            Some(inherited) => bound.inherit(inherited, listen.clone()),
            None => bound.add(listen, mode),
        };
        added.map_err(|why| (listen.clone(), why))?;
    }
    for inherited in inherited {
        let listen = inherited.listen(has_tls);
        bound.inherit(inherited, listen.clone()).map_err(|why| (listen, why))?;
    }
    if bound.addresses.is_empty() {
        let listen = Listen::by_default(has_tls);
        bound.add(&listen, mode).map_err(|why| (listen, why))?;
    }
    Ok(bound)
}

impl Inherited {
    /// Where it is, where nobody says what is spoken there.
    fn listen(&self, over_tls: bool) -> Listen {
        match self {
            Inherited::Tcp(_, address) => Listen::Tcp { address: *address, over_tls },
            Inherited::Unix(_, path) => Listen::Unix(path.clone()),
        }
    }
}

impl Bound {
    fn add(&mut self, listen: &Listen, mode: u32) -> io::Result<()> {
        match listen {
            Listen::Tcp { address, over_tls } => {
                let listener = bind_tcp(*address)?;
                let listen = Listen::Tcp { address: listener.local_addr()?, over_tls: *over_tls };
                self.push(listen, Listener::Tcp { listener, is_ours: true })
            }
            Listen::Unix(path) => self.push(listen.clone(), Listener::Unix(UnixSocket::bind(path, mode)?)),
        }
    }

    /// Takes over a socket as what `listen` says. Who made it decides how many clients may wait there, and who may come.
    fn inherit(&mut self, inherited: Inherited, listen: Listen) -> io::Result<()> {
        let listener = match inherited {
            Inherited::Tcp(listener, _) => Listener::Tcp { listener: TcpListener::from_std(listener), is_ours: false },
            Inherited::Unix(listener, _) => Listener::Unix(UnixSocket::inherit(listener)),
        };
        self.push(listen, listener)
    }

    fn push(&mut self, listen: Listen, listener: Listener) -> io::Result<()> {
        if self.addresses.len() >= LISTENERS_MAX {
            return Err(io::Error::other(format!("there are more than {LISTENERS_MAX} sockets")));
        }
        let over_tls = matches!(listen, Listen::Tcp { over_tls: true, .. });
        if over_tls { &mut self.tls } else { &mut self.plain }.push(listener);
        self.addresses.push(listen);
        Ok(())
    }
}

/// With a longer queue than the usual one: what does not fit comes again a second later.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, CLIENTS_QUEUED_MAX)?;
    Ok(listener)
}
