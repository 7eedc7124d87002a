//! Owns the connection to a mail server: bytes in and out, in clear or encrypted, until a moment after which there are none.
//! It must not know what they say.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::clock;
use crate::limits::CONNECT_TIME_MAX;
use crate::time::MonoUs;

/// A socket that nobody waits for after a moment, however often it gave a byte before.
#[derive(Debug)]
pub(super) struct Timed {
    socket: TcpStream,
    until: MonoUs,
}

/// How long there is time until this moment.
pub(super) fn left(until: MonoUs) -> io::Result<Duration> {
    let us = until.0.saturating_sub(clock::mono().0);
    if us == 0 { Err(ErrorKind::TimedOut.into()) } else { Ok(Duration::from_micros(us)) }
}

impl Timed {
    /// Connects to the first of these addresses that takes it.
    pub(super) fn connect(addresses: &[IpAddr], port: u16, until: MonoUs) -> io::Result<Timed> {
        let mut last = ErrorKind::AddrNotAvailable.into();
        for &address in addresses {
            let time = left(until)?.min(CONNECT_TIME_MAX);
            match TcpStream::connect_timeout(&SocketAddr::new(address, port), time) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(Timed { socket, until });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The address of this machine that the server sees, if no gateway stands between.
    pub(super) fn local(&self) -> io::Result<IpAddr> {
        Ok(self.socket.local_addr()?.ip())
    }

    /// The same, encrypted for this host.
    pub(super) fn encrypt(self, config: ClientConfig, host: &str) -> Result<Encrypted, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} cannot be in a certificate"))?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        Ok(StreamOwned::new(connection, self))
    }
}

/// An encrypted connection. Its handshake happens when something is first read or written.
pub(super) type Encrypted = StreamOwned<ClientConnection, Timed>;

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(Some(left(self.until)?))?;
            match self.socket.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                other => return other,
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.socket.set_write_timeout(Some(left(self.until)?))?;
            match self.socket.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
