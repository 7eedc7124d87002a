//! Owns making the server's jobs what files say, and writing them out: differences, dry runs, pruning, many at once.
//! It must not test which members differ: the server's tests do.

use serde_json::{Value, json};

use super::{Ran, Setup};

fn job(name: &str, more: Value) -> Value {
    let mut job = json!({ "name": name, "api": "http://127.0.0.1:9/", "type": "ATLEAST_ONCE" });
    if more.get("runAt").is_none() {
        job["schedule"] = json!("@yearly");
    }
    job.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    job
}

fn apply(test: &Setup, jobs: &[Value], words: &[&str]) -> Ran {
    test.feed(&[&["apply", "-f", "-"], words].concat(), &json!(jobs).to_string())
}

fn jobs_of(test: &Setup) -> String {
    test.says(&["job", "ls", "--all", "-o", "json"])
}

#[test]
fn what_differs_is_shown_and_changed_and_what_is_the_same_is_left_alone() {
    let test = Setup::new(&[]);
    let jobs =
        [job("a", json!({ "tags": ["x"] })), job("b", json!({})), job("c", json!({ "retry": { "maxAttempts": 3 } }))];
    let dry = apply(&test, &jobs, &["--dry-run"]).ends(3).errs(&["would create 3, change 0, delete 0, unchanged 0"]);
    assert_eq!(
        dry.out.lines().map(|line| line.split_whitespace().collect()).collect::<Vec<Vec<_>>>(),
        [["create", "a"], ["create", "b"], ["create", "c"]]
    );
    assert!(test.says(&["job", "ls", "-o", "name"]).is_empty());
    apply(&test, &jobs, &[]).ends(0).errs(&["created 3, changed 0, deleted 0, unchanged 0, refused 0"]);
    let before = jobs_of(&test);

    let again = apply(&test, &jobs, &[]).ends(0).errs(&["created 0, changed 0, deleted 0, unchanged 3, refused 0"]);
    assert_eq!((again.out.as_str(), jobs_of(&test)), ("", before.clone()));
    apply(&test, &jobs, &["--dry-run"]).ends(0).errs(&["would create 0, change 0, delete 0, unchanged 3"]);
    apply(&test, &jobs, &["-o", "wide"]).ends(0).prints(&["unchanged  a"]);

    let other = [
        job("a", json!({ "tags": ["x", "y"], "owner": "me" })),
        job("b", json!({})),
        job("c", json!({ "retry": { "maxAttempts": 4 } })),
    ];
    let expected =
        ["change  a\n", "    owner: - -> me\n", "tags: [\"x\"] -> [\"x\",\"y\"]", "change  c\n", "maxAttempts"];
    let dry = apply(&test, &other, &["--dry-run"]).ends(3).prints(&expected).errs(&["would create 0, change 2"]);
    assert!(!dry.out.contains("  b"), "{dry:?}");
    assert_eq!(jobs_of(&test), before, "a dry run changes nothing");
    let said = apply(&test, &other, &["--dry-run", "-o", "json"]).ends(3);
    let said: Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!((&said["changed"], &said["unchanged"], &said["dryRun"]), (&json!(2), &json!(1), &json!(true)));
    assert_eq!(apply(&test, &other, &["--dry-run", "-o", "name"]).ends(3).out, "a\nc\n");
    apply(&test, &other, &[])
        .ends(0)
        .prints(&expected.map(|line| line.replace("change  ", "changed  ")).each_ref().map(String::as_str))
        .errs(&["created 0, changed 2, deleted 0, unchanged 1, refused 0"]);
    assert!(test.says(&["job", "get", "a"]).contains("me"));
    apply(&test, &other, &[]).ends(0).errs(&["unchanged 3"]);
}

