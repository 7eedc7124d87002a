//! Owns jobs that clients declare, on the real binary: what is made, what is changed and named, what is left alone, and
//! what a dry run leaves behind.
//! It must not test what a change does to a job.

use std::path::Path;

use serde_json::{Value, json};

use super::support::api::Api;
use super::support::receiver::Receiver;
use super::support::server::{Server, command};
use super::support::until;
use super::with_few_workers;
use tempfile::TempDir;

/// A server that takes secrets.
struct Sealing {
    server: Server,
    receiver: Receiver,
    _folder: TempDir,
}

impl Sealing {
    fn new() -> Sealing {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        let made = command(&["secrets", "init"]).arg(&key).output().expect("the binary is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let server = start(folder.path(), &key);
        Sealing { server, receiver: Receiver::start(), _folder: folder }
    }

    fn api(&self) -> &Api {
        &self.server.api
    }

    fn send(&self, path: &str, lines: &[Value]) -> Value {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let answer = self.api().send_with("POST", path, &[("Content-Type", "application/x-ndjson")], Some(&text));
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!answer.text.contains("planted"), "{}", answer.text);
        answer.json()
    }

    fn apply(&self, lines: &[Value]) -> Vec<Value> {
        results(&self.send("/api/jobs/batch", lines))
    }

    fn dry(&self, lines: &[Value]) -> Vec<Value> {
        results(&self.send("/api/jobs/batch?dryRun=true", lines))
    }

    /// What an export has, as lines that declare it.
    fn exported(&self) -> Vec<Value> {
        let text = self.api().send("GET", "/api/export", None).text;
        let line = |line: &str| {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            let known = ["job", "jobId", "runs", "calendar"];
            line.as_object_mut().expect("an object").retain(|name, _| known.contains(&name.as_str()));
            json!({ "apply": line })
        };
        text.lines().map(line).collect()
    }

    fn job(&self, result: &Value) -> Value {
        self.api().get(&format!("/api/jobs/{}", id(result)))
    }

    fn audited(&self) -> usize {
        self.api().get("/api/audit?limit=1000")["audit"].as_array().expect("a list").len()
    }
}

fn start(folder: &Path, key: &Path) -> Server {
    let flags = ["--secrets-key", key.to_str().expect("it is a text")];
    Server::start(&folder.join("p.db"), &with_few_workers(&flags))
}

fn results(answer: &Value) -> Vec<Value> {
    answer["results"].as_array().expect("a list").clone()
}

fn id(result: &Value) -> &str {
    result["jobId"].as_str().unwrap_or_else(|| panic!("it has an id: {result}"))
}

fn outcomes(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["outcome"].as_str().unwrap_or("refused")).collect()
}

fn changes(result: &Value) -> Vec<&str> {
    result["changes"].as_array().into_iter().flatten().map(|path| path.as_str().expect("a text")).collect()
}

/// A job that is due once in a year, with more members.
fn job(name: &str, more: Value) -> Value {
    let mut job = json!({ "name": name, "api": "http://127.0.0.1:9/", "type": "ATLEAST_ONCE" });
    if more.get("runAt").is_none() {
        job["schedule"] = json!("@yearly");
    }
    for (member, value) in more.as_object().expect("an object") {
        job[member] = value.clone();
    }
    job
}

fn line(name: &str, more: Value) -> Value {
    json!({ "apply": { "job": job(name, more) } })
}

