//! Owns one encrypted connection as bytes in and out.
//! It must not decide when to read or write, or whom to trust.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// One encrypted connection, over a socket that is passed in.
#[derive(Debug)]
pub(super) struct Session {
    connection: ClientConnection,
    /// Whether the last read left nothing in the socket: it filled less than there was room for (epoll(7)).
    is_emptied: bool,
    /// Whether the other side has said that nothing more comes.
    is_ended: bool,
}

/// A socket that is read, and whether that emptied it.
struct Gauge<'a> {
    socket: &'a mut TcpStream,
    is_emptied: &'a mut bool,
}

impl Read for Gauge<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.read(buffer);
        *self.is_emptied = read.as_ref().is_ok_and(|len| *len < buffer.len());
        read
    }
}

impl Session {
    /// For a socket that is connected to this host.
    pub(super) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Session, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} cannot be in a certificate"))?;
        let mut connection = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
        // A request is taken as a whole, and is no longer than a job or a digest may be.
        connection.set_buffer_limit(None);
        Ok(Session { connection, is_emptied: false, is_ended: false })
    }

    /// Goes on with the handshake as far as possible without waiting: whether it is done.
    pub(super) fn handshake(&mut self, socket: &mut TcpStream) -> io::Result<bool> {
        loop {
            self.flush(socket)?;
            if !self.connection.is_handshaking() {
                return Ok(true);
            }
            match self.fill(socket) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "TLS: closed during the handshake")),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes all of `bytes`, and writes as much as possible without waiting.
    pub(super) fn write(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)?;
        self.flush(socket)
    }

    /// Whether taken bytes are still to be written.
    pub(super) fn has_unsent(&self) -> bool {
        self.connection.wants_write()
    }

    /// Whether a read that filled less than its buffer has emptied the socket, and there may be more later.
    pub(super) fn is_emptied(&self) -> bool {
        self.is_emptied && !self.is_ended
    }

    /// Writes taken bytes as far as possible without waiting.
    pub(super) fn flush(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads plain bytes; 0 is the end.
    pub(super) fn read(&mut self, socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // An end that is not announced shows in what is missing from the answer.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            self.fill(socket)?;
            self.flush(socket)?;
        }
    }

    /// Reads encrypted bytes once and takes them in.
    fn fill(&mut self, socket: &mut TcpStream) -> io::Result<usize> {
        let len = loop {
            match self.connection.read_tls(&mut Gauge { socket, is_emptied: &mut self.is_emptied }) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        match self.connection.process_new_packets() {
            Ok(state) => self.is_ended |= state.peer_has_closed(),
            Err(error) => {
                // The other side should hear why. If it cannot, what happened here still matters more.
                return Err(match self.flush(socket) {
                    Ok(()) | Err(_) => io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}")),
                });
            }
        }
        Ok(len)
    }
}
