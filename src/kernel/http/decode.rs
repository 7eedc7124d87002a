//! Owns the state of one connection's incoming side: how far the present request has been read.
//! It must not hold unconsumed bytes, time anything, or answer; the caller has the buffer, the clock and the socket.

use super::chunked::Chunked;
use super::framing::Framing;
use super::{Method, Refusal, Request, head};

/// The largest [`Limits::headers_max`]: the field lines of a head are listed on the stack while it
/// is read.
pub const HEADERS_MAX_CEILING: usize = 128;

/// How many empty lines may stand in front of a request line. Some clients end a body with a line
/// end that they do not count, so RFC 9112, section 2.2 asks to pass over at least one.
const EMPTY_LINES_MAX: usize = 4;

/// How much room is made for a body before any of it has arrived; a stated length alone is worth no
/// more.
const BODY_RESERVE_MAX: usize = 16 * 1024;

/// What a request may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest head in bytes, blank line included. The caller's buffer has to hold as much,
    /// because a head is consumed in one piece. It bounds each chunk's size line and the trailers
    /// of a chunked body as well.
    pub head_len_max: usize,
    /// The most field lines in a head; at most [`HEADERS_MAX_CEILING`].
    pub headers_max: usize,
    /// The largest body in bytes, its framing not counted, of a request with this method and path. Asked once the head
    /// is read, and only if the head announces a body.
    pub body_len_max: fn(Method, &str) -> usize,
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// More bytes have to arrive first.
    NeedMore,
    /// The client may be waiting for [`super::CONTINUE`] before it sends the body (RFC 9110,
    /// section 10.1.1). Send it, then call [`Decoder::decode`] again. Comes at most once for a
    /// request, and not when the body has begun to arrive.
    SendContinue,
    /// A complete request. There may be another one in the bytes behind it: call
    /// [`Decoder::decode`] again.
    Request(Request),
}

/// The decoder of one connection.
///
/// Each byte of a head is searched once and parsed once, and each byte of a body is copied once,
/// however the bytes are cut into pieces.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// How many bytes from the head's first one are known not to contain its end.
    scanned_len: usize,
    /// How many empty lines were passed over since the last request.
    empty_lines: usize,
    /// The request whose body is being read.
    pending: Option<Pending>,
    /// Set for good by the first refusal.
    refused: Option<Refusal>,
}

#[derive(Debug)]
struct Pending {
    request: Request,
    rest: Rest,
}

/// What is to come of a body.
#[derive(Debug)]
enum Rest {
    Length(usize),
    Chunked(Chunked),
}

impl Decoder {
    /// A decoder for a new connection.
    ///
    /// # Panics
    ///
    /// When `limits` leaves no room for a head or allows more than [`HEADERS_MAX_CEILING`] field
    /// lines.
    pub fn new(limits: Limits) -> Decoder {
        assert!(limits.head_len_max > 0, "a head takes room");
        assert!(limits.headers_max <= HEADERS_MAX_CEILING, "the field lines of a head fit on the stack");
        Decoder { limits, scanned_len: 0, empty_lines: 0, pending: None, refused: None }
    }

    /// Reads on. `input` is everything that has been received and not been consumed; the number
    /// returned says how much of its front is consumed now, and must not be shown again.
    ///
    /// After [`Decoded::NeedMore`], call again when more has arrived: fewer than
    /// [`Limits::head_len_max`] bytes are left unconsumed then, so a buffer of that size never
    /// blocks. After any other success, call again at once or once the request has been answered. A
    /// call that returns a request or asks for the interim response consumes at least one byte.
    ///
    /// # Errors
    ///
    /// The first [`Refusal`], and from then on always the same: nothing behind it can be trusted.
    pub fn decode(&mut self, input: &[u8]) -> (usize, Result<Decoded, Refusal>) {
        if let Some(refusal) = self.refused {
            return (0, Err(refusal));
        }
        let mut consumed = 0;
        let result = self.advance(input, &mut consumed);
        if let Err(refusal) = result {
            self.refused = Some(refusal);
        }
        debug_assert!(consumed <= input.len(), "only what was shown is consumed");
        (consumed, result)
    }