const SIGNING: &str = "whsec_plantedAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Jobs of all kinds.
fn all_kinds() -> Vec<Value> {
    let secrets = json!({
        "auth": { "basic": { "username": "me", "password": "planted1" } },
        "secretHeaders": { "X-Key": "planted2" }, "signingSecret": SIGNING,
    });
    vec![
        line("plain", json!({})),
        line("local", json!({ "schedule": "0 30 2 * * *", "timeZone": "Europe/Berlin", "dst": { "gap": "skip" } })),
        line(
            "counted",
            json!({ "schedule": "@every 90h", "startsAt": "2030-01-01T01:00:00+01:00", "endsAt": "2040-01-01T00:00:00Z" }),
        ),
        line("spread", json!({ "schedule": "~ ~ 3 * * *", "spreadSeconds": 600 })),
        line("once", json!({ "runAt": "2090-01-01T00:00:00Z", "maxRuns": 3 })),
        line(
            "sent",
            json!({
                "method": "PUT", "headers": { "X-Team": "billing", "Accept": "*/*" }, "json": { "z": 1.50, "a": "{{jobId}}" },
                "timeoutMs": 5000, "success": ["2xx", 409], "excludeDates": ["2031-12-25"],
            }),
        ),
        line(
            "often",
            json!({
                "overlap": "skip", "concurrencyKey": { "name": "k", "limit": 2, "rate": "60/m" }, "autoPauseAfter": 3,
                "pauseOn": [410], "retry": { "maxAttempts": 5, "jitter": 0.1 }, "misfire": { "policy": "skip" },
            }),
        ),
        line("labelled", json!({ "tags": ["b", "a"], "owner": "me", "body": "{}", "method": "POST" })),
        line("secret", secrets),
        line("resting", json!({ "active": false })),
    ]
}

#[test]
fn who_applies_twice_changes_nothing_and_is_told_so() {
    let test = Sealing::new();
    let lines = all_kinds();
    let made = test.apply(&lines);
    assert_eq!(outcomes(&made), ["created"; 10], "{made:?}");
    assert!(made.iter().all(|result| result["status"] == 201));
    let before: Vec<Value> = made.iter().map(|result| test.job(result)).collect();
    let tags: Vec<String> = made.iter().map(|result| etag(&test, result)).collect();
    let again = test.apply(&lines);
    assert_eq!(outcomes(&again), ["unchanged"; 10], "{again:?}");
    for (place, result) in again.iter().enumerate() {
        assert_eq!((id(result), &result["status"], result.get("changes")), (id(&made[place]), &json!(200), None));
        assert_eq!((test.job(result), etag(&test, result)), (before[place].clone(), tags[place].clone()));
    }
    assert_eq!(test.send("/api/jobs/batch", &lines)["done"], 10);
    // Nothing was written down but that they were made.
    assert_eq!(test.audited(), 1);
}

fn etag(test: &Sealing, result: &Value) -> String {
    test.api().send("GET", &format!("/api/jobs/{}", id(result)), None).header("etag").to_owned()
}

