//! Answers that are made in pieces: long pages of jobs, in chunks or up to the end, to clients that read and that do not.
//! It must not test what is on a page beyond that nothing is missing.

use serde_json::{Value, json};

use super::Setup;
use super::raw::{Raw, ask, post};
use super::support::api::job;
use super::support::until;

/// A server with so many jobs that never fire while a test runs. A thousand large ones are 2.7 MB.
fn with_jobs(count: usize, large: bool, flags: &[&str]) -> Setup {
    let test = Setup::new(flags);
    let second = format!("0{}", ",0".repeat(150));
    let (schedule, url) = if large {
        (format!("{second} 0 0 1 1 *"), format!("http://a/{}", "x".repeat(2_000)))
    } else {
        ("@yearly".to_owned(), "http://a/".to_owned())
    };
    let request = post(&job(&schedule, &url).to_string(), "");
    std::thread::scope(|scope| {
        for part in 0..8 {
            let mut raw = Raw::connect(&test.api().address);
            let request = &request;
            scope.spawn(move || {
                for _ in (part..count).step_by(8) {
                    raw.send(request);
                    assert_eq!(raw.answer().status, 201);
                }
            });
        }
    });
    test
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn length(page: &Value) -> usize {
    page["jobs"].as_array().expect("it is a list").len()
}

#[test]
fn a_long_page_is_the_same_document_in_chunks() {
    let test = with_jobs(1_000, false, &["--cors-origin", "*"]);
    let address = &test.api().address;
    let small = test.api().pages("/api/jobs?limit=100", "jobs");
    assert_eq!(small.len(), 1_000);

    let mut raw = Raw::connect(address);
    raw.send(get("/api/jobs?limit=1000"));
    let page = raw.answer();
    assert_eq!((page.status, page.header("transfer-encoding"), page.header("content-length")), (200, "chunked", ""));
    assert_eq!(page.header("content-type"), "application/json");
    assert_eq!(page.header("access-control-allow-origin"), "*");
    assert_eq!(page.json(), json!({"jobs": small, "nextCursor": null}));
    assert!(page.body.ends_with(b"],\"nextCursor\":null}"), "the cursor is known last");

    // The connection carries on: long pages, short ones and others, asked for at once.
    let paths = ["/api/jobs?limit=1000&cursor=900", "/api/jobs?limit=101", "/api/info", "/api/jobs?limit=1000"];
    raw.send(paths.map(get).concat());
    let rest = raw.answer();
    assert_eq!((rest.header("transfer-encoding"), length(&rest.json())), ("", 100), "a page of one piece is whole");
    let first = raw.answer().json();
    assert_eq!((length(&first), &first["nextCursor"]), (101, &json!("101")));
    assert_eq!(raw.answer().json()["name"], "punctual");
    assert_eq!(raw.answer().body, page.body);

    // Pages that end where a piece does, just before, and just behind.
    for limit in [199, 200, 201, 999] {
        let page = test.api().get(&format!("/api/jobs?limit={limit}"));
        assert_eq!(page, json!({"jobs": small[..limit], "nextCursor": small_cursor(limit)}));
    }
    // Up to a hundred it is a whole, as is an empty one in pieces.
    let whole = ask(address, get("/api/jobs?limit=100"));
    assert_eq!((whole.header("transfer-encoding"), whole.header("content-length").is_empty()), ("", false));
    let none = ask(address, get("/api/jobs?limit=101&cursor=5000"));
    assert_eq!(none.body, b"{\"jobs\":[],\"nextCursor\":null}");
}

/// Jobs are numbered from 1 on.
fn small_cursor(limit: usize) -> Value {
    json!(limit.to_string())
}

#[test]
fn a_client_of_http_1_0_reads_a_long_page_up_to_the_end() {
    let test = with_jobs(250, false, &[]);
    let small = test.api().pages("/api/jobs?limit=100", "jobs");
    for lines in ["", "Connection: keep-alive\r\n"] {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(format!("GET /api/jobs?limit=1000 HTTP/1.0\r\n{lines}\r\n"));
        let page = raw.answer();
        assert_eq!((page.header("transfer-encoding"), page.header("content-length")), ("", ""));
        assert_eq!((page.status, page.header("connection")), (200, "close"));
        assert_eq!(page.json(), json!({"jobs": small, "nextCursor": null}));
        raw.ends();
    }
}

#[test]
fn head_of_a_long_page_is_its_head() {
    let test = with_jobs(250, false, &[]);
    let mut raw = Raw::connect(&test.api().address);
    let head = get("/api/jobs?limit=1000").replace("GET", "HEAD");
    raw.send(format!("{head}{}", get("/api/info")));
    let reply = raw.try_answer(false).expect("the connection holds").expect("an answer comes");
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(raw.answer().json()["name"], "punctual");
    let mut raw = Raw::connect(&test.api().address);
    raw.send("HEAD /api/jobs?limit=1000 HTTP/1.0\r\n\r\n");
    let reply = raw.try_answer(false).expect("the connection holds").expect("an answer comes");
    assert_eq!((reply.status, reply.header("transfer-encoding")), (200, ""));
    raw.ends();
}

#[test]
fn what_a_client_does_not_read_is_not_made() {
    let test = with_jobs(1_000, true, &[]);
    let last = test.api().get("/api/jobs?limit=1&cursor=999")["jobs"][0]["jobId"].clone();
    let mut silent = Raw::connect_with_little_room(&test.api().address);
    // The system takes up to 4 MB for the client, which is the first page and some of the second.
    silent.send(get("/api/jobs?limit=1000").repeat(2));
    // The server has turned many times, and so could have made all of both.
    for _ in 0..100 {
        test.is_well();
    }
    let path = format!("/api/jobs/{}", last.as_str().expect("it is a text"));
    assert_eq!(test.api().send("DELETE", &path, None).status, 204);
    assert!(length(&silent.answer().json()) >= 999);
    let page = silent.answer().json();
    assert_eq!((length(&page), &page["nextCursor"]), (999, &Value::Null));
    assert!(page["jobs"].as_array().expect("it is a list").iter().all(|job| job["jobId"] != last));
}

#[test]
fn clients_that_leave_in_the_middle_of_a_page_cost_nothing() {
    let test = with_jobs(1_000, true, &[]);
    for number in 0..20 {
        let mut raw = Raw::connect_with_little_room(&test.api().address);
        raw.send(get("/api/jobs?limit=1000"));
        if number % 2 == 0 {
            until("something of it has come", || raw.has_begun().then_some(()));
        }
    }
    until("every connection but ours is closed", || {
        (test.api().get("/api/metrics")["connections"].as_u64() <= Some(1)).then_some(())
    });
    // Some that read at the same time have all of it.
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| assert_eq!(length(&ask(&test.api().address, get("/api/jobs?limit=1000")).json()), 1_000));
        }
    });
    test.is_well();
}

#[test]
fn a_page_of_jobs_with_large_bodies_is_made_in_pieces() {
    let test = Setup::new(&[]);
    let text = "y".repeat(60_000);
    for number in 0..6 {
        let mut body = job("@yearly", "http://a/");
        body["body"] = json!(format!("{number}{text}"));
        assert_eq!(test.api().send("POST", "/api/jobs", Some(&body.to_string())).status, 201);
    }
    let mut raw = Raw::connect(&test.api().address);
    raw.send(get("/api/jobs?limit=1") + &get("/api/jobs") + &get("/api/info"));
    let (one, all, info) = (raw.answer(), raw.answer(), raw.answer());
    assert_eq!((one.status, one.header("transfer-encoding")), (200, ""));
    assert_eq!((all.status, all.header("transfer-encoding")), (200, "chunked"));
    let bodies = all.json()["jobs"].as_array().expect("it is a list").iter().map(|job| job["body"].clone()).collect();
    let expected = (0..6).map(|number| json!(format!("{number}{text}"))).collect();
    assert_eq!(Value::Array(bodies), Value::Array(expected));
    assert_eq!(info.status, 200, "the connection goes on");
}
