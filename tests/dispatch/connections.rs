//! Connections: kept alive, lost, refused, half closed, many at once.

use std::net::TcpListener;
use std::time::Duration;

use crossbeam_channel::unbounded;
use punctual::core::{Errand, ErrandReport, Outcome};
use punctual::dispatch::DispatchSettings;
use punctual::limits::REPORT_BATCHES_PENDING_MAX;

use super::support::{OK, Sending, Target, alert, attempt, settings};

fn reset(socket: &std::net::TcpStream) {
    let socket = rustix::fd::AsFd::as_fd(socket);
    rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO)).unwrap();
}

#[test]
fn one_connection_serves_one_attempt_after_the_other() {
    let (opened, connections) = unbounded();
    let target = Target::new(move |number, connection| {
        opened.send(number).unwrap();
        connection.answer_all(OK);
    });
    let mut sending = Sending::new(settings());
    for _ in 0..20 {
        assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
    }
    assert_eq!(connections.len(), 1);
    assert_eq!(sending.sum(|worker| worker.reused), 19);
    assert_eq!(sending.sum(|worker| worker.connections), 1);
}

#[test]
fn an_answer_that_asks_for_it_ends_the_connection() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nunasked",
    ] {
        let target = Target::new(move |_, connection| {
            connection.request();
            connection.write(answer);
            connection.wait_for_end();
        });
        let mut sending = Sending::new(settings());
        for _ in 0..3 {
            assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
        }
        assert_eq!(sending.sum(|worker| worker.opened), 3);
    }
}

#[test]
fn a_kept_alive_connection_that_is_lost_is_replaced_within_the_attempt() {
    // The target closes as soon as the second request has come: after it was written, before any answer.
    for with_reset in [false, true] {
        let target = Target::new(move |number, connection| {
            connection.request();
            connection.write(OK);
            connection.request();
            if number == 0 {
                if with_reset {
                    reset(&connection.socket);
                }
                return;
            }
            connection.write(OK);
            connection.wait_for_end();
        });
        let mut sending = Sending::new(settings());
        assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
        sending.pool.send(vec![attempt(&target.url(), 2)]);
        let reports = sending.reports(1);
        assert_eq!((reports[0].handle.slot, &reports[0].outcome), (2, &Outcome::Answered(200)));
        let requests: Vec<String> = target.requests.iter().take(3).collect();
        assert!(requests[1].contains("-m2\r\n"), "{}", requests[1]);
        assert_eq!(requests[1], requests[2], "the same request with the same key");
        assert_eq!(sending.sum(|worker| worker.repeated), 1);
        let mut more = Vec::new();
        sending.pool.receive(10, &mut more);
        assert_eq!(more, [], "one report for one attempt");
    }
}

#[test]
fn a_connection_closed_while_it_rests_is_not_used_again() {
    let (closed, is_closed) = unbounded();
    let target = Target::new(move |number, connection| {
        connection.request();
        connection.write(OK);
        if number == 0 {
            connection.end_writing();
            connection.wait_for_end();
            closed.send(()).unwrap();
        } else {
            connection.answer_all(OK);
        }
    });
    let mut sending = Sending::new(settings());
    sending.post(&target.url());
    is_closed.recv().unwrap();
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
    assert_eq!(sending.sum(|worker| worker.repeated), 0);
}

#[test]
fn a_second_try_that_fails_says_that_it_was_one() {
    let target = Target::new(|number, connection| {
        connection.request();
        if number == 0 {
            connection.write(OK);
            connection.request();
        }
    });
    let mut sending = Sending::new(settings());
    sending.post(&target.url());
    let failure = sending.failure(&target.url());
    assert!(failure.starts_with("connection closed before the answer (on a second connection"), "{failure}");
    assert_eq!(target.requests.iter().take(3).count(), 3);
}

#[test]
fn a_fresh_connection_that_is_lost_is_a_failure_at_once() {
    let target = Target::new(|_, connection| {
        connection.request();
        reset(&connection.socket);
    });
    let mut sending = Sending::new(settings());
    assert_eq!(sending.failure(&target.url()), "connection reset by the target");
    assert_eq!(sending.sum(|worker| worker.opened), 1);
}

