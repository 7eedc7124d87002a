//! What the form of a new job takes from elsewhere, and what it shows before anything is saved.
//! It must not test what the API makes of a job.

use serde_json::json;

use super::Setup;
use crate::support::receiver::Script;
use crate::support::until;

#[test]
fn a_pasted_line_fills_the_form_and_a_trial_shows_the_answer() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    test.receiver.script("/hook", Script::Say(418, "<b>short</b> and stout"));
    let url = test.receiver.url("/hook");
    let paste = |text: &str| {
        person.opens("/jobs/new");
        person.presses("Paste a crontab line");
        person.fills("A crontab line or a curl command", text);
        person.presses("Fill in");
    };

    paste(&format!("*/5 2 * * MON-FRI curl -fsS -X PUT {url} -H 'X-One: 1' -d 'x=1' >/dev/null 2>&1"));
    person.reads("It is filled in below.");
    assert_eq!((person.written("Schedule"), person.written("URL")), ("*/5 2 * * MON-FRI".to_owned(), url.clone()));
    assert_eq!((person.written("Method"), person.written("or as text")), ("PUT".to_owned(), "x=1".to_owned()));
    assert!(person.written("Headers").contains("X-One: 1"));
    person.reads_under("What the schedule means", "very 5 minutes");

    // Nothing is saved by trying it, and what came back is text.
    person.presses("Try it now");
    person.reads_under("What came back", "418");
    person.reads_under("What came back", "<b>short</b> and stout");
    person.reads_under("What came back", "fails");
    assert_eq!(test.api().get("/api/jobs")["jobs"], json!([]));
    let [post] = &test.receiver.posts()[..] else { panic!("{:?}", test.receiver.posts()) };
    assert_eq!((&*post.method, &*post.body, post.headers["x-one"].as_str()), ("PUT", "x=1", "1"));
    test.receiver.script("/hook", Script::Status(200));
    person.presses("Try it now");
    person.reads_under("What came back", "succeeds");

    paste(&format!("curl -u me:secret --json '{{\"a\":[1]}}' {url}"));
    person.reads("It is filled in below.");
    assert_eq!((person.written("User"), person.written("Password")), ("me".to_owned(), "secret".to_owned()));
    // The field of a schedule keeps what it had.
    assert_eq!(person.written("Schedule"), "0 * * * *");
    paste("rm -rf /");
    person.reads("expected a crontab line");
    paste(&format!("@hourly {url}"));
    person.reads("It is filled in below.");
    assert_eq!(person.written("Schedule"), "@hourly");
    person.presses("Create");
    person.reads("It is created.");
    person.is_at_a_job();
    person.complains_of_nothing(&[]);
}

#[test]
fn the_preview_says_what_the_clock_does_and_when_it_is_due_here_and_there() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    person.browser.set_zone("Asia/Kathmandu");
    person.opens("/jobs/new");
    person.fills("Schedule", "0 30 2 * * *");
    person.fills("Time zone", "Europe/Berlin");
    let heads = "return [...document.querySelectorAll('aside thead th')].map(one => one.textContent).join()";
    until("three zones stand side by side", || {
        (person.run(heads, &[]) == json!("Europe/Berlin,here,UTC,In")).then_some(())
    });
    let rows = person.run("return [...document.querySelectorAll('aside tbody tr')].map(one => one.innerText)", &[]);
    assert_eq!(rows.as_array().map(Vec::len), Some(10));
    person.reads_in("aside", "02:30:00");
    person.fills("Time zone", "Europe/Berln");
    person.is_told("Time zone", "Europe/Berlin");
    person.fills("Time zone", "UTC");
    person.is_told("Time zone", "");
    // One that comes at the end of March, where the clock is put forward.
    person.fills("Time zone", "Europe/Berlin");
    person.fills("Schedule", "0 30 2 28-31 3 *");
    person.reads_in("aside .remark", "");
    person.fills("Schedule", "");
    person.reads_under("What the schedule means", "Write a schedule");
    person.complains_of_nothing(&["/api/schedules/preview"]);
}
