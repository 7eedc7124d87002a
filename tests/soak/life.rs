//! Owns what goes on around the server of the soak: jobs that come, are changed and go, and clients that read.
//! It must not be slowed down by a server that is busy: a refusal is counted, and that is all.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::api::{Api, job};
use crate::support::receiver::Receiver;

/// Jobs that come and go are alive at once.
const ALIVE: usize = 8;
/// Between one change and the next.
const CHANGE_EVERY: Duration = Duration::from_millis(250);
/// Between one look and the next.
const LOOK_EVERY: Duration = Duration::from_millis(60);

const LOOKS: [&str; 7] = [
    "/api/jobs?limit=100",
    "/api/executions?limit=200",
    "/api/metrics",
    "/metrics",
    "/api/series",
    "/api/alerts?limit=100",
    "/api/incidents?limit=100",
];

#[derive(Default)]
struct Counts {
    created: AtomicU64,
    deleted: AtomicU64,
    refused: AtomicU64,
    looks: AtomicU64,
    streams: AtomicU64,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub created: u64,
    pub deleted: u64,
    pub refused: u64,
    pub looks: u64,
    pub streams: u64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { created, deleted, refused, looks, streams } = self;
        write!(f, "{created} jobs created, {deleted} deleted, {looks} looks, {streams} streams, {refused} refused")
    }
}

/// Threads at work until the end.
pub struct Life {
    counts: Arc<Counts>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Life {
    pub fn begin(api: &Api, receiver: &Receiver) -> Life {
        let (counts, over) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let spawn = |work: fn(&Api, &str, &Counts, &AtomicBool)| {
            let (api, url, counts, over) =
                (api.clone(), receiver.url("/passing"), Arc::clone(&counts), Arc::clone(&over));
            std::thread::spawn(move || work(&api, &url, &counts, &over))
        };
        let threads = vec![spawn(change), spawn(look), spawn(look), spawn(follow)];
        Life { counts, over, threads }
    }

    pub fn progress(&self) -> Done {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { created, deleted, refused, looks, streams } = &*self.counts;
        let (created, deleted, refused) = (of(created), of(deleted), of(refused));
        Done { created, deleted, refused, looks: of(looks), streams: of(streams) }
    }

    pub fn end(self) -> Done {
        self.over.store(true, Ordering::SeqCst);
        let done = self.progress();
        for thread in self.threads {
            thread.join().expect("it saw nothing wrong");
        }
        assert!(done.deleted > 0 && done.looks > 0 && done.streams > 0, "nothing went on: {done}");
        done
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Creates jobs, changes them, and deletes the oldest.
fn change(api: &Api, url: &str, counts: &Counts, over: &AtomicBool) {
    let mut alive = std::collections::VecDeque::new();
    while !over.load(Ordering::SeqCst) {
        let created = api.send("POST", "/api/jobs", Some(&job("* * * * * *", url).to_string()));
        if created.status == 201 {
            count(&counts.created);
            alive.push_back(created.json()["jobId"].as_str().expect("it is a text").to_owned());
        } else {
            assert_eq!(created.status, 503, "{}", created.text);
            count(&counts.refused);
        }
        if let Some(newest) = alive.back() {
            let changed = job("*/2 * * * * *", url).to_string();
            let status = api.send("PUT", &format!("/api/jobs/{newest}"), Some(&changed)).status;
            assert!(matches!(status, 200 | 503), "{status}");
        }
        if alive.len() > ALIVE {
            let oldest = alive.pop_front().expect("there are some");
            match api.send("DELETE", &format!("/api/jobs/{oldest}"), None).status {
                204 => count(&counts.deleted),
                503 => alive.push_front(oldest),
                status => panic!("{status}"),
            }
        }
        std::thread::sleep(CHANGE_EVERY);
    }
}

/// Reads what there is to read, in turn.
fn look(api: &Api, _: &str, counts: &Counts, over: &AtomicBool) {
    for path in LOOKS.iter().cycle() {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let status = api.send("GET", path, None).status;
        assert!(matches!(status, 200 | 503), "GET {path}: {status}");
        count(if status == 200 { &counts.looks } else { &counts.refused });
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Listens to what goes on for a moment, and hangs up.
fn follow(api: &Api, _: &str, counts: &Counts, over: &AtomicBool) {
    let mut buffer = [0; 4_096];
    while !over.load(Ordering::SeqCst) {
        let mut stream = TcpStream::connect(&api.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("it is a socket");
        write!(stream, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", api.address).expect("it is taken");
        if (0..6).all(|_| stream.read(&mut buffer).is_ok_and(|length| length > 0)) {
            count(&counts.streams);
        }
    }
}
