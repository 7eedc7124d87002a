//! Owns the tests of a driver without its thread: what a panic costs, whose turn it is, what is given up when.
//! It must not wait for time to pass.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use mio::Registry;

use super::super::allowlist::Allowlist;
use super::super::driver::Setup;
use super::super::flight::TimeLimits;
use super::super::head::Heads;
use super::super::resolver::{Lookup, Resolver, System, WakeWorker};
use super::super::trust::Trust;
use super::*;
use crate::core::{AlertAttempt, Attempt, Class, ExecutionId, Handle, Kind, Outcome, Report, Seq};
use crate::job::{JobId, JobKey, Post, TargetUrl};
use crate::limits::ADDRESS_HEAD_START;
use crate::limits::{OPENINGS_PER_BUSY_TURN, OPENINGS_PER_TURN};
use crate::time::Instant;

fn attempt(url: &str, seq: u64) -> Errand {
    let id = JobId::new(JobKey(1), [1; 10]);
    let instant = Instant::from_secs(10);
    let post = Arc::new(Post::to(TargetUrl::parse(url).unwrap()));
    let handle = Handle { slot: 0, seq: Seq(seq) };
    let id = ExecutionId { job: id, instant, kind: Kind::Scheduled, number: 0 };
    Errand::Execution(Attempt { handle, number: 1, id, class: Class::OnTime, epoch: 0, post: post.into() })
}

fn alert(url: &str, seq: u64) -> Errand {
    let post = Arc::new(Post::to(TargetUrl::parse(url).unwrap()));
    Errand::Alert(AlertAttempt { seq: Seq(seq), number: 1, post })
}

fn driver(registry: &Registry) -> Driver {
    driver_with(registry, Arc::new(|_| Ok(Vec::new())), Arc::new(|_| ()))
}

/// One whose names are looked up like this.
fn driver_with(registry: &Registry, system: System, wake: WakeWorker) -> Driver {
    let resolver = Resolver::start(system, Allowlist::default(), &wake, || ()).unwrap();
    let trust = Arc::new(Trust::new(&[]).unwrap());
    let heads = Heads::new(http::HeaderValue::from_static("test"));
    let limits = TimeLimits { whole: Duration::from_secs(10), connect: Duration::from_secs(10) };
    Driver::new(Setup::new(0, registry.try_clone().unwrap(), resolver, trust, heads, limits, 1_000))
}

