//! Owns the table of request bytes and what each has to become, and reads it in every way bytes can arrive.
//! It must not test what a single file can test of itself.

use super::{Decoded, Decoder, Limits, Method, Refusal, Request};

const BODY_LEN_MAX: usize = 24;

/// Only below `/small` is the limit another one.
pub(super) const LIMITS: Limits = Limits {
    head_len_max: 160,
    headers_max: 6,
    body_len_max: |method, path| match (method, path) {
        (Method::Post, "/small") => 4,
        (Method::Put, "/small") => 0,
        _ => BODY_LEN_MAX,
    },
};

/// What a request in the table has to become, in the order of the table's columns.
type Accepted = (Method, &'static str, &'static str, bool, bool, &'static str);

/// Bytes that are exactly one request: method, path, query, keep-alive, HTTP/1.0, body.
#[rustfmt::skip] // A table.
pub(super) const ACCEPTED: &[(&str, Accepted)] = &[
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", (Method::Get, "/", "", true, false, "")),
    ("HEAD /a?b=c&d HTTP/1.1\r\nhost:h\r\n\r\n", (Method::Head, "/a", "b=c&d", true, false, "")),
    ("\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", (Method::Get, "/a", "", true, false, "")),
    ("GET /a HTTP/1.1\nHost: h\n\n", (Method::Get, "/a", "", true, false, "")),
    ("\nGET /a HTTP/1.1\r\nHost:\n\r\n", (Method::Get, "/a", "", true, false, "")),
    ("GET http://o:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n", (Method::Get, "/a", "b", true, false, "")),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", (Method::Options, "*", "", true, false, "")),
    ("get / HTTP/1.1\r\nHost: h\r\n\r\n", (Method::Other, "/", "", true, false, "")),
    ("DELETE /a HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", (Method::Delete, "/a", "", false, false, "")),
    ("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", (Method::Get, "/", "", false, false, "")),
    ("GET / HTTP/1.0\r\n\r\n", (Method::Get, "/", "", false, true, "")),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", (Method::Get, "/", "", true, true, "")),
    ("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na", (Method::Post, "/", "", false, true, "a")),
    ("POST /j HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", (Method::Post, "/j", "", true, false, "hello")),
    ("PUT /j HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", (Method::Put, "/j", "", true, false, "")),
    ("PATCH /j HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 4\r\nContent-Length: 4\r\n\r\n\r\n\r\n", (Method::Patch, "/j", "", true, false, "\r\n\r\n")),
    ("GET /j HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", (Method::Get, "/j", "", true, false, "abc")),
    ("POST /j HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\nok", (Method::Post, "/j", "", true, false, "ok")),
    ("POST /j HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n", (Method::Post, "/j", "", true, false, "")),
    ("POST /j HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: u\r\n\r\n", (Method::Post, "/j", "", true, false, "abc0123456789")),
    ("PUT /j HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n", (Method::Put, "/j", "", true, false, "")),
    ("POST /j HTTP/1.1\r\nHost: h\r\nContent-Length: 24\r\n\r\n0123456789abcdefghijklmn", (Method::Post, "/j", "", true, false, "0123456789abcdefghijklmn")),
    ("POST /small?a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n0123", (Method::Post, "/small", "a", true, false, "0123")),
    ("POST http://o/small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", (Method::Post, "/small", "", true, false, "abcd")),
    ("PUT /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (Method::Put, "/small", "", true, false, "")),
    ("PATCH /small HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n01234", (Method::Patch, "/small", "", true, false, "01234")),
    ("GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nb: 2\r\nc: 3\r\nd: \t4 \t\r\ne: \r\n\r\n", (Method::Get, "/", "", true, false, "")),
];

/// The request in front when another one is pipelined.
const FIRST: &str = "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";

/// Bytes that are refused, and why.
#[rustfmt::skip] // A table.
pub(super) const REFUSED: &[(&str, Refusal)] = &[
    ("\u{16}\u{3}\u{1}", Refusal::HeadMalformed),
    ("\r\n\r\n\r\n\r\n\r\n", Refusal::HeadMalformed),
    ("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::HeadMalformed),
    (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::HeadMalformed),
    ("GET /\r\n\r\n", Refusal::HeadMalformed),
    ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTX/1.1\r\nHost: h\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1\r\nHost: h\r\na: b\0c\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1\r\nHost: h\r\na: b\rc\r\n\r\n", Refusal::HeadMalformed),
    ("GET / HTTP/1.1\r\n\r\n", Refusal::HostMissing),
    ("GET http://h/ HTTP/1.1\r\n\r\n", Refusal::HostMissing),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refusal::HeaderRepeated),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Refusal::HeaderRepeated),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Refusal::HostInvalid),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal::HostInvalid),
    ("GET / HTTP/1.1\r\nHost: h\r\nOrigin: a\r\nOrigin: b\r\n\r\n", Refusal::HeaderRepeated),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::VersionUnsupported),
    ("GET / HTTP/0.9\r\nHost: h\r\n\r\n", Refusal::VersionUnsupported),
    ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", Refusal::VersionUnsupported),
    ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::MethodConnect),
    ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::TargetInvalid),
    ("GET a HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::TargetInvalid),
    ("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::TargetInvalid),
    ("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::TargetInvalid),
    ("GET / HTTP/1.1\r\nHost: h\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n", Refusal::HeadersTooMany),
    ("POST / HTTP/1.0\r\nHost: h\r\n\r\n", Refusal::LengthRequired),
    ("PUT / HTTP/1.0\r\n\r\n", Refusal::LengthRequired),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 25\r\n\r\n", Refusal::BodyTooLarge),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 25\r\nExpect: 100-continue\r\n\r\n", Refusal::BodyTooLarge),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n", Refusal::BodyTooLarge),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na", Refusal::ContentLengthInvalid),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Refusal::ContentLengthConflict),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::LengthConflict),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", Refusal::LengthConflict),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Refusal::TransferEncodingUnknown),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Refusal::TransferEncodingInvalid),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::TransferEncodingInvalid),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 200-ok\r\n\r\na", Refusal::ExpectationUnknown),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n19\r\n", Refusal::BodyTooLarge),
    ("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", Refusal::BodyTooLarge),
    ("POST http://o/small?a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", Refusal::BodyTooLarge),
    ("PUT /small HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", Refusal::BodyTooLarge),
    ("POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", Refusal::BodyTooLarge),
    ("POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\n", Refusal::BodyTooLarge),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", Refusal::ChunkMalformed),
    ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n", Refusal::ChunkMalformed),
];

