//! Owns one connection of the receiver: bytes in, requests heard one by one, answers out in order.
//! It must not know what a request is measured for, nor wait.

use std::io;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::identity::{Front, Heard, hear};
use super::stream::{Identity, Stream};
use crate::clock;

/// The longest request, head and body; longer ones end the connection.
const REQUEST_LEN_MAX: usize = 256 * 1024;
const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

/// What reading came to.
#[derive(Debug)]
pub(super) enum Step {
    /// A request; there may be more.
    Heard {
        heard: Heard,
        /// The wall clock right after its last bytes were read.
        at_us: i64,
    },
    /// Nothing more for now.
    Wait,
    /// The client is gone, or talks nonsense.
    Closed,
}

/// A connection of a POSTing client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// Bytes read and not heard yet.
    input: Vec<u8>,
    heard_through: usize,
    output: Vec<u8>,
    read_us: i64,
    /// The last read emptied the socket.
    drained: bool,
    closing: bool,
    /// Tells it from others that had its slot.
    pub(super) generation: u64,
    /// Whether it gets no answers.
    pub(super) hangs: bool,
}

impl Connection {
    /// Takes a stream over and registers it.
    pub(super) fn new(
        mut socket: TcpStream,
        identity: Option<&Identity>,
        registry: &Registry,
        token: Token,
        generation: u64,
        hangs: bool,
    ) -> io::Result<Connection> {
        socket.set_nodelay(true)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection {
            stream: Stream::new(socket, identity)?,
            input: Vec::new(),
            heard_through: 0,
            output: Vec::new(),
            read_us: 0,
            drained: false,
            closing: false,
            generation,
            hangs,
        })
    }

    /// Hears the next request. To be called until it waits; `buffer` is lent for one read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Step> {
        loop {
            match hear(&self.input[self.heard_through..]) {
                Front::Whole(heard) => {
                    self.heard_through += heard.length;
                    self.closing |= !heard.keep_alive;
                    return Ok(Step::Heard { heard, at_us: self.read_us });
                }
                Front::Malformed => return Ok(Step::Closed),
                Front::Part if self.input.len() - self.heard_through > REQUEST_LEN_MAX => return Ok(Step::Closed),
                Front::Part => {}
            }
            self.input.drain(..self.heard_through);
            self.heard_through = 0;
            if std::mem::take(&mut self.drained) {
                return Ok(Step::Wait);
            }
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Step::Closed),
                Ok(length) => {
                    self.read_us = clock::wall().0;
                    self.input.extend_from_slice(&buffer[..length]);
                    // A short read has emptied the socket; what comes later is told anew (epoll(7)).
                    self.drained = length < buffer.len() && self.stream.is_emptied_by_short_read();
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Wait),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }

    /// Puts an answer behind those that wait to be sent.
    pub(super) fn answer(&mut self, failing: bool) {
        self.output.extend_from_slice(if failing { FAILED } else { FINE });
    }

    /// Sends what waits. An error also says that the connection is at its end.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream.push()?;
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        let result = self.send(&output);
        match result {
            Ok(length) if length < output.len() => self.output.extend_from_slice(&output[length..]),
            Ok(_) if self.closing => return Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(_) => {
                self.output = output;
                self.output.clear();
            }
            Err(why) => return Err(why),
        }
        Ok(())
    }

    fn send(&mut self, output: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(output) {
                Ok(length) => return Ok(length),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }
}