#[test]
fn every_member_that_differs_is_named() {
    let test = Sealing::new();
    let calendar = json!({ "apply": { "calendar": { "name": "feasts", "dates": ["2031-12-25"] } } });
    assert_eq!(outcomes(&test.apply(&[calendar])), ["created"]);
    let members = [
        ("schedule", json!("@monthly")),
        ("api", json!("http://127.0.0.1:9/other")),
        ("type", json!("ATMOST_ONCE")),
        ("active", json!(false)),
        ("misfire.policy", json!({ "policy": "skip" })),
        ("misfire.maxLatenessMs", json!({ "maxLatenessMs": 5000 })),
        ("retry.maxAttempts", json!({ "maxAttempts": 2 })),
        ("retry.initialDelayMs", json!({ "initialDelayMs": 7 })),
        ("retry.untilNext", json!({ "untilNext": true })),
        ("retry.on", json!({ "on": ["5xx"] })),
        ("overlap", json!("queue_one")),
        ("maxRuns", json!(5)),
        ("autoPauseAfter", json!(5)),
        ("pauseOn", json!([410])),
        ("method", json!("PATCH")),
        ("headers.X-Team", json!({ "X-Team": "a" })),
        ("secretHeaders.X-Key", json!({ "X-Key": "planted" })),
        ("auth.bearer", json!({ "bearer": "planted" })),
        ("signingSecret", json!(SIGNING)),
        ("body", json!("a")),
        ("json", json!({ "a": 1 })),
        ("timeoutMs", json!(5000)),
        ("success", json!([204])),
        ("timeZone", json!("Europe/Berlin")),
        ("dst.gap", json!({ "gap": "skip" })),
        ("spreadSeed", json!(5)),
        ("startsAt", json!("2030-01-01T00:00:00Z")),
        ("endsAt", json!("2050-01-01T00:00:00Z")),
        ("excludeDates", json!(["2031-12-25"])),
        ("excludeCalendars", json!(["feasts"])),
        ("tags", json!(["a"])),
        ("owner", json!("me")),
    ];
    for (path, value) in members {
        let member = path.split('.').next().expect("a name");
        let plain = [line("one", json!({ "active": true }))];
        let other = [line("one", json!({ member: value }))];
        test.apply(&plain);
        let dry = test.dry(&other);
        let changed = test.apply(&other);
        assert_eq!((outcomes(&changed), changes(&changed[0])), (vec!["changed"], vec![path]), "{changed:?}");
        assert_eq!((outcomes(&dry), changes(&dry[0])), (vec!["changed"], vec![path]));
        let difference = dry[0]["difference"].as_object().expect("an object");
        assert_eq!(difference.keys().collect::<Vec<_>>(), [member]);
        assert_eq!(outcomes(&test.apply(&other)), ["unchanged"], "{path}");
        // It goes back where it is left out, but for what is kept.
        let kept = ["active", "secretHeaders", "auth", "signingSecret"].contains(&member);
        let left_out = line("one", json!({}));
        let expected = if kept { "unchanged" } else { "changed" };
        assert_eq!(outcomes(&test.apply(&[left_out])), [expected], "{path}");
        let none = json!({ "active": true, "secretHeaders": null, "auth": null, "signingSecret": null });
        test.apply(&[line("one", none)]);
    }
    // What is in none of them is in the list of members.
    let both = line("one", json!({ "concurrencyKey": { "name": "k", "limit": 2 }, "spreadSeconds": 60 }));
    let changed = test.apply(&[both]);
    let expected = ["concurrencyKey.limit", "concurrencyKey.name", "spreadSeconds", "spreadSeed"];
    let found: Vec<&str> = changes(&changed[0]);
    assert_eq!(found, expected, "{changed:?}");
    let at = line("one", json!({ "runAt": "2090-01-01T00:00:00Z" }));
    assert_eq!(changes(&test.apply(&[at])[0])[2..4], ["runAt", "schedule"]);
}

#[test]
fn a_secret_is_compared_and_never_shown() {
    let test = Sealing::new();
    let with =
        |password: Value| line("one", json!({ "auth": { "basic": { "username": "me", "password": password } } }));
    test.apply(&[with(json!("planted1"))]);
    assert_eq!(outcomes(&test.apply(&[with(json!("planted1"))])), ["unchanged"]);
    assert_eq!(outcomes(&test.apply(&[with(json!({ "set": true }))])), ["unchanged"]);
    let dry = test.dry(&[with(json!("planted2"))]);
    let password = |value: Value| json!({ "basic": { "username": "me", "password": value } });
    let difference = json!({ "auth": [password(json!({ "set": true })), password(json!({ "other": true }))] });
    assert_eq!((changes(&dry[0]), &dry[0]["difference"]), (vec!["auth.basic.password"], &difference));
    let changed = test.apply(&[with(json!("planted2"))]);
    assert_eq!((changes(&changed[0]), changed[0].get("difference")), (vec!["auth.basic.password"], None));
    assert_eq!(outcomes(&test.apply(&[with(json!("planted2"))])), ["unchanged"]);
    // It follows the job to no other host.
    let moved = line("one", json!({ "api": "http://127.0.0.1:8/" }));
    assert_eq!(changes(&test.apply(&[moved])[0]), ["api", "auth.basic.password", "auth.basic.username"]);
    let kept = test.apply(&[line("two", json!({ "signingSecret": { "set": true } }))]);
    assert_eq!(kept[0]["problem"]["errors"][0]["pointer"], "#/apply/job/signingSecret", "{kept:?}");
}

