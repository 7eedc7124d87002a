//! Owns the faults around the real binary: the process is frozen, the disk is full, the store is locked, receivers hang
//! or hang up, a burst is too large, the webhook is down. No instant may be lost in any of them.
//! It must not kill at random: `crash.rs` does.

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use support::api::{Api, job};
use support::history::{instant_of, settled, span_of};
use support::preloaded::library;
use support::receiver::{Receiver, Script};
use support::server::{Server, command};
use support::{second_of, until, wall_us};

const EVERY_SECOND: &str = "* * * * * *";

fn now_s() -> i64 {
    wall_us() / 1_000_000
}

/// Waits until this second is over, on the clock that schedules go by.
fn until_second(second: i64) {
    until("the clock goes on", || (now_s() > second).then_some(()));
}

/// How often each instant came to a path.
fn arrivals(receiver: &Receiver, path: &str) -> HashMap<i64, usize> {
    let mut arrivals = HashMap::new();
    for post in receiver.posts_to(path) {
        *arrivals.entry(post.second).or_default() += 1;
    }
    arrivals
}

#[test]
fn a_frozen_process_loses_no_instant() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    let server = Server::start(&folder.path().join("p.db"), &[]);
    let id = server.api.create(EVERY_SECOND, &receiver.url("/frozen"));
    let from = now_s() + 1;
    until("it fires", || (receiver.posts_to("/frozen").len() >= 2).then_some(()));
    server.signal("STOP");
    std::thread::sleep(Duration::from_secs(10));
    server.signal("CONT");
    let to = now_s() + 2;
    let rows = settled(&server.api, &id, from..=to);
    let covering: Vec<_> = rows.iter().filter(|row| row["covers"].is_object()).collect();
    assert_eq!(covering.len(), 1, "what had no row when it froze is covered by one: {covering:?}");
    assert_eq!(covering[0]["late"], "missed");
    assert_eq!(covering[0]["covers"]["count"], span_of(covering[0]).count());
    let arrived = arrivals(&receiver, "/frozen");
    assert!(arrived.values().all(|&times| times == 1), "no crash, no repeat: {arrived:?}");
    for row in &rows {
        assert_eq!(row["status"], "SUCCESS");
        assert!(arrived.contains_key(&instant_of(row)), "{row} did not arrive");
    }
}

