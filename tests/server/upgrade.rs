//! One server after the other on the same file and the same sockets: no instant of any job is missed, and none comes twice.
//! How late they are depends on the machine: it is measured and told, and asserted where that is asked for.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::api::{Api, job};
use super::support::receiver::{Post, Receiver};
use super::support::server::{Server, command};
use super::support::service::inheriting;
use super::support::{until, wall_us};

const RESTARTS: u32 = 5;

/// Jobs that are due every second, each with a path of its own.
fn create(api: &Api, jobs: usize, receiver: &Receiver) {
    let line = |number| json!({ "create": job("* * * * * *", &receiver.url(&format!("/{number}"))) });
    let lines: String = (0..jobs).map(|number| format!("{}\n", line(number))).collect();
    let answer = api.send_with("POST", "/api/jobs/batch", &[("Content-Type", "application/x-ndjson")], Some(&lines));
    assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(jobs)), "{}", answer.text);
}

/// What came so far: for each job its seconds, each with how often and how late at most in microseconds.
#[derive(Default)]
struct Came(BTreeMap<String, BTreeMap<i64, (u32, i64)>>);

impl Came {
    fn take(&mut self, receiver: &Receiver) {
        for Post { path, second, at_us, .. } in receiver.take_posts() {
            let came = self.0.entry(path.clone()).or_default();
            let (count, late_us) = came.entry(second).or_default();
            assert!(at_us >= second * 1_000_000, "early: {path} at {at_us}");
            *count += 1;
            *late_us = (at_us - second * 1_000_000).max(*late_us);
        }
    }

    /// The latest second of the job that is furthest behind; None before all have come.
    fn through(&self, jobs: usize) -> Option<i64> {
        let last = self.0.values().filter_map(|seconds| seconds.keys().next_back().copied());
        last.min().filter(|_| self.0.len() == jobs)
    }
}

#[test]
fn no_second_is_lost_over_five_restarts() {
    // With a number of jobs, as of a release build on a machine that is quick enough, what users are promised: by the default
    // policy, and less than a second late. Otherwise every second is run, however long a restart takes.
    let asked = std::env::var("PUNCTUAL_UPGRADE_JOBS").ok().map(|text| text.parse().expect("a number of jobs"));
    let (jobs, misfire) = asked.map_or((20, "all"), |jobs: usize| (jobs, "once"));
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let start = || {
        let mut command = command(&["--misfire", misfire, "--log", "error", "--db"]);
        command.arg(folder.path().join("p.db"));
        Server::spawn(inheriting(&command, vec![listener.try_clone().expect("it can be cloned").into()]))
    };
    let (receiver, mut came) = (Receiver::start(), Came::default());
    let mut server = start();
    create(&server.api, jobs, &receiver);
    for restart in 0..=RESTARTS {
        let since = wall_us() / 1_000_000;
        until("all jobs have gone on", || {
            came.take(&receiver);
            came.through(jobs).filter(|&through| through > since)
        });
        if restart == RESTARTS {
            break;
        }
        // Each time in another part of a second, and once right before a full one.
        let phase_us = i64::from(restart) * 240_000;
        let at = (wall_us() / 1_000_000 + 1) * 1_000_000 + phase_us;
        until("its time has come", || (wall_us() >= at).then_some(()));
        let begin = Instant::now();
        server.stop();
        let stopped = begin.elapsed();
        server = start();
        println!("restart at .{:03}: stopped in {stopped:?}, serves after {:?}", phase_us / 1_000, begin.elapsed());
    }
    server.stop();
    came.take(&receiver);
    let (mut missed, mut doubled, mut late_us) = (Vec::new(), Vec::new(), 0);
    for (job, seconds) in &came.0 {
        let (first, last) = (seconds.keys().next(), seconds.keys().next_back());
        let (first, last) = (*first.expect("it came"), *last.expect("it came"));
        missed.extend((first..=last).filter(|second| !seconds.contains_key(second)).map(|second| (job, second)));
        doubled.extend(seconds.iter().filter(|(_, (count, _))| *count > 1).map(|(second, _)| (job, second)));
        late_us = seconds.values().map(|(_, late_us)| *late_us).max().unwrap_or_default().max(late_us);
    }
    let late = Duration::from_micros(u64::try_from(late_us).expect("nothing is early"));
    let posts: usize = came.0.values().map(BTreeMap::len).sum();
    println!(
        "{jobs} jobs, {posts} POSTs, {} missed, {} doubled, the latest {late:?} late",
        missed.len(),
        doubled.len()
    );
    assert!(missed.is_empty(), "missed: {missed:?}");
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    if asked.is_some() {
        assert!(late < Duration::from_secs(1), "the latest is {late:?} late");
    }
}
