//! `GET /metrics` of the real binary: what it tells, in which format, and whether the dashboard and the alert rules in
//! `contrib/` ask for what is there.
//! It must not know how anything is counted.
//!
//! What others have to say of it says `promtool`, of the Debian package `prometheus`. Without it these tests are left
//! out, unless `PUNCTUAL_REQUIRE_PROMTOOL=1` says that this is a failure.

mod support;

#[path = "metrics/query.rs"]
mod query;
#[path = "metrics/samples.rs"]
mod samples;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use samples::Samples;
use serde_json::{Value, json};
use support::api::{Api, job};
use support::receiver::{Receiver, Script};
use support::server::Server;
use support::until;
use tempfile::TempDir;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Setup {
    server: Server,
    receiver: Receiver,
    folder: TempDir,
}

impl Setup {
    /// A server that tells alerts and repeats nothing.
    fn new() -> Setup {
        let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start());
        let webhook = receiver.url("/alerts");
        let flags = ["--alert-webhook", &webhook, "--retries", "0", "--max-in-flight", "16"];
        Setup { server: Server::start(&folder.path().join("p.db"), &flags), receiver, folder }
    }

    fn api(&self) -> &Api {
        &self.server.api
    }

    fn scrape(&self) -> Samples {
        let answer = self.api().send("GET", "/metrics", None);
        assert_eq!(answer.status, 200, "{}", answer.text);
        Samples::read(&answer.text)
    }

    /// A job that is never due by itself, with these members.
    fn job(&self, path: &str, more: Value) -> String {
        let mut job = job("@yearly", &self.receiver.url(path));
        let members = job.as_object_mut().expect("it is an object");
        members.extend(more.as_object().expect("it is an object").clone());
        let made = self.api().send("POST", "/api/jobs", Some(&job.to_string()));
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["jobId"].as_str().expect("it is a text").to_owned()
    }

    /// Runs a job to its end.
    fn run(&self, job: &str) {
        let answer = self.api().send("POST", &format!("/api/jobs/{job}/run"), Some("{\"wait\":true}"));
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// A bit of everything: what succeeds, what fails, what is scheduled, what rests.
    fn with_a_past() -> (Setup, String) {
        let test = Setup::new();
        test.receiver.script("/fails", Script::Status(503));
        test.receiver.script("/vanishes", Script::Vanish);
        let channel = json!({ "kind": "webhook", "url": test.receiver.url("/told") }).to_string();
        assert_eq!(test.api().send("PUT", "/api/channels/ops", Some(&channel)).status, 200);
        let works = test.job("/works", json!({ "name": "works" }));
        test.run(&works);
        test.run(&works);
        for path in ["/fails", "/vanishes"] {
            test.run(&test.job(path, json!({})));
        }
        test.job("/rests", json!({ "active": false }));
        let often = test.api().create("* * * * * *", &test.receiver.url("/often"));
        let succeeded = [("status", "SUCCESS"), ("kind", "scheduled")];
        until("one is due and ends", || {
            test.scrape().value("punctual_executions_total", &succeeded).filter(|it| *it >= 1.0)
        });
        // What is asked next is to find the same figures.
        assert_eq!(test.api().send("POST", &format!("/api/jobs/{often}/pause"), Some("{}")).status, 200);
        let delivered = [("channel", "webhook"), ("outcome", "delivered")];
        until("two failures are told", || {
            test.scrape().value("punctual_alerts_total", &delivered).filter(|it| *it == 2.0)
        });
        until("nothing is under way", || {
            let figures = test.scrape();
            let of = |name: &str| figures.value(name, &[]);
            let is_quiet = of("punctual_in_flight") == Some(0.0) && of("punctual_store_unwritten") == Some(0.0);
            (is_quiet && figures.value("punctual_queued", &[("queue", "armed")]) == Some(0.0)).then_some(())
        });
        until("the machine was looked at", || test.scrape().value("process_open_fds", &[]));
        (test, works)
    }
}

