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

#[test]
fn a_form_that_is_half_written_is_left_by_the_way_back_only_if_that_is_meant() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    person.opens("/jobs");
    person.clicks("a new job", "return document.querySelector('a[href=\"/jobs/new\"]')", &[]);
    person.is_at("/jobs/new");
    person.fills("Name", "half written");
    // Another place on the page is no other page.
    person.run("location.hash = 'content'", &[]);
    person.browser.back();
    assert_eq!(person.written("Name"), "half written");
    person.browser.back();
    person.reads("Leave what you have written?");
    person.presses("Stay");
    person.is_at("/jobs/new");
    assert_eq!(person.written("Name"), "half written");
    person.browser.back();
    person.presses("Leave");
    person.is_at("/jobs");
    person.complains_of_nothing(&[]);
}

#[test]
fn a_job_is_shown_whose_url_a_browser_does_not_read_and_what_is_copied_runs_nothing_else() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let headers = json!({ "X-`touch$IFS*`": "hidden" });
    let job = json!({
        "name": "odd", "schedule": "@yearly", "api": "http://10.0.0.300/hook", "type": "ATLEAST_ONCE",
        "secretHeaders": headers,
    });
    let id = test.change("POST", "/api/jobs", &job)["jobId"].as_str().expect("an id").to_owned();
    person.opens(&format!("/jobs/{id}"));
    person.reads("http://10.0.0.300/hook");
    person.reads("-H 'X-`touch$IFS*`: '\"$SECRET\"");
    person.complains_of_nothing(&[]);
}
