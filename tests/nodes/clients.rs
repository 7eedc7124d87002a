//! Owns the clients: threads that create, change, run and delete jobs at any node, and remember what they were told.
//! It must not forgive an answer: what says that nothing was done is believed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::Apis;
use crate::database::rest_ms;
use crate::ledgers::{Change, Form, Told, Tracked};
use crate::support::api::{Answer, Api};
use crate::support::random::Random;
use crate::support::receiver::Receiver;
use crate::support::wall_us;

/// Jobs a client keeps alive at most.
const ALIVE_MAX: usize = 5;
/// How long the same request under a key is asked again until it is told what became of it.
const KEY_PATIENCE: Duration = Duration::from_secs(60);

/// What the clients share.
pub struct World {
    pub is_over: AtomicBool,
    apis: Apis,
    receiver: Receiver,
    next: AtomicU64,
    /// How often each was answered, and what no answer should be.
    answers: Mutex<BTreeMap<String, u64>>,
    odd: Mutex<Vec<String>>,
    slowest_ms: AtomicU64,
}

/// What became of a request, as far as the client was told.
enum Outcome {
    Done(Answer),
    /// It was not done.
    Refused,
    Unknown,
}

impl World {
    pub fn new(apis: &Apis, receiver: &Receiver) -> World {
        World {
            is_over: AtomicBool::new(false),
            apis: Apis::clone(apis),
            receiver: receiver.clone(),
            next: AtomicU64::new(0),
            answers: Mutex::default(),
            odd: Mutex::default(),
            slowest_ms: AtomicU64::new(0),
        }
    }

    /// How often each was answered.
    pub fn told(&self) -> String {
        let answers = self.answers.lock().expect("no thread panics with it");
        let lines: Vec<String> = answers.iter().map(|(what, count)| format!("    {count} {what}")).collect();
        format!("{}\n    the slowest after {} ms", lines.join("\n"), self.slowest_ms.load(Ordering::Relaxed))
    }

    /// Answers that should not be.
    pub fn odd(&self) -> Vec<String> {
        self.odd.lock().expect("no thread panics with it").clone()
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn count(&self, what: &str) {
        *self.answers.lock().expect("no thread panics with it").entry(what.to_owned()).or_default() += 1;
    }

    fn sort(&self, what: &str, answer: Result<Answer, ureq::Error>) -> Outcome {
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                self.count(&format!("{what}: {}", answer.status));
                Outcome::Done(answer)
            }
            Ok(answer) => {
                let text = answer.json()["message"].as_str().or(answer.json()["detail"].as_str()).map(str::to_owned);
                let text = text.unwrap_or_else(|| answer.text.clone());
                self.count(&format!("{what}: {} {text}", answer.status));
                let is_open = text.contains("not known") || text.contains("may be done or not");
                match answer.status {
                    503 | 429 if is_open => Outcome::Unknown,
                    503 | 429 => Outcome::Refused,
                    409 if text.contains("under way") => Outcome::Unknown,
                    status => {
                        self.odd.lock().expect("no thread panics with it").push(format!("{what}: {status} {text}"));
                        Outcome::Unknown
                    }
                }
            }
            Err(ureq::Error::Io(why)) if why.kind() == std::io::ErrorKind::ConnectionRefused => Outcome::Refused,
            Err(why) => {
                self.count(&format!("{what}: {why}"));
                Outcome::Unknown
            }
        }
    }
}

/// Works until the world is over: every job it asked for.
pub fn run(world: &World, random: Random) -> Vec<Tracked> {
    let mut client = Client { world, random, alive: Vec::new(), gone: Vec::new() };
    while !world.is_over.load(Ordering::SeqCst) {
        client.act();
        let pause = client.random.below(200);
        rest_ms(50 + pause);
    }
    client.gone.append(&mut client.alive);
    client.gone
}

struct Client<'a> {
    world: &'a World,
    random: Random,
    alive: Vec<Tracked>,
    /// Jobs that are deleted, or may be, or may never have been.
    gone: Vec<Tracked>,
}

