//! Owns what a response is and the bytes it becomes.
//! It must not read a clock, know a route, or let a value from elsewhere break out of its line.

use std::borrow::Cow;

use chrono::DateTime;

use super::{Status, StreamFraming};

/// The interim response that [`super::Decoded::SendContinue`] asks for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Room for the head of a usual response, so that encoding one allocates at most once.
const HEAD_LEN_USUAL: usize = 384;

/// What every browser is told of every answer, however it came about: it is of the type that it says and of no other, no
/// page shows it in a frame, and no page of another origin gets it as a script, a picture or a style. Whoever may read
/// by CORS is not concerned. A page that has more to say of what it loads adds a `Content-Security-Policy` of its own:
/// browsers heed each of several.
const FOR_BROWSERS: &str = "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: frame-ancestors 'none'\r\n\
                            Cross-Origin-Resource-Policy: same-origin\r\n";

/// The last second that has a date of the fixed form: the end of the year 9999.
const UNIX_SECONDS_MAX: i64 = 253_402_300_799;

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Pieces that come after the head, each through [`StreamFraming::write_piece`], and their end.
    Stream,
    /// One that was not made, as it is not sent: to `HEAD`, whose answer need not say how long it would be (RFC 9110,
    /// section 9.3.2).
    Unmade,
}

/// One response, still without what belongs to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The outcome.
    pub status: Status,
    /// The body. Not sent with a status that forbids one ([`Status::forbids_body`]).
    pub body: Body,
    /// The body's media type; `application/json` unless set. Not sent when the body is empty.
    pub content_type: &'static str,
    /// Further fields, such as `Allow`, in the order they are sent. Not for the fields that
    /// [`encode`] writes itself.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
}

impl Response {
    /// A JSON response; with an empty body, one without content.
    pub fn new(status: Status, body: Vec<u8>) -> Response {
        Response { status, body: Body::Whole(body), content_type: "application/json", headers: Vec::new() }
    }

    /// A JSON response whose body comes in pieces.
    pub fn streamed(status: Status) -> Response {
        Response { body: Body::Stream, ..Response::new(status, Vec::new()) }
    }

    /// A JSON response to `HEAD`, whose body was not made.
    pub fn unmade(status: Status) -> Response {
        Response { body: Body::Unmade, ..Response::new(status, Vec::new()) }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        self.headers.push((name, value.into()));
        self
    }
}

