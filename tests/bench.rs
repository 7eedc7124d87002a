//! Owns the test of `punctual bench` from outside: a tiny run, its files and its exit code.
//! It must not hold figures against anything: the machine may be busy.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use punctual::clock;
use punctual::postgres::{Connection, Url};
use serde_json::Value;
use support::postgres::{PASSWORD, Postgres};

fn bench(flags: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punctual"));
    // Where the jobs are of somebody who measures is nobody's business here.
    command.env("PUNCTUAL_STORE", "postgres://nobody@127.0.0.1:1/nowhere");
    command.arg("bench").arg("--folder").arg(folder).args(flags).output().expect("the binary starts")
}

#[test]
fn a_tiny_run_reports_every_execution_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (json, plot) = (folder.path().join("result.json"), folder.path().join("result.svg"));
    let flags = ["--jobs=10", "--seconds=2", "--warm-up=2", "--limit-seconds=1", "--idle-jobs=5", "--history=1000"];
    let files = ["--json", json.to_str().expect("text"), "--plot", plot.to_str().expect("text")];
    let output = bench(&[&flags[..], &files[..]].concat(), folder.path());
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{said}");
    assert!(printed.lines().any(|line| line.starts_with("drift p99 ") && line.ends_with(" ms at the receiver")));

    let report: Value = serde_json::from_slice(&std::fs::read(&json).expect("written")).expect("JSON");
    let at = |path: &str| report.pointer(path).unwrap_or_else(|| panic!("{path} is missing in {report:#}"));
    for (path, expected) in
        [("/result/due", 20), ("/result/arrived", 20), ("/result/missed", 0), ("/result/doubled", 0), ("/format", 1)]
    {
        assert_eq!(at(path).as_u64(), Some(expected), "{path}");
    }
    assert_eq!((at("/kept"), at("/broken")), (&Value::Bool(true), &Value::Null));
    assert_eq!(at("/seconds").as_array().map(Vec::len), Some(2));
    for path in ["/result/driftMs/p999", "/limits/receiverPerSecond", "/limits/workersPerSecond"] {
        assert!(at(path).as_f64().is_some_and(|figure| figure > 0.0), "{path}");
    }
    assert_eq!(at("/server/metrics/scheduler/totalJobs").as_u64(), Some(10 + 5 + 1_000), "history has its own jobs");
    let drawing = std::fs::read_to_string(&plot).expect("written");
    assert!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"));

    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("readable").flatten().map(|it| it.file_name()).collect();
    left.sort();
    assert_eq!(left, ["result.json", "result.svg"], "the temporary database is gone");
}

#[test]
fn what_is_due_beside_for_a_while_is_counted_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("result.json");
    let flags = [
        "--jobs=5",
        "--seconds=2",
        "--warm-up=1",
        "--limit-seconds=1",
        "--overload=10",
        "--overload-seconds=2",
        "--batch=4",
    ];
    let output = bench(&[&flags[..], &["--json", json.to_str().expect("text")]].concat(), folder.path());
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{said}");
    assert!(printed.contains("20  arrived of 20 due"), "{printed}");
    let report: Value = serde_json::from_slice(&std::fs::read(&json).expect("written")).expect("JSON");
    let at = |path: &str| report.pointer(path).unwrap_or_else(|| panic!("{path} is missing in {report:#}"));
    for (path, expected) in [
        ("/result/due", 5 * 6),
        ("/result/arrived", 5 * 6),
        ("/result/notDue", 0),
        ("/overload/due", 20),
        ("/overload/arrived", 20),
        ("/setup/seconds", 6),
        ("/setup/overloadJobs", 10),
        ("/creation/batch", 4),
    ] {
        assert_eq!(at(path).as_u64(), Some(expected), "{path}");
    }
    assert!(at("/creation/alonePerSecond").as_f64().is_some_and(|figure| figure > 0.0));
    assert!(at("/overload/p99Ms/before").as_f64().is_some_and(|figure| figure > 0.0));
}

#[test]
fn what_never_comes_is_missed_unless_that_is_allowed_and_nothing_at_all_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Answers that take longer than their second: of one attempt at a time, most cannot go out.
    let slow = ["--jobs=20", "--seconds=1", "--warm-up=1", "--limit-seconds=0", "--delay-ms=2000"];
    let flags = [&slow[..], &["--server-flags=--max-in-flight 1 --drain-ms 0 --max-lateness-ms 1000"]].concat();
    let output = bench(&flags, folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("not on the second, once: ") && said.contains(" missed"), "{said}");

    let output = bench(&["--create=no", "--wait=1", "--limit-seconds=0"], folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed to measure: nothing came to http://127.0.0.1:"), "{said}");

    let output = bench(&["--jobs=none"], folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--jobs: expected a number from 1 to 1000000, got \"none\""), "{said}");
}