impl Client<'_> {
    fn act(&mut self) {
        let choice = self.random.below(100);
        if self.alive.is_empty() || (choice < 20 && self.alive.len() < ALIVE_MAX) {
            return self.create();
        }
        let index = usize::try_from(self.random.below(self.alive.len() as u64)).expect("it is small");
        match choice {
            0..60 => self.change(index),
            60..90 => self.run(index),
            _ => self.delete(index),
        }
    }

    fn create(&mut self) {
        let number = self.world.number();
        let form = Form { url: self.world.receiver.url(&format!("/churn/{number}/0")), tag: "t0".to_owned() };
        let body = json!({
            "schedule": "* * * * * *", "api": form.url, "type": "ATLEAST_ONCE", "tags": [form.tag],
            "misfire": {"policy": "all"},
        });
        match self.send("create", "POST", "/api/jobs", Some(&body)) {
            Outcome::Done(answer) => {
                let id = answer.json()["jobId"].as_str().expect("it is a text").to_owned();
                self.alive.push(Tracked::new(Some(id), form));
            }
            Outcome::Unknown => self.gone.push(Tracked::new(None, form)),
            Outcome::Refused => {
                // It is nobody's job, and nothing is sent there.
                let mut tracked = Tracked::new(None, form.clone());
                (tracked.forms, tracked.urls, tracked.refused) = (Vec::new(), Vec::new(), vec![form.url]);
                self.gone.push(tracked);
            }
        }
    }

    fn change(&mut self, index: usize) {
        let number = self.world.number();
        let is_url = self.random.below(2) == 0;
        let stem = path_of(&self.alive[index]);
        let (change, body) = if is_url {
            let url = self.world.receiver.url(&format!("/changed/{number}"));
            (Change::Url(url.clone()), json!({ "api": url }))
        } else {
            let tag = format!("t{number}");
            (Change::Tag(tag.clone()), json!({ "tags": [tag] }))
        };
        let asked = wall_us();
        let outcome = self.send("change", "PATCH", &stem, Some(&body));
        let tracked = &mut self.alive[index];
        let told = match outcome {
            Outcome::Done(_) => {
                tracked.has_changed(&change);
                "done"
            }
            Outcome::Unknown => {
                tracked.may_have_changed(&change);
                "unknown"
            }
            Outcome::Refused => {
                if let Change::Url(url) = &change {
                    tracked.refused.push(url.clone());
                }
                "refused"
            }
        };
        tracked.story.push(format!("{asked}-{}: {change:?} {told}", wall_us()));
    }

    fn run(&mut self, index: usize) {
        let path = format!("{}/run", path_of(&self.alive[index]));
        let outcome = self.send("run", "POST", &path, None);
        let tracked = &mut self.alive[index];
        match outcome {
            Outcome::Done(answer) => {
                let id = answer.json()["executionId"].as_str().expect("it is a text").to_owned();
                assert!(tracked.runs.insert(id), "an execution is begun twice: {}", answer.text);
            }
            Outcome::Unknown => tracked.maybe_runs += 1,
            Outcome::Refused => {}
        }
    }

    fn delete(&mut self, index: usize) {
        let at = wall_us();
        let deletion = match self.send("delete", "DELETE", &path_of(&self.alive[index]), None) {
            Outcome::Done(_) => Told::Done(at),
            Outcome::Unknown => Told::Unknown(at),
            Outcome::Refused => return,
        };
        let tracked = self.alive.swap_remove(index);
        self.gone.push(Tracked { deletion, ..tracked });
    }

    /// Asks a node, and now and then under a key: then it is asked again, of any node, until it is told what became of it.
    fn send(&mut self, what: &str, method: &str, path: &str, body: Option<&Value>) -> Outcome {
        let body = body.map(Value::to_string);
        let key = (method == "POST" && self.random.below(3) == 0).then(|| format!("key-{}", self.world.number()));
        let (begin, mut was_unknown) = (Instant::now(), false);
        loop {
            let Some(api) = self.any_node() else { return Outcome::Refused };
            let headers: Vec<(&str, &str)> = key.iter().map(|key| ("Idempotency-Key", key.as_str())).collect();
            let asked = Instant::now();
            let outcome = self.world.sort(what, api.try_send_with(method, path, &headers, body.as_deref()));
            let took_ms = u64::try_from(asked.elapsed().as_millis()).expect("it is bounded");
            self.world.slowest_ms.fetch_max(took_ms, Ordering::Relaxed);
            // What was refused later says nothing of what was asked before.
            let is_open = matches!(outcome, Outcome::Unknown) || (was_unknown && matches!(outcome, Outcome::Refused));
            was_unknown |= is_open;
            if !is_open || key.is_none() {
                return outcome;
            }
            if begin.elapsed() > KEY_PATIENCE {
                return Outcome::Unknown;
            }
            rest_ms(200);
        }
    }

    fn any_node(&mut self) -> Option<Api> {
        let count = self.world.apis.len();
        let first = usize::try_from(self.random.below(count as u64)).expect("it is small");
        let mut nodes = (0..count).map(|place| &self.world.apis[(first + place) % count]);
        nodes.find_map(|api| api.lock().expect("no thread panics with it").clone())
    }
}

fn path_of(tracked: &Tracked) -> String {
    format!("/api/jobs/{}", tracked.id.as_ref().expect("only jobs with an id are alive"))
}
