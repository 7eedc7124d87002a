//! Owns one client connection: bytes in, requests out, answers back, in order, whole or in pieces.
//! It must not know what a request means, and answers one request before it takes up the next.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use crate::api::{self, Piece, Stream};
use crate::http::{self, Decoded, Decoder, Limits, Method, Refusal, Request, Response, StreamFraming};
use crate::limits::{
    ANSWER_TIME_MAX, HEAD_LEN_MAX, HEADERS_MAX, IDLE_TIME_MAX, LINGER_TIME_MAX, READ_PER_TURN_MAX, REQUEST_TIME_MAX,
    STREAM_UNSENT_MAX, UNSENT_MAX,
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
    /// Make the next piece of the answer.
    Piece(Stream),
    /// Nothing before the socket is ready, or an answer is there.
    Wait,
    /// Its share of this turn is used up; there may be more.
    Again,
    /// It is over.
    Closed,
}

/// What a connection is given for what it asked.
#[derive(Debug)]
pub(super) enum Given {
    /// Nothing yet: it comes later, under the same request.
    Later,
    /// The answer.
    Answer(Response),
    /// The head of an answer whose pieces are to be asked for.
    Streamed(Response, Stream),
    /// A piece of such an answer.
    Piece(Piece),
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
    /// What is to be made of the answer that is being streamed; None while a piece is awaited.
    stream_rest: Option<Stream>,
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
    /// It is to go on in the next turn, whatever its socket does.
    pub(super) is_queued: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// Some of a request has come, or the first is awaited.
    Reading,
    /// A request is being worked on.
    Answering { head_only: bool, keep_alive: bool, http_10: bool },
    /// Pieces of an answer are being made, as fast as the client takes them.
    Streaming { framing: StreamFraming, stays: bool },
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
            stream_rest: None,
            readable: true,
            ended: false,
            read_in_turn: 0,
            since: mono,
            generation,
            is_queued: false,
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

    /// Goes on as far as possible. `may_stream`: a piece of an answer may still be made in this turn.
    pub(super) fn step(&mut self, scratch: &mut [u8], may_stream: bool, mono: MonoUs) -> Step {
        if self.flush(mono).is_err() {
            return Step::Closed;
        }
        loop {
            match self.phase {
                Phase::Answering { .. } => return Step::Wait,
                Phase::Streaming { .. } => return self.ask_for_piece(may_stream),
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

    /// What a client does not read is not made: the socket tells when it takes more. One that is gone shows when a
    /// piece is sent.
    fn ask_for_piece(&mut self, may_stream: bool) -> Step {
        if self.stream_rest.is_none() || self.unsent() > STREAM_UNSENT_MAX {
            return Step::Wait;
        }
        if may_stream { self.stream_rest.take().map_or(Step::Wait, Step::Piece) } else { Step::Again }
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

    /// Takes what it asked for. `last`: the connection is to end after it.
    pub(super) fn give(&mut self, given: Given, last: bool, date: &str, mono: MonoUs) {
        match given {
            Given::Later => {}
            Given::Answer(response) => self.answer(&response, last, date, mono),
            Given::Streamed(head, stream) => self.begin_stream(&head, stream, last, date, mono),
            Given::Piece(piece) => self.add_piece(piece, mono),
        }
    }

    /// Answers the request that is being worked on.
    pub(super) fn answer(&mut self, response: &Response, last: bool, date: &str, mono: MonoUs) {
        let Phase::Answering { head_only, keep_alive, http_10 } = self.phase else { return };
        let stays = keep_alive && !last;
        http::encode(response, head_only, stays, http_10, date, &mut self.output);
        self.end_answer(stays, mono);
    }

    fn begin_stream(&mut self, head: &Response, stream: Stream, last: bool, date: &str, mono: MonoUs) {
        let Phase::Answering { head_only, keep_alive, http_10 } = self.phase else { return };
        let framing = StreamFraming::of(http_10);
        let stays = keep_alive && !last && framing.allows_keep_alive();
        http::encode(head, head_only, stays, http_10, date, &mut self.output);
        if head_only {
            return self.end_answer(stays, mono);
        }
        self.stream_rest = Some(stream);
        self.enter(Phase::Streaming { framing, stays }, mono);
    }

    fn add_piece(&mut self, piece: Piece, mono: MonoUs) {
        let Phase::Streaming { framing, stays } = self.phase else { return };
        if self.unsent() == 0 {
            // The time limit is for a client that has something to read.
            self.since = mono;
        }
        // A client that is always a little behind must not make the buffer hold all that was sent.
        self.output.drain(..self.sent);
        self.sent = 0;
        framing.write_piece(&piece.bytes, &mut self.output);
        self.stream_rest = piece.rest;
        if self.stream_rest.is_none() {
            framing.write_end(&mut self.output);
            self.end_answer(stays, mono);
        }
    }

    /// The answer is complete. `stays`: the connection carries the next request.
    fn end_answer(&mut self, stays: bool, mono: MonoUs) {
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
            Phase::Answering { .. } | Phase::Streaming { .. } => None,
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
