//! The real binary against a real receiver: every instant once, none early, over a stop and a start.

mod support;

use std::collections::HashMap;

use support::receiver::Receiver;
use support::server::Server;
use support::{until, wall_us};

/// A number from the environment, for wider runs.
fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn every_instant_of_every_job_arrives_once_and_none_early() {
    let jobs = size("PUNCTUAL_TEST_JOBS", 100);
    let seconds = size("PUNCTUAL_TEST_SECONDS", 6) as i64;
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let receiver = Receiver::start();
    let server = Server::start(&db, &[]);
    let ids: Vec<String> =
        (0..jobs).map(|number| server.api.create("* * * * * *", &receiver.url(&format!("/{number}")))).collect();
    let first = wall_us() / 1_000_000 + 2;
    until_second(first + seconds);
    server.stop();
    let stopped = wall_us() / 1_000_000;

    let again = Server::start(&db, &[]);
    assert!(again.greeting.contains(&format!("({jobs} jobs loaded)")), "{}", again.greeting);
    let resumed = wall_us() / 1_000_000 + 2;
    until_second(resumed + seconds);
    again.stop();

    let mut arrived: HashMap<(String, i64), Vec<String>> = HashMap::new();
    for post in receiver.posts() {
        assert!(post.at_us >= post.second * 1_000_000, "{post:?} came early");
        arrived.entry((post.path, post.second)).or_default().push(post.key);
    }
    for (number, _) in ids.iter().enumerate() {
        // From the last job's creation to the stop, and from the new start to its end: every second.
        for second in (first..first + seconds).chain(resumed..resumed + seconds) {
            let keys = arrived.get(&(format!("/{number}"), second)).map_or(0, Vec::len);
            assert_eq!(keys, 1, "job {number} at {second} (stopped at {stopped})");
        }
    }
    assert!(arrived.values().all(|keys| keys.len() == 1), "an instant arrived twice");
    let last = Server::start(&db, &["--misfire", "skip"]);
    let history = last.api.executions(&ids[0]);
    let success = history.iter().filter(|execution| execution["status"] == "SUCCESS").count() as i64;
    assert!(success >= 2 * seconds, "{success} of {} executions are in the history", 2 * seconds);
}

/// Waits until this second is over by a while, on the clock that schedules go by.
fn until_second(second: i64) {
    while wall_us() < second * 1_000_000 + 500_000 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_greeting_leads_to_a_job_that_fires() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    let server = Server::start(&folder.path().join("p.db"), &[]);
    assert!(server.greeting.contains("(0 jobs loaded)") && server.greeting.contains("curl -X POST"));
    let id = server.api.create("@every 1s", &receiver.url("/foo"));
    let posts = until("three POSTs", || Some(receiver.posts_to("/foo")).filter(|posts| posts.len() >= 3));
    assert_eq!((posts[0].body.as_str(), posts[0].attempt, posts[0].late), ("{}", 1, false));
    assert_eq!(posts[0].headers["content-type"], "application/json");
    assert_eq!(posts[0].headers["punctual-job-id"], id);
    assert_eq!(posts[0].key, format!("{id}-{}", posts[0].second));
    server.stop();
}
