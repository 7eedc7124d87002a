//! Owns lists of jobs on the real binary: filters, orders, pages.
//! It must not test how a job looks.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::api::job;
use super::{Setup, error_of};

fn create(test: &Setup, schedule: &str, members: Value) -> String {
    let mut body = job(schedule, "http://127.0.0.1:1/hook");
    body.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
    let answer = test.api().send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["jobId"].as_str().expect("a text").to_owned()
}

/// The ids on all pages.
fn ids(test: &Setup, query: &str) -> Vec<String> {
    let jobs = test.api().pages(&format!("/api/jobs?{query}"), "jobs");
    jobs.iter().map(|job| job["jobId"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn jobs_are_found_by_what_they_are_and_how_they_stand() {
    let test = Setup::new(&[]);
    let a = create(&test, "0 0 3 1 1 *", json!({"name": "Alpha", "tags": ["x", "y"], "owner": "ops"}));
    let b = create(&test, "0 0 2 1 1 *", json!({"name": "beta", "tags": ["y"], "api": "https://Example.org:8443/B"}));
    let c = create(&test, "0 0 1 1 1 *", json!({"active": false, "tags": ["x"]}));
    for (query, expected) in [
        ("limit=2", vec![&a, &b, &c]),
        ("sort=next&limit=1", vec![&b, &a, &c]),
        ("sort=name&limit=1", vec![&a, &b, &c]),
        ("tag=x", vec![&a, &c]),
        ("tag=y&limit=1", vec![&a, &b]),
        ("tag=y&sort=name", vec![&a, &b]),
        ("tag=z", vec![]),
        ("state=paused", vec![&c]),
        ("state=active&limit=1", vec![&a, &b]),
        ("state=ended", vec![]),
        ("tag=x&state=active", vec![&a]),
        ("q=ALPHA", vec![&a]),
        ("q=ops", vec![&a]),
        ("q=hook", vec![&a, &c]),
        ("q=example.org&tag=y", vec![&b]),
        ("target=example.org", vec![&b]),
        ("target=https://example.org:8443", vec![&b]),
        ("target=https://example.org", vec![]),
        ("target=127.0.0.1&state=paused", vec![&c]),
    ] {
        let expected: Vec<String> = expected.into_iter().cloned().collect();
        // In January the years of the next instants differ from those of the list.
        if query.starts_with("sort=next") {
            let found = ids(&test, query);
            assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected.iter().collect());
            assert_eq!(found.last(), Some(&c), "what is never due comes last");
            continue;
        }
        assert_eq!(ids(&test, query), expected, "{query}");
    }
    let patch = test.api().send("PATCH", &format!("/api/jobs/{a}"), Some(r#"{"tags":["z"]}"#));
    assert_eq!(patch.status, 200);
    assert_eq!((ids(&test, "tag=x"), ids(&test, "tag=z")), (vec![c.clone()], vec![a.clone()]));
    test.api().send("DELETE", &format!("/api/jobs/{a}"), None);
    assert!(ids(&test, "tag=z").is_empty() && ids(&test, "q=alpha").is_empty());
    let test = test.killed_and_started();
    assert_eq!(ids(&test, "tag=x"), [c]);
    for (query, why) in [
        ("sort=next&tag=x", "sort: expected created or name where tag or q are given"),
        ("sort=age", "sort: expected created, next or name, got \"age\""),
        ("state=odd", "state: expected active, paused, ended, held, failing or autoPaused"),
        ("target=ftp://a", "target: expected the scheme http or https"),
        ("tag=", "tag: expected 1 to 100 characters"),
        ("sort=next&cursor=5", "cursor: expected the nextCursor"),
    ] {
        let answer = test.api().send("GET", &format!("/api/jobs?{query}"), None);
        assert_eq!(answer.status, 400, "{query}");
        assert!(error_of(&answer.json()).starts_with(why), "{}", answer.text);
    }
}

#[test]
fn everything_is_exported_and_can_be_registered_again() {
    let test = Setup::new(&[]);
    let dates = r#"{"dates":["2030-12-25"]}"#;
    assert_eq!(test.api().send("PUT", "/api/calendars/holidays", Some(dates)).status, 200);
    for number in 0..230 {
        create(
            &test,
            "0 ~ 3 * * *",
            json!({"name": format!("job {number}"), "excludeCalendars": ["holidays"], "json": {"n": number}}),
        );
    }
    let id = create(&test, "@every 1h", json!({"retry": {"maxAttempts": 2}}));
    test.api().send("POST", &format!("/api/jobs/{id}/pause"), Some(r#"{"note":"a break"}"#));
    let export = test.api().send("GET", "/api/export", None);
    assert_eq!((export.status, export.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[0]["calendar"]["name"]), (232, &json!("holidays")));
    let last = &lines[231];
    assert_eq!((&last["jobId"], &last["paused"]["note"]), (&json!(id), &json!("a break")));
    // Another server makes the same of it.
    let other = Setup::new(&[]);
    assert_eq!(other.api().send("PUT", "/api/calendars/holidays", Some(dates)).status, 200);
    for line in &lines[1..] {
        let answer = other.api().send("POST", "/api/jobs", Some(&line["job"].to_string()));
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let again = other.api().send("GET", "/api/export", None);
    for (line, again) in lines[1..].iter().zip(again.text.lines().skip(1)) {
        let again: Value = serde_json::from_str(again).expect("JSON");
        assert_eq!(line["job"], again["job"]);
    }
}

#[test]
fn every_list_says_where_its_next_page_is() {
    let test = Setup::new(&[]);
    let ids = [create(&test, "@yearly", json!({"tags": ["a"]})), create(&test, "@yearly", json!({"tags": ["a"]}))];
    for id in &ids {
        test.api().send("POST", &format!("/api/jobs/{id}/run"), Some(r#"{"wait":true}"#));
    }
    for (path, member) in
        [("/api/jobs?limit=1", "jobs"), ("/api/jobs?tag=a&limit=1", "jobs"), ("/api/executions?limit=1", "executions")]
    {
        let first = test.api().send("GET", path, None);
        let link = first.header("link").to_owned();
        let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
        assert!(next.starts_with(&format!("{path}&cursor=")), "{next}");
        let second = test.api().send("GET", next, None);
        assert_eq!((second.json()[member].as_array().expect("a list").len(), second.header("link")), (1, ""));
        assert_ne!(second.json()[member], first.json()[member]);
    }
}

#[test]
fn pages_in_every_order_hold_every_job_once() {
    let test = Setup::new(&[]);
    for number in 0..250 {
        let name = if number % 3 == 0 { json!({"name": format!("job {:03}", 999 - number)}) } else { json!({}) };
        create(&test, &format!("{} {} 4 * * *", number % 60, number / 60), name);
    }
    for sort in ["created", "next", "name"] {
        for limit in [7, 100, 120, 1000] {
            let found = ids(&test, &format!("sort={sort}&limit={limit}"));
            assert_eq!(found.len(), 250, "{sort} {limit}");
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 250, "{sort} {limit}");
        }
        let jobs = test.api().pages(&format!("/api/jobs?sort={sort}&limit=30"), "jobs");
        let key = |job: &Value| match sort {
            "next" => job["nextExecution"].as_str().expect("a text").to_owned(),
            "name" => job["name"].as_str().unwrap_or("~").to_owned(),
            _ => String::new(),
        };
        assert!(jobs.windows(2).all(|two| key(&two[0]) <= key(&two[1])), "{sort}");
    }
}
