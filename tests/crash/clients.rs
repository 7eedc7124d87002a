//! Owns the clients of the crash test: threads that create, change, look at and delete jobs, and remember what was
//! acknowledged. An answer that never came leaves both possibilities open.
//! It must not compare with history: only what a client could see at once is checked here.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::ledgers::{Deletion, Tracked, outcome_of};
use crate::support::api::{Answer, Api, job};
use crate::support::random::Random;
use crate::support::receiver::Receiver;
use crate::support::wall_us;

/// Different texts for one thing, so that a change of schedule owes the same seconds before and after.
const EVERY_SECOND: [&str; 4] = ["* * * * * *", "*/1 * * * * *", "0-59 * * * * *", "@every 1s"];
/// Jobs a client keeps alive at most.
const ALIVE_MAX: usize = 12;

/// What the clients share.
pub struct World {
    pub done: AtomicBool,
    api: Mutex<Option<Api>>,
    receiver: Receiver,
    next: AtomicU64,
    /// Changes that were answered, counted as soon as the answer is there.
    answered: AtomicU64,
    created: AtomicU64,
    updated: AtomicU64,
    deleted: AtomicU64,
    unanswered: AtomicU64,
    refused: AtomicU64,
}

impl World {
    pub fn new(receiver: Receiver) -> World {
        let zero = || AtomicU64::new(0);
        World {
            done: AtomicBool::new(false),
            api: Mutex::new(None),
            receiver,
            next: zero(),
            answered: zero(),
            created: zero(),
            updated: zero(),
            deleted: zero(),
            unanswered: zero(),
            refused: zero(),
        }
    }

    /// A server listens.
    pub fn open(&self, api: &Api) {
        *self.api.lock().expect("no thread panics with it") = Some(api.clone());
    }

    /// The server was killed.
    pub fn close(&self) {
        *self.api.lock().expect("no thread panics with it") = None;
    }

    /// Waits until a change has just been answered, but not for long.
    pub fn until_answered(&self) {
        let (begin, before) = (Instant::now(), self.answered.load(Ordering::SeqCst));
        while self.answered.load(Ordering::SeqCst) == before && begin.elapsed() < Duration::from_millis(300) {
            std::thread::yield_now();
        }
    }

    pub fn progress(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} jobs created, {} changes, {} deletions; {} requests unanswered, {} refused",
            of(&self.created),
            of(&self.updated),
            of(&self.deleted),
            of(&self.unanswered),
            of(&self.refused)
        )
    }

    pub fn current(&self) -> Option<Api> {
        self.api.lock().expect("no thread panics with it").clone()
    }
}

/// What came of a request.
enum Sent {
    Answered(Answer),
    /// It may have happened.
    Unanswered,
    /// It did not happen.
    Not,
}

/// Works until the world is done; every job it asked for.
pub fn run(world: &World, random: Random) -> Vec<Tracked> {
    let mut client = Client { world, random, alive: Vec::new(), gone: Vec::new() };
    while !world.done.load(Ordering::SeqCst) {
        match world.current() {
            Some(api) => client.act(&api),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
        let pause = client.random.below(40);
        std::thread::sleep(Duration::from_millis(pause));
    }
    client.gone.append(&mut client.alive);
    client.gone
}

struct Client<'a> {
    world: &'a World,
    random: Random,
    /// Jobs that are there and may be changed.
    alive: Vec<Tracked>,
    /// Jobs that are deleted, or may be, or may never have been.
    gone: Vec<Tracked>,
}