/// Feeds the pieces through a receive buffer as a server would, and returns the requests, ended by
/// the refusal if there is one. Holds every call against what the decoder promises.
pub(super) fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Request, Refusal>> {
    let mut decoder = Decoder::new(LIMITS);
    let mut buffer = Vec::new();
    let mut outcomes = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let (consumed, result) = decoder.decode(&buffer);
            assert!(consumed <= buffer.len());
            buffer.drain(..consumed);
            match result {
                Ok(Decoded::NeedMore) => {
                    assert!(buffer.len() < LIMITS.head_len_max);
                    break;
                }
                Ok(Decoded::SendContinue) => {
                    assert!(consumed > 0);
                    assert!(!decoder.is_idle());
                }
                Ok(Decoded::Request(request)) => {
                    assert!(consumed > 0);
                    assert!(decoder.is_idle());
                    assert!(request.body.len() <= (LIMITS.body_len_max)(request.method, &request.path));
                    outcomes.push(Ok(request));
                }
                Err(refusal) => {
                    assert_eq!(decoder.decode(&buffer), (0, Err(refusal)));
                    assert!(!decoder.is_idle());
                    outcomes.push(Err(refusal));
                    return outcomes;
                }
            }
        }
    }
    outcomes
}

#[test]
fn accepted_requests_are_read() {
    for (bytes, (method, path, query, keep_alive, http_10, body)) in ACCEPTED {
        let outcomes = read_pieces([bytes.as_bytes()]);
        let [Ok(request)] = &outcomes[..] else {
            panic!("{bytes:?} became {outcomes:?}");
        };
        assert_eq!(request.method, *method, "{bytes:?}");
        assert_eq!(request.path, *path, "{bytes:?}");
        assert_eq!(request.query, *query, "{bytes:?}");
        assert_eq!(request.keep_alive, *keep_alive, "{bytes:?}");
        assert_eq!(request.http_10, *http_10, "{bytes:?}");
        assert_eq!(request.body, body.as_bytes(), "{bytes:?}");
    }
}

