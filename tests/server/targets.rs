//! What jobs say of their targets: how they are asked, what is told of their answers, and the secrets they are shown.
//! It must not know how a secret is sealed: that it stands nowhere is all that counts.

use std::fs;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::support::api::job;
use super::support::receiver::{Post, Receiver, Script};
use super::support::server::{Server, command};
use super::support::until;
use super::{Setup, error_of, members, once_at, this_second, with_few_workers};

/// A secret as Standard Webhooks has it, and the bytes in it.
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNING_BYTES: [u8; 24] =
    *b"\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4\x3c\x3f\x08\x2c\xf6\x48\xa3\x62\xda\x2d\xa4\xb0";

/// A key in a folder.
fn key(folder: &Path) -> String {
    let path = folder.join("key").to_str().expect("a text").to_owned();
    let made = Server::refused(command(&["secrets", "init", &path]));
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""));
    assert!(made.stdout.contains(&format!("punctual --secrets-key {path}")), "{}", made.stdout);
    path
}

/// A server that can seal, and its key.
fn sealing() -> (Setup, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = key(folder.path());
    let flags = ["--secrets-key", &key, "--retry-delay-ms", "50", "--retries", "1"];
    let server = Server::start(&folder.path().join("p.db"), &with_few_workers(&flags));
    (Setup { server, receiver: Receiver::start(), folder }, key)
}

/// A job that fires once in a moment, with these members.
fn soon(url: &str, more: &Value) -> Value {
    with(job(&once_at(this_second() + 3), url), more)
}

fn with(mut job: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("it is an object") {
        job[name] = value.clone();
    }
    job
}

