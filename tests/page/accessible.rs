//! What axe-core finds on every address, in light and dark, and in every question that the page asks.
//! It must not find faults of its own: what axe-core calls one is one.

use std::io::Write;

use serde_json::{Value, json};

use super::Person;
use super::kinds::Kinds;

/// What is wrong, a line for each rule, with the first places of it.
const FAULTS: &str = "const ends = one => one.effect.getComputedTiming().endTime !== Infinity;
    // What comes or goes has colours of its own on the way.
    await Promise.allSettled(document.getAnimations().filter(ends).map(one => one.finished));
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.slice(0, 4).map(one =>
        `${one.html.slice(0, 160)} ${one.any.concat(one.all, one.none).map(check => check.message).join(' ').slice(0, 220)}`).join(' // ')}`)";

/// The text of axe-core. None, said loudly: nobody says where it is.
fn axe() -> Option<String> {
    if let Some(path) = std::env::var_os("PUNCTUAL_AXE") {
        return Some(std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display())));
    }
    let is_required = std::env::var("PUNCTUAL_REQUIRE_BROWSER").is_ok_and(|required| required == "1");
    assert!(!is_required, "PUNCTUAL_AXE does not say where axe.min.js is");
    let said = "LEFT OUT: PUNCTUAL_AXE does not say where axe.min.js of axe-core is\n";
    std::io::stderr().write_all(said.as_bytes()).expect("somebody reads");
    None
}

impl Person {
    fn faults(&self, axe: &str) -> Vec<Value> {
        // Not as a script of the page, which its policy forbids.
        if self.run("return typeof axe", &[]) == json!("undefined") {
            self.browser.run(axe, &[]);
        }
        self.browser.run_async(FAULTS, &[]).as_array().expect("it is a list").clone()
    }
}

#[test]
fn nothing_keeps_anybody_out() {
    let Some(axe) = axe() else { return };
    let Some(Kinds { test, addresses }) = Kinds::new() else { return };
    let person = &test.person;
    person.counts_requests();
    let mut found = Vec::new();
    // Light and wide, then dark and narrow, of what is shown already.
    let mut look = |what: &str| {
        for (colours, width) in [("light", 1280), ("dark", 360)] {
            person.browser.set_colours(colours);
            person.browser.set_room(width, 800);
            for fault in person.faults(&axe) {
                found.push(format!("{what}, {colours}: {fault}"));
            }
        }
        person.browser.set_room(1280, 800);
    };
    for (name, address) in &addresses {
        person.opens(address);
        person.waits_for_answers();
        // What is folded counts as well.
        person.run("document.querySelectorAll('details').forEach(one => { one.open = true; })", &[]);
        person.waits_for_answers();
        look(name);
    }
    let path = |name: &str| &addresses.iter().find(|(other, _)| *other == name).expect("it is one").1;
    let is_asked = || person.waits("a question", "return document.querySelector('dialog[open]') !== null", &[]);
    let mut ask = |address: &str, words: &str| {
        person.opens(address);
        person.waits_for_answers();
        person.presses(words);
        is_asked();
        look(words);
    };
    ask("/", "Keys");
    for words in ["Pause…", "Backfill…", "Delete"] {
        ask(path("job-secrets"), words);
    }
    ask(path("job-paused"), "Resume…");
    ask("/system", "New token…");
    ask(path("executions-failed"), "Replay these…");
    for words in ["Acknowledge…", "Silence…", "New silence…", "New channel…", "Change…", "Delete", "Policy of a tag…"]
    {
        ask("/alerts", words);
    }
    // Bulk changes, and what is said of a success and of what is wrong.
    person.opens("/jobs");
    person.clicks("all can be chosen", "return document.querySelector('thead input')", &[]);
    person.reads_in(".bulk", "chosen");
    look("bulk");
    person.presses("Delete");
    is_asked();
    look("bulk question");
    person.opens(path("job-paused"));
    person.presses("Run now");
    person.reads("Its run has begun:");
    look("said");
    person.opens("/jobs/new");
    person.fills("Schedule", "61 * * * *");
    person.is_told("Schedule", "61");
    person.presses("Create");
    person.is_told("URL", "needed");
    look("wrong form");
    found.sort_unstable();
    found.dedup();
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
    person.complains_of_nothing(&["/nowhere", "/api/schedules/preview", "/api/jobs"]);
}
