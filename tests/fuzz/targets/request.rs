//! Owns the properties of bytes that a client sends: read the same however they are cut, within bounds, and again when they
//! are written out; and each request is a call or an error that can be sent.
//! It must not open a connection or carry a call out.

use punctual::api::{ApiError, Call, body_limit, knows};
use punctual::http::{
    Accepts, Credentials, Decoded, Decoder, Method, Proxied, RareHeaders, Refusal, Request, Response, encode, http_date,
};
use punctual::limits::HEAD_LEN_MAX;

use super::support::{Chance, LIMITS, NOW, body, routed};

/// Enough for a head that is too large.
const LEN_MAX: usize = HEAD_LEN_MAX + 1_024;

pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LEN_MAX)];
    let whole = read(&[data]);
    let mut chance = Chance::of(data);
    for len_max in [1, 9, 300] {
        if data.len() / len_max < 1_000 {
            assert_eq!(read(&chance.cut(data, len_max)), whole, "in pieces of {len_max}: {}", data.escape_ascii());
        }
    }
    for request in &whole.0 {
        check_request(request);
        let printed = print(request);
        assert_eq!(read(&[&printed]), (vec![trimmed(request)], None), "{}", printed.escape_ascii());
        match routed(request) {
            Ok(routed) => {
                // What is refused now may have been right when it came first.
                let is_refused = matches!(routed.call, Call::Ready(_));
                assert!(routed.key.is_none() || routed.call.changes() || is_refused, "only what changes has a key");
                assert!(!routed.call.changes() || !matches!(request.method, Method::Get | Method::Head));
                assert!(knows(&request.path) || request.path == "*");
            }
            Err(error) => check_error(&error),
        }
    }
}

/// The requests in the bytes, and why nothing more is read.
fn read(pieces: &[&[u8]]) -> (Vec<Request>, Option<Refusal>) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut kept, mut requests) = (Vec::new(), Vec::new());
    for piece in pieces {
        // No more than a connection's buffer holds is shown at once.
        let mut rest = *piece;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(HEAD_LEN_MAX - kept.len()));
            assert!(!now.is_empty(), "what is left over never fills the buffer");
            rest = later;
            kept.extend_from_slice(now);
            loop {
                let (used, decoded) = decoder.decode(&kept);
                kept.drain(..used);
                match decoded {
                    Ok(Decoded::NeedMore) => break,
                    Ok(Decoded::SendContinue) => assert!(used > 0 && !decoder.is_idle()),
                    Ok(Decoded::Request(request)) => {
                        assert!(used > 0 && decoder.is_idle(), "nothing is made of nothing");
                        requests.push(request);
                    }
                    Err(refusal) => {
                        assert_eq!(decoder.decode(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"), (0, Err(refusal)));
                        return (requests, Some(refusal));
                    }
                }
            }
        }
    }
    (requests, None)
}

fn check_request(request: &Request) {
    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_path = request.path.starts_with('/') || request.path == "*" && request.method == Method::Options;
    assert!(is_path && is_visible(&request.path) && is_visible(&request.query), "{request:?}");
    assert!(!request.path.contains('?'), "{request:?}");
    assert!(request.body.len() <= body_limit(request.method, &request.path), "{request:?}");
    assert!(request.http_10 || request.headers.host.is_some(), "{request:?}");
    let breaks = |text: &String| text.contains(['\r', '\n', '\0']);
    let headers = &request.headers;
    let plain = [&headers.content_type, &headers.host, &headers.origin, &headers.sec_fetch_site];
    assert!(!plain.into_iter().flatten().any(breaks), "{request:?}");
}

/// An error can be sent, and is a problem that says what it is.
fn check_error(error: &ApiError) {
    let response: Response = error.clone().response();
    let status = response.status.code();
    assert!((400..600).contains(&status), "{status}");
    let mut bytes = Vec::new();
    encode(&response, false, true, false, &http_date(NOW.floor().as_secs()), &mut bytes);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let head = parsed.parse(&bytes).expect("it is an answer").unwrap();
    assert_eq!((parsed.code, &bytes[head..]), (Some(status), body(&response)));
    let problem: serde_json::Value = serde_json::from_slice(body(&response)).expect("it is JSON");
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty() && detail.len() < 4_000), "{problem}");
}

/// The same without what stands behind the last comma of a list, where nothing is.
fn trimmed(request: &Request) -> Request {
    let mut request = request.clone();
    if let Some(Proxied { forwarded, x_forwarded_for, x_forwarded_host, x_forwarded_proto }) =
        request.headers.proxied.as_deref_mut()
    {
        for list in [forwarded, x_forwarded_for, x_forwarded_host, x_forwarded_proto].into_iter().flatten() {
            list.truncate(list.trim_ascii_end().len());
        }
    }
    request
}

/// The request in the plainest form that means the same.
fn print(request: &Request) -> Vec<u8> {
    let method = match request.method {
        Method::Other => "BREW",
        known => known.name(),
    };
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let mut head = format!("{method} {}{query} HTTP/1.{}\r\n", request.path, u8::from(!request.http_10));
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    };
    let headers = &request.headers;
    add("Host", headers.host.as_deref());
    add("Content-Type", headers.content_type.as_deref());
    add("Origin", headers.origin.as_deref());
    add("Sec-Fetch-Site", headers.sec_fetch_site.as_deref());
    if let Some(Credentials { authorization, cookie }) = headers.credentials.as_deref() {
        add("Authorization", authorization.as_deref());
        add("Cookie", cookie.as_deref());
    }
    if let Some(RareHeaders { if_match, idempotency_key, last_event_id }) = headers.rare.as_deref() {
        add("If-Match", if_match.as_deref());
        add("Idempotency-Key", idempotency_key.as_deref());
        add("Last-Event-ID", last_event_id.as_deref());
    }
    if let Some(Proxied { forwarded, x_forwarded_for, x_forwarded_host, x_forwarded_proto }) =
        headers.proxied.as_deref()
    {
        add("Forwarded", forwarded.as_deref());
        add("X-Forwarded-For", x_forwarded_for.as_deref());
        add("X-Forwarded-Host", x_forwarded_host.as_deref());
        add("X-Forwarded-Proto", x_forwarded_proto.as_deref());
    }
    let Accepts { html, gzip, open_metrics, plain_text } = request.accepts;
    add("Accept", html.then_some("text/html"));
    for (name, weight) in [("application/openmetrics-text", open_metrics), ("text/plain", plain_text)] {
        let quality = if weight == 100 { "1".to_owned() } else { format!("0.{weight:02}") };
        add("Accept", (weight > 0).then_some(&*format!("{name};q={quality}")));
    }
    add("Accept-Encoding", gzip.then_some("gzip"));
    add("Connection", Some(if request.keep_alive { "keep-alive" } else { "close" }));
    add("Content-Length", Some(&request.body.len().to_string()));
    head.push_str("\r\n");
    [head.as_bytes(), &request.body].concat()
}
