//! Owns one connection over TLS: its handshake, then bytes in both directions between the client and the loop.
//! It must not hold more than a record in either direction: who does not read is not read for.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;

use mio::net::{TcpStream, UnixStream};
use rustls::{ServerConfig, ServerConnection};

use super::super::output::Output;
use crate::limits::{TLS_AT_ONCE_MAX, TLS_UNSENT_MAX};
use crate::time::MonoUs;

/// The first byte of every TLS connection: a record that carries a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// For whoever speaks HTTP where TLS is spoken.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 49\r\n\
    Connection: close\r\n\
    \r\n\
    This port speaks TLS: the URL begins with https.\n";

/// Whether this is what a server of ours answers to whoever speaks HTTP where TLS is spoken.
pub fn speaks_tls(answer: &[u8]) -> bool {
    answer == PLAIN
}

/// What a connection needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before a socket is ready.
    Wait,
    /// It has had its share; there may be more.
    Again,
    /// The handshake is done: it wants the other end.
    Opened,
    /// It is over.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet.
    Silent,
    /// The handshake is under way.
    Handshake,
    /// Bytes go both ways.
    Open,
    /// It was told that this is no TLS; what it still sends is thrown away, lest a reset destroy the answer.
    Refused,
}

/// A connection over TLS.
#[derive(Debug)]
pub(super) struct Relay {
    client: TcpStream,
    session: ServerConnection,
    /// What leads to the loop, once the handshake is done.
    inner: Option<UnixStream>,
    /// Encrypted bytes that the client is still to get.
    output: Output,
    phase: Phase,
    /// The client sends no more, and the loop was told.
    client_ended: bool,
    /// The loop sends no more.
    inner_ended: bool,
    /// The loop reads no more.
    inner_gone: bool,
    /// The client has got all, and was told.
    is_shut: bool,
    pub(super) address: IpAddr,
    /// It is to go on when its turn comes.
    pub(super) is_queued: bool,
}

impl Relay {
    pub(super) fn new(client: TcpStream, address: IpAddr, config: Arc<ServerConfig>) -> Result<Relay, rustls::Error> {
        Ok(Relay {
            client,
            session: ServerConnection::new(config)?,
            inner: None,
            output: Output::default(),
            phase: Phase::Silent,
            client_ended: false,
            inner_ended: false,
            inner_gone: false,
            is_shut: false,
            address,
            is_queued: false,
        })
    }

    /// Whether it has come as far as the loop.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether it was told that this is no TLS.
    pub(super) fn is_refused(&self) -> bool {
        self.phase == Phase::Refused
    }

    /// From now on it leads to the loop.
    pub(super) fn open(&mut self, inner: UnixStream) {
        self.inner = Some(inner);
        self.phase = Phase::Open;
    }

    /// The loop has closed its end.
    pub(super) fn note_inner_gone(&mut self) {
        self.inner_gone = true;
    }

