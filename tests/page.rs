//! The page in a real browser, against the real binary: what a person finds there, does there, and is told.
//! It must not reach into the page: what is done is done by clicks and keys, and what counts is what can be read.
//!
//! The browser is found as in `tests/browser.rs`, and as there each test has one of its own and tries much. What finds
//! faults of accessibility is axe-core, which `PUNCTUAL_AXE` names (`axe.min.js`). `PUNCTUAL_SCREENSHOTS` names a folder
//! for pictures of every address; `PUNCTUAL_PAGE_JOBS` and `PUNCTUAL_PAGE_ROWS` say of how much `many` is made.

mod support;

#[path = "page/accessible.rs"]
mod accessible;
#[path = "page/alerts.rs"]
mod alerts;
#[path = "page/changes.rs"]
mod changes;
#[path = "page/cut_off.rs"]
mod cut_off;
#[path = "page/forms.rs"]
mod forms;
#[path = "page/keyboard.rs"]
mod keyboard;
#[path = "page/kinds.rs"]
mod kinds;
#[path = "page/list.rs"]
mod list;
#[path = "page/looks.rs"]
mod looks;
#[path = "page/many.rs"]
mod many;
#[path = "page/overview.rs"]
mod overview;
#[path = "page/person.rs"]
mod person;
#[path = "page/signed_in.rs"]
mod signed_in;
#[path = "page/tour.rs"]
mod tour;
#[path = "page/wire.rs"]
mod wire;

use person::Person;
use serde_json::{Value, json};
use support::api::Api;
use support::browser::Browser;
use support::receiver::Receiver;
use support::server::{Server, command};
use tempfile::TempDir;

/// A server, what its jobs POST to, and a person before its page.
struct Setup {
    person: Person,
    server: Server,
    receiver: Receiver,
    folder: TempDir,
}

/// Each attempt once, and what ended FAILED is told nobody.
const FLAGS: [&str; 4] = ["--max-in-flight", "16", "--retries", "0"];

impl Setup {
    /// One without a job. None: there is no browser.
    fn new() -> Option<Setup> {
        let browser = Browser::start()?;
        Some(Setup::with(browser, tempfile::tempdir().expect("a folder"), Receiver::start()))
    }

    /// One whose server goes on with what is in this folder.
    fn with(browser: Browser, folder: TempDir, receiver: Receiver) -> Setup {
        // With a key, so that jobs may have secrets.
        let key = folder.path().join("key").to_str().expect("a text").to_owned();
        assert_eq!(Server::refused(command(&["secrets", "init", &key])).code, Some(0));
        let server = Server::start(&folder.path().join("p.db"), &[&FLAGS[..], &["--secrets-key", &key]].concat());
        Setup { person: Person::before(browser, &server.api.address), server, receiver, folder }
    }

    fn api(&self) -> &Api {
        &self.server.api
    }

    /// Registers a job with these members beside what each needs; its id.
    fn job(&self, schedule: &str, path: &str, members: &Value) -> String {
        let mut job = support::api::job(schedule, &self.receiver.url(path));
        job.as_object_mut().expect("it is one").extend(members.as_object().expect("it is one").clone());
        let made = self.api().send("POST", "/api/jobs", Some(&job.to_string()));
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["jobId"].as_str().expect("it is a text").to_owned()
    }

    /// Makes a change that is not made by the page.
    fn change(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.api().send(method, path, Some(&body.to_string()));
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        answer.json()
    }

    /// What a job is by now.
    fn stored(&self, id: &str) -> Value {
        self.api().get(&format!("/api/jobs/{id}"))
    }
}

/// A schedule that is not due in a test.
const NEVER: &str = "@yearly";

/// A job's definition without what the server says of it: what two states of it can be compared by.
fn definition(mut job: Value) -> Value {
    let members = job.as_object_mut().expect("it is one");
    members.retain(|name, _| {
        !matches!(
            &**name,
            "updatedAt" | "nextExecution" | "stats" | "lastOutcome" | "paused" | "held" | "jobId" | "createdAt"
        )
    });
    json!(members)
}