#[test]
fn a_job_is_known_by_its_name_or_else_by_its_id() {
    let test = Sealing::new();
    let made = test.apply(&[line("a", json!({})), line("b", json!({}))]);
    let (a, b) = (id(&made[0]).to_owned(), id(&made[1]).to_owned());
    let of = |id: &str, name: Value| {
        let mut job = job("", json!({}));
        if name.is_null() {
            drop(job.as_object_mut().expect("an object").remove("name"))
        } else {
            job["name"] = name
        };
        json!({ "apply": { "jobId": id, "job": job } })
    };
    // Its name counts before its id.
    let named = test.apply(&[of(&b, json!("a"))]);
    assert_eq!((outcomes(&named), id(&named[0])), (vec!["unchanged"], a.as_str()));
    let renamed = test.apply(&[of(&a, json!("c"))]);
    assert_eq!(
        (outcomes(&renamed), id(&renamed[0]), changes(&renamed[0])),
        (vec!["changed"], a.as_str(), vec!["name"])
    );
    // A copy with another name is another job, where the first one stands beside it, in whatever order.
    for (order, name) in [([0, 1], "copy 1"), ([1, 0], "copy 2")] {
        let lines = [of(&a, json!("c")), of(&a, json!(name))];
        let both = test.apply(&order.map(|place| lines[place].clone()));
        let mut found = outcomes(&both);
        found.sort_unstable();
        assert_eq!(found, ["created", "unchanged"], "{both:?}");
    }
    // Also where that line is wrong.
    let mut wrong = of(&a, json!("c"));
    wrong["apply"]["job"]["scheduel"] = json!(1);
    assert_eq!(outcomes(&test.apply(&[of(&a, json!("copy 3")), wrong])), ["created", "refused"]);
    // Without a name it is known by its id alone, and has none then.
    let nameless = test.apply(&[of(&a, Value::Null)]);
    assert_eq!((outcomes(&nameless), changes(&nameless[0])), (vec!["changed"], vec!["name"]));
    assert_eq!(outcomes(&test.apply(&[of(&a, json!("copy 4")), of(&a, Value::Null)])), ["created", "unchanged"]);
    for unknown in ["nobody", "00000000-0000-8000-8000-000000000000"] {
        let refused = test.apply(&[of(unknown, Value::Null)]);
        assert_eq!(refused[0]["status"], 404);
        assert!(refused[0]["problem"]["detail"].as_str().expect("a text").contains("give it a name"), "{refused:?}");
        assert_eq!(outcomes(&test.apply(&[of(unknown, json!(unknown))])), ["created"]);
    }
    let mut neither = of("x", Value::Null);
    neither["apply"].as_object_mut().expect("an object").remove("jobId");
    let refused = test.apply(&[neither]);
    assert_eq!(
        (&refused[0]["status"], &refused[0]["problem"]["errors"][0]["pointer"]),
        (&json!(400), &json!("#/apply/job/name"))
    );
    let after = test.apply(&[json!({ "apply": { "job": {
        "name": "later", "runAfterMs": 5000, "api": "http://127.0.0.1:9/", "type": "ATLEAST_ONCE" } } })]);
    assert_eq!(after[0]["problem"]["errors"][0]["pointer"], "#/apply/job/runAfterMs", "{after:?}");
}