#[test]
fn refused_requests_are_refused() {
    for (bytes, refusal) in REFUSED {
        assert_eq!(read_pieces([bytes.as_bytes()]), [Err(*refusal)], "{bytes:?}");
    }
}

#[test]
fn pieces_and_pipelining_change_nothing() {
    let accepted = ACCEPTED.iter().map(|(bytes, _)| *bytes);
    let refused = REFUSED.iter().map(|(bytes, _)| *bytes);
    for bytes in accepted.chain(refused) {
        let whole = read_pieces([bytes.as_bytes()]);
        let pipelined = [FIRST, bytes].concat();
        let mut expected = read_pieces([FIRST.as_bytes()]);
        expected.extend(whole.iter().cloned());
        for (bytes, expected) in [(bytes, &whole), (&*pipelined, &expected)] {
            let bytes = bytes.as_bytes();
            assert_eq!(&read_pieces([bytes]), expected, "whole: {}", bytes.escape_ascii());
            assert_eq!(&read_pieces(bytes.chunks(1)), expected, "by byte: {}", bytes.escape_ascii());
            for at in 0..=bytes.len() {
                let (front, back) = bytes.split_at(at);
                assert_eq!(&read_pieces([front, back]), expected, "at {at}: {}", bytes.escape_ascii());
            }
        }
    }
}

#[test]
fn known_header_fields_are_kept() {
    let bytes = b"GET http://o:1/ HTTP/1.1\r\nHOST: h\r\nOrigin: http://a\r\ncontent-type:  text/plain; q \r\n\r\n";
    let outcomes = read_pieces([&bytes[..]]);
    let headers = &outcomes[0].as_ref().expect("the request is sound").headers;
    assert_eq!(headers.host.as_deref(), Some("o:1"));
    assert_eq!(headers.origin.as_deref(), Some("http://a"));
    assert_eq!(headers.content_type.as_deref(), Some("text/plain; q"));

    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX-Forwarded-for: b, c\r\nForwarded: \xff\r\n\
                  Sec-Fetch-Site: none\r\n\r\n";
    let outcomes = read_pieces([&bytes[..]]);
    let headers = &outcomes[0].as_ref().expect("the request is sound").headers;
    let proxied = headers.proxied.as_deref().expect("proxies spoke");
    assert_eq!(proxied.x_forwarded_for.as_deref(), Some("a, b, c"), "lines of a list are joined");
    assert_eq!(proxied.forwarded.as_deref(), Some("\u{fffd}"));
    assert_eq!(headers.sec_fetch_site.as_deref(), Some("none"));

    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\r\nOrigin: \xff\r\n\r\n";
    assert_eq!(read_pieces([&bytes[..]]), [Err(Refusal::HeaderNotText)]);
}

