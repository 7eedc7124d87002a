//! Sending while this process may open no more files. Alone in its process, as that limit is everybody's.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use punctual::core::{Attempt, Class, ErrandReport, ExecutionId, Handle, Kind, Outcome, Report, Seq};
use punctual::dispatch::{Allowlist, DispatchSettings, Pool};
use punctual::job::{JobId, JobKey, Post, TargetUrl};
use punctual::time::Instant;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn attempt(url: &str, number: u32) -> Attempt {
    let id = JobId::new(JobKey(7), [1; 10]);
    let instant = Instant::from_secs(1_767_229_831);
    let post = Arc::new(Post::to(TargetUrl::parse(url).unwrap()));
    let handle = Handle { slot: number, seq: Seq(u64::from(number)) };
    let id = ExecutionId { job: id, instant, kind: Kind::Scheduled, number: 0 };
    Attempt { handle, number: 1, id, class: Class::OnTime, epoch: 0, post: post.into() }
}

fn reports(pool: &mut Pool, bell: &Receiver<()>, count: usize) -> Vec<Report> {
    let mut reports = Vec::new();
    while reports.len() < count {
        bell.recv_timeout(Duration::from_secs(20)).unwrap();
        pool.receive(count - reports.len(), &mut reports);
    }
    let report = |report| match report {
        ErrandReport::Execution(report) | ErrandReport::Trial(report) => report,
        ErrandReport::Alert(report) => panic!("nobody sent an alert: {report:?}"),
        ErrandReport::Message(report) => panic!("nobody sent a message: {report:?}"),
    };
    reports.into_iter().map(report).collect()
}

/// Serves connections one after the other, so that it needs one file only; each for as many requests as come.
/// Its second part hears of each connection that both ends have closed.
fn target() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (closed, hears) = unbounded();
    std::thread::spawn(move || {
        loop {
            let Ok((mut socket, _)) = listener.accept() else {
                std::thread::yield_now();
                continue;
            };
            let mut request = [0; 4096];
            while matches!(socket.read(&mut request), Ok(len) if len > 0) {
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap_or_default();
            }
            drop(socket);
            // The test may be over by now.
            closed.send(()).unwrap_or_default();
        }
    });
    (url, hears)
}

#[test]
fn no_more_files() {
    let (ring, bell) = unbounded();
    let settings = DispatchSettings {
        workers: 1,
        in_flight_max: 1_000,
        idle_max: 1_000,
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        user_agent: "test".to_owned(),
        targets: Allowlist::default(),
        extra_roots: Vec::new(),
    };
    let mut pool = Pool::start(settings, Arc::new(move || ring.send(()).unwrap())).unwrap();
    let ((first, first_closed), (second, _)) = (target(), target());
    // An attempt with TLS needs the machine's certificates, so that after it nobody reads files any more.
    pool.send(vec![attempt(&first.replace("http:", "https:"), 1)]);
    assert!(matches!(reports(&mut pool, &bell, 1)[0].outcome, Outcome::ConnectionFailed(_)));
    // Its files, here and at the target, are free again: or they would be while there are to be none.
    first_closed.recv_timeout(Duration::from_secs(20)).unwrap();
    let limit = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();

    // No file at all: a failure, at once, and not the target's.
    pool.send(vec![attempt(&first, 1)]);
    let failed = reports(&mut pool, &bell, 1);
    assert_eq!(failed[0].outcome, Outcome::ConnectionFailed("too many open files".to_owned()));

    // A file for one connection (the target's end has its file since it waits for it): many attempts share it.
    files.pop();
    pool.send((0..100).map(|number| attempt(&first, number)));
    for report in reports(&mut pool, &bell, 100) {
        assert_eq!(report.outcome, Outcome::Answered(200));
    }
    assert_eq!(pool.stats().workers[0].connections, 1);

    // Another target needs the file: the connection that rests gives way.
    pool.send(vec![attempt(&second, 1)]);
    let answered = reports(&mut pool, &bell, 1);
    assert_eq!(answered[0].outcome, Outcome::Answered(200));
    assert_eq!(pool.stats().workers[0].connections, 1);
}
