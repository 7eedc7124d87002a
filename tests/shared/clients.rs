//! Owns what clients ask of either of two nodes about one thing: jobs, names, keys, calendars, channels, nodes.

use std::time::Duration;

use crate::support::api::Answer;
use crate::support::postgres::Postgres;
use crate::support::receiver::{Receiver, Script};
use crate::support::server::{Server, command};
use crate::support::until;
use serde_json::{Value, json};

/// Two nodes, each with half of all shards.
fn nodes() -> Option<[Server; 2]> {
    let url = Postgres::database()?;
    let nodes = ["one", "two"].map(|name| {
        let mut command = command(&["--listen", "127.0.0.1:0", "--log", "error"]);
        command.env("PUNCTUAL_STORE", &url).env("PUNCTUAL_NODE", name);
        Server::spawn(command)
    });
    until("each has its half", || {
        let told = nodes[0].api.get("/api/nodes");
        let shards: Vec<&Value> = told["nodes"].as_array()?.iter().map(|node| &node["shards"]).collect();
        (shards == [128, 128]).then_some(())
    });
    Some(nodes)
}

fn send(node: &Server, method: &str, path: &str, body: Value) -> Answer {
    node.api.send(method, path, Some(&body.to_string()))
}

fn job(url: &str, more: Value) -> Value {
    let mut job = json!({ "schedule": "@yearly", "api": url, "type": "ATLEAST_ONCE" });
    job.as_object_mut().expect("it is one").extend(more.as_object().expect("members").clone());
    job
}

#[test]
fn names_are_unique_whichever_node_is_asked() {
    let Some(nodes) = nodes() else { return };
    let [one, two] = &nodes;
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(send(one, "POST", "/api/jobs", job("http://localhost/", json!({ "name": name }))).status, 201);
        let again = send(two, "POST", "/api/jobs", job("http://localhost/", json!({ "name": name })));
        assert_eq!(again.status, 409, "{again:?}");
        assert!(again.text.contains("another job is called"), "{again:?}");
    }
    // Without a name each makes its own, which gets the name of another's.
    for node in &nodes {
        let made = send(node, "POST", "/api/jobs", job("http://localhost/", json!({}))).json();
        let path = format!("/api/jobs/{}", made["jobId"].as_str().expect("it has an id"));
        for asked in &nodes {
            for name in ["a", "b", "c", "d", "e", "f"] {
                let answer = send(asked, "PATCH", &path, json!({ "name": name }));
                assert_eq!(answer.status, 409, "{answer:?}");
            }
            assert_eq!(send(asked, "PATCH", &path, json!({ "name": format!("free-{}", made["jobId"]) })).status, 200);
        }
    }
    let listed = one.api.get("/api/jobs?limit=100");
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(8));
    assert_eq!(listed, two.api.get("/api/jobs?limit=100"));
    nodes.into_iter().for_each(|node| node.stop());
}

