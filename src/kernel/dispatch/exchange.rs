//! Owns the answer to one request as bytes: what those that were read mean.
//! It must not touch a socket or a clock.
//!
//! The status decides. Once the head of the answer is whole, nothing that happens to its body changes the outcome: the
//! body is read only so that the connection can be used again, and of a failure for the beginning of what it says.
//!
//! Nearly all answers are `plain`; any other one `ureq-proto` reads, which is told so when the first bytes come.

use std::mem;

use http::{Method, Request, Uri};
use ureq_proto::client::state::{Cleanup, RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};

use super::plain;
use super::told::{Telling, Told};
use crate::limits::{ANSWER_BODY_LEN_MAX, ANSWER_FRAMING_LEN_MAX, ANSWER_HEAD_LEN_MAX};

/// Room for a request that nobody reads.
const UNREAD_LEN: usize = 256;

/// One request that was written, and as much of its answer as was read.
#[derive(Debug)]
pub(super) struct Exchange {
    stage: Stage,
    /// Bytes of this stage that were used up.
    used: usize,
    /// Bytes at the start of the input that were looked at before and did not suffice.
    seen: usize,
    heard: bool,
    /// What the answer tells, if that is of interest.
    told: Option<Box<Told>>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was read.
    Begun(Asked),
    /// The head of a plain answer was read; so much of its body is awaited.
    Plain { status: u16, left: u64, reusable: bool },
    /// The head of the answer is awaited.
    Head(Box<Call<RecvResponse>>),
    /// The head was read; the body is awaited.
    Body(Box<Call<RecvBody>>, u16),
    /// The answer is whole or unusable.
    Over,
}

/// What a request says that its answer is read by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Whether the connection carries no other one.
    pub(super) closes: bool,
}

impl Asked {
    /// Whether an answer to it may be a plain one: others have no body although they say that they have.
    fn is_plain(&self) -> bool {
        self.method != Method::HEAD && self.method != Method::CONNECT
    }

    /// The protocol core, as it is once it has written such a request.
    fn call(self) -> Result<Call<RecvResponse>, String> {
        let mut request = Request::new(());
        (*request.method_mut(), *request.uri_mut()) = (self.method, Uri::from_static("http://localhost/"));
        let mut call = Call::new(request).map_err(|error| error.to_string())?;
        let mut add = |name, value| call.header(name, value).map_err(|error: ureq_proto::Error| error.to_string());
        add("content-length", "0")?;
        if self.closes {
            add("connection", "close")?;
        }
        // Some methods have no body unless it is insisted on.
        call.force_send_body();
        let (mut call, mut unread) = (call.proceed(), [0; UNREAD_LEN]);
        call.write(&mut unread).map_err(|error| error.to_string())?;
        match call.proceed().map_err(|error| error.to_string())? {
            Some(SendRequestResult::SendBody(mut call)) => {
                call.write(&[], &mut unread).map_err(|error| error.to_string())?;
                call.proceed().ok_or_else(|| "a request without a body does not end".to_owned())
            }
            Some(SendRequestResult::RecvResponse(call)) => Ok(call),
            Some(SendRequestResult::Await100(_)) | None => {
                Err("a request without an expectation does not wait for anything".to_owned())
            }
        }
    }
}

/// What bytes of the answer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The answer is not whole. This many bytes were used up; the rest must be given again, with more behind it.
    More(usize),
    /// The same, but its head is whole as of now, and the beginning of its body is of interest.
    Listening {
        /// How many bytes were used up.
        used: usize,
    },
    /// The same, but as of now nothing more of it is of interest.
    Decided {
        /// Its status.
        status: u16,
        /// How many bytes were used up.
        used: usize,
    },
    /// The answer is whole, or as much of it was read as anybody needs.
    Whole {
        /// Its status.
        status: u16,
        /// Whether the connection can carry another request.
        reusable: bool,
    },
    /// The bytes are no head of an HTTP answer, or too much of one.
    Unusable(String),
}

impl Exchange {
    /// Such a request was written.
    pub(super) fn begin(asked: Asked) -> Exchange {
        Exchange { stage: Stage::Begun(asked), used: 0, seen: 0, heard: false, told: None }
    }

    /// The same, where no answer passes for a plain one.
    #[cfg(test)]
    pub(super) fn begin_odd(asked: Asked) -> Exchange {
        let call = asked.call().expect("it can be written");
        Exchange {
            stage: Stage::Head(Box::new(call)),
            ..Exchange::begin(Asked { method: Method::POST, closes: false })
        }
    }

