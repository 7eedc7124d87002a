//! Owns what an incident's messages come to on the real binary: over which channels, and what became of each.
//! It must not test how each kind of channel looks on the wire.

use serde_json::{Value, json};

use super::Setup;
use super::channels::set;
use super::incidents::{create, id_of, listed, open, run};
use super::silences::in_an_hour;
use super::support::receiver::Script;
use super::support::until;

/// The messages of an incident, once none of them waits.
fn messages(test: &Setup, id: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} messages of {id} are through"), || {
        let found = test.api().get(&format!("/api/incidents/{id}"))["messages"].as_array().expect("a list").clone();
        let is_through = found.iter().all(|message| message["delivery"] != "PENDING");
        (is_through && found.len() == count).then_some(found)
    })
}

#[test]
fn an_incident_is_told_over_its_channels_when_it_opens_and_when_it_is_over() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::FailFirst(1));
    for name in ["mail", "ops"] {
        set(&test, name, &test.receiver.url(&format!("/{name}")));
    }
    let job = create(&test, "/a", &json!({}));
    run(&test, &job);
    let incident = open(&test);
    assert_eq!((&incident["told"], &incident["messageCount"]), (&json!(true), &json!(1)), "{incident}");
    assert_eq!(incident["lastToldAt"], incident["openedAt"]);
    let id = id_of(&incident).to_owned();
    messages(&test, &id, 2);
    run(&test, &job);
    let found = messages(&test, &id, 4);
    let told: Vec<_> =
        found.iter().map(|it| (it["event"].clone(), it["channel"].clone(), it["messageId"].clone())).collect();
    let message = |event: &str, number: u32, channel: &str| {
        (json!(event), json!(channel), json!(format!("{id}.{number}.{channel}")))
    };
    let expected = [
        message("OPENED", 1, "mail"),
        message("OPENED", 1, "ops"),
        message("CLOSED", 2, "mail"),
        message("CLOSED", 2, "ops"),
    ];
    assert_eq!(told, expected);
    assert!(found.iter().all(|it| it["delivery"] == "DELIVERED" && it["attempts"] == 1), "{found:?}");
    let posts = test.receiver.posts_to("/ops");
    let keys: Vec<&str> = posts.iter().map(|post| post.key.as_str()).collect();
    assert_eq!(keys, [format!("{id}.1.ops"), format!("{id}.2.ops")]);
    let sent: Value = serde_json::from_str(&posts[0].body).expect("it is JSON");
    assert_eq!((&sent["type"], &sent["data"]["incidentId"]), (&json!("incident.opened"), &json!(id)));
    // How the channel fared is known, and measured.
    let channel = test.api().get("/api/channels/ops");
    assert!(channel["lastDeliveredAt"].is_string() && channel.get("lastError").is_none(), "{channel}");
    let figures = test.api().get("/api/metrics")["channels"][1].clone();
    assert_eq!((&figures["name"], &figures["delivered"]), (&json!("ops"), &json!(2)), "{figures}");
}

#[test]
fn only_the_channels_of_the_policy_are_told() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::FailFirst(1));
    for name in ["mail", "ops"] {
        set(&test, name, &test.receiver.url(&format!("/{name}")));
    }
    let job = create(&test, "/a", &json!({ "alerts": { "channels": ["ops"], "recovery": false } }));
    run(&test, &job);
    let id = id_of(&open(&test)).to_owned();
    run(&test, &job);
    assert_eq!(listed(&test, "?state=open"), [Value::Null; 0]);
    let found = messages(&test, &id, 1);
    assert_eq!((&found[0]["event"], &found[0]["channel"]), (&json!("OPENED"), &json!("ops")), "{found:?}");
}

#[test]
fn a_channel_that_refuses_says_so_and_tries_again() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::Status(500));
    test.receiver.script("/ops", Script::FailFirst(1));
    set(&test, "ops", &test.receiver.url("/ops"));
    run(&test, &create(&test, "/a", &json!({})));
    let id = id_of(&open(&test)).to_owned();
    let found = messages(&test, &id, 1);
    assert_eq!((&found[0]["delivery"], &found[0]["attempts"]), (&json!("DELIVERED"), &json!(2)), "{found:?}");
    let posts = test.receiver.posts_to("/ops");
    assert_eq!((posts.len(), &posts[0].key), (2, &posts[1].key), "the same message, the same id");
    let shown = test.api().get("/api/channels/ops");
    assert!(shown["lastFailedAt"].is_string() && shown["lastDeliveredAt"].is_string(), "{shown}");
}

#[test]
fn what_is_silenced_is_told_when_the_silence_is_over() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::Status(500));
    set(&test, "ops", &test.receiver.url("/ops"));
    let job = create(&test, "/a", &json!({}));
    let body = json!({ "jobId": job, "note": "n", "endsAt": in_an_hour() }).to_string();
    let silence = test.api().send("POST", "/api/silences", Some(&body)).json()["silenceId"].clone();
    run(&test, &job);
    let incident = open(&test);
    assert_eq!((&incident["silencedBy"], &incident["told"]), (&silence, &json!(false)), "{incident}");
    let path = format!("/api/silences/{}", silence.as_str().expect("a text"));
    assert_eq!(test.api().send("DELETE", &path, None).status, 204);
    let found = messages(&test, id_of(&incident), 1);
    assert_eq!((&found[0]["event"], &found[0]["delivery"]), (&json!("OPENED"), &json!("DELIVERED")));
    assert_eq!(open(&test)["told"], true);
}