fn outcomes(driver: &mut Driver) -> Vec<(u64, Outcome)> {
    let outcome = |report| match report {
        ErrandReport::Execution(report) | ErrandReport::Trial(report) => (report.handle.seq.0, report.outcome),
        ErrandReport::Alert(report) => (report.seq.0, report.outcome),
        ErrandReport::Message(report) => panic!("nobody sent a message: {report:?}"),
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
fn what_is_nobodys_any_more_is_given_up_at_once_wherever_it_is() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let mut poll = Poll::new().unwrap();
    let mut driver = driver(poll.registry());
    // One is asked, one is being connected, one is not taken up; alerts are whoever's is the server.
    driver.inbox.push_back(attempt(&url, 1));
    let mut events = Events::with_capacity(16);
    while driver.board.flights.iter().all(|(_, flight)| flight.link.is_none()) {
        turn(&mut driver, &events, false);
        poll.poll(&mut events, driver.patience()).unwrap();
    }
    driver.inbox.extend([attempt(&url, 2), alert(&url, 10)]);
    driver.take_up();
    driver.inbox.extend([attempt(&url, 3), alert(&url, 11)]);
    driver.give_up();
    driver.board.check();
    let ended = outcomes(&mut driver);
    let mut seqs: Vec<u64> = ended.iter().map(|(seq, _)| *seq).collect();
    seqs.sort_unstable();
    assert_eq!((seqs, driver.inbox.len(), driver.board.flights.len()), (vec![1, 2, 3], 1, 1), "{ended:?}");
    driver.give_up();
    assert!(driver.reports.is_empty());
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

/// A driver, its poll, and the end by which lookups wake it.
struct Running {
    poll: Poll,
    driver: Driver,
    resolved: crossbeam_channel::Receiver<()>,
}

impl Running {
    fn new(system: System) -> Running {
        let poll = Poll::new().unwrap();
        let (woken, resolved) = crossbeam_channel::unbounded();
        let waker = Waker::new(poll.registry(), MAILBOX).unwrap();
        let wake: WakeWorker = Arc::new(move |_| {
            woken.send(()).unwrap_or_default();
            waker.wake().unwrap();
        });
        let driver = driver_with(poll.registry(), system, wake);
        Running { poll, driver, resolved }
    }

    /// Begins with this attempt.
    fn begin(&mut self, url: &str) {
        self.driver.inbox.push_back(attempt(url, 1));
        turn(&mut self.driver, &Events::with_capacity(1), false);
    }

    /// Goes on until there is a report.
    fn report(&mut self) -> Report {
        let mut events = Events::with_capacity(16);
        while self.driver.reports.is_empty() {
            self.poll.poll(&mut events, self.driver.patience()).unwrap();
            turn(&mut self.driver, &events, self.resolved.try_recv().is_ok());
            self.driver.board.check();
        }
        match self.driver.reports.pop().unwrap() {
            ErrandReport::Execution(report) | ErrandReport::Trial(report) => report,
            ErrandReport::Alert(report) => panic!("nobody sent an alert: {report:?}"),
            ErrandReport::Message(report) => panic!("nobody sent a message: {report:?}"),
        }
    }

    fn post(&mut self, url: &str) -> Report {
        self.begin(url);
        self.report()
    }

    /// Goes on until nothing drains.
    fn drain(&mut self) {
        let mut events = Events::with_capacity(16);
        while !self.driver.board.draining.is_empty() {
            self.poll.poll(&mut events, self.driver.patience()).unwrap();
            turn(&mut self.driver, &events, false);
            self.driver.board.check();
        }
    }

    fn connections(&self) -> u64 {
        self.driver.setup.counters.read(0, 0).connections
    }

    fn opened(&self) -> u64 {
        self.driver.setup.counters.read(0, 0).opened
    }
}

/// Listens on this address and answers once on each connection.
fn answering(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut request = [0; 4096];
            if socket.read(&mut request).unwrap_or(0) > 0 {
                let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                socket.write_all(answer).unwrap_or_default();
            }
        }
    });
    address
}

/// Listens on this address, but the system leaves connections without any reply; as long as this is kept.
fn silent(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &address).unwrap();
    listen(&socket, 0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let filling = std::iter::from_fn(connect).collect();
    (listener, filling)
}

#[test]
fn an_address_that_does_not_answer_costs_a_head_start_once() {
    let [first, second] = [[127, 0, 0, 2], [127, 0, 0, 3]].map(IpAddr::from);
    let target = answering(SocketAddr::new(second, 0));
    let held = silent(SocketAddr::new(first, target.port()));
    let mut running = Running::new(Arc::new(move |_| Ok(vec![first, second])));
    let url = format!("http://two.test:{}/", target.port());
    let head_start = i64::try_from(ADDRESS_HEAD_START.as_micros()).unwrap();

    let before = clock::now().wall;
    let report = running.post(&url);
    assert_eq!(report.outcome, Outcome::Answered(200));
    assert_eq!(running.opened(), 2);
    // The first byte is sent after that, and the duration does not leave it out.
    assert!(report.dispatched.since_us(before) >= head_start, "{report:?}");
    assert!((head_start.unsigned_abs()..3_000_000).contains(&report.duration_us), "{report:?}");

    // From then on the other address comes first, also for those who forgot the target.
    assert_eq!(running.post(&url).outcome, Outcome::Answered(200));
    assert_eq!(running.opened(), 3);
    assert_eq!(running.driver.setup.resolver.lookup("two.test", 0), Lookup::Known([second, first].into()));
    drop(held);
}