fn create(test: &Setup, job: &Value) -> Value {
    let answer = test.api().send("POST", "/api/jobs", Some(&job.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["job"].clone()
}

fn put(test: &Setup, id: &Value, job: &Value) -> (u16, Value) {
    let path = format!("/api/jobs/{}", id.as_str().expect("a text"));
    let answer = test.api().send("PUT", &path, Some(&job.to_string()));
    (answer.status, answer.json())
}

/// The first request to a path.
fn request(test: &Setup, path: &str) -> Post {
    until("a request", || test.receiver.posts_to(path).into_iter().next())
}

/// The execution of a job once it has ended.
fn ended(test: &Setup, id: &Value) -> Value {
    until("the end of an execution", || {
        let mut executions = test.api().executions(id.as_str().expect("a text")).into_iter();
        executions.find(|execution| execution["status"] == "SUCCESS" || execution["status"] == "FAILED")
    })
}

#[test]
fn a_job_says_how_its_target_is_asked() {
    let test = Setup::new(&[]);
    let asked = json!({
        "method": "PUT",
        "headers": {"X-Team": "ops", "Content-Type": "application/vnd.ops+json"},
        "json": {"id": "{{executionId}}", "job": "{{jobId}}", "at": "{{scheduledTime}}", "n": ["{{attempt}}"]},
        "timeoutMs": 5_000,
        "success": ["2xx", 404],
    });
    test.receiver.script("/asked", Script::Status(404));
    let job = create(&test, &soon(&test.receiver.url("/asked"), &asked));
    for (name, value) in asked.as_object().expect("an object") {
        assert_eq!(&job[name], value, "it is answered as it was written");
    }
    let post = request(&test, "/asked");
    assert_eq!(post.method, "PUT");
    assert_eq!((&*post.headers["x-team"], &*post.headers["content-type"]), ("ops", "application/vnd.ops+json"));
    let body: Value = serde_json::from_str(&post.body).expect("JSON");
    let expected =
        json!({"id": post.key, "job": job["jobId"], "at": post.headers["punctual-scheduled-time"], "n": ["1"]});
    assert_eq!(body, expected);
    let execution = ended(&test, &job["jobId"]);
    assert_eq!((&execution["status"], &execution["httpStatus"]), (&json!("SUCCESS"), &json!(404)));
    assert_eq!(execution["response"], Value::Null, "a success is not quoted");

    let get = create(&test, &soon(&test.receiver.url("/get"), &json!({"method": "GET"})));
    let post = request(&test, "/get");
    assert_eq!((&*post.method, &*post.body, post.headers.get("content-length")), ("GET", "", None));
    assert_eq!(ended(&test, &get["jobId"])["status"], "SUCCESS");

    let (status, changed) = put(&test, &job["jobId"], &super::support::api::job("@daily", "http://localhost/"));
    assert_eq!(status, 200);
    assert!(asked.as_object().expect("an object").keys().all(|name| changed["job"][name].is_null()), "{changed}");
}

#[test]
fn attempts_of_an_execution_are_spans_of_one_trace() {
    let test = Setup::new(&["--retry-delay-ms", "20"]);
    test.receiver.script("/trace", Script::FailTimes(2));
    let job = create(&test, &soon(&test.receiver.url("/trace"), &json!({})));
    ended(&test, &job["jobId"]);
    let posts = test.receiver.posts_to("/trace");
    let parents: Vec<Vec<&str>> = posts.iter().map(|post| post.headers["traceparent"].split('-').collect()).collect();
    assert_eq!(parents.len(), 3);
    assert!(parents.iter().all(|parent| parent[..2] == parents[0][..2] && parent[3] == "01"), "{parents:?}");
    assert!(parents[0][2] != parents[1][2] && parents[1][2] != parents[2][2], "{parents:?}");
}

#[test]
fn a_failure_is_told_with_all_that_is_known_of_it() {
    let test = Setup::new(&["--retries", "2", "--retry-delay-ms", "20"]);
    test.receiver.script("/down", Script::Say(503, "the queue is \u{e4} mess\r\n\u{1b}[2J"));
    let job = create(&test, &soon(&test.receiver.url("/down"), &json!({})));
    let execution = ended(&test, &job["jobId"]);
    assert_eq!(execution["status"], "FAILED");
    assert_eq!(execution["response"], "the queue is \u{e4} mess\n\u{fffd}[2J");
    let attempts = execution["attempts"].as_array().expect("a list");
    assert_eq!(attempts.iter().map(|attempt| &attempt["number"]).collect::<Vec<_>>(), [1, 2]);
    for attempt in attempts {
        assert_eq!(
            (&attempt["httpStatus"], &attempt["errorMessage"]),
            (&json!(503), &json!("the target answered 503"))
        );
        assert!(attempt["duration"].as_f64().is_some_and(|ms| ms > 0.0) && super::is_time(&attempt["executedTime"]));
    }
    // The first attempt made the connection on which the others went.
    let timings = &attempts[0]["timings"];
    assert_eq!(members(timings), ["connectMs", "firstByteMs", "nameMs", "tlsMs"]);
    assert!(timings["connectMs"].as_f64().is_some_and(|ms| ms > 0.0), "{timings}");
    assert_eq!(&attempts[0]["executedTime"], &execution["executedTime"], "the first one counts");
}

#[test]
fn at_most_once_is_not_sent_again_where_it_may_have_arrived() {
    let test = Setup::new(&["--retries", "3", "--retry-delay-ms", "20"]);
    test.receiver.script("/once", Script::Vanish);
    let once = json!({"type": "ATMOST_ONCE"});
    let job = create(&test, &soon(&test.receiver.url("/once"), &once));
    assert_eq!(job["type"], "ATMOST_ONCE");
    let execution = ended(&test, &job["jobId"]);
    assert_eq!((&execution["status"], &execution["retryCount"]), (&json!("FAILED"), &json!(0)), "{execution}");
    assert_eq!(test.receiver.posts_to("/once").len(), 1);
    assert_eq!(test.receiver.posts_to("/once")[0].headers["connection"], "close");
}

/// What `webhook-signature` must be, by another implementation than the server's.
fn signature(key: &[u8], post: &Post) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(
        format!("{}.{}.{}", post.headers["webhook-id"], post.headers["webhook-timestamp"], post.body).as_bytes(),
    );
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = mac.finalize().into_bytes();
    let mut text = String::from("v1,");
    for three in bytes.chunks(3) {
        let number =
            three.iter().fold(0_usize, |number, &byte| number << 8 | usize::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(alphabet[number >> (18 - 6 * place) & 63]);
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}

#[test]
fn a_receiver_can_verify_what_is_signed() {
    let (test, _) = sealing();
    test.receiver.script("/signed", Script::FailTimes(1));
    let other = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let signed = json!({"signingSecret": format!("{SIGNING} {other}"), "body": "order {{attempt}} \u{fc}"});
    let job = create(&test, &soon(&test.receiver.url("/signed"), &signed));
    ended(&test, &job["jobId"]);
    let posts = test.receiver.posts_to("/signed");
    assert_eq!(posts.iter().map(|post| &*post.body).collect::<Vec<_>>(), ["order 1 \u{fc}", "order 2 \u{fc}"]);
    for post in posts {
        assert_eq!(post.headers["webhook-id"], post.key);
        let second: i64 = post.headers["webhook-timestamp"].parse().expect("a number");
        assert!((second - post.at_us / 1_000_000).abs() <= 1, "when it is sent: {second}");
        let signatures: Vec<&str> = post.headers["webhook-signature"].split(' ').collect();
        assert_eq!(signatures, [signature(&SIGNING_BYTES, &post), signature(&[7; 32], &post)]);
    }
    // What has no body is signed as well.
    create(&test, &soon(&test.receiver.url("/head"), &json!({"signingSecret": SIGNING, "method": "DELETE"})));
    let post = request(&test, "/head");
    assert_eq!(post.headers["webhook-signature"], signature(&SIGNING_BYTES, &post));
}

#[test]
fn secrets_are_kept_dropped_removed_and_refused() {
    let (test, key) = sealing();
    let url = test.receiver.url("/kept");
    let paused = |more: &Value| with(with(job("@yearly", &url), &json!({"active": false})), more);
    let all = json!({
        "auth": {"basic": {"username": "me", "password": "planted-1"}},
        "secretHeaders": {"X-Key": "planted-2"},
        "signingSecret": SIGNING,
    });
    let set = json!({"set": true});
    let shown = json!({
        "auth": {"basic": {"username": "me", "password": set}},
        "secretHeaders": {"X-Key": set},
        "signingSecret": set,
    });
    let only = |job: &Value| -> Value {
        let names = ["auth", "secretHeaders", "signingSecret"];
        names
            .iter()
            .filter(|name| !job[**name].is_null())
            .map(|name| ((*name).to_owned(), job[*name].clone()))
            .collect()
    };
    let made = create(&test, &paused(&all));
    let id = &made["jobId"];
    assert_eq!(only(&made), shown);
    let change = |more: &Value| {
        let (status, answer) = put(&test, id, &paused(more));
        assert_eq!(status, 200, "{more}: {answer}");
        only(&answer["job"])
    };
    assert_eq!(change(&json!({})), shown, "what is left out is kept");
    assert_eq!(change(&shown), shown, "what was answered may be sent back");
    assert_eq!(change(&json!({"signingSecret": null}))["signingSecret"], Value::Null);
    let refused = |job: &Value, why: &str| {
        let (status, answer) = put(&test, id, job);
        assert_eq!((status, error_of(&answer)), (400, why));
    };
    refused(&paused(&json!({"signingSecret": set})), "signingSecret: expected the secret itself, as none is set");
    let elsewhere = |more: &Value| with(paused(more), &json!({"api": "http://localhost:1/elsewhere"}));
    let moved = "auth.basic.password: expected the secret itself, as the URL's host changed";
    refused(&elsewhere(&json!({"auth": shown["auth"]})), moved);
    assert_eq!(only(&test.api().get(&format!("/api/jobs/{}", id.as_str().expect("a text"))))["auth"], shown["auth"]);
    let (status, answer) = put(&test, id, &elsewhere(&json!({})));
    assert_eq!((status, only(&answer["job"])), (200, json!({})), "they do not follow it");

    // Over a restart they are what they were: the target is shown them.
    let made = create(&test, &paused(&all));
    let db = test.db();
    let Setup { server, receiver, folder } = test;
    server.stop();
    let server = Server::start(&db, &with_few_workers(&["--secrets-key", &key]));
    let test = Setup { server, receiver, folder };
    let (status, _) = put(&test, &made["jobId"], &soon(&url, &json!({"active": true})));
    assert_eq!(status, 200);
    let post = request(&test, "/kept");
    assert_eq!((&*post.headers["authorization"], &*post.headers["x-key"]), ("Basic bWU6cGxhbnRlZC0x", "planted-2"));
    assert_eq!(post.headers["webhook-signature"], signature(&SIGNING_BYTES, &post));
}

#[test]
fn without_a_key_a_secret_is_refused_by_name() {
    let test = Setup::new(&[]);
    for (secret, member) in [
        (json!({"auth": {"bearer": "planted"}}), "auth"),
        (json!({"secretHeaders": {"X-Key": "planted"}}), "secretHeaders"),
        (json!({"signingSecret": SIGNING}), "signingSecret"),
    ] {
        let body = with(job("@daily", "http://localhost/"), &secret);
        let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
        let (status, error) = (answer.status, answer.json());
        let why = "expected no secret, as the server has no key to seal it with; start it with --secrets-key FILE, which \
                   `punctual secrets init FILE` makes";
        assert_eq!((status, error_of(&error)), (400, &*format!("{member}: {why}")));
    }
    let nothing = with(job("@daily", "http://localhost/"), &json!({"auth": null, "signingSecret": null}));
    assert_eq!(create(&test, &nothing)["auth"], Value::Null);
}

#[test]
fn a_start_without_the_right_key_ends_and_says_so() {
    let (test, key) = sealing();
    create(&test, &with(job("@daily", "http://localhost/"), &json!({"auth": {"bearer": "planted"}})));
    let db = test.db();
    let Setup { server, folder, .. } = test;
    server.stop();
    let other = folder.path().join("other");
    let other = other.to_str().expect("a text");
    assert_eq!(Server::refused(command(&["secrets", "init", other])).code, Some(0));
    let none = folder.path().join("none");
    let none = none.to_str().expect("a text");
    let start = |flags: &[&str]| {
        let mut server = command(flags);
        server.arg("--db").arg(&db).args(["--listen", "127.0.0.1:0"]);
        let refused = Server::refused(server);
        assert_eq!((refused.code, refused.stderr.lines().count(), refused.stdout.as_str()), (Some(1), 1, ""));
        refused.stderr
    };
    assert!(start(&[]).contains("it holds secrets, and no key was given; --secrets-key FILE names it"));
    assert!(start(&["--secrets-key", other]).contains("sealed with another key than that of --secrets-key"));
    assert!(start(&["--secrets-key", none]).starts_with("punctual: --secrets-key: failed to read the key"));
    let again = Server::refused(command(&["secrets", "init", &key]));
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("never overwritten"), "{}", again.stderr);
    fs::write(none, "planted").expect("it can be written");
    fs::set_permissions(none, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    assert!(start(&["--secrets-key", none]).contains("it is no key that `punctual secrets init` made"));
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("it is ours");
    assert!(start(&["--secrets-key", &key]).contains("others have access to it (mode 0644); chmod 600"));
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    Server::start(&db, &with_few_workers(&["--secrets-key", &key])).stop();
}
