//! When jobs are due, through the API: zones, one instant, spreading, dates left out, and the preview.
//! It must not test which instants those are in general: the schedule's own tests do.

use serde_json::{Value, json};

use super::support::server::Server;
use super::support::{second_of, until};
use super::{Setup, error_of, is_time, members, this_second, with_few_workers};

/// A job with more members.
fn job_with(url: &str, more: &Value) -> Value {
    let mut job = json!({ "api": url, "type": "ATLEAST_ONCE" });
    let members = job.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    job
}

fn post(test: &Setup, path: &str, body: &Value) -> Value {
    let answer = test.api().send("POST", path, Some(&body.to_string()));
    assert!(matches!(answer.status, 200 | 201), "{body}: {}", answer.text);
    answer.json()
}

fn locals(preview: &Value) -> Vec<&str> {
    let instants = preview["instants"].as_array().expect("a list");
    instants.iter().map(|instant| instant["local"].as_str().expect("a text")).collect()
}

#[test]
fn a_zone_is_kept_over_a_restart_whatever_the_server_was_told_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let server = Server::start(&db, &with_few_workers(&["--time-zone", "asia/tokyo"]));
    let create = |more: Value| {
        let job = job_with("http://127.0.0.1:9/", &more).to_string();
        let answer = server.api.send("POST", "/api/jobs", Some(&job));
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["job"].clone()
    };
    let named = create(json!({"schedule": "0 0 9 * * *", "timeZone": "europe/berlin"}));
    assert_eq!(named["timeZone"], "Europe/Berlin");
    let unnamed = create(json!({"schedule": "0 0 9 * * *"}));
    assert_eq!(unnamed["timeZone"], "Asia/Tokyo");
    assert!(unnamed["nextExecution"].as_str().is_some_and(|next| next.ends_with("T00:00:00.000Z")), "{unnamed}");
    let utc = create(json!({"schedule": "0 0 9 * * *", "timeZone": "UTC"}));
    assert_eq!(utc.get("timeZone"), None, "UTC goes without saying");
    let id = utc["jobId"].as_str().expect("a text");
    let answer = server.api.send("PATCH", &format!("/api/jobs/{id}"), Some(r#"{"tags":["a"]}"#));
    let patched = &answer.json()["job"];
    assert_eq!((patched.get("timeZone"), &patched["nextExecution"]), (None, &utc["nextExecution"]));
    server.stop();

    let again = Server::start(&db, &with_few_workers(&["--time-zone", "America/New_York"]));
    for job in [&named, &unnamed, &utc] {
        let id = job["jobId"].as_str().expect("a text");
        let read = again.api.get(&format!("/api/jobs/{id}"));
        assert_eq!((&read["timeZone"], &read["nextExecution"]), (&job["timeZone"], &job["nextExecution"]));
    }
}

#[test]
fn an_unknown_zone_stops_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let command = super::support::server::command(&["--db", db.to_str().expect("a text"), "--time-zone", "Berlin"]);
    let refused = Server::refused(command);
    assert!(refused.stderr.contains("--time-zone: expected an IANA name such as Europe/Berlin"), "{}", refused.stderr);
    assert!(!db.exists(), "nothing was touched");
}

#[test]
fn one_instant_runs_once_and_the_job_is_inactive_then() {
    let test = Setup::new(&[]);
    let before = this_second();
    let created = post(&test, "/api/jobs", &job_with(&test.receiver.url("/once"), &json!({"runAfterMs": 1_500})));
    let run_at = created["job"]["runAt"].as_str().expect("it is told as an instant");
    assert!((before + 2..=before + 5).contains(&second_of(run_at)), "{created}");
    assert_eq!((created["job"].get("schedule"), created["job"].get("runAfterMs")), (None, None));
    assert_eq!(created["nextExecutions"].as_array().map(Vec::len), Some(1));
    let id = created["jobId"].as_str().expect("a text");
    until("it is inactive", || (test.api().get(&format!("/api/jobs/{id}"))["active"] == false).then_some(()));
    let ran = until("it has run", || test.api().executions(id).into_iter().find(|run| run["status"] == "SUCCESS"));
    assert_eq!(second_of(ran["scheduledTime"].as_str().expect("a time")), second_of(run_at));
    assert_eq!(test.api().executions(id).len(), 1);

    // At another time it runs again.
    let later = json!({"runAt": "2090-01-01T09:00:00+01:00"});
    let path = format!("/api/jobs/{id}");
    let answer = test.api().send("PUT", &path, Some(&job_with(&test.receiver.url("/once"), &later).to_string()));
    assert_eq!(answer.json()["job"]["runAt"], "2090-01-01T08:00:00Z");
    assert_eq!(answer.json()["job"]["nextExecution"], "2090-01-01T08:00:00.000Z");
}