#[test]
fn addresses_that_refuse_are_passed_over_at_once_and_the_last_one_says_why() {
    let [first, second] = [[127, 0, 0, 2], [127, 0, 0, 3]].map(IpAddr::from);
    let target = answering(SocketAddr::new(second, 0));
    let mut running = Running::new(Arc::new(move |host| match host {
        "one.test" => Ok(vec![first, second]),
        _ => Ok(vec![first, first, [127, 0, 0, 4].into()]),
    }));
    let report = running.post(&format!("http://one.test:{}/", target.port()));
    assert_eq!(report.outcome, Outcome::Answered(200));
    assert!(report.duration_us < u64::try_from(ADDRESS_HEAD_START.as_micros()).unwrap(), "{report:?}");
    let before = clock::now().wall;
    let report = running.post(&format!("http://none.test:{}/", target.port()));
    assert_eq!(report.outcome, Outcome::ConnectionFailed("connection refused".to_owned()));
    assert!(report.dispatched >= before, "it counts from when it was given up");
    assert_eq!(running.opened(), 4);
}

#[test]
fn an_address_that_connects_and_speaks_no_tls_comes_last_the_next_time() {
    let [first, second] = [[127, 0, 0, 2], [127, 0, 0, 3]].map(IpAddr::from);
    let target = answering(SocketAddr::new(first, 0));
    let port = target.port();
    answering(SocketAddr::new(second, port));
    let mut running = Running::new(Arc::new(move |_| Ok(vec![first, second])));
    running.driver.setup.limits.connect = Duration::from_millis(300);
    let url = format!("https://two.test:{port}/");
    for (opened, order) in [(1, [second, first]), (2, [first, second])] {
        let failed = running.post(&url).outcome;
        assert!(matches!(&failed, Outcome::ConnectionFailed(why) if why.starts_with("TLS: ")), "{failed:?}");
        assert_eq!(running.driver.setup.resolver.lookup("two.test", 0), Lookup::Known(order.into()));
        assert_eq!(running.opened(), opened);
    }
    // One that says nothing at all does so, too, once its time is up.
    let silent = TcpListener::bind((first, 0)).unwrap();
    let url = format!("https://silent.test:{}/", silent.local_addr().unwrap().port());
    assert_eq!(running.post(&url).outcome, Outcome::TimedOut("no TLS connection within 300 ms".to_owned()));
    assert_eq!(running.driver.setup.resolver.lookup("silent.test", 0), Lookup::Known([second, first].into()));
}

#[test]
fn an_attempt_that_is_given_up_closes_all_that_was_being_made_for_it() {
    let addresses = [[127, 0, 0, 2], [127, 0, 0, 3]].map(IpAddr::from);
    let first = silent(SocketAddr::new(addresses[0], 0));
    let port = first.0.local_addr().unwrap().port();
    let second = silent(SocketAddr::new(addresses[1], port));
    let mut running = Running::new(Arc::new(move |_| Ok(addresses.to_vec())));
    running.driver.setup.limits.connect = Duration::from_millis(400);
    let report = running.post(&format!("http://silent.test:{port}/"));
    assert_eq!(report.outcome, Outcome::TimedOut("not connected within 400 ms".to_owned()));
    let stats = running.driver.setup.counters.read(0, 0);
    assert_eq!((stats.opened, stats.connections), (2, 0));
    drop((first, second));
}

#[test]
fn what_is_late_because_of_a_name_shows_in_the_dispatch() {
    let target = answering(SocketAddr::from(([127, 0, 0, 1], 0)));
    let (release, released) = crossbeam_channel::bounded::<()>(0);
    let mut running = Running::new(Arc::new(move |host| {
        released.recv().unwrap_or_default();
        match host {
            "late.test" => Ok(vec![[127, 0, 0, 1].into()]),
            _ => Err(io::Error::other("no such host")),
        }
    }));
    for (host, answered) in [("late.test", true), ("none.test", false)] {
        running.begin(&format!("http://{host}:{}/", target.port()));
        let resolved = clock::now().wall;
        release.send(()).unwrap();
        let report = running.report();
        assert_eq!(report.outcome == Outcome::Answered(200), answered, "{report:?}");
        assert!(report.dispatched >= resolved, "{report:?}");
    }
}

/// A target whose connections follow a script, one after the other; its URL.
fn scripted(script: impl Fn(usize, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, socket) in listener.incoming().enumerate() {
            script(number, &mut socket.unwrap());
        }
    });
    url
}

