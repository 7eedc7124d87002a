//! Owns incidents on the real binary as the API has them: opened by what fails, listed, acknowledged, silenced, closed.
//! It must not test what a channel gets: `told.rs` does.

use serde_json::{Value, json};

use super::events::Listener;
use super::silences::in_an_hour;
use super::support::receiver::Script;
use super::support::until;
use super::{Setup, error_of, is_time, members};

/// A job that is never due, and POSTs to this path.
pub(super) fn create(test: &Setup, path: &str, more: &Value) -> String {
    let mut body = json!({ "schedule": "@yearly", "api": test.receiver.url(path), "type": "ATLEAST_ONCE" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["jobId"].as_str().expect("a text").to_owned()
}

/// Runs a job to its end; the execution.
pub(super) fn run(test: &Setup, job: &str) -> Value {
    let answer = test.api().send("POST", &format!("/api/jobs/{job}/run"), Some(r#"{"wait":true}"#));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

pub(super) fn listed(test: &Setup, query: &str) -> Vec<Value> {
    test.api().get(&format!("/api/incidents{query}"))["incidents"].as_array().expect("a list").clone()
}

/// The only open incident.
pub(super) fn open(test: &Setup) -> Value {
    let mut found = listed(test, "?state=open");
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

pub(super) fn id_of(incident: &Value) -> &str {
    incident["incidentId"].as_str().expect("a text")
}

fn acknowledge(test: &Setup, id: &str, body: Option<&str>) -> (u16, Value) {
    let answer = test.api().send("POST", &format!("/api/incidents/{id}/acknowledge"), body);
    (answer.status, answer.json())
}

#[test]
fn what_fails_is_an_incident_until_it_succeeds() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::FailFirst(1));
    let job = create(&test, "/a", &json!({ "name": "Nightly report" }));
    let execution = run(&test, &job);
    let incident = open(&test);
    let expected = [
        "api",
        "cause",
        "executionId",
        "incidentId",
        "jobId",
        "jobName",
        "messageCount",
        "openedAt",
        "schedule",
        "state",
        "summary",
        "told",
    ];
    assert_eq!(members(&incident), expected);
    assert_eq!(
        (&incident["cause"], &incident["state"], &incident["jobId"], &incident["jobName"]),
        (&json!("FAILING"), &json!("OPEN"), &json!(job), &json!("Nightly report"))
    );
    assert_eq!(incident["executionId"], execution["executionId"]);
    assert_eq!((&incident["api"], &incident["schedule"]), (&json!(test.receiver.url("/a")), &json!("@yearly")));
    // There is nobody to tell.
    assert_eq!((&incident["told"], &incident["messageCount"]), (&json!(false), &json!(0)));
    assert!(is_time(&incident["openedAt"]) && incident["summary"].as_str().is_some_and(|text| text.contains("500")));
    let path = format!("/api/incidents/{}", id_of(&incident));
    let mut one = test.api().get(&path);
    assert_eq!(one["messages"].take(), json!([]));
    one.as_object_mut().expect("an object").remove("messages");
    assert_eq!(one, incident, "one is as it is in the list");
    let figures = test.api().get("/api/metrics")["incidents"].clone();
    assert_eq!(figures, json!({ "open": 1, "opened": 1, "closed": 0, "passedOver": 0 }));

    let test = test.killed_and_started();
    assert_eq!(open(&test), incident, "it outlives a crash");
    run(&test, &job);
    assert_eq!(listed(&test, "?state=open"), [Value::Null; 0]);
    let closed = test.api().get(&path);
    assert_eq!((&closed["state"], &closed["closedBecause"]), (&json!("CLOSED"), &json!("an execution succeeded")));
    assert!(is_time(&closed["closedAt"]), "{closed}");
}

#[test]
fn a_page_is_of_those_that_are_asked_for() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/fails", Script::Status(500));
    test.receiver.script("/recovers", Script::FailFirst(1));
    let jobs: Vec<String> = (0..4).map(|_| create(&test, "/fails", &json!({}))).collect();
    jobs.iter().for_each(|job| drop(run(&test, job)));
    let over = create(&test, "/recovers", &json!({}));
    run(&test, &over);
    run(&test, &over);
    let all = test.api().pages("/api/incidents?limit=2", "incidents");
    let of: Vec<&str> = all.iter().filter_map(|incident| incident["jobId"].as_str()).collect();
    let newest_first: Vec<&str> = std::iter::once(&over).chain(jobs.iter().rev()).map(String::as_str).collect();
    assert_eq!(of, newest_first);
    let page = test.api().send("GET", "/api/incidents?limit=2&state=open", None);
    let cursor = page.json()["nextCursor"].as_str().expect("there is more").to_owned();
    assert_eq!(page.header("link"), format!("</api/incidents?limit=2&state=open&cursor={cursor}>; rel=\"next\""));
    for (query, count) in [
        ("?state=open", 4),
        ("?state=closed", 1),
        ("?cause=FAILING", 5),
        ("?cause=LATE", 0),
        ("?cause=STORE_FAILING&state=open", 0),
        (&format!("?job={}", jobs[0]), 1),
        (&format!("?job={over}&state=open"), 0),
        (&format!("?job={over}&state=closed&cause=FAILING"), 1),
        ("?job=00000000-0000-8000-8000-000000000000", 0),
    ] {
        assert_eq!(listed(&test, query).len(), count, "{query}");
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_by_name() {
    let test = Setup::new(&[]);
    for (query, why) in [
        ("state=OPEN", "state: expected open or closed"),
        ("cause=failing", "cause: expected FAILING, NO_SUCCESS, LATE, AUTO_PAUSED, TARGET_FAILING, STORE_FAILING or"),
        ("job=x", "job: expected the id of a job"),
        ("jobId=x", "jobId: unknown parameter; expected: limit, cursor, state, job, cause"),
        ("limit=0", "limit: expected a number"),
        ("cursor=x", "cursor: expected the nextCursor of an earlier page"),
        ("cursor=01", "cursor: expected"),
    ] {
        let answer = test.api().send("GET", &format!("/api/incidents?{query}"), None);
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        assert!(error_of(&answer.json()).starts_with(why), "{query}: {}", answer.text);
    }
    for id in ["1", "01", "x", "99999999999999999999"] {
        let answer = test.api().send("GET", &format!("/api/incidents/{id}"), None);
        assert_eq!((answer.status, error_of(&answer.json())), (404, "Incident not found, or it is over"), "{id}");
        assert_eq!(acknowledge(&test, id, Some("{}")).0, 404, "{id}");
    }
    for (body, why) in [
        (json!({ "note": "x".repeat(501) }), "note: expected at most 500 characters"),
        (json!({ "note": 1 }), "note: invalid type"),
        (json!({ "by": "me" }), "by: unknown field `by`"),
        (json!([]), "body: expected a JSON object such as"),
    ] {
        let (status, answer) = acknowledge(&test, "1", Some(&body.to_string()));
        assert_eq!(status, 400, "{answer}");
        assert!(error_of(&answer).starts_with(why), "{answer}");
    }
}

#[test]
fn somebody_knows_of_an_incident_with_or_without_a_note() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::FailFirst(1));
    let job = create(&test, "/a", &json!({}));
    run(&test, &job);
    let id = id_of(&open(&test)).to_owned();
    for body in [None, Some(""), Some("{}"), Some(r#"{"note":null}"#), Some(r#"{"note":" "}"#)] {
        let (status, known) = acknowledge(&test, &id, body);
        assert_eq!((status, members(&known["acknowledged"])), (200, vec!["at"]), "{known}");
    }
    let path = format!("/api/incidents/{id}/acknowledge");
    let with_key = || test.api().send_with("POST", &path, &[("Idempotency-Key", "k")], Some(r#"{"note":"on it"}"#));
    let first = with_key();
    assert_eq!((first.status, &first.json()["acknowledged"]["note"]), (200, &json!("on it")), "{}", first.text);
    let again = with_key();
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&first.text, "true"));
    let test = test.killed_and_started();
    let known = open(&test)["acknowledged"].clone();
    assert_eq!(known, first.json()["acknowledged"], "it outlives a crash");
    // With a token it is known who.
    let token = super::access::made(&test, "write");
    let api = test.api().with_token(&token);
    let answer = api.send("POST", &path, Some(r#"{"note":"me, too"}"#));
    let known = answer.json()["acknowledged"].clone();
    assert_eq!(
        (answer.status, &known["by"], &known["note"]),
        (200, &json!("a test"), &json!("me, too")),
        "{}",
        answer.text
    );
    let admin = test.api().with_token(&super::access::made(&test, "admin"));
    let rows = admin.get(&format!("/api/audit?subject={id}"))["audit"].as_array().expect("a list").clone();
    assert_eq!((&rows[0]["operation"], &rows[0]["tokenName"]), (&json!("acknowledgeIncident"), &json!("a test")));
    assert_eq!(rows.len(), 7, "each of them, and no repeated one: {rows:?}");
    // Once it is over it is too late.
    assert_eq!(api.send("POST", &format!("/api/jobs/{job}/run"), Some(r#"{"wait":true}"#)).status, 200);
    assert_eq!(api.send("POST", &path, Some("{}")).status, 404);
}

#[test]
fn a_silence_says_which_incidents_it_covers() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::Status(500));
    let job = create(&test, "/a", &json!({ "tags": ["quiet"] }));
    for of in [json!({ "tag": "quiet" }), json!({ "jobId": job }), json!({ "target": test.receiver.url("/elsewhere") })]
    {
        let mut body = json!({ "note": "n", "endsAt": in_an_hour() });
        body.as_object_mut().expect("an object").extend(of.as_object().expect("an object").clone());
        let made = test.api().send("POST", "/api/silences", Some(&body.to_string()));
        assert_eq!(made.status, 201, "{}", made.text);
        let silence = made.json()["silenceId"].clone();
        run(&test, &job);
        let incident = open(&test);
        assert_eq!((&incident["silencedBy"], &incident["told"]), (&silence, &json!(false)), "{of}");
        let shown = test.api().get(&format!("/api/incidents/{}", id_of(&incident)));
        assert_eq!(shown["silencedBy"], silence, "{of}");
        let path = format!("/api/silences/{}", silence.as_str().expect("a text"));
        assert_eq!(test.api().send("DELETE", &path, None).status, 204);
        assert_eq!(open(&test).get("silencedBy"), None, "{of}");
    }
}

#[test]
fn who_listens_is_told_of_incidents_once_they_are_on_disk() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::FailFirst(1));
    let job = create(&test, "/a", &json!({}));
    let mut listener = Listener::connect(&test, "?type=incidents");
    let mut of_job = Listener::connect(&test, &format!("?type=incidents&jobId={job}"));
    run(&test, &job);
    let incident = open(&test);
    let id = id_of(&incident).to_owned();
    let opened = listener.next();
    assert_eq!(opened.name, "incident.opened");
    for (member, value) in incident.as_object().expect("an object") {
        assert_eq!(&opened.data[member], value, "{member}");
    }
    assert_eq!(acknowledge(&test, &id, Some(r#"{"note":"on it"}"#)).0, 200);
    let known = listener.next();
    assert_eq!((known.name.as_str(), &known.data["acknowledged"]["note"]), ("incident.acknowledged", &json!("on it")));
    run(&test, &job);
    let closed = listener.next();
    assert_eq!((closed.name.as_str(), &closed.data["state"]), ("incident.closed", &json!("CLOSED")));
    assert!(closed.data["incidentId"] == id.as_str(), "{}", closed.data);
    let told: Vec<String> = (0..3).map(|_| of_job.next().name).collect();
    assert_eq!(told, ["incident.opened", "incident.acknowledged", "incident.closed"]);
}

#[test]
fn so_many_failures_in_a_row_as_the_policy_says() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::Status(500));
    let job = create(&test, "/a", &json!({ "alerts": { "after": 3 } }));
    run(&test, &job);
    run(&test, &job);
    assert_eq!(listed(&test, ""), [Value::Null; 0]);
    run(&test, &job);
    let summary = open(&test)["summary"].as_str().expect("a text").to_owned();
    assert!(summary.starts_with("3 executions in a row failed"), "{summary}");
    // A target that fails is one of the server's, beside that of the job.
    let gone = create(&test, "/b", &json!({ "api": "http://127.0.0.1:9/" }));
    let target = until("its target fails", || {
        run(&test, &gone);
        listed(&test, "?cause=TARGET_FAILING").pop()
    });
    assert_eq!((&target["target"], target.get("jobId")), (&json!("http://127.0.0.1:9"), None));
}
