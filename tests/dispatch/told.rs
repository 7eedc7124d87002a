//! What attempts tell beside their outcome: where the time went, what a failing target said, how long it wants to wait.

use std::time::Duration;

use punctual::core::{Answer, Outcome, Report, Timings};
use punctual::limits::{ANSWER_DRAIN_TIME_MAX, RESPONSE_LEN_MAX};

use super::support::{OK, Sending, Target, attempt, attempt_of, settings};

fn answer(report: &Report) -> Answer {
    report.answer.as_deref().cloned().unwrap_or_default()
}

fn response(report: &Report) -> Option<String> {
    answer(report).response.map(Into::into)
}

/// A head that says 500, with these headers.
fn failure(headers: &str, body: &str) -> &'static [u8] {
    format!("HTTP/1.1 500 Oops\r\n{headers}\r\n{body}").leak().as_bytes()
}

#[test]
fn where_the_time_went_is_told_where_there_is_something_to_tell() {
    let target = Target::new(|_, connection| {
        while connection.request() {
            std::thread::sleep(Duration::from_millis(20));
            connection.write(OK);
        }
    });
    let mut sending = Sending::new(settings());
    let url = target.url().replace("127.0.0.1", "localhost");
    let first = sending.post(&url);
    assert_eq!(first.outcome, Outcome::Answered(200));
    let timings = answer(&first).timings.expect("a name was waited for, and a connection made");
    assert!(timings.name_us > 0 && timings.connect_us > 0 && timings.tls_us == 0, "{timings:?}");
    assert!(timings.first_byte_us >= 20_000, "{timings:?}");
    let sum = u64::from(timings.connect_us + timings.first_byte_us);
    // The name is looked up before the attempt's time begins.
    assert!(sum <= first.duration_us, "{first:?}");
    // A connection that rested is answered at once: all the time is the target's.
    assert_eq!(sending.post(&url).answer, None);
}

#[test]
fn a_name_that_leads_nowhere_is_all_that_was_waited_for() {
    let mut sending = Sending::new(settings());
    let report = sending.post("http://nope.invalid:8080/");
    assert!(matches!(report.outcome, Outcome::ConnectionFailed(_)) && !report.was_sent, "{report:?}");
    let timings = answer(&report).timings.expect("a name was waited for");
    assert_eq!(Timings { name_us: 0, ..timings }, Timings::default());
    assert!(timings.name_us > 0);
    // What is known already is not waited for.
    assert_eq!(sending.post("http://nope.invalid:8080/").answer, None);
}