#[test]
fn a_reset_in_the_middle_of_the_answer_leaves_its_status_and_makes_no_other_try() {
    let target = Target::new(|number, connection| {
        connection.request();
        if number == 0 {
            connection.write(OK);
            connection.request();
        }
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf");
        reset(&connection.socket);
    });
    let mut sending = Sending::new(settings());
    sending.post(&target.url());
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
    assert_eq!(sending.sum(|worker| worker.repeated), 0);
}

#[test]
fn a_408_on_a_kept_alive_connection_may_be_older_than_the_request() {
    const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let target = Target::new(|number, connection| {
        connection.request();
        if number < 2 {
            connection.write(OK);
            connection.request();
        }
        connection.write(TOO_LATE);
    });
    let mut sending = Sending::new(settings());
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
    // It is sent once more on a connection that never rested.
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
    assert_eq!(sending.sum(|worker| worker.repeated), 1);
    assert_eq!(target.requests.iter().take(3).count(), 3);
    // There it is an answer like any other.
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(408));
}

#[test]
fn a_target_that_stops_writing_has_given_its_answer_or_none() {
    let mut sending = Sending::new(settings());
    let answered = Target::new(|_, connection| {
        connection.request();
        connection.write(b"HTTP/1.1 200 OK\r\n\r\nall");
        connection.end_writing();
        connection.wait_for_end();
    });
    assert_eq!(sending.outcome(&answered.url()), Outcome::Answered(200));
    let silent = Target::new(|_, connection| {
        connection.request();
        connection.end_writing();
        connection.wait_for_end();
    });
    assert_eq!(sending.failure(&silent.url()), "connection closed before the answer");
}

#[test]
fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut sending = Sending::new(settings());
    sending.pool.send((0..500).map(|number| attempt(&format!("http://{address}/"), number)).collect::<Vec<_>>());
    for report in sending.reports(500) {
        assert_eq!(report.outcome, Outcome::ConnectionFailed("connection refused".to_owned()));
    }
    assert_eq!(sending.sum(|worker| worker.connections + worker.in_flight), 0);
}

#[test]
fn a_burst_on_a_fast_target_shares_few_connections() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    sending.pool.send((0..4_000).map(|number| attempt(&target.url(), number)).collect::<Vec<_>>());
    let reports = sending.reports(4_000);
    assert!(reports.iter().all(|report| report.outcome == Outcome::Answered(200)));
    let mut slots: Vec<u32> = reports.iter().map(|report| report.handle.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, (0..4_000).collect::<Vec<_>>());
    assert!(sending.sum(|worker| worker.opened) < 1_000, "{:?}", sending.pool.stats());
}

