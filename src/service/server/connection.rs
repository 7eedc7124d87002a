//! Owns one client connection: bytes in, requests out, answers back, in order, whole or in pieces.
//! It must not know what a request means, and answers one request before it takes up the next.

use std::io::{self, Read};
use std::net::Shutdown;
use std::time::Duration;

use super::output::{BUFFER_KEPT_MAX, Output};
use super::peer::Peer;
use super::socket::Socket;
use crate::api::{self, Piece, Stream};
use crate::core::RequestId;
use crate::http::{self, Decoded, Decoder, Limits, Method, Refusal, Request, Response, StreamFraming};
use crate::limits::{
    BODY_LEN_MAX, EVENT_SILENCE_MAX, GATHERED_MAX, HEAD_LEN_MAX, HEADERS_MAX, IDLE_TIME_MAX, LEFT_TIME_MAX,
    LINGER_TIME_MAX, READ_AT_ONCE_MAX, REPLY_TIME_MAX, REQUEST_TIME_MAX, RUN_WAIT_MAX, STREAM_UNSENT_MAX, UNSENT_MAX,
};
use crate::time::MonoUs;

const LIMITS: Limits = Limits { head_len_max: HEAD_LEN_MAX, headers_max: HEADERS_MAX, body_len_max: api::body_limit };

/// What a connection needs next.
#[derive(Debug)]
pub(super) enum Step {
    /// Answer this.
    Request(Request),
    /// Answer this refusal; the connection ends after it.
    Refused(Refusal),
    /// Answer that there is no room for what it sends; the connection ends after it.
    Crowded,
    /// Make the next piece of the answer.
    Piece(Stream),
    /// Nothing before the socket is ready, or an answer is there.
    Wait,
    /// It read as much as it may at once; there may be more.
    Again,
    /// It wants the next piece of its answer, and none is made any more in this turn.
    NextTurn,
    /// It is over.
    Closed,
}

/// What a connection is given for what it asked.
#[derive(Debug)]
pub(super) enum Given {
    /// Nothing yet: it comes later, under the same request.
    Later,
    /// The same, and it may take as long as an execution.
    MuchLater,
    /// The answer.
    Answer(Response),
    /// The head of an answer whose pieces are to be asked for.
    Streamed(Response, Stream),
    /// A piece of such an answer.
    Piece(Piece),
    /// There is no piece now. It is to be asked for again once there may be one.
    Nothing(Stream),
}

/// What others leave to a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// A piece of an answer may still be made in this turn.
    pub(super) piece: bool,
    /// All connections together hold less than they may: one that has unsent bytes may have more.
    pub(super) output: bool,
    /// Another large body may be received.
    pub(super) large_body: bool,
}

/// What was not there in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The whole of a request.
    Request,
    /// The answer to a change.
    Change,
    /// The answer to a question.
    Reading,
}

/// What becomes of a connection whose time limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It is told what was not there in time.
    Owed(Overdue),
    /// It read too slowly.
    TooSlow,
    /// It ends.
    Over,
    /// It goes on: there is another time limit.
    Kept,
}

/// A client connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Socket,
    pub(super) peer: Peer,
    decoder: Decoder,
    input: Vec<u8>,
    output: Output,
    phase: Phase,
    /// What is to be made of the answer that is being streamed; None while a piece is awaited.
    stream_rest: Option<Stream>,
    /// The same while there is nothing to make of it.
    resting: Option<Stream>,
    /// Whether it was asked for events.
    listens: bool,
    /// The socket may have more to read. Readiness is told once, at each change.
    readable: bool,
    /// The client sends no more.
    ended: bool,
    /// When that was told, though it may not have been read yet.
    left: Option<MonoUs>,
    /// The client is gone for good.
    gone: bool,
    /// How long the answer to the present request may take.
    patience: Duration,
    /// Bytes read since it was last let go on.
    read_at_once: usize,
    /// When the present phase, or the present request, began.
    since: MonoUs,
    /// The present request, or the last one: no other has ever had, or will have, the same number.
    pub(super) request: RequestId,
    /// It is to go on, whatever its socket does.
    pub(super) is_queued: bool,
    /// Unsent bytes as all connections together count them.
    pub(super) counted: usize,
    /// Whether it is receiving a large body, and whether that is counted.
    pub(super) is_large: bool,
    pub(super) is_counted_large: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// Some of a request has come, or the first is awaited.
    Reading,
    /// A request is being worked on.
    Answering { method: Method, keep_alive: bool, http_10: bool },
    /// Pieces of an answer are being made, as fast as the client takes them.
    Streaming { framing: StreamFraming, stays: bool },
    /// The last answer is being sent.
    Ending { linger: bool },
    /// Everything is sent; what the client still sends is thrown away, lest a reset destroy the answer.
    Lingering,
}