#[test]
fn a_run_over_tls_beside_a_target_that_hangs_counts_each_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("result.json");
    let load = ["--jobs=5", "--seconds=2", "--warm-up=1", "--limit-seconds=1"];
    let targets = ["--tls", "--targets=2", "--hang=1", "--hang-jobs=2", "--server-flags=--drain-ms 0"];
    let output = bench(&[&load[..], &targets[..], &["--json", json.to_str().expect("text")]].concat(), folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(&json).expect("written")).expect("JSON");
    for (path, expected) in
        [("/result/due", 6), ("/result/arrived", 6), ("/hung/due", 4), ("/hung/arrived", 4), ("/setup/hungJobs", 2)]
    {
        assert_eq!(report.pointer(path).and_then(Value::as_u64), Some(expected), "{path} in {report:#}");
    }
    assert_eq!(report.pointer("/setup/tls"), Some(&Value::Bool(true)));
    assert!(report.pointer("/limits/workersTlsPerSecond").and_then(Value::as_f64).is_some_and(|rate| rate > 0.0));
    let fired = report.pointer("/server/metrics/workers/connectionsOpened").and_then(Value::as_u64);
    assert!(fired.is_some_and(|opened| opened > 0), "{report:#}");
}

/// What a query about schemas and tables counts.
fn count(url: &str, query: &str) -> i64 {
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let url = Url::parse(url).expect("it is the URL of a database");
    let mut connection = Connection::connect(&url, soon()).expect("it listens");
    connection.query(query, &[], soon()).expect("it can be read").first().and_then(|row| row.i64(0)).expect("a number")
}

#[test]
fn nodes_on_one_database_are_measured_together_and_one_that_is_killed_costs_nothing() {
    let Some(url) = Postgres::database() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("result.json");
    let load = ["--jobs=20", "--seconds=6", "--warm-up=1", "--limit-seconds=0", "--nodes=2", "--kill"];
    let place = ["--store", &url, "--json", json.to_str().expect("text")];
    let output = bench(&[&load[..], &place].concat(), folder.path());
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{said}");
    let text = std::fs::read_to_string(&json).expect("written");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let at = |path: &str| report.pointer(path).unwrap_or_else(|| panic!("{path} is missing in {report:#}"));
    for (path, expected) in [
        ("/result/due", 120),
        ("/result/arrived", 120),
        ("/result/doubled", 0),
        ("/history/sent", 120),
        ("/history/differs", 0),
        ("/setup/nodes", 2),
        ("/nodes/0/shards", 128),
        ("/nodes/1/shards", 128),
        ("/takeover/jobs", 10),
        ("/takeover/resumed", 10),
    ] {
        assert_eq!(at(path).as_u64(), Some(expected), "{path} in {report:#}");
    }
    assert_eq!(
        (at("/takeover/node"), at("/nodes/0/killed"), at("/nodes/1/killed")),
        (&"bench-2".into(), &false.into(), &true.into())
    );
    assert_eq!(at("/server/stoppedClean"), &Value::Bool(true));
    assert!(at("/takeover/firstPostMs/max").as_f64().is_some_and(|ms| ms > 0.0), "{report:#}");
    assert!(at("/nodes/0/peakRssKib").as_u64().is_some_and(|kib| kib > 0), "{report:#}");
    assert!(!text.contains(PASSWORD) && !printed.contains(PASSWORD) && !said.contains(PASSWORD), "{said}{text}");
    assert_eq!(count(&url, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'punctual%'"), 0, "all of it is gone");
    let left = std::fs::read_dir(folder.path()).expect("readable").flatten().map(|it| it.file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["result.json"]);
}

#[test]
fn a_database_in_which_somebody_has_anything_is_not_measured_with() {
    let Some(url) = Postgres::database() else { return };
    let (soon, parsed) = (clock::mono().plus(Duration::from_secs(30)), Url::parse(&url).expect("a URL"));
    let mut connection = Connection::connect(&parsed, soon).expect("it listens");
    connection.batch("CREATE TABLE jobs (id bigint)", soon).expect("it is ours");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = bench(&["--jobs=1", "--seconds=1", "--limit-seconds=0", "--store", &url], folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected =
        "expected an empty database, or one with nothing but the schema punctual_bench that a benchmark left";
    assert!(said.contains(expected) && said.contains("holds \"jobs\"") && !said.contains(PASSWORD), "{said}");
    assert_eq!(count(&url, "SELECT count(*) FROM pg_class WHERE relname IN ('jobs', 'shards')"), 1, "nothing was made");
}
