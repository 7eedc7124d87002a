//! What happens to attempts when a worker's driver panics.

use std::io::{Read, Write};
use std::net::TcpListener;

use mio::Registry;

use super::super::driver::Setup;
use super::super::head::Heads;
use super::super::resolver::{Resolver, WakeWorker};
use super::super::tls::Trust;
use super::*;
use crate::core::{
    Class, Delivery, Endpoint, ExecutionId, Handle, Instant, JobId, JobKey, JobSpec, Kind, Outcome, Seq, WallUs,
};
use crate::schedule::{Schedule, Zone};

fn attempt(url: &str, seq: u64) -> Attempt {
    let id = JobId::new(JobKey(1), [1; 10]);
    let instant = Instant::from_secs(10);
    let spec = JobSpec {
        id,
        revision: 1,
        schedule: Arc::new(Schedule::parse("* * * * * *", Zone::Utc, instant).unwrap()),
        anchor: instant,
        endpoint: Endpoint::parse(url).unwrap(),
        delivery: Delivery::AtLeastOnce,
        misfire: None,
        active: true,
        created_at: WallUs(0),
        updated_at: WallUs(0),
    };
    let handle = Handle { slot: 0, seq: Seq(seq) };
    let id = ExecutionId { job: id, instant, kind: Kind::Scheduled, number: 0 };
    Attempt { handle, number: 1, id, class: Class::OnTime, spec: Arc::new(spec) }
}

fn driver(registry: &Registry) -> Driver {
    let wake: WakeWorker = Arc::new(|_| ());
    Driver::new(Setup {
        worker: 0,
        registry: registry.try_clone().unwrap(),
        resolver: Resolver::start(|_| Ok(Vec::new()), &wake, || ()).unwrap(),
        trust: Arc::new(Trust::new(&[]).unwrap()),
        counters: Arc::default(),
        heads: Heads::new(http::HeaderValue::from_static("test")),
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
    })
}

fn outcomes(driver: &mut Driver) -> Vec<(u64, Outcome)> {
    driver.reports.drain(..).map(|report| (report.handle.seq.0, report.outcome)).collect()
}

#[test]
fn a_panic_is_an_outcome_for_all_that_was_taken_up_and_the_worker_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut poll = Poll::new().unwrap();
    let mut driver = driver(poll.registry());
    driver.inbox.extend([1, 2].map(|seq| attempt(&url, seq)));
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
    let target = std::thread::spawn(move || {
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
        driver.held.check();
    }
    assert_eq!(outcomes(&mut driver), [(3, Outcome::Answered(200))]);
    target.join().unwrap();
}

#[test]
fn a_worker_that_cannot_go_on_reports_what_it_holds_and_not_what_it_reported() {
    let poll = Poll::new().unwrap();
    let mut driver = driver(poll.registry());
    driver.inbox.push_back(attempt("http://127.0.0.1:1/", 1));
    driver.take_up();
    driver.serve_all();
    driver.open_some(false);
    driver.abandon("no events");
    driver.abandon("no events");
    let reports = outcomes(&mut driver);
    assert_eq!(reports.len(), 1, "{reports:?}");
}