#[test]
fn a_target_that_is_not_ascii_is_refused() {
    // As text, as a C1 control, and as bytes that are no text.
    for target in ["/\u{e9}", "/a?b=\u{e9}", "/\u{85}", "http://h/\u{9b}"] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(read_pieces([bytes.as_bytes()]), [Err(Refusal::TargetInvalid)], "{target:?}");
    }
    for byte in [0x80, 0x85, 0x9b, 0xe9, 0xff] {
        let bytes = [b"GET /", &[byte][..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        let outcomes = read_pieces([&bytes[..]]);
        assert!(matches!(outcomes[..], [Err(Refusal::HeadMalformed | Refusal::TargetInvalid)]), "{outcomes:?}");
    }
}

/// Lines about the body's length of which another server might have another opinion.
#[rustfmt::skip] // A table.
const SMUGGLING: [&str; 26] = [
    "Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4",
    "Content-Length: 4\r\nTransfer-Encoding: identity", "Content-Length: 4\r\nTransfer-Encoding:",
    "Content-Length: 4\r\nContent-Length: 5", "Content-Length: 4, 5", "Content-Length: +4", "Content-Length: -4",
    "Content-Length: 0x4", "Content-Length: 4 4", "Content-Length: 4,", "Content-Length:", "Content-Length: 4;a",
    "Content-Length : 4", " Content-Length: 4", "Content-Length: 4\r\n 5", "Content-Length: 4\rContent-Length: 5",
    "Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
];

#[test]
fn no_request_is_smuggled_in_the_body_of_another() {
    let limits = Limits { head_len_max: 8_192, headers_max: 64, body_len_max: |_, _| 65_536 };
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    for lines in SMUGGLING {
        for method in ["POST", "GET", "DELETE"] {
            for body in [format!("0\r\n\r\n{smuggled}"), format!("abcd{smuggled}"), smuggled.to_owned()] {
                let bytes = format!("{method} / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n{body}");
                let mut decoder = Decoder::new(limits);
                let (_, decoded) = decoder.decode(bytes.as_bytes());
                assert!(decoded.is_err(), "{bytes:?}: {decoded:?}");
                // And nothing behind it is looked at, ever.
                assert_eq!(decoder.decode(smuggled.as_bytes()), (0, decoded), "{lines:?}");
            }
        }
    }
}

#[test]
fn a_head_may_have_exactly_its_limit() {
    let head = |len: usize| format!("{:a<1$}\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\na: ", len - 4);
    assert!(matches!(read_pieces([head(160).as_bytes()])[..], [Ok(_)]));
    let target = format!("GET /{}", "a".repeat(200));
    for (bytes, refusal) in [(head(161), Refusal::HeadTooLarge), (target, Refusal::TargetTooLong)] {
        assert_eq!(read_pieces([bytes.as_bytes()]), [Err(refusal)]);
        assert_eq!(read_pieces(bytes.as_bytes().chunks(1)), [Err(refusal)]);
    }
}

#[test]
fn the_interim_response_is_asked_for_once() {
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut decoder = Decoder::new(LIMITS);
    assert_eq!(decoder.decode(head), (head.len(), Ok(Decoded::SendContinue)));
    assert_eq!(decoder.decode(b""), (0, Ok(Decoded::NeedMore)));
    assert_eq!(decoder.decode(b"a"), (1, Ok(Decoded::NeedMore)));
    assert!(matches!(decoder.decode(b"bGET"), (1, Ok(Decoded::Request(_)))));

    let http_10 = b"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut decoder = Decoder::new(LIMITS);
    assert_eq!(decoder.decode(http_10), (http_10.len(), Ok(Decoded::NeedMore)));

    // A client that has begun to send the body is not waiting.
    let with_body = [&head[..], b"a"].concat();
    let mut decoder = Decoder::new(LIMITS);
    assert_eq!(decoder.decode(&with_body), (with_body.len(), Ok(Decoded::NeedMore)));
}

#[test]
fn empty_lines_are_counted_for_each_request() {
    let request = "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let outcomes = read_pieces([request.repeat(3).as_bytes()]);
    assert!(matches!(outcomes[..], [Ok(_), Ok(_), Ok(_)]));
}

#[test]
fn idle_means_nothing_of_a_request() {
    let mut decoder = Decoder::new(LIMITS);
    assert!(decoder.is_idle());
    assert_eq!(decoder.decode(b"\r\n\r"), (2, Ok(Decoded::NeedMore)));
    assert!(decoder.is_idle());
    assert_eq!(decoder.decode(b"\r\nG"), (2, Ok(Decoded::NeedMore)));
    assert!(!decoder.is_idle());
}
