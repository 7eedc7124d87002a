//! Owns the tests of a driver without its thread: what a panic costs, whose turn it is, what is given up when.
//! It must not wait for time to pass.

use std::io::{Read, Write};
use std::net::TcpListener;

use mio::Registry;

use super::super::driver::Setup;
use super::super::flight::TimeLimits;
use super::super::head::Heads;
use super::super::resolver::{Resolver, WakeWorker};
use super::super::tls::Trust;
use super::*;
use crate::core::{AlertAttempt, Attempt, Class, ExecutionId, Handle, Kind, Outcome, Seq};
use crate::job::{JobId, JobKey, Post, TargetUrl};
use crate::limits::{OPENINGS_PER_BUSY_TURN, OPENINGS_PER_TURN};
use crate::time::Instant;

fn attempt(url: &str, seq: u64) -> Errand {
    let id = JobId::new(JobKey(1), [1; 10]);
    let instant = Instant::from_secs(10);
    let post = Arc::new(Post::to(TargetUrl::parse(url).unwrap()));
    let handle = Handle { slot: 0, seq: Seq(seq) };
    let id = ExecutionId { job: id, instant, kind: Kind::Scheduled, number: 0 };
    Errand::Execution(Attempt { handle, number: 1, id, class: Class::OnTime, post })
}

fn alert(url: &str, seq: u64) -> Errand {
    let post = Arc::new(Post::to(TargetUrl::parse(url).unwrap()));
    Errand::Alert(AlertAttempt { seq: Seq(seq), number: 1, post })
}

fn driver(registry: &Registry) -> Driver {
    let wake: WakeWorker = Arc::new(|_| ());
    let resolver = Resolver::start(|_| Ok(Vec::new()), &wake, || ()).unwrap();
    let trust = Arc::new(Trust::new(&[]).unwrap());
    let heads = Heads::new(http::HeaderValue::from_static("test"));
    let limits = TimeLimits { whole: Duration::from_secs(10), connect: Duration::from_secs(10) };
    Driver::new(Setup::new(0, registry.try_clone().unwrap(), resolver, trust, heads, limits))
}

fn outcomes(driver: &mut Driver) -> Vec<(u64, Outcome)> {
    let outcome = |report| match report {
        ErrandReport::Execution(report) => (report.handle.seq.0, report.outcome),
        ErrandReport::Alert(report) => (report.seq.0, report.outcome),
    };
    driver.reports.drain(..).map(outcome).collect()
}

#[test]
fn a_panic_is_an_outcome_for_all_that_was_taken_up_and_the_worker_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut poll = Poll::new().unwrap();
    let mut driver = driver(poll.registry());
    driver.inbox.extend([attempt(&url, 1), alert(&url, 2)]);
    guarded(&mut driver, |driver| {
        driver.take_up();
        driver.serve_all();
        driver.open_some(false);
        driver.inbox.push_back(attempt(&url, 3));
        panic!("planted");
    });
    let failed = outcomes(&mut driver);
    assert_eq!(failed.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2]);
    assert!(failed.iter().all(|(_, outcome)| matches!(outcome, Outcome::WorkerFailed(_))), "{failed:?}");
    let stats = driver.setup.counters.read(0, 0);
    assert_eq!((stats.connections, stats.opened, stats.faults), (0, 2, 1));

    // What was not taken up goes on as if nothing had happened.
    let peer = std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut request = [0; 4096];
            if socket.read(&mut request).unwrap_or(0) > 0 {
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                return;
            }
        }
    });
    let mut events = Events::with_capacity(16);
    guarded(&mut driver, |driver| turn(driver, &events, false));
    while driver.reports.is_empty() {
        poll.poll(&mut events, driver.patience()).unwrap();
        guarded(&mut driver, |driver| turn(driver, &events, false));
        driver.board.check();
    }
    assert_eq!(outcomes(&mut driver), [(3, Outcome::Answered(200))]);
    peer.join().unwrap();
}

#[test]
fn a_worker_that_cannot_go_on_reports_what_it_holds_and_not_what_it_reported() {
    let poll = Poll::new().unwrap();
    let mut driver = driver(poll.registry());
    driver.inbox.push_back(attempt("http://127.0.0.1:1/", 1));
    driver.inbox.push_back(alert("http://127.0.0.1:1/", 2));
    driver.take_up();
    driver.serve_all();
    driver.open_some(false);
    driver.abandon("no events");
    driver.abandon("no events");
    let reports = outcomes(&mut driver);
    assert_eq!(reports.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn connections_of_silent_targets_come_behind_everything_else() {
    let [silent, well] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [silent_url, well_url] = [&silent, &well].map(|listener| format!("http://{}/", listener.local_addr().unwrap()));
    let mut poll = Poll::new().unwrap();
    let mut driver = driver(poll.registry());
    let opened = |driver: &Driver| driver.setup.counters.read(0, 0).opened;
    let per_turn = u64::from(OPENINGS_PER_TURN);

    // While nothing is known of a target, a turn opens a share of what it wants.
    driver.inbox.extend((0..32).map(|seq| attempt(&silent_url, seq)));
    driver.take_up();
    driver.serve_all();
    driver.open_some(true);
    assert_eq!(opened(&driver), per_turn);
    let mut events = Events::with_capacity(64);
    while driver.board.waiting > 0 || driver.board.links.iter().any(|(_, link)| !link.is_ready()) {
        poll.poll(&mut events, driver.patience()).unwrap();
        turn(&mut driver, &events, false);
    }
    assert_eq!(opened(&driver), 32);

    // It has not answered for a second: others go first, and in a busy turn it gets hardly anything.
    driver.waited = MonoUs(driver.waited.0 + 1_000_000);
    driver.inbox.extend((100..140).map(|seq| attempt(&silent_url, seq)));
    driver.inbox.extend((200..203).map(|seq| attempt(&well_url, seq)));
    driver.take_up();
    driver.serve_all();
    driver.open_some(true);
    let of = |driver: &Driver, name: &str| {
        driver.board.peers.iter().find(|(_, peer)| name.contains(&*peer.name)).map(|(_, peer)| peer.open)
    };
    assert_eq!(of(&driver, &well_url), Some(3));
    assert_eq!(of(&driver, &silent_url), Some(32 + OPENINGS_PER_BUSY_TURN));
    driver.open_some(false);
    assert_eq!(of(&driver, &silent_url), Some(32 + OPENINGS_PER_BUSY_TURN + OPENINGS_PER_TURN));
    driver.board.check();
    drop((silent, well));
}

#[test]
fn attempts_that_end_together_are_given_up_in_portions() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let poll = Poll::new().unwrap();
    let mut driver = driver(poll.registry());
    driver.setup.limits.whole = Duration::ZERO;
    driver.inbox.extend((0..10).map(|seq| attempt(&url, seq)));
    driver.take_up();
    driver.note_time(4);
    assert_eq!(outcomes(&mut driver).len(), 4);
    assert_eq!(driver.patience(), Some(Duration::ZERO), "the others are due as well");
    driver.note_time(100);
    assert_eq!(outcomes(&mut driver).len(), 6);
    driver.board.check();
}
