//! The list of jobs: finding, sorting, turning pages, going back and forward, and changing many at a time.
//! It must not test how jobs run.

use serde_json::{Value, json};

use super::{NEVER, Setup};

/// More than are on a page.
const JOBS: usize = 30;

/// The names in the list, from the top.
fn names(rows: &[String]) -> Vec<&str> {
    rows.iter().map(|row| row.split(" | ").nth(1).unwrap_or_default().split(' ').next().unwrap_or_default()).collect()
}

fn thirty(test: &Setup) {
    let lines: Vec<String> = (0..JOBS)
        .map(|number| {
            let tags = if number % 10 == 0 { json!(["tenth"]) } else { json!(["other"]) };
            let url = test.receiver.url(&format!("/{number}"));
            // Created in an order that is neither that of their names nor of what is due next.
            let name = format!("job-{:02}", (number * 7) % JOBS);
            let schedule = format!("0 {} 0 1 1 *", (number * 11) % JOBS);
            let job = json!({ "schedule": schedule, "api": url, "type": "ATLEAST_ONCE", "name": name, "tags": tags });
            json!({ "create": job }).to_string()
        })
        .collect();
    let headers = [("content-type", "application/x-ndjson")];
    let answer = test.api().send_with("POST", "/api/jobs/batch", &headers, Some(&lines.join("\n")));
    assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(JOBS)), "{}", answer.text);
}

#[test]
fn jobs_are_found_sorted_and_turned_over_and_the_address_remembers() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    thirty(&test);
    person.opens("/jobs");
    let page = |what: &str, first: &str, many: usize| {
        let first = first.to_owned();
        person.reads_rows("Jobs", what, |rows| rows.len() == many && names(rows).first() == Some(&first.as_str()))
    };
    page("the oldest first", "job-00", 25);
    person.chooses("Order", "by name");
    person.is_at("/jobs?sort=name");
    let sorted = page("by name", "job-00", 25);
    assert!(names(&sorted).is_sorted(), "{sorted:?}");
    person.presses("next page");
    person.is_at("/jobs?sort=name&cursor=");
    page("the rest", "job-25", 5);
    person.browser.back();
    person.is_at("/jobs?sort=name");
    page("by name again", "job-00", 25);
    person.browser.forward();
    person.is_at("/jobs?sort=name&cursor=");
    page("the rest again", "job-25", 5);
    person.presses("⇤ first page");
    page("the first ones", "job-00", 25);
    person.chooses("Order", "next to fire first");
    person.is_at("/jobs?sort=next");
    let due = person.reads_rows("Jobs", "what is due next", |rows| rows.len() == 25 && rows[0].contains("0 0 0 1 1 *"));
    assert!(due[1].contains("0 1 0 1 1 *"), "{due:?}");

    // Searched, filtered, and shared as an address.
    person.fills("Search", "job-1");
    person.presses("Search");
    person.is_at("/jobs?q=job-1");
    person.reads_rows("Jobs", "ten are called so", |rows| rows.len() == 10);
    person.presses("Clear");
    person.is_at("/jobs");
    person.fills("Tag", "tenth");
    person.browser.press("Enter");
    person.is_at("/jobs?tag=tenth");
    person.reads_rows("Jobs", "three have it", |rows| rows.len() == 3);
    person.chooses("State", "paused");
    person.is_at("/jobs?tag=tenth&state=paused");
    person.reads("No job is like this.");
    let address = person.address();
    person.presses("Show all");
    person.is_at("/jobs");
    page("all", "job-00", 25);
    person.opens(&address);
    assert_eq!(person.written("Tag"), "tenth");
    person.reads("No job is like this.");
    person.complains_of_nothing(&[]);
}

#[test]
fn many_are_changed_at_once_after_a_question() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let ids: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|name| test.job(NEVER, &format!("/{name}"), &json!({ "name": name })))
        .collect();
    let choose = |names: &[&str]| {
        person.reads_rows("Jobs", "three are there", |rows| rows.len() == 3);
        for name in names {
            let script = "return document.querySelector(`input[aria-label=\"Choose ${arguments[0]}\"]`)";
            person.clicks(&format!("{name} can be chosen"), script, &[json!(name)]);
        }
        person.reads_in(".bulk", &format!("{} jobs chosen", names.len()));
    };
    let members = |name: &str| -> Vec<Value> { ids.iter().map(|id| test.stored(id)[name].clone()).collect() };
    person.opens("/jobs");
    choose(&["one", "three"]);
    person.presses("Pause");
    person.reads("Pause 2 jobs?");
    person.presses("Cancel");
    assert_eq!(members("active"), [json!(true), json!(true), json!(true)]);
    person.presses("Pause");
    person.presses("Pause");
    person.reads("2 paused");
    assert_eq!(members("active"), [json!(false), json!(true), json!(false)]);
    person.reads_rows("Jobs", "two rest", |rows| rows.iter().filter(|row| row.contains("paused")).count() == 2);

    choose(&["one", "three"]);
    person.presses("Resume");
    person.presses("Resume");
    person.reads("2 resumed");
    assert_eq!(members("active"), [json!(true), json!(true), json!(true)]);
    person.reads_rows("Jobs", "none rests", |rows| !rows.iter().any(|row| row.contains("paused")));

    choose(&["one", "two"]);
    person.presses("Run now");
    person.reads("Run 2 jobs?");
    person.presses("Run");
    person.reads("2 started");
    person.reads_rows("Jobs", "two have run", |rows| rows.iter().filter(|row| row.contains("succeeded")).count() == 2);
    assert_eq!((test.receiver.posts_to("/one").len(), test.receiver.posts_to("/three").len()), (1, 0));

    choose(&["two", "three"]);
    person.presses("Delete");
    person.reads("Delete 2 jobs?");
    person.reads("three");
    person.presses("Cancel");
    assert_eq!(members("name"), [json!("one"), json!("two"), json!("three")]);
    person.presses("Delete");
    person.presses("Delete");
    person.reads("2 deleted");
    let left = person.reads_rows("Jobs", "one is left", |rows| rows.len() == 1);
    assert!(left[0].contains("one"), "{left:?}");
    assert_eq!(test.api().get("/api/jobs")["jobs"].as_array().map(Vec::len), Some(1));

    // All on the page.
    person.clicks("all can be chosen", "return document.querySelector('thead input')", &[]);
    person.reads_in(".bulk", "one job chosen");
    person.complains_of_nothing(&[]);
}