impl Connection {
    pub(super) fn new(stream: Socket, peer: Peer, mono: MonoUs) -> Connection {
        Connection {
            stream,
            peer,
            decoder: Decoder::new(LIMITS),
            input: Vec::new(),
            output: Output::default(),
            phase: Phase::Reading,
            stream_rest: None,
            resting: None,
            listens: false,
            readable: true,
            ended: false,
            left: None,
            gone: false,
            patience: REPLY_TIME_MAX,
            read_at_once: 0,
            since: mono,
            request: RequestId(u64::MAX),
            is_queued: false,
            counted: 0,
            is_large: false,
            is_counted_large: false,
        }
    }

    pub(super) fn stream(&mut self) -> &mut Socket {
        &mut self.stream
    }

    /// What its socket tells. `left`: the client sends no more. `gone`: it reads no more either.
    pub(super) fn note(&mut self, readable: bool, left: bool, gone: bool, mono: MonoUs) {
        self.readable |= readable;
        self.gone |= gone;
        if left && self.left.is_none() {
            self.left = Some(mono);
            // Whether it still listens shows when something is sent.
            self.break_silence();
        }
    }

    /// Whether it was asked for events, which have no end.
    pub(super) fn listens(&self) -> bool {
        self.listens
    }

    /// There may be a piece for it now. Whether it waited for one.
    pub(super) fn wake(&mut self) -> bool {
        let waited = self.resting.is_some();
        self.stream_rest = self.resting.take().or(self.stream_rest.take());
        waited
    }

    fn break_silence(&mut self) {
        if let Some(stream) = self.resting.take() {
            self.stream_rest = Some(stream.after_silence());
        }
    }

    /// It may go on.
    pub(super) fn begin(&mut self) {
        self.read_at_once = 0;
    }

