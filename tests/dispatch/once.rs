//! At most once: what may have arrived is never sent again, and what cannot have arrived may be.

use std::collections::HashSet;

use punctual::core::Outcome;

use super::support::{OK, Sending, Target, attempt, attempt_of, settings};

const ONCE: &str = r#""type":"ATMOST_ONCE""#;

#[test]
fn a_target_that_closes_after_reading_is_not_asked_again() {
    let target = Target::new(|_, connection| {
        connection.request();
    });
    let mut sending = Sending::new(settings());
    let report = sending.send_of(&target.url(), ONCE);
    assert!(matches!(report.outcome, Outcome::ConnectionFailed(_)), "{report:?}");
    assert!(report.was_sent);
    assert_eq!(target.requests.len(), 1);
    assert_eq!(sending.sum(|worker| worker.repeated), 0);
}

#[test]
fn it_goes_out_on_a_fresh_connection_that_is_closed_behind_it() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    for (members, opened) in [("", 1), ("", 1), (ONCE, 2), (ONCE, 3), ("", 3)] {
        assert_eq!(sending.send_of(&target.url(), members).outcome, Outcome::Answered(200));
        assert_eq!(sending.sum(|worker| worker.opened), opened, "{members}");
        let request = target.requests.recv().unwrap();
        assert_eq!(request.contains("\r\nconnection: close\r\n"), members == ONCE, "{request}");
    }
}

#[test]
fn a_timeout_that_the_target_told_is_its_answer() {
    // With a connection that rested this would be a request that met a closing door.
    let target = Target::answering(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    let mut sending = Sending::new(settings());
    for _ in 0..3 {
        assert_eq!(sending.send_of(&target.url(), ONCE).outcome, Outcome::Answered(408));
    }
    assert_eq!(target.requests.len(), 3);
}

#[test]
fn without_a_connection_nothing_was_sent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut sending = Sending::new(settings());
    for members in ["", ONCE] {
        let report = sending.send_of(&format!("http://{closed}/"), members);
        assert_eq!(report.outcome, Outcome::ConnectionFailed("connection refused".to_owned()));
        assert!(!report.was_sent);
    }
}

#[test]
fn a_failed_tls_handshake_sends_nothing() {
    let target = Target::new(|_, connection| connection.wait_for_end());
    let mut sending = Sending::new(settings());
    let url = target.url().replace("http://", "https://");
    let members = format!(r#"{ONCE},"timeoutMs":100"#);
    let report = sending.send_of(&url, &members);
    assert!(matches!(report.outcome, Outcome::TimedOut(_)) && !report.was_sent, "{report:?}");
}

#[test]
fn a_crowd_of_both_kinds_arrives_and_each_at_most_once() {
    const EACH: u32 = 300;
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    let mut attempts = Vec::new();
    for number in 0..EACH {
        attempts.push(attempt_of(&target.url(), ONCE, number));
        attempts.push(attempt(&target.url(), EACH + number));
    }
    sending.pool.send(attempts);
    let reports = sending.reports(2 * EACH as usize);
    assert!(reports.iter().all(|report| report.outcome == Outcome::Answered(200) && report.was_sent));
    let requests: Vec<String> = target.requests.try_iter().collect();
    assert_eq!(requests.len(), 2 * EACH as usize);
    let distinct: HashSet<&str> =
        requests.iter().map(|text| text.split("idempotency-key: ").nth(1).unwrap().lines().next().unwrap()).collect();
    assert_eq!(distinct.len(), requests.len());
    let (opened, reused) = (sending.sum(|worker| worker.opened), sending.sum(|worker| worker.reused));
    assert!(opened > u64::from(EACH) && reused > 0, "{opened} opened, {reused} reused");
}
