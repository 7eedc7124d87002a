//! Owns one encrypted connection as bytes in and out.
//! It must not decide when to read or write, or whom to trust.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// One encrypted connection, over a socket that is passed in.
#[derive(Debug)]
pub(super) struct Session(ClientConnection);

impl Session {
    /// For a socket that is connected to this host.
    pub(super) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Session, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} cannot be in a certificate"))?;
        ClientConnection::new(config, name).map(Session).map_err(|error| error.to_string())
    }

    /// Goes on with the handshake as far as possible without waiting: whether it is done.
    pub(super) fn handshake(&mut self, socket: &mut TcpStream) -> io::Result<bool> {
        loop {
            self.flush(socket)?;
            if !self.0.is_handshaking() {
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
        self.0.writer().write_all(bytes)?;
        self.flush(socket)
    }

    /// Whether taken bytes are still to be written.
    pub(super) fn has_unsent(&self) -> bool {
        self.0.wants_write()
    }

    /// Writes taken bytes as far as possible without waiting.
    pub(super) fn flush(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
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
            match self.0.reader().read(buffer) {
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
            match self.0.read_tls(socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if let Err(error) = self.0.process_new_packets() {
            // The other side should hear why. If it cannot, what happened here still matters more.
            return Err(match self.flush(socket) {
                Ok(()) | Err(_) => io::Error::new(ErrorKind::InvalidData, format!("TLS: {error}")),
            });
        }
        Ok(len)
    }
}
