//! Owns time series on the real binary: what executions came to is told at once, and stays over a restart.
//! It must not test how it is kept: the store's own tests do.

use serde_json::json;

use super::support::api::job;
use super::support::receiver::Script;
use super::{Setup, error_of};

#[test]
fn what_executions_came_to_is_told_at_once_and_stays() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/bad", Script::Status(500));
    let create = |path: &str| {
        let answer = test.api().send("POST", "/api/jobs", Some(&job("@yearly", &test.receiver.url(path)).to_string()));
        answer.json()["jobId"].as_str().expect("a text").to_owned()
    };
    let (good, bad) = (create("/good"), create("/bad"));
    for id in [&good, &good, &bad] {
        test.api().send("POST", &format!("/api/jobs/{id}/run"), Some(r#"{"wait":true}"#));
    }
    let sums = |test: &Setup, path: &str| {
        let series = test.api().get(path);
        let sum = |member: &str| -> u64 {
            series["points"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|point| point[member].as_u64().expect("a count"))
                .sum()
        };
        (sum("success"), sum("failed"), sum("skipped"))
    };
    let of = |id: &str| format!("/api/jobs/{id}/series");
    for (path, expected) in [(of(&good), (2, 0, 0)), (of(&bad), (0, 1, 0)), ("/api/series".to_owned(), (2, 1, 0))] {
        assert_eq!(sums(&test, &path), expected, "{path}");
        assert_eq!(sums(&test, &format!("{path}?step=1d")), expected, "{path}");
        assert_eq!(sums(&test, &format!("{path}?to=2020-01-01T00:00:00Z&step=12h")), (0, 0, 0), "{path}");
    }
    let series = test.api().get(&of(&good));
    let point = &series["points"][0];
    assert_eq!((&series["jobId"], &series["stepSeconds"], &point["drift"]), (&json!(good), &json!(3600), &json!(null)));
    assert_eq!(point["duration"]["count"], 2);
    assert!(point["duration"]["p50Ms"].as_f64() <= point["duration"]["maxMs"].as_f64());
    let test = test.killed_and_started();
    assert_eq!(sums(&test, "/api/series"), (2, 1, 0));
    for (query, why) in [
        ("step=5m", "step: expected 1h, 2h"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from: expected a time before to"),
    ] {
        let answer = test.api().send("GET", &format!("/api/series?{query}"), None);
        assert_eq!(answer.status, 400);
        assert!(error_of(&answer.json()).starts_with(why), "{}", answer.text);
    }
}