#[test]
fn what_belongs_to_no_job_is_known_to_every_node_and_stays_while_a_job_needs_it() {
    let Some(nodes) = nodes() else { return };
    let [one, two] = &nodes;
    let put = send(two, "PUT", "/api/calendars/rest", json!({ "dates": ["2027-01-01"] }));
    assert!(put.status < 300, "{put:?}");
    let channel = json!({ "kind": "webhook", "url": "http://localhost:1/" });
    let put = send(two, "PUT", "/api/channels/ops", channel);
    assert!(put.status < 300, "{put:?}");
    for node in &nodes {
        until("it knows both", || {
            let both = ["/api/calendars/rest", "/api/channels/ops"];
            both.iter().all(|path| node.api.send("GET", path, None).status == 200).then_some(())
        });
        let follows = json!({ "excludeCalendars": ["rest"], "alerts": { "channels": ["ops"] } });
        let made = send(node, "POST", "/api/jobs", job("http://localhost/", follows));
        assert_eq!(made.status, 201, "{made:?}");
    }
    for node in &nodes {
        for path in ["/api/calendars/rest", "/api/channels/ops"] {
            let refused = node.api.send("DELETE", path, None);
            assert_eq!(refused.status, 409, "{refused:?}");
        }
    }
    let silence = json!({ "tag": "x", "note": "n", "endsAt": "2027-01-01T00:00:00Z" });
    assert_eq!(send(one, "POST", "/api/silences", silence).status, 201);
    until("the other one knows it", || {
        (two.api.get("/api/silences")["silences"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    nodes.into_iter().for_each(|node| node.stop());
}

#[test]
fn a_request_with_a_key_is_carried_out_once_whichever_nodes_it_comes_to() {
    let Some(nodes) = nodes() else { return };
    let body = job("http://localhost/", json!({})).to_string();
    for key in 0..8 {
        let key = format!("key-{key}");
        let answers = [0, 1, 1, 0].map(|node: usize| {
            nodes[node].api.send_with("POST", "/api/jobs", &[("Idempotency-Key", &key)], Some(&body))
        });
        let ids: Vec<Value> = answers.iter().map(|answer| answer.json()["jobId"].clone()).collect();
        assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    assert_eq!(nodes[0].api.get("/api/jobs?limit=100")["jobs"].as_array().map(Vec::len), Some(8));
    nodes.into_iter().for_each(|node| node.stop());
}

#[test]
fn jobs_that_share_a_concurrency_key_are_counted_by_one_node() {
    let Some(nodes) = nodes() else { return };
    let receiver = Receiver::start();
    let shared = |limit: u32| json!({ "concurrencyKey": { "name": "billing", "limit": limit } });
    let made: Vec<Value> = (0..6)
        .map(|number| {
            let url = receiver.url(&format!("/{number}"));
            let answer = send(&nodes[number % 2], "POST", "/api/jobs", job(&url, shared(1)));
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.json()
        })
        .collect();
    for (number, made) in made.iter().enumerate() {
        let id = made["jobId"].as_str().expect("it has an id");
        let path = format!("/api/jobs/{id}/run");
        let answer = nodes[(number + 1) % 2].api.send("POST", &path, Some(r#"{"wait":true}"#));
        assert!(answer.status < 300, "{answer:?}");
    }
    until("each was sent", || (receiver.posts().len() >= 6).then_some(()));
    nodes.into_iter().for_each(|node| node.stop());
}

#[test]
fn a_node_that_is_told_to_leaves_and_its_jobs_go_on() {
    let Some(nodes) = nodes() else { return };
    let [one, two] = &nodes;
    let receiver = Receiver::start();
    let id = two.api.create("* * * * * *", &receiver.url("/a"));
    until("it was sent", || (receiver.posts().len() >= 2).then_some(()));
    assert_eq!(one.api.send("POST", "/api/nodes/nobody/drain", Some("{}")).status, 404);
    assert_eq!(one.api.send("POST", "/api/nodes/two/drain", Some("{}")).status, 204);
    until("it has nothing left", || {
        let told = one.api.get("/api/nodes");
        let nodes = told["nodes"].as_array()?;
        let two = nodes.iter().find(|node| node["name"] == "two")?;
        (two["state"] == "leaving" && two["shards"] == 0).then_some(())
    });
    let is_ready = |node: &Server| node.api.send("GET", "/readyz", None).status;
    assert_eq!((is_ready(one), is_ready(two)), (200, 503), "clients should go to the one that stays");
    let before = receiver.posts().len();
    until("its job goes on", || (receiver.posts().len() >= before + 3).then_some(()));
    assert_eq!(two.api.get(&format!("/api/jobs/{id}"))["jobId"], json!(id), "it answers all the same");
    let patched = two.api.send("PATCH", &format!("/api/jobs/{id}"), Some(r#"{"tags":["x"]}"#));
    assert_eq!(patched.status, 200, "{patched:?}");
    std::thread::sleep(Duration::from_millis(10));
    nodes.into_iter().for_each(|node| node.stop());
}

#[test]
fn a_node_that_was_taken_for_dead_joins_again_whatever_its_targets_do() {
    let Some(nodes) = nodes() else { return };
    let [one, two] = &nodes;
    let receiver = Receiver::start();
    receiver.script("/a", Script::Hang);
    let made = send(two, "POST", "/api/jobs", job(&receiver.url("/a"), json!({ "timeoutMs": 600_000 }))).json();
    let id = made["jobId"].as_str().expect("it has an id");
    assert_eq!(two.api.send("POST", &format!("/api/jobs/{id}/run"), Some("{}")).status, 202);
    until("it was sent", || (receiver.posts().len() == 1).then_some(()));
    two.signal("STOP");
    let shards = |name: &str| {
        let told = one.api.get("/api/nodes");
        let nodes = told["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().find(|node| node["name"] == name).map(|node| node["shards"].clone())
    };
    until("the other has everything", || (shards("one") == Some(json!(256))).then_some(()));
    two.signal("CONT");
    // Its target has not answered, and will not.
    until("each has its half again", || (shards("two") == Some(json!(128))).then_some(()));
    // Nobody knows whether the target did what it was asked: it is asked again, by whoever has the job by now.
    until("it was sent again", || (receiver.posts().len() >= 2).then_some(()));
    let posts = receiver.posts();
    assert!(
        posts.iter().all(|post| post.key == posts[0].key),
        "{:?}",
        posts.iter().map(|post| &post.key).collect::<Vec<_>>()
    );
    nodes.into_iter().for_each(|node| node.kill());
}
