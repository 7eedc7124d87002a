//! Owns requests that change many jobs, and what was exported and is to be elsewhere, on the real binary.
//! It must not test what a change does to a job, but that all of them happen or none.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::support::api::{Answer, job};
use super::support::until;
use super::{Setup, error_of};

fn lines(items: &[Value]) -> String {
    items.iter().map(|item| format!("{item}\n")).collect()
}

fn send(test: &Setup, path: &str, text: &str) -> Value {
    let answer = test.api().send_with("POST", path, &[("Content-Type", "application/x-ndjson")], Some(text));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn batch(test: &Setup, items: &[Value]) -> Value {
    send(test, "/api/jobs/batch", &lines(items))
}

fn statuses(answer: &Value) -> Vec<u64> {
    let results = answer["results"].as_array().expect("a list");
    results.iter().map(|result| result["status"].as_u64().expect("a number")).collect()
}

fn ids(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().expect("a list").iter();
    results.filter_map(|result| Some(result["jobId"].as_str()?.to_owned())).collect()
}

#[test]
fn each_line_is_done_or_says_what_is_wrong_with_it() {
    let test = Setup::new(&[]);
    let (url, kept) = (test.receiver.url("/a"), json!({ "set": true }));
    let made = batch(
        &test,
        &[
            json!({ "create": job("@yearly", &url) }),
            json!({ "create": { "name": "one", "schedule": "@daily", "api": url, "type": "ATLEAST_ONCE" } }),
            json!({ "create": { "name": "one", "schedule": "@daily", "api": url, "type": "ATLEAST_ONCE" } }),
            json!({ "create": { "schedule": "61 * * * * *", "api": url, "type": "ATLEAST_ONCE" } }),
            json!({ "create": job("@hourly", &url), "delete": {} }),
            json!(["create"]),
            json!({ "create": ["@hourly"] }),
            json!({ "delete": ["nobody", null] }),
            json!({ "create": job("@hourly", &url) }),
            json!({ "create": { "schedule": "@daily", "api": url, "type": "ATLEAST_ONCE", "signingSecret": kept } }),
        ],
    );
    assert_eq!(statuses(&made), [201, 201, 409, 400, 400, 400, 400, 400, 201, 400]);
    assert_eq!((&made["done"], &made["refused"]), (&json!(3), &json!(7)));
    let pointer = |line: usize| &made["results"][line]["problem"]["errors"][0]["pointer"];
    assert_eq!((pointer(3), pointer(9)), (&json!("#/create/schedule"), &json!("#/create/signingSecret")), "{made}");
    let ids = ids(&made);
    let path = |place: usize| format!("/api/jobs/{}", ids[place]);
    assert_eq!(test.api().get(&path(1))["name"], "one");

    let changed = batch(
        &test,
        &[
            json!({ "update": { "jobId": ids[0], "job": job("@monthly", &url) } }),
            json!({ "pause": { "jobId": ids[1], "note": "for now" } }),
            json!({ "delete": { "jobId": ids[2] } }),
            json!({ "pause": { "jobId": ids[0] } }),
            json!({ "pause": { "jobId": "nobody" } }),
            json!({ "resume": { "jobId": ids[1] } }),
            json!({ "update": { "jobId": ids[0], "revision": 7, "job": job("@monthly", &url) } }),
        ],
    );
    assert_eq!(statuses(&changed), [200, 200, 204, 409, 404, 409, 409], "a job is changed once in a batch");
    assert_eq!(test.api().get(&path(0))["schedule"], "@monthly");
    assert_eq!(test.api().get(&path(1))["paused"]["note"], "for now");
    assert_eq!(test.api().send("GET", &path(2), None).status, 404);
    for revision in [json!(1), json!(1.0), json!(1_u64 << 40)] {
        let stale = batch(&test, &[json!({ "delete": { "jobId": ids[0], "revision": revision } })]);
        assert_eq!(statuses(&stale), [412]);
    }
    // What needs nothing to be done is done.
    let awake = batch(&test, &[json!({ "resume": { "jobId": ids[0] } })]);
    assert_eq!((statuses(&awake), &awake["done"]), (vec![200], &json!(1)));
    // All of it is there after a crash.
    let test = test.killed_and_started();
    assert_eq!(test.api().get(&path(0))["schedule"], "@monthly");
    assert_eq!(test.api().get(&path(1))["paused"]["note"], "for now");
    assert_eq!(test.api().pages("/api/jobs", "jobs").len(), 2);
}

#[test]
fn ten_thousand_jobs_are_one_batch_and_fire() {
    let test = Setup::new(&[]);
    let url = test.receiver.url("/many");
    let mut items = vec![json!({ "create": job("@yearly", &test.receiver.url("/a")) }); 9_990];
    items.extend(vec![json!({ "create": job("* * * * * *", &url) }); 10]);
    let made = batch(&test, &items);
    assert_eq!((&made["done"], &made["refused"]), (&json!(10_000), &json!(0)));
    until("the last ten fire", || (test.receiver.posts_to("/many").len() >= 10).then_some(()));
    let gone: Vec<Value> = ids(&made).into_iter().map(|id| json!({ "delete": { "jobId": id } })).collect();
    assert_eq!(batch(&test, &gone)["done"], json!(10_000));
    assert!(test.api().pages("/api/jobs", "jobs").is_empty());
    items.push(items[0].clone());
    let much = test.api().send("POST", "/api/jobs/batch", Some(&lines(&items)));
    assert_eq!((much.status, error_of(&much.json())), (413, "expected at most 10000 lines; nothing has changed"));
    assert!(test.api().pages("/api/jobs", "jobs").is_empty());
}

fn keyed(test: &Setup, key: &str, text: &str) -> Answer {
    test.api().send_with("POST", "/api/jobs/batch", &[("Idempotency-Key", key)], Some(text))
}

#[test]
fn a_batch_has_a_key_too() {
    let test = Setup::new(&[]);
    let text = lines(&[json!({ "create": job("@yearly", &test.receiver.url("/a")) }), json!({ "create": {} })]);
    let first = keyed(&test, "k", &text);
    let again = keyed(&test, "k", &text);
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, ""));
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
    let test = test.killed_and_started();
    assert_eq!(keyed(&test, "k", &text).text, first.text);
    assert_eq!(test.api().pages("/api/jobs", "jobs").len(), 1);
    assert_eq!(keyed(&test, "k", &text.repeat(2)).status, 422);
    // What changed nothing is asked for anew.
    let nothing = lines(&[json!({ "create": {} })]);
    keyed(&test, "l", &nothing);
    assert_eq!(keyed(&test, "l", &nothing).header("idempotency-replayed"), "");
}

