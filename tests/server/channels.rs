//! Owns channels on the real binary: set, shown without what is secret, tested, deleted.
//! It must not test how each kind looks on the wire, nor when something is told.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::server::command;
use super::support::until;
use super::{Setup, error_of};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr";

fn put(test: &Setup, name: &str, body: &Value) -> (u16, Value) {
    let answer = test.api().send("PUT", &format!("/api/channels/{name}"), Some(&body.to_string()));
    (answer.status, answer.json())
}

/// A plain webhook with this name.
pub(super) fn set(test: &Setup, name: &str, url: &str) {
    let body = json!({ "kind": "webhook", "url": url });
    let (status, answer) = put(test, name, &body);
    assert_eq!(status, 200, "{answer}");
}

/// A server that can seal secrets.
fn sealing() -> Setup {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    let made = command(&["secrets", "init"]).arg(&key).output().expect("the binary is there");
    assert!(made.status.success(), "{made:?}");
    let test = Setup::new(&["--secrets-key", key.to_str().expect("a text")]);
    // It is read at the start, and not again.
    drop(folder);
    test
}

#[test]
fn a_channel_is_set_listed_shown_changed_and_deleted() {
    let test = Setup::new(&[]);
    assert_eq!(test.api().get("/api/channels"), json!({ "channels": [] }));
    let url = test.receiver.url("/hooks/T0/secret-path");
    let (status, made) = put(&test, "ops", &json!({ "kind": "slack", "url": url }));
    assert_eq!(
        (status, &made["name"], &made["kind"], &made["url"]),
        (200, &json!("ops"), &json!("slack"), &json!(url))
    );
    set(&test, "a.b-c_1", &test.receiver.url("/plain"));
    let listed = json!({ "channels": [
        { "name": "a.b-c_1", "kind": "webhook", "target": test.receiver.url(""), "waiting": 0 },
        { "name": "ops", "kind": "slack", "target": test.receiver.url(""), "waiting": 0 },
    ] });
    assert_eq!(test.api().get("/api/channels"), listed, "of a URL only where it leads is for everybody");
    let shown = test.api().get("/api/channels/ops");
    assert_eq!((&shown["url"], &shown["waiting"]), (&json!(url), &json!(0)));
    let test = test.killed_and_started();
    assert_eq!(test.api().get("/api/channels"), listed, "they outlive a crash");
    set(&test, "ops", &test.receiver.url("/other"));
    let shown = test.api().get("/api/channels/ops");
    assert_eq!((&shown["kind"], &shown["url"]), (&json!("webhook"), &json!(test.receiver.url("/other"))));
    assert_eq!(test.api().send("DELETE", "/api/channels/ops", None).status, 204);
    for method in ["GET", "DELETE"] {
        assert_eq!(test.api().send(method, "/api/channels/ops", None).status, 404, "{method}");
    }
    assert_eq!(test.api().get("/api/channels")["channels"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_secret_is_kept_and_never_shown() {
    let test = sealing();
    let url = test.receiver.url("/a");
    let (status, made) = put(&test, "ops", &json!({ "kind": "webhook", "url": url, "signingSecret": SECRET }));
    assert_eq!((status, &made["signingSecret"]), (200, &json!({ "set": true })), "{made}");
    // Left out, or said to be set: as it is.
    for body in [
        json!({ "kind": "webhook", "url": url }),
        json!({ "kind": "webhook", "url": url, "signingSecret": { "set": true } }),
    ] {
        let (status, answer) = put(&test, "ops", &body);
        assert_eq!((status, &answer["signingSecret"]), (200, &json!({ "set": true })), "{answer}");
    }
    for path in ["/api/channels", "/api/channels/ops", "/api/audit"] {
        assert!(!test.api().send("GET", path, None).text.contains(&SECRET[6..]), "{path}");
    }
    let (status, answer) = put(&test, "ops", &json!({ "kind": "webhook", "url": url, "signingSecret": null }));
    assert_eq!((status, answer.get("signingSecret").filter(|secret| !secret.is_null())), (200, None), "{answer}");
    for file in ["p.db", "p.db-wal"] {
        let bytes = std::fs::read(test.folder.path().join(file)).expect("the server runs");
        assert!(!bytes.windows(20).any(|part| part == &SECRET.as_bytes()[6..26]), "{file} holds a secret");
    }
}

#[test]
fn without_a_key_to_seal_with_a_secret_is_refused() {
    let test = Setup::new(&[]);
    let body = json!({ "kind": "webhook", "url": test.receiver.url("/a"), "signingSecret": SECRET });
    let (status, answer) = put(&test, "ops", &body);
    assert_eq!(status, 400, "{answer}");
    assert!(
        error_of(&answer).starts_with("signingSecret: ") && error_of(&answer).contains("--secrets-key"),
        "{answer}"
    );
    assert!(!answer.to_string().contains(&SECRET[6..]), "{answer}");
}

#[test]
fn what_is_no_channel_is_refused_by_name() {
    let test = Setup::new(&[]);
    let url = test.receiver.url("/a");
    for (name, body, why) in [
        ("Ops", json!({ "kind": "webhook", "url": url }), "channel: expected a name of at most 64"),
        ("-a", json!({ "kind": "webhook", "url": url }), "channel: expected a name of at most 64"),
        (&"a".repeat(65), json!({ "kind": "webhook", "url": url }), "channel: expected a name of at most 64"),
        ("a", json!({ "kind": "pager", "url": url }), "kind: expected"),
        ("a", json!({ "kind": "webhook" }), "url"),
        ("a", json!({ "kind": "webhook", "url": "example.com" }), "url: expected"),
        ("a", json!({ "kind": "webhook", "url": "smtp://a" }), "url: expected"),
        ("a", json!({ "kind": "webhook", "url": url, "colour": "red" }), "unknown field `colour`"),
        ("a", json!([]), "body: expected a JSON object with kind and url, got a list"),
    ] {
        let (status, answer) = put(&test, name, &body);
        assert_eq!(status, 400, "{name} {body}: {answer}");
        assert!(error_of(&answer).contains(why), "{name} {body}: {answer}");
    }
    assert_eq!(test.api().get("/api/channels"), json!({ "channels": [] }));
    assert_eq!(test.api().send("POST", "/api/channels/nobody/test", None).status, 404);
}

#[test]
fn a_channel_stays_while_somebody_names_it() {
    let test = Setup::new(&[]);
    set(&test, "ops", &test.receiver.url("/ops"));
    let mut job = super::support::api::job("@yearly", &test.receiver.url("/a"));
    job["alerts"] = json!({ "channels": ["ops"] });
    let made = test.api().send("POST", "/api/jobs", Some(&job.to_string()));
    assert_eq!(made.status, 201, "{}", made.text);
    let delete = || test.api().send("DELETE", "/api/channels/ops", None);
    assert_eq!(delete().status, 409, "a job names it");
    let path = format!("/api/jobs/{}", made.json()["jobId"].as_str().expect("a text"));
    assert_eq!(test.api().send("DELETE", &path, None).status, 204);
    let tag = "/api/policies/tags/a";
    assert_eq!(test.api().send("PUT", tag, Some(r#"{"channels":["ops"]}"#)).status, 200);
    assert_eq!(delete().status, 409, "a tag names it");
    assert_eq!(test.api().send("DELETE", tag, None).status, 204);
    assert_eq!(delete().status, 204);
}

#[test]
fn there_are_so_many_channels_and_no_more() {
    let test = Setup::new(&[]);
    let most = punctual::limits::CHANNELS_MAX;
    (0..most).for_each(|number| set(&test, &format!("c{number}"), &test.receiver.url("/a")));
    let (status, answer) = put(&test, "one-more", &json!({ "kind": "webhook", "url": test.receiver.url("/a") }));
    assert_eq!(status, 400, "{answer}");
    assert!(error_of(&answer).contains(&most.to_string()), "{answer}");
    set(&test, "c0", &test.receiver.url("/b"));
}

#[test]
fn what_came_of_messages_is_measured_for_each_channel() {
    let test = Setup::new(&[]);
    // Called like the plain webhook, whose figures are others.
    set(&test, "webhook", &test.receiver.url("/a"));
    let figures = test.api().get("/api/metrics")["channels"].clone();
    let zero =
        json!([{ "name": "webhook", "delivered": 0, "failed": 0, "retries": 0, "waiting": 0, "failing": false }]);
    assert_eq!(figures, zero);
    let text = test.api().send("GET", "/metrics", None).text;
    let samples: Vec<&str> = text.lines().filter(|line| line.starts_with("punctual_channel_")).collect();
    assert_eq!(samples.len(), 5, "{samples:?}");
    assert!(samples.contains(&"punctual_channel_queued{channel=\"webhook\"} 0"), "{samples:?}");
    let all: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let names: BTreeSet<&str> = all.iter().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    assert_eq!(names.len(), all.len(), "no two samples are called the same");
}

#[test]
fn who_set_a_channel_is_written_down_with_what_changed() {
    let test = Setup::new(&[]);
    let (one, other) = (test.receiver.url("/one"), test.receiver.url("/other"));
    set(&test, "ops", &one);
    set(&test, "ops", &other);
    assert_eq!(test.api().send("DELETE", "/api/channels/ops", None).status, 204);
    let rows = test.api().get("/api/audit?subject=ops")["audit"].as_array().expect("a list").clone();
    let told: Vec<_> =
        rows.iter().map(|row| json!([row["operation"], row["status"], row["difference"]["url"]])).collect();
    let expected = [
        json!(["deleteChannel", 204, [other, null]]),
        json!(["putChannel", 200, [one, other]]),
        json!(["putChannel", 200, [null, one]]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_told_is_read_by_readers_steered_by_writers_and_channels_are_set_by_admins() {
    let test = Setup::new(&[]);
    set(&test, "ops", &test.receiver.url("/ops/secret-path"));
    let scopes = ["read", "write", "admin"];
    let apis = scopes.map(|scope| test.api().with_token(&super::access::made(&test, scope)));
    let channel = json!({ "kind": "webhook", "url": test.receiver.url("/ops/secret-path") }).to_string();
    let silence = json!({ "tag": "a", "note": "b", "endsAt": super::silences::in_an_hour() }).to_string();
    for (method, path, body, statuses) in [
        ("GET", "/api/channels", None, [200, 200, 200]),
        ("GET", "/api/channels/ops", None, [403, 403, 200]),
        ("PUT", "/api/channels/ops", Some(channel.as_str()), [403, 403, 200]),
        ("POST", "/api/channels/nobody/test", None, [403, 403, 404]),
        ("DELETE", "/api/channels/nobody", None, [403, 403, 404]),
        ("GET", "/api/policies", None, [200, 200, 200]),
        ("PUT", "/api/policies/server", Some("{}"), [403, 200, 200]),
        ("PUT", "/api/policies/tags/a", Some("{}"), [403, 200, 200]),
        ("DELETE", "/api/policies/tags/b", None, [403, 404, 404]),
        ("GET", "/api/silences", None, [200, 200, 200]),
        ("POST", "/api/silences", Some(&silence), [403, 201, 201]),
        ("DELETE", "/api/silences/1", None, [403, 404, 404]),
        ("GET", "/api/incidents", None, [200, 200, 200]),
        ("GET", "/api/incidents/1", None, [404, 404, 404]),
        ("POST", "/api/incidents/1/acknowledge", None, [403, 404, 404]),
    ] {
        let found = apis.each_ref().map(|api| api.send(method, path, body).status);
        assert_eq!(found, statuses, "{method} {path} with {scopes:?}");
    }
    let listed = apis[0].send("GET", "/api/channels", None).text;
    assert!(!listed.contains("secret-path"), "{listed}");
    // What was not allowed is written down, too.
    until("it is on disk", || {
        let rows = apis[2].get("/api/audit?limit=1000")["audit"].as_array().expect("a list").clone();
        (rows.iter().filter(|row| row["status"] == 403).count() == 14).then_some(())
    });
}
