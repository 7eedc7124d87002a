//! Owns the commands about jobs: made, listed, shown, resting, run, done again, explained, deleted.
//! It must not test what a job does: the server's tests do.

use serde_json::{Value, json};

use super::Setup;
use super::support::receiver::Script;
use super::support::until;

#[test]
fn a_job_is_made_of_words_or_of_a_file() {
    let test = Setup::new(&[]);
    let url = test.receiver.url("/ok");
    let made = test.run(&[
        "job",
        "create",
        "0 9 * * MON-FRI",
        &url,
        "--name",
        "nightly",
        "--tag",
        "a",
        "--tag",
        "b",
        "--tz",
        "Europe/Berlin",
        "-X",
        "PUT",
        "-H",
        "X-Team: billing",
        "-H",
        "Accept:*/*",
        "-d",
        "hi",
        "--at-most-once",
        "--set",
        "retry.maxAttempts=5",
        "--set",
        "owner=me",
    ]);
    let made = made.ends(0).errs(&["09:00", "due 20"]);
    let told = test.told(made.out.trim());
    let expected = json!({
        "name": "nightly", "schedule": "0 9 * * MON-FRI", "api": url, "tags": ["a", "b"], "timeZone": "Europe/Berlin",
        "method": "PUT", "headers": { "X-Team": "billing", "Accept": "*/*" }, "body": "hi", "type": "ATMOST_ONCE",
        "owner": "me",
    });
    for (member, value) in expected.as_object().expect("an object") {
        assert_eq!(told[member], *value, "{member}");
    }
    assert_eq!(told["retry"]["maxAttempts"], 5);

    let once = test.run(&[
        "job",
        "create",
        "--at",
        "2090-01-01T00:00:00Z",
        &url,
        "--json",
        r#"{"z":1,"a":[2]}"#,
        "-o",
        "json",
    ]);
    let once: Value = serde_json::from_str(&once.ends(0).out).expect("it is JSON");
    let told = test.told(once["jobId"].as_str().expect("a text"));
    assert_eq!((&told["runAt"], &told["json"]), (&json!("2090-01-01T00:00:00Z"), &json!({ "z": 1, "a": [2] })));
    test.run(&["job", "create", "--after", "86400000", &url]).ends(0);

    let yaml = format!("# a job\nname: from a file\nschedule: '@yearly'\napi: {url}\ntype: ATLEAST_ONCE\ntags: [x]\n");
    let file = test.file("job.yaml", &yaml);
    let file = file.to_str().expect("it is a text");
    let id = test.says(&["job", "create", "-f", file]);
    assert_eq!(test.told(id.trim())["tags"], json!(["x"]));
    // Words count before the file, and names of their own are for one job.
    let id = test.says(&["job", "create", "-f", file, "--name", "another", "--set", "tags=null"]);
    assert_eq!((&test.told(id.trim())["name"], &test.told(id.trim())["tags"]), (&json!("another"), &Value::Null));
    let taken = test.run(&["job", "create", "-f", file]).ends(1);
    assert!(taken.out.is_empty() && taken.err.contains("name"), "{taken:?}");
    let job = json!({ "name": "from a pipe", "schedule": "@yearly", "api": url, "type": "ATLEAST_ONCE" });
    test.feed(&["job", "create", "-f", "-", "-o", "name"], &job.to_string()).ends(0);
    test.feed(&["job", "create", "-f", "-"], &format!("{job}\n{job}\n")).ends(2).errs(&["expected one job"]);

    for (words, part) in [
        (&["@yearly"][..], "URL"),
        (&["@yearly", &url, "-H", "X"], "expected 'Name: value'"),
        (&["@yearly", &url, "--json", "{"], "--json: expected JSON"),
        (&["@yearly", &url, "--set", "owner"], "--set: expected MEMBER=VALUE"),
        (&["@yearly", &url, "--at", "2090-01-01T00:00:00Z"], "expected a URL only"),
        (&["@yearly", &url, "-o", "xml"], "expected table, wide, json, yaml or name"),
    ] {
        test.run(&[&["job", "create"], words].concat()).ends(2).errs(&["punctual: ", part]);
    }
    assert_eq!(test.api().get("/api/jobs")["jobs"].as_array().map(Vec::len), Some(6));
}

