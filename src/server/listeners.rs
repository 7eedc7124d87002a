//! Owns where clients come in: every address the server listens on, and whose turn it is to be looked at.
//! It must not judge a client.

use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use super::peer::Peer;
use super::socket::Socket;
use super::tls;
use super::unix_socket::UnixSocket;
use crate::config::Listen;
use crate::limits::{CLIENTS_QUEUED_MAX, LISTENERS_MAX};

/// One address that is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    /// Over the network.
    Tcp(TcpListener),
    /// Within this machine.
    Unix(UnixSocket),
}

impl Listener {
    fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((Socket::Tcp(stream), Peer::tcp(address.ip())))
            }
            Listener::Unix(listener) => Ok((Socket::Unix(listener.accept()?), Peer::local())),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Tcp(listener) => listener,
            Listener::Unix(socket) => &mut socket.listener,
        }
    }
}

/// All addresses that are listened on.
#[derive(Debug)]
pub(super) struct Listeners {
    /// With each, whether clients may wait there. Readiness is told once, at each change.
    all: Vec<(Listener, bool)>,
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
        let mut all: Vec<(Listener, bool)> = all.into_iter().map(|listener| (listener, false)).collect();
        for (place, (listener, _)) in all.iter_mut().enumerate() {
            registry.register(listener.source(), Token(first.0 + place), Interest::READABLE)?;
        }
        Ok(Listeners { all, tls, turn: 0 })
    }

    /// Clients wait at one of them, by its place.
    pub(super) fn note(&mut self, place: usize) {
        if let Some((_, has_clients)) = self.all.get_mut(place) {
            *has_clients = true;
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
            if !*has_clients {
                continue;
            }
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

/// Listens on all of these, or on none.
///
/// # Errors
/// Says where it could not be done.
pub(super) fn bind(all: &[Listen], mode: u32) -> Result<Bound, (Listen, io::Error)> {
    assert!(all.len() <= LISTENERS_MAX, "the command line takes no more");
    let mut bound = Bound::default();
    for listen in all {
        bound.add(listen, mode).map_err(|why| (listen.clone(), why))?;
    }
    Ok(bound)
}

impl Bound {
    fn add(&mut self, listen: &Listen, mode: u32) -> io::Result<()> {
        match listen {
            Listen::Tcp { address, over_tls } => {
                let listener = bind_tcp(*address)?;
                self.addresses.push(Listen::Tcp { address: listener.local_addr()?, over_tls: *over_tls });
                let all = if *over_tls { &mut self.tls } else { &mut self.plain };
                all.push(Listener::Tcp(listener));
            }
            Listen::Unix(path) => {
                self.plain.push(Listener::Unix(UnixSocket::bind(path, mode)?));
                self.addresses.push(listen.clone());
            }
        }
        Ok(())
    }
}

/// With a longer queue than the usual one: what does not fit comes again a second later.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, CLIENTS_QUEUED_MAX)?;
    Ok(listener)
}