#[test]
fn what_happened_is_told() {
    let (test, _) = Setup::with_a_past();
    let there = test.scrape();
    let value = |name: &str, labels: &[(&str, &str)]| {
        there.value(name, labels).unwrap_or_else(|| panic!("{name} {labels:?} is missing"))
    };
    let ended = |status: &str, kind: &str| value("punctual_executions_total", &[("status", status), ("kind", kind)]);
    assert_eq!([ended("SUCCESS", "manual"), ended("FAILED", "manual"), ended("SKIPPED", "manual")], [2.0, 2.0, 0.0]);
    assert_eq!([ended("FAILED", "scheduled"), ended("SUCCESS", "replay"), ended("SUCCESS", "backfill")], [0.0; 3]);
    let attempts = |outcome: &str| value("punctual_attempts_total", &[("outcome", outcome)]);
    assert_eq!(
        [attempts("5xx"), attempts("connection"), attempts("timeout"), attempts("worker")],
        [1.0, 1.0, 0.0, 0.0]
    );
    assert_eq!(attempts("success"), 2.0 + ended("SUCCESS", "scheduled"));
    let all: f64 = there.named("punctual_attempts_total").map(|sample| sample.value).sum();
    assert_eq!(value("punctual_attempt_duration_seconds_count", &[]), all);
    assert_eq!(value("punctual_attempts_sent_total", &[]), all);
    assert_eq!(value("punctual_drift_seconds_count", &[]), ended("SUCCESS", "scheduled"));
    let job = |state: &str| value("punctual_jobs", &[("state", state)]);
    assert_eq!([job("active"), job("paused")], [3.0, 2.0]);
    assert_eq!(value("punctual_scheduler_running", &[]), 1.0);
    assert_eq!(value("punctual_store_failing", &[]), 0.0);
    assert_eq!(value("punctual_oldest_due_seconds", &[]), 0.0);
    assert_eq!(value("punctual_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(value("process_open_fds", &[]) >= 4.0 && value("process_open_fds", &[]) <= value("process_max_fds", &[]));
    assert!(value("process_cpu_seconds_total", &[]) > 0.0);
    assert!(value("process_resident_memory_bytes", &[]) > 1e6);
    assert!(value("punctual_store_commit_seconds_count", &[]) >= 6.0, "each change waited for a commit");
}

#[test]
fn a_distribution_rises_to_its_count() {
    let (test, _) = Setup::with_a_past();
    let there = test.scrape();
    let names = there.0.iter().filter_map(|sample| sample.name.strip_suffix("_bucket"));
    let names: std::collections::BTreeSet<&str> = names.collect();
    assert!(names.contains("punctual_drift_seconds"), "{names:?}");
    for name in names {
        let buckets: Vec<_> = there.named(&format!("{name}_bucket")).cloned().collect();
        let bounds: Vec<f64> = buckets.iter().map(|bucket| bucket.labels["le"].parse().expect("a number")).collect();
        assert_eq!((bounds[0], bounds[bounds.len() - 2], bounds[bounds.len() - 1]), (0.0001, 60.0, f64::INFINITY));
        assert!(bounds.is_sorted() && buckets.is_sorted_by_key(|bucket| bucket.value), "{name}: {buckets:?}");
        let count = there.value(&format!("{name}_count"), &[]).expect("it has a count");
        assert_eq!(buckets[buckets.len() - 1].value, count, "{name}");
        let sum = there.value(&format!("{name}_sum"), &[]).expect("it has a sum");
        assert!(sum >= 0.0 && (count > 0.0 || sum == 0.0), "{name}: {sum} of {count}");
    }
}

#[test]
fn both_lists_of_metrics_say_the_same() {
    let (test, _) = Setup::with_a_past();
    let (json, text) = (test.api().get("/api/metrics"), test.scrape());
    for (path, name, labels) in [
        ("/executions/manual/success", "punctual_executions_total", &[("status", "SUCCESS"), ("kind", "manual")][..]),
        ("/attempts/status5xx", "punctual_attempts_total", &[("outcome", "5xx")]),
        ("/drift/count", "punctual_drift_seconds_count", &[]),
        ("/attempts/duration/count", "punctual_attempt_duration_seconds_count", &[]),
        ("/scheduler/pausedJobs", "punctual_jobs", &[("state", "paused")]),
        ("/workers/inFlightMax", "punctual_in_flight_max", &[]),
        ("/alerts/webhook/delivered", "punctual_alerts_total", &[("channel", "webhook"), ("outcome", "delivered")]),
        ("/incidents/open", "punctual_incidents_open", &[]),
        ("/incidents/opened", "punctual_incidents_opened_total", &[]),
        ("/channels/0/waiting", "punctual_channel_queued", &[("channel", "ops")]),
        ("/refused/tokens", "punctual_refused_total", &[("what", "tokens")]),
    ] {
        let there = json.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {json}"));
        assert_eq!(text.value(name, labels), Some(there), "{path} is {name}");
    }
    let sums = ["/executions/success", "/executions/failed", "/executions/skipped"];
    let sum: f64 = sums.iter().filter_map(|path| json.pointer(path)?.as_f64()).sum();
    assert_eq!(sum, text.named("punctual_executions_total").map(|sample| sample.value).sum::<f64>());
}

#[test]
fn what_is_due_and_cannot_be_sent_shows_by_its_age() {
    let test = Setup::new();
    test.receiver.script("/hangs", Script::Hang);
    let hangs = test.job("/hangs", json!({}));
    // Half of what may be in flight is one target's.
    for _ in 0..10 {
        assert_eq!(test.api().send("POST", &format!("/api/jobs/{hangs}/run"), Some("{}")).status, 202);
    }
    until("some wait for their target", || {
        test.scrape().value("punctual_queued", &[("queue", "targets")]).filter(|waiting| *waiting == 2.0)
    });
    let age = |test: &Setup| test.scrape().value("punctual_oldest_due_seconds", &[]).expect("it is there");
    until("the oldest has been due for two seconds", || (age(&test) >= 2.0).then_some(()));
    assert_eq!(test.api().send("DELETE", &format!("/api/jobs/{hangs}"), None).status, 204);
    until("nothing is due any more", || (age(&test) == 0.0).then_some(()));
}

#[test]
fn the_format_is_what_accept_likes() {
    let test = Setup::new();
    // What Prometheus 2 and 3 send.
    let two = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
               text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for (accept, expected) in [
        (two, OPEN_METRICS),
        (three, OPEN_METRICS),
        ("text/plain;version=0.0.4;q=0.6,application/openmetrics-text;q=0.5", PLAIN),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PLAIN),
        ("*/*", PLAIN),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = test.api().send_with(method, "/metrics", &[("Accept", accept)], None);
            assert_eq!((answer.status, answer.header("content-type")), (200, expected), "{method} {accept}");
            assert_eq!(answer.header("vary"), "Accept");
            assert_eq!(answer.text.ends_with("# EOF\n"), method == "GET" && expected == OPEN_METRICS, "{accept}");
        }
    }
    assert_eq!(test.api().send("POST", "/metrics", Some("{}")).status, 405);
}

