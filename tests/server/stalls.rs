//! A store that does not answer: clients hear of it in time, leave when they like, and leave room for others.
//! It must not fill a disk: `faults.rs` does.

use std::time::Instant;

use rusqlite::Connection;

use super::raw::{Raw, ask, post};
use super::support::api::job;
use super::support::until;
use super::{Setup, error_of};

const HEALTH: &str = "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A store that is locked by somebody else until the connection is dropped: the writer waits.
fn locked(test: &Setup) -> Connection {
    let other = Connection::open(test.db()).expect("it can be opened");
    other.busy_timeout(std::time::Duration::from_secs(5)).expect("it can wait");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free between batches");
    other
}

fn create() -> String {
    post(&job("@daily", "http://a/").to_string(), "Content-Type: application/json\r\n")
}

/// It takes as long as a client waits at most, 10 s.
#[test]
fn a_change_that_is_not_answered_in_time_is_503_and_its_answer_is_not_anothers() {
    let test = Setup::new(&[]);
    let other = locked(&test);
    let begin = Instant::now();
    let mut raw = Raw::connect(&test.api().address);
    raw.send(create());
    let reply = raw.answer();
    assert_eq!((reply.status, reply.header("retry-after"), reply.header("connection")), (503, "1", ""));
    assert_eq!(
        error_of(&reply.json()),
        "the change is not on disk yet, and whether it will be is not known; GET tells"
    );
    assert!((9..20).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    // Another change on the same connection: the answer to the first one comes first, and is nobody's.
    raw.send(format!("DELETE /api/jobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n{}", create()));
    assert_eq!(raw.answer().status, 404);
    drop(other);
    let reply = raw.answer();
    assert_eq!(reply.status, 201, "{reply:?}");
    let jobs = test.api().get("/api/jobs");
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(2), "the first one was written after all");
    assert_eq!(jobs["jobs"][1]["jobId"], reply.json()["jobId"]);
}

#[test]
fn changes_that_wait_leave_room_for_health_and_go_with_their_clients() {
    let test = Setup::new(&[]);
    let address = &test.api().address;
    let other = locked(&test);
    // As many as there are connections.
    let waiting: Vec<Raw> = (0..1_000)
        .map(|_| {
            let mut raw = Raw::connect(address);
            raw.send(create());
            raw
        })
        .collect();
    let refused = until("a change is refused", || {
        Some(ask(address, create())).filter(|reply| reply.status == 503 && !reply.body.is_empty())
    });
    assert!(error_of(&refused.json()).contains("too many changes are waiting"), "{refused:?}");
    for _ in 0..300 {
        let mut raw = Raw::connect(address);
        raw.send(HEALTH);
        assert!(matches!(raw.answer().status, 200 | 503));
        raw.send("GET /api/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw.answer().status, 200);
    }
    // Their clients give up: their places are free long before they are answered.
    drop(waiting);
    until("they are gone", || (test.api().get("/api/metrics")["connections"].as_u64() <= Some(1)).then_some(()));
    drop(other);
    until("all that was taken is written", || (ask(address, create()).status == 201).then_some(()));
    test.is_well();
}