    /// Takes bytes of the answer. `scratch` is overwritten with the body. `tells`: whether it is of interest what an
    /// answer with this status says.
    pub(super) fn read(&mut self, input: &[u8], scratch: &mut [u8], tells: &dyn Fn(u16) -> Telling) -> Progress {
        self.heard |= !input.is_empty();
        let mut start = 0;
        let mut has_head = false;
        loop {
            let rest = &input[start..];
            match mem::replace(&mut self.stage, Stage::Over) {
                Stage::Begun(asked) => match self.begin_plain(&asked, rest, tells) {
                    Some(progress) => return progress,
                    None => match asked.call() {
                        Ok(call) => self.stage = Stage::Head(Box::new(call)),
                        Err(why) => return Progress::Unusable(why),
                    },
                },
                Stage::Plain { status, left, reusable } => return self.read_plain(status, left, reusable, rest),
                Stage::Head(call) => match self.read_head(call, rest, tells) {
                    Ok(used) => {
                        start += used;
                        has_head = matches!(self.stage, Stage::Body(..));
                    }
                    Err(progress) => return progress.after(start),
                },
                Stage::Body(call, status) => {
                    let listened = self.listens();
                    let progress = self.read_body(call, status, rest, scratch).after(start);
                    let Progress::More(used) = progress else { return progress };
                    return match (has_head || listened, self.listens()) {
                        (true, false) => Progress::Decided { status, used },
                        (true, true) if has_head => Progress::Listening { used },
                        (_, _) => progress,
                    };
                }
                Stage::Over => return Progress::Unusable("bytes after the end of the answer".to_owned()),
            }
        }
    }

    /// The status of the answer, while its body is awaited.
    pub(super) fn status(&self) -> Option<u16> {
        match self.stage {
            Stage::Body(_, status) | Stage::Plain { status, .. } => Some(status),
            Stage::Begun(_) | Stage::Head(_) | Stage::Over => None,
        }
    }

    /// What the answer told, if that is of interest.
    pub(super) fn take_told(&mut self) -> Option<Box<Told>> {
        self.told.take()
    }

    fn listens(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.listens())
    }

    /// Whether any byte of the answer was read.
    pub(super) fn has_heard(&self) -> bool {
        self.heard
    }

    /// The other side will send nothing more: whether that makes the answer whole.
    pub(super) fn close(&mut self) -> Progress {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begun(_) | Stage::Head(_) => Progress::Unusable("connection closed before the answer".to_owned()),
            // Here a body without a length ends. Of another one something is missing that nobody reads.
            Stage::Body(_, status) | Stage::Plain { status, .. } => Progress::Whole { status, reusable: false },
            Stage::Over => Progress::Unusable("connection closed after the answer".to_owned()),
        }
    }

    /// What a plain answer comes to that begins here. None: it is another one.
    fn begin_plain(&mut self, asked: &Asked, input: &[u8], tells: &dyn Fn(u16) -> Telling) -> Option<Progress> {
        let plain = asked.is_plain().then(|| plain::read(input)).flatten()?;
        if tells(plain.status) != Telling::Nothing {
            return None;
        }
        let reusable = !(plain.closes || asked.closes);
        Some(match self.read_plain(plain.status, plain.body_len, reusable, &input[plain.head_len..]) {
            Progress::More(used) => Progress::Decided { status: plain.status, used: used + plain.head_len },
            progress => progress,
        })
    }

    /// More of a plain answer's body, of which so much was awaited.
    fn read_plain(&mut self, status: u16, left: u64, reusable: bool, input: &[u8]) -> Progress {
        let used = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let left = left - used as u64;
        self.used += used;
        if self.used > ANSWER_BODY_LEN_MAX {
            return Progress::Whole { status, reusable: false };
        }
        if left == 0 {
            // Bytes behind it that nobody asked for make the connection useless.
            return Progress::Whole { status, reusable: reusable && used == input.len() };
        }
        self.stage = Stage::Plain { status, left, reusable };
        Progress::More(used)
    }

    /// How many bytes of the head were used up, or what the answer came to.
    fn read_head(
        &mut self,
        mut call: Box<Call<RecvResponse>>,
        input: &[u8],
        tells: &dyn Fn(u16) -> Telling,
    ) -> Result<usize, Progress> {
        // Heads end with a new line: without another one, looking again finds nothing. A target that sends
        // byte by byte must not make us parse its head as often.
        let hopeless = self.seen > 0 && !input.get(self.seen..).is_some_and(|new| new.contains(&b'\n'));
        self.seen = input.len();
        let (used, response) = if hopeless {
            (0, None)
        } else if is_continue(input) {
            // The protocol core has none with headers, which are allowed.
            (head_len(input).unwrap_or(0), None)
        } else {
            call.try_response(input, false).map_err(|error| malformed(&error))?
        };
        self.used += used;
        let undecided = if response.is_none() { input.len() - used } else { 0 };
        if self.used.max(undecided) > ANSWER_HEAD_LEN_MAX {
            let limit = ANSWER_HEAD_LEN_MAX / 1024;
            return Err(Progress::Unusable(format!("the head of the answer is larger than {limit} KiB")));
        }
        let Some(response) = response else {
            self.stage = Stage::Head(call);
            if used == 0 {
                return Err(Progress::More(0));
            }
            // An interim answer: the real one is still to come.
            self.seen = 0;
            return if used == input.len() { Err(Progress::More(used)) } else { Ok(used) };
        };
        let status = response.status().as_u16();
        let interest = tells(status);
        if interest != Telling::Nothing {
            self.told = Some(Box::new(Told::new(response.headers(), interest)));
        }
        let cleanup = match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => {
                self.stage = Stage::Body(Box::new(call), status);
                (self.used, self.seen) = (0, 0);
                return Ok(used);
            }
            Some(RecvResponseResult::Redirect(call)) => call.proceed(),
            Some(RecvResponseResult::Cleanup(call)) => call,
            None => return Err(Progress::Unusable("the head of the answer has no end".to_owned())),
        };
        Err(whole(&cleanup, status, input.len() - used))
    }

    fn read_body(&mut self, mut call: Box<Call<RecvBody>>, status: u16, input: &[u8], scratch: &mut [u8]) -> Progress {
        let mut start = 0;
        loop {
            let rest = &input[start..];
            let used = match call.read(rest, scratch) {
                Ok((used, len)) => {
                    if let Some(told) = &mut self.told {
                        told.hear(&scratch[..len]);
                    }
                    used
                }
                // It is malformed, or framed in a way that the protocol core does not know.
                Err(_) => return Progress::Whole { status, reusable: false },
            };
            start += used;
            self.used += used;
            if self.used > ANSWER_BODY_LEN_MAX {
                return Progress::Whole { status, reusable: false };
            }
            // A body that only a close ends may be left at any time; it is not over because of that.
            let over = call.can_proceed() && call.body_mode() != ureq_proto::BodyMode::CloseDelimited;
            if over {
                let cleanup = match call.proceed() {
                    Some(RecvBodyResult::Redirect(call)) => call.proceed(),
                    Some(RecvBodyResult::Cleanup(call)) => call,
                    None => return Progress::Whole { status, reusable: false },
                };
                return whole(&cleanup, status, input.len() - start);
            }
            if used == 0 || start == input.len() {
                break;
            }
        }
        if input.len() - start > ANSWER_FRAMING_LEN_MAX {
            return Progress::Whole { status, reusable: false };
        }
        self.stage = Stage::Body(call, status);
        Progress::More(start)
    }
}

