//! The page without a mouse: every step of a job's life by keys alone, the focus always in sight and never lost.
//! It must not click.

use serde_json::json;

use super::{NEVER, Person, Setup};
use crate::support::receiver::Script;
use crate::support::until;

/// What is on the page before a row of a table is reached, and more.
const STOPS_MAX: usize = 150;

/// Whether whoever looks sees where the focus is: it has a frame, and lies where it can be seen, with nothing above it.
/// An empty text, or what is wrong.
const SEEN: &str = "const on = document.activeElement;
    const box = on.getBoundingClientRect();
    const style = getComputedStyle(on);
    if (on === document.body) return 'the focus is nowhere';
    // Within a field for a moment the browser itself shows which part it is.
    const isMoment = on.type === 'datetime-local';
    if (!isMoment && !on.matches(':focus-visible')) return 'it is not shown';
    if (!isMoment && (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 1)) return 'it has no frame';
    const inSight = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    if (!inSight) return 'it is out of sight';
    // A line that is broken has its middle anywhere, so each part counts, and its edges too.
    const points = [...on.getClientRects()].flatMap(part => [0.1, 0.5, 0.9].map(share => [part.left + part.width * share, part.top + part.height / 2]));
    const isFree = ([x, y]) => {
        const top = document.elementFromPoint(x, y);
        return top && (on.contains(top) || top.contains(on));
    };
    return points.some(isFree) ? '' : 'something lies above it';";

impl Person {
    fn is_in_sight(&self) {
        let seen = self.run(SEEN, &[]);
        assert_eq!(seen, json!(""), "{} at {}", self.focus(), self.address());
    }

    /// Goes on with Tab until the focus is on what is called so; each stop has to be in sight.
    #[track_caller]
    fn tabs_to(&self, words: &str) {
        let mut stops = Vec::new();
        for _ in 0..STOPS_MAX {
            self.browser.press("Tab");
            if self.run("return document.activeElement === document.body", &[]) == json!(true) {
                // Behind the last one it begins again.
                stops.push("the end".to_owned());
                continue;
            }
            self.is_in_sight();
            let focus = self.focus();
            if focus.starts_with(words) {
                return;
            }
            stops.push(focus);
        }
        panic!("no {words} at {}: {stops:?}", self.address());
    }

    /// The focus comes to something, after what was there has gone.
    fn keeps_the_focus(&self) {
        let script = "return document.activeElement !== document.body && document.activeElement.isConnected";
        self.waits("the focus is somewhere", script, &[]);
    }

    fn focus_is(&self, words: &str) {
        until(&format!("the focus is on {words}"), || self.focus().starts_with(words).then_some(()));
    }

    fn closes_with(&self, key: &str) {
        self.browser.press(key);
        self.waits("the question is gone", "return document.querySelector('dialog') === null", &[]);
        self.waits_until_shown();
        self.keeps_the_focus();
    }
}

#[test]
fn a_job_lives_its_life_by_keys_alone() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let press = |key: &str| person.browser.press(key);
    person.opens("/");
    person.focus_is("Overview");
    press("g");
    press("j");
    person.is_at("/jobs");
    press("c");
    person.is_at("/jobs/new");
    person.focus_is("New job");
    // The first stop of all leads past the head.
    press("Tab");
    person.tabs_to("Schedule");
    press("Control+a");
    person.browser.type_text("* * * * * *");
    person.tabs_to("URL");
    person.browser.type_text(&test.receiver.url("/keys"));
    person.tabs_to("Method");
    press("Down");
    person.tabs_to("Name");
    person.browser.type_text("keys");
    // What is folded is opened by a key as well.
    person.tabs_to("Overlap");
    press("Space");
    person.tabs_to("While another one runs");
    person.tabs_to("Create");
    press("Enter");
    let id = person.is_at_a_job();
    person.keeps_the_focus();
    assert_eq!((test.stored(&id)["method"].clone(), test.stored(&id)["name"].clone()), (json!("GET"), json!("keys")));
    person.reads_rows("Executions", "it fires", |rows| rows.iter().any(|row| row.contains("succeeded")));
    person.keeps_the_focus();

    // Rest and go on; each question takes the focus and gives it back to something.
    person.tabs_to("Pause…");
    press("Enter");
    person.reads("Pause this job?");
    person.is_in_dialog();
    person.tabs_to("Why");
    person.browser.type_text("by key");
    person.closes_with("Enter");
    person.reads_in(".head", "by key");
    person.tabs_to("Resume…");
    press("Space");
    person.tabs_to("What it was due for meanwhile");
    press("Space");
    person.tabs_to("Resume");
    person.closes_with("Space");
    person.reads_in(".head", "active");
    person.tabs_to("Pause…");
    press("Enter");
    person.reads("Pause this job?");
    person.closes_with("Escape");
    person.focus_is("Pause…");
    person.tabs_to("Run now");
    press("Enter");
    person.reads("Its run has begun:");
    person.keeps_the_focus();

    // Tabs by arrows.
    person.tabs_to("curl");
    press("Right");
    person.focus_is("YAML");
    press("Left");
    press("Left");
    person.focus_is("JSON");
    person.is_in_sight();

    // An execution and back.
    press("g");
    press("e");
    person.is_at("/executions");
    person.tabs_to("Status");
    press("Down");
    press("Down");
    person.is_at("/executions?status=");
    person.keeps_the_focus();
    person.focus_is("Status");
    // In a field letters are letters.
    person.tabs_to("Show");
    press("g");
    press("j");
    person.is_at("/jobs");
    person.tabs_to("keys");
    press("Enter");
    person.is_at(&format!("/jobs/{id}"));
    person.tabs_to("Delete");
    press("Enter");
    person.reads("Delete keys?");
    person.is_in_dialog();
    person.closes_with("Escape");
    person.focus_is("Delete");
    press("Enter");
    person.tabs_to("Delete");
    person.closes_with("Enter");
    person.is_at("/jobs");
    person.keeps_the_focus();
    assert_eq!(test.api().send("GET", &format!("/api/jobs/{id}"), None).status, 404);
    person.complains_of_nothing(&[&format!("/jobs/{id}")]);
}

