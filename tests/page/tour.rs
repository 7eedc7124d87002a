//! The life of a job as a person sees it: made, fired, failed, replayed, rested, changed and deleted, all by the page.
//! It must not look at what the API says but to learn whether the page told the truth.

use serde_json::json;

use super::Setup;
use crate::support::receiver::Script;

/// How many bars the first strip has, and of what kind.
const BARS: &str = "return document.querySelectorAll('main svg.strip rect').length";

impl Setup {
    /// Makes the job of the tour by the form; its id.
    fn made_by_form(&self) -> String {
        let person = &self.person;
        person.opens("/");
        person.reads("There is no job yet.");
        person.reads_under("Next to fire", "Create a job");
        person.presses("Jobs");
        person.is_at("/jobs");
        person.reads(&format!("curl -X POST http://{}/api/jobs", self.api().address));
        person.presses("New job");
        person.is_at("/jobs/new");

        // What it means is said while it is written, and so is what is wrong.
        person.reads_under("What the schedule means", "very hour");
        person.fills("Schedule", "61 * * * * *");
        person.is_told("Schedule", "61");
        person.fills("Schedule", "* * * * * *");
        person.reads_under("What the schedule means", "very second");
        person.is_told("Schedule", "");
        assert_eq!(person.rows_of_preview(), 10);

        // What the API refuses is said beside its field.
        person.fills("URL", "ftp://127.0.0.1/tour");
        person.presses("Create");
        person.is_told("URL", "http");
        assert_eq!(person.focus(), "URL *");
        person.fills("URL", &self.receiver.url("/tour"));
        person.fills("Name", "tour");
        person.fills("Tags", "demo, first");
        person.presses("Delivery and retries");
        person.fills("Attempts at most", "2");
        person.fills("First wait", "100");
        person.presses("Create");
        person.reads("It is created.");
        person.is_at_a_job()
    }
}

impl super::Person {
    fn rows_of_preview(&self) -> usize {
        let rows = self.run("return document.querySelectorAll('aside tbody tr').length", &[]);
        usize::try_from(rows.as_u64().expect("it is a count")).expect("it is small")
    }

    /// Follows the link of what was said last.
    fn follows_what_was_said(&self) {
        self.clicks("there is a link", "return document.querySelector('#toasts .toast:last-child a')", &[]);
    }

    fn bars(&self) -> u64 {
        self.run(BARS, &[]).as_u64().expect("it is a count")
    }
}

#[test]
fn a_person_sees_a_job_through_its_life() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let id = test.made_by_form();
    let view = format!("/jobs/{id}");
    let stored = test.stored(&id);
    assert_eq!((&stored["name"], &stored["tags"]), (&json!("tour"), &json!(["demo", "first"])));
    assert_eq!(stored["retry"], json!({ "maxAttempts": 2, "initialDelayMs": 100 }));

    // It is seen to fire.
    person.marks();
    person.reads_rows("Executions", "it has fired", |rows| rows.iter().any(|row| row.contains("succeeded")));
    let (rows, bars) = (person.rows("Executions").len(), person.bars());
    person.reads_rows("Executions", "they become more", |now| now.len() > rows + 1);
    assert!(person.bars() > bars, "the strip grows as well");
    person.reads_in(".tiles", "succeeded");

    // It is seen to fail.
    test.receiver.script("/tour", Script::Say(500, "out of order"));
    person
        .reads_rows("Executions", "it fails", |rows| rows[0].contains("failed 500") || rows[1].contains("failed 500"));
    person.reads_in(".head", "failing");
    assert!(person.is_marked(), "all of this without a load");
    person.presses("Overview");
    person.is_at("/");
    person.reads_under("Needs attention", "failing");
    person.reads_in(".sentence", "One job is failing");
    person.presses("Alerts");
    person.is_at("/alerts");
    person.presses("log of failures");
    person.is_at("/alerts/log");
    let told = person.reads_rows("Alerts", "it is told", |rows| !rows.is_empty());
    assert!(told[0].contains("tour") && told[0].contains("logged only"), "{}", told[0]);
    person.clicks("the newest failure", "return table('Alerts').tBodies[0].rows[0].cells[2].querySelector('a')", &[]);
    person.is_at("/executions/");
    person.reads_in(".head", "failed 500");
    person.reads_under("What the target said", "out of order");
    let attempts = person.rows("Attempts");
    assert!(attempts.len() == 2 && attempts[0].starts_with("1 |") && attempts[1].starts_with("2 |"), "{attempts:?}");

    // It is mended, and done again.
    test.receiver.script("/tour", Script::Status(200));
    let failed = person.address();
    person.presses("Replay");
    person.reads("It is done again:");
    person.follows_what_was_said();
    person.is_at(&format!("{failed}-r"));
    person.reads_in(".head", "succeeded");
    person.reads_under("What became of it", "Replay of");
    person.presses("tour");
    person.is_at(&view);
    person.reads_in(".head", "active");

    // It rests, with a reason, and goes on.
    person.presses("Pause…");
    person.fills("Why", "a break");
    person.presses("Pause");
    person.reads_in(".head", "paused");
    person.reads_in(".head", "a break");
    person.reads_under("Next ten", "It is paused");
    assert_eq!(test.stored(&id)["paused"]["note"], "a break");
    person.presses("Resume…");
    person.presses("Resume");
    person.reads_in(".head", "active");
    assert_eq!(test.stored(&id)["paused"], json!(null));
    person.presses("Run now");
    person.reads("Its run has begun:");
    person.follows_what_was_said();
    person.is_at("/executions/");
    person.reads_in(".head", "succeeded");
    person.reads_under("What became of it", "manual");
    person.presses("tour");
    person.is_at(&view);

    // It is deleted, but not by mistake.
    person.presses("Delete");
    person.reads("Delete tour?");
    person.presses("Cancel");
    person.waits("the question is gone", "return document.querySelector('dialog') === null", &[]);
    assert_eq!(person.focus(), "Delete");
    assert_eq!(test.stored(&id)["name"], "tour");
    person.presses("Delete");
    person.presses("Delete");
    person.is_at("/jobs");
    person.reads("tour is deleted.");
    person.reads("There is no job yet");
    assert_eq!(test.api().send("GET", &format!("/api/jobs/{id}"), None).status, 404);
    // Its history is still there.
    person.presses("Executions");
    person.is_at("/executions");
    let rows = person.reads_rows("Executions", "they are there", |rows| !rows.is_empty());
    assert!(rows.iter().any(|row| row.contains("failed 500")) || rows.len() == 50, "{rows:?}");
    person.complains_of_nothing(&["/api/schedules/preview", "/api/jobs"]);
}
