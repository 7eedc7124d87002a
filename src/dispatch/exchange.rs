//! Owns one request and its answer as bytes, by way of `ureq-proto`: what to write, and what the bytes read mean.
//! It must not touch a socket or a clock.
//!
//! The status decides. Once the head of the answer is whole, nothing that happens to its body changes the outcome: the
//! body is read only so that the connection can be used again, and of a failure for the beginning of what it says.

use std::mem;

use ureq_proto::client::state::{Cleanup, Prepare, RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};

use super::told::{Telling, Told};
use crate::limits::{ANSWER_BODY_LEN_MAX, ANSWER_FRAMING_LEN_MAX, ANSWER_HEAD_LEN_MAX};

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
    /// The head of the answer is awaited.
    Head(Call<RecvResponse>),
    /// The head was read; the body is awaited.
    Body(Call<RecvBody>, u16),
    /// The answer is whole or unusable.
    Over,
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
    /// Writes the request with its body to `output`; also how many bytes it has.
    pub(super) fn begin(call: Call<Prepare>, body: &[u8], output: &mut [u8]) -> Result<(Exchange, usize), String> {
        let mut call = call.proceed();
        let mut len = 0;
        while !call.can_proceed() {
            len += call.write(&mut output[len..]).map_err(|error| error.to_string())?;
        }
        let call = match call.proceed().map_err(|error| error.to_string())? {
            Some(SendRequestResult::SendBody(mut call)) => {
                let (_, written) = call.write(body, &mut output[len..]).map_err(|error| error.to_string())?;
                len += written;
                call.proceed().ok_or("the request is longer than any may be")?
            }
            Some(SendRequestResult::RecvResponse(call)) => call,
            Some(SendRequestResult::Await100(_)) | None => {
                return Err("a request without an expectation does not wait for anything".to_owned());
            }
        };
        Ok((Exchange { stage: Stage::Head(call), used: 0, seen: 0, heard: false, told: None }, len))
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
            Stage::Body(_, status) => Some(status),
            Stage::Head(_) | Stage::Over => None,
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
            Stage::Head(_) => Progress::Unusable("connection closed before the answer".to_owned()),
            // Here a body without a length ends. Of another one something is missing that nobody reads.
            Stage::Body(_, status) => Progress::Whole { status, reusable: false },
            Stage::Over => Progress::Unusable("connection closed after the answer".to_owned()),
        }
    }

    /// How many bytes of the head were used up, or what the answer came to.
    fn read_head(
        &mut self,
        mut call: Call<RecvResponse>,
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
                self.stage = Stage::Body(call, status);
                (self.used, self.seen) = (0, 0);
                return Ok(used);
            }
            Some(RecvResponseResult::Redirect(call)) => call.proceed(),
            Some(RecvResponseResult::Cleanup(call)) => call,
            None => return Err(Progress::Unusable("the head of the answer has no end".to_owned())),
        };
        Err(whole(&cleanup, status, input.len() - used))
    }

    fn read_body(&mut self, mut call: Call<RecvBody>, status: u16, input: &[u8], scratch: &mut [u8]) -> Progress {
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
    let line = input.trim_ascii_start();
    let after = line.strip_prefix(b"HTTP/1.1 100").or_else(|| line.strip_prefix(b"HTTP/1.0 100"));
    after.is_some_and(|after| after.first().is_some_and(u8::is_ascii_whitespace))
}

/// How long the head at the beginning of this is, if all of it is there: it ends with an empty line.
fn head_len(input: &[u8]) -> Option<usize> {
    let start = input.len() - input.trim_ascii_start().len();
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
