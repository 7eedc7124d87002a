//! Owns what the receiver learns from one request: whose execution it is, and where the request ends.
//! It must not allocate, and never trusts what it reads: what is not understood has no identity.

use chrono::{DateTime, NaiveDate};

/// The headers a request may have; more are refused, which ends the connection.
const HEADERS_MAX: usize = 48;

/// One request of a POSTing client, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// From the path `/job/<n>`; None for any other path.
    pub(super) job: Option<u32>,
    /// The instant it says it belongs to, in Unix seconds.
    pub(super) instant: Option<u32>,
    /// The attempt it says it is; 1 unless it says.
    pub(super) attempt: u32,
    /// A fingerprint of the idempotency key; 0 if there is none.
    pub(super) key: u32,
    /// Whether the connection is to be kept.
    pub(super) keep_alive: bool,
    /// Bytes of head and body.
    pub(super) length: usize,
}

/// What the front of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// A whole request.
    Whole(Heard),
    /// The beginning of one.
    Part,
    /// Something else.
    Malformed,
}

/// Reads the request at the front of a buffer.
pub(super) fn hear(bytes: &[u8]) -> Front {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head_length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Front::Part,
        Err(_) => return Front::Malformed,
    };
    let mut heard = Heard {
        job: request.path.and_then(job_of),
        instant: None,
        attempt: 1,
        key: 0,
        keep_alive: request.version == Some(1),
        length: head_length,
    };
    let mut body = Body::Length(0);
    for header in request.headers.iter() {
        let value = header.value;
        // By length first: most headers need no comparison of letters.
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                heard.keep_alive = !value.eq_ignore_ascii_case(b"close")
                    && (heard.keep_alive || value.eq_ignore_ascii_case(b"keep-alive"));
            }
            14 if header.name.eq_ignore_ascii_case("content-length") => match decimal(value) {
                Some(length) => body = Body::Length(length as usize),
                None => return Front::Malformed,
            },
            15 if header.name.eq_ignore_ascii_case("idempotency-key") => heard.key = fingerprint(value),
            16 if header.name.eq_ignore_ascii_case("punctual-attempt") => {
                heard.attempt = decimal(value).unwrap_or(1);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => body = Body::Chunked,
            23 if header.name.eq_ignore_ascii_case("punctual-scheduled-time") => heard.instant = instant_of(value),
            _ => {}
        }
    }
    match body {
        Body::Length(length) => heard.length += length,
        // Trailers and a body that contains the mark itself are not worth more here.
        Body::Chunked => match find(&bytes[head_length..], b"0\r\n\r\n") {
            Some(position) => heard.length += position + 5,
            None => return Front::Part,
        },
    }
    if bytes.len() < heard.length { Front::Part } else { Front::Whole(heard) }
}

enum Body {
    Length(usize),
    Chunked,
}

fn job_of(path: &str) -> Option<u32> {
    decimal(path.strip_prefix("/job/")?.as_bytes())
}

fn decimal(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() || bytes.len() > 9 {
        return None;
    }
    bytes.iter().try_fold(0, |number: u32, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// `2026-01-01T01:10:31Z`, a fraction of the second allowed and dropped; by hand, as it is read for every request.
fn instant_of(text: &[u8]) -> Option<u32> {
    let digits = |from: usize, to: usize| decimal(text.get(from..to)?);
    if text.last() != Some(&b'Z') || text.get(19).is_none_or(|byte| !matches!(byte, b'Z' | b'.')) {
        return None;
    }
    let year = i32::try_from(digits(0, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, digits(5, 7)?, digits(8, 10)?)?;
    let time = date.and_hms_opt(digits(11, 13)?, digits(14, 16)?, digits(17, 19)?)?;
    u32::try_from(time.and_utc().timestamp()).ok()
}

/// FNV-1a, never 0.
fn fingerprint(bytes: &[u8]) -> u32 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

/// Unix seconds as the header has them.
pub(super) fn print_instant(instant: u32) -> String {
    let time = DateTime::from_timestamp(instant.into(), 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_ours_is_heard_whole_and_in_every_prefix_as_a_part() {
        let bytes = b"POST /job/42 HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k-1\r\nPunctual-Attempt: 2\r\n\
                      punctual-scheduled-time: 2026-01-01T01:10:31Z\r\nContent-Length: 2\r\n\r\n{}";
        for length in 0..bytes.len() {
            assert_eq!(hear(&bytes[..length]), Front::Part, "{length}");
        }
        let Front::Whole(heard) = hear(bytes) else { panic!("it is whole") };
        assert_eq!((heard.job, heard.instant, heard.attempt), (Some(42), Some(1_767_229_831), 2));
        assert_eq!((heard.key, heard.keep_alive, heard.length), (fingerprint(b"k-1"), true, bytes.len()));
    }

    #[test]
    fn requests_of_others_are_heard_too() {
        let chunked = b"POST /job/7 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nPOST";
        let Front::Whole(heard) = hear(chunked) else { panic!("it is whole") };
        assert_eq!((heard.job, heard.instant, heard.attempt, heard.key), (Some(7), None, 1, 0));
        assert_eq!(&chunked[heard.length..], b"POST");
        let Front::Whole(heard) = hear(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n") else { panic!("it is whole") };
        assert_eq!((heard.job, heard.keep_alive), (None, false));
        let Front::Whole(old) = hear(b"GET /job/x HTTP/1.0\r\n\r\n") else { panic!("it is whole") };
        assert_eq!((old.job, old.keep_alive), (None, false));
        assert_eq!(hear(b"\x16\x03\x01"), Front::Malformed);
    }

    #[test]
    fn instants_read_back() {
        for instant in [0, 1_767_229_831, 4_102_444_799] {
            assert_eq!(instant_of(print_instant(instant).as_bytes()), Some(instant));
        }
        assert_eq!(instant_of(b"2026-01-01T01:10:31.000Z"), Some(1_767_229_831));
        for wrong in ["", "2026-01-01", "2026-13-01T01:10:31Z", "2026-01-01T01:10:31+01:00"] {
            assert_eq!(instant_of(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
