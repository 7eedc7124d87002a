//! Owns a whole server behind the shim: its sockets, its loop and its store, with clients, targets and those who are told of
//! failures in its own process, which say what they saw between the things that it did to its files.
//! It must not judge what they saw: `seen` does.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use punctual::config::{Config, Listen};
use punctual::job::TargetUrl;
use punctual::server;
use serde_json::{Value, json};

use super::child::{Saying, Task};
use super::support::api::{Api, job};
use super::support::housed::{self, House};
use super::support::random::Random;
use super::support::receiver::{Post, Receiver, Script};
use super::support::until;

/// How long the server lives.
const LIFE: Duration = Duration::from_secs(7);
/// For how long a target fails, and then answers: long enough for an execution to fail with its retries.
const TURN: Duration = Duration::from_secs(2);
const CLIENTS: u64 = 2;
/// Jobs that nobody changes.
const STEADY: usize = 12;
/// Those of them whose target fails half of the time, and which send one after the other.
const TURNING: usize = 8;
/// Jobs a client keeps alive at most.
const ALIVE_MAX: usize = 6;
/// What is kept is more than there is.
const KEPT: u64 = 100_000;

/// The key that opens the secrets of this task's server.
pub(crate) fn key_of(task: &Task) -> PathBuf {
    task.folder.with_extension("key")
}

/// Runs the server, and ends with the process: nothing is stopped well.
pub(crate) fn serve(task: &Task) {
    let saying = Arc::new(Mutex::new(Saying::begin(&task.folder)));
    let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let usual = housed::config(task.database(), House::keeping(KEPT));
    let listen = vec![Listen::Tcp { address, over_tls: false }];
    let receiver = Receiver::start();
    turn_targets(&receiver, Duration::ZERO);
    let alert_webhook = Some(TargetUrl::parse(&receiver.url("/alert")).expect("it is one"));
    let config = Config { listen, backups: None, secrets_key: Some(key_of(task)), alert_webhook, ..usual };
    std::thread::spawn(move || server::run(&config, None).expect("the disk is well"));
    let api = Api::new(&address.to_string());
    until("it listens", || api.try_send("GET", "/api/health", None).ok());
    for number in 0..TURNING {
        // Each has its own: what one is told within a while is gathered.
        let channel = json!({"kind": "webhook", "url": receiver.url(&format!("/told/{number}"))}).to_string();
        assert_eq!(api.send("PUT", &format!("/api/channels/told-{number}"), Some(&channel)).status, 200);
    }
    for number in 0..STEADY {
        let url = receiver.url(&format!("/steady/{number}"));
        let mut body = job("* * * * * *", &url);
        if number < TURNING {
            body["overlap"] = "skip".into();
            body["alerts"] = json!({"channels": [format!("told-{number}")]});
        } else if number.is_multiple_of(2) {
            body["auth"] = json!({"bearer": format!("steady-{number}")});
        }
        let id = create(&api, &body);
        say(&saying, &format!("created {id} {}", sent(&body)));
        if number < TURNING {
            say(&saying, &format!("turning {id}"));
        }
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while begun.elapsed() < LIFE {
                turn_targets(&receiver, begun.elapsed());
                for post in receiver.take_posts() {
                    what_came(&post).into_iter().for_each(|what| say(&saying, &what));
                }
                std::thread::yield_now();
            }
        });
        for client in 0..CLIENTS {
            let (api, saying, random) = (&api, &saying, Random::new(task.seed ^ client));
            let url = receiver.url("");
            scope.spawn(move || ask(api, saying, random, &url, || begun.elapsed() < LIFE));
        }
    });
    say(&saying, "done");
    std::process::exit(0);
}

/// Half of those targets fail at any time, and then the other half.
fn turn_targets(receiver: &Receiver, since: Duration) {
    for number in 0..TURNING {
        let turns = since.as_millis() / TURN.as_millis() + number as u128;
        let status = if turns.is_multiple_of(2) { 500 } else { 200 };
        receiver.script(&format!("/steady/{number}"), Script::Status(status));
    }
}

/// What a POST says: that of a job, of an incident, or of a failure.
fn what_came(post: &Post) -> Vec<String> {
    let body = || serde_json::from_str::<Value>(&post.body).expect("it is JSON");
    let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
    if post.path == "/alert" {
        return vec![format!("alerted {}", text(&body()["executionId"]))];
    } else if !post.path.starts_with("/told/") {
        return vec![format!("posted {} {}", post.key, post.attempt)];
    }
    let body = body();
    let (data, verb) = (&body["data"], text(&body["type"]));
    match data["messageIds"].as_array() {
        Some(several) => several.iter().map(|id| format!("{verb} {}", text(id))).collect(),
        None => vec![format!("{verb} {}", text(&data["messageId"]))],
    }
}

fn create(api: &Api, body: &Value) -> String {
    let created = api.send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(created.status, 201, "{}", created.text);
    created.json()["jobId"].as_str().expect("it is a text").to_owned()
}

/// What a job with this body sends: its URL, and its secret.
fn sent(body: &Value) -> String {
    let secret = body["auth"]["bearer"].as_str().map_or("-".to_owned(), |token| format!("Bearer {token}"));
    format!("{} {secret}", body["api"].as_str().expect("it is a text"))
}

fn say(saying: &Mutex<Saying>, what: &str) {
    saying.lock().expect("nobody panics with it").say(what);
}

/// A client that says of each change that it asks for it, and that it was answered.
fn ask(api: &Api, saying: &Mutex<Saying>, mut random: Random, url: &str, goes_on: impl Fn() -> bool) {
    let mut alive: Vec<String> = Vec::new();
    let mut number = 0;
    while goes_on() {
        number += 1;
        let mut body = job("* * * * * *", &format!("{url}/{number}"));
        // Left out it would be kept.
        body["auth"] = if random.below(2) == 0 { json!({"bearer": format!("secret-{number}")}) } else { Value::Null };
        let (sent, text) = (sent(&body), body.to_string());
        let choice = random.below(10);
        if alive.is_empty() || (choice < 3 && alive.len() < ALIVE_MAX) {
            let id = create(api, &body);
            say(saying, &format!("created {id} {sent}"));
            alive.push(id);
        } else if choice < 8 {
            let id = &alive[random.below(alive.len() as u64) as usize];
            say(saying, &format!("changing {id} {sent}"));
            assert_eq!(api.send("PUT", &format!("/api/jobs/{id}"), Some(&text)).status, 200);
            say(saying, &format!("changed {id} {sent}"));
        } else {
            let id = alive.swap_remove(random.below(alive.len() as u64) as usize);
            say(saying, &format!("deleting {id} -"));
            assert_eq!(api.send("DELETE", &format!("/api/jobs/{id}"), None).status, 204);
            say(saying, &format!("deleted {id} -"));
        }
    }
}
