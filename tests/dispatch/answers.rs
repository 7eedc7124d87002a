//! Answers of every shape, good and bad: what is reported for them.

use std::time::Duration;

use punctual::core::{AlertReport, Class, ErrandReport, Outcome, Seq};
use punctual::limits::ANSWER_READ_LEN;

use super::support::{OK, Sending, Target, alert, attempt, settings};

#[test]
fn the_request_says_what_a_target_needs_to_know() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    let mut late = attempt(&target.url(), 3);
    (late.class, late.number) = (Class::Recovered, 12);
    sending.pool.send(vec![late]);
    let report = sending.reports(1).remove(0);
    assert_eq!((report.handle.slot, report.attempt, report.outcome), (3, 12, Outcome::Answered(200)));
    let job = "01010101-0101-8101-8101-000000000007";
    let expected = format!(
        "POST /hook?a=b HTTP/1.1\r\nhost: {}\r\nuser-agent: punctual-test/1\r\ncontent-type: application/json\r\n\
         content-length: 2\r\nidempotency-key: {job}-1767229831-m3\r\npunctual-job-id: {job}\r\n\
         punctual-scheduled-time: 2026-01-01T01:10:31.000Z\r\npunctual-attempt: 12\r\npunctual-late: true\r\n\
         traceparent: 00-adc867bd36ef425995947513334b548a-61158c4d2b0f354a-01\r\n\r\n{{}}",
        target.address
    );
    assert_eq!(target.requests.recv().unwrap(), expected);
    sending.post(&target.url());
    assert!(target.requests.recv().unwrap().contains("\r\npunctual-attempt: 1\r\npunctual-late: false\r\n"));
    // Another attempt of the same execution is another span of the same trace.
    sending.pool.send(vec![attempt(&target.url(), 3)]);
    sending.reports(1);
    let again = target.requests.recv().unwrap();
    assert!(again.contains("\r\ntraceparent: 00-adc867bd36ef425995947513334b548a-"), "{again}");
    assert!(!again.contains("-61158c4d2b0f354a-"), "{again}");
}

#[test]
fn an_alert_says_all_in_its_body_of_any_length() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    for body in [r#"{"type":"JOB_FAILURE"}"#.to_owned(), format!("[\"{}\"]", "x".repeat(4 * ANSWER_READ_LEN))] {
        sending.pool.send([alert(&target.url(), 5, &body, Duration::from_secs(10))]);
        let report = sending.any_reports(1).remove(0);
        let expected = AlertReport { seq: Seq(5), attempt: 1, outcome: Outcome::Answered(200) };
        assert_eq!(report, ErrandReport::Alert(expected));
        let expected = format!(
            "POST /hook?a=b HTTP/1.1\r\nhost: {}\r\nuser-agent: punctual-test/1\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            target.address,
            body.len()
        );
        assert!(target.requests.recv().unwrap() == expected, "{} bytes", body.len());
    }
    // Those that come after it on the same connection are what they always are.
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
    assert!(target.requests.recv().unwrap().ends_with("-01\r\n\r\n{}"));
    assert_eq!(sending.sum(|worker| worker.opened), 1);
}

#[test]
fn the_dispatch_is_stamped_before_the_request_and_the_duration_ends_with_the_answer() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    let wall = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let before = wall();
    let report = sending.post(&target.url());
    assert!((before..=wall()).contains(&report.dispatched.0));
    assert!(report.duration_us > 0 && report.duration_us < 10_000_000);
}

#[test]
fn a_final_status_of_any_kind_is_an_answer() {
    let answers: [(&'static [u8], u16); 16] = [
        (OK, 200),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", 500),
        (b"HTTP/1.1 302 Found\r\nLocation: http://nope.invalid/\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nabc", 302),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nA: b\r\n\r\n", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201),
        (b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;name=\"a long value\"\r\nx\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\nx", 200),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 101),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 200),
        (b"HTTP/1.1 200\r\nContent-Length: 1, 1\r\n\r\nx", 200),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 999),
    ];
    let mut sending = Sending::new(settings());
    for (answer, status) in answers {
        let whole = Target::answering(answer);
        let in_bytes = Target::new(move |_, connection| {
            connection.socket.set_nodelay(true).unwrap();
            while connection.request() {
                answer.iter().for_each(|byte| connection.write(&[*byte]));
            }
        });
        for target in [whole, in_bytes] {
            let outcome = sending.outcome(&target.url());
            assert_eq!(outcome, Outcome::Answered(status), "{}", answer.escape_ascii());
        }
    }
}

#[test]
fn the_status_decides_whatever_happens_to_the_body() {
    let chunk: &'static [u8] =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1{}", ";".repeat(9_000)).leak().as_bytes();
    let mut sending = Sending::new(settings());
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        chunk,
        &b"HTTP/1.1 200 OK\r\n\r\nuntil the end"[..],
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
    ] {
        let target = Target::closing_after(answer);
        assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200), "{}", answer.escape_ascii());
    }
}

#[test]
fn what_has_no_whole_head_is_a_failure_that_says_why() {
    let flood: &'static [u8] = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(500)).leak().as_bytes();
    let large: &'static [u8] = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(100_000)).leak().as_bytes();
    let hints: &'static [u8] = "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n".repeat(10_000).leak().as_bytes();
    let go_on: &'static [u8] = "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n".repeat(10_000).leak().as_bytes();
    let mut sending = Sending::new(settings());
    for (answer, why) in [
        (&b""[..], "closed before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed before the answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the head of the answer is malformed"),
        (b"\x15\x03\x01\x00\x02\x02", "the head of the answer is malformed"),
        (b"HTTP/1.1 099 Low\r\n\r\n", "invalid status code"),
        (b"HTTP/2 200 OK\r\n\r\n", "the head of the answer is malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "conflicting content-length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "content-length"),
        (flood, "too many headers"),
        (large, "larger than 32 KiB"),
        (hints, "larger than 32 KiB"),
        (go_on, "larger than 32 KiB"),
    ] {
        let target = Target::closing_after(answer);
        let failure = sending.failure(&target.url());
        assert!(failure.contains(why), "{}: {failure}", answer[..answer.len().min(60)].escape_ascii());
        assert_eq!(target.requests.recv().map(|_| target.requests.len()), Ok(0), "a failure is not repeated here");
    }
}

#[test]
fn a_body_that_never_ends_is_not_read_to_its_end() {
    let target = Target::new(|_, connection| {
        connection.request();
        connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while std::io::Write::write_all(&mut connection.socket, b"4\r\nmore\r\n").is_ok() {}
    });
    let mut sending = Sending::new(settings());
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
}

#[test]
fn a_target_may_answer_before_it_has_read_the_request() {
    let target = Target::new(|_, connection| {
        connection.write(OK);
        connection.wait_for_end();
    });
    let mut sending = Sending::new(settings());
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
}