/// Appends the bytes of a response to `out`; of a streamed one, the head.
///
/// `head_only` is set for a `HEAD` request: the length is that of the body, which is left out (RFC
/// 9110, section 9.3.2). `keep_alive` is the server's decision, at most what the request allowed, and
/// what [`StreamFraming::allows_keep_alive`] says of a streamed one. `date` is the value of the `Date`
/// field, from [`http_date`].
///
/// In header values, control characters become spaces (RFC 9110, section 5.5), so that no value can
/// add a line.
pub fn encode(response: &Response, head_only: bool, keep_alive: bool, http_10: bool, date: &str, out: &mut Vec<u8>) {
    let body = match &response.body {
        Body::Whole(_) if response.status.forbids_body() => None,
        Body::Whole(body) => Some(&body[..]),
        Body::Stream | Body::Unmade => None,
    };
    out.reserve(HEAD_LEN_USUAL + body.map_or(0, <[u8]>::len));
    // The version is the server's own, also towards an HTTP/1.0 client (RFC 9110, section 6.2).
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(out, usize::from(response.status.code()));
    out.push(b' ');
    out.extend_from_slice(response.status.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
    write_field(out, "Date", date);
    out.extend_from_slice(FOR_BROWSERS.as_bytes());
    if let Some(body) = body {
        if !body.is_empty() {
            write_field(out, "Content-Type", response.content_type);
        }
        out.extend_from_slice(b"Content-Length: ");
        write_decimal(out, body.len());
        out.extend_from_slice(b"\r\n");
    } else if response.body == Body::Unmade {
        debug_assert!(head_only, "a body that is sent is made");
        write_field(out, "Content-Type", response.content_type);
    } else if response.body == Body::Stream {
        debug_assert!(!response.status.forbids_body(), "a stream is a body");
        write_stream_fields(response, keep_alive, StreamFraming::of(http_10), out);
    }
    if !keep_alive {
        write_field(out, "Connection", "close");
    } else if http_10 {
        write_field(out, "Connection", "keep-alive");
    }
    for (name, value) in &response.headers {
        debug_assert!(is_field_name(name), "{name} is a token that encode does not write itself");
        write_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    if let Some(body) = body.filter(|_| !head_only) {
        out.extend_from_slice(body);
    }
}

fn write_stream_fields(response: &Response, keep_alive: bool, framing: StreamFraming, out: &mut Vec<u8>) {
    write_field(out, "Content-Type", response.content_type);
    match framing {
        StreamFraming::Chunked => write_field(out, "Transfer-Encoding", "chunked"),
        StreamFraming::UntilClose => debug_assert!(!keep_alive, "the connection ends where the body does"),
    }
}

/// Formats an instant, in seconds since 1970-01-01T00:00:00Z, as HTTP has it (RFC 9110, section
/// 5.6.7), for example `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// Instants before 1970 or after the year 9999 become the nearest one within: only a broken clock
/// has those.
pub fn http_date(unix_seconds: i64) -> String {
    DateTime::from_timestamp(unix_seconds.clamp(0, UNIX_SECONDS_MAX), 0)
        .expect("the calendar reaches far beyond the year 9999")
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

fn write_decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20]; // The digits of the largest 64-bit number.
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// True for the name of a field that a response may carry besides those that [`encode`] writes.
fn is_field_name(name: &str) -> bool {
    let own = [
        "connection",
        "content-length",
        "content-type",
        "cross-origin-resource-policy",
        "date",
        "transfer-encoding",
        "x-content-type-options",
    ];
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !own.iter().any(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn encoded(response: &Response, head_only: bool, keep_alive: bool, http_10: bool) -> String {
        let mut out = b"before|".to_vec();
        encode(response, head_only, keep_alive, http_10, DATE, &mut out);
        let text = String::from_utf8(out).expect("the test's responses are text");
        assert_eq!(text.matches(FOR_BROWSERS).count(), 1, "{text}");
        let text = text.replace(FOR_BROWSERS, "");
        text.strip_prefix("before|").expect("encoding appends").replace("\r\n", "|")
    }

    #[test]
    fn responses_become_bytes() {
        let json = || Response::new(Status::OK, b"{\"a\":1}".to_vec());
        let empty = |status| Response::new(status, Vec::new());
        let text = Response { content_type: "text/plain", ..json() };
        let plain = "HTTP/1.1 200 OK|Date: Sun, 06 Nov 1994 08:49:37 GMT|";
        let cases = [
            (
                json(),
                (false, true, false),
                format!("{plain}Content-Type: application/json|Content-Length: 7||{{\"a\":1}}"),
            ),
            (json(), (true, true, false), format!("{plain}Content-Type: application/json|Content-Length: 7||")),
            (text, (true, true, false), format!("{plain}Content-Type: text/plain|Content-Length: 7||")),
            (empty(Status::OK), (false, true, false), format!("{plain}Content-Length: 0||")),
            (empty(Status::OK), (false, false, false), format!("{plain}Content-Length: 0|Connection: close||")),
            (empty(Status::OK), (false, true, true), format!("{plain}Content-Length: 0|Connection: keep-alive||")),
            (empty(Status::OK), (false, false, true), format!("{plain}Content-Length: 0|Connection: close||")),
            (
                Response::streamed(Status::OK),
                (false, true, false),
                format!("{plain}Content-Type: application/json|Transfer-Encoding: chunked||"),
            ),
            (
                Response { content_type: "text/plain", ..Response::streamed(Status::OK) },
                (true, false, false),
                format!("{plain}Content-Type: text/plain|Transfer-Encoding: chunked|Connection: close||"),
            ),
            (
                Response::streamed(Status::OK),
                (false, false, true),
                format!("{plain}Content-Type: application/json|Connection: close||"),
            ),
            (Response::unmade(Status::OK), (true, true, false), format!("{plain}Content-Type: application/json||")),
            (
                empty(Status::METHOD_NOT_ALLOWED).with_header("Allow", "GET, HEAD"),
                (false, true, false),
                format!("HTTP/1.1 405 Method Not Allowed|Date: {DATE}|Content-Length: 0|Allow: GET, HEAD||"),
            ),
            (
                empty(Status::SERVICE_UNAVAILABLE).with_header("Retry-After", 120.to_string()),
                (false, true, false),
                format!("HTTP/1.1 503 Service Unavailable|Date: {DATE}|Content-Length: 0|Retry-After: 120||"),
            ),
            (
                Response { status: Status::NO_CONTENT, ..json() },
                (false, true, false),
                format!("HTTP/1.1 204 No Content|Date: {DATE}||"),
            ),
            (
                Response { status: Status::NOT_MODIFIED, ..json() },
                (false, true, false),
                format!("HTTP/1.1 304 Not Modified|Date: {DATE}||"),
            ),
        ];
        for (response, (head_only, keep_alive, http_10), expected) in cases {
            assert_eq!(encoded(&response, head_only, keep_alive, http_10), expected);
        }
    }

    #[test]
    fn a_value_cannot_add_a_line() {
        let response =
            Response::new(Status::CREATED, Vec::new()).with_header("Location", "/a\r\nSet-Cookie: b\0\u{7f}");
        let text = encoded(&response, false, true, false);
        assert!(text.contains("|Location: /a  Set-Cookie: b  ||"), "{text}");
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 99, 1_234_567_890, usize::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn dates_have_the_fixed_form() {
        let cases = [
            (784_111_777, DATE),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (unix_seconds, expected) in cases {
            assert_eq!(http_date(unix_seconds), expected);
        }
    }
}
