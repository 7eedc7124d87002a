//! Who may ask: foreign web pages, foreign names, proxies, and what the figures say of those that were not let in.
//! It must not go through every combination: the gate's own tests do.

use serde_json::json;

use super::raw::{ask, post};
use super::support::api::job;
use super::{Setup, error_of};

const PAGE: &str = "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n";

fn jobs(test: &Setup) -> usize {
    test.api().get("/api/jobs")["jobs"].as_array().expect("it is a list").len()
}

#[test]
fn a_foreign_web_page_changes_nothing() {
    let test = Setup::new(&["--cors-origin", "https://ui.example"]);
    let address = &test.api().address;
    let body = job("@daily", "http://a/").to_string();
    // What a form, or a script that need not ask first, can send from any page.
    for (lines, status) in [
        (format!("{PAGE}Content-Type: text/plain\r\n"), 403),
        (format!("{PAGE}Content-Type: application/x-www-form-urlencoded\r\n"), 403),
        (format!("{PAGE}Content-Type: application/json\r\n"), 403),
        (PAGE.to_owned(), 403),
        ("Origin: null\r\nContent-Type: application/json\r\n".to_owned(), 403),
        ("Sec-Fetch-Site: same-site\r\nContent-Type: application/json\r\n".to_owned(), 403),
        (format!("Origin: http://{address}\r\nContent-Type: application/json\r\n"), 403),
        ("Origin: http://localhost\r\nContent-Type: text/plain\r\n".to_owned(), 415),
        ("Origin: https://ui.example\r\nSec-Fetch-Site: cross-site\r\n".to_owned(), 415),
        ("Sec-Fetch-Site: none\r\nContent-Type: application/x-www-form-urlencoded\r\n".to_owned(), 415),
    ] {
        let reply = ask(address, post(&body, &lines));
        assert_eq!(reply.status, status, "{lines}: {reply:?}");
        error_of(&reply.json());
        assert_eq!(reply.header("access-control-allow-origin"), "https://ui.example", "whoever is named sees why");
    }
    assert_eq!(jobs(&test), 0);
    assert_eq!(test.api().get("/api/metrics")["refused"]["strangers"], 10);

    // Its own pages, the page that is named, and whoever is no page.
    for (count, lines) in [
        "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n",
        "Origin: https://ui.example\r\nSec-Fetch-Site: cross-site\r\nContent-Type: application/json; charset=utf-8\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(ask(address, post(&body, lines)).status, 201, "{lines}");
        assert_eq!(jobs(&test), count + 1);
    }
    let id = test.api().get("/api/jobs")["jobs"][0]["jobId"].as_str().expect("it is a text").to_owned();
    let delete = |lines: &str| format!("DELETE /api/jobs/{id} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    assert_eq!(ask(address, delete(PAGE)).status, 403);
    assert_eq!(ask(address, delete("Origin: http://localhost\r\n")).status, 204);
    // Any page may be read for all that the server knows; whether a script sees it is for the browser to decide.
    assert_eq!(ask(address, format!("GET /api/jobs HTTP/1.1\r\nHost: localhost\r\n{PAGE}\r\n")).status, 200);
}

#[test]
fn a_star_is_for_reading() {
    let test = Setup::new(&["--cors-origin", "*"]);
    let reply = ask(&test.api().address, post("{}", &format!("{PAGE}Content-Type: application/json\r\n")));
    assert_eq!(reply.status, 403, "{reply:?}");
    let reply = ask(&test.api().address, format!("GET /api/jobs HTTP/1.1\r\nHost: localhost\r\n{PAGE}\r\n"));
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, "*"));
}

#[test]
fn only_names_that_are_known_are_answered_to() {
    let flags = ["--allowed-host", "cron.example,punctual", "--allowed-host", "other.example"];
    for (test, status) in [(Setup::new(&[]), 421), (Setup::new(&flags), 200)] {
        let address = &test.api().address;
        for host in ["cron.example:3000", "Punctual", "other.example."] {
            let reply = ask(address, format!("GET /api/jobs HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(reply.status, status, "{host}");
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]:3000", address] {
            let reply = ask(address, format!("GET /api/jobs HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(reply.status, 200, "{host}");
        }
        // A name that was made to resolve to this machine, in each place where it can stand.
        for request in [
            "GET /api/jobs HTTP/1.1\r\nHost: evil.example:3000\r\n\r\n",
            "GET http://evil.example/api/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /api/jobs HTTP/1.0\r\nHost: evil.example\r\n\r\n",
            "GET /api/jobs HTTP/1.1\r\nHost:\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            "GET /nowhere HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        ] {
            let reply = ask(address, request);
            assert_eq!(reply.status, 421, "{request}");
            assert!(error_of(&reply.json()).contains("--allowed-host"), "{reply:?}");
        }
        for request in [
            "GET /api/jobs HTTP/1.0\r\n\r\n",
            "GET /api/health HTTP/1.1\r\nHost: whatever\r\n\r\n",
            "GET http://localhost/api/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        ] {
            assert_eq!(ask(address, request).status, 200, "{request}");
        }
    }
}

#[test]
fn a_proxy_is_believed_if_it_is_trusted() {
    let body = job("@daily", "http://a/").to_string();
    let lines = "Origin: https://cron.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: cron.example\r\n\
                 X-Forwarded-For: 192.0.2.1\r\nContent-Type: application/json\r\n";
    for (network, status) in [("127.0.0.0/8", 201), ("::1,10.0.0.0/8", 403)] {
        let test = Setup::new(&["--allowed-host", "cron.example", "--trusted-proxy", network]);
        let reply = ask(&test.api().address, post(&body, lines));
        assert_eq!(reply.status, status, "{network}: {reply:?}");
    }
}

#[test]
fn what_is_no_ascii_on_the_request_line_is_400() {
    let test = Setup::new(&[]);
    for target in
        [&b"/api/jobs/\xc3\xa9"[..], b"/api/jobs?cursor=\xc3\xa9", b"/\xc2\x85", b"/\xc2\x9b2J", b"/\x9b", b"/\xff"]
    {
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
        let reply = ask(&test.api().address, request);
        assert_eq!(reply.status, 400, "{}", target.escape_ascii());
        error_of(&reply.json());
    }
    // Encoded they are text like any other, and do not come back as what a terminal would obey.
    for target in ["/api/jobs?%C2%9B2J=1", "/api/executions?status=%C2%9B2J%1B"] {
        let reply = ask(&test.api().address, format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(reply.status, 400);
        assert!(!error_of(&reply.json()).contains(char::is_control), "{reply:?}");
    }
    let reply = ask(&test.api().address, post("{\"\u{9b}2J\":1}", ""));
    assert!(reply.status == 400 && !error_of(&reply.json()).contains(char::is_control), "{reply:?}");
    assert_eq!(json!(jobs(&test)), 0);
}