#[test]
fn jobs_are_listed_and_shown_in_every_format() {
    let test = Setup::new(&[]);
    let ids = ["one", "two", "three"].map(|name| test.job(name, &format!("/{name}")));
    test.says(&["job", "pause", "two"]);
    test.says(&["job", "edit", "three", "--set", "tags=[\"t\"]", "--set", "owner=me"]);

    // JSON is what the API said, byte for byte.
    for (words, path) in [
        (&["job", "ls"][..], "/api/jobs?limit=100".to_owned()),
        (&["job", "ls", "--limit", "2", "--sort", "name"], "/api/jobs?sort=name&limit=2".to_owned()),
        (&["jobs", "list", "--state", "paused"], "/api/jobs?state=paused&limit=100".to_owned()),
        (&["job", "ls", "--tag", "t", "-q", "thr"], "/api/jobs?tag=t&q=thr&limit=100".to_owned()),
        (&["job", "get", "one"], format!("/api/jobs/{}", ids[0])),
        (&["job", "get", &ids[0]], format!("/api/jobs/{}", ids[0])),
    ] {
        let said = test.api().send("GET", &path, None).text;
        assert_eq!(test.says(&[words, &["-o", "json"]].concat()).trim_end(), said.trim_end(), "{words:?}");
        let yaml: Value = yaml_serde::from_str(&test.says(&[words, &["-o", "yaml"]].concat())).expect("it is YAML");
        assert_eq!(yaml, serde_json::from_str::<Value>(&said).expect("it is JSON"), "{words:?}");
    }
    assert_eq!(test.says(&["job", "ls", "-o", "name", "--sort", "name"]), "one\nthree\ntwo\n");
    assert_eq!(test.says(&["job", "ls", "-o", "name", "--state", "paused"]), "two\n");
    assert_eq!(test.says(&["job", "get", "-o", "name", &ids[2]]), "three\n");

    let table = test.says(&["job", "ls", "--utc"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("NAME") && lines[0].contains("STATE") && lines.len() == 4, "{table}");
    assert!(lines.iter().any(|line| line.starts_with("two") && line.contains("paused")), "{table}");
    // Columns stand below each other.
    let column = lines[0].find("JOB ID").expect("it is a head");
    assert!(lines[1..].iter().all(|line| ids.iter().any(|id| line[column..] == **id)), "{table}");
    let wide = test.says(&["job", "ls", "-o", "wide"]);
    assert!(["TARGET", "OWNER", "SKIPPED", "/three"].iter().all(|part| wide.contains(part)), "{wide}");
    let shown = test.says(&["job", "get", "three"]);
    assert!(
        ["three", "@yearly", &ids[2], "me", "0 succeeded, 0 failed"].iter().all(|part| shown.contains(part)),
        "{shown}"
    );

    // There may be more than is shown, which is said beside the data.
    let page = test.run(&["job", "ls", "--limit", "2", "-o", "name"]).ends(0).errs(&["there is more: --cursor "]);
    let (_, cursor) = page.err.trim().split_once("--cursor ").expect("it is there");
    let cursor = cursor.split(',').next().expect("a word");
    let rest = test.says(&["job", "ls", "--cursor", cursor, "-o", "name"]);
    assert_eq!((page.out.lines().count(), rest.lines().count()), (2, 1));
    let all = test.says(&["job", "ls", "--all", "-o", "json"]);
    assert_eq!(all.trim_end(), test.api().send("GET", "/api/jobs?limit=1000", None).text.trim_end());
    let none = test.run(&["job", "ls", "--tag", "nothing"]).ends(0).errs(&["no job is like this"]);
    assert!(none.out.is_empty());
    for job in ["thre", "00000000-0000-8000-8000-000000000000"] {
        assert!(test.run(&["job", "get", job]).ends(5).out.is_empty());
    }
    test.run(&["job", "ls", "--state", "asleep"]).ends(2).errs(&["state"]);
}

#[test]
fn jobs_rest_and_go_on_together() {
    let test = Setup::new(&[]);
    let ids = ["one", "two"].map(|name| test.job(name, "/ok"));
    let paused = test.says(&["job", "pause", "one", &ids[1], "--until", "2090-01-01T00:00:00Z", "--note", "the move"]);
    assert_eq!(paused, format!("one paused\n{} paused\n", ids[1]));
    for id in &ids {
        let told = &test.told(id)["paused"];
        assert_eq!((&told["note"], &told["until"]), (&json!("the move"), &json!("2090-01-01T00:00:00.000Z")));
    }
    let shown = test.says(&["job", "get", "one", "--utc"]);
    assert!(shown.contains("paused until 2090-01-01T00:00:00Z (the move)"), "{shown}");
    test.run(&["job", "pause", "one", "--until", "soon"]).ends(2).errs(&["until"]);
    test.run(&["job", "release", "one"]).ends(1).errs(&["held"]);
    // What goes wrong with one does not keep the others.
    let resumed =
        test.run(&["job", "resume", "nobody", "one", "two", "--missed"]).ends(5).errs(&["punctual: nobody: "]);
    assert_eq!(resumed.out, "one resumed\ntwo resumed\n");
    assert!(ids.iter().all(|id| test.told(id)["paused"].is_null()));
    let gone = test.run(&["jobs", "delete", "-y", "one", "nobody", "two"]).ends(5);
    assert_eq!(gone.out, "one deleted\ntwo deleted\n");
    assert!(ids.iter().all(|id| test.api().send("GET", &format!("/api/jobs/{id}"), None).status == 404));
}

#[test]
fn a_run_is_waited_for_and_done_again() {
    let test = Setup::new(&[]);
    test.receiver.script("/bad", Script::Status(500));
    let (good, bad) = (test.job("good", "/good"), test.job("bad", "/bad"));
    let ran = test.run(&["job", "run", "good", "--wait", "-d", "other"]).ends(0).prints(&["SUCCESS", "manual"]);
    assert!(ran.err.is_empty(), "{ran:?}");
    assert_eq!(test.receiver.posts_to("/good")[0].body, "other");
    let failed = test.run(&["job", "run", "bad", "--wait", "-o", "json"]).ends(3).errs(&["the run ended FAILED"]);
    let execution: Value = serde_json::from_str(&failed.out).expect("it is JSON");
    assert_eq!((&execution["status"], &execution["httpStatus"]), (&json!("FAILED"), &json!(500)));
    let id = test.says(&["job", "run", "good", "--json", "{\"a\": 1}"]);
    until("it is sent", || (test.receiver.posts_to("/good").len() == 2).then_some(()));
    assert!(test.receiver.posts_to("/good")[1].body.contains("\"a\""));
    assert!(test.says(&["execution", "get", id.trim()]).contains(&good));

    // What failed is done again, and only that.
    let failed = execution["executionId"].as_str().expect("a text");
    let dry = test.run(&["job", "replay", "bad", "--dry-run"]).ends(0).errs(&["1 would be run"]);
    assert_eq!(dry.out.trim(), failed);
    assert_eq!(test.api().executions(&bad).len(), 1);
    test.run(&["job", "replay", "bad", "--limit", "5"]).ends(0).errs(&["1 are in line"]);
    until("it is done again", || (test.receiver.posts_to("/bad").len() == 2).then_some(()));
    let again = until("it is there", || test.api().executions(&bad).into_iter().find(|one| one["kind"] == "replay"));
    assert_eq!(again["replayOf"], failed);
    test.run(&["job", "replay", "good"]).ends(3).errs(&["nothing there is like this"]);
    test.run(&["job", "replay", "good", "--status", "lost"]).ends(2).errs(&["status"]);

    // Times of the schedule that have passed.
    let span = ["--from", "2020-01-01T00:00:00Z", "--to", "2023-06-01T00:00:00Z"];
    let dry = test.run(&[&["job", "backfill", "good", "--dry-run", "--utc"], &span[..]].concat()).ends(0);
    let years = ["2020", "2021", "2022", "2023"].map(|year| format!("{year}-01-01T00:00:00Z\n"));
    assert_eq!((dry.out, dry.err.trim()), (years.concat(), "4 would be run"));
    let filled = test.run(&[&["job", "backfill", "good"], &span[..]].concat()).ends(0).errs(&["4 are in line"]);
    assert_eq!(filled.out.lines().count(), 4);
    until("they are sent", || (test.receiver.posts_to("/good").len() == 6).then_some(()));

    // Why something was, and why something was not.
    let path = format!("/api/jobs/{good}/why?at=2021-01-01T00%3A00%3A00Z");
    let why = ["job", "why", "good", "--at"];
    let said = until("the run has ended", || {
        let said = test.api().send("GET", &path, None).text;
        said.contains("SUCCESS").then_some(said)
    });
    assert_eq!(test.says(&[&why[..], &["2021-01-01T00:00:00Z", "-o", "json"]].concat()).trim_end(), said.trim_end());
    let verdicts = ["2021-01-01T00:00:00Z", "2021-01-02T00:00:00Z", "2090-01-01T00:00:00Z"].map(|at| {
        let told = test.says(&[&why[..], &[at, "--utc"]].concat());
        assert!(told.contains("Reason:") && told.contains(at), "{told}");
        test.says(&[&why[..], &[at, "-o", "name"]].concat())
    });
    assert!(verdicts[0] != verdicts[2] && verdicts.iter().all(|verdict| verdict.len() > 1), "{verdicts:?}");
    test.run(&[&why[..], &["then"]].concat()).ends(2);
}