#[test]
fn jobs_have_metrics_if_they_are_named() {
    let (test, works) = Setup::with_a_past();
    assert!(!test.scrape().0.iter().any(|sample| sample.labels.contains_key("job_id")));
    let gone = "00000000-0000-8000-8000-000000000000";
    let answer = test.api().send("GET", &format!("/metrics?jobId={works},{gone}"), None);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let there = Samples::read(&answer.text);
    let of = |name: &str, more: &[(&str, &str)]| {
        let labels = [&[("job_id", works.as_str()), ("name", "works")], more].concat();
        there.value(name, &labels)
    };
    assert_eq!(of("punctual_job_executions_total", &[("status", "SUCCESS")]), Some(2.0));
    assert_eq!(of("punctual_job_failures_in_a_row", &[]), Some(0.0));
    assert!(of("punctual_job_duration_seconds_total", &[]).is_some_and(|took| took > 0.0));
    assert!(
        of("punctual_job_next_execution_timestamp_seconds", &[])
            > of("punctual_job_last_execution_timestamp_seconds", &[])
    );
    assert!(!answer.text.contains(gone), "one that there is not has none");
    let many = vec![works.as_str(); 101].join(",");
    for (jobs, why) in [("x", "expected ids of jobs"), (many.as_str(), "expected up to 100 ids")] {
        let refused = test.api().send("GET", &format!("/metrics?jobId={jobs}"), None);
        assert_eq!(refused.status, 400);
        let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.starts_with("jobId: ") && detail.contains(why), "{detail}");
    }
}

#[test]
fn a_token_that_may_read_is_enough_and_wrong_ones_are_counted() {
    let test = Setup::new();
    let made = test.api().send("POST", "/api/tokens", Some(r#"{"name":"prometheus","scope":"read"}"#));
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(test.api().send("GET", "/metrics", None).status, 401);
    for _ in 0..3 {
        assert_eq!(test.api().with_token("pun_r_nobody").send("GET", "/metrics", None).status, 401);
    }
    let reader = test.api().with_token(made.json()["token"].as_str().expect("it is a text"));
    let answer = reader.send("GET", "/metrics", None);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(Samples::read(&answer.text).value("punctual_refused_total", &[("what", "tokens")]), Some(3.0));
}

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name)
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(contrib("grafana/punctual.json")).expect("it is there");
    serde_json::from_str(&text).expect("it is JSON")
}

/// The queries of the dashboard, each with the title of its panel.
fn queries_of_dashboard() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("it has panels") {
        let title = panel["title"].as_str().expect("each has a title").to_owned();
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(panel["type"] == "row" || !targets.is_empty(), "{title} asks nothing");
        for target in targets {
            let query = target["expr"].as_str().expect("each has a query");
            queries.push((title.clone(), query.replace("$__rate_interval", "5m").replace("$instance", ".*")));
        }
    }
    queries
}

/// The rules, as (name, members).
fn rules() -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(contrib("prometheus/alerts.yml")).expect("it is there");
    let rules: Value = yaml_serde::from_str(&text).expect("it is YAML");
    let groups = rules["groups"].as_array().expect("they are in groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("it has rules").clone());
    rules.map(|rule| (rule["alert"].as_str().expect("it has a name").to_owned(), rule)).collect()
}