#[test]
fn a_job_stands_in_one_line() {
    let test = Sealing::new();
    let twice = [line("a", json!({})), line("a", json!({ "owner": "me" }))];
    for ask in [Sealing::dry, Sealing::apply] {
        let results = ask(&test, &twice);
        assert_eq!((outcomes(&results), &results[1]["status"]), (vec!["created", "refused"], &json!(409)));
    }
    let made = test.apply(&[line("b", json!({}))]);
    let b = id(&made[0]);
    let mut nameless = line("", json!({}));
    nameless["apply"]["jobId"] = json!(b);
    nameless["apply"]["job"].as_object_mut().expect("an object").remove("name");
    for second in [
        line("b", json!({ "owner": "me" })),
        line("b", json!({})),
        nameless,
        json!({ "delete": { "jobId": b } }),
        json!({ "pause": { "jobId": b } }),
        json!({ "update": { "jobId": b, "job": job("d", json!({})) } }),
    ] {
        for first in [line("b", json!({})), line("b", json!({ "tags": ["x"] }))] {
            let lines = [first, second.clone(), line("a", json!({}))];
            let dry = test.dry(&lines);
            let done = test.apply(&lines);
            assert_eq!(outcomes(&dry), outcomes(&done), "{lines:?}");
            assert_eq!((outcomes(&done)[1], &done[1]["status"]), ("refused", &json!(409)), "{done:?}");
            test.apply(&[line("b", json!({}))]);
        }
    }
    // It is free again with the next batch.
    let deleted = test.apply(&[json!({ "delete": { "jobId": b } })]);
    assert_eq!(outcomes(&deleted), ["deleted"]);
}

#[test]
fn a_dry_run_says_the_same_and_leaves_nothing_behind() {
    let test = Sealing::new();
    let made = test.apply(&all_kinds());
    let rows = test.audited();
    let (first, second) = (id(&made[0]).to_owned(), id(&made[1]).to_owned());
    let calendar = |dates: Value| json!({ "apply": { "calendar": { "name": "new", "dates": dates } } });
    let lines = [
        calendar(json!(["2031-12-25"])),
        line("follows", json!({ "excludeCalendars": ["new"] })),
        line("plain", json!({ "schedule": "@monthly", "retry": { "maxAttempts": 2 } })),
        line("local", json!({})),
        json!({ "create": job("made", json!({})) }),
        json!({ "create": job("made", json!({})) }),
        line("made", json!({})),
        json!({ "pause": { "jobId": id(&made[4]) } }),
        json!({ "resume": { "jobId": id(&made[5]) } }),
        json!({ "delete": { "jobId": id(&made[6]) } }),
        json!({ "update": { "jobId": id(&made[7]), "revision": 7, "job": job("x", json!({})) } }),
        json!({ "update": { "jobId": id(&made[8]), "job": job("plain", json!({})) } }),
        line("unknown", json!({ "excludeCalendars": ["nowhere"] })),
        line("past", json!({ "runAt": "2020-01-01T00:00:00Z" })),
        json!({ "apply": {} }),
    ];
    let jobs = test.api().send("GET", "/api/export", None).text;
    let key = [("Idempotency-Key", "k")];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let ask = |path: &str| results(&test.api().send_with("POST", path, &key, Some(&text)).json());
    let dry = ask("/api/jobs/batch?dryRun=true");
    assert_eq!(test.api().send("GET", "/api/export", None).text, jobs);
    assert_eq!((test.audited(), test.api().get("/api/calendars")["calendars"].clone()), (rows, json!([])));
    assert_eq!(
        dry[2]["difference"],
        json!({ "retry": [null, { "maxAttempts": 2 }], "schedule": ["@yearly", "@monthly"] })
    );
    let statuses = |results: &[Value]| results.iter().map(|result| result["status"].clone()).collect::<Vec<_>>();
    // No key was kept, and what was asked for is done as it was said.
    let done = ask("/api/jobs/batch?dryRun=false");
    assert_eq!((statuses(&dry), outcomes(&dry)), (statuses(&done), outcomes(&done)), "{dry:#?}\n{done:#?}");
    for (dry, done) in dry.iter().zip(&done) {
        let is_new = done["outcome"] == "created" && done["jobId"].is_string();
        assert_eq!((&dry["changes"], &dry["problem"]), (&done["changes"], &done["problem"]));
        assert!(is_new || dry["jobId"] == done["jobId"], "{dry} {done}");
        assert!(!is_new || dry.get("jobId").is_none());
    }
    let expected = [
        "created",
        "created",
        "changed",
        "changed",
        "created",
        "refused",
        "refused",
        "changed",
        "unchanged",
        "deleted",
        "refused",
        "refused",
        "refused",
        "refused",
        "refused",
    ];
    assert_eq!(outcomes(&done), expected, "{done:#?}");
    assert_eq!((id(&done[2]), id(&done[3])), (first.as_str(), second.as_str()));
    let audit = test.api().get("/api/audit")["audit"].clone();
    assert_eq!(audit[0]["difference"]["created"]["count"], 2, "{audit}");
    assert_eq!(audit[0]["difference"]["updated"]["count"], 2, "{audit}");
    // The same with a key is answered from what is kept, dry or not.
    let again = test.api().send_with("POST", "/api/jobs/batch?dryRun=false", &key, Some(&text));
    assert_eq!((again.header("idempotency-replayed"), results(&again.json())), ("true", done));
    let wrong = test.api().send("POST", "/api/jobs/batch?dryRun=yes", Some(&text));
    assert_eq!(wrong.json()["errors"][0]["parameter"], "dryRun");
    let dates = json!(["2031-12-25", "2031-12-26"]);
    let changed = test.dry(&[calendar(dates.clone())]);
    assert_eq!(
        (changes(&changed[0]), &changed[0]["difference"]),
        (vec!["dates"], &json!({ "dates": [["2031-12-25"], dates] }))
    );
    assert_eq!(outcomes(&test.apply(&[calendar(json!(["2031-12-25"]))])), ["unchanged"]);
}