#[test]
fn what_was_under_way_when_the_time_was_over_is_told() {
    let target = Target::new(|_, connection| {
        connection.request();
        connection.wait_for_end();
    });
    let mut sending = Sending::new(settings());
    let report = sending.send_of(&target.url(), r#""timeoutMs":60"#);
    let timings = answer(&report).timings.expect("a connection was made");
    assert!(timings.first_byte_us >= 30_000 && timings.tls_us == 0, "{timings:?}");
    let url = target.url().replace("http://", "https://");
    let report = sending.send_of(&url, r#""timeoutMs":60"#);
    let timings = answer(&report).timings.expect("a connection was made");
    assert!(timings.tls_us >= 30_000 && timings.first_byte_us == 0, "{timings:?}");
}

#[test]
fn a_head_in_pieces_tells_when_it_began() {
    let target = Target::new(|_, connection| {
        connection.socket.set_nodelay(true).unwrap();
        while connection.request() {
            connection.write(&OK[..10]);
            std::thread::sleep(Duration::from_millis(30));
            connection.write(&OK[10..]);
        }
    });
    let mut sending = Sending::new(settings());
    sending.post(&target.url());
    let report = sending.post(&target.url());
    let timings = answer(&report).timings.expect("the answer took its time after its first byte");
    let first_byte_us = u64::from(timings.first_byte_us);
    assert_eq!(Timings { first_byte_us: 0, ..timings }, Timings::default());
    assert!(first_byte_us > 0 && first_byte_us + 20_000 < report.duration_us, "{report:?}");
}

#[test]
fn a_failure_says_what_the_target_said_in_pieces_too() {
    let mut sending = Sending::new(settings());
    let long = "x".repeat(3_000);
    for (answer, told) in [
        (failure("Content-Length: 4\r\n", "nope"), Some("nope")),
        (failure("Content-Type: application/json\r\nContent-Length: 2\r\n", "{}"), Some("{}")),
        (failure("Transfer-Encoding: chunked\r\n", "2\r\nno\r\n2;x=y\r\npe\r\n0\r\n\r\n"), Some("nope")),
        (failure("Content-Length: 3000\r\n", &long), Some(&long[..RESPONSE_LEN_MAX])),
        (failure("Content-Length: 0\r\n", ""), None),
        (failure("Content-Type: image/png\r\nContent-Length: 4\r\n", "nope"), None),
        (failure("Content-Encoding: gzip\r\nContent-Length: 4\r\n", "nope"), None),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine", None),
    ] {
        let whole = Target::answering(answer);
        let in_pieces = Target::new(move |_, connection| {
            connection.socket.set_nodelay(true).unwrap();
            while connection.request() {
                answer.chunks(7).for_each(|bytes| connection.write(bytes));
            }
        });
        for target in [whole, in_pieces] {
            for _ in 0..2 {
                let report = sending.post(&target.url());
                assert!(matches!(report.outcome, Outcome::Answered(_)), "{report:?}");
                assert_eq!(response(&report).as_deref(), told, "{}", answer.escape_ascii());
            }
        }
    }
}

#[test]
fn what_breaks_off_or_never_ends_is_told_as_far_as_it_came() {
    let mut sending = Sending::new(settings());
    for answer in [failure("Content-Length: 100\r\n", "no"), failure("", "no")] {
        let report = sending.post(&Target::closing_after(answer).url());
        assert_eq!((&report.outcome, response(&report).as_deref()), (&Outcome::Answered(500), Some("no")));
    }
    // The body never comes to its end: it is waited for a moment, within the attempt's time limit.
    let endless = || {
        Target::new(|_, connection| {
            connection.request();
            connection.write(failure("Content-Length: 100\r\n", "no"));
            connection.wait_for_end();
        })
    };
    let report = sending.post(&endless().url());
    assert_eq!((&report.outcome, response(&report).as_deref()), (&Outcome::Answered(500), Some("no")));
    let waited = Duration::from_micros(report.duration_us);
    assert!(waited >= ANSWER_DRAIN_TIME_MAX && waited < settings().timeout, "{waited:?}");
    let report = sending.send_of(&endless().url(), r#""timeoutMs":200"#);
    assert_eq!((&report.outcome, response(&report).as_deref()), (&Outcome::Answered(500), Some("no")));
    assert!(Duration::from_micros(report.duration_us) < ANSWER_DRAIN_TIME_MAX, "{report:?}");
    // What is a success is told at once.
    let report = sending.send_of(&endless().url(), r#""success":[500]"#);
    assert_eq!((&report.outcome, response(&report)), (&Outcome::Answered(500), None));
    assert!(Duration::from_micros(report.duration_us) < ANSWER_DRAIN_TIME_MAX, "{report:?}");
}

#[test]
fn a_connection_that_told_a_failure_is_used_again() {
    let target = Target::answering(failure("Retry-After: 7\r\nContent-Length: 3000\r\n", &"y".repeat(3_000)));
    let mut sending = Sending::new(settings());
    for _ in 0..5 {
        let report = sending.post(&target.url());
        let told = answer(&report);
        assert_eq!((told.retry_after_s, told.response.map(|text| text.len())), (Some(7), Some(RESPONSE_LEN_MAX)));
    }
    assert_eq!(sending.sum(|worker| worker.opened), 1);
    // A crowd of failures, each with its own.
    sending.pool.send((0..200).map(|number| attempt(&target.url(), number)));
    assert!(sending.reports(200).iter().all(|report| answer(report).retry_after_s == Some(7)));
}

#[test]
fn a_success_tells_nothing_of_when_to_come_again() {
    let target = Target::answering(b"HTTP/1.1 202 Accepted\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nok");
    let mut sending = Sending::new(settings());
    assert_eq!(answer(&sending.post(&target.url())).retry_after_s, None);
    sending.pool.send(vec![attempt_of(&target.url(), r#""success":[200]"#, 1)]);
    let report = sending.reports(1).remove(0);
    assert_eq!((answer(&report).retry_after_s, response(&report).as_deref()), (Some(7), Some("ok")));
}