#[test]
fn dashboard_and_rules_ask_for_what_is_there() {
    let (test, works) = Setup::with_a_past();
    let answer = test.api().send("GET", &format!("/metrics?jobId={works}"), None);
    let there = Samples::read(&answer.text);
    let mut asked = 0;
    let rules = rules().into_iter().map(|(name, rule)| (name, rule["expr"].as_str().expect("it has one").to_owned()));
    for (title, query) in queries_of_dashboard().into_iter().chain(rules) {
        assert_eq!(query::unknown(&query, &there), [""; 0], "{title}: {query}");
        asked += 1;
    }
    assert!(asked > 60, "{asked}");
    for variable in dashboard()["templating"]["list"].as_array().expect("it has variables") {
        if let Some(definition) = variable["definition"].as_str() {
            let metric = definition.strip_prefix("label_values(").and_then(|rest| rest.split(',').next());
            let metric = metric.unwrap_or_else(|| panic!("{definition}"));
            assert!(there.named(metric).next().is_some(), "{definition}");
        }
    }
}

#[test]
fn each_rule_says_how_bad_it_is_and_what_to_do() {
    for (name, rule) in rules() {
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()), "{name}");
        assert!(rule["annotations"]["summary"].as_str().is_some_and(|text| text.len() > 20), "{name}");
    }
}

/// `promtool`, if it is there.
fn promtool() -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("promtool")).find(|at| at.is_file());
    if found.is_none() {
        let is_required = std::env::var("PUNCTUAL_REQUIRE_PROMTOOL").is_ok_and(|required| required == "1");
        assert!(!is_required, "promtool is not in PATH");
        eprintln!("LEFT OUT: promtool is not installed; it is in the Debian package prometheus");
    }
    found.map(Command::new)
}

/// Runs it to its end, with this on its standard input; what it says.
fn said_by(mut promtool: Command, input: &str) -> String {
    let mut child =
        promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it is there");
    // It may end before it has read everything: then it says why.
    drop(child.stdin.take().expect("it is piped").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{promtool:?}: {}\n{said}", output.status);
    said
}

#[test]
fn promtool_finds_nothing_wrong_with_the_text() {
    let Some(mut promtool) = promtool() else { return };
    let (test, works) = Setup::with_a_past();
    let text = test.api().send("GET", &format!("/metrics?jobId={works}"), None).text;
    promtool.args(["check", "metrics"]);
    assert_eq!(said_by(promtool, &text), "");
}

#[test]
fn promtool_reads_open_metrics_as_such() {
    let Some(mut promtool) = promtool() else { return };
    let (test, works) = Setup::with_a_past();
    let accept = [("Accept", "application/openmetrics-text")];
    let answer = test.api().send_with("GET", &format!("/metrics?jobId={works}"), &accept, None);
    assert_eq!(answer.header("content-type"), OPEN_METRICS);
    // What is put into a database needs a time, which a server leaves to whoever reads it.
    let timed = answer.text.lines().map(|line| {
        let time = if line.starts_with('#') { "" } else { " 1767225600" };
        format!("{line}{time}\n")
    });
    let (file, made) = (test.folder.path().join("metrics"), test.folder.path().join("made"));
    std::fs::write(&file, timed.collect::<String>()).expect("the folder is there");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&file).arg(&made);
    said_by(promtool, "");
    assert!(std::fs::read_dir(&made).expect("it made a database").next().is_some());
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules_nor_with_the_dashboard() {
    let (Some(mut check), Some(mut check_queries), Some(mut test)) = (promtool(), promtool(), promtool()) else {
        return;
    };
    let rules = contrib("prometheus/alerts.yml");
    check.args(["check", "rules"]).arg(&rules);
    let said = said_by(check, "");
    assert!(said.contains("rules found"), "{said}");
    // A query is one if a rule may have it.
    let folder = tempfile::tempdir().expect("a folder");
    let queries = folder.path().join("queries.yml");
    let queries_of = queries_of_dashboard().into_iter().enumerate();
    let records = queries_of.map(|(number, (_, expr))| json!({ "record": format!("query:{number}"), "expr": expr }));
    let group = json!({ "groups": [{ "name": "dashboard", "rules": records.collect::<Vec<Value>>() }] });
    std::fs::write(&queries, group.to_string()).expect("the folder is there");
    check_queries.args(["check", "rules"]).arg(&queries);
    said_by(check_queries, "");
    test.current_dir(env!("CARGO_MANIFEST_DIR")).args(["test", "rules", "tests/metrics/alerts.test.yml"]);
    let said = said_by(test, "");
    assert!(said.contains("SUCCESS"), "{said}");
}
