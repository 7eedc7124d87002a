//! Owns what clients of the crash test ask for under idempotency keys: runs, replays, backfills and jobs. What was
//! acknowledged is there, and what was not answered is there whole or not at all: asked again, its key tells which.
//! It must not touch the jobs of the other clients.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::World;
use crate::ledgers::Posts;
use crate::support::api::{Answer, Api, job};
use crate::support::history::instant_of;
use crate::support::random::Random;
use crate::support::receiver::Receiver;

/// Jobs that are never due in the life of a test; five of their times have passed.
const SCHEDULE: &str = "0 0 0 1 1 * 2019-2023,2090";
const STRETCH: (&str, &str) = ("2018-06-01T00:00:00Z", "2024-06-01T00:00:00Z");
const TIMES: usize = 5;
/// The path of what is asked for.
pub const ASKED: &str = "/asked/";
/// How many jobs are created together.
const BATCH: usize = 7;
/// How many keys are remembered to be asked again.
const KEYS_MAX: usize = 200;

/// A request that may have happened or not.
#[derive(Clone, Debug)]
struct Open {
    key: String,
    path: String,
    body: String,
}

/// What was asked for, by one client.
#[derive(Debug, Default)]
pub struct Asked {
    jobs: Vec<String>,
    /// Executions that were acknowledged.
    begun: BTreeSet<String>,
    /// Jobs that were created together, and not deleted together.
    batched: BTreeSet<String>,
    /// Backfills and batches that were acknowledged.
    pub backfills: u64,
    pub batches: u64,
    /// Requests that were asked again after a kill, and had happened; and those that had not.
    pub happened: u64,
    pub not_happened: u64,
    /// What was answered under a key.
    answers: Vec<(Open, String)>,
    open: Option<Open>,
    next: u64,
    name: u64,
}

