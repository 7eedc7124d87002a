//! Owns the test of incidents through kills: jobs fail and recover, silences begin and end, channels refuse and hang, and
//! the server is killed all the time. Then what the API says of incidents is held against what executions came to, and
//! what of messages against what the channels got.
//! It must not look into the server: all it knows comes through HTTP.
//!
//! `PUNCTUAL_KILLS` says how often it is killed, `PUNCTUAL_CRASH_SEED` repeats the choices of an earlier run.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::api::Api;
use support::housed::{self, House};
use support::random::Random;
use support::receiver::{Receiver, Script};
use support::server::Server;
use support::wall_us;

/// Every second server keeps house all the time.
const HOUSE: House = House { rows_per_job: 100_000, age: Duration::from_secs(86_400), retries: 0 };
const FLAGS: [&str; 6] = ["--retries", "0", "--timeout-ms", "1000", "--max-in-flight", "64"];
const JOBS: u64 = 24;
/// One that takes everything, one that refuses for a while, one that hangs for a while, one for some jobs only.
const CHANNELS: [&str; 4] = ["steady", "refusing", "hanging", "few"];
const TAGS: [&str; 2] = ["red", "blue"];
/// A digest waits for thirty seconds, and a channel that refused for long for its next try.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(180);
/// How far apart the end of an execution and what follows from it may be told, in microseconds; and the same where the
/// server was killed in between, and only the first attempt's time is known.
const SLACK_US: i64 = 1_500_000;
const SLACK_OVER_KILL_US: i64 = 20_000_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|why| panic!("{name}: {why}")))
}

fn us(text: &Value) -> i64 {
    let text = text.as_str().expect("a time");
    chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|why| panic!("{text}: {why}")).timestamp_micros()
}

