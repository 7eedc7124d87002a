//! Owns the receiver's end of a connection as bytes, plain or over TLS, and the certificate it shows.
//! It must not know requests.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

/// Who the receiver is over TLS: made anew for every run.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    /// The certificate that clients have to trust.
    pub(super) pem: String,
}

impl Identity {
    /// A key and a certificate for 127.0.0.1 that signs itself.
    pub(super) fn make() -> io::Result<Identity> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .map_err(io::Error::other)?;
        Ok(Identity { config: Arc::new(config), pem: made.cert.pem() })
    }
}

/// A connection's bytes.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Gauge, Box<ServerConnection>),
}

/// A socket that is read, and whether the last read filled less than there was room for.
#[derive(Debug)]
pub(super) struct Gauge {
    socket: TcpStream,
    is_emptied: bool,
}

impl Read for Gauge {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.read(buffer);
        self.is_emptied = read.as_ref().is_ok_and(|length| *length < buffer.len());
        read
    }
}

impl Stream {
    /// Over an accepted socket.
    pub(super) fn new(socket: TcpStream, identity: Option<&Identity>) -> io::Result<Stream> {
        match identity {
            None => Ok(Stream::Plain(socket)),
            Some(identity) => {
                let session = ServerConnection::new(Arc::clone(&identity.config)).map_err(io::Error::other)?;
                Ok(Stream::Tls(Gauge { socket, is_emptied: false }, Box::new(session)))
            }
        }
    }

    /// Whether a read that filled less than the buffer has emptied the socket.
    pub(super) fn is_emptied_by_short_read(&self) -> bool {
        match self {
            Stream::Plain(_) => true,
            Stream::Tls(gauge, _) => gauge.is_emptied,
        }
    }

    /// Reads what there is; 0 is the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (gauge, session) = match self {
            Stream::Plain(socket) => return socket.read(buffer),
            Stream::Tls(gauge, session) => (gauge, session),
        };
        loop {
            match session.reader().read(buffer) {
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if session.read_tls(gauge)? == 0 {
                return Ok(0);
            }
            session.process_new_packets().map_err(io::Error::other)?;
            push(&mut gauge.socket, session)?;
        }
    }

    /// Takes bytes and writes what the socket takes; how many were taken.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(gauge, session) => {
                let taken = session.writer().write(bytes)?;
                push(&mut gauge.socket, session)?;
                Ok(taken)
            }
        }
    }

    /// Writes what was taken and not written yet.
    pub(super) fn push(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(gauge, session) => push(&mut gauge.socket, session),
        }
    }
}

fn push(socket: &mut TcpStream, session: &mut ServerConnection) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(socket) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}