#[test]
fn an_import_can_be_tried_too() {
    let (from, to) = (Sealing::new(), Sealing::new());
    let calendar = json!({ "apply": { "calendar": { "name": "feasts", "dates": ["2031-12-25"] } } });
    from.apply(&[calendar, line("a", json!({ "excludeCalendars": ["feasts"] })), line("b", json!({}))]);
    let lines: Vec<Value> = from.exported().iter().map(|line| line["apply"].clone()).collect();
    for (path, found) in [("/api/import?dryRun=true", 0), ("/api/import?dryRun=true", 0), ("/api/import", 2)] {
        assert_eq!(outcomes(&results(&to.send(path, &lines))), ["created"; 3]);
        assert_eq!(to.api().pages("/api/jobs", "jobs").len(), found);
        assert_eq!(to.api().get("/api/calendars")["calendars"].as_array().map(Vec::len), Some(found / 2));
    }
    assert_eq!(outcomes(&results(&to.send("/api/import?dryRun=true", &lines))), ["unchanged", "refused", "refused"]);
}

#[test]
fn what_was_exported_differs_in_nothing() {
    let test = Sealing::new();
    let calendar = json!({ "apply": { "calendar": { "name": "feasts", "dates": ["2031-12-25"] } } });
    let mut lines = vec![calendar, line("follows", json!({ "excludeCalendars": ["feasts"] }))];
    lines.extend(all_kinds());
    let url = test.receiver.url("/a");
    lines.push(line("run out", json!({ "schedule": "* * * * * *", "api": url, "maxRuns": 1 })));
    lines.push(line("some left", json!({ "schedule": "* * * * * *", "api": url, "maxRuns": 1000 })));
    let made = test.apply(&lines);
    assert!(made.iter().all(|result| result["outcome"] == "created"), "{made:?}");
    let pause = |place: usize, asked: Value| {
        let path = format!("/api/jobs/{}/pause", id(&made[place]));
        assert_eq!(test.api().send("POST", &path, Some(&asked.to_string())).status, 200);
    };
    // Without a name, and due once a moment ago.
    let once = json!({ "runAfterMs": 1, "api": url, "type": "ATLEAST_ONCE" }).to_string();
    let past = test.api().send("POST", "/api/jobs", Some(&once)).json();
    let total = |id: &str| test.api().get(&format!("/api/jobs/{id}"))["stats"]["total"].as_u64().expect("a number");
    until("they have run", || {
        let ids = [id(&past), id(&made[12]), id(&made[13])];
        ids.iter().all(|id| total(id) > 0).then_some(())
    });
    pause(1, json!({ "note": "why" }));
    pause(2, json!({ "until": "2089-01-01T00:00:00Z" }));
    // It goes on to run: what it had is no difference.
    let exported = test.exported();
    assert_eq!(exported.len(), 15);
    let rows = test.audited();
    for ask in [Sealing::dry, Sealing::apply] {
        let found = ask(&test, &exported);
        assert_eq!(outcomes(&found), ["unchanged"; 15], "{found:#?}");
    }
    assert_eq!(test.audited(), rows);
    let until = |place: usize| test.job(&made[place])["paused"].clone();
    assert_eq!((&until(1)["note"], &until(2)["until"]), (&json!("why"), &json!("2089-01-01T00:00:00.000Z")));
    // Who changes something else of a job that rests until some moment lets it rest.
    let mut other = exported.iter().find(|line| line["apply"]["job"]["name"] == "plain").expect("it is there").clone();
    other["apply"]["job"]["owner"] = json!("me");
    assert_eq!(changes(&test.apply(&[other])[0]), ["owner"]);
    assert_eq!(until(2)["until"], json!("2089-01-01T00:00:00.000Z"));
}