#[test]
fn every_attempt_is_reported_once_whatever_targets_do() {
    let targets: Vec<Target> = (0..4)
        .map(|seed| {
            Target::new(move |number, connection| {
                for request in 0.. {
                    if !connection.request() {
                        return;
                    }
                    match (seed * 7 + number * 13 + request * 5) % 23 {
                        0 => return,
                        1 => return reset(&connection.socket),
                        2 => return connection.write(&OK[..OK.len() - 1]),
                        3 => return connection.write(b"nonsense\r\n\r\n"),
                        4 => return connection.wait_for_end(),
                        5 => return connection.end_writing(),
                        6 => OK.iter().for_each(|byte| connection.write(&[*byte])),
                        7 => {
                            connection.write(OK);
                            return;
                        }
                        8 => connection.write(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
                        _ => connection.write(OK),
                    }
                }
            })
        })
        .collect();
    let mut sending = Sending::new(DispatchSettings { timeout: Duration::from_millis(1_500), ..settings() });
    for _ in 0..3 {
        // Every tenth one is an alert's.
        let attempts = (0..2_000_u32).map(|number| {
            let url = targets[number as usize % 4].url();
            if number % 10 > 0 {
                Errand::from(attempt(&url, number))
            } else {
                Errand::from(alert(&url, number, "{\"some\":\"body\"}", Duration::from_millis(700)))
            }
        });
        sending.pool.send(attempts.collect::<Vec<_>>());
        let (mut numbers, mut outcomes) = (Vec::new(), Vec::new());
        for report in sending.any_reports(2_000) {
            let (number, outcome, is_alert) = match report {
                ErrandReport::Execution(report) | ErrandReport::Trial(report) => {
                    (report.handle.seq.0, report.outcome, false)
                }
                ErrandReport::Alert(report) => (report.seq.0, report.outcome, true),
                ErrandReport::Message(report) => panic!("nobody sent a message: {report:?}"),
            };
            assert_eq!(is_alert, number % 10 == 0, "{number} comes back as what it was");
            numbers.push(number);
            outcomes.push(outcome);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
        let count = |of: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| of(outcome)).count();
        let answered = count(|outcome| matches!(outcome, Outcome::Answered(200 | 302)));
        let timed_out = count(|outcome| matches!(outcome, Outcome::TimedOut(_)));
        let failed = count(|outcome| matches!(outcome, Outcome::ConnectionFailed(_)));
        assert_eq!(answered + timed_out + failed, 2_000);
        assert!(answered > 1_000 && timed_out > 20 && failed > 50, "{answered} {timed_out} {failed}");
    }
    assert_eq!(sending.sum(|worker| worker.in_flight + worker.faults), 0);
    assert_eq!(waiting(&sending), 0);
}

#[test]
fn connections_that_rest_are_bounded_over_all_targets_and_the_newest_stay() {
    let targets: Vec<Target> = (0..40).map(|_| Target::answering(OK)).collect();
    let mut sending = Sending::new(DispatchSettings { idle_max: 10, ..settings() });
    for target in &targets {
        assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
        assert!(sending.sum(|worker| worker.connections) <= 10);
    }
    assert_eq!(sending.sum(|worker| worker.opened), 40);
    assert_eq!(sending.outcome(&targets[39].url()), Outcome::Answered(200));
    assert_eq!(sending.sum(|worker| worker.opened), 40, "its connection rests");
    assert_eq!(sending.outcome(&targets[0].url()), Outcome::Answered(200));
    assert_eq!(sending.sum(|worker| worker.opened), 41, "the oldest was closed");
    // More that rest than may are in use at once.
    sending.pool.send(targets.iter().map(|target| attempt(&target.url(), 1)).collect::<Vec<_>>());
    assert!(sending.reports(40).iter().all(|report| report.outcome == Outcome::Answered(200)));
    assert!(sending.sum(|worker| worker.connections) <= 10);
}

#[test]
fn reports_are_taken_in_portions() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    sending.pool.send((0..100).map(|number| attempt(&target.url(), number)).collect::<Vec<_>>());
    let mut slots = Vec::new();
    for _ in 0..100 {
        slots.push(sending.reports(1)[0].handle.slot);
    }
    slots.sort_unstable();
    assert_eq!(slots, (0..100).collect::<Vec<_>>());
    assert_eq!(sending.sum(|worker| worker.in_flight), 0);
}

#[test]
fn reports_that_nobody_takes_are_kept() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    let count = u32::try_from(REPORT_BATCHES_PENDING_MAX * 2).unwrap();
    for number in 0..count {
        // Each is sent when the one before has been answered, so that its report is a batch of its own.
        sending.pool.send(vec![attempt(&target.url(), number)]);
        target.requests.recv().unwrap();
    }
    let mut slots: Vec<u32> = sending.reports(count as usize).iter().map(|report| report.handle.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, (0..count).collect::<Vec<_>>());
}

#[test]
fn a_pool_stops_with_attempts_in_flight() {
    let (opened, connections) = unbounded();
    let target = Target::new(move |number, connection| {
        opened.send(number).unwrap();
        connection.wait_for_end();
    });
    let mut sending = Sending::new(settings());
    sending.pool.send((0..1_000).map(|number| attempt(&target.url(), number)).collect::<Vec<_>>());
    connections.recv().unwrap();
    drop(sending);
}

/// Attempts that have no connection.
fn waiting(sending: &Sending) -> u64 {
    sending.pool.stats().workers.iter().map(|worker| worker.waiting).sum()
}
