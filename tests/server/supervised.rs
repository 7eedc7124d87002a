//! What whoever started the server hears of it, as systemd does: ready, alive, reading again, stopping, and how it stands.
//! It must not test what happens then: that is systemd's.

use std::process::Command;
use std::time::Duration;

use super::support::receiver::{Receiver, Script};
use super::support::server::{Server, command};
use super::support::service::Notified;
use super::support::until;
use super::tls::Files;
use super::{once_at, this_second, with_few_workers};

fn told(notified: &Notified, folder: &tempfile::TempDir, flags: &[&str]) -> Command {
    let mut command = command(&with_few_workers(flags));
    command.arg("--db").arg(folder.path().join("p.db")).args(["--listen", "http://127.0.0.1:0", "--log", "error"]);
    command.env("NOTIFY_SOCKET", notified.path());
    command
}

#[test]
fn it_is_ready_once_it_answers_and_tells_how_it_stands_until_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let notified = Notified::new(folder.path());
    let server = Server::spawn(told(&notified, &folder, &[]));
    server.api.create("@daily", "http://a/");
    assert_eq!(notified.next(), "READY=1\nSTATUS=0 jobs, 0 active; 0 executions in flight", "before anything else");
    server.stop();
    let stopping = notified.next_with("STOPPING=1");
    assert!(stopping.contains("STATUS=stopping"), "{stopping}");

    // What was loaded is told at once.
    let server = Server::spawn(told(&notified, &folder, &[]));
    assert_eq!(notified.next_with("READY=1"), "READY=1\nSTATUS=1 job, 1 active; 0 executions in flight");
    server.stop();
}

#[test]
fn a_watchdog_hears_of_each_turn_in_time_while_the_loop_turns_and_of_none_while_it_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let notified = Notified::new(folder.path());
    let mut command = told(&notified, &folder, &[]);
    command.env("WATCHDOG_USEC", "400000");
    let server = Server::spawn(command);
    // Nothing is due, and nobody asks: the loop turns for this alone.
    for _ in 0..5 {
        notified.next_with("WATCHDOG=1");
    }
    server.signal("STOP");
    // What was said before comes first.
    let silence = Duration::from_millis(800);
    until("it is silent", || notified.try_next(silence).is_none().then_some(()));
    server.signal("CONT");
    notified.next_with("WATCHDOG=1");
    server.stop();
    notified.next_with("STOPPING=1");
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let folder = tempfile::tempdir().expect("a folder");
    let notified = Notified::new(folder.path());
    let mut command = told(&notified, &folder, &[]);
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let server = Server::spawn(command);
    server.stop();
    let mut said = vec![notified.next()];
    while !said.last().expect("there is one").contains("STOPPING=1") {
        said.push(notified.next());
    }
    assert!(said.iter().all(|message| !message.contains("WATCHDOG")), "{said:?}");
}

#[test]
fn reading_again_is_told_with_its_end_and_ends_no_service() {
    let files = Files::new();
    files.certify();
    let (cert, key) = (files.text("cert.pem"), files.text("key.pem"));
    let tls = ["--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    for flags in [&[][..], &tls] {
        let folder = tempfile::tempdir().expect("a folder");
        let notified = Notified::new(folder.path());
        let server = Server::spawn(told(&notified, &folder, flags));
        notified.next_with("READY=1");
        for _ in 0..2 {
            server.signal("HUP");
            let reloading = notified.next_with("RELOADING=1");
            let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
            assert!(since.and_then(|since| since.parse::<u64>().ok()).is_some_and(|since| since > 0), "{reloading}");
            assert_eq!(notified.next_with("READY=1"), "READY=1");
        }
        assert_eq!(server.api.get("/api/health")["status"], "healthy");
        server.stop();
    }
}

#[test]
fn stopping_is_told_before_what_is_in_flight_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let notified = Notified::new(folder.path());
    let receiver = Receiver::start();
    receiver.script("/slow", Script::Hang);
    let server = Server::spawn(told(&notified, &folder, &["--drain-ms", "60000"]));
    server.api.create(&once_at(this_second() + 3), &receiver.url("/slow"));
    until("a POST", || receiver.posts_to("/slow").pop());
    server.signal("TERM");
    notified.next_with("STOPPING=1");
    assert_eq!(server.api.send("GET", "/api/health", None).status, 503, "it still drains");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn what_the_environment_says_and_cannot_mean_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let notified = Notified::new(folder.path());
    for (name, value) in [("NOTIFY_SOCKET", "nowhere"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "1s")] {
        let mut command = told(&notified, &folder, &[]);
        command.env(name, value);
        let refused = Server::refused(command);
        assert_eq!((refused.code, refused.stderr.lines().count()), (Some(2), 1), "{}", refused.stderr);
        assert!(refused.stderr.contains(name) && refused.stderr.contains("expected"), "{}", refused.stderr);
        assert!(!folder.path().join("p.db").exists(), "nothing was made");
    }
}