/// Reads one request, which comes in one piece.
fn read(socket: &mut TcpStream) -> usize {
    socket.read(&mut [0; 4096]).unwrap_or(0)
}

#[test]
fn a_body_that_comes_late_delays_no_report_and_its_connection_is_used_again() {
    let (go_on, gone_on) = crossbeam_channel::bounded::<()>(0);
    let url = scripted(move |_, socket| {
        while read(socket) > 0 {
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").unwrap();
            gone_on.recv().unwrap_or_default();
            socket.write_all(b"body").unwrap_or_default();
        }
    });
    let mut running = Running::new(Arc::new(|_| Ok(Vec::new())));
    for _ in 0..3 {
        assert_eq!(running.post(&url).outcome, Outcome::Answered(200));
        assert_eq!(running.driver.board.draining.len(), 1);
        go_on.send(()).unwrap();
        running.drain();
    }
    assert_eq!((running.opened(), running.connections()), (1, 1));
}

#[test]
fn a_body_that_never_ends_is_given_up_and_so_is_its_connection() {
    let url = scripted(|_, socket| {
        read(socket);
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo").unwrap();
        read(socket);
    });
    let mut running = Running::new(Arc::new(|_| Ok(Vec::new())));
    let report = running.post(&url);
    assert_eq!(report.outcome, Outcome::Answered(200));
    running.drain();
    assert_eq!((running.opened(), running.connections()), (1, 0));
}

#[test]
fn what_a_target_says_to_a_resting_connection_is_no_answer_to_the_next_request() {
    for unasked in [
        &b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 500 Injected\r\nContent-Length: 0\r\n\r\n",
        b"x",
    ] {
        let (say, told) = crossbeam_channel::bounded::<()>(0);
        let (said, heard) = crossbeam_channel::bounded::<()>(0);
        let url = scripted(move |number, socket| {
            read(socket);
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            if number == 0 {
                told.recv().unwrap();
                socket.write_all(unasked).unwrap();
                said.send(()).unwrap();
                read(socket);
            }
        });
        let mut running = Running::new(Arc::new(|_| Ok(Vec::new())));
        assert_eq!(running.post(&url).outcome, Outcome::Answered(200));
        say.send(()).unwrap();
        heard.recv().unwrap();
        // It is there, and no event has told of it.
        assert_eq!(running.post(&url).outcome, Outcome::Answered(200), "{}", unasked.escape_ascii());
        assert_eq!(running.opened(), 2);
    }
}

#[test]
fn what_comes_with_the_end_of_the_handshake_is_read_in_the_same_turn() {
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ServerConfig, ServerConnection};
    let made = rcgen::generate_simple_self_signed(vec!["some.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key));
    let mut config = config.unwrap();
    // The answer follows the server's part of the handshake at once, and after it comes nothing.
    (config.send_half_rtt_data, config.send_tls13_tickets) = (true, 0);
    let config = Arc::new(config);
    let url = scripted(move |_, socket| {
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        session.read_tls(socket).unwrap();
        session.process_new_packets().unwrap();
        session.writer().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        // In one piece, so that whoever reads the end of the handshake has read the answer.
        let mut all = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut all).unwrap();
        }
        socket.write_all(&all).unwrap();
        while read(socket) > 0 {}
    });
    let url = url.replace("http://127.0.0.1", "https://some.test");
    let mut running = Running::new(Arc::new(|_| Ok(vec![[127, 0, 0, 1].into()])));
    running.driver.setup.trust = Arc::new(Trust::new(made.cert.pem().as_bytes()).unwrap());
    running.begin(&url);
    let mut events = Events::with_capacity(16);
    let is_secured = |driver: &Driver| driver.board.links.iter().any(|(_, link)| link.is_ready());
    while !is_secured(&running.driver) && running.driver.reports.is_empty() {
        running.poll.poll(&mut events, running.driver.patience()).unwrap();
        turn(&mut running.driver, &events, running.resolved.try_recv().is_ok());
    }
    assert_eq!(outcomes(&mut running.driver), [(1, Outcome::Answered(200))]);
}
