//! Owns calendars on the real binary: registered, followed by jobs, changed under them, kept over a restart.
//! It must not test what a date means to a schedule: that is tested there.

use serde_json::{Value, json};

use super::support::server::Server;
use super::support::until;
use super::{Setup, error_of, this_second, with_few_workers};

/// A few days around now: what is today depends on when the test runs.
fn days_around_now() -> Vec<String> {
    let day = |days: i64| chrono::DateTime::from_timestamp(this_second() + days * 86_400, 0).expect("a time");
    (-1..=2).map(|days| day(days).format("%Y-%m-%d").to_string()).collect()
}

fn put(test: &Setup, name: &str, dates: &[String]) -> Value {
    let body = json!({ "dates": dates }).to_string();
    let answer = test.api().send("PUT", &format!("/api/calendars/{name}"), Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[test]
fn jobs_follow_a_calendar_as_it_changes_and_over_a_restart() {
    let mut test = Setup::new(&[]);
    assert_eq!(put(&test, "closed", &days_around_now())["jobs"], 0);
    let body = json!({
        "schedule": "* * * * * *", "api": test.receiver.url("/open"), "type": "ATLEAST_ONCE",
        "excludeCalendars": ["closed"],
    });
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["job"]["excludeCalendars"], json!(["closed"]));
    let id = answer["jobId"].as_str().expect("it is a text").to_owned();
    let next = |test: &Setup| test.api().get(&format!("/api/jobs/{id}"))["nextExecution"].clone();
    let opens = next(&test);
    assert!(opens.as_str().is_some_and(|time| time.ends_with("T00:00:00.000Z")), "{opens}");

    let db = test.db();
    std::mem::replace(&mut test.server, Server::start(&test.folder.path().join("other.db"), &[])).kill();
    test.server = Server::start(&db, &with_few_workers(&[]));
    assert_eq!(next(&test), opens, "its dates are there after a crash");
    assert!(test.receiver.posts_to("/open").is_empty());

    let answer = test.api().send("DELETE", "/api/calendars/closed", None);
    assert_eq!((answer.status, error_of(&answer.json())), (409, "jobs follow this calendar"));
    assert_eq!(put(&test, "closed", &[])["jobs"], 1);
    until("it is due again", || (!test.receiver.posts_to("/open").is_empty()).then_some(()));
    assert_eq!(put(&test, "closed", &days_around_now())["jobs"], 1);
    until("it is not due any more", || (next(&test) == opens).then_some(()));

    assert_eq!(test.api().send("DELETE", &format!("/api/jobs/{id}"), None).status, 204);
    until("nothing follows it", || {
        let answer = test.api().send("DELETE", "/api/calendars/closed", None);
        (answer.status == 204).then_some(())
    });
    assert_eq!(test.api().send("GET", "/api/calendars/closed", None).status, 404);
    assert_eq!(test.api().send("DELETE", "/api/calendars/closed", None).status, 404);
}

#[test]
fn calendars_are_listed_and_what_is_none_is_refused() {
    let test = Setup::new(&[]);
    let dates = ["2026-12-26".to_owned(), "2026-12-25".to_owned(), "2026-12-25".to_owned()];
    put(&test, "de", &dates);
    put(&test, "at.2026", &[]);
    let one = test.api().get("/api/calendars/de");
    assert_eq!(one, json!({"name": "de", "dates": ["2026-12-25", "2026-12-26"]}));
    let listed = json!({"calendars": [
        {"name": "at.2026", "dates": 0, "first": null, "last": null},
        {"name": "de", "dates": 2, "first": "2026-12-25", "last": "2026-12-26"},
    ]});
    assert_eq!(test.api().get("/api/calendars"), listed);

    for (path, body, why) in [
        ("/api/calendars/DE", r#"{"dates":[]}"#, "calendar: expected a name"),
        ("/api/calendars/-x", r#"{"dates":[]}"#, "calendar: expected a name"),
        ("/api/calendars/x", r#"{"dates":["25.12.2026"]}"#, "dates: expected dates"),
        ("/api/calendars/x", r#"{"dates":["2026-02-30"]}"#, "dates: expected dates"),
        ("/api/calendars/x", r#"{"dates":"2026-12-25"}"#, "dates: invalid type"),
        ("/api/calendars/x", r#"{"dates":[],"name":"x"}"#, "unknown field `name`"),
        ("/api/calendars/x", "[]", "got a list"),
    ] {
        let answer = test.api().send("PUT", path, Some(body));
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
        assert!(error_of(&answer.json()).contains(why), "{path} {body}: {}", answer.text);
    }
    let body = json!({"schedule": "@daily", "api": "http://a/", "type": "ATLEAST_ONCE", "excludeCalendars": ["fr"]});
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(error_of(&answer.json()).starts_with("excludeCalendars"), "{}", answer.text);
}