impl Progress {
    /// The same, where `before` more bytes were used up before.
    fn after(self, before: usize) -> Progress {
        match self {
            Progress::More(used) => Progress::More(used + before),
            Progress::Listening { used } => Progress::Listening { used: used + before },
            Progress::Decided { status, used } => Progress::Decided { status, used: used + before },
            Progress::Whole { .. } | Progress::Unusable(_) => self,
        }
    }
}

/// A whole answer. Bytes behind it that nobody asked for make the connection useless.
fn whole(call: &Call<Cleanup>, status: u16, left_over: usize) -> Progress {
    Progress::Whole { status, reusable: left_over == 0 && !call.must_close_connection() }
}

/// Whether this is the beginning of `100 Continue`.
fn is_continue(input: &[u8]) -> bool {
    let line = behind_empty_lines(input);
    let after = line.strip_prefix(b"HTTP/1.1 100").or_else(|| line.strip_prefix(b"HTTP/1.0 100"));
    after.is_some_and(|after| after.first().is_some_and(u8::is_ascii_whitespace))
}

/// Empty lines may stand before a head, and nothing else.
fn behind_empty_lines(mut input: &[u8]) -> &[u8] {
    while let Some(rest) = input.strip_prefix(b"\n").or_else(|| input.strip_prefix(b"\r\n")) {
        input = rest;
    }
    input
}

/// How long the head at the beginning of this is, if all of it is there: it ends with an empty line.
fn head_len(input: &[u8]) -> Option<usize> {
    let start = input.len() - behind_empty_lines(input).len();
    let ends = |from: usize, end: &[u8]| input[from..].starts_with(end).then_some(from + end.len());
    (start..input.len()).find_map(|from| ends(from, b"\n\r\n").or_else(|| ends(from, b"\n\n")))
}

fn malformed(error: &ureq_proto::Error) -> Progress {
    let why = match error {
        ureq_proto::Error::HttpParseFail(why) => why.clone(),
        ureq_proto::Error::HttpParseTooManyHeaders => "too many headers".to_owned(),
        other => other.to_string(),
    };
    Progress::Unusable(format!("the head of the answer is malformed: {why}"))
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