#[test]
fn a_seed_that_was_drawn_stays() {
    let test = Setup::new(&[]);
    let more = json!({"schedule": "0 ~ ~ * * *", "spreadSeconds": 3_600});
    let job = job_with(&test.receiver.url("/a"), &more);
    let created = post(&test, "/api/jobs", &job);
    let seed = created["job"]["spreadSeed"].as_u64().expect("a number");
    assert_eq!(created["preview"]["spreadSeed"], seed);
    let path = format!("/api/jobs/{}", created["jobId"].as_str().expect("a text"));
    let put = |body: &Value| test.api().send("PUT", &path, Some(&body.to_string())).json();
    let updated = put(&job);
    assert_eq!(updated["job"]["spreadSeed"], seed);
    assert_eq!(updated["nextExecutions"], created["nextExecutions"]);
    // Another job draws another one.
    assert_ne!(post(&test, "/api/jobs", &job)["job"]["spreadSeed"], seed);
    let mut said = job.clone();
    said["spreadSeed"] = json!(7);
    assert_eq!(put(&said)["job"]["spreadSeed"], 7);
    // What is said gives the same times, as often as it is asked.
    let asked =
        json!({"schedule": "0 ~ ~ * * *", "spreadSeconds": 3_600, "spreadSeed": 7, "from": "2030-01-01T00:00:00Z"});
    let preview = post(&test, "/api/schedules/preview", &asked);
    assert_eq!(post(&test, "/api/schedules/preview", &asked), preview);
}

#[test]
fn a_preview_tells_what_is_odd() {
    let test = Setup::new(&[]);
    let preview = |body: Value| post(&test, "/api/schedules/preview", &body);
    let spring = preview(json!({
        "schedule": "0 30 2 * * *", "timeZone": "Europe/Berlin", "excludeDates": ["2026-03-28"],
        "from": "2026-03-28T00:00:00Z", "to": "2026-03-31T00:00:00Z"
    }));
    assert_eq!(members(&spring), ["description", "excluded", "instants", "warnings"]);
    assert_eq!(spring["description"], "at 02:30:00 every day, Europe/Berlin, except on 1 date");
    assert_eq!(locals(&spring), ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]);
    assert_eq!(spring["instants"][0]["time"], "2026-03-29T01:00:00.000Z");
    assert_eq!(spring["instants"][0]["remark"]["kind"], "gap");
    assert_eq!(spring["instants"][1].get("remark"), None);
    assert_eq!(spring["excluded"], json!([{"date": "2026-03-28", "by": ["excludeDates"]}]));

    let autumn = preview(json!({
        "schedule": "0 30 2 * * *", "timeZone": "Europe/Berlin", "dst": {"overlap": "both"},
        "from": "2026-10-25T00:00:00Z", "count": 2
    }));
    assert_eq!(locals(&autumn), ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]);
    assert!(autumn["instants"].as_array().expect("a list").iter().all(|at| at["remark"]["kind"] == "overlap"));

    let doubtful = preview(json!({"schedule": "0 0 9 31 * 1"}));
    assert_eq!(doubtful["warnings"].as_array().map(Vec::len), Some(3), "{doubtful}");
    assert_eq!(doubtful["instants"].as_array().map(Vec::len), Some(10));
    let once = preview(json!({"runAt": "2090-01-01T00:00:00Z"}));
    assert_eq!(
        (locals(&once), &once["description"]),
        (vec!["2090-01-01T00:00:00+00:00"], &json!("once, at 2090-01-01T00:00:00+00:00"))
    );
    // The first second counts; what never comes has no instants, and is no error here.
    let from = json!({"schedule": "@daily", "from": "2026-01-01T00:00:00Z", "count": 1});
    assert_eq!(preview(from)["instants"][0]["time"], "2026-01-01T00:00:00.000Z");
    assert_eq!(preview(json!({"schedule": "0 0 0 30 2 *"}))["instants"], json!([]));
}

#[test]
fn a_calendar_is_named_as_the_reason() {
    let test = Setup::new(&[]);
    let put = |dates: Value| {
        let body = json!({ "dates": dates }).to_string();
        assert_eq!(test.api().send("PUT", "/api/calendars/holidays", Some(&body)).status, 200);
    };
    put(json!(["2090-12-25"]));
    let more = json!({
        "schedule": "@daily", "excludeCalendars": ["holidays"], "excludeDates": ["2090-12-24", "2090-12-25"],
        "startsAt": "2090-12-24T00:00:00Z"
    });
    let created = post(&test, "/api/jobs", &job_with(&test.receiver.url("/a"), &more));
    assert_eq!(created["nextExecutions"][0], "2090-12-26T00:00:00.000Z");
    let reasons = json!([
        {"date": "2090-12-24", "by": ["excludeDates"]},
        {"date": "2090-12-25", "by": ["excludeDates", "holidays"]}
    ]);
    assert_eq!(created["preview"]["excluded"], reasons);
    put(json!(["2090-12-26"]));
    let preview = post(&test, "/api/schedules/preview", &more);
    assert_eq!(preview["instants"][0]["time"], "2090-12-27T00:00:00.000Z");
    let path = format!("/api/jobs/{}", created["jobId"].as_str().expect("a text"));
    until("the job follows its calendar", || {
        (test.api().get(&path)["nextExecution"] == "2090-12-27T00:00:00.000Z").then_some(())
    });
}