impl Asked {
    /// Works until the world is done.
    pub fn run(world: &World, receiver: &Receiver, name: u64, mut random: Random) -> Asked {
        let mut asked = Asked { name, ..Asked::default() };
        while !world.done.load(Ordering::SeqCst) {
            match world.current() {
                Some(api) => asked.act(&api, receiver, &mut random),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
            std::thread::sleep(Duration::from_millis(random.below(15)));
        }
        asked
    }

    fn act(&mut self, api: &Api, receiver: &Receiver, random: &mut Random) {
        let is_open = self.open.is_some();
        if !is_open && !self.answers.is_empty() && random.below(5) == 0 {
            let place = usize::try_from(random.below(self.answers.len() as u64)).expect("small");
            return self.ask_again(api, place);
        }
        let open = self.open.take().unwrap_or_else(|| self.new_request(receiver, random));
        let answer = api.try_send_with("POST", &open.path, &[("Idempotency-Key", &open.key)], Some(&open.body));
        match answer {
            Ok(answer) if answer.status == 503 => self.open = Some(open),
            // The first one is under way in this process.
            Ok(answer) if answer.status == 409 && answer.text.contains("under way") => self.open = Some(open),
            // An origin that has not ended is no origin yet.
            Ok(answer) if answer.status == 409 && open.path.ends_with("/replay") => {}
            Ok(answer) => {
                if is_open {
                    let happened = answer.header("idempotency-replayed") == "true";
                    *(if happened { &mut self.happened } else { &mut self.not_happened }) += 1;
                }
                self.note(open, &answer);
            }
            Err(_) => self.open = Some(open),
        }
    }

    fn new_request(&mut self, receiver: &Receiver, random: &mut Random) -> Open {
        self.next += 1;
        let key = format!("{}-{}", self.name, self.next);
        let choice = random.below(10);
        if self.jobs.is_empty() || (choice == 0 && self.jobs.len() < 20) {
            let body = job(SCHEDULE, &receiver.url(&format!("{ASKED}{key}"))).to_string();
            return Open { key, path: "/api/jobs".to_owned(), body };
        }
        if choice == 9 {
            return self.new_batch(key, receiver, random);
        }
        let pick = usize::try_from(random.below(self.jobs.len() as u64)).expect("small");
        let of = format!("/api/jobs/{}", self.jobs[pick]);
        match choice {
            1 => {
                let body = json!({"from": STRETCH.0, "to": STRETCH.1}).to_string();
                Open { key, path: format!("{of}/backfill"), body }
            }
            2..4 if !self.begun.is_empty() => {
                let place = usize::try_from(random.below(self.begun.len() as u64)).expect("small");
                let origin = self.begun.iter().nth(place).expect("it is one of them");
                Open { key, path: format!("/api/executions/{origin}/replay"), body: "{}".to_owned() }
            }
            _ => Open { body: json!({"body": key}).to_string(), key, path: format!("{of}/run") },
        }
    }

    /// Creates some jobs together, or deletes some that were.
    fn new_batch(&self, key: String, receiver: &Receiver, random: &mut Random) -> Open {
        let deleted = self.batched.iter().take(BATCH);
        let deletes = random.below(3) == 0 && !self.batched.is_empty();
        let body: String = if deletes {
            deleted.map(|id| format!("{}\n", json!({ "delete": { "jobId": id } }))).collect()
        } else {
            let mut job = job(SCHEDULE, &receiver.url(&format!("{ASKED}{key}")));
            let create = |place| {
                // Were only some of them there, those could not be created again.
                job["name"] = json!(format!("batch-{key}-{place}"));
                format!("{}\n", json!({ "create": job }))
            };
            (0..BATCH).map(create).collect()
        };
        Open { key, path: "/api/jobs/batch".to_owned(), body }
    }

    fn note_batch(&mut self, open: &Open, answer: &Value) {
        assert_eq!(answer["refused"], 0, "{open:?}: {answer}");
        for result in answer["results"].as_array().expect("a list") {
            let id = result["jobId"].as_str().expect("a text").to_owned();
            let is_new = if result["status"] == 201 { self.batched.insert(id) } else { self.batched.remove(&id) };
            assert!(is_new, "{open:?}: {answer}");
        }
        self.batches += 1;
    }

    fn note(&mut self, open: Open, answer: &Answer) {
        let is_batch = open.path.ends_with("/batch");
        assert!(matches!(answer.status, 201 | 202) || (is_batch && answer.status == 200), "{open:?}: {}", answer.text);
        let value = answer.json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        if is_batch {
            self.note_batch(&open, &value);
        } else if let Some(ids) = value["executionIds"].as_array() {
            assert_eq!(ids.len(), TIMES, "a backfill is whole");
            self.begun.extend(ids.iter().map(text));
            self.backfills += 1;
        } else if answer.status == 201 {
            self.jobs.push(text(&value["jobId"]));
        } else {
            self.begun.insert(text(&value["executionId"]));
        }
        if self.answers.len() < KEYS_MAX {
            self.answers.push((open, answer.text.clone()));
        }
    }

    /// The same key has the same answer, whatever died in between.
    fn ask_again(&self, api: &Api, place: usize) {
        let (open, text) = &self.answers[place];
        let answer = api.try_send_with("POST", &open.path, &[("Idempotency-Key", &open.key)], Some(&open.body));
        // A server that is just dying, or takes no changes, says nothing about it.
        let Some(answer) = answer.ok().filter(|answer| answer.status != 503) else { return };
        assert_eq!((&answer.text, answer.header("idempotency-replayed")), (text, "true"), "{open:?}");
    }

    /// Settles what is open, with a server that stays.
    pub fn settle(&mut self, api: &Api, receiver: &Receiver, random: &mut Random) {
        while self.open.is_some() {
            self.act(api, receiver, random);
        }
    }

    pub fn is_of(&self, job: &str) -> bool {
        self.jobs.iter().any(|id| id == job) || self.batched.contains(job)
    }

    /// How many executions were acknowledged.
    pub fn begun(&self) -> usize {
        self.begun.len()
    }

    /// What was acknowledged is there and has ended, and nothing else is. What is wrong.
    pub fn compare(&self, api: &Api, posts: &Posts, settled: i64, recorded: &mut HashSet<String>) -> Vec<String> {
        let mut wrong = Vec::new();
        let named = api.pages(&format!("/api/jobs?limit=1000&q=batch-{}-", self.name), "jobs");
        let there: BTreeSet<&str> = named.iter().filter_map(|job| job["jobId"].as_str()).collect();
        let acknowledged: BTreeSet<&str> = self.batched.iter().map(String::as_str).collect();
        if there != acknowledged {
            wrong.push(format!("batches left {there:?}, and acknowledged were {acknowledged:?}"));
        }
        let mut rows: BTreeMap<String, Value> = BTreeMap::new();
        for job in &self.jobs {
            for row in api.pages(&format!("/api/jobs/{job}/executions?limit=1000"), "executions") {
                let id = row["executionId"].as_str().expect("a text").to_owned();
                recorded.insert(id.clone());
                rows.insert(id, row);
            }
        }
        for id in &self.begun {
            match rows.get(id) {
                None => wrong.push(format!("{id} was acknowledged and is lost")),
                Some(row) if row["status"] == "PENDING" => wrong.push(format!("{id} has not ended: {row}")),
                Some(row) if row["status"] == "SKIPPED" => wrong.push(format!("{id} was skipped: {row}")),
                Some(row) => {
                    let seen = posts.seen.get(id);
                    let accepted = row["status"] == "SUCCESS" && instant_of(row) <= settled;
                    if accepted && seen.is_none_or(|seen| seen.accepted == 0) {
                        wrong.push(format!("the receiver never accepted {id}: {row}"));
                    }
                }
            }
        }
        let others = rows.iter().filter(|(id, _)| !self.begun.contains(*id));
        wrong.extend(others.map(|(id, row)| format!("nobody asked for {id}: {row}")));
        wrong
    }
}
