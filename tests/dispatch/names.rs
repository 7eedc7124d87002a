//! Names: unknown ones, and those with several addresses.

use std::time::Duration;

use punctual::core::{AlertReport, ErrandReport, Outcome};

use super::support::{OK, Sending, Target, alert, attempt, settings};

#[test]
fn an_unknown_host_is_a_failure_that_names_it() {
    let mut sending = Sending::new(settings());
    let attempts = (0..50).map(|number| attempt("http://nope.invalid:8080/", number)).collect::<Vec<_>>();
    sending.pool.send(attempts);
    for report in sending.reports(50) {
        let Outcome::ConnectionFailed(why) = report.outcome else { panic!("{:?}", report.outcome) };
        assert!(why.starts_with("name not found: nope.invalid"), "{why}");
    }
    assert_eq!(sending.pool.stats().lookups, 1, "equal lookups are made once");
}

#[test]
fn addresses_that_are_never_posted_to_are_refused_however_they_are_written() {
    // On this machine 0.0.0.0 leads to loopback, so that these would be answered.
    let target = Target::answering(OK);
    let port = target.address.port();
    let mut sending = Sending::new(settings());
    for host in ["0.0.0.0", "0", "0x0", "[::ffff:0.0.0.0]", "169.254.169.254", "2852039166", "[fd00:ec2::254]"] {
        let url = format!("http://{host}:{port}/");
        let why = sending.failure(&url);
        assert!(why.contains("the address ") && why.contains(" is refused: "), "{host}: {why}");
        sending.pool.send([alert(&url, 1, "{}", Duration::from_secs(10))]);
        match sending.any_reports(1).remove(0) {
            ErrandReport::Alert(AlertReport { outcome: Outcome::ConnectionFailed(told), .. }) => assert_eq!(told, why),
            other => panic!("{other:?}"),
        }
    }
    assert!(target.requests.is_empty());
    assert_eq!(sending.outcome(&target.url()), Outcome::Answered(200));
}

#[test]
fn an_address_that_refuses_is_passed_over() {
    // `localhost` is ::1 and 127.0.0.1 on most machines, or only one of them: each target listens on one.
    let mut reached = 0;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        if std::net::TcpListener::bind(address).is_err() {
            continue;
        }
        let (target, _refusing) = alone_on_its_port(address);
        let mut sending = Sending::new(settings());
        let url = format!("http://localhost:{}/", target.address.port());
        match sending.outcome(&url) {
            Outcome::Answered(200) => {
                reached += 1;
                assert!(
                    target.requests.recv().unwrap().contains(&format!("host: localhost:{}", target.address.port()))
                );
            }
            Outcome::ConnectionFailed(why) => assert_eq!(why, "connection refused"),
            other => panic!("{other:?}"),
        }
    }
    assert!(reached > 0);
}

/// A target, and a socket that keeps its port on the other family's loopback address from all other tests: it is
/// bound but does not listen, so connections to it are refused.
fn alone_on_its_port(address: &str) -> (Target, Option<rustix::fd::OwnedFd>) {
    use rustix::net::{AddressFamily, SocketType, bind, socket};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    loop {
        let target = Target::at(address, |_, connection| connection.answer_all(OK));
        let port = target.address.port();
        let (family, other) = if target.address.is_ipv4() {
            (AddressFamily::INET6, SocketAddr::from((Ipv6Addr::LOCALHOST, port)))
        } else {
            (AddressFamily::INET, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        };
        // Without the other family nobody else can be there.
        let Ok(refusing) = socket(family, SocketType::STREAM, None) else { return (target, None) };
        match bind(&refusing, &other) {
            Ok(()) => return (target, Some(refusing)),
            // Another test has it: another port.
            Err(rustix::io::Errno::ADDRINUSE) => {}
            Err(_) => return (target, None),
        }
    }
}