impl Client<'_> {
    fn act(&mut self, api: &Api) {
        let choice = self.random.below(100);
        if self.alive.is_empty() || (choice < 25 && self.alive.len() < ALIVE_MAX) {
            return self.create(api);
        }
        let index = usize::try_from(self.random.below(self.alive.len() as u64)).expect("it is small");
        match choice {
            0..70 => self.update(api, index),
            70..88 => self.look(api, index),
            _ => self.delete(api, index),
        }
    }

    fn create(&mut self, api: &Api) {
        let number = self.world.next.fetch_add(1, Ordering::Relaxed);
        let spec = (self.schedule(), self.world.receiver.url(&format!("/churn/{number}/0")));
        match self.send(api, "POST", "/api/jobs", Some(&job(&spec.0, &spec.1).to_string()), 201) {
            Sent::Answered(answer) => {
                let id = answer.json()["jobId"].as_str().expect("it is a text").to_owned();
                self.alive.push(Tracked::acknowledged(id, spec));
                self.world.created.fetch_add(1, Ordering::Relaxed);
            }
            Sent::Unanswered => self.gone.push(Tracked::unanswered(spec)),
            Sent::Not => {}
        }
    }

    fn update(&mut self, api: &Api, index: usize) {
        let schedule = self.schedule();
        let job_of = &mut self.alive[index];
        job_of.changes += 1;
        let (stem, _) = job_of.spec.1.rsplit_once('/').expect("a URL has a path");
        // Now and then only the URL changes.
        let schedule = if job_of.changes.is_multiple_of(2) { job_of.spec.0.clone() } else { schedule };
        let spec = (schedule, format!("{stem}/{}", job_of.changes));
        let path = path_of(job_of);
        match self.send(api, "PUT", &path, Some(&job(&spec.0, &spec.1).to_string()), 200) {
            Sent::Answered(_) => {
                let changed = &mut self.alive[index];
                changed.spec = spec;
                changed.maybe.clear();
                self.world.updated.fetch_add(1, Ordering::Relaxed);
            }
            Sent::Unanswered => self.alive[index].maybe.push(spec),
            Sent::Not => {}
        }
    }

    /// What was acknowledged must be there at once, whatever died in between.
    fn look(&mut self, api: &Api, index: usize) {
        let path = path_of(&self.alive[index]);
        if let Sent::Answered(answer) = self.send(api, "GET", &path, None, 200) {
            let shown = answer.json();
            let text = |name: &str| shown[name].as_str().expect("it is a text").to_owned();
            let shown = (text("schedule"), text("api"));
            let tracked = &mut self.alive[index];
            assert!(tracked.allows(&shown), "the server shows {shown:?} of {tracked:?}");
            // What is seen once stays: everything else asked for before has lost.
            tracked.spec = shown;
            tracked.maybe.clear();
        }
        if let Sent::Answered(answer) = self.send(api, "GET", &format!("{path}/executions?limit=20"), None, 200) {
            for row in answer.json()["executions"].as_array().expect("it is a list") {
                let Some(outcome) = outcome_of(row) else { continue };
                let id = row["executionId"].as_str().expect("it is a text").to_owned();
                self.alive[index].outcomes.insert(id, outcome);
            }
        }
    }

    fn delete(&mut self, api: &Api, index: usize) {
        let path = path_of(&self.alive[index]);
        let at = wall_us() / 1_000_000;
        match self.send(api, "DELETE", &path, None, 204) {
            Sent::Answered(_) => {
                self.forget(index, Deletion::Acknowledged(at));
                self.world.deleted.fetch_add(1, Ordering::Relaxed);
            }
            Sent::Unanswered => self.forget(index, Deletion::Unanswered(at)),
            Sent::Not => {}
        }
    }

    fn forget(&mut self, index: usize, deletion: Deletion) {
        let tracked = self.alive.swap_remove(index);
        self.gone.push(Tracked { deletion, ..tracked });
    }

    fn schedule(&mut self) -> String {
        let index = self.random.below(EVERY_SECOND.len() as u64);
        EVERY_SECOND[usize::try_from(index).expect("it is small")].to_owned()
    }

    fn send(&self, api: &Api, method: &str, path: &str, body: Option<&str>, expected: u16) -> Sent {
        match api.try_send(method, path, body) {
            Ok(answer) if answer.status == 503 => {
                self.world.refused.fetch_add(1, Ordering::Relaxed);
                Sent::Not
            }
            Ok(answer) => {
                self.world.answered.fetch_add(u64::from(method != "GET"), Ordering::SeqCst);
                assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
                Sent::Answered(answer)
            }
            Err(ureq::Error::Io(why)) if why.kind() == std::io::ErrorKind::ConnectionRefused => Sent::Not,
            Err(_) => {
                self.world.unanswered.fetch_add(1, Ordering::Relaxed);
                Sent::Unanswered
            }
        }
    }
}

fn path_of(tracked: &Tracked) -> String {
    format!("/api/jobs/{}", tracked.id.as_ref().expect("only jobs with an id are alive"))
}