#[test]
fn what_was_exported_is_the_same_elsewhere() {
    let (from, to) = (Setup::new(&[]), Setup::new(&[]));
    let url = from.receiver.url("/a");
    let dates = json!({ "dates": ["2031-12-25"] }).to_string();
    assert_eq!(from.api().send("PUT", "/api/calendars/holidays", Some(&dates)).status, 200);
    let jobs = [
        json!({ "name": "a", "schedule": "0 0 9 * * *", "timeZone": "Europe/Berlin", "excludeCalendars": ["holidays"] }),
        json!({ "name": "b", "schedule": "@every 90s", "tags": ["x"], "body": "{{jobId}}", "retry": { "maxAttempts": 2 } }),
        json!({ "name": "c", "schedule": "~ ~ 3 * * *", "spreadSeconds": 60 }),
        json!({ "name": "d", "runAt": "2090-01-01T00:00:00Z", "owner": "me" }),
    ];
    for mut job in jobs {
        (job["api"], job["type"]) = (json!(url), json!("ATLEAST_ONCE"));
        assert_eq!(from.api().send("POST", "/api/jobs", Some(&job.to_string())).status, 201, "{job}");
    }
    let pause = |test: &Setup, name: &str, asked: &Value| {
        let jobs = test.api().pages("/api/jobs", "jobs");
        let job = jobs.iter().find(|job| job["name"] == name).expect("it is there");
        let path = format!("/api/jobs/{}/pause", job["jobId"].as_str().expect("a text"));
        assert_eq!(test.api().send("POST", &path, Some(&asked.to_string())).status, 200);
    };
    pause(&from, "b", &json!({ "note": "why" }));
    pause(&from, "c", &json!({ "until": "2089-01-01T00:00:00Z" }));
    let exported = from.api().send("GET", "/api/export", None).text;
    assert_eq!(exported.lines().count(), 5);
    let imported = send(&to, "/api/import", &exported);
    assert_eq!(statuses(&imported), [200, 201, 201, 201, 201], "{imported}");
    // The same lines, but for what is said anew.
    let plain = |text: &str| -> Vec<Value> {
        let read = |line: &str| {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            // Nothing but @every counts from an anchor: others have that of their last change.
            let is_every = line["job"]["schedule"].as_str().is_some_and(|schedule| schedule.starts_with("@every"));
            let is_plain = |name: &str| name != "jobId" && name != "createdAt" && (is_every || name != "anchor");
            line.as_object_mut().expect("an object").retain(|name, _| is_plain(name));
            line
        };
        text.lines().map(read).collect()
    };
    let to = to.killed_and_started();
    let copy = to.api().send("GET", "/api/export", None).text;
    assert_eq!(plain(&copy), plain(&exported));
    // Whose names are taken are there already.
    let again = send(&to, "/api/import", &exported);
    assert_eq!(statuses(&again), [200, 409, 409, 409, 409]);
    let wrong = send(&to, "/api/import", "{}\n{\"job\":[]}\n\n{\"calendar\":{\"name\":\"A\",\"dates\":[]}}");
    assert_eq!(statuses(&wrong), [400, 400, 400]);
    assert_eq!(wrong["results"][2]["line"], 4);
    let paused = json!({ "job": job("@yearly", &url), "paused": { "since": "2026-01-01T00:00:00Z", "reason": "x".repeat(501) } });
    let wrong = send(&to, "/api/import", &lines(&[paused]));
    assert_eq!(wrong["results"][0]["problem"]["errors"][0]["pointer"], "#/paused/reason");
}

