//! Owns silences on the real binary: begun, listed, ended, and what is none.
//! It must not test what one covers: that takes incidents, which have a file of their own.

use serde_json::{Value, json};

use super::support::api::{Answer, Api};
use super::{Setup, error_of, is_time, members, this_second, time_at};

/// In an hour.
pub(super) fn in_an_hour() -> String {
    time_at(this_second() + 3_600)
}

fn begin(api: &Api, body: &Value) -> Answer {
    api.send("POST", "/api/silences", Some(&body.to_string()))
}

fn listed(test: &Setup) -> Vec<Value> {
    test.api().get("/api/silences")["silences"].as_array().expect("a list").clone()
}

#[test]
fn a_silence_is_begun_listed_and_ended() {
    let test = Setup::new(&[]);
    let job = test.api().create("@yearly", &test.receiver.url("/a"));
    let ends_at = in_an_hour();
    let shown_end = ends_at.replace('Z', ".000Z");
    let target = format!("{}/some/path?with=query", test.receiver.url(""));
    let mut made = Vec::new();
    for (member, given, shown) in [
        ("jobId", job.as_str(), job.as_str()),
        ("tag", "night shift", "night shift"),
        ("target", "https://EXAMPLE.com/x", "https://example.com:443"),
        ("target", &target, &test.receiver.url("")),
    ] {
        let answer = begin(test.api(), &json!({ member: given, "note": "it is moved", "endsAt": ends_at }));
        assert_eq!(answer.status, 201, "{}", answer.text);
        let silence = answer.json();
        assert_eq!(members(&silence).len(), 5, "{silence}");
        assert_eq!((silence[member].as_str(), &silence["note"]), (Some(shown), &json!("it is moved")));
        assert!(silence["endsAt"] == shown_end.as_str() && is_time(&silence["createdAt"]), "{silence}");
        let id = silence["silenceId"].as_str().expect("a text").to_owned();
        assert_eq!(answer.header("location"), format!("/api/silences/{id}"));
        made.push(silence);
    }
    assert_eq!(listed(&test), made, "in the order in which they began");
    let path = format!("/api/silences/{}", made[1]["silenceId"].as_str().expect("a text"));
    assert_eq!(test.api().send("DELETE", &path, None).status, 204);
    assert_eq!(test.api().send("DELETE", &path, None).status, 404, "it is over");
    made.remove(1);
    assert_eq!(listed(&test), made);
}

#[test]
fn the_same_key_begins_one_silence() {
    let test = Setup::new(&[]);
    let body = json!({ "tag": "a", "note": "b", "endsAt": in_an_hour() }).to_string();
    let ask = || test.api().send_with("POST", "/api/silences", &[("Idempotency-Key", "k")], Some(&body));
    let first = ask();
    assert_eq!(first.status, 201, "{}", first.text);
    let again = ask();
    assert_eq!((again.status, &again.text, again.header("idempotency-replayed")), (201, &first.text, "true"));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(listed(&test).len(), 1);
}

