//! Clients that listen: what they are told, where they go on, what they miss, and how many of them there may be.
//! It must not wait for a silence to be broken, nor flood anybody: `server/connections_tests.rs` and the ring's own tests
//! do, with a clock of their own.

use serde_json::{Value, json};

use super::raw::{Raw, Reply};
use super::support::receiver::Script;
use super::support::until;
use super::{Setup, error_of};

/// What `EVENT_CLIENTS_MAX` says.
const CLIENTS_MAX: usize = punctual::limits::EVENT_CLIENTS_MAX;

/// A client that listens.
pub(super) struct Listener {
    raw: Raw,
    head: Reply,
    text: String,
    /// The last id that was told.
    last: String,
}

/// One event.
#[derive(Debug)]
pub(super) struct Event {
    id: String,
    pub(super) name: String,
    pub(super) data: Value,
}

impl Listener {
    pub(super) fn connect(test: &Setup, query: &str) -> Listener {
        Listener::asking(test, &format!("GET /api/events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    fn coming_back(test: &Setup, last: &str) -> Listener {
        let id = format!("Last-Event-ID: {last}");
        Listener::asking(test, &format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\n{id}\r\n\r\n"))
    }

    /// It is told how the stream begins, so that nothing that happens afterwards is missed.
    fn asking(test: &Setup, request: &str) -> Listener {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(request);
        let head = raw.try_answer(false).expect("the connection holds").expect("an answer comes");
        assert_eq!(head.status, 200, "{head:?}");
        let mut listener = Listener { raw, head, text: String::new(), last: String::new() };
        let opening = listener.block().expect("it begins");
        let mut lines = opening.lines();
        assert_eq!(lines.next(), Some("retry: 2000"));
        if let Some(line) = lines.next() {
            listener.last = line.strip_prefix("id: ").expect("an id").to_owned();
        }
        listener
    }

    /// What comes up to the next empty line; None: it has ended.
    fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let more = if self.head.header("transfer-encoding") == "chunked" {
                self.raw.chunk().expect("the connection holds")
            } else {
                Some(self.raw.some().expect("the connection holds")).filter(|bytes| !bytes.is_empty())
            };
            let Some(more) = more else {
                assert_eq!(self.text, "", "it ends between two events");
                return None;
            };
            self.text.push_str(std::str::from_utf8(&more).expect("a piece is whole events"));
        }
    }

    fn try_next(&mut self) -> Option<Event> {
        let block = self.block()?;
        let fields: Vec<&str> = block
            .lines()
            .zip(["id: ", "event: ", "data: "])
            .filter_map(|(line, name)| line.strip_prefix(name))
            .collect();
        let [id, name, data] = fields[..] else { panic!("{block:?}") };
        let data: Value = serde_json::from_str(data).expect("it is JSON");
        assert_eq!(data["event"], name, "{block}");
        self.last = id.to_owned();
        Some(Event { id: id.to_owned(), name: name.to_owned(), data })
    }

    pub(super) fn next(&mut self) -> Event {
        self.try_next().expect("it goes on")
    }

    /// The next event, as its name and some of its members.
    fn told(&mut self, members: &[&str]) -> Value {
        let Event { name, data, .. } = self.next();
        let members = members.iter().map(|member| data[*member].clone());
        Value::Array([json!(name)].into_iter().chain(members).collect())
    }
}

/// A job that is never due in the life of a test.
fn create(test: &Setup, url: &str, members: Value) -> String {
    let mut body = json!({"schedule": "0 0 0 1 1 *", "api": url, "type": "ATLEAST_ONCE"});
    body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["jobId"].as_str().expect("a text").to_owned()
}

/// Runs a job to its end; the execution.
fn run(test: &Setup, job: &str) -> Value {
    let answer = test.api().send("POST", &format!("/api/jobs/{job}/run"), Some(r#"{"wait":true}"#));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[test]
fn executions_are_told_when_they_are_sent_and_when_they_have_ended() {
    let test = Setup::new(&["--cors-origin", "*"]);
    let job = create(&test, &test.receiver.url("/a"), json!({}));
    let mut listener = Listener::connect(&test, "");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(listener.head.header(name), value);
    }
    let execution = run(&test, &job);
    let id = &execution["executionId"];
    let members = ["executionId", "jobId", "kind", "status", "scheduledTime", "executedTime"];
    let time = &execution["scheduledTime"];
    assert_eq!(listener.told(&members), json!(["execution", id, job, "manual", "PENDING", time, null]));
    let Event { data, .. } = listener.next();
    // What is told is what a page shows, and on disk.
    for (member, value) in data.as_object().expect("an object").iter().filter(|(member, _)| *member != "event") {
        assert_eq!(value, &execution[member], "{member}");
    }
    assert_eq!((&data["status"], &data["httpStatus"]), (&json!("SUCCESS"), &json!(200)));
    let path = format!("/api/executions/{}", id.as_str().expect("a text"));
    assert_eq!(test.api().get(&path)["status"], "SUCCESS");
    let metrics = test.api().get("/api/metrics");
    assert_eq!(metrics["events"], json!({"listeners": 1, "told": 2, "leftOut": 0}));
}

#[test]
fn what_its_schedule_fires_is_told_too() {
    let test = Setup::new(&[]);
    let mut listener = Listener::connect(&test, "?type=execution");
    let job = test.api().create("* * * * * *", &test.receiver.url("/a"));
    for _ in 0..2 {
        assert_eq!(listener.told(&["jobId", "kind", "status"]), json!(["execution", job, "scheduled", "PENDING"]));
        assert_eq!(listener.told(&["jobId", "kind", "status"]), json!(["execution", job, "scheduled", "SUCCESS"]));
    }
}

#[test]
fn jobs_are_told_when_they_change_whoever_changes_them() {
    let test = Setup::new(&["--retries", "0"]);
    let mut listener = Listener::connect(&test, "?type=job");
    let told = ["jobId", "change", "revision", "paused", "name", "reason"];
    test.receiver.script("/bad", Script::Status(500));
    let job = create(&test, &test.receiver.url("/bad"), json!({"name": "x", "autoPauseAfter": 1}));
    assert_eq!(listener.told(&told), json!(["job", job, "created", 1, false, "x", null]));
    let path = format!("/api/jobs/{job}");
    for (method, path, body, expected) in [
        ("PATCH", path.clone(), Some(r#"{"name":null}"#), json!(["job", job, "changed", 2, false, null, null])),
        ("POST", format!("{path}/pause"), None, json!(["job", job, "paused", 3, true, null, null])),
        ("POST", format!("{path}/resume"), None, json!(["job", job, "resumed", 4, false, null, null])),
    ] {
        assert_eq!(test.api().send(method, &path, body).status, 200);
        assert_eq!(listener.told(&told), expected);
    }
    assert_eq!(run(&test, &job)["status"], "FAILED");
    let reason = "an execution failed";
    assert_eq!(listener.told(&told), json!(["job", job, "paused", 5, true, null, reason]));
    assert_eq!(test.api().send("DELETE", &path, None).status, 204);
    assert_eq!(listener.told(&told), json!(["job", job, "deleted", null, false, null, null]));
}

#[test]
fn failures_and_failing_targets_are_told() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/gone", Script::Vanish);
    let job = create(&test, &test.receiver.url("/gone"), json!({}));
    let mut failed = Listener::connect(&test, "?status=FAILED");
    let mut targets = Listener::connect(&test, "?type=target");
    for _ in 0..3 {
        run(&test, &job);
        let Event { data, .. } = failed.next();
        assert_eq!((&data["status"], &data["jobId"]), (&json!("FAILED"), &json!(job)));
        assert!(data["errorMessage"].is_string(), "{data}");
    }
    let target = test.receiver.url("");
    assert_eq!(targets.told(&["target", "failing"]), json!(["target", target, true]));
    test.receiver.script("/gone", Script::Status(200));
    run(&test, &job);
    assert_eq!(targets.told(&["target", "failing"]), json!(["target", target, false]));
}

#[test]
fn filters_leave_out_what_is_not_asked_for_and_wrong_ones_are_refused() {
    let test = Setup::new(&[]);
    let (one, two) =
        (create(&test, &test.receiver.url("/1"), json!({})), create(&test, &test.receiver.url("/2"), json!({})));
    let mut of_two = Listener::connect(&test, &format!("?jobId={two}&type=execution,job&status=SUCCESS"));
    for job in [&one, &two, &one, &two] {
        run(&test, job);
    }
    for _ in 0..2 {
        assert_eq!(of_two.told(&["jobId", "status"]), json!(["execution", two, "SUCCESS"]));
    }
    for (query, why) in [
        ("type=execution,jobs", "type: expected some of execution, job, target, notice"),
        ("type=", "type: expected some of"),
        ("status=success", "status: expected"),
        ("jobId=1", "jobId: expected the id of a job"),
        ("limit=1", "limit: unknown parameter; expected: type, jobId, status"),
    ] {
        let answer = test.api().send("GET", &format!("/api/events?{query}"), None);
        assert_eq!(answer.status, 400, "{query}");
        assert!(error_of(&answer.json()).contains(why), "{}", answer.text);
    }
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    let test = Setup::new(&[]);
    let job = create(&test, &test.receiver.url("/a"), json!({}));
    // Somebody hears it all.
    let mut all = Listener::connect(&test, "");
    let mut listener = Listener::connect(&test, "");
    let (mut told, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        // With nobody else there in between.
        let last = listener.last.clone();
        drop(listener);
        run(&test, &job);
        listener = Listener::coming_back(&test, &last);
        run(&test, &job);
        heard.extend((0..4).map(|_| listener.next().id));
        told.extend((0..4).map(|_| all.next().id));
    }
    assert_eq!(heard, told, "without loss and without repeat");
}

#[test]
fn who_comes_back_to_another_process_is_told_of_a_gap() {
    let test = Setup::new(&[]);
    let job = create(&test, &test.receiver.url("/a"), json!({}));
    let mut listener = Listener::connect(&test, "");
    run(&test, &job);
    let last = listener.next().id;
    let test = test.killed_and_started();
    for last in [&last, "7", "x"] {
        let mut listener = Listener::coming_back(&test, last);
        assert_eq!(listener.told(&["missed"]), json!(["gap", null]), "{last}");
        // From there on it is told everything.
        let gap = listener.last.clone();
        run(&test, &job);
        assert_eq!(listener.told(&["status"]), json!(["execution", "PENDING"]));
        let mut again = Listener::coming_back(&test, &gap);
        assert_eq!(again.told(&["status"]), json!(["execution", "PENDING"]));
        assert_eq!(again.told(&["status"]), json!(["execution", "SUCCESS"]));
    }
}

#[test]
fn listeners_have_a_limit_of_their_own_and_leave_room_when_they_go() {
    let test = Setup::new(&[]);
    let mut listeners: Vec<Listener> = (0..CLIENTS_MAX).map(|_| Listener::connect(&test, "")).collect();
    for method in ["GET", "HEAD"] {
        let answer = test.api().send(method, "/api/events", None);
        assert_eq!((answer.status, answer.header("retry-after")), (429, "1"));
    }
    let metrics = test.api().get("/api/metrics");
    assert_eq!((&metrics["events"]["listeners"], &metrics["refused"]["listeners"]), (&json!(CLIENTS_MAX), &json!(2)));
    // Who leaves is found out at once.
    listeners.truncate(CLIENTS_MAX - 2);
    until("there is room", || (test.api().send("HEAD", "/api/events", None).status == 200).then_some(()));
    listeners.push(Listener::connect(&test, ""));
    // All are told the same.
    let job = create(&test, &test.receiver.url("/a"), json!({}));
    for listener in &mut listeners {
        assert_eq!(listener.told(&["jobId", "change"]), json!(["job", job, "created"]));
    }
}

#[test]
fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let test = Setup::new(&[]);
    let job = create(&test, &test.receiver.url("/a"), json!({}));
    let mut silent = Raw::connect_with_little_room(&test.api().address);
    silent.send("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut listener = Listener::connect(&test, "");
    for _ in 0..100 {
        assert_eq!(test.api().send("POST", &format!("/api/jobs/{job}/run"), None).status, 202);
    }
    let told = (0..200).filter(|_| listener.next().data["status"] == "SUCCESS").count();
    assert_eq!(told, 100);
    assert!(silent.has_begun());
}

#[test]
fn head_is_the_head_and_http_1_0_goes_on_to_the_end_of_the_connection() {
    let test = Setup::new(&[]);
    let mut raw = Raw::connect(&test.api().address);
    raw.send("HEAD /api/events HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = raw.try_answer(false).expect("the connection holds").expect("an answer comes");
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    assert_eq!(raw.answer().json()["name"], "punctual", "the connection goes on");
    let mut old = Listener::asking(&test, "GET /api/events HTTP/1.0\r\n\r\n");
    assert_eq!((old.head.header("transfer-encoding"), old.head.header("connection")), ("", "close"));
    let job = create(&test, &test.receiver.url("/a"), json!({}));
    assert_eq!(old.told(&["jobId"]), json!(["job", job]));
    assert_eq!(test.api().get("/api/metrics")["events"]["listeners"], 1, "whoever asks for the head does not listen");
    test.server.stop();
    assert!(old.try_next().is_none());
}

#[test]
fn a_stop_tells_the_rest_and_ends_the_stream() {
    let test = Setup::new(&[]);
    test.receiver.script("/slow", Script::SlowMs(500));
    let job = create(&test, &test.receiver.url("/slow"), json!({}));
    let mut listener = Listener::connect(&test, "?type=execution");
    assert_eq!(test.api().send("POST", &format!("/api/jobs/{job}/run"), None).status, 202);
    assert_eq!(listener.told(&["status"]), json!(["execution", "PENDING"]));
    test.server.stop();
    assert_eq!(listener.told(&["status"]), json!(["execution", "SUCCESS"]));
    assert!(listener.try_next().is_none(), "with its last chunk");
}