#[test]
fn what_is_new_elsewhere_has_as_many_runs_as_are_left() {
    let (from, to) = (Sealing::new(), Sealing::new());
    let often = json!({ "schedule": "* * * * * *", "api": from.receiver.url("/a"), "maxRuns": 2 });
    let made = from.apply(&[line("often", often)]);
    until("it has run twice", || (from.job(&made[0])["stats"]["total"] == json!(2)).then_some(()));
    let mut exported = from.exported();
    assert_eq!((&exported[0]["apply"]["job"]["maxRuns"], &exported[0]["apply"]["runs"]), (&json!(2), &json!(2)));
    let there = to.apply(&exported);
    assert_eq!((outcomes(&there), &to.job(&there[0])["active"]), (vec!["created"], &json!(false)));
    exported[0]["apply"]["job"]["maxRuns"] = json!(10);
    exported[0]["apply"]["job"]["name"] = json!("more");
    let more = to.apply(&exported);
    assert_eq!((&to.job(&more[0])["active"], &to.job(&more[0])["maxRuns"]), (&json!(true), &json!(8)));
}

#[test]
fn ten_thousand_are_left_alone_and_the_answer_to_many_changes_is_bounded() {
    let test = Sealing::new();
    let many = |schedule: &str| -> Vec<Value> {
        let headers: serde_json::Map<String, Value> = (0..4)
            .map(|number| (format!("{number}{}", "x".repeat(80)), json!(schedule.len())))
            .map(|(name, value)| (name, json!(value.to_string())))
            .collect();
        (0..10_000)
            .map(|number| line(&format!("job {number}"), json!({ "schedule": schedule, "headers": headers })))
            .collect()
    };
    assert_eq!(test.send("/api/jobs/batch", &many("@yearly"))["done"], 10_000);
    let again = test.apply(&many("@yearly"));
    assert!(outcomes(&again).iter().all(|outcome| *outcome == "unchanged"));
    let answer = test.send("/api/jobs/batch?dryRun=true", &many("@monthly"));
    assert!(answer.to_string().len() < 5_000_000, "{}", answer.to_string().len());
    let results = results(&answer);
    assert_eq!(changes(&results[0]).len(), 5);
    assert_eq!((changes(&results[9_999]), results[9_999].get("difference")), (vec!["headers", "schedule"], None));
}
