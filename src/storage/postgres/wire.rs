//! Owns the bytes of one connection, encrypted or not: what is to be sent, what came, and how much of a call has left.
//! It must not understand a message, nor make room for more bytes than have come.
//!
//! While it cannot write it reads: a server that is answering does not hear, and would wait for its answers to be read.

use std::io::{self, ErrorKind, Read, Write};

use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::{Header, Message};
use rustls::ClientConnection;

use super::bounds::{LOGIN_MESSAGE_LEN_MAX, MESSAGE_LEN_MAX, READ_LEN};
use super::error::{Error, Sent};
use super::socket::Stream;
use crate::time::MonoUs;

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    tls: Option<Box<ClientConnection>>,
    /// What is to be sent.
    pub(super) out: BytesMut,
    input: BytesMut,
    scratch: Box<[u8]>,
    message_len_max: usize,
    /// Whether something of the call has left.
    has_sent: bool,
    /// Why nothing can be written any more: the server may still have said why it left.
    broken: Option<String>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Wire {
        Wire {
            stream,
            tls: None,
            out: BytesMut::new(),
            input: BytesMut::new(),
            scratch: vec![0; READ_LEN].into_boxed_slice(),
            message_len_max: LOGIN_MESSAGE_LEN_MAX,
            has_sent: false,
            broken: None,
        }
    }

    /// From here on messages may be long: it is known who is there.
    pub(super) fn trust(&mut self) {
        self.message_len_max = MESSAGE_LEN_MAX;
    }

    /// Encrypts all that follows.
    pub(super) fn encrypt(&mut self, tls: ClientConnection, until: MonoUs) -> Result<(), Error> {
        let tls = self.tls.insert(Box::new(tls));
        tls.set_buffer_limit(Some(READ_LEN));
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking() || tls.wants_write()) {
            self.turn(until)?;
        }
        Ok(())
    }

    /// The certificate that the server showed.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        Some(self.tls.as_ref()?.peer_certificates()?.first()?.as_ref())
    }

    /// Another call begins.
    pub(super) fn begin(&mut self) {
        self.has_sent = false;
    }

    /// How much of the call has left.
    pub(super) fn sent(&self) -> Sent {
        match (self.has_sent, self.broken.is_some() || self.writes()) {
            (false, _) => Sent::Nothing,
            (true, true) => Sent::Part,
            (true, false) => Sent::Whole,
        }
    }

    /// One byte, no more, so that nothing that is said behind it in clear is taken for something that was encrypted.
    pub(super) fn byte(&mut self, until: MonoUs) -> Result<u8, Error> {
        let mut byte = [0];
        loop {
            if self.send()? {
                continue;
            }
            match self.stream.read(&mut byte) {
                Ok(0) => return Err(self.lost("the server closed it")),
                Ok(_) => return Ok(byte[0]),
                Err(why) if is_later(&why) => self.wait(until)?,
                Err(why) => return Err(self.lost(&why.to_string())),
            }
        }
    }

    /// The next message, while all that is to be sent is sent.
    pub(super) fn next(&mut self, until: MonoUs) -> Result<Message, Error> {
        loop {
            match self.received()? {
                Some(message) => return Ok(message),
                None => self.turn(until)?,
            }
        }
    }

    /// The next message of those that came already.
    pub(super) fn received(&mut self) -> Result<Option<Message>, Error> {
        let malformed = |why: io::Error| Error::protocol(format!("a malformed message ({why})"));
        let Some(header) = Header::parse(&self.input).map_err(malformed)? else { return Ok(None) };
        let len = usize::try_from(header.len()).unwrap_or(usize::MAX).saturating_add(1);
        if len > self.message_len_max {
            return Err(Error::protocol(format!("a message of {len} bytes")));
        }
        // The codec would make room for what is claimed.
        if self.input.len() < len {
            return Ok(None);
        }
        Message::parse(&mut self.input).map_err(malformed)
    }

    /// Takes in what came, without waiting for anything; not without end, from one that never stops.
    pub(super) fn look(&mut self) -> Result<(), Error> {
        while self.input.len() < READ_LEN && self.receive()? {}
        Ok(())
    }

    /// Waits until something comes.
    pub(super) fn listen(&mut self, until: MonoUs) -> Result<(), Error> {
        self.turn(until)
    }

    /// Sends until there is nothing more to be sent, or nobody who hears it: what he said last is still to be read.
    pub(super) fn flush(&mut self, until: MonoUs) -> Result<(), Error> {
        while self.writes() {
            self.turn(until)?;
        }
        Ok(())
    }

    /// Sends what can be sent at once, and forgets the rest.
    pub(super) fn part(&mut self) {
        // Nobody waits for it.
        while matches!(self.send(), Ok(true)) {}
    }

    /// Waits until the server has closed it.
    pub(super) fn end(&mut self, until: MonoUs) -> Result<(), Error> {
        loop {
            self.input.clear();
            match self.turn(until) {
                Ok(()) => {}
                Err(Error::Lost { .. }) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    fn writes(&self) -> bool {
        self.broken.is_none() && (!self.out.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write()))
    }

    /// Sends something; if nothing can be sent, waits until that changes or something came, and takes it in.
    fn turn(&mut self, until: MonoUs) -> Result<(), Error> {
        if self.send()? {
            return Ok(());
        }
        self.wait(until)?;
        self.receive().map(drop)
    }

    fn wait(&mut self, until: MonoUs) -> Result<(), Error> {
        let writes = self.writes();
        self.stream.wait(writes, until).map_err(|why| match why.kind() {
            ErrorKind::TimedOut => Error::Timeout { sent: Sent::Part },
            _ => self.lost(&why.to_string()),
        })
    }

    /// Sends some of what is to be sent; whether anything was.
    fn send(&mut self) -> Result<bool, Error> {
        if !self.writes() {
            return Ok(false);
        }
        let Some(tls) = &mut self.tls else {
            let written = self.stream.write(&self.out);
            return Ok(match self.written(written) {
                Some(len) => {
                    self.out.advance(len);
                    self.has_sent = true;
                    len > 0
                }
                None => false,
            });
        };
        if !self.out.is_empty() {
            // It takes as much as it has room for.
            let taken = tls.writer().write(&self.out).unwrap_or_default();
            self.out.advance(taken);
            self.has_sent |= taken > 0;
        }
        let written = tls.write_tls(&mut self.stream);
        Ok(self.written(written).is_some_and(|len| len > 0))
    }

    /// How much was written, if it can be written to at all just now.
    fn written(&mut self, written: io::Result<usize>) -> Option<usize> {
        match written {
            Ok(len) => Some(len),
            Err(why) if is_later(&why) => None,
            Err(why) => {
                self.broken = Some(why.to_string());
                self.out.clear();
                None
            }
        }
    }

    /// Takes in what came; whether anything did.
    fn receive(&mut self) -> Result<bool, Error> {
        let Some(tls) = &mut self.tls else {
            return match self.stream.read(&mut self.scratch) {
                Ok(0) => Err(self.lost("the server closed it")),
                Ok(len) => {
                    self.input.extend_from_slice(&self.scratch[..len]);
                    Ok(true)
                }
                Err(why) if is_later(&why) => Ok(false),
                Err(why) => Err(self.lost(&why.to_string())),
            };
        };
        match tls.read_tls(&mut self.stream) {
            Ok(0) => return Err(self.lost("the server closed it")),
            Ok(_) => {}
            Err(why) if is_later(&why) => return Ok(false),
            Err(why) => return Err(self.lost(&why.to_string())),
        }
        if let Err(why) = tls.process_new_packets() {
            // It is told why, if it still hears.
            tls.write_tls(&mut self.stream).unwrap_or_default();
            return Err(self.lost(&format!("TLS: {why}")));
        }
        let known = self.input.len();
        loop {
            match tls.reader().read(&mut self.scratch) {
                // What was said before the end is heard first.
                Ok(0) if self.input.len() > known => return Ok(true),
                Ok(0) => return Err(self.lost("the server closed it")),
                Ok(len) => self.input.extend_from_slice(&self.scratch[..len]),
                // It may have been a part of a record.
                Err(why) if is_later(&why) => return Ok(true),
                Err(why) => return Err(self.lost(&why.to_string())),
            }
        }
    }

    fn lost(&self, why: &str) -> Error {
        // What broke first is nearer to the cause.
        let why = self.broken.as_deref().unwrap_or(why).to_owned();
        Error::Lost { sent: self.sent(), why, last: None }
    }
}

fn is_later(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
