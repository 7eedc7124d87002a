//! How things are, told at a glance: what runs, what fails, what comes; and the picture of it in the README.
//! It must not know how the figures are made.

use std::path::Path;

use serde_json::json;

use super::Setup;
use crate::support::receiver::Script;
use crate::support::until;

/// How many executions are there before it is looked at: enough that the picture shows something.
const ENDED: usize = 40;

#[test]
fn the_overview_tells_how_things_are() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    test.receiver.script("/invoices", Script::Status(503));
    let jobs = [
        ("heartbeat", "* * * * * *", "/heartbeat"),
        ("queue length", "*/2 * * * * *", "/queue"),
        ("import orders", "*/3 * * * * *", "/orders"),
        ("send invoices", "*/5 * * * * *", "/invoices"),
        ("nightly report", "0 0 3 * * *", "/report"),
        ("rotate logs", "0 30 * * * *", "/logs"),
        ("weekly digest", "0 0 9 * * MON", "/digest"),
    ];
    for (name, schedule, path) in jobs {
        test.job(schedule, path, &json!({ "name": name, "tags": ["shop"] }));
    }
    person.browser.set_room(1280, 800);
    person.opens("/");
    until("much has run", || {
        let page = test.api().get("/api/executions?limit=200");
        let ended = page["executions"].as_array().expect("a list").iter().filter(|one| one["status"] != "PENDING");
        (ended.count() >= ENDED).then_some(())
    });
    person.reads("One job is failing; 7 active jobs");
    person.reads_under("Needs attention", "send invoices");
    person.reads_under("Next to fire", "weekly digest");
    // Every second of the last forty has its bar, each made of what ended in it.
    let bars = "return document.querySelectorAll('svg.bars rect.success').length";
    until("bars are drawn", || (person.run(bars, &[]).as_u64() >= Some(20)).then_some(()));
    let failed = "return document.querySelectorAll('svg.bars rect.failed').length";
    assert!(person.run(failed, &[]).as_u64() >= Some(2));
    if let Some(folder) = std::env::var_os("PUNCTUAL_SCREENSHOTS") {
        person.writes_picture(Path::new(&folder), "overview");
    }
    // A figure leads to what it counts.
    let tile = "return [...document.querySelectorAll('a.tile')].find(one => one.textContent.includes('failed'))";
    person.clicks("what failed leads somewhere", tile, &[]);
    person.is_at("/executions");
    person.reads_rows("Executions", "only what failed", |row| row.iter().any(|cell| cell.contains("send invoices")));
    person.complains_of_nothing(&[]);
}
