//! Owns one connection to a target: its socket, what was not sent yet, and what was read but not understood yet.
//! It must not know attempts, targets or time limits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::exchange::{Exchange, Progress};
use super::tls::Session;
use super::told::{Telling, Told};
use crate::time::MonoUs;

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    /// To which target.
    pub(super) peer: u32,
    /// For which attempt; None while it rests, or drains.
    pub(super) flight: Option<u32>,
    /// How far it is.
    pub(super) stage: Stage,
    /// Whether it has carried an exchange before.
    pub(super) reused: bool,
    /// When it was opened.
    pub(super) opened: MonoUs,
    socket: TcpStream,
    tls: Option<Box<Session>>,
    /// Bytes of the request that the socket would not take. TLS keeps its own.
    unsent: Vec<u8>,
    /// Bytes of the answer that do not suffice.
    partial: Vec<u8>,
}

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The socket connects to this address.
    Connecting(IpAddr),
    /// The socket is connected to this address; TLS shakes hands.
    Securing(IpAddr),
    /// A request is under way.
    Busy(Exchange),
    /// The outcome is known; the rest of the answer is read so that the connection can be used again.
    Draining(Exchange),
    /// Nothing is under way.
    Idle,
}

impl Link {
    /// Begins to connect.
    pub(super) fn connect(address: IpAddr, port: u16, peer: u32, flight: u32, now: MonoUs) -> io::Result<Link> {
        let socket = TcpStream::connect(SocketAddr::new(address, port))?;
        Ok(Link {
            peer,
            flight: Some(flight),
            stage: Stage::Connecting(address),
            reused: false,
            opened: now,
            socket,
            tls: None,
            unsent: Vec::new(),
            partial: Vec::new(),
        })
    }