    /// Goes on as far as possible.
    pub(super) fn step(&mut self, scratch: &mut [u8], allowance: Allowance, mono: MonoUs) -> Step {
        if self.gone {
            return Step::Closed;
        }
        // A request that came with the one before is taken up first: both answers are one write.
        let gathers = matches!(self.phase, Phase::Idle | Phase::Reading) && !self.input.is_empty();
        if gathers
            && allowance.output
            && self.unsent() < GATHERED_MAX
            && let Some(step) = self.decode(allowance, mono)
        {
            return step;
        }
        if self.flush(mono).is_err() {
            return Step::Closed;
        }
        loop {
            match self.phase {
                Phase::Answering { .. } => return Step::Wait,
                Phase::Streaming { .. } => return self.ask_for_piece(allowance),
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
                        Ok(true) if self.read_at_once >= READ_AT_ONCE_MAX => return Step::Again,
                        Ok(true) => {}
                        Ok(false) if self.ended => return Step::Closed,
                        Ok(false) => return Step::Wait,
                        Err(_) => return Step::Closed,
                    }
                }
                Phase::Idle | Phase::Reading => {
                    if self.unsent() > UNSENT_MAX || (self.unsent() > 0 && !allowance.output) {
                        return Step::Wait;
                    }
                    if let Some(step) = self.decode(allowance, mono) {
                        return step;
                    }
                    if self.read_at_once >= READ_AT_ONCE_MAX && self.readable {
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
    fn ask_for_piece(&mut self, allowance: Allowance) -> Step {
        let is_full = self.unsent() > STREAM_UNSENT_MAX || (self.unsent() > 0 && !allowance.output);
        if self.stream_rest.is_none() || is_full {
            return Step::Wait;
        }
        let may_ask = allowance.piece || self.stream_rest.as_ref().is_some_and(|stream| stream.is_made_already());
        if may_ask { self.stream_rest.take().map_or(Step::Wait, Step::Piece) } else { Step::NextTurn }
    }

    /// Looks for a request in what was read; None if more is needed.
    fn decode(&mut self, allowance: Allowance, mono: MonoUs) -> Option<Step> {
        loop {
            let (consumed, decoded) = self.decoder.decode(&self.input);
            self.input.drain(..consumed);
            match decoded {
                Ok(Decoded::NeedMore) => {
                    if self.phase == Phase::Idle && !(self.decoder.is_idle() && self.input.is_empty()) {
                        self.enter(Phase::Reading, mono);
                    }
                    if !self.is_large && self.decoder.body_len() > BODY_LEN_MAX {
                        if !allowance.large_body {
                            self.refuse(mono);
                            return Some(Step::Crowded);
                        }
                        self.is_large = true;
                    }
                    return None;
                }
                Ok(Decoded::SendContinue) => {
                    self.output.bytes().extend_from_slice(http::CONTINUE);
                    if self.flush(mono).is_err() {
                        return Some(Step::Closed);
                    }
                }
                Ok(Decoded::Request(request)) => {
                    self.is_large = false;
                    let Request { method, keep_alive, http_10, .. } = request;
                    self.patience = REPLY_TIME_MAX;
                    self.enter(Phase::Answering { method, keep_alive, http_10 }, mono);
                    return Some(Step::Request(request));
                }
                Err(refusal) => {
                    self.refuse(mono);
                    return Some(Step::Refused(refusal));
                }
            }
        }
    }

    /// What comes next is the last answer.
    fn refuse(&mut self, mono: MonoUs) {
        self.is_large = false;
        self.enter(Phase::Answering { method: Method::Other, keep_alive: false, http_10: false }, mono);
    }

    /// Takes what it asked for. `last`: the connection is to end after it.
    pub(super) fn give(&mut self, given: Given, last: bool, date: &str, mono: MonoUs) {
        match given {
            Given::Later => {}
            Given::MuchLater => self.patience = RUN_WAIT_MAX + REPLY_TIME_MAX,
            Given::Answer(response) => self.answer(&response, last, date, mono),
            Given::Streamed(head, stream) => self.begin_stream(&head, stream, last, date, mono),
            Given::Piece(piece) => self.add_piece(piece, mono),
            Given::Nothing(stream) => self.resting = Some(stream),
        }
    }

    /// Answers the request that is being worked on.
    pub(super) fn answer(&mut self, response: &Response, last: bool, date: &str, mono: MonoUs) {
        let Phase::Answering { method, keep_alive, http_10 } = self.phase else { return };
        let stays = keep_alive && !last;
        http::encode(response, method == Method::Head, stays, http_10, date, self.output.bytes());
        self.end_answer(stays, mono);
    }

    fn begin_stream(&mut self, head: &Response, stream: Stream, last: bool, date: &str, mono: MonoUs) {
        let Phase::Answering { method, keep_alive, http_10 } = self.phase else { return };
        let framing = StreamFraming::of(http_10);
        let stays = keep_alive && !last && framing.allows_keep_alive();
        http::encode(head, method == Method::Head, stays, http_10, date, self.output.bytes());
        if method == Method::Head {
            return self.end_answer(stays, mono);
        }
        self.listens = stream.is_endless();
        self.stream_rest = Some(stream);
        self.enter(Phase::Streaming { framing, stays }, mono);
    }

    fn add_piece(&mut self, piece: Piece, mono: MonoUs) {
        let Phase::Streaming { framing, stays } = self.phase else { return };
        framing.write_piece(&piece.bytes, self.output.bytes());
        self.stream_rest = piece.rest;
        if self.stream_rest.is_none() {
            framing.write_end(self.output.bytes());
            self.end_answer(stays, mono);
        }
    }

    /// The answer is complete. `stays`: the connection carries the next request.
    fn end_answer(&mut self, stays: bool, mono: MonoUs) {
        self.enter(if stays { Phase::Idle } else { Phase::Ending { linger: true } }, mono);
    }

    /// A time limit was reached. What is owed then is to be answered.
    pub(super) fn expire(&mut self, mono: MonoUs) -> Expiry {
        if self.flush(mono).is_err() {
            return Expiry::Over;
        }
        if self.output.is_too_slow(mono) {
            return Expiry::TooSlow;
        }
        if self.phase_deadline().is_none_or(|at| at > mono) {
            return Expiry::Kept;
        }
        match self.phase {
            Phase::Reading if !(self.decoder.is_idle() && self.input.is_empty()) => {
                self.refuse(mono);
                Expiry::Owed(Overdue::Request)
            }
            // Whoever left does not hear it.
            Phase::Answering { .. } if self.left.is_some() => Expiry::Over,
            Phase::Answering { method: Method::Get | Method::Head | Method::Options, .. } => {
                Expiry::Owed(Overdue::Reading)
            }
            Phase::Answering { method: Method::Post | Method::Put | Method::Patch | Method::Delete, .. }
            | Phase::Answering { method: Method::Other, .. } => Expiry::Owed(Overdue::Change),
            Phase::Streaming { .. } if self.resting.is_some() => {
                self.since = mono;
                self.break_silence();
                Expiry::Kept
            }
            Phase::Idle | Phase::Reading | Phase::Streaming { .. } | Phase::Ending { .. } | Phase::Lingering => {
                Expiry::Over
            }
        }
    }

    /// When to look whether the connection is to be cut off, as things stand.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        [self.output.deadline(), self.phase_deadline()].into_iter().flatten().min()
    }

    fn phase_deadline(&self) -> Option<MonoUs> {
        match self.phase {
            Phase::Answering { .. } => {
                let asked = self.since.plus(self.patience);
                // A client that has sent all it wants may still listen; one that gave up looks the same.
                Some(self.left.map_or(asked, |left| asked.min(left.max(self.since).plus(LEFT_TIME_MAX))))
            }
            // It is the client's pace that counts.
            _ if self.unsent() > 0 => None,
            Phase::Idle => Some(self.since.plus(IDLE_TIME_MAX)),
            Phase::Reading => Some(self.since.plus(REQUEST_TIME_MAX)),
            Phase::Streaming { .. } => self.resting.as_ref().map(|_| self.since.plus(EVENT_SILENCE_MAX)),
            Phase::Ending { .. } | Phase::Lingering => Some(self.since.plus(LINGER_TIME_MAX)),
        }
    }

    /// Whether a request of it is being worked on.
    pub(super) fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Answering { .. })
    }