    /// True when [`Decoder::decode`] has been shown nothing of a next request, so that the
    /// connection is between two requests. Empty lines are nothing.
    pub fn is_idle(&self) -> bool {
        self.pending.is_none() && self.refused.is_none() && self.scanned_len == 0
    }

    /// How many bytes of the body of a request are there that is not whole yet.
    pub fn body_len(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.request.body.len())
    }

    fn advance(&mut self, input: &[u8], consumed: &mut usize) -> Result<Decoded, Refusal> {
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None => {
                *consumed += self.skip_empty_lines(input)?;
                let Some(head_len) = self.find_head_end(&input[*consumed..])? else {
                    return Ok(Decoded::NeedMore);
                };
                let head = head::parse(&input[*consumed..][..head_len], &self.limits)?;
                *consumed += head_len;
                self.scanned_len = 0;
                self.empty_lines = 0;
                let waits = head.expects_continue && *consumed == input.len();
                let pending = Pending::new(head.request, head.framing);
                if waits {
                    self.pending = Some(pending);
                    return Ok(Decoded::SendContinue);
                }
                pending
            }
        };
        self.read_body(pending, input, consumed)
    }

    /// Returns the length of the empty lines in front of a request line. A carriage return whose
    /// line feed has not arrived is left alone.
    fn skip_empty_lines(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let mut skipped = 0;
        // Within a head there is nothing to skip.
        while self.scanned_len == 0 {
            skipped += match &input[skipped..] {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => break,
            };
            self.empty_lines += 1;
            if self.empty_lines > EMPTY_LINES_MAX {
                return Err(Refusal::HeadMalformed);
            }
        }
        Ok(skipped)
    }

    /// Returns the length of the head that `input` starts with, blank line included, once all of it
    /// is there.
    fn find_head_end(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        match input {
            [] | [b'\r'] => return Ok(None),
            // Something other than HTTP, such as TLS, is refused at its first byte: it may never
            // send a line end.
            [first, ..] if !first.is_ascii_graphic() => return Err(Refusal::HeadMalformed),
            [_, ..] => {}
        }
        let window = &input[..input.len().min(self.limits.head_len_max)];
        // The line feed before the blank line may be the last byte but one of what was searched
        // already.
        let searched_len = self.scanned_len.saturating_sub(2).min(window.len());
        if let Some(end) = blank_line_end(&window[searched_len..]) {
            return Ok(Some(searched_len + end));
        }
        if window.len() < self.limits.head_len_max {
            self.scanned_len = window.len();
            Ok(None)
        } else if window.contains(&b'\n') {
            Err(Refusal::HeadTooLarge)
        } else {
            Err(Refusal::TargetTooLong)
        }
    }

    fn read_body(&mut self, mut pending: Pending, input: &[u8], consumed: &mut usize) -> Result<Decoded, Refusal> {
        let input = &input[*consumed..];
        let body = &mut pending.request.body;
        let (taken, complete) = match &mut pending.rest {
            Rest::Length(left) => {
                let data = &input[..input.len().min(*left)];
                body.extend_from_slice(data);
                *left -= data.len();
                (data.len(), *left == 0)
            }
            Rest::Chunked(chunked) => chunked.decode(input, body, self.limits.head_len_max)?,
        };
        *consumed += taken;
        if complete {
            return Ok(Decoded::Request(pending.request));
        }
        self.pending = Some(pending);
        Ok(Decoded::NeedMore)
    }
}

impl Pending {
    fn new(mut request: Request, framing: Framing) -> Pending {
        let rest = match framing {
            Framing::Length(length) => {
                request.body.reserve_exact(length.min(BODY_RESERVE_MAX));
                Rest::Length(length)
            }
            Framing::Chunked { body_len_max } => Rest::Chunked(Chunked::new(body_len_max)),
        };
        Pending { request, rest }
    }
}

/// Returns where the first blank line ends. A line may end in a bare line feed (RFC 9112, section
/// 2.2).
fn blank_line_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(offset) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let next_line = from + offset + 1;
        match &bytes[next_line..] {
            [b'\n', ..] => return Some(next_line + 1),
            [b'\r', b'\n', ..] => return Some(next_line + 2),
            _ => from = next_line,
        }
    }
    None
}
