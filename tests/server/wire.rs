//! HTTP as clients meet it: methods, statuses, HEAD, OPTIONS, CORS, keep-alive, pipelining, chunks, 100-continue.
//! It must not send what only an attacker would: that is `hostile`.

use punctual::api::body_limit;
use punctual::http::Method;

use super::raw::{Raw, ask, post};
use super::support::api::job;
use super::{Setup, error_of};

const GET_INFO: &str = "GET /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_wrong_method_is_405_and_names_the_right_ones() {
    let test = Setup::new(&[]);
    let id = test.api().create("@daily", "http://a/");
    for (method, path, allow) in [
        ("DELETE", "/api/jobs".to_owned(), "GET, HEAD, POST, OPTIONS"),
        ("PATCH", "/api/jobs".to_owned(), "GET, HEAD, POST, OPTIONS"),
        ("DELETE", format!("/api/jobs/{id}/run"), "POST, OPTIONS"),
        ("DELETE", format!("/api/jobs/{id}/executions"), "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/executions".to_owned(), "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/alerts".to_owned(), "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/metrics".to_owned(), "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/health".to_owned(), "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/info".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        let refused = ask(&test.api().address, format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((refused.status, refused.header("allow")), (405, allow), "{method} {path}");
        assert!(error_of(&refused.json()).contains(allow));
        let options = ask(&test.api().address, format!("OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((options.status, options.header("allow"), options.body.len()), (204, allow, 0), "{path}");
    }
    let all = ask(&test.api().address, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((all.status, all.header("allow")), (204, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    let nowhere = ask(&test.api().address, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(nowhere.status, 404);
    error_of(&nowhere.json());
}

#[test]
fn what_cannot_be_read_has_the_status_that_says_why() {
    let test = Setup::new(&[]);
    let head = |line: &str| format!("GET /api/info HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n");
    let post_with =
        |lines: &str, body: &str| format!("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n{body}");
    for (status, bytes) in [
        (411, "POST /api/jobs HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned()),
        (411, "PUT /api/jobs/x HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned()),
        (413, post_with("Content-Length: 65537", "")),
        (413, post_with("Content-Length: 18446744073709551615", "")),
        (413, post_with("Transfer-Encoding: chunked", "fffffff\r\n")),
        (414, format!("GET /{} HTTP/1.1\r\n", "x".repeat(9_000))),
        (415, post("<a/>", "Content-Type: text/xml\r\n")),
        (417, post_with("Expect: a-miracle\r\nContent-Length: 2", "")),
        (431, head(&format!("X: {}", "x".repeat(10_000)))),
        (431, head(&vec!["X: y"; 100].join("\r\n"))),
        (400, head("No colon")),
        (400, head("Host: b")),
        (400, head(" folded")),
        (400, "GET /api/info HTTP/1.1\r\n\r\n".to_owned()),
        (400, post_with("Content-Length: -1", "")),
        (400, post_with("Content-Length: 2\r\nContent-Length: 3", "{}")),
        (400, post_with("Content-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
        (400, post_with("Transfer-Encoding: chunked", "not a size\r\n")),
        (501, post_with("Transfer-Encoding: gzip, chunked", "0\r\n\r\n")),
        (501, "CONNECT a:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n".to_owned()),
        (505, "GET /api/info HTTP/2.0\r\nHost: localhost\r\n\r\n".to_owned()),
    ] {
        let reply = ask(&test.api().address, &bytes);
        assert_eq!(reply.status, status, "{bytes:.100}");
        error_of(&reply.json());
        assert_eq!(reply.header("content-type"), "application/problem+json");
    }
    // Who does not say that there is no body sends none.
    let nobody = "/api/jobs/6ba7b810-9dad-81d1-80b4-000000000001/resume";
    for (status, path) in [(400, "/api/jobs"), (404, nobody)] {
        let reply = ask(&test.api().address, format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(reply.status, status, "{path}");
    }
    test.is_well();
}

#[test]
fn three_requests_in_one_write_have_three_answers_in_order() {
    let test = Setup::new(&[]);
    let mut raw = Raw::connect(&test.api().address);
    let body = job("@daily", "http://a/").to_string();
    // A change waits for the disk; what stands behind it waits too, and sees it.
    raw.send(format!("{}GET /api/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n{GET_INFO}", post(&body, "")));
    let created = raw.answer();
    assert_eq!(created.status, 201);
    let listed = raw.answer();
    assert_eq!((listed.status, &listed.json()["jobs"][0]["jobId"]), (200, &created.json()["jobId"]));
    assert_eq!(raw.answer().json()["name"], "punctual");
    raw.send(GET_INFO.repeat(200));
    for _ in 0..200 {
        assert_eq!(raw.answer().status, 200);
    }
    raw.send("GET /api/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(raw.answer().header("connection"), "close");
    raw.ends();
}

#[test]
fn a_request_may_come_in_chunks_or_byte_by_byte() {
    let test = Setup::new(&[]);
    let body = job("@daily", "http://a/").to_string();
    let (one, two) = body.split_at(body.len() / 2);
    let chunks = format!("{:x};why=not\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\nTrailer: t\r\n\r\n", one.len(), two.len());
    let mut raw = Raw::connect(&test.api().address);
    raw.send(format!("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    assert_eq!(raw.answer().status, 201);
    for byte in post(&body, "Content-Type: application/json\r\n").bytes() {
        raw.send([byte]);
    }
    assert_eq!(raw.answer().status, 201);
    assert_eq!(test.api().get("/api/jobs")["jobs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_body_may_be_as_long_as_its_route_says_and_no_longer() {
    let test = Setup::new(&[]);
    let id = test.api().create("@daily", "http://a/");
    for (method, name, path) in [
        (Method::Post, "POST", "/api/jobs".to_owned()),
        (Method::Put, "PUT", format!("/api/jobs/{id}")),
        (Method::Patch, "PATCH", "/api/jobs".to_owned()),
        (Method::Get, "GET", "/api/info".to_owned()),
        (Method::Post, "POST", "/nowhere".to_owned()),
    ] {
        let limit = body_limit(method, &path);
        let request = |lines: String| format!("{name} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}");
        let body = "x".repeat(limit);
        let known = ask(&test.api().address, request(format!("Content-Length: {limit}\r\n\r\n{body}")));
        let chunks = format!("Transfer-Encoding: chunked\r\n\r\n{limit:x}\r\n{body}\r\n");
        let chunked = ask(&test.api().address, request(format!("{chunks}0\r\n\r\n")));
        assert_eq!((known.status, &known.body), (chunked.status, &chunked.body), "{name} {path}");
        assert_ne!(known.status, 413, "{name} {path}");
        for lines in [format!("Content-Length: {}\r\n\r\n", limit + 1), format!("{chunks}1\r\n")] {
            let refused = ask(&test.api().address, request(lines));
            assert_eq!(
                (refused.status, error_of(&refused.json())),
                (413, "the request body is too large"),
                "{name} {path}"
            );
        }
    }
    test.is_well();
}

#[test]
fn head_is_get_without_the_body() {
    let test = Setup::new(&[]);
    for path in ["/api/info", "/api/health", "/api/executions", "/api/alerts", "/api/nothing"] {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let get = raw.answer();
        raw.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n{GET_INFO}"));
        let head = raw.try_answer(false).expect("the connection holds").expect("an answer comes");
        assert_eq!((head.status, head.header("content-length")), (get.status, get.header("content-length")), "{path}");
        // What follows is the next answer, and no body.
        assert_eq!(raw.answer().json()["name"], "punctual");
    }
}

#[test]
fn head_of_what_takes_time_is_made_without_it() {
    let test = Setup::new(&[]);
    for path in ["/api/jobs", "/api/jobs?limit=100", "/api/metrics", "/api/metrics?limit=1000"] {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n{GET_INFO}"));
        let head = raw.try_answer(false).expect("the connection holds").expect("an answer comes");
        let fields = (head.header("content-type"), head.header("content-length"), head.header("transfer-encoding"));
        assert_eq!((head.status, fields), (200, ("application/json", "", "")), "{path}");
        assert_eq!(raw.answer().json()["name"], "punctual");
    }
    let mut raw = Raw::connect(&test.api().address);
    raw.send("HEAD /api/jobs?limit=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let wrong = raw.try_answer(false).expect("the connection holds").expect("an answer comes");
    assert_eq!(wrong.status, 400, "what is asked for is looked at");
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let test = Setup::new(&[]);
    let request = post(&job("@daily", "http://a/").to_string(), "Expect: 100-continue\r\n");
    let (head, body) = request.split_at(request.find("\r\n\r\n").expect("there is a head") + 4);
    let mut raw = Raw::connect(&test.api().address);
    raw.send(head);
    assert_eq!(raw.answer().status, 100);
    raw.send(body);
    assert_eq!(raw.answer().status, 201);
}

#[test]
fn http_1_0_gets_an_answer_and_the_end() {
    let test = Setup::new(&[]);
    let mut raw = Raw::connect(&test.api().address);
    raw.send("GET /api/info HTTP/1.0\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
    raw.ends();
}

#[test]
fn every_answer_tells_browsers_what_it_is_not_for() {
    let test = Setup::new(&["--cors-origin", "*"]);
    for (status, request) in [
        (200, GET_INFO.to_owned()),
        (200, GET_INFO.replace("/info", "/jobs?limit=1000")),
        (204, GET_INFO.replace("GET", "OPTIONS")),
        (404, GET_INFO.replace("/api/info", "/nowhere")),
        (421, GET_INFO.replace("localhost", "evil.example")),
        (400, GET_INFO.replace("Host: localhost\r\n", "")),
        (201, post(&job("@daily", "http://a/").to_string(), "")),
    ] {
        let reply = ask(&test.api().address, &request);
        assert_eq!(reply.status, status, "{request}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{request}");
        assert_eq!(reply.header("content-security-policy"), "frame-ancestors 'none'", "{request}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin", "{request}");
    }
}

#[test]
fn cors_headers_are_there_only_if_an_origin_is_set() {
    let preflight = "OPTIONS /api/jobs HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n\
                     Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n";
    let get = "GET /api/jobs HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n\r\n";
    let without = Setup::new(&[]);
    for request in [preflight, get] {
        let reply = ask(&without.api().address, request);
        assert_eq!(reply.header("access-control-allow-origin"), "");
        assert_eq!(reply.header("access-control-allow-methods"), "");
    }
    for origin in ["https://a.example", "*"] {
        let with = Setup::new(&["--cors-origin", origin]);
        let reply = ask(&with.api().address, preflight);
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, origin));
        // All may read, if one is not named.
        let methods = if origin == "*" { "GET, HEAD, OPTIONS" } else { "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" };
        assert_eq!(reply.header("access-control-allow-methods"), methods);
        assert!(reply.header("access-control-allow-headers").starts_with("Authorization, Content-Type, If-Match"));
        // Results and errors alike, lest a page see nothing of what went wrong.
        for request in
            [get.to_owned(), get.replace("/jobs", "/nothing"), get.replace("Host: localhost\r\n", ""), post("{}", "")]
        {
            let reply = ask(&with.api().address, &request);
            assert_eq!(reply.header("access-control-allow-origin"), origin, "{request}");
            assert_eq!(reply.header("vary"), if origin == "*" { "" } else { "Origin" });
        }
    }
}