    /// When to look whether the client reads.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        self.output.deadline()
    }

    /// Whether the client reads too slowly.
    pub(super) fn is_too_slow(&mut self, mono: MonoUs) -> bool {
        self.send(mono).is_err() || self.output.is_too_slow(mono)
    }

    /// Goes on as far as possible.
    pub(super) fn step(&mut self, scratch: &mut [u8], mono: MonoUs) -> Step {
        let step = match self.phase {
            Phase::Silent => self.begin(scratch, mono),
            Phase::Handshake => self.shake_hands(mono),
            Phase::Open => self.pass_on(scratch, mono),
            Phase::Refused => self.throw_away(scratch, mono),
        };
        step.unwrap_or(Step::Over)
    }

    fn begin(&mut self, scratch: &mut [u8], mono: MonoUs) -> io::Result<Step> {
        let mut first = [0];
        match ready(|| self.client.peek(&mut first))? {
            None => Ok(Step::Wait),
            Some(0) => Ok(Step::Over),
            Some(_) if first[0] == HANDSHAKE => {
                self.phase = Phase::Handshake;
                self.shake_hands(mono)
            }
            Some(_) => {
                self.phase = Phase::Refused;
                self.output.bytes().extend_from_slice(PLAIN);
                self.inner_ended = true;
                self.throw_away(scratch, mono)
            }
        }
    }

    fn shake_hands(&mut self, mono: MonoUs) -> io::Result<Step> {
        loop {
            self.send(mono)?;
            if !self.session.is_handshaking() {
                return Ok(Step::Opened);
            }
            match self.fill(mono)? {
                None => return Ok(Step::Wait),
                Some(0) => return Ok(Step::Over),
                Some(_) => {}
            }
        }
    }

    fn throw_away(&mut self, scratch: &mut [u8], mono: MonoUs) -> io::Result<Step> {
        self.send(mono)?;
        match ready(|| self.client.read(scratch))? {
            None => Ok(Step::Wait),
            Some(0) => Ok(Step::Over),
            Some(_) => Ok(Step::Again),
        }
    }

    fn pass_on(&mut self, scratch: &mut [u8], mono: MonoUs) -> io::Result<Step> {
        let mut passed = 0;
        while passed < TLS_AT_ONCE_MAX {
            let now = self.pass_outwards(scratch, mono)? + self.pass_inwards(mono)?;
            if self.is_shut && (self.client_ended || self.inner_gone) {
                return Ok(Step::Over);
            }
            if now == 0 {
                return Ok(Step::Wait);
            }
            passed += now;
        }
        Ok(Step::Again)
    }

    /// From the loop to the client, unless that is still behind. How many bytes; an end counts as one.
    fn pass_outwards(&mut self, scratch: &mut [u8], mono: MonoUs) -> io::Result<usize> {
        self.send(mono)?;
        let Some(inner) = self.inner.as_mut().filter(|_| !self.inner_ended && self.output.len() == 0) else {
            return Ok(0);
        };
        // A loop that closes while there is something for it resets the pair: that is an end like any other.
        let length = match ready(|| inner.read(scratch)).unwrap_or(Some(0)) {
            None => return Ok(0),
            Some(0) => {
                self.inner_ended = true;
                self.session.send_close_notify();
                1
            }
            Some(length) => {
                self.session.writer().write_all(&scratch[..length])?;
                length
            }
        };
        self.send(mono)?;
        Ok(length)
    }

    /// From the client to the loop: what is decrypted first, and only when that is gone is more read.
    fn pass_inwards(&mut self, mono: MonoUs) -> io::Result<usize> {
        let Some(inner) = self.inner.as_mut().filter(|_| !self.client_ended) else { return Ok(0) };
        let mut reader = self.session.reader();
        match reader.fill_buf() {
            // An end that is not announced shows in what is missing of the request.
            Ok([]) => self.client_ended = true,
            Err(why) if why.kind() == ErrorKind::UnexpectedEof => self.client_ended = true,
            Ok(plain) => {
                // What a loop that is gone would have got is thrown away.
                let length = if self.inner_gone { Ok(Some(plain.len())) } else { ready(|| inner.write(plain)) };
                let length = length.unwrap_or_else(|_| {
                    self.inner_gone = true;
                    Some(plain.len())
                });
                reader.consume(length.unwrap_or(0));
                return Ok(length.unwrap_or(0));
            }
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                // A client that makes this side answer, and does not read, makes nothing grow.
                if self.output.len() > TLS_UNSENT_MAX {
                    return Ok(0);
                }
                return Ok(self.fill(mono)?.map_or(0, |length| length.max(1)));
            }
            Err(why) => return Err(why),
        }
        // It fails only if the loop has closed its end.
        drop(inner.shutdown(Shutdown::Write));
        Ok(1)
    }

    /// Sends what the client takes. After the last byte it is told that this was all.
    fn send(&mut self, mono: MonoUs) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(self.output.bytes())?;
        }
        self.output.flush(&mut self.client, mono)?;
        if self.inner_ended && self.output.len() == 0 && !self.is_shut {
            self.is_shut = true;
            self.client.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Reads encrypted bytes once and takes them in. None: nothing now; 0: the end.
    fn fill(&mut self, mono: MonoUs) -> io::Result<Option<usize>> {
        let Some(length) = ready(|| self.session.read_tls(&mut self.client))? else { return Ok(None) };
        if let Err(why) = self.session.process_new_packets() {
            // The client should hear why. If it cannot, what happened here still matters more.
            drop(self.send(mono));
            tracing::debug!(%why, client = %self.address, "failed to speak TLS");
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(Some(length))
    }
}

/// What a socket does now; None: it is not ready.
fn ready(mut act: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match act() {
            Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            done => return done.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_says_its_length() {
        let text = std::str::from_utf8(PLAIN).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
