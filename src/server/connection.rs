//! Owns one client connection: bytes in, requests out, answers back, in order.
//! It must not know what a request means, and answers one request before it takes up the next.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use crate::api;
use crate::http::{self, Decoded, Decoder, Limits, Method, Refusal, Request, Response};
use crate::limits::{
    ANSWER_TIME_MAX, HEAD_LEN_MAX, HEADERS_MAX, IDLE_TIME_MAX, LINGER_TIME_MAX, READ_PER_TURN_MAX, REQUEST_TIME_MAX,
    UNSENT_MAX,
};
use crate::time::MonoUs;

const LIMITS: Limits = Limits { head_len_max: HEAD_LEN_MAX, headers_max: HEADERS_MAX, body_len_max: api::body_limit };
/// Buffers that grew beyond this are given back once they are empty.
const BUFFER_KEPT_MAX: usize = 16 * 1024;

/// What a connection needs next.
#[derive(Debug)]
pub(super) enum Step {
    /// Answer this.
    Request(Request),
    /// Answer this refusal; the connection ends after it.
    Refused(Refusal),
    /// Nothing before the socket is ready, or an answer is there.
    Wait,
    /// Its share of this turn is used up; there may be more.
    Again,
    /// It is over.
    Closed,
}

/// A client connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    phase: Phase,
    /// The socket may have more to read. Readiness is told once, at each change.
    readable: bool,
    /// The client sends no more.
    ended: bool,
    /// Bytes read in this turn.
    read_in_turn: usize,
    /// When the present phase, or the present request, began.
    since: MonoUs,
    /// Tells this connection from others that had its slot.
    pub(super) generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// Some of a request has come, or the first is awaited.
    Reading,
    /// A request is being worked on.
    Answering { head_only: bool, keep_alive: bool, http_10: bool },
    /// The last answer is being sent.
    Ending { linger: bool },
    /// Everything is sent; what the client still sends is thrown away, lest a reset destroy the answer.
    Lingering,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, generation: u32, mono: MonoUs) -> Connection {
        Connection {
            stream,
            decoder: Decoder::new(LIMITS),
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            phase: Phase::Reading,
            readable: true,
            ended: false,
            read_in_turn: 0,
            since: mono,
            generation,
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// A new turn of the loop, in which the socket may be ready to read.
    pub(super) fn begin_turn(&mut self, readable: bool) {
        self.readable |= readable;
        self.read_in_turn = 0;
    }

    /// Goes on as far as possible.
    pub(super) fn step(&mut self, scratch: &mut [u8], mono: MonoUs) -> Step {
        if self.flush(mono).is_err() {
            return Step::Closed;
        }
        loop {
            match self.phase {
                Phase::Answering { .. } => return Step::Wait,
                Phase::Ending { linger } => {
                    if self.unsent() > 0 {
                        return Step::Wait;
                    }
                    if !linger || self.stream.shutdown(Shutdown::Write).is_err() {
                        return Step::Closed;
                    }
                    self.enter(Phase::Lingering, mono);
                }
                Phase::Lingering => {
                    self.input.clear();
                    match self.read(scratch) {
                        Ok(true) if self.read_in_turn >= READ_PER_TURN_MAX => return Step::Again,
                        Ok(true) => {}
                        Ok(false) if self.ended => return Step::Closed,
                        Ok(false) => return Step::Wait,
                        Err(_) => return Step::Closed,
                    }
                }
                Phase::Idle | Phase::Reading => {
                    if self.unsent() > UNSENT_MAX {
                        return Step::Wait;
                    }
                    if let Some(step) = self.decode(mono) {
                        return step;
                    }
                    if self.read_in_turn >= READ_PER_TURN_MAX && self.readable {
                        return Step::Again;
                    }
                    match self.read(scratch) {
                        Ok(true) => {}
                        Ok(false) if self.ended && self.unsent() == 0 => return Step::Closed,
                        Ok(false) => return Step::Wait,
                        Err(_) => return Step::Closed,
                    }
                }
            }
        }
    }

    /// Looks for a request in what was read; None if more is needed.
    fn decode(&mut self, mono: MonoUs) -> Option<Step> {
        loop {
            let (consumed, decoded) = self.decoder.decode(&self.input);
            self.input.drain(..consumed);
            match decoded {
                Ok(Decoded::NeedMore) => {
                    if self.phase == Phase::Idle && !(self.decoder.is_idle() && self.input.is_empty()) {
                        self.enter(Phase::Reading, mono);
                    }
                    return None;
                }
                Ok(Decoded::SendContinue) => {
                    self.output.extend_from_slice(http::CONTINUE);
                    if self.flush(mono).is_err() {
                        return Some(Step::Closed);
                    }
                }
                Ok(Decoded::Request(request)) => {
                    let Request { method, keep_alive, http_10, .. } = request;
                    self.enter(Phase::Answering { head_only: method == Method::Head, keep_alive, http_10 }, mono);
                    return Some(Step::Request(request));
                }
                Err(refusal) => {
                    self.enter(Phase::Answering { head_only: false, keep_alive: false, http_10: false }, mono);
                    return Some(Step::Refused(refusal));
                }
            }
        }
    }

    /// Answers the request that is being worked on. `last`: the connection is to end after it.
    pub(super) fn answer(&mut self, response: &Response, last: bool, date: &str, mono: MonoUs) {
        let Phase::Answering { head_only, keep_alive, http_10 } = self.phase else { return };
        let stays = keep_alive && !last;
        http::encode(response, head_only, stays, http_10, date, &mut self.output);
        self.enter(if stays { Phase::Idle } else { Phase::Ending { linger: true } }, mono);
    }

    /// The time limit was reached. The answer to give before the end, or None: it simply ends.
    pub(super) fn is_owed_a_timeout(&mut self, mono: MonoUs) -> bool {
        let owed = self.phase == Phase::Reading && !(self.decoder.is_idle() && self.input.is_empty());
        if owed {
            self.enter(Phase::Answering { head_only: false, keep_alive: false, http_10: false }, mono);
        }
        owed
    }

    /// When the connection is to be cut off, as things stand.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        if self.unsent() > 0 {
            return Some(self.since.plus(ANSWER_TIME_MAX));
        }
        match self.phase {
            Phase::Idle => Some(self.since.plus(IDLE_TIME_MAX)),
            Phase::Reading => Some(self.since.plus(REQUEST_TIME_MAX)),
            Phase::Answering { .. } => None,
            Phase::Ending { .. } | Phase::Lingering => Some(self.since.plus(LINGER_TIME_MAX)),
        }
    }

    /// Whether it rests, before its first request or between two, and can be closed without loss to anybody.
    pub(super) fn is_idle(&self) -> bool {
        let at_rest = self.phase == Phase::Idle || (self.phase == Phase::Reading && self.decoder.is_idle());
        // What may have come and was not looked at yet may be a request.
        at_rest && !self.readable && self.unsent() == 0 && self.input.is_empty()
    }

    fn enter(&mut self, phase: Phase, mono: MonoUs) {
        self.phase = phase;
        self.since = mono;
    }

    fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Sends what the socket takes.
    fn flush(&mut self, mono: MonoUs) -> io::Result<()> {
        while self.unsent() > 0 {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sent += count;
                    self.since = mono;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        self.sent = 0;
        self.output.clear();
        if self.output.capacity() > BUFFER_KEPT_MAX {
            self.output = Vec::new();
        }
        Ok(())
    }

    /// Reads once. False: nothing more now.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        if !self.readable || self.ended {
            return Ok(false);
        }
        loop {
            match self.stream.read(scratch) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(count) => {
                    self.read_in_turn += count;
                    self.input.extend_from_slice(&scratch[..count]);
                    return Ok(true);
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    if self.input.is_empty() && self.input.capacity() > BUFFER_KEPT_MAX {
                        self.input = Vec::new();
                    }
                    return Ok(false);
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
    }
}
