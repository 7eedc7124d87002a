//! Owns the search for planted secrets: taken in every way there is, they stand in no answer, log or file.
//! It must not know how a secret is sealed: that it stands nowhere is all that counts.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::support::api::{Api, job};
use super::support::receiver::{Receiver, Script};
use super::support::server::{Server, command};
use super::support::until;
use super::{this_second, time_at, with_few_workers};

/// What every secret here has in it, and nothing else.
const MARK: &str = "Qx7PlantedSecret9Zk";

/// Every secret there can be, each of its own. Some of it would be written otherwise in JSON, a URL, or base64.
fn secrets(way: &str, basic: bool) -> Value {
    let secret = |what: &str| format!("{way}\"/+{MARK}={what}\\ ");
    let signing = format!("whsec_{}", STANDARD.encode(format!("{MARK}{:-<20}", way)));
    let auth = if basic {
        json!({ "basic": { "username": "me", "password": secret("password") } })
    } else {
        json!({ "bearer": format!("{way}.{MARK}.bearer") })
    };
    json!({
        "auth": auth,
        "secretHeaders": { "X-Key": secret("key").trim_end(), "X-Other": format!("{MARK}-{way}") },
        "signingSecret": signing,
    })
}

fn with(mut job: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("it is an object") {
        job[name] = value.clone();
    }
    job
}

/// The mark in every form in which it could stand somewhere.
fn forms() -> BTreeSet<String> {
    let mut forms = BTreeSet::from([MARK.to_owned(), MARK.to_ascii_lowercase()]);
    forms.insert(MARK.bytes().map(|byte| format!("%{byte:02X}")).collect());
    forms.insert(MARK.bytes().map(|byte| format!("{byte:02x}")).collect());
    // In base64 it depends on what stands before it: three forms, of each what depends on nothing else.
    for before in 0..3 {
        let text = [&vec![0; before], MARK.as_bytes()].concat();
        let inner = (before * 8).div_ceil(6)..text.len() * 8 / 6;
        forms.insert(STANDARD.encode(&text)[inner.clone()].to_owned());
        forms.insert(URL_SAFE.encode(&text)[inner].to_owned());
    }
    forms
}

/// What was said and written, by where.
#[derive(Default)]
struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    fn note(&mut self, place: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), bytes.into()));
    }

    /// Everything in a folder.
    fn note_files(&mut self, when: &str, folder: &Path) {
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it is there").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            self.note(&format!("{name} {when}"), fs::read(&path).expect("it can be read"));
        }
    }

    /// Sends a request; what is said to it.
    fn send(&mut self, api: &Api, method: &str, path: &str, body: &str, status: u16) -> Value {
        let is_lines = path.ends_with("batch") || path.ends_with("import");
        let kind = if is_lines { "application/x-ndjson" } else { "application/json" };
        // What is answered under a key is kept.
        let key = format!("key-{}", self.0.len());
        let headers = [("content-type", kind), ("idempotency-key", &*key)];
        let headers = if method == "POST" && path != "/api/try" { &headers[..] } else { &headers[..1] };
        let answer = api.send_with(method, path, headers, Some(body));
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        self.note(&format!("{method} {path}"), format!("{:?}\n{}", answer.headers, answer.text));
        if status < 300 { answer.json() } else { Value::Null }
    }

    /// Asks for everything there is, by the description of the API.
    fn ask_for_all(&mut self, api: &Api, ids: &[Value], execution: &Value) -> usize {
        let description = api.get("/api/openapi.json");
        let paths = description["paths"].as_object().expect("paths");
        let read = paths.iter().filter(|(path, at)| at["get"].is_object() && *path != "/api/events");
        let mut asked = 0;
        let incidents = api.get("/api/incidents");
        for (path, _) in read {
            let text = |id: &Value| id.as_str().expect("a text").to_owned();
            let of = if path.contains("executions/{") { vec![text(execution)] } else { ids.iter().map(text).collect() };
            let many = if path.contains('{') && !path.contains("{name}") { &of[..] } else { &of[..1] };
            for id in many {
                let query = match path.as_str() {
                    "/api/strips" => format!("?jobId={}", ids.iter().map(text).collect::<Vec<_>>().join(",")),
                    _ if path.ends_with("/why") => format!("?at={}", time_at(this_second())),
                    _ => String::new(),
                };
                let id = if path.starts_with("/api/incidents/") {
                    &text(&incidents["incidents"][0]["incidentId"])
                } else {
                    id
                };
                let path = path.replace("{id}", id).replace("{name}", "de") + &query;
                let answer = api.send("GET", &path, None);
                assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
                self.note(&format!("GET {path}"), answer.text);
                asked += 1;
            }
        }
        asked
    }

    /// Looks for the mark everywhere.
    fn check(&self) {
        for form in forms() {
            for (place, bytes) in &self.0 {
                let at = bytes.windows(form.len()).position(|window| window == form.as_bytes());
                let around = at.map(|at| {
                    String::from_utf8_lossy(&bytes[at.saturating_sub(80)..bytes.len().min(at + 80)]).into_owned()
                });
                assert_eq!(around, None, "{form} stands in {place}");
            }
        }
    }
}