#[test]
fn alerts_are_steered_by_keys_alone() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let press = |key: &str| person.browser.press(key);
    test.receiver.script("/bad", Script::Status(500));
    let id = test.job(NEVER, "/bad", &json!({ "name": "keys" }));
    let run = || test.change("POST", &format!("/api/jobs/{id}/run"), &json!({ "wait": true }));
    person.opens("/");
    press("g");
    press("a");
    person.is_at("/alerts");
    person.tabs_to("New channel…");
    press("Enter");
    person.reads("New channel");
    person.is_in_dialog();
    person.tabs_to("Name");
    person.browser.type_text("keys");
    person.tabs_to("Go on");
    press("Enter");
    person.reads("Channel keys");
    person.is_in_dialog();
    person.tabs_to("URL");
    person.browser.type_text("ftp://x/");
    press("Enter");
    person.is_told("URL", "http");
    person.focus_is("URL");
    press("Control+a");
    person.browser.type_text(&test.receiver.url("/hook"));
    person.closes_with("Enter");
    person.reads_rows("Channels", "it is there", |rows| rows.len() == 1);
    person.tabs_to("Test");
    press("Space");
    person.reads("keys: delivered within");
    person.keeps_the_focus();

    run();
    person.reads_rows("Open incidents", "it is open", |rows| rows.len() == 1);
    person.opens("/alerts");
    person.tabs_to("Acknowledge…");
    press("Enter");
    person.reads("Acknowledge this incident?");
    person.is_in_dialog();
    person.tabs_to("Note");
    person.browser.type_text("by keys");
    person.closes_with("Enter");
    person.reads_rows("Open incidents", "somebody knows", |rows| rows[0].contains("acknowledged"));
    // Its button is gone, and the focus is not.
    person.keeps_the_focus();
    person.tabs_to("Silence…");
    press("Enter");
    person.reads("Have nothing told?");
    person.tabs_to("Why");
    person.browser.type_text("known");
    person.closes_with("Enter");
    person.reads_rows("Silences", "it is there", |rows| rows.len() == 1);
    person.keeps_the_focus();
    person.tabs_to("End");
    press("Space");
    person.reads_under("Silences", "Nothing is silenced.");
    person.keeps_the_focus();
    person.complains_of_nothing(&["/api/channels/keys"]);
}

impl Person {
    fn is_in_dialog(&self) {
        let script = "return document.querySelector('dialog')?.contains(document.activeElement) ?? false";
        self.waits("the question has the focus", script, &[]);
    }
}

#[test]
fn short_keys_find_places_jobs_and_help() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let press = |key: &str| person.browser.press(key);
    for name in ["red one", "red two", "blue"] {
        test.job(NEVER, "/", &json!({ "name": name }));
    }
    person.opens("/");
    for (key, path) in [("e", "/executions"), ("t", "/timeline"), ("a", "/alerts"), ("s", "/system"), ("o", "/")] {
        press("g");
        press(key);
        person.waits(path, "return location.pathname === arguments[0]", &[json!(path)]);
        person.waits_until_shown();
        person.keeps_the_focus();
    }
    press("?");
    person.reads("Create a job");
    person.is_in_dialog();
    // Keys mean nothing behind a question.
    press("c");
    person.closes_with("Escape");
    assert_eq!(person.address(), "/");
    press("u");
    person.reads_in("#top", "UTC");

    // The search, from elsewhere and from here; letters are letters in it.
    press("/");
    person.is_at("/jobs");
    person.focus_is("Search");
    person.browser.type_text("gjcu?");
    press("Control+a");
    person.browser.type_text("red");
    press("Enter");
    person.is_at("/jobs?q=red");
    person.reads_rows("Jobs", "two are called so", |rows| rows.len() == 2);
    person.focus_is("Search");

    // Two are chosen and rest.
    person.tabs_to("Choose red one");
    press("Space");
    person.reads_in(".bulk", "one job chosen");
    person.tabs_to("Choose red two");
    press("Space");
    person.reads_in(".bulk", "2 jobs chosen");
    person.tabs_to("Pause");
    press("Enter");
    person.reads("Pause 2 jobs?");
    person.is_in_dialog();
    person.tabs_to("Pause");
    person.closes_with("Enter");
    person.reads("2 paused");
    person.reads_rows("Jobs", "both rest", |rows| rows.iter().all(|row| row.contains("paused")));
    person.keeps_the_focus();

    // The way past the head.
    person.opens("/jobs");
    person.run("document.body.focus(); document.activeElement.blur(); scrollTo(0, 0)", &[]);
    person.tabs_to("Skip to the content");
    press("Enter");
    person.tabs_to("New job");
    person.complains_of_nothing(&[]);
}