#[test]
fn a_job_has_elsewhere_as_many_runs_as_it_has_left() {
    let (from, to) = (Setup::new(&[]), Setup::new(&[]));
    let mut often = job("* * * * * *", &from.receiver.url("/a"));
    often["maxRuns"] = json!(2);
    let ended = from.api().send("POST", "/api/jobs", Some(&often.to_string())).json();
    let path = format!("/api/jobs/{}", ended["jobId"].as_str().expect("a text"));
    until("it has run twice", || (from.api().get(&path)["stats"]["total"] == json!(2)).then_some(()));
    let exported = from.api().send("GET", "/api/export", None).text;
    assert_eq!(statuses(&send(&to, "/api/import", &exported)), [201]);
    assert_eq!(to.api().pages("/api/jobs", "jobs")[0]["active"], false);
}

#[test]
fn what_is_no_batch_is_refused_as_a_whole() {
    let test = Setup::new(&[]);
    let post = |kind: &str, text: &str| {
        let answer = test.api().send_with("POST", "/api/jobs/batch", &[("Content-Type", kind)], Some(text));
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(post("text/plain", "{}").0, 415);
    assert_eq!(post("application/json", " \n").0, 400);
    let (status, _) = post("application/jsonl", "{}\n");
    assert_eq!(status, 200);
    let mut long = "x".repeat(200_000);
    long.push_str("\n{}");
    let answer = send(&test, "/api/jobs/batch", &long);
    assert_eq!(statuses(&answer), [413, 400]);
    let marked = format!("\u{feff}\n\r\n{}", json!({ "create": job("@yearly", &test.receiver.url("/a")) }));
    let answer = send(&test, "/api/jobs/batch", &marked);
    assert_eq!((statuses(&answer), &answer["results"][0]["line"]), (vec![201], &json!(3)), "a mark is no text");
    let blank = format!("{}{{}}", "\n".repeat(4_000_000));
    assert_eq!(statuses(&send(&test, "/api/jobs/batch", &blank)), [400]);
}

#[test]
fn the_answer_to_many_mistakes_is_bounded() {
    let test = Setup::new(&[]);
    let mut wrong = job("@yearly", &test.receiver.url("/a"));
    wrong["headers"] = json!({ "x".repeat(150_000): 5 });
    let answer = send(&test, "/api/jobs/batch", &lines(&vec![json!({ "create": wrong }); 50]));
    assert_eq!(statuses(&answer), [400; 50]);
    let problem = &answer["results"][0]["problem"];
    assert_eq!(problem["errors"][0]["pointer"], "#/create/headers", "{problem}");
    assert!(problem.to_string().len() < 2_000, "{problem}");
    let text = lines(&vec![json!({ "delete": {} }); 10_000]);
    let answer = test.api().send("POST", "/api/jobs/batch", Some(&text));
    assert!(answer.text.len() < 2_000_000, "{}", answer.text.len());
    let answer = answer.json();
    assert_eq!((&answer["refused"], &answer["done"]), (&json!(10_000), &json!(0)));
    let last = &answer["results"][9_999];
    assert_eq!((&last["line"], &last["status"], &last["problem"]), (&json!(10_000), &json!(400), &Value::Null));
}

#[test]
fn what_is_due_while_a_batch_is_read_is_not_lost() {
    let test = Setup::new(&[]);
    let mut soon = job("@yearly", &test.receiver.url("/soon"));
    soon.as_object_mut().expect("an object").remove("schedule");
    soon["runAfterMs"] = json!(1);
    let mut items = vec![json!({ "create": soon }); 200];
    // What is behind them takes its time.
    items.extend(vec![json!({ "create": job("@yearly", &test.receiver.url("/a")) }); 5_000]);
    assert_eq!(batch(&test, &items)["done"], json!(5_200));
    until("each of them runs", || (test.receiver.posts_to("/soon").len() >= 200).then_some(()));
}

#[test]
fn an_import_that_is_too_long_leaves_calendars_as_they_are() {
    let test = Setup::new(&[]);
    let mut items = vec![json!({ "calendar": { "name": "new", "dates": ["2031-12-25"] } })];
    items.extend(vec![json!({ "job": job("@yearly", &test.receiver.url("/a")) }); 10_000]);
    let answer = test.api().send("POST", "/api/import", Some(&lines(&items)));
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert_eq!(test.api().send("GET", "/api/calendars/new", None).status, 404);
}

#[test]
fn who_waits_with_a_batch_is_answered_when_the_server_stops() {
    let test = Setup::new(&[]);
    let text = lines(&vec![json!({ "create": job("@yearly", &test.receiver.url("/a")) }); 5_000]);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let send = || scope.spawn(|| test.api().send("POST", "/api/jobs/batch", Some(&text)));
        let asked = [send(), send(), send(), send()];
        until("as many wait as may", || {
            let is_full = test.api().send("POST", "/api/jobs/batch", Some("{}")).status == 429;
            (is_full || asked.iter().all(std::thread::ScopedJoinHandle::is_finished)).then_some(())
        });
        test.server.signal("TERM");
        asked.into_iter().map(|answer| answer.join().expect("it is answered").status).collect()
    });
    assert!(answers.iter().all(|status| matches!(status, 200 | 429 | 503)), "{answers:?}");
    let done = answers.iter().filter(|&&status| status == 200).count();
    let test = test.killed_and_started();
    assert_eq!(test.api().pages("/api/jobs?limit=1000", "jobs").len(), done * 5_000);
}

#[test]
fn bodies_that_are_large_and_never_end_do_not_fill_memory() {
    let test = Setup::new(&[]);
    let head =
        format!("POST /api/jobs/batch HTTP/1.1\r\nHost: {}\r\nContent-Length: 8000000\r\n\r\n", test.api().address);
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&test.api().address).expect("it listens");
        stream.write_all(head.as_bytes()).expect("it reads");
        // One that is refused does not take all of it.
        drop(stream.write_all(&[b' '; 300_000]));
        held.push(stream);
    }
    let refused = until("some are refused", || {
        let refused = test.api().get("/api/metrics")["refused"]["largeBodies"].as_u64()?;
        (refused >= 16).then_some(refused)
    });
    assert_eq!(refused, 16, "four may send");
    drop(held);
    let made = until("there is room again", || {
        let text = lines(&vec![json!({ "create": job("@yearly", &test.receiver.url("/a")) }); 1_000]);
        let answer = test.api().send("POST", "/api/jobs/batch", Some(&text));
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(made["done"], 1_000);
}
