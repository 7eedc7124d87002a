//! Owns the policies of alerts on the real binary: of jobs, tags and the server, and which counts.
//! It must not test what follows from one: incidents have a file of their own.

use serde_json::{Value, json};

use super::channels::set as set_channel;
use super::{Setup, error_of};

const SERVER: &str = "/api/policies/server";

fn put(test: &Setup, path: &str, policy: &Value) -> (u16, Value) {
    let answer = test.api().send("PUT", path, Some(&policy.to_string()));
    (answer.status, answer.json())
}

fn set(test: &Setup, path: &str, policy: &Value) {
    assert_eq!(put(test, path, policy), (200, json!({ "policy": policy })), "{path}");
}

/// A job with these members; its id.
fn create(test: &Setup, more: &Value) -> String {
    let mut body = json!({ "schedule": "@yearly", "api": test.receiver.url("/a"), "type": "ATLEAST_ONCE" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["jobId"].as_str().expect("a text").to_owned()
}

#[test]
fn policies_are_set_listed_and_deleted() {
    let test = Setup::new(&[]);
    assert_eq!(test.api().get("/api/policies"), json!({ "server": {}, "tags": [] }));
    set_channel(&test, "ops", &test.receiver.url("/ops"));
    let server = json!({ "after": 2, "remindEvery": "4h", "onServerTrouble": false, "channels": ["ops"] });
    set(&test, SERVER, &server);
    let (nightly, slashed) = (json!({ "noSuccessFor": "1d2h" }), json!({ "recovery": false, "lateBy": "30s" }));
    set(&test, "/api/policies/tags/nightly", &nightly);
    set(&test, "/api/policies/tags/a%2Fb+c%20d", &slashed);
    let all = json!({ "server": server, "tags": [
        { "tag": "a/b+c d", "policy": slashed }, { "tag": "nightly", "policy": nightly },
    ] });
    assert_eq!(test.api().get("/api/policies"), all);
    // A period comes back in its shortest form.
    let (status, answer) = put(&test, "/api/policies/tags/nightly", &json!({ "noSuccessFor": "26h" }));
    assert_eq!((status, answer), (200, json!({ "policy": nightly })));

    let test = test.killed_and_started();
    assert_eq!(test.api().get("/api/policies"), all, "they outlive a crash");
    for path in [SERVER, "/api/policies/tags/nightly", "/api/policies/tags/a%2Fb+c%20d"] {
        assert_eq!(test.api().send("DELETE", path, None).status, 204, "{path}");
    }
    assert_eq!(test.api().get("/api/policies"), json!({ "server": {}, "tags": [] }));
    assert_eq!(test.api().send("DELETE", "/api/policies/tags/nightly", None).status, 404);
}

#[test]
fn what_is_wrong_with_a_policy_is_named_as_its_own_member() {
    let test = Setup::new(&[]);
    let tag = "/api/policies/tags/a";
    for (path, body, why) in [
        (SERVER, json!({ "after": 0 }), "after: expected a number from 1 to"),
        (SERVER, json!({ "after": 1.5 }), "after: invalid value"),
        (SERVER, json!({ "recovery": "yes" }), "recovery: invalid type"),
        (SERVER, json!({ "remindEvery": "10s" }), "remindEvery: expected 1m to 366d"),
        (SERVER, json!({ "noSuccessFor": "26" }), "noSuccessFor: expected 1s to 366d"),
        (tag, json!({ "lateBy": "-1s" }), "lateBy: expected 1s to 366d"),
        (tag, json!({ "onServerTrouble": true }), "onServerTrouble: only the policy of the server has it"),
        (tag, json!({ "channels": ["Ops"] }), "channels: expected a name of at most 64"),
        (tag, json!({ "channels": ["ops", "ops"] }), "channels: \"ops\" is given twice"),
        (tag, json!({ "channels": ["nobody"] }), "channels: "),
        (SERVER, json!({ "channels": ["nobody"] }), "channels: "),
        (SERVER, json!({ "afer": 1 }), "unknown field `afer`: did you mean `after`?"),
        (SERVER, json!([]), "body: expected a JSON object such as {\"after\":3}, got a list"),
    ] {
        let (status, answer) = put(&test, path, &body);
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(
            error_of(&answer).starts_with(why) || why.starts_with("unknown") && error_of(&answer).contains(why),
            "{body}: {answer}"
        );
        if let Some((member, _)) =
            why.split_once(": ").filter(|(member, _)| !["body", "unknown field `afer`"].contains(member))
        {
            let pointer = answer["errors"][0]["pointer"].as_str().unwrap_or_default();
            assert_eq!(pointer, format!("#/{member}"), "{answer}");
        }
    }
    for (path, why) in [
        ("/api/policies/tags/%20a", "tag: expected 1 to 100 characters"),
        ("/api/policies/tags/a%", "tag: a percent sign is not followed by"),
        ("/api/policies/tags/%ff", "tag: percent-escapes do not stand for valid UTF-8"),
    ] {
        let (status, answer) = put(&test, path, &json!({}));
        assert_eq!(status, 400, "{path}: {answer}");
        assert!(error_of(&answer).starts_with(why), "{path}: {answer}");
    }
    assert_eq!(test.api().get("/api/policies"), json!({ "server": {}, "tags": [] }));
}

#[test]
fn a_job_has_a_policy_of_its_own_over_those_of_its_tags_and_of_the_server() {
    let test = Setup::new(&[]);
    let job = create(&test, &json!({ "tags": ["z", "a"], "alerts": { "after": 3 } }));
    let path = format!("/api/jobs/{job}/policy");
    let defaults = json!({
        "after": 3, "recovery": true, "remindEvery": null, "noSuccessFor": null, "lateBy": null, "onAutoPause": true,
        "channels": [],
    });
    assert_eq!(test.api().get(&path)["effective"], defaults);
    set_channel(&test, "ops", &test.receiver.url("/ops"));
    set_channel(&test, "mail", &test.receiver.url("/mail"));
    set(&test, SERVER, &json!({ "noSuccessFor": "1d2h", "recovery": true, "channels": ["ops"] }));
    set(&test, "/api/policies/tags/z", &json!({ "recovery": false, "lateBy": "7s" }));
    set(&test, "/api/policies/tags/a", &json!({ "after": 9, "lateBy": "5s" }));
    set(&test, "/api/policies/tags/b", &json!({ "onAutoPause": false }));
    let expected = json!({
        "effective": {
            "after": 3, "recovery": false, "remindEvery": null, "noSuccessFor": "1d2h", "lateBy": "5s",
            "onAutoPause": true, "channels": ["ops"],
        },
        "from": {
            "after": "job", "recovery": "tag:z", "remindEvery": "default", "noSuccessFor": "server",
            "lateBy": "tag:a", "onAutoPause": "default", "channels": "server",
        },
    });
    assert_eq!(test.api().get(&path), expected);
    assert_eq!(test.api().send("DELETE", SERVER, None).status, 204);
    let now = test.api().get(&path);
    assert_eq!((&now["effective"]["channels"], &now["from"]["channels"]), (&json!(["mail", "ops"]), &json!("default")));
    let gone = "/api/jobs/00000000-0000-8000-8000-000000000000/policy";
    assert_eq!(test.api().send("GET", gone, None).status, 404);
}

#[test]
fn the_policy_of_a_job_is_a_member_like_others() {
    let test = Setup::new(&[]);
    let alerts = json!({ "after": 3, "noSuccessFor": "1d2h", "channels": [] });
    let job = create(&test, &json!({ "name": "a", "alerts": alerts }));
    let path = format!("/api/jobs/{job}");
    let now = || test.api().get(&path)["alerts"].clone();
    assert_eq!(now(), alerts);
    let patch = |body: Value| test.api().send("PATCH", &path, Some(&body.to_string()));
    assert_eq!(patch(json!({ "alerts": { "after": 5, "noSuccessFor": null } })).status, 200);
    assert_eq!(now(), json!({ "after": 5, "channels": [] }));
    let exported = test.api().send("GET", "/api/export", None);
    assert!(exported.text.contains(r#""alerts":{"after":5,"channels":[]}"#), "{}", exported.text);
    // Declared otherwise, it is said what differs, member by member.
    let declared = json!({ "apply": { "job": {
        "name": "a", "schedule": "@yearly", "api": test.receiver.url("/a"), "type": "ATLEAST_ONCE", "alerts": { "after": 6 },
    } } });
    let headers = [("Content-Type", "application/x-ndjson")];
    let answer = test.api().send_with("POST", "/api/jobs/batch?dryRun=true", &headers, Some(&declared.to_string()));
    assert_eq!(answer.status, 200, "{}", answer.text);
    let changes = answer.json()["results"][0]["changes"].clone();
    assert_eq!(changes, json!(["alerts.after", "alerts.channels"]), "{}", answer.text);
    for (body, why) in [
        (json!({ "alerts": { "after": 0 } }), "alerts.after: expected"),
        (json!({ "alerts": { "channels": ["nobody"] } }), "alerts.channels: "),
        (json!({ "alerts": { "onServerTrouble": true } }), "alerts.onServerTrouble: only the policy of the server"),
        (json!({ "alerts": { "afer": 1 } }), "unknown field `afer`"),
        (json!({ "alerts": [] }), "alerts: "),
    ] {
        let answer = patch(body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(error_of(&answer.json()).contains(why), "{body}: {}", answer.text);
    }
    assert_eq!(patch(json!({ "alerts": null })).status, 200);
    assert_eq!(test.api().get(&path).get("alerts"), None, "it goes by its tags and the server again");
}

#[test]
fn who_set_a_policy_is_written_down_with_what_changed() {
    let test = Setup::new(&[]);
    set(&test, SERVER, &json!({ "after": 2 }));
    set(&test, SERVER, &json!({ "after": 3, "recovery": false }));
    set(&test, "/api/policies/tags/a%20b", &json!({ "lateBy": "5s" }));
    assert_eq!(put(&test, SERVER, &json!({ "channels": ["nobody"] })).0, 400);
    assert_eq!(test.api().send("DELETE", "/api/policies/tags/a%20b", None).status, 204);
    let rows = |subject: &str| {
        let found =
            test.api().get(&format!("/api/audit?subject={subject}"))["audit"].as_array().expect("a list").clone();
        found.iter().map(|row| json!([row["operation"], row["status"], row["difference"]])).collect::<Vec<_>>()
    };
    let of_server = rows("server");
    assert_eq!(of_server[0], json!(["putServerPolicy", 200, { "after": [2, 3], "recovery": [null, false] }]));
    assert_eq!(of_server[1], json!(["putServerPolicy", 200, { "after": [null, 2] }]));
    assert_eq!(
        rows("a%20b"),
        [
            json!(["deleteTagPolicy", 204, { "lateBy": ["5s", null] }]),
            json!(["putTagPolicy", 200, { "lateBy": [null, "5s"] }]),
        ]
    );
}
