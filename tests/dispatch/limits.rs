//! Time limits: targets that are slow in every way there is.

use std::net::TcpListener;
use std::time::Duration;

use punctual::core::{ErrandReport, Outcome};
use punctual::dispatch::DispatchSettings;
use punctual::limits::DRAINING_MAX;
use punctual::time::MonoUs;

use super::support::{OK, Sending, Target, alert, attempt, settings};

fn impatient() -> DispatchSettings {
    DispatchSettings { timeout: Duration::from_millis(300), ..settings() }
}

#[test]
fn a_target_that_accepts_and_never_answers_times_out() {
    let target = Target::new(|_, connection| connection.wait_for_end());
    let mut sending = Sending::new(impatient());
    let report = sending.post(&target.url());
    assert_eq!(report.outcome, Outcome::TimedOut("no whole answer within 300 ms".to_owned()));
    assert!((300_000..2_000_000).contains(&report.duration_us), "{}", report.duration_us);
    assert_eq!(sending.sum(|worker| worker.connections), 0);
}

#[test]
fn a_time_limit_of_its_own_may_be_shorter_and_longer_than_that_of_the_others() {
    let silent = Target::new(|_, connection| connection.wait_for_end());
    let slow = Target::new(|_, connection| {
        connection.request();
        std::thread::sleep(Duration::from_millis(600));
        connection.write(OK);
    });
    let mut sending = Sending::new(impatient());
    for (url, limit_ms, outcome) in [
        (silent.url(), 50, Outcome::TimedOut("no whole answer within 50 ms".to_owned())),
        (slow.url(), 10_000, Outcome::Answered(200)),
    ] {
        sending.pool.send([alert(&url, 1, "{}", Duration::from_millis(limit_ms))]);
        match sending.any_reports(1).remove(0) {
            ErrandReport::Alert(report) => assert_eq!(report.outcome, outcome),
            ErrandReport::Execution(report) | ErrandReport::Trial(report) => panic!("{report:?}"),
            ErrandReport::Message(report) => panic!("{report:?}"),
        }
    }
}

#[test]
fn a_head_that_comes_in_drips_times_out() {
    let target = Target::new(|_, connection| {
        connection.request();
        connection.write(b"HTTP/1.1 200 OK\r\nA: ");
        while std::io::Write::write_all(&mut connection.socket, b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let mut sending = Sending::new(impatient());
    assert_eq!(sending.outcome(&target.url()), Outcome::TimedOut("no whole answer within 300 ms".to_owned()));
}

#[test]
fn a_body_that_comes_in_drips_delays_nothing_and_is_not_waited_for_by_many_connections() {
    let target = Target::new(|_, connection| {
        connection.request();
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n");
        while std::io::Write::write_all(&mut connection.socket, b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut sending = Sending::new(DispatchSettings { workers: 1, ..settings() });
    let count = u32::try_from(DRAINING_MAX).unwrap() + 100;
    sending.pool.send((0..count).map(|number| attempt(&target.url(), number)).collect::<Vec<_>>());
    for report in sending.reports(count as usize) {
        assert_eq!(report.outcome, Outcome::Answered(200));
    }
    assert!(sending.sum(|worker| worker.connections) <= DRAINING_MAX as u64);
}

#[test]
fn two_thousand_attempts_on_a_silent_target_all_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // Connections must be taken up, or the system refuses to let more wait.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for socket in listener.incoming() {
            open.push(socket.unwrap());
        }
    });
    let mut sending = Sending::new(DispatchSettings { timeout: Duration::from_secs(2), ..settings() });
    sending.pool.send((0..2_000).map(|number| attempt(&url, number)).collect::<Vec<_>>());
    let reports = sending.reports(2_000);
    let mut slots: Vec<u32> = reports.iter().map(|report| report.handle.slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, (0..2_000).collect::<Vec<_>>());
    for report in &reports {
        assert!(matches!(&report.outcome, Outcome::TimedOut(_)), "{report:?}");
    }
    // A silent target costs sockets, not time: nearly all were sent.
    let sent = reports.iter().filter(|report| report.duration_us < 2_500_000).count();
    assert!(sent > 1_900, "{sent}");
    assert_eq!(sending.sum(|worker| worker.in_flight + worker.connections), 0);
}

#[test]
fn a_silent_target_does_not_delay_another() {
    let silent = Target::new(|_, connection| connection.wait_for_end());
    let target = Target::answering(OK);
    let mut sending = Sending::new(DispatchSettings { workers: 1, ..settings() });
    sending.pool.send((0..300).map(|number| attempt(&silent.url(), number)).collect::<Vec<_>>());
    sending.pool.send(vec![attempt(&target.url(), 1_000)]);
    let report = sending.reports(1).remove(0);
    assert_eq!((report.handle.slot, report.outcome), (1_000, Outcome::Answered(200)));
    assert_eq!(sending.sum(|worker| worker.in_flight), 300);
}

#[test]
fn a_connection_that_nobody_accepts_times_out() {
    // A queue of one, filled: the system leaves further connections without any reply.
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let filling: Vec<_> =
        (0..4).map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100))).collect();
    let mut sending = Sending::new(DispatchSettings { connect_timeout: Duration::from_millis(200), ..settings() });
    let outcome = sending.outcome(&format!("http://{address}/"));
    assert_eq!(outcome, Outcome::TimedOut("not connected within 200 ms".to_owned()));
    drop((filling, listener));
}

#[test]
fn nothing_is_begun_once_the_lease_has_ended_but_alerts() {
    let target = Target::answering(OK);
    let mut sending = Sending::new(settings());
    assert_eq!(sending.post(&target.url()).outcome, Outcome::Answered(200), "at first it lasts for ever");
    sending.pool.lease().set(MonoUs(0));
    // Once on the connection that rests, then on a new one.
    for _ in 0..2 {
        let report = sending.post(&target.url());
        assert_eq!((report.outcome, report.was_sent), (Outcome::Withheld, false));
    }
    sending.pool.send([alert(&target.url(), 1, "{}", Duration::from_secs(10))]);
    let told = sending.any_reports(1).remove(0);
    assert!(matches!(&told, ErrandReport::Alert(report) if report.outcome == Outcome::Answered(200)), "{told:?}");
    sending.pool.lease().set(MonoUs(u64::MAX));
    assert_eq!(sending.post(&target.url()).outcome, Outcome::Answered(200));
}
