//! Owns the answers that nearly all targets give: a success whose head is there in one piece, with a length or without a
//! body.
//! It must not read any other: what it is not sure of is `ureq-proto`'s to read, and an error only that one tells.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Response, Status};

use crate::limits::ANSWER_HEAD_LEN_MAX;

/// Headers of a plain answer at most.
const HEADERS_MAX: usize = 32;
/// Digits of a length that is sure to be a number.
const LEN_DIGITS_MAX: usize = 15;

/// The head of a plain answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) status: u16,
    /// How many bytes the head has.
    pub(super) head_len: usize,
    /// How many bytes the body has.
    pub(super) body_len: u64,
    /// Whether its target closes the connection behind it.
    pub(super) closes: bool,
}

/// The plain answer that begins here, if there is one.
pub(super) fn read(input: &[u8]) -> Option<Plain> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut headers);
    let Ok(Status::Complete(head_len)) = parsed else { return None };
    let status = response.code.filter(|status| matches!(status, 200..=299))?;
    if response.version != Some(1) || head_len > ANSWER_HEAD_LEN_MAX {
        return None;
    }
    let (mut body_len, mut closes) = (None, false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            if body_len.replace(length(header.value)?).is_some() {
                return None;
            }
        } else if header.name.eq_ignore_ascii_case("connection") {
            let stays = header.value.eq_ignore_ascii_case(b"keep-alive");
            if !stays && !header.value.eq_ignore_ascii_case(b"close") {
                return None;
            }
            closes |= !stays;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
    }
    // RFC 9110 section 15.3.5: it has no body, whatever its head says.
    let body_len = if status == 204 { 0 } else { body_len? };
    Some(Plain { status, head_len, body_len, closes })
}

fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > LEN_DIGITS_MAX {
        return None;
    }
    value.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}