#[test]
fn what_is_no_silence_is_refused_by_name() {
    let test = Setup::new(&[]);
    let job = test.api().create("@yearly", &test.receiver.url("/a"));
    let far = time_at(this_second() + 367 * 86_400);
    let soon = in_an_hour();
    for (body, why) in [
        (json!({ "note": "a", "endsAt": soon }), "expected one of jobId, tag and target: what is silenced"),
        (
            json!({ "jobId": job, "tag": "b", "note": "a", "endsAt": soon }),
            "expected one of jobId, tag and target, and",
        ),
        (json!({ "tag": "b", "endsAt": soon }), "body: missing field `note`"),
        (json!({ "tag": "b", "note": "a" }), "body: missing field `endsAt`"),
        (json!({ "tag": "b", "note": " ", "endsAt": soon }), "note: expected 1 to 500 characters"),
        (json!({ "tag": "b", "note": "x".repeat(501), "endsAt": soon }), "note: expected 1 to 500 characters"),
        (json!({ "tag": "", "note": "a", "endsAt": soon }), "tag: expected 1 to 100 characters"),
        (json!({ "tag": "b ", "note": "a", "endsAt": soon }), "tag: expected 1 to 100 characters"),
        (json!({ "jobId": "x", "note": "a", "endsAt": soon }), "jobId: expected the id of a job"),
        (json!({ "target": "example.com", "note": "a", "endsAt": soon }), "target: expected an absolute"),
        (json!({ "target": "ftp://a/", "note": "a", "endsAt": soon }), "target: expected the scheme http or https"),
        (json!({ "tag": "b", "note": "a", "endsAt": "tomorrow" }), "endsAt: expected"),
        (json!({ "tag": "b", "note": "a", "endsAt": "2020-01-01T00:00:00Z" }), "endsAt: expected a time in the future"),
        (json!({ "tag": "b", "note": "a", "endsAt": far }), "endsAt: expected a time in the future, at most 366 days"),
        (json!({ "tag": "b", "note": "a", "endsAt": soon, "forMs": 1 }), "unknown field `forMs`"),
        (json!([]), "body: expected a JSON object with jobId, tag or target, note and endsAt, got a list"),
    ] {
        let answer = begin(test.api(), &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        let found = answer.json();
        assert!(error_of(&found).contains(why), "{body}: {}", answer.text);
        if let Some((member, _)) =
            why.split_once(": ").filter(|(member, _)| !["body", "expected"].contains(member) && !member.contains(' '))
        {
            assert_eq!(found["errors"][0]["pointer"], format!("#/{member}"), "{}", answer.text);
        }
    }
    let gone = json!({ "jobId": "00000000-0000-8000-8000-000000000000", "note": "a", "endsAt": soon });
    let answer = begin(test.api(), &gone);
    assert_eq!((answer.status, error_of(&answer.json())), (404, "Job not found"));
    for path in ["/api/silences/x", "/api/silences/1", "/api/silences/01"] {
        assert_eq!(test.api().send("DELETE", path, None).status, 404, "{path}");
    }
    assert_eq!(listed(&test), [Value::Null; 0]);
    assert_eq!(test.api().send("GET", "/api/silences?limit=1", None).status, 400);
}

#[test]
fn there_are_so_many_silences_and_no_more() {
    let test = Setup::new(&[]);
    let body = json!({ "tag": "a", "note": "b", "endsAt": in_an_hour() });
    let most = punctual::limits::SILENCES_MAX;
    for _ in 0..most {
        assert_eq!(begin(test.api(), &body).status, 201);
    }
    let answer = begin(test.api(), &body);
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(error_of(&answer.json()).contains(&most.to_string()), "{}", answer.text);
    assert_eq!(listed(&test).len(), most);
}

#[test]
fn who_began_one_is_said_and_written_down() {
    let test = Setup::new(&[]);
    let admin = super::access::made(&test, "admin");
    let api = test.api().with_token(&admin);
    let answer = begin(&api, &json!({ "tag": "a b", "note": "c", "endsAt": in_an_hour() }));
    assert_eq!((answer.status, &answer.json()["by"]), (201, &json!("a test")), "{}", answer.text);
    let id = answer.json()["silenceId"].as_str().expect("a text").to_owned();
    let path = format!("/api/silences/{id}");
    assert_eq!(api.send("DELETE", &path, None).status, 204);
    let rows = api.get(&format!("/api/audit?subject={id}"))["audit"].as_array().expect("a list").clone();
    let told: Vec<_> =
        rows.iter().map(|row| (row["operation"].as_str().expect("a text"), row["status"].as_u64())).collect();
    assert_eq!(told, [("endSilence", Some(204)), ("createSilence", Some(201))]);
    assert!(rows.iter().all(|row| row["tokenName"] == "a test"), "{rows:?}");
    assert_eq!(rows[0]["difference"]["tag"], json!(["a b", null]));
    assert_eq!(rows[1]["difference"]["note"], json!([null, "c"]));
}

#[test]
fn silences_outlive_a_crash() {
    let test = Setup::new(&[]);
    assert_eq!(begin(test.api(), &json!({ "tag": "a", "note": "b", "endsAt": in_an_hour() })).status, 201);
    let before = listed(&test);
    let test = test.killed_and_started();
    assert_eq!(listed(&test), before);
    let other = begin(test.api(), &json!({ "tag": "a", "note": "b", "endsAt": in_an_hour() })).json();
    assert_ne!(other["silenceId"], before[0]["silenceId"]);
}
