//! Two nodes on one database: what changes many jobs can be asked of either, and comes to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::api::{Answer, Api};
use crate::support::postgres::Postgres;
use crate::support::receiver::{Receiver, Script};
use crate::support::server::{Server, command};
use crate::support::until;
use punctual::clock;
use punctual::core::Shard;
use punctual::job::JobId;
use punctual::postgres::{Connection, Url};
use serde_json::{Value, json};

/// Two nodes, each of which has half of all shards.
struct Two {
    nodes: [Server; 2],
    connection: Connection,
}

fn soon() -> punctual::time::MonoUs {
    clock::mono().plus(Duration::from_secs(30))
}

impl Two {
    fn start() -> Option<Two> {
        let url = Postgres::database()?;
        let nodes = ["first", "second"].map(|name| {
            let mut command = command(&["--listen", "127.0.0.1:0", "--log", "error", "--retries", "0", "--node", name]);
            command.env("PUNCTUAL_STORE", &url);
            Server::spawn(command)
        });
        until("each node has half of all shards", || {
            // As each of them says of itself: what was given to it may still be on its way.
            let has_half = |node: &Server| {
                let told = node.api.send("GET", "/metrics", None).text;
                told.lines().any(|line| line == "punctual_node_shards 128")
            };
            nodes.iter().all(has_half).then_some(())
        });
        let url = Url::parse(&url).expect("it is the URL of a database");
        Some(Two { nodes, connection: Connection::connect(&url, soon()).expect("it listens") })
    }

    fn api(&self, node: usize) -> &Api {
        &self.nodes[node].api
    }

    /// Whose each shard is, by the order in which the nodes were started.
    fn owners(&mut self) -> Vec<usize> {
        let find = "SELECT owner = (SELECT min(id) FROM nodes) FROM shards ORDER BY shard";
        let rows = self.connection.query(find, &[], soon()).expect("a list");
        rows.iter().map(|row| usize::from(!row.bool(0).expect("it has an owner"))).collect()
    }

    /// Every job that has a name: which node has it, its id, and what it calls.
    fn named(&mut self) -> BTreeMap<String, (usize, String, String)> {
        let owners = self.owners();
        let find = "SELECT name, shard::int8, encode(public_id, 'hex'), api FROM jobs \
                    WHERE deleted_at IS NULL AND name IS NOT NULL ORDER BY id";
        let rows = self.connection.query(find, &[], soon()).expect("a list");
        let mut all = BTreeMap::new();
        for row in rows.iter() {
            let text = |column| row.text(column).expect("a text").to_owned();
            let owner = owners[usize::try_from(row.i64(1).expect("a shard")).expect("one of 256")];
            let before = all.insert(text(0), (owner, id_of(&text(2)), text(3)));
            assert!(before.is_none(), "two jobs are called {}", text(0));
        }
        all
    }

    /// Two keys that requests are passed on to the first node for.
    fn keys_of_first(&mut self) -> Vec<String> {
        let owners = self.owners();
        let at_first = |key: &String| owners[usize::from(Shard::of_name(key).0)] == 0;
        (0..).map(|number| format!("key-{number}")).filter(at_first).take(2).collect()
    }

    /// Who has this job.
    fn owner_of(&mut self, id: &str) -> usize {
        let key = id.parse::<JobId>().expect("the id of a job").key();
        let find = "SELECT shard::int8 FROM jobs WHERE id = $1";
        let key = i64::try_from(key.0).expect("keys are small");
        let rows = self.connection.query(find, &[&key], soon()).expect("it is there");
        let shard = rows.first().and_then(|row| row.i64(0)).expect("it has a shard");
        self.owners()[usize::try_from(shard).expect("one of 256")]
    }

    /// Jobs that this node has.
    fn make(&self, node: usize, names: &[&str]) -> Vec<String> {
        let lines: Vec<Value> = names.iter().map(|name| apply(name, "http://localhost:9/made")).collect();
        let told = batch(self.api(node), &lines);
        assert_eq!(statuses(&told), vec![201; names.len()], "{told}");
        names.iter().map(|name| self.id_of(name)).collect()
    }