#[test]
fn a_change_is_answered_with_what_its_schedule_means() {
    let test = Setup::new(&[]);
    let job = job_with(&test.receiver.url("/a"), &json!({"schedule": "0 0 9 LW * *", "timeZone": "Europe/Berlin"}));
    let created = post(&test, "/api/jobs", &job);
    let preview = &created["preview"];
    assert_eq!(preview["description"], "at 09:00:00 on the last working day of every month, Europe/Berlin");
    let times: Vec<&Value> = preview["instants"].as_array().expect("a list").iter().map(|at| &at["time"]).collect();
    assert_eq!(times, created["nextExecutions"].as_array().expect("a list").iter().collect::<Vec<_>>());
    assert!(times.iter().all(|time| is_time(time)));
    // A paused job has no next execution, and its schedule still means what it means.
    let mut paused = job.clone();
    paused["active"] = json!(false);
    let path = format!("/api/jobs/{}", created["jobId"].as_str().expect("a text"));
    let updated = test.api().send("PUT", &path, Some(&paused.to_string())).json();
    assert_eq!((&updated["nextExecutions"], &updated["preview"]["instants"]), (&json!([]), &preview["instants"]));
}

#[test]
fn a_herd_is_told_of() {
    let test = Setup::new(&[]);
    let job = |more: &Value| job_with(&test.receiver.url("/a"), more);
    let herd = job(&json!({"schedule": "0 0 0 1 1 *"}));
    let warnings = |answer: &Value| answer["warnings"].as_array().expect("a list").len();
    for number in 0..101 {
        let created = post(&test, "/api/jobs", &herd);
        assert_eq!(warnings(&created["preview"]), usize::from(number >= 100), "{number}: {created}");
    }
    let preview = post(&test, "/api/schedules/preview", &json!({"schedule": "@daily", "from": "2090-01-01T00:00:00Z"}));
    let warning = preview["warnings"][0].as_str().expect("a text");
    assert!(warning.starts_with("101 other jobs are due at 2090-01-01T00:00:00.000Z"), "{warning}");
    let elsewhere = post(&test, "/api/schedules/preview", &json!({"schedule": "1 0 0 1 1 *"}));
    assert_eq!(warnings(&elsewhere), 0);
    assert_eq!(warnings(&post(&test, "/api/jobs", &job(&json!({"schedule": "5 0 0 1 1 *"})))["preview"]), 0);
}

#[test]
fn what_is_wrong_about_a_time_is_named() {
    let test = Setup::new(&[]);
    let daily = |more: Value| {
        let mut body = json!({"schedule": "@daily"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let refused = |path: &str, body: &Value, why: &str| {
        let answer = test.api().send("POST", path, Some(&body.to_string()));
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        assert!(error_of(&answer.json()).contains(why), "{body}: {}", answer.text);
    };
    for (more, why) in [
        (json!({"schedule": null}), "schedule: expected a schedule, or runAt"),
        (daily(json!({"runAt": "2090-01-01T00:00:00Z"})), "schedule: expected exactly one of schedule, runAt"),
        (json!({"runAt": "2020-01-01T00:00:00Z"}), "runAt: expected at least one time in the future"),
        (json!({"runAt": "tomorrow"}), "runAt: expected a whole second"),
        (daily(json!({"timeZone": "Europe/Berln"})), "timeZone: expected an IANA name such as Europe/Berlin"),
        (daily(json!({"timeZone": 1})), "timeZone: invalid type"),
        (daily(json!({"dst": {"gap": "never"}})), "dst.gap: expected"),
        (daily(json!({"dst": {"gaps": "skip"}})), "dst.gaps: unknown field"),
        (daily(json!({"spreadSeconds": 86_401})), "spreadSeconds: expected a number"),
        (daily(json!({"spreadSeed": -1})), "spreadSeed: invalid"),
        (daily(json!({"endsAt": "2020-01-01T00:00:00Z"})), "schedule: expected at least one time in the future"),
        (daily(json!({"excludeDates": ["2026-02-30"]})), "excludeDates: expected dates"),
        (daily(json!({"excludeCalendars": ["de"]})), "excludeCalendars: expected names of calendars"),
        (json!({"schedule": "0 0 9 L-40 * *"}), "schedule: day: expected L"),
    ] {
        refused("/api/jobs", &job_with("http://127.0.0.1:9/", &more), why);
        if !why.contains("in the future") {
            refused("/api/schedules/preview", &more, why);
        }
    }
    for (more, why) in [
        (daily(json!({"from": "now"})), "from: expected a whole second"),
        (daily(json!({"count": 0})), "count: expected a number from 1 to 1000"),
        (daily(json!({"count": 1_001})), "count: expected a number from 1 to 1000"),
        (daily(json!({"api": "http://a/"})), "api: unknown field"),
    ] {
        refused("/api/schedules/preview", &more, why);
    }
    test.is_well();
}
