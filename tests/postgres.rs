//! The real binary on a real PostgreSQL: what clients see is as with a file, whatever of the two is killed.

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use punctual::clock;
use punctual::postgres::{Connection, Url};
use serde_json::json;
use support::api::Answer;
use support::history::{settled, span_of};
use support::postgres::{Options, Postgres};
use support::receiver::{Receiver, Script};
use support::server::{Server, command};
use support::{until, wall_us};

/// A server on this database.
fn serve(url: &str, flags: &[&str]) -> Server {
    Server::spawn(on(url, flags))
}

fn on(url: &str, flags: &[&str]) -> std::process::Command {
    let mut command = command(&["--listen", "127.0.0.1:0", "--log", "error"]);
    command.args(flags).env("PUNCTUAL_STORE", url).env("PUNCTUAL_NODE", "first");
    command
}

fn now_s() -> i64 {
    wall_us() / 1_000_000
}

/// Waits until this second is over by a while, on the clock that schedules go by.
fn until_second(second: i64) {
    while wall_us() < second * 1_000_000 + 500_000 {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How often each instant of a path arrived; none early.
fn arrived(receiver: &Receiver) -> HashMap<(String, i64), usize> {
    let mut arrived = HashMap::new();
    for post in receiver.posts() {
        assert!(post.at_us >= post.second * 1_000_000, "{post:?} came early");
        *arrived.entry((post.path, post.second)).or_default() += 1;
    }
    arrived
}

#[test]
fn every_instant_arrives_once_over_a_stop_and_a_start() {
    let Some(url) = Postgres::database() else { return };
    let receiver = Receiver::start();
    let server = serve(&url, &[]);
    let ids: Vec<String> =
        (0..20).map(|job| server.api.create("* * * * * *", &receiver.url(&format!("/{job}")))).collect();
    let first = now_s() + 2;
    until_second(first + 4);
    server.stop();
    let again = serve(&url, &[]);
    assert!(
        again.greeting.contains("(20 jobs loaded)") && again.greeting.contains("as the node first"),
        "{}",
        again.greeting
    );
    assert!(!again.greeting.contains("planted"), "the password is not shown: {}", again.greeting);
    let resumed = now_s() + 2;
    until_second(resumed + 4);
    for id in &ids {
        let rows = settled(&again.api, id, first..=resumed + 3);
        let successes = rows.iter().filter(|row| row["status"] == "SUCCESS").count();
        assert!(successes >= 8, "{rows:?}");
    }
    again.stop();
    let url = Url::parse(&url).expect("it is the URL of a database");
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let mut connection = Connection::connect(&url, soon()).expect("it listens");
    let count = "SELECT count(*), sum(CASE status WHEN 0 THEN 1 END), (SELECT sum(success) FROM job_totals)::int8 FROM job_executions";
    let found = connection.query(count, &[], soon()).expect("it can be read");
    let [all, success, counted] =
        [0, 1, 2].map(|column| found.first().and_then(|row| row.i64(column)).expect("a number"));
    assert!(all >= 20 * 8 && success == counted, "{all} rows, {success} of them succeeded, {counted} are counted");
    let arrived = arrived(&receiver);
    for job in 0..20 {
        for second in (first..first + 4).chain(resumed..resumed + 4) {
            assert_eq!(arrived.get(&(format!("/{job}"), second)), Some(&1), "job {job} at {second}");
        }
    }
    assert!(arrived.values().all(|count| *count == 1), "an instant arrived twice: {arrived:?}");
}

#[test]
fn what_a_node_had_that_is_killed_another_one_goes_on_with() {
    let Some(url) = Postgres::database() else { return };
    let receiver = Receiver::start();
    let first = serve(&url, &[]);
    let second = serve(&url, &["--node", "second"]);
    let paths: Vec<String> = (0..12).map(|job| format!("/{job}")).collect();
    let ids: Vec<String> = (paths.iter().enumerate())
        .map(|(job, path)| if job % 2 == 0 { &first } else { &second }.api.create("* * * * * *", &receiver.url(path)))
        .collect();
    // Any node takes a change of any job.
    for (id, path) in ids.iter().zip(&paths) {
        for node in [&first, &second] {
            let answer = node.api.send("PATCH", &format!("/api/jobs/{id}"), Some(r#"{"tags":["moved"]}"#));
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }
    let begun = now_s() + 2;
    until_second(begun + 2);
    second.kill();
    let resumed = now_s() + 6;
    until_second(resumed + 1);
    let arrived = arrived(&receiver);
    for (id, path) in ids.iter().zip(&paths) {
        let rows = settled(&first.api, id, begun..=resumed);
        for at in begun..=resumed {
            let was_sent = rows.iter().any(|row| span_of(row) == (at..=at) && row["status"] == "SUCCESS");
            assert!(was_sent, "{path}: {at} is in no row: {rows:?}");
            assert!(arrived.contains_key(&(path.clone(), at)), "{path}: {at}: {arrived:?}");
        }
    }
    first.stop();
}

#[test]
fn a_request_that_is_repeated_under_its_key_is_answered_the_same_by_every_node_even_if_the_job_is_gone() {
    let Some(url) = Postgres::database() else { return };
    let receiver = Receiver::start();
    let nodes = [serve(&url, &[]), serve(&url, &["--node", "second"])];
    let settled = || nodes.iter().all(|node| node.api.get("/api/nodes")["unownedShards"] == 0);
    until("every shard is some node's", || settled().then_some(()));
    for (number, node) in nodes.iter().enumerate() {
        let id = node.api.create("@yearly", &receiver.url("/x"));
        let (path, key) = (format!("/api/jobs/{id}/pause"), format!("k-{number}"));
        let keyed = [("Idempotency-Key", key.as_str())];
        // While shards go from one node to the other it may have to be tried again.
        let pause = |node: &Server| {
            until("some node has the job", || {
                let answer = node.api.send_with("POST", &path, &keyed, None);
                (answer.status != 503).then_some(answer)
            })
        };
        let paused = pause(node);
        assert_eq!(paused.status, 200, "{paused:?}");
        assert_eq!(node.api.send("DELETE", &format!("/api/jobs/{id}"), None).status, 204);
        for other in &nodes {
            let again = pause(other);
            assert_eq!((again.status, &again.text), (200, &paused.text), "{again:?}");
            assert_eq!(again.header("idempotency-replayed"), "true");
            for key in [&[][..], &[("Idempotency-Key", "another")]] {
                let unknown = until("the nodes have settled", || {
                    let answer = other.api.send_with("POST", &path, key, None);
                    (answer.status != 503).then_some(answer)
                });
                assert_eq!(unknown.status, 404, "{unknown:?}");
            }
        }
    }
    nodes.into_iter().for_each(Server::stop);
}

/// A key for secrets, in this folder.
fn key(folder: &Path) -> String {
    let path = folder.join("key").to_str().expect("a text").to_owned();
    assert_eq!(Server::refused(command(&["secrets", "init", &path])).code, Some(0));
    path
}

#[test]
fn a_node_that_lacks_the_key_of_secrets_ends_by_itself_and_others_have_what_it_had() {
    let Some(url) = Postgres::database() else { return };
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (key, log) = (key(folder.path()), folder.path().join("log"));
    // As long as there is no secret nobody misses the key.
    let mut without_key = on(&url, &["--node", "second"]);
    without_key.stderr(std::fs::File::create(&log).expect("a file"));
    let mut second = Server::spawn_quietly(without_key);
    let first = serve(&url, &["--secrets-key", &key]);
    let third = serve(&url, &["--secrets-key", &key, "--node", "third"]);
    let of_three = |node: usize| first.api.get("/api/nodes")["nodes"][node]["shards"].as_u64().unwrap_or_default();
    until("each has its share", || (0..3).all(|node| of_three(node) >= 80).then_some(()));
    let body = |path: &str| {
        let api = receiver.url(path);
        json!({ "schedule": "* * * * * *", "api": api, "type": "ATLEAST_ONCE", "auth": { "bearer": "b" } }).to_string()
    };
    let create = || first.api.send("POST", "/api/jobs", Some(&body("/sealed")));
    // Those that the other node would have to seal it refuses. So many that each of the others gets one.
    for _ in 0..40 {
        until("a job with a secret is made", || (create().status == 201).then_some(()));
    }
    assert!(second.ended().is_none(), "it serves what it can read");
    first.stop();
    let status = until("the node ends that cannot read what it takes over", || second.ended());
    assert_eq!(status.code(), Some(1));
    let said = std::fs::read_to_string(&log).expect("a text");
    assert!(said.contains("it holds secrets, and no key was given; --secrets-key FILE names it"), "{said}");
    let begun = now_s() + 2;
    let goes_on = || arrived(&receiver).keys().any(|(_, second)| *second >= begun).then_some(());
    until("its jobs go on", goes_on);
    third.stop();
}

#[test]
fn a_node_that_lacks_the_key_of_secrets_and_is_alone_goes_on_with_what_it_can_read() {
    let Some(url) = Postgres::database() else { return };
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().expect("a folder");
    let key = key(folder.path());
    let mut without_key = serve(&url, &["--node", "second"]);
    let first = serve(&url, &["--secrets-key", &key]);
    let has_half = || without_key.api.get("/api/nodes")["nodes"][1]["shards"] == 128;
    until("each has its share", || has_half().then_some(()));
    // Each node makes jobs in what it has.
    without_key.api.create("* * * * * *", &receiver.url("/a"));
    let sealed = json!({
        "schedule": "@yearly", "api": receiver.url("/x"), "type": "ATLEAST_ONCE", "auth": { "bearer": "b" },
    });
    let create = || first.api.send("POST", "/api/jobs", Some(&sealed.to_string()));
    until("a job with a secret is made", || (create().status == 201).then_some(()));
    first.stop();
    let health = until("it says what it lacks", || {
        let health = without_key.api.send("GET", "/api/health", None);
        health.text.contains("no key was given").then_some(health)
    });
    assert_eq!((health.status, without_key.api.send("GET", "/readyz", None).status), (503, 200), "{health:?}");
    assert!(without_key.ended().is_none());
    let begun = now_s() + 2;
    let goes_on = || arrived(&receiver).keys().any(|(_, second)| *second >= begun).then_some(());
    until("jobs that it had go on", goes_on);
    without_key.stop();
}

#[test]
fn jobs_that_cannot_be_read_make_the_node_unhealthy_until_they_can() {
    let Some(url) = Postgres::database() else { return };
    let receiver = Receiver::start();
    let server = serve(&url, &[]);
    let id = server.api.create("* * * * * *", &receiver.url("/a"));
    server.stop();
    let parsed = Url::parse(&url).expect("it is the URL of a database");
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let mut connection = Connection::connect(&parsed, soon()).expect("it listens");
    let mut set = |schedule: &str| {
        connection
            .execute(
                "UPDATE jobs SET definition = jsonb_set(definition::jsonb, '{schedule}', to_jsonb($1::text))",
                &[&schedule],
                soon(),
            )
            .expect("it can be written");
    };
    set("no schedule");
    let server = serve(&url, &[]);
    let health = until("it says what it cannot read", || {
        let health = server.api.send("GET", "/api/health", None);
        health.text.contains("jobs that it takes over cannot be read").then_some(health)
    });
    let which = format!("job {id}: schedule: expected 5, 6 or 7 fields separated by spaces, got 2");
    assert!(health.status == 503 && health.text.contains(&which), "{health:?}");
    set("* * * * * *");
    until("it goes on", || (server.api.send("GET", "/api/health", None).status == 200).then_some(()));
    let begun = now_s() + 2;
    let fires = || arrived(&receiver).keys().any(|(_, second)| *second >= begun).then_some(());
    until("the job fires", fires);
    assert!(server.api.get(&format!("/api/jobs/{id}")).to_string().contains("* * * * * *"));
    server.stop();
}

#[test]
fn a_database_that_is_killed_and_comes_back_costs_nothing_that_was_acknowledged() {
    let Some(mut postgres) = Postgres::start(&Options::default()) else { return };
    let url = postgres.new_database();
    let receiver = Receiver::start();
    let server = serve(&url, &[]);
    let id = server.api.create("* * * * * *", &receiver.url("/a"));
    let first = now_s() + 2;
    until_second(first + 2);
    postgres.kill();
    let mut asked: Vec<(String, Answer)> = Vec::new();
    let refused = until("a change is refused while the database is away", || {
        let url = receiver.url(&format!("/asked-{}", asked.len()));
        let body = json!({ "schedule": "@yearly", "api": url, "type": "ATLEAST_ONCE" }).to_string();
        let answer = server.api.send("POST", "/api/jobs", Some(&body));
        let retry_after = (answer.status == 503).then(|| answer.header("retry-after").to_owned());
        asked.push((url, answer));
        retry_after
    });
    assert!(refused.parse::<u32>().is_ok(), "{refused:?}");
    assert_eq!(server.api.send("GET", "/api/health", None).status, 503);
    postgres.start_again();
    until("writing works again", || (server.api.send("GET", "/api/health", None).status == 200).then_some(()));
    let resumed = now_s() + 2;
    until_second(resumed + 2);
    let rows = settled(&server.api, &id, first..=resumed + 1);
    for second in first..=resumed + 1 {
        assert!(rows.iter().any(|row| span_of(row).contains(&second)), "{second} is in no row: {rows:?}");
    }
    let arrived = arrived(&receiver);
    for second in (first..first + 2).chain(resumed..resumed + 2) {
        assert!(arrived.contains_key(&("/a".to_owned(), second)), "{second}: {arrived:?}");
    }
    let jobs = server.api.get("/api/jobs").to_string();
    for (url, answer) in asked {
        // Of a change that was on its way when the database was killed nobody knows for a while, and the answer says so.
        let is_open = answer.text.contains("whether it will be is not known");
        let is_there = jobs.contains(&format!("{url}\""));
        assert!(is_open || is_there == (answer.status == 201), "{url} was answered {answer:?}: {jobs}");
    }
    server.stop();
}

#[test]
fn alerts_incidents_keys_and_series_are_kept_as_in_a_file() {
    let Some(url) = Postgres::database() else { return };
    let receiver = Receiver::start();
    receiver.script("/down", Script::Status(500));
    let server = serve(&url, &["--retries", "0"]);
    let failing = server.api.create("* * * * * *", &receiver.url("/down"));
    let body = json!({ "schedule": "@yearly", "api": receiver.url("/x"), "type": "ATLEAST_ONCE" }).to_string();
    let keyed = [("Idempotency-Key", "k-1")];
    let created = server.api.send_with("POST", "/api/jobs", &keyed, Some(&body));
    assert_eq!(created.status, 201, "{created:?}");
    let incidents = until("an incident is opened", || {
        let found = server.api.get(&format!("/api/incidents?job={failing}"));
        found["incidents"].as_array().filter(|found| !found.is_empty()).cloned()
    });
    server.stop();
    let again = serve(&url, &["--retries", "0"]);
    let found = again.api.get(&format!("/api/incidents?job={failing}"));
    assert_eq!(found["incidents"][0]["id"], incidents[0]["id"], "{found}");
    assert!(again.api.get("/api/alerts")["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()));
    let answered = again.api.send_with("POST", "/api/jobs", &keyed, Some(&body));
    assert_eq!(answered.json()["id"], created.json()["id"], "the same request is answered once");
    let series = again.api.get(&format!("/api/jobs/{failing}/series?step=1h"));
    let failed: u64 =
        series["points"].as_array().expect("points").iter().filter_map(|point| point["failed"].as_u64()).sum();
    assert!(failed >= 1, "{series}");
    again.stop();
}