fn send(api: &Api, method: &str, path: &str, body: Value) -> Value {
    let answer = api.send(method, path, Some(&body.to_string()));
    assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

#[test]
fn what_is_killed() {
    housed::serve_if_asked();
}

#[test]
fn no_incident_and_no_message_is_lost_over_kills() {
    let kills = number("PUNCTUAL_KILLS").unwrap_or(15);
    let seed = number("PUNCTUAL_CRASH_SEED").unwrap_or(wall_us().unsigned_abs());
    eprintln!("incidents: {kills} kills, PUNCTUAL_CRASH_SEED={seed}");
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let (targets, channels) = (Receiver::start(), Receiver::start());
    let jobs = set_up(&db, &targets, &channels);
    let mut got: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let begin = Instant::now();
    for kill in 1..=kills {
        let is_usual = kill.is_multiple_of(2);
        let server = if is_usual { Server::start(&db, &FLAGS) } else { housed::start(&db, HOUSE) };
        for (index, job) in (0..JOBS).zip(&jobs) {
            if random.below(2) == 0 {
                let status = if random.below(2) == 0 { 500 } else { 200 };
                targets.script(&format!("/{index}"), Script::Status(status));
            }
            if random.below(60) == 0 {
                let silence = json!({"jobId": job, "note": "a while", "endsAt": in_seconds(2 + random.below(4))});
                send(&server.api, "POST", "/api/silences", silence);
            }
        }
        if random.below(5) == 0 {
            let tag = TAGS[usize::from(random.below(2) == 0)];
            send(&server.api, "POST", "/api/silences", json!({"tag": tag, "note": "a while", "endsAt": in_seconds(3)}));
        }
        trouble(&channels, &mut random);
        acknowledge_one(&server.api, &mut random);
        std::thread::sleep(Duration::from_millis(100 + random.below(900)));
        server.kill();
        take(&channels, &mut got);
        if kill % 10 == 0 || kill == kills {
            let messages: usize = got.values().map(Vec::len).sum();
            eprintln!("incidents: {kill} kills in {} s, {messages} deliveries", begin.elapsed().as_secs());
        }
    }
    let server = Server::start(&db, &FLAGS);
    (0..JOBS).for_each(|index| targets.script(&format!("/{index}"), Script::Status(200)));
    CHANNELS.iter().for_each(|name| channels.script(&format!("/{name}"), Script::Status(200)));
    let incidents = settle(&server.api);
    take(&channels, &mut got);
    let told = assert_told(&incidents, &got);
    let failures = assert_covered(&server.api, &jobs, &incidents);
    let silent = incidents.iter().filter(|incident| incident["messageCount"] == 0).count();
    println!("incidents: {kills} kills, seed {seed}, {} s: {} incidents", begin.elapsed().as_secs(), incidents.len());
    println!("  of them {silent} in silences to their end; {failures} failures, each within an incident; {told}");
    server.stop();
}

fn in_seconds(seconds: u64) -> String {
    let at = chrono::DateTime::from_timestamp(wall_us() / 1_000_000 + seconds.cast_signed(), 0).expect("soon");
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Jobs of every second, channels, and policies: some jobs tell one channel only, and are quiet about their end.
fn set_up(db: &Path, targets: &Receiver, channels: &Receiver) -> Vec<String> {
    let server = Server::start(db, &FLAGS);
    for name in CHANNELS {
        let channel = json!({"kind": "webhook", "url": channels.url(&format!("/{name}"))});
        send(&server.api, "PUT", &format!("/api/channels/{name}"), channel);
    }
    send(&server.api, "PUT", "/api/policies/tags/red", json!({"channels": ["few"], "recovery": false}));
    let jobs = (0..JOBS).map(|index| {
        let mut job = support::api::job("* * * * * *", &targets.url(&format!("/{index}")));
        job["tags"] = match index % 4 {
            0 => json!(["red"]),
            1 => json!(["blue"]),
            _ => json!([]),
        };
        send(&server.api, "POST", "/api/jobs", job)["jobId"].as_str().expect("an id").to_owned()
    });
    let jobs = jobs.collect();
    server.stop();
    jobs
}

/// Channels are in trouble, each in its own way, or well again.
fn trouble(channels: &Receiver, random: &mut Random) {
    let pick = |bad: Script, random: &mut Random| if random.below(2) == 0 { bad } else { Script::Status(200) };
    channels.script("/refusing", pick(Script::Status(503), random));
    channels.script("/hanging", pick(Script::Hang, random));
    channels.script("/few", pick(Script::Vanish, random));
}

fn acknowledge_one(api: &Api, random: &mut Random) {
    let open = api.get("/api/incidents?state=open&limit=100")["incidents"].as_array().expect("a list").clone();
    if !open.is_empty() && random.below(3) == 0 {
        let place = usize::try_from(random.below(open.len() as u64)).expect("few are open");
        let id = open[place]["incidentId"].as_str().expect("an id");
        // It may be over by now.
        let answer = api.send("POST", &format!("/api/incidents/{id}/acknowledge"), Some(r#"{"note":"seen"}"#));
        assert!(matches!(answer.status, 200 | 404), "{}", answer.text);
    }
}

/// What the channels got, of what they took.
fn take(channels: &Receiver, got: &mut BTreeMap<&str, Vec<Value>>) {
    for post in channels.take_posts().into_iter().filter(|post| post.status == Some(200)) {
        let name = CHANNELS.iter().find(|name| post.path == format!("/{name}")).expect("a channel there is");
        got.entry(name).or_default().push(serde_json::from_str(&post.body).expect("it is JSON"));
    }
}

/// Waits until nothing is wrong any more and everything is delivered; all incidents, with their messages.
fn settle(api: &Api) -> Vec<Value> {
    let begin = Instant::now();
    loop {
        let incidents = api.pages("/api/incidents?limit=100", "incidents");
        let open = incidents.iter().filter(|incident| incident["state"] == "OPEN").count();
        let waiting: u64 = api.get("/api/channels")["channels"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|channel| channel["waiting"].as_u64().expect("a number"))
            .sum();
        if open == 0 && waiting == 0 {
            let whole = |incident: &Value| {
                let id = incident["incidentId"].as_str().expect("an id");
                api.get(&format!("/api/incidents/{id}"))
            };
            return incidents.iter().map(whole).collect();
        }
        assert!(begin.elapsed() < DELIVERY_PATIENCE, "{open} incidents are open, {waiting} messages wait");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Every message was got by each of its channels at least once, and nothing else was.
fn assert_told(incidents: &[Value], got: &BTreeMap<&str, Vec<Value>>) -> String {
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let mut events = BTreeMap::new();
    for incident in incidents {
        assert_eq!(incident["cause"], "FAILING", "nothing else was wrong: {incident}");
        let messages = incident["messages"].as_array().expect("a list");
        let mut numbers: Vec<(u64, &str)> = Vec::new();
        for message in messages {
            assert_eq!(message["delivery"], "DELIVERED", "{message}");
            let id = message["messageId"].as_str().expect("an id");
            assert!(expected.insert(id.to_owned()), "{id} is there twice");
            let number = id.split('.').nth(1).and_then(|number| number.parse().ok()).expect("a number");
            numbers.push((number, message["event"].as_str().expect("a text")));
            *events.entry(message["event"].as_str().expect("a text").to_owned()).or_insert(0) += 1;
        }
        numbers.sort_unstable();
        numbers.dedup();
        let told = incident["told"] == true;
        assert_eq!(
            numbers.first().map(|(number, event)| (*number, *event)),
            told.then_some((1, "OPENED")),
            "{incident}"
        );
        assert!(numbers.len() <= 2 && numbers.get(1).is_none_or(|second| *second == (2, "CLOSED")), "{incident}");
    }
    let (mut deliveries, mut digests, mut twice) = (0, 0, 0);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (channel, bodies) in got {
        for body in bodies {
            let data = &body["data"];
            let ids: Vec<&Value> = match body["type"].as_str() {
                Some("incident.digest") => {
                    digests += 1;
                    data["messageIds"].as_array().expect("a list").iter().collect()
                }
                Some("incident.opened" | "incident.closed") => vec![&data["messageId"]],
                other => panic!("nobody asked for {other:?}"),
            };
            for id in ids.into_iter().map(|id| id.as_str().expect("an id")) {
                assert!(id.ends_with(&format!(".{channel}")), "{id} came to {channel}");
                assert!(expected.contains(id), "{id} is no message that is kept");
                deliveries += 1;
                twice += u64::from(!seen.insert(id.to_owned()));
            }
        }
    }
    let lost: Vec<_> = expected.difference(&seen).collect();
    assert!(lost.is_empty(), "{} messages never came: {lost:?}", lost.len());
    let count = expected.len();
    format!("{count} messages {events:?}, {deliveries} deliveries, {digests} digests, {twice} repeated, 0 lost")
}

/// Each failure falls into an incident of its job, and each incident has one at its beginning and a success at its end.
fn assert_covered(api: &Api, jobs: &[String], incidents: &[Value]) -> usize {
    let mut failures = 0;
    for job in jobs {
        let of_job: Vec<(i64, i64)> = incidents
            .iter()
            .filter(|incident| incident["jobId"].as_str() == Some(job))
            .map(|incident| (us(&incident["openedAt"]), us(&incident["closedAt"])))
            .collect();
        let mut sorted = of_job.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two were open at once: {sorted:?}");
        for execution in api.pages(&format!("/api/jobs/{job}/executions?limit=1000"), "executions") {
            if execution["status"] != "FAILED" {
                continue;
            }
            failures += 1;
            let sent = execution.get("lastExecutedTime").unwrap_or(&execution["executedTime"]);
            let took_ms = execution["duration"].as_f64().unwrap_or_else(|| panic!("it took a while: {execution}"));
            let ended = us(sent) + (took_ms * 1000.0) as i64;
            let is_again = execution["retryCount"].as_u64().expect("a number") > 0;
            let slack = if is_again { SLACK_OVER_KILL_US } else { SLACK_US };
            let covers = |&(opened, closed): &(i64, i64)| opened <= ended + slack && ended <= closed + slack;
            assert!(of_job.iter().any(covers), "no incident of {execution}: {sorted:?}");
        }
    }
    failures
}