/// Whether what limits the size of files is here; says so if not.
fn can_limit() -> bool {
    let runs = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        command.args([argument, "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let can = runs("sh", "-c") && runs("prlimit", "--fsize=unlimited");
    if !can {
        println!("skipped: it needs sh and prlimit");
    }
    can
}

fn limit_files(server: &Server, limit: &str) {
    let mut command = Command::new("prlimit");
    let limited = command.arg("--pid").arg(server.id().to_string()).arg(format!("--fsize={limit}:unlimited")).status();
    assert!(limited.expect("it is there").success());
}

/// A client that creates jobs all the time, and remembers those that were acknowledged.
struct Creating {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Creating {
    fn start(api: &Api, url: String) -> Creating {
        let (api, done, begun) = (api.clone(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_done, has_begun) = (Arc::clone(&done), Arc::clone(&begun));
        let thread = std::thread::spawn(move || {
            let (mut acknowledged, mut refused) = (Vec::new(), 0);
            while !is_done.load(Ordering::SeqCst) {
                let answer = api.send("POST", "/api/jobs", Some(&job("@yearly", &url).to_string()));
                match answer.status {
                    201 => {
                        acknowledged.push(answer.json()["jobId"].as_str().expect("it is a text").to_owned());
                        begun.store(true, Ordering::SeqCst);
                    }
                    503 => refused += 1,
                    status => panic!("{status}: {}", answer.text),
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(!acknowledged.is_empty() && refused > 0, "{} and {refused}", acknowledged.len());
            acknowledged
        });
        until("the first is acknowledged", || has_begun.load(Ordering::SeqCst).then_some(()));
        Creating { done, thread }
    }

    fn stop(self) -> Vec<String> {
        self.done.store(true, Ordering::SeqCst);
        self.thread.join().expect("every answer is 201 or 503")
    }
}

fn wal_of(db: &Path) -> PathBuf {
    db.with_extension("db-wal")
}

#[test]
fn a_full_disk_is_told_survived_and_recovered_from() {
    if !can_limit() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let receiver = Receiver::start();
    // A write beyond the limit shall fail, not kill.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(command(&[]).get_program());
    limited.arg("--db").arg(&db).args(["--listen", "127.0.0.1:0", "--log", "error"]).stdin(Stdio::null());
    let server = Server::spawn(limited);
    let id = server.api.create(EVERY_SECOND, &receiver.url("/full"));
    let from = now_s() + 1;
    until("it fires", || (receiver.posts_to("/full").len() >= 2).then_some(()));

    let creating = Creating::start(&server.api, receiver.url("/rare"));
    let size = |path: &Path| std::fs::metadata(path).expect("it is there").len();
    limit_files(&server, &(size(&wal_of(&db)).max(size(&db)) + 4096).to_string());
    let health = until("health says that the store cannot be written", || {
        Some(server.api.send("GET", "/api/health", None)).filter(|health| health.status == 503)
    });
    assert!(health.text.contains("cannot be written"), "{}", health.text);
    let body = job(EVERY_SECOND, &receiver.url("/refused")).to_string();
    for (method, path) in [("POST", "/api/jobs".to_owned()), ("PUT", format!("/api/jobs/{id}"))] {
        let refused = server.api.send(method, &path, Some(&body));
        assert_eq!(refused.status, 503, "{method}: {}", refused.text);
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(server.api.send("DELETE", &format!("/api/jobs/{id}"), None).status, 503);
    assert_eq!(server.api.get(&format!("/api/jobs/{id}"))["api"], receiver.url("/full"));
    assert!(!server.api.executions(&id).is_empty(), "history can be read");
    until_second(now_s() + 3);

    limit_files(&server, "unlimited");
    until("health is well again", || (server.api.send("GET", "/api/health", None).status == 200).then_some(()));
    let other = server.api.create(EVERY_SECOND, &receiver.url("/after"));
    let mut acknowledged = creating.stop();
    acknowledged.extend([id.clone(), other]);
    acknowledged.sort();
    let to = now_s() + 1;
    let rows = settled(&server.api, &id, from..=to);
    assert!(rows.iter().all(|row| row["status"] == "SUCCESS"), "{rows:?}");
    server.kill();

    let again = Server::start(&db, &[]);
    let jobs = again.api.pages("/api/jobs?limit=1000", "jobs");
    let mut ids: Vec<_> = jobs.iter().map(|job| job["jobId"].as_str().expect("it is a text").to_owned()).collect();
    ids.sort();
    assert_eq!(ids, acknowledged, "what was acknowledged is there, what was refused is not");
    settled(&again.api, &id, from..=now_s());
    assert!(receiver.posts_to("/refused").is_empty());
    let arrived = arrivals(&receiver, "/full");
    assert!(rows.iter().all(|row| arrived.contains_key(&instant_of(row))), "{arrived:?}");
}

#[test]
fn a_locked_store_delays_changes_but_not_what_is_armed() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let receiver = Receiver::start();
    let server = Server::start(&db, &[]);
    let id = server.api.create(EVERY_SECOND, &receiver.url("/locked"));
    let from = now_s() + 1;
    until("it fires", || (receiver.posts_to("/locked").len() >= 2).then_some(()));
    let other = rusqlite::Connection::open(&db).expect("it can be opened");
    other.busy_timeout(Duration::from_secs(5)).expect("it can wait");

    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free between batches");
    let locked = wall_us();
    let (api, url) = (server.api.clone(), receiver.url("/waited"));
    let creating = std::thread::spawn(move || (api.create(EVERY_SECOND, &url), wall_us()));
    std::thread::sleep(Duration::from_secs(3));
    assert!(!creating.is_finished(), "a change is not answered before it is on disk");
    let released = wall_us();
    other.execute_batch("ROLLBACK").expect("it holds the lock");
    let (waited, answered) = creating.join().expect("the create succeeds");
    assert!(answered >= released);
    // The row of the next second was on disk already.
    let next = locked / 1_000_000 + 1;
    let posts = receiver.posts_to("/locked");
    let armed = posts.iter().find(|post| post.second == next);
    assert!(armed.is_some_and(|post| post.at_us < released), "{next} did not wait for the lock: {posts:?}");
    assert_eq!(server.api.get(&format!("/api/jobs/{waited}"))["jobId"], waited);
    settled(&server.api, &id, from..=now_s());

    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free between batches");
    let health = until("health says that the store does not answer", || {
        Some(server.api.send("GET", "/api/health", None)).filter(|health| health.status == 503)
    });
    assert!(health.text.contains("the store has not answered for"), "{}", health.text);
    other.execute_batch("ROLLBACK").expect("it holds the lock");
    until("health is well again", || (server.api.send("GET", "/api/health", None).status == 200).then_some(()));
    let rows = settled(&server.api, &id, from..=now_s() + 1);
    assert!(rows.iter().all(|row| row["status"] == "SUCCESS"), "{rows:?}");
    let arrived = arrivals(&receiver, "/locked");
    assert!(arrived.values().all(|&times| times == 1), "{arrived:?}");
}

#[test]
fn a_receiver_that_never_answers_fails_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hanging, well) = (Receiver::start(), Receiver::start());
    hanging.script("/hang", Script::Hang);
    let flags = ["--timeout-ms", "500", "--retries", "1", "--retry-delay-ms", "100"];
    let server = Server::start(&folder.path().join("p.db"), &flags);
    let hang = server.api.create(EVERY_SECOND, &hanging.url("/hang"));
    let fine = server.api.create(EVERY_SECOND, &well.url("/fine"));
    let from = now_s() + 1;
    until_second(from + 4);
    for row in settled(&server.api, &hang, from..=from + 3) {
        assert_eq!((&row["status"], &row["retryCount"]), (&"FAILED".into(), &1.into()), "{row}");
        let error = row["errorMessage"].as_str().expect("it is a text");
        assert!(error.contains("500 ms"), "{error:?} speaks of the time limit");
    }
    let attempts = arrivals(&hanging, "/hang");
    assert!((from..=from + 3).all(|second| attempts[&second] == 2), "{attempts:?}");
    for row in settled(&server.api, &fine, from..=from + 3) {
        assert_eq!((&row["status"], &row["retryCount"]), (&"SUCCESS".into(), &0.into()), "{row}");
        assert!(row["covers"].is_null(), "{row}");
    }
    let arrived = arrivals(&well, "/fine");
    assert!((from..=from + 3).all(|second| arrived[&second] == 1), "{arrived:?}");
}

#[test]
fn a_receiver_that_closes_connections_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    let server = Server::start(&folder.path().join("p.db"), &[]);
    let jobs: Vec<String> = (0..5)
        .map(|number| {
            let path = format!("/close/{number}");
            receiver.script(&path, Script::Close);
            server.api.create(EVERY_SECOND, &receiver.url(&path))
        })
        .collect();
    let from = now_s() + 1;
    until_second(from + 5);
    for id in &jobs {
        let rows = settled(&server.api, id, from..=from + 4);
        assert_eq!(rows.len(), 5, "each second has a row of its own");
        assert!(rows.iter().all(|row| row["status"] == "SUCCESS"), "{rows:?}");
    }
}

#[test]
fn what_a_burst_leaves_too_late_is_skipped_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    let flags = ["--max-in-flight", "2", "--max-lateness-ms", "1000"];
    let server = Server::start(&folder.path().join("p.db"), &flags);
    let jobs: Vec<(String, String)> = (0..12)
        .map(|number| {
            let path = format!("/burst/{number}");
            receiver.script(&path, Script::SlowMs(300));
            (server.api.create(EVERY_SECOND, &receiver.url(&path)), path)
        })
        .collect();
    let from = now_s() + 1;
    until_second(from + 4);
    for (id, path) in &jobs {
        let mut paused = job(EVERY_SECOND, &receiver.url(path));
        paused["active"] = false.into();
        let answer = server.api.send("PUT", &format!("/api/jobs/{id}"), Some(&paused.to_string()));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let mut counts = HashMap::new();
    for (id, path) in &jobs {
        let arrived = arrivals(&receiver, path);
        for row in settled(&server.api, id, from..=from + 4) {
            let status = row["status"].as_str().expect("it is a text").to_owned();
            if status == "SKIPPED" {
                let reason = row["reason"].as_str().expect("it is a text");
                assert!(reason.contains("maximum lateness"), "{reason:?}");
                assert!(!arrived.contains_key(&instant_of(&row)), "{row} was sent");
                assert!(row["executedTime"].is_null());
            }
            *counts.entry(status).or_insert(0) += 1;
        }
    }
    assert!(counts["SUCCESS"] > 0 && counts["SKIPPED"] > 0 && counts.len() == 2, "{counts:?}");
    until("nothing is PENDING for ever", || {
        server.api.pages("/api/executions?status=PENDING&limit=100", "executions").is_empty().then_some(())
    });
}

#[test]
fn an_alert_that_was_not_delivered_outlives_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let receiver = Receiver::start();
    receiver.script("/fails", Script::Status(500));
    receiver.script("/hook", Script::Status(503));
    let hook = receiver.url("/hook");
    let flags = ["--retries", "0", "--alert-webhook", &hook];
    let server = Server::start(&db, &flags);
    let id = server.api.create("@every 2s", &receiver.url("/fails"));
    let alert = until("a delivery fails", || {
        let alerts = server.api.pages("/api/alerts?limit=100", "alerts");
        alerts.into_iter().find(|alert| alert["delivery"]["attempts"].as_u64().is_some_and(|tries| tries > 0))
    });
    assert_eq!(alert["delivery"]["status"], "PENDING");
    server.kill();
    let before = receiver.posts_to("/hook").len();

    receiver.script("/hook", Script::Status(200));
    let again = Server::start(&db, &flags);
    let told = until("the alert is delivered", || {
        let posts = receiver.posts_to("/hook").split_off(before);
        let bodies = posts.iter().map(|post| serde_json::from_str(&post.body).expect("it is JSON"));
        bodies.into_iter().find(|body: &serde_json::Value| body["executionId"] == alert["executionId"])
    });
    assert_eq!((&told["type"], &told["jobId"]), (&"JOB_FAILURE".into(), &id.into()));
    assert_eq!(second_of(told["timestamp"].as_str().expect("a time")), second_of(alert["timestamp"].as_str().unwrap()));
    until("the alert log says so", || {
        let alerts = again.api.pages("/api/alerts?limit=100", "alerts");
        let same = alerts.iter().find(|other| other["alertId"] == alert["alertId"]).expect("it is kept");
        (same["delivery"]["status"] == "DELIVERED").then_some(())
    });
}

#[test]
fn a_change_that_a_crash_may_bring_to_light_is_not_called_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(library) = library(folder.path(), "faults/sync.c") else { return };
    let (db, trigger) = (folder.path().join("p.db"), folder.path().join("fail"));
    let exists = |server: &Server, id: &str| server.api.send("GET", &format!("/api/jobs/{id}"), None).status == 200;
    for round in 0..3 {
        let mut faulty = command(&["--log", "error"]);
        faulty.arg("--db").arg(&db).args(["--listen", "127.0.0.1:0"]);
        faulty.env("LD_PRELOAD", &library).env("SYNC_FAULT", &trigger);
        let server = Server::spawn(faulty);
        let kept = server.api.create("@yearly", "http://127.0.0.1:1/kept");
        let before = server.api.pages("/api/jobs", "jobs").len();

        std::fs::write(&trigger, "").expect("it can be made");
        let created = server.api.send("POST", "/api/jobs", Some(&job("@yearly", "http://127.0.0.1:1/new").to_string()));
        assert!(!trigger.exists(), "the fault took place");
        std::fs::write(&trigger, "").expect("it can be made");
        let deleted = server.api.send("DELETE", &format!("/api/jobs/{kept}"), None);
        assert!(!trigger.exists(), "the fault took place");
        server.kill();

        let again = Server::start(&db, &[]);
        let is_there = again.api.pages("/api/jobs", "jobs").len() + usize::from(deleted.status == 204) > before;
        let says_not = |text: &str| text.contains("nothing has changed");
        match created.status {
            201 => assert!(is_there, "round {round}: an acknowledged creation is gone"),
            503 => assert!(!(says_not(&created.text) && is_there), "round {round}: a refused creation exists"),
            status => panic!("{status}: {}", created.text),
        }
        match deleted.status {
            204 => assert!(!exists(&again, &kept), "round {round}: an acknowledged deletion did not happen"),
            503 => {
                assert!(!says_not(&deleted.text) || exists(&again, &kept), "round {round}: a refused deletion deleted");
            }
            status => panic!("{status}: {}", deleted.text),
        }
        again.stop();
    }
}
