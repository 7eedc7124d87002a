//! Owns a whole server behind the shim: its sockets, its loop and its store, with clients and a target in its own process,
//! which say what they saw between the things that it did to its files.
//! It must not be judged by what it says of itself: only what came out of its sockets counts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use punctual::config::{Config, Listen};
use punctual::core::ExecutionId;
use punctual::job::JobId;
use punctual::server;

use super::DATABASE;
use super::child::{Saying, Task};
use super::content::Content;
use super::support::api::{Api, job};
use super::support::housed::{self, House};
use super::support::random::Random;
use super::support::receiver::Receiver;
use super::support::until;

/// How long the server lives.
const LIFE: Duration = Duration::from_secs(4);
const CLIENTS: u64 = 2;
/// Jobs that nobody changes.
const STEADY: usize = 12;
/// Jobs a client keeps alive at most.
const ALIVE_MAX: usize = 6;
/// What is kept is more than there is.
const KEPT: u64 = 100_000;

/// Runs the server, and ends with the process: nothing is stopped well.
pub(crate) fn serve(task: &Task) {
    let saying = Arc::new(Mutex::new(Saying::begin(&task.folder)));
    let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let usual = housed::config(task.database(), House::keeping(KEPT));
    let listen = vec![Listen::Tcp { address, over_tls: false }];
    let config = Config { listen, backups: None, ..usual };
    std::thread::spawn(move || server::run(&config, None).expect("the disk is well"));
    let api = Api::new(&address.to_string());
    until("it listens", || api.try_send("GET", "/api/health", None).ok());
    let receiver = Receiver::start();
    for number in 0..STEADY {
        let url = receiver.url(&format!("/steady/{number}"));
        say(&saying, &format!("created {} {url}", api.create("* * * * * *", &url)));
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while begun.elapsed() < LIFE {
                for post in receiver.take_posts() {
                    say(&saying, &format!("posted {}", post.key));
                }
                std::thread::yield_now();
            }
        });
        for client in 0..CLIENTS {
            let (api, saying, random) = (&api, &saying, Random::new(task.seed ^ client));
            let url = receiver.url("");
            scope.spawn(move || ask(api, saying, random, &url, || begun.elapsed() < LIFE));
        }
    });
    say(&saying, "done");
    std::process::exit(0);
}

fn say(saying: &Mutex<Saying>, what: &str) {
    saying.lock().expect("nobody panics with it").say(what);
}

/// A client that says of each change that it asks for it, and that it was answered.
fn ask(api: &Api, saying: &Mutex<Saying>, mut random: Random, url: &str, goes_on: impl Fn() -> bool) {
    let mut alive: Vec<String> = Vec::new();
    let mut number = 0;
    while goes_on() {
        number += 1;
        let url = format!("{url}/{number}");
        let body = job("* * * * * *", &url).to_string();
        let choice = random.below(10);
        if alive.is_empty() || (choice < 3 && alive.len() < ALIVE_MAX) {
            let created = api.send("POST", "/api/jobs", Some(&body));
            assert_eq!(created.status, 201, "{}", created.text);
            let id = created.json()["jobId"].as_str().expect("it is a text").to_owned();
            say(saying, &format!("created {id} {url}"));
            alive.push(id);
        } else if choice < 8 {
            let id = &alive[random.below(alive.len() as u64) as usize];
            say(saying, &format!("changing {id} {url}"));
            assert_eq!(api.send("PUT", &format!("/api/jobs/{id}"), Some(&body)).status, 200);
            say(saying, &format!("changed {id} {url}"));
        } else {
            let id = alive.swap_remove(random.below(alive.len() as u64) as usize);
            say(saying, &format!("deleting {id} -"));
            assert_eq!(api.send("DELETE", &format!("/api/jobs/{id}"), None).status, 204);
            say(saying, &format!("deleted {id} -"));
        }
    }
}

/// What clients and the target saw until some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Of each job what its URL may be; None: it may be deleted.
    jobs: BTreeMap<JobId, BTreeSet<Option<String>>>,
    posts: BTreeSet<ExecutionId>,
}

impl Seen {
    pub(crate) fn hear(&mut self, what: &str) {
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        if verb == "posted" {
            self.posts.insert(rest.parse().expect("it is the id of an execution"));
            return;
        }
        let Some((id, url)) = rest.split_once(' ') else { return };
        let may_be = self.jobs.entry(id.parse().expect("it is the id of a job")).or_default();
        match verb {
            "created" | "changed" => *may_be = [Some(url.to_owned())].into(),
            "changing" => drop(may_be.insert(Some(url.to_owned()))),
            "deleting" => drop(may_be.insert(None)),
            "deleted" => *may_be = [None].into(),
            other => panic!("nobody says {other}"),
        }
    }

    /// Whether all of it is on disk.
    pub(crate) fn judge(&self, folder: &Path) -> Result<(), String> {
        let (jobs, missing) = Content::served(&folder.join(DATABASE), &self.posts)?;
        if let Some(id) = missing.first() {
            return Err(format!("{} POSTs came of which nothing is on disk, as of {id}", missing.len()));
        }
        for (id, may_be) in &self.jobs {
            let found = jobs.get(id);
            if !may_be.contains(&found.cloned()) {
                return Err(format!("{id} was acknowledged as {may_be:?} and is {found:?}"));
            }
        }
        Ok(())
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.jobs.len(), self.posts.len())
    }
}