/// Listens to everything that happens, until the server ends.
fn listen(api: &Api) -> Arc<Mutex<Vec<u8>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut stream = TcpStream::connect(&api.address).expect("it listens");
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it listens");
    let hearing = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut bytes = [0; 4_096];
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            hearing.lock().expect("nobody panics with it").extend_from_slice(&bytes[..length]);
        }
    });
    heard
}

fn start(folder: &Path, hook: &str) -> Server {
    let key = folder.join("key");
    let key = key.to_str().expect("a text");
    let flags = ["--secrets-key", key, "--retries", "1", "--retry-delay-ms", "20", "--alert-webhook", hook];
    let mut server = command(&with_few_workers(&flags));
    server.arg("--db").arg(folder.join("p.db")).args(["--listen", "127.0.0.1:0", "--log", "debug"]);
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
    server.stderr(Stdio::from(log.expect("it can be made")));
    Server::spawn_quietly(server)
}

#[test]
fn planted_secrets_stand_nowhere_however_they_came() {
    let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start());
    let made = Server::refused(command(&["secrets", "init", folder.path().join("key").to_str().expect("a text")]));
    assert_eq!(made.code, Some(0));
    let mut told = Told::default();
    told.note("the key is made", made.stdout);
    let server = start(folder.path(), &receiver.url("/hook"));
    let api = server.api.clone();
    let heard = listen(&api);
    // A target that fails, and repeats all that it was shown.
    receiver.script("/echo", Script::Echo(500));
    let url = receiver.url("/echo");
    let resting = |way: &str, basic| {
        with(with(job("@yearly", &url), &json!({ "active": false, "name": way })), &secrets(way, basic))
    };

    let first = told.send(&api, "POST", "/api/jobs", &resting("create", true).to_string(), 201)["jobId"].clone();
    let path = format!("/api/jobs/{}", first.as_str().expect("a text"));
    told.send(&api, "PUT", &path, &resting("put", false).to_string(), 200);
    told.send(&api, "PATCH", &path, &secrets("patch", false).to_string(), 200);
    let lines = [
        json!({ "create": resting("batch", false) }),
        json!({ "update": { "jobId": first, "job": resting("update", true) } }),
    ];
    let batch = told.send(&api, "POST", "/api/jobs/batch", &lines.map(|line| format!("{line}\n")).concat(), 200);
    assert_eq!(batch["refused"], 0, "{batch}");
    let line = json!({ "job": resting("import", false) });
    let imported = told.send(&api, "POST", "/api/import", &line.to_string(), 200);
    assert_eq!(imported["refused"], 0, "{imported}");
    let ids = [first, batch["results"][0]["jobId"].clone(), imported["results"][0]["jobId"].clone()];
    told.send(&api, "PUT", "/api/calendars/de", "{\"dates\":[\"2026-12-25\"]}", 200);
    // Secrets of channels, and one whose path is one.
    let channel = |members: Value| with(json!({ "url": receiver.url("/channel") }), &members).to_string();
    let signing = secrets("channel", true)["signingSecret"].clone();
    let signed = channel(json!({ "kind": "webhook", "signingSecret": signing }));
    told.send(&api, "PUT", "/api/channels/de", &signed, 200);
    let topic = channel(json!({ "kind": "ntfy", "token": format!("token.{MARK}") }));
    told.send(&api, "PUT", "/api/channels/topic", &topic, 200);
    for name in ["de", "topic"] {
        told.send(&api, "POST", &format!("/api/channels/{name}/test"), "", 200);
    }

    // Each is sent, in every way in which something is; what is sent in place of a body is no secret.
    let mut execution = Value::Null;
    for id in &ids {
        let path = format!("/api/jobs/{}/run", id.as_str().expect("a text"));
        execution = told.send(&api, "POST", &path, "{\"json\":{\"by\":\"hand\"},\"wait\":true}", 200);
        assert_eq!(execution["status"], "FAILED", "{execution}");
        let said = execution["response"].as_str().expect("it said something");
        assert!(said.contains("x-key: ***") && said.contains("x-other: ***"), "{said}");
    }
    let execution = &execution["executionId"];
    let path = format!("/api/executions/{}/replay", execution.as_str().expect("a text"));
    told.send(&api, "POST", &path, "{\"wait\":true}", 200);
    for basic in [true, false] {
        let tried = with(json!({ "api": url, "type": "ATLEAST_ONCE" }), &secrets("try", basic));
        let tried = told.send(&api, "POST", "/api/try", &tried.to_string(), 200);
        let shown = tried["headers"].as_array().expect("a list").iter().find(|header| header["name"] == "x-echo");
        let masked = if basic { "Basic ***" } else { "Bearer ***" };
        assert_eq!(shown.expect("it is shown")["value"], masked, "it is shown without what is secret");
    }
    let sent: Vec<String> = receiver.posts_to("/echo").iter().map(|post| format!("{:?}", post.headers)).collect();
    assert!(sent.iter().all(|headers| headers.contains(MARK)), "the target alone is shown them: {sent:?}");

    // What is refused is not repeated either.
    let good = resting("bad", true);
    let (key, path) = (format!("{MARK}-refused"), format!("/api/jobs/{}", ids[0].as_str().expect("a text")));
    for bad in [
        json!({ "method": "TRACE" }),
        json!({ "signingSecret": key }),
        json!({ "signingSecret": [key] }),
        json!({ "auth": key }),
        json!({ "auth": { "bearer": format!("{key}\n") } }),
        json!({ "auth": { "bearer": [key] } }),
        json!({ "auth": { "bearer": { "set": key } } }),
        json!({ "auth": { "basic": key } }),
        json!({ "auth": { "basic": { "username": "a:b", "password": key } } }),
        json!({ "secretHeaders": key }),
        json!({ "secretHeaders": [key] }),
        json!({ "secretHeaders": { "Host": key } }),
        json!({ "secretHeaders": { "A": { "set": key } } }),
        json!({ "secretHeaders": { "A": format!("{key}\r\n") } }),
        json!({ "headers": { "x-key": "b" } }),
        json!({ "api": format!("http://me:{key}@localhost/") }),
    ] {
        let bad = with(good.clone(), &bad);
        for (method, path) in
            [("POST", "/api/jobs"), ("PUT", &*path), ("POST", "/api/try"), ("POST", "/api/schedules/preview")]
        {
            told.send(&api, method, path, &bad.to_string(), 400);
        }
        told.send(&api, "PATCH", &path, &bad.to_string(), 400);
        let lines = format!("{}\n{}\n", json!({ "create": bad }), json!({ "update": { "jobId": ids[0], "job": bad } }));
        assert_eq!(told.send(&api, "POST", "/api/jobs/batch", &lines, 200)["done"], 0);
        assert_eq!(told.send(&api, "POST", "/api/import", &json!({ "job": bad }).to_string(), 200)["done"], 0);
    }
    let text = good.to_string();
    told.send(&api, "POST", "/api/jobs", &text[..text.len() - 1], 400);
    told.send(&api, "POST", "/api/jobs", &text.replace("{\"bas", "{\"bas\":1,\"bas"), 400);

    until("the webhook is told", || receiver.posts_to("/hook").into_iter().next());
    told.note("the webhook", receiver.posts_to("/hook").iter().map(|post| post.body.clone()).collect::<String>());
    assert!(told.ask_for_all(&api, &ids, execution) > 20);
    told.note_files("while it runs", folder.path());
    server.kill();
    told.note_files("after it was killed", folder.path());
    told.note("events", heard.lock().expect("nobody panics with it").clone());
    assert!(told.0.iter().any(|(place, bytes)| place == "events" && bytes.windows(6).any(|text| text == b"FAILED")));

    let server = start(folder.path(), &receiver.url("/hook"));
    told.ask_for_all(&server.api, &ids, execution);
    told.note("the greeting", server.greeting.clone());
    server.stop();
    told.note_files("after it was stopped", folder.path());
    for place in
        ["p.db while it runs", "p.db-wal after it was killed", "p.db-shm while it runs", "p.db after it was stopped"]
    {
        assert!(told.0.iter().any(|(name, bytes)| name == place && !bytes.is_empty()), "{place} is to be looked at");
    }
    let log = fs::read_to_string(folder.path().join("log")).expect("it can be read");
    assert!(log.contains("DEBUG") && log.contains("the target answered 500"), "there is something to look at: {log}");
    told.check();
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for before in 0..4 {
        let text = format!("{}{MARK} and more", "x".repeat(before));
        for (form, hidden) in [("base64", STANDARD.encode(&text)), ("text", text.clone())] {
            assert!(forms().iter().any(|form| hidden.contains(form)), "{form} {before}");
        }
    }
}