#[test]
fn only_what_an_owner_has_is_pruned_for_him() {
    let test = Setup::new(&[]);
    let mine = [job("m1", json!({})), job("m2", json!({})), job("m3", json!({ "owner": "me" }))];
    apply(&test, &mine, &["--owner", "me"]).ends(0);
    apply(&test, &[job("y1", json!({ "owner": "you" })), job("n1", json!({}))], &[]).ends(0);
    let names = || test.says(&["job", "ls", "-o", "name", "--sort", "name"]);
    apply(&test, &mine, &["--prune"]).ends(2).errs(&["--owner"]);

    // Nobody can be asked in a pipe, and then nothing at all is changed.
    let left = [job("m1", json!({ "tags": ["x"] })), job("m4", json!({}))];
    let before = jobs_of(&test);
    let words = ["--owner", "me", "--prune"];
    apply(&test, &left, &words).ends(2).errs(&["--yes"]);
    assert_eq!(jobs_of(&test), before);
    let dry = apply(&test, &left, &[&words[..], &["--dry-run"]].concat()).ends(3);
    dry.prints(&["delete  m2", "m3"]).errs(&["would create 1, change 1, delete 2, unchanged 0"]);
    assert_eq!(jobs_of(&test), before);
    let pruned = apply(&test, &left, &[&words[..], &["--yes"]].concat()).ends(0);
    pruned.errs(&["created 1, changed 1, deleted 2, unchanged 0, refused 0"]);
    assert_eq!(names(), "m1\nm4\nn1\ny1\n");
    apply(&test, &left, &words).ends(0).errs(&["created 0, changed 0, deleted 0, unchanged 2"]);
    // What another owner has is not taken by it, and what is refused keeps everything.
    apply(&test, &[job("m1", json!({ "owner": "you" }))], &words).ends(2).errs(&["its owner is \"you\""]);
    apply(&test, &[job("m1", json!({ "schedule": "never" }))], &[&words[..], &["--yes"]].concat())
        .ends(1)
        .errs(&["nothing is pruned"]);
    assert_eq!(names(), "m1\nm4\nn1\ny1\n");
    // Nothing in the files means that nothing is to be left.
    apply(&test, &[], &[&words[..], &["--yes"]].concat()).ends(0).errs(&["deleted 2"]);
    assert_eq!(names(), "n1\ny1\n");
}

/// Jobs of many kinds, and a calendar that one follows.
fn all_kinds() -> Vec<Value> {
    vec![
        json!({ "calendar": { "name": "feasts", "dates": ["2031-12-25", "2032-12-25"] } }),
        job("plain", json!({})),
        job("local", json!({ "schedule": "0 30 2 * * *", "timeZone": "Europe/Berlin", "dst": { "gap": "skip" } })),
        job(
            "counted",
            json!({ "schedule": "@every 90h", "startsAt": "2030-01-01T01:00:00+01:00", "endsAt": "2040-01-01T00:00:00Z" }),
        ),
        job("spread", json!({ "schedule": "~ ~ 3 * * *", "spreadSeconds": 600 })),
        job("once", json!({ "runAt": "2090-01-01T00:00:00Z", "maxRuns": 3 })),
        job(
            "sent",
            json!({
                "method": "PUT", "headers": { "X-Team": "billing", "Accept": "*/*" }, "json": { "z": 1.50, "a": "{{jobId}}" },
                "timeoutMs": 5000, "success": ["2xx", 409], "excludeDates": ["2031-12-25"],
            }),
        ),
        job(
            "often",
            json!({
                "overlap": "skip", "concurrencyKey": { "name": "k", "limit": 2, "rate": "60/m" }, "autoPauseAfter": 3,
                "pauseOn": [410], "retry": { "maxAttempts": 5, "jitter": 0.1 }, "misfire": { "policy": "skip" },
            }),
        ),
        job(
            "labelled: 'yes'",
            json!({ "tags": ["no", "1e3", "~"], "owner": "null", "body": "a: b\n# c\n\ttab \u{e4}\n", "method": "POST" }),
        ),
        job("resting", json!({ "active": false })),
        job("excluding", json!({ "excludeCalendars": ["feasts"] })),
    ]
}

