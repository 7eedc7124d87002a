//! What jobs say of their requests: method, headers, body, and what of an answer is a success.

use punctual::core::Outcome;

use super::support::{OK, Sending, Target, settings};

/// What every request says before the headers of its job, without a body.
fn head(line: &str, target: &Target, body: Option<(&str, usize)>) -> String {
    let job = "01010101-0101-8101-8101-000000000007";
    let body = body.map(|(kind, len)| format!("content-type: {kind}\r\ncontent-length: {len}\r\n")).unwrap_or_default();
    format!(
        "{line} HTTP/1.1\r\nhost: {}\r\nuser-agent: punctual-test/1\r\n{body}idempotency-key: {job}-1767229831-m1\r\n\
         punctual-job-id: {job}\r\npunctual-scheduled-time: 2026-01-01T01:10:31.000Z\r\npunctual-attempt: 1\r\n\
         punctual-late: false\r\ntraceparent: 00-ae9a012289bf96b9862501b966bdc6a3-dac12fb2c1935205-01\r\n",
        target.address
    )
}

#[test]
fn each_method_goes_out_with_the_body_that_belongs_to_it() {
    let target = Target::new(|_, connection| {
        while connection.request() {
            // An answer to HEAD has no body, whatever its head says of one.
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mut sending = Sending::new(settings());
    for (members, method, body) in [
        ("", "POST", Some(("application/json", "{}"))),
        (r#""method":"POST""#, "POST", Some(("application/json", "{}"))),
        (r#""method":"PUT""#, "PUT", Some(("application/json", "{}"))),
        (r#""method":"PATCH""#, "PATCH", Some(("application/json", "{}"))),
        (r#""method":"GET""#, "GET", None),
        (r#""method":"HEAD""#, "HEAD", None),
        (r#""method":"DELETE""#, "DELETE", None),
        (r#""method":"OPTIONS""#, "OPTIONS", None),
        (r#""body":"""#, "POST", Some(("text/plain; charset=utf-8", ""))),
        (r#""body":"a\nb""#, "POST", Some(("text/plain; charset=utf-8", "a\nb"))),
        (r#""json":[1, "x"],"method":"PUT""#, "PUT", Some(("application/json", r#"[1,"x"]"#))),
        (r#""json":null,"method":"DELETE""#, "DELETE", Some(("application/json", "null"))),
        (r#""body":"x","method":"OPTIONS""#, "OPTIONS", Some(("text/plain; charset=utf-8", "x"))),
    ] {
        let report = sending.send_of(&target.url(), members);
        assert_eq!(report.outcome, Outcome::Answered(200), "{members}");
        let described = body.map(|(kind, body)| (kind, body.len()));
        let expected = head(&format!("{method} /hook?a=b"), &target, described);
        let request = target.requests.recv().unwrap();
        assert_eq!(request, format!("{expected}\r\n{}", body.map_or("", |(_, body)| body)), "{members}");
    }
    assert_eq!(sending.sum(|worker| worker.opened), 1, "each of them leaves the connection usable");
}

#[test]
fn an_answer_to_head_has_no_body_whatever_it_says() {
    for (answer, status) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"[..], 200),
        (b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n", 500),
    ] {
        let target = Target::answering(answer);
        let mut sending = Sending::new(settings());
        for _ in 0..3 {
            let report = sending.send_of(&target.url(), r#""method":"HEAD""#);
            assert_eq!(report.outcome, Outcome::Answered(status));
        }
        assert_eq!(sending.sum(|worker| worker.opened), 1, "nothing more is waited for");
    }
}

#[test]
fn headers_of_the_job_come_last_and_take_the_place_of_the_usual_ones() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    let members =
        r#""headers":{"X-Team":"ops","Content-Type":"text/csv","User-Agent":"me","Accept":"*/*"},"body":"a,b""#;
    assert_eq!(sending.send_of(&target.url(), members).outcome, Outcome::Answered(200));
    let request = target.requests.recv().unwrap();
    assert!(
        request.ends_with("-01\r\nx-team: ops\r\ncontent-type: text/csv\r\nuser-agent: me\r\naccept: */*\r\n\r\na,b")
    );
    for name in ["content-type", "user-agent", "host", "content-length"] {
        assert_eq!(request.matches(&format!("\r\n{name}: ")).count(), 1, "{request}");
    }
}

#[test]
fn as_many_and_as_large_headers_as_a_job_may_have_fit_with_any_body() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    let large = "x".repeat(160);
    let headers: Vec<String> = (10..60).map(|number| format!(r#""x{number}":"{large}""#)).collect();
    let body = "y".repeat(60_000);
    let url = format!("http://{}/{}", target.address, "p".repeat(2_000));
    let members = format!(r#""headers":{{{}}},"body":"{body}""#, headers.join(","));
    assert_eq!(sending.send_of(&url, &members).outcome, Outcome::Answered(200));
    let request = target.requests.recv().unwrap();
    assert!(request.contains(&format!("\r\nx59: {large}\r\n\r\n")) && request.ends_with(&body));
    // The next one is what it always is.
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
    assert!(target.requests.recv().unwrap().ends_with("-01\r\n\r\n{}"));
}

#[test]
fn placeholders_are_filled_in_for_each_attempt() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    let members = r#""json":{"id":"{{executionId}}","job":"{{jobId}}","at":"{{scheduledTime}}","n":"{{attempt}}"}"#;
    assert_eq!(sending.send_of(&target.url(), members).outcome, Outcome::Answered(200));
    let job = "01010101-0101-8101-8101-000000000007";
    let body = format!(r#"{{"id":"{job}-1767229831-m1","job":"{job}","at":"2026-01-01T01:10:31.000Z","n":"1"}}"#);
    let request = target.requests.recv().unwrap();
    assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    assert!(request.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{request}");
}

#[test]
fn a_time_limit_of_its_own_is_the_jobs() {
    let target = Target::new(|_, connection| {
        connection.request();
        connection.wait_for_end();
    });
    let mut sending = Sending::new(settings());
    let report = sending.send_of(&target.url(), r#""timeoutMs":50"#);
    assert_eq!(report.outcome, Outcome::TimedOut("no whole answer within 50 ms".to_owned()));
    assert!(report.was_sent && report.duration_us >= 50_000, "{report:?}");
}