    /// Whether a request is awaited or being answered.
    pub(super) fn asks(&self) -> bool {
        match self.phase {
            Phase::Reading => self.left.is_none() || self.readable,
            Phase::Answering { .. } => true,
            Phase::Idle => self.readable || !self.input.is_empty() || self.unsent() > 0,
            Phase::Streaming { .. } => !self.listens,
            Phase::Ending { .. } => self.unsent() > 0,
            Phase::Lingering => false,
        }
    }

    /// Whether it rests between two requests, and can be closed without loss to anybody.
    pub(super) fn is_idle(&self) -> bool {
        // What may have come and was not looked at yet may be a request.
        self.phase == Phase::Idle && !self.readable && self.unsent() == 0 && self.input.is_empty()
    }

    /// Whether it holds its place for something that may never be: a request that is not whole, an answer to somebody who
    /// has left, the rest of what was refused.
    pub(super) fn is_dubious(&self) -> bool {
        match self.phase {
            Phase::Reading => !self.readable && self.unsent() == 0,
            Phase::Answering { .. } => self.left.is_some(),
            Phase::Lingering => true,
            Phase::Idle | Phase::Streaming { .. } | Phase::Ending { .. } => false,
        }
    }

    fn enter(&mut self, phase: Phase, mono: MonoUs) {
        self.phase = phase;
        self.since = mono;
    }

    /// How many bytes a second its client takes, if it has been behind with what it is answered for as long as that.
    pub(super) fn pace_behind(&self, mono: MonoUs, least: Duration) -> Option<u64> {
        self.output.pace_behind(mono, least)
    }

    /// How many bytes are unsent.
    pub(super) fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self, mono: MonoUs) -> io::Result<()> {
        if self.unsent() == 0 {
            return Ok(());
        }
        self.output.flush(&mut self.stream, mono)?;
        if self.unsent() == 0 && !matches!(self.phase, Phase::Answering { .. }) {
            // From now on the client has all it was waiting for.
            self.since = mono;
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
                    self.read_at_once += count;
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