#[test]
fn what_is_exported_is_no_difference_here_and_the_same_elsewhere() {
    let (test, other) = (Setup::new(&[]), Setup::new(&[]));
    apply(&test, &all_kinds(), &[]).ends(0).errs(&["created 10, changed 0", "refused 0, calendars 1"]);
    apply(&test, &all_kinds(), &["--dry-run"]).ends(0).errs(&["unchanged 10"]);
    apply(
        &test,
        &[job("secret", json!({ "auth": { "bearer": "planted" }, "secretHeaders": { "X-Key": "planted" } }))],
        &[],
    )
    .ends(0);
    // A job without a name is known by its id.
    test.says(&["job", "create", "@monthly", "http://127.0.0.1:9/nameless"]);
    let exported = test.says(&["export"]);
    assert_eq!(exported, test.api().send("GET", "/api/export", None).text);
    for words in [
        &["export"][..],
        &["export", "-o", "yaml"],
        &["export", "--tag", "no"],
        &["export", "--owner", "null", "-o", "yaml"],
    ] {
        let text = test.says(words);
        let applied = test.feed(&["apply", "-f", "-", "--dry-run"], &text).ends(0);
        applied.errs(&["would create 0, change 0, delete 0, unchanged ", "refused 0"]);
    }
    assert_eq!(test.says(&["export", "--tag", "no"]).lines().count(), 1);
    test.run(&["export", "-o", "table"]).ends(2).errs(&["expected json or yaml"]);

    // Elsewhere it makes the same jobs, but for secrets, which no export has, and for what has no name to be found by.
    let open: String = exported
        .lines()
        .filter(|line| !line.contains("X-Key") && !line.contains("nameless"))
        .map(|line| format!("{line}\n"))
        .collect();
    other.feed(&["apply", "-f", "-", "--dry-run"], &open).ends(3).errs(&["refused 0"]);
    assert!(other.says(&["export"]).is_empty());
    other.feed(&["apply", "-f", "-"], &open).ends(0).errs(&["refused 0"]);
    other.feed(&["apply", "-f", "-", "--dry-run"], &open).ends(0).errs(&["change 0"]);
    let known = |text: &str| {
        let mut jobs: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"))
            .map(|mut line| if line["calendar"].is_object() { line } else { line["job"].take() })
            .collect();
        jobs.sort_by_key(|job| job["name"].to_string());
        jobs
    };
    let (here, there) = (known(&open), known(&other.says(&["export"])));
    assert_eq!(there, here);
}

#[test]
fn ten_thousand_jobs_are_applied_at_once() {
    let test = Setup::new(&[]);
    let jobs: Vec<Value> =
        (0..10_000).map(|number| job(&format!("job {number}"), json!({ "tags": ["many"] }))).collect();
    apply(&test, &jobs, &["-o", "name", "--owner", "me"]).ends(0).errs(&["created 10000,", "refused 0"]);
    let count = |words: &[&str]| test.says(&[&["job", "ls", "--all", "-o", "name"], words].concat()).lines().count();
    assert_eq!(count(&["--tag", "many"]), 10_000);
    let again =
        apply(&test, &jobs, &["--owner", "me"]).ends(0).errs(&["created 0, changed 0, deleted 0, unchanged 10000"]);
    assert!(again.out.is_empty());
    let pages = test.says(&["job", "ls", "--all", "-o", "json"]);
    assert_eq!(pages.lines().count(), 10, "a page is a line");
    // One more than the server takes at once.
    let more: Vec<Value> = jobs.into_iter().chain([job("one more", json!({}))]).collect();
    apply(&test, &more, &["--owner", "me"]).ends(0).errs(&["created 1, changed 0, deleted 0, unchanged 10000"]);
    assert_eq!(test.says(&["export", "--owner", "me"]).lines().count(), 10_001);
    apply(&test, &more[..1], &["--owner", "me", "--prune", "--yes"]).ends(0).errs(&["deleted 10000, unchanged 1"]);
    assert_eq!(count(&[]), 1);
}

#[test]
fn a_body_keeps_its_digits_and_a_job_its_name_where_another_line_declares_it() {
    let test = Setup::new(&[]);
    let exact = r#"{"name":"exact","schedule":"@yearly","api":"http://127.0.0.1:9/","type":"ATLEAST_ONCE","json":{"a":1.50,"b":12345678901234567890123}}"#;
    assert_eq!(test.api().send("POST", "/api/jobs", Some(exact)).status, 201);
    let export = test.says(&["export"]);
    assert!(export.contains(r#"{"a":1.50,"b":12345678901234567890123}"#), "{export}");
    test.feed(&["apply", "-f", "-", "--dry-run"], &export).ends(0).errs(&["unchanged 1"]);
    test.feed(&["apply", "-f", "-"], &format!("{exact}\n")).ends(0).errs(&["unchanged 1"]);

    // With its id stands another name, and its own name in another line: so that is another job.
    let id = test.api().get("/api/jobs")["jobs"][0]["jobId"].clone();
    let lines = format!("{}\n{exact}\n", json!({ "jobId": id, "job": job("other", json!({})) }));
    test.feed(&["apply", "-f", "-"], &lines).ends(0).errs(&["created 1, changed 0, deleted 0, unchanged 1"]);
    assert_eq!(test.says(&["job", "ls", "-o", "name", "--sort", "name"]), "exact\nother\n");
    test.feed(&["apply", "-f", "-"], &lines).ends(0).errs(&["created 0, changed 0, deleted 0, unchanged 2"]);
}