    /// What a job with this name has as its id.
    fn id_of(&self, name: &str) -> String {
        let found = self.api(0).get(&format!("/api/jobs?q={name}"));
        let jobs = found["jobs"].as_array().expect("a list").iter();
        let mut named = jobs.filter(|job| job["name"] == name).filter_map(|job| job["jobId"].as_str());
        named.next().unwrap_or_else(|| panic!("{name}: {found}")).to_owned()
    }

    fn stop(self) {
        self.nodes.into_iter().for_each(Server::stop);
    }
}

fn id_of(hex: &str) -> String {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
    JobId::from_bytes(bytes.try_into().expect("an id has a fixed length")).to_string()
}

fn job(name: &str, url: &str) -> Value {
    json!({ "name": name, "schedule": "@yearly", "api": url, "type": "ATLEAST_ONCE" })
}

fn apply(name: &str, url: &str) -> Value {
    json!({ "apply": { "job": job(name, url) } })
}

fn send(api: &Api, path: &str, headers: &[(&str, &str)], lines: &[Value]) -> Answer {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let headers: Vec<_> = headers.iter().copied().chain([("Content-Type", "application/x-ndjson")]).collect();
    api.send_with("POST", path, &headers, Some(&text))
}

fn batch(api: &Api, lines: &[Value]) -> Value {
    let answer = send(api, "/api/jobs/batch", &[], lines);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn tried(api: &Api, lines: &[Value]) -> Value {
    let answer = send(api, "/api/jobs/batch?dryRun=true", &[], lines);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn results(told: &Value) -> &[Value] {
    told["results"].as_array().expect("a list")
}

fn statuses(told: &Value) -> Vec<u64> {
    results(told).iter().map(|result| result["status"].as_u64().expect("a number")).collect()
}

fn outcomes(told: &Value) -> Vec<&str> {
    results(told).iter().map(|result| result["outcome"].as_str().unwrap_or("refused")).collect()
}

/// What a dry run says, as far as it says the same as what is done: a new job has no id there, and differences are told
/// in it only.
fn comparable(told: &Value) -> Value {
    let mut told = told.clone();
    for result in told["results"].as_array_mut().expect("a list") {
        let result = result.as_object_mut().expect("an object");
        result.remove("difference");
        if result.get("outcome") == Some(&json!("created")) {
            result.remove("jobId");
        }
    }
    told
}

#[test]
fn lines_are_carried_out_by_whoever_has_their_jobs() {
    let Some(mut two) = Two::start() else { return };
    let mine = two.make(0, &["a-0", "a-1", "a-2", "a-3"]);
    let theirs = two.make(1, &["b-0", "b-1", "b-2", "b-3"]);
    for (id, owner) in mine.iter().map(|id| (id, 0)).chain(theirs.iter().map(|id| (id, 1))) {
        assert_eq!(two.owner_of(id), owner, "new jobs are made where they are asked for");
    }
    let gone = two.make(1, &["gone"]).remove(0);
    assert_eq!(two.api(0).send("DELETE", &format!("/api/jobs/{gone}"), None).status, 204);
    let lines = [
        json!({ "pause": { "jobId": theirs[0], "note": "why" } }),
        json!({ "pause": { "jobId": mine[0] } }),
        json!({ "delete": { "jobId": gone } }),
        json!({ "update": { "jobId": theirs[1], "job": job("b-1", "http://localhost:9/other") } }),
        json!({ "update": { "jobId": mine[1], "job": job("b-2", "http://localhost:9/other") } }),
        json!({ "update": { "jobId": theirs[1], "job": job("b-1", "http://localhost:9/again") } }),
        json!({ "delete": { "jobId": theirs[2], "revision": 7 } }),
        json!({ "create": job("b-3", "http://localhost:9/new") }),
        json!({ "create": { "schedule": "61 * * * * *" } }),
        json!({ "delete": { "jobId": theirs[3] } }),
        json!({ "resume": { "jobId": theirs[2] } }),
        json!({ "create": job("c-0", "http://localhost:9/new") }),
        json!({ "delete": { "jobId": mine[3] } }),
    ];
    let expected = [200, 200, 404, 200, 409, 409, 412, 409, 400, 204, 200, 201, 204];
    for node in [0, 1] {
        let would = tried(two.api(node), &lines);
        assert_eq!(statuses(&would), expected, "{would}");
    }
    let told = batch(two.api(0), &lines);
    assert_eq!(statuses(&told), expected, "{told}");
    assert_eq!((&told["done"], &told["refused"]), (&json!(7), &json!(6)), "{told}");
    let numbers: Vec<u64> = results(&told).iter().filter_map(|result| result["line"].as_u64()).collect();
    assert_eq!(numbers, (1..=13).collect::<Vec<u64>>(), "each result is that of its line");
    assert_eq!((&results(&told)[0]["jobId"], &results(&told)[1]["jobId"]), (&json!(theirs[0]), &json!(mine[0])));
    for api in [two.api(0), two.api(1)] {
        assert_eq!(api.get(&format!("/api/jobs/{}", theirs[0]))["paused"]["note"], "why");
        assert_eq!(api.get(&format!("/api/jobs/{}", theirs[1]))["api"], "http://localhost:9/other");
        assert_eq!(api.send("GET", &format!("/api/jobs/{}", theirs[3]), None).status, 404);
    }
    assert_eq!(two.named().len(), 7);
    two.stop();
}

#[test]
fn what_is_declared_twice_at_any_node_is_there_once() {
    let Some(mut two) = Two::start() else { return };
    two.make(0, &["a", "b"]);
    two.make(1, &["c", "d"]);
    let lines: Vec<Value> = ["c", "a", "new", "d", "b"].map(|name| apply(name, "http://localhost:9/2")).into();
    for node in [1, 0] {
        let would = tried(two.api(node), &lines);
        assert_eq!(outcomes(&would), ["changed", "changed", "created", "changed", "changed"], "{would}");
        assert_eq!(results(&would)[0]["difference"]["api"], json!(["http://localhost:9/made", "http://localhost:9/2"]));
    }
    let would = tried(two.api(1), &lines);
    let told = batch(two.api(1), &lines);
    assert_eq!(comparable(&told), comparable(&would));
    for node in [0, 1, 0] {
        let again = batch(two.api(node), &lines);
        assert_eq!(outcomes(&again), ["unchanged"; 5], "{again}");
        assert_eq!(statuses(&again), [200; 5], "{again}");
        assert_eq!(outcomes(&tried(two.api(node), &lines)), ["unchanged"; 5]);
    }
    let named = two.named();
    assert_eq!(named.len(), 5);
    assert!(named.values().all(|(_, _, api)| api == "http://localhost:9/2"), "{named:?}");
    assert_eq!(named["new"].0, 1, "it was made where it was declared");
    two.stop();
}

#[test]
fn names_are_swapped_and_given_on_over_nodes() {
    let Some(mut two) = Two::start() else { return };
    let a = two.make(0, &["a"]).remove(0);
    let b = two.make(1, &["b"]).remove(0);
    let of = |id: &str, name: &str| json!({ "apply": { "jobId": id, "job": job(name, &format!("http://localhost:9/{name}")) } });
    // Names count before ids: each of the two is what is said of its name.
    let swapped = [of(&a, "b"), of(&b, "a")];
    let would = tried(two.api(0), &swapped);
    let told = batch(two.api(0), &swapped);
    assert_eq!(comparable(&told), comparable(&would));
    assert_eq!((&results(&told)[0]["jobId"], &results(&told)[1]["jobId"]), (&json!(b), &json!(a)), "{told}");
    // Whose name is declared beside it is no job that gets another one: there is a new one.
    let moved = [of(&b, "c"), apply("b", "http://localhost:9/kept")];
    let told = batch(two.api(0), &moved);
    assert_eq!(outcomes(&told), ["created", "changed"], "{told}");
    assert_eq!(results(&told)[1]["jobId"], json!(b));
    // Nobody declares that one: it is called otherwise, wherever it is.
    let renamed = [of(&b, "e"), of(&a, "f")];
    for node in [1, 0] {
        let told = batch(two.api(node), &renamed);
        assert_eq!(outcomes(&told), if node == 1 { ["changed"; 2] } else { ["unchanged"; 2] }, "{told}");
    }
    let named = two.named();
    assert_eq!(named.keys().map(String::as_str).collect::<Vec<_>>(), ["c", "e", "f"]);
    assert_eq!((&named["e"].1, &named["f"].1), (&b, &a));
    // A name is given once, though one node has the job that has it and another the one that is to have it.
    let update = |id: &str, name: &str| json!({ "update": { "jobId": id, "job": job(name, "http://localhost:9/") } });
    let told = batch(two.api(0), &[update(&a, "e"), update(&b, "f"), update(&a, "g"), update(&b, "g")]);
    assert_eq!(statuses(&told), [409, 409, 200, 409], "{told}");
    two.named();
    two.stop();
}

#[test]
fn an_import_is_made_where_it_comes_to_but_for_what_shares_a_key() {
    let Some(mut two) = Two::start() else { return };
    two.make(1, &["taken"]);
    let of = |name: &str, members: Value| {
        let mut job = job(name, "http://localhost:9/");
        job.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        json!({ "job": job })
    };
    let keys: Vec<String> = (0..24).map(|number| format!("key-{number}")).collect();
    let mut lines = vec![json!({ "calendar": { "name": "closed", "dates": ["2099-01-01"] } }), of("taken", json!({}))];
    lines.extend(keys.iter().map(|key| {
        of(key, json!({ "concurrencyKey": { "name": key, "limit": 1 }, "schedule": "@daily", "excludeCalendars": ["closed"] }))
    }));
    lines.push(of("plain", json!({})));
    let answer = send(two.api(0), "/api/import?dryRun=true", &[], &lines);
    let would = answer.json();
    let told = send(two.api(0), "/api/import", &[], &lines).json();
    assert_eq!(statuses(&told), [vec![200, 409], vec![201; 25]].concat(), "{told}");
    assert_eq!(comparable(&told), comparable(&would));
    let named = two.named();
    let owners: BTreeSet<usize> = keys.iter().map(|key| named[key].0).collect();
    assert_eq!(owners, BTreeSet::from([0, 1]), "{named:?}");
    assert_eq!(named["plain"].0, 0);
    // Whichever node is asked.
    let again = send(two.api(1), "/api/import", &[], &lines).json();
    assert_eq!(statuses(&again), [vec![200], vec![409; 26]].concat(), "{again}");
    assert_eq!(two.named().len(), 26);
    two.stop();
}

#[test]
fn a_key_is_good_for_the_whole_at_any_node() {
    let Some(mut two) = Two::start() else { return };
    let mine = two.make(0, &["a"]).remove(0);
    let theirs = two.make(1, &["b"]).remove(0);
    let create = json!({ "create": { "schedule": "@yearly", "api": "http://localhost:9/", "type": "ATLEAST_ONCE" } });
    let keys = two.keys_of_first();
    for (key, lines) in [
        ("both", vec![json!({ "pause": { "jobId": mine } }), json!({ "pause": { "jobId": theirs } }), create]),
        // Whoever takes it in has some of it, or nothing.
        (&keys[0], vec![json!({ "resume": { "jobId": mine } })]),
        (&keys[1], vec![json!({ "resume": { "jobId": theirs } })]),
    ] {
        let keyed = [("Idempotency-Key", key)];
        let told = send(two.api(0), "/api/jobs/batch", &keyed, &lines);
        assert_eq!((told.status, told.header("idempotency-replayed")), (200, ""), "{told:?}");
        assert_eq!(told.json()["refused"], 0, "{told:?}");
        for node in [0, 1] {
            let again = send(two.api(node), "/api/jobs/batch", &keyed, &lines);
            assert_eq!((&again.text, again.header("idempotency-replayed")), (&told.text, "true"));
            let other = send(two.api(node), "/api/jobs/batch", &keyed, &[lines[0].clone(), lines[0].clone()]);
            assert_eq!(other.status, 422, "{other:?}");
        }
    }
    let count = two.connection.query("SELECT count(*) FROM jobs WHERE deleted_at IS NULL", &[], soon());
    assert_eq!(count.expect("a number").first().and_then(|row| row.i64(0)).ok(), Some(3), "it was made once");
    two.stop();
}

#[test]
fn nodes_that_ask_each_other_do_not_wait_for_each_other() {
    let Some(mut two) = Two::start() else { return };
    let names: Vec<String> = (0..40).map(|number| format!("n-{number}")).collect();
    for node in [0, 1] {
        let names: Vec<&str> = names[node * 20..][..20].iter().map(String::as_str).collect();
        two.make(node, &names);
    }
    std::thread::scope(|scope| {
        for round in 0..4 {
            let (api, names) = (two.api(round % 2), &names);
            scope.spawn(move || {
                let lines: Vec<Value> =
                    names.iter().map(|name| apply(name, &format!("http://localhost:9/{round}"))).collect();
                let told = batch(api, &lines);
                assert!(statuses(&told).iter().all(|status| [200, 409].contains(status)), "{told}");
            });
        }
    });
    assert_eq!(two.named().len(), 40);
    two.stop();
}

#[test]
fn what_is_done_again_is_done_by_whoever_has_the_job() {
    let Some(mut two) = Two::start() else { return };
    let receiver = Receiver::start();
    receiver.script("/down", Script::Status(400));
    let ids: Vec<String> = (0..4).map(|number| two.api(number % 2).create("@yearly", &receiver.url("/down"))).collect();
    let owners: BTreeSet<usize> = ids.iter().map(|id| two.owner_of(id)).collect();
    assert_eq!(owners, BTreeSet::from([0, 1]));
    for id in &ids {
        let run = two.api(0).send("POST", &format!("/api/jobs/{id}/run"), None);
        assert_eq!(run.status, 202, "{run:?}");
    }
    let failed = |api: &Api| {
        let found = api.get("/api/executions?status=FAILED");
        found["executions"].as_array().expect("a list").len()
    };
    until("all have failed", || (failed(two.api(0)) == 4).then_some(()));
    let asked = json!({ "status": "FAILED", "dryRun": true }).to_string();
    assert_eq!(two.api(1).send("POST", "/api/executions/replay", Some(&asked)).json()["count"], 4);
    let asked = json!({ "status": "FAILED" }).to_string();
    let keyed = [("Idempotency-Key", "again")];
    let told = two.api(1).send_with("POST", "/api/executions/replay", &keyed, Some(&asked));
    assert_eq!(told.status, 202, "{told:?}");
    let (started, told) = (told.json(), told.text);
    assert_eq!((&started["count"], &started["skipped"], &started["unknown"]), (&json!(4), &json!(0), &Value::Null));
    let again = two.api(0).send_with("POST", "/api/executions/replay", &keyed, Some(&asked));
    assert_eq!((&again.text, again.header("idempotency-replayed")), (&told, "true"));
    until("all have failed again", || (failed(two.api(0)) == 8).then_some(()));
    // The node that takes the key in has nothing of it.
    let theirs = ids.iter().find(|id| two.owner_of(id) == 1).expect("both have some").clone();
    let of_one = json!({ "jobId": theirs, "limit": 5 }).to_string();
    for (node, key) in [0, 1].into_iter().zip(two.keys_of_first()) {
        let send =
            || two.api(node).send_with("POST", "/api/executions/replay", &[("Idempotency-Key", &key)], Some(&of_one));
        let (told, again) = (send(), send());
        assert_eq!(told.json()["count"], 1, "{told:?}");
        assert_eq!((&again.text, again.header("idempotency-replayed")), (&told.text, "true"));
        until("it has failed again", || (failed(two.api(0)) == 9 + node).then_some(()));
    }
    two.stop();
}

#[test]
fn of_what_a_node_has_that_does_not_answer_nothing_is_known() {
    let Some(two) = Two::start() else { return };
    let mine = two.make(0, &["a"]).remove(0);
    let theirs = two.make(1, &["b"]).remove(0);
    two.nodes[1].signal("STOP");
    let lines = [json!({ "pause": { "jobId": theirs } }), json!({ "pause": { "jobId": mine } })];
    let told = batch(two.api(0), &lines);
    assert_eq!(statuses(&told), [503, 200], "{told}");
    let problem = results(&told)[0]["problem"]["detail"].as_str().unwrap_or_default();
    assert!(problem.contains("it is not known whether this was done"), "{told}");
    // Others have its jobs by now, or will soon.
    until("somebody else has the job", || {
        let told = batch(two.api(0), &lines[..1]);
        (statuses(&told) == [200]).then_some(())
    });
    two.nodes[1].signal("CONT");
    two.stop();
}

#[test]
fn a_job_that_is_on_its_way_from_one_node_to_another_is_taken_for_none_by_nobody() {
    let Some(mut two) = Two::start() else { return };
    let names: Vec<String> = (0..60).map(|number| format!("n-{number}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let ids = [two.make(0, &all[..30]), two.make(1, &all[30..])].concat();
    let lines = |round: u32| -> Vec<Value> {
        let declared = all[..45].iter().map(|name| apply(name, &format!("http://localhost:9/{round}")));
        declared.chain(ids[45..].iter().map(|id| json!({ "pause": { "jobId": id } }))).collect()
    };
    let drained = two.api(1).send("POST", "/api/nodes/first/drain", None);
    assert!(drained.status < 300, "{drained:?}");
    let (mut round, mut unavailable) = (0, 0);
    until("the other node has everything", || {
        for node in [0, 1] {
            let answer = send(two.api(node), "/api/jobs/batch", &[], &lines(round));
            if answer.status == 200 {
                let told = answer.json();
                for result in results(&told) {
                    assert!([200, 409, 503].contains(&result["status"].as_u64().expect("a number")), "{result}");
                    assert_ne!(result["outcome"], "created", "{result}");
                    unavailable += u32::from(result["status"] == 503);
                }
            }
            round += 1;
        }
        let told = two.api(1).get("/api/nodes");
        let nodes = told["nodes"].as_array().expect("a list").iter();
        nodes.filter(|node| node["name"] == "second").any(|node| node["shards"] == 256).then_some(())
    });
    eprintln!("{round} batches, {unavailable} lines were unavailable");
    // Who has nothing passes everything on, new jobs as well.
    let told = until("everything has arrived", || {
        let told = batch(two.api(0), &[lines(1_000), vec![apply("new", "http://localhost:9/")]].concat());
        statuses(&told).iter().all(|status| *status < 400).then_some(told)
    });
    assert_eq!(told["refused"], 0, "{told}");
    let named = two.named();
    assert_eq!((named.len(), named["new"].0), (61, 1));
    two.stop();
}

#[test]
fn of_two_with_one_key_that_come_to_two_nodes_at_once_one_is_carried_out() {
    let Some(mut two) = Two::start() else { return };
    let theirs = two.make(1, &["b"]).remove(0);
    let create = json!({ "create": { "schedule": "@yearly", "api": "http://localhost:9/", "type": "ATLEAST_ONCE" } });
    let lines = [create, json!({ "resume": { "jobId": theirs } })];
    for round in 0..6 {
        let key = format!("key-{round}");
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4)
                .map(|client| {
                    let (api, key, lines) = (two.api(client % 2), &key, &lines);
                    scope.spawn(move || send(api, "/api/jobs/batch", &[("Idempotency-Key", key)], lines))
                })
                .collect();
            asked.into_iter().map(|asked| asked.join().expect("it is answered")).collect()
        });
        let is_replayed = |answer: &&Answer| answer.header("idempotency-replayed") == "true";
        let done = answers.iter().filter(|answer| answer.status == 200 && !is_replayed(answer)).count();
        assert_eq!(done, 1, "{answers:?}");
        assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)), "{answers:?}");
        let count = two.connection.query("SELECT count(*) FROM jobs", &[], soon()).expect("a number");
        assert_eq!(count.first().and_then(|row| row.i64(0)).expect("a number"), 2 + round, "{answers:?}");
    }
    two.stop();
}
