//! Owns the test of a rolling restart: one node after the other is stopped and started, and nobody notices.
//! It must not let anything go wrong beside that.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::json;

use crate::cluster::Cluster;
use crate::database::{Database, rest_ms};
use crate::number;
use crate::stage::quantiles;
use crate::support::receiver::Receiver;
use crate::support::{until, wall_us};

const NODES: usize = 3;
/// How late the latest POST may be, whatever a busy machine adds.
const LATE_MAX_US: i64 = 2_000_000;

#[test]
fn a_rolling_restart_misses_nothing_and_repeats_nothing() {
    let count = usize::try_from(number("PUNCTUAL_ROLLING_JOBS").unwrap_or(200)).expect("it is small");
    let Some(database) = Database::start() else { return };
    let receiver = Receiver::start();
    let mut cluster = Cluster::start(&database, NODES, &[]);
    for job in 0..count {
        let body = json!({
            "schedule": "* * * * * *", "api": receiver.url(&format!("/{job}")), "type": "ATLEAST_ONCE",
        });
        let api = cluster.api(job % NODES);
        until("a job can be created", || {
            (api.send("POST", "/api/jobs", Some(&body.to_string())).status == 201).then_some(())
        });
    }
    let (begin, first) = (Instant::now(), wall_us() / 1_000_000 + 6);
    rest_ms(8_000);
    let mut restarts = Vec::new();
    for place in 0..NODES {
        let (from_us, began) = (wall_us(), Instant::now());
        cluster.signal(place, "TERM");
        cluster.wait(place);
        let stopped_ms = began.elapsed().as_millis();
        rest_ms(500);
        cluster.run(place);
        eprintln!(
            "nodes: node-{place} stopped within {stopped_ms} ms, and is back after {} ms",
            began.elapsed().as_millis()
        );
        // What it is given back is part of it.
        rest_ms(2_500);
        restarts.push(from_us..wall_us());
        rest_ms(2_000);
    }
    let last = wall_us() / 1_000_000;
    rest_ms(2_500);
    let mut came: HashMap<(String, i64), Vec<i64>> = HashMap::new();
    for post in receiver.take_posts() {
        let late_us = post.at_us - post.second * 1_000_000;
        assert!(late_us >= 0, "{post:?} came early");
        came.entry((post.path, post.second)).or_default().push(late_us);
    }
    let (mut within, mut outside) = (Vec::new(), Vec::new());
    let (mut missing, mut repeated) = (Vec::new(), Vec::new());
    for job in 0..count {
        for second in first..=last {
            let key = (format!("/{job}"), second);
            match came.get(&key).map(Vec::as_slice) {
                None | Some([]) => missing.push(key),
                Some([late_us]) => {
                    let is_within = restarts.iter().any(|restart| restart.contains(&(second * 1_000_000)));
                    if is_within { &mut within } else { &mut outside }.push(*late_us);
                }
                Some([..]) => repeated.push(key),
            }
        }
    }
    let worst = within.iter().chain(&outside).max().copied().unwrap_or_default();
    println!(
        "nodes: {count} jobs of every second, {NODES} nodes restarted one after the other, {} s: {} missing, {} repeated\n  \
         late: while one restarted {}, else {}",
        begin.elapsed().as_secs(),
        missing.len(),
        repeated.len(),
        quantiles(within),
        quantiles(outside),
    );
    assert!(missing.is_empty(), "{missing:?}");
    assert!(repeated.is_empty(), "{repeated:?}");
    assert!(worst < LATE_MAX_US, "{worst} us late");
    for place in 0..NODES {
        cluster.signal(place, "TERM");
        cluster.wait(place);
    }
}