    /// Registers the socket, once for its whole life: edges tell everything.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether the socket is connected by now.
    pub(super) fn is_connected(&mut self) -> io::Result<bool> {
        let socket = &self.socket;
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            // A port that nobody listens on may be the one the system chose for this very socket: it meets itself.
            Ok(peer) if peer == socket.local_addr()? => return Err(ErrorKind::ConnectionRefused.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        socket.set_nodelay(true)?;
        Ok(true)
    }

    /// Whether it can carry or carries a request.
    pub(super) fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Connecting(_) | Stage::Securing(_) => false,
            Stage::Busy(_) | Stage::Draining(_) | Stage::Idle => true,
        }
    }

    /// Goes on encrypted, once the socket is connected.
    pub(super) fn secure(&mut self, session: Session, address: IpAddr) {
        self.tls = Some(Box::new(session));
        self.stage = Stage::Securing(address);
    }

    /// Goes on with a TLS handshake: whether it is done.
    pub(super) fn handshake(&mut self) -> io::Result<bool> {
        self.tls.as_mut().map_or(Ok(true), |session| session.handshake(&mut self.socket))
    }

    /// Begins an exchange: writes what the socket takes, keeps the rest. An error says whether a byte may have left.
    pub(super) fn send(&mut self, exchange: Exchange, request: &[u8]) -> Result<(), (io::Error, bool)> {
        self.stage = Stage::Busy(exchange);
        if let Some(session) = &mut self.tls {
            // What a record holds that left in part is not known.
            return session.write(&mut self.socket, request).map_err(|error| (error, true));
        }
        let mut written = 0;
        let done = write(&mut self.socket, request, &mut written);
        done.map_err(|error| (error, written > 0))?;
        self.unsent.extend_from_slice(&request[written..]);
        Ok(())
    }

    /// Whether bytes of the request are still to be written.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.tls.as_ref().is_some_and(|session| session.has_unsent())
    }

    /// Writes more of the request, if any is left.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.tls {
            return session.flush(&mut self.socket);
        }
        if !self.unsent.is_empty() {
            let mut written = 0;
            let done = write(&mut self.socket, &self.unsent, &mut written);
            self.unsent.drain(..written);
            done?;
        }
        Ok(())
    }

    /// Reads bytes of the answer into `buffer`; 0 is the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.tls {
                Some(session) => session.read(&mut self.socket, buffer),
                None => self.socket.read(buffer),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Whether a read that filled less than the buffer has emptied the socket.
    pub(super) fn is_emptied_by_short_read(&self) -> bool {
        self.tls.as_ref().is_none_or(|session| session.is_emptied())
    }

    /// Whether any byte of the current answer was read.
    pub(super) fn has_heard(&self) -> bool {
        match &self.stage {
            Stage::Busy(exchange) => exchange.has_heard(),
            Stage::Connecting(_) | Stage::Securing(_) | Stage::Draining(_) | Stage::Idle => false,
        }
    }

    /// The status of the current answer, while its body is listened to.
    pub(super) fn status(&self) -> Option<u16> {
        match &self.stage {
            Stage::Busy(exchange) => exchange.status(),
            Stage::Connecting(_) | Stage::Securing(_) | Stage::Draining(_) | Stage::Idle => None,
        }
    }

    /// What the current answer told, if that is of interest.
    pub(super) fn take_told(&mut self) -> Option<Box<Told>> {
        match &mut self.stage {
            Stage::Busy(exchange) => exchange.take_told(),
            Stage::Connecting(_) | Stage::Securing(_) | Stage::Draining(_) | Stage::Idle => None,
        }
    }

    /// Takes bytes of the answer; what does not suffice is kept for the next time. `tells`: whether it is of interest
    /// what an answer with this status says.
    pub(super) fn take(&mut self, bytes: &[u8], scratch: &mut [u8], tells: &dyn Fn(u16) -> Telling) -> Progress {
        let (Stage::Busy(exchange) | Stage::Draining(exchange)) = &mut self.stage else {
            return Progress::Unusable("bytes that nobody asked for".to_owned());
        };
        take(exchange, &mut self.partial, bytes, scratch, tells)
    }

    /// The other side will send nothing more.
    pub(super) fn end(&mut self) -> Progress {
        match &mut self.stage {
            Stage::Busy(exchange) | Stage::Draining(exchange) => exchange.close(),
            Stage::Connecting(_) | Stage::Securing(_) | Stage::Idle => {
                Progress::Unusable("connection closed before the request".to_owned())
            }
        }
    }

    /// The outcome is known: the flight goes, the rest of the answer is still to be read.
    pub(super) fn drain(&mut self) {
        self.flight = None;
        if let Stage::Busy(exchange) = std::mem::replace(&mut self.stage, Stage::Idle) {
            self.stage = Stage::Draining(exchange);
        }
    }

    /// Whether a resting connection has nothing to say: neither its end, nor what would pass for the next answer.
    pub(super) fn is_quiet(&mut self, buffer: &mut [u8]) -> bool {
        matches!(self.read(buffer), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Lets the connection rest after a whole exchange. Memory for what was partial is given back.
    pub(super) fn rest(&mut self) {
        self.flight = None;
        self.stage = Stage::Idle;
        self.reused = true;
        self.partial = Vec::new();
        self.unsent = Vec::new();
    }
}

/// Takes bytes of the answer to an exchange; what does not suffice is kept in `partial`, in front of what comes next.
pub(super) fn take(
    exchange: &mut Exchange,
    partial: &mut Vec<u8>,
    bytes: &[u8],
    scratch: &mut [u8],
    tells: &dyn Fn(u16) -> Telling,
) -> Progress {
    if partial.is_empty() {
        let progress = exchange.read(bytes, scratch, tells);
        if let Progress::More(used) | Progress::Listening { used } | Progress::Decided { used, .. } = progress {
            partial.extend_from_slice(&bytes[used..]);
        }
        return progress;
    }
    partial.extend_from_slice(bytes);
    let progress = exchange.read(partial, scratch, tells);
    if let Progress::More(used) | Progress::Listening { used } | Progress::Decided { used, .. } = progress {
        partial.drain(..used);
    }
    progress
}

/// Writes what the socket takes without waiting; `written` is how much that was, also if it fails.
fn write(socket: &mut TcpStream, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while *written < bytes.len() {
        match socket.write(&bytes[*written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => *written += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_connection_to_itself_is_refused() {
        use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let own = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        connect(&socket, &own).unwrap();
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), socket.local_addr().unwrap());
        let mut link = Link {
            peer: 0,
            flight: None,
            stage: Stage::Connecting(own.ip()),
            reused: false,
            opened: MonoUs(0),
            socket: TcpStream::from_std(socket),
            tls: None,
            unsent: Vec::new(),
            partial: Vec::new(),
        };
        assert_eq!(link.is_connected().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
