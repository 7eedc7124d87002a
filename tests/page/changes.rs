//! Changing a job by its form: only what was touched changes, nothing of somebody else is lost, and copies are others.
//! It must not test what the members of a job mean.

use serde_json::{Value, json};

use super::{NEVER, Setup, definition};

/// A job that has something in nearly every field.
fn rich(test: &Setup) -> String {
    let members = json!({
        "name": "rich", "tags": ["a", "007"], "owner": "somebody", "timeZone": "Europe/Berlin", "method": "PUT",
        "headers": { "X-One": "1", "X-Two": "two: three" }, "json": { "n": 1, "deep": { "list": [1, null, "é"] } },
        "secretHeaders": { "X-Key": "hidden" }, "auth": { "basic": { "username": "me", "password": "hidden" } },
        "signingSecret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "timeoutMs": 5000, "success": ["2xx", 304],
        "retry": { "maxAttempts": 3, "initialDelayMs": 250, "multiplier": 1.5, "jitter": 0.25, "on": ["timeout", 503] },
        "misfire": { "policy": "once" }, "overlap": "skip", "concurrencyKey": { "name": "shared", "limit": 2 },
        "autoPauseAfter": 9, "dst": { "gap": "skip" }, "excludeDates": ["2026-12-25"], "maxRuns": 1000,
        "alerts": { "after": 2, "recovery": false, "remindEvery": "4h", "channels": [] },
    });
    test.job("0 0 9 * * MON-FRI", "/rich", &members)
}

/// The members in which two differ.
fn differences(one: &Value, other: &Value) -> Vec<String> {
    let (one, other) = (definition(one.clone()), definition(other.clone()));
    let names = one.as_object().into_iter().chain(other.as_object()).flat_map(|members| members.keys());
    let mut found: Vec<String> = names.filter(|name| one[*name] != other[*name]).cloned().collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn a_form_changes_what_was_touched_and_nothing_else() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let id = rich(&test);
    let (view, edit) = (format!("/jobs/{id}"), format!("/jobs/{id}/edit"));
    let first = test.stored(&id);

    // Saved as it was: nothing is another one.
    person.opens(&edit);
    person.presses("Save");
    person.is_at(&view);
    assert_eq!(test.stored(&id)["updatedAt"], first["updatedAt"]);
    assert_eq!(differences(&first, &test.stored(&id)), [""; 0]);

    // What was touched, also deep inside, and what is emptied.
    person.presses("Edit");
    person.is_at(&edit);
    person.fills("Owner", "me");
    person.fills("Each wait longer by", "2.5");
    person.fills("Not on these dates", "");
    person.chooses("Method", "POST");
    person.presses("Save");
    person.is_at(&view);
    person.reads("It is changed.");
    let second = test.stored(&id);
    assert_eq!(differences(&first, &second), ["excludeDates", "method", "owner", "retry"]);
    let retry =
        json!({ "maxAttempts": 3, "initialDelayMs": 250, "multiplier": 2.5, "jitter": 0.25, "on": ["timeout", 503] });
    assert_eq!((&second["owner"], &second["retry"]), (&json!("me"), &retry));
    assert!(second["excludeDates"].is_null(), "{second}");
    // Its secrets are still there, and nowhere to be read.
    person.reads_under("What it is", "Standard Webhooks");
    assert!(!person.shown().contains("hidden"));
    for tab in ["curl", "YAML", "JSON"] {
        person.presses(tab);
        person.reads_in("[role=tabpanel] pre", "X-Key");
        assert!(!person.shown().contains("hidden"), "{tab}");
    }

    // What somebody else changed meanwhile is not undone.
    person.presses("Edit");
    person.is_at(&edit);
    test.change("PATCH", &format!("/api{view}"), &json!({ "owner": "third" }));
    person.fills("Owner", "fourth");
    person.presses("Save");
    person.reads("The job was changed by somebody else meanwhile.");
    assert_eq!((test.stored(&id)["owner"].clone(), person.address()), (json!("third"), edit.clone()));
    assert_eq!(person.written("Owner"), "fourth", "nothing that was written is lost");
    person.opens(&edit);
    assert_eq!(person.written("Owner"), "third");
    person.complains_of_nothing(&[&view]);
}

#[test]
fn a_copy_is_another_job_with_a_name_and_secrets_of_its_own() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let id = rich(&test);
    person.opens(&format!("/jobs/{id}"));
    person.presses("Copy");
    person.is_at(&format!("/jobs/new?from={id}"));
    assert_eq!((person.written("Name"), person.written("Owner")), (String::new(), "somebody".to_owned()));
    person.fills("Name", "rich");
    person.presses("Secrets");
    person.fills("User", "me");
    person.fills("Password", "other");
    person.fills("Secret headers", "X-Key: other");
    person.fills("Signing secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    person.presses("Create");
    // The name is taken, which the server knows.
    person.reads_in("form [role=alert]", "rich");
    person.fills("Name", "copy");
    person.presses("Create");
    let copy = person.is_at_a_job();
    person.reads("It is created.");
    assert_ne!(copy, id);
    assert_eq!(differences(&test.stored(&id), &test.stored(&copy)), ["name"]);

    // Both are listed; and a plain one has a plain form.
    test.job(NEVER, "/plain", &json!({ "name": "plain" }));
    person.presses("Jobs");
    person.is_at("/jobs");
    person.reads_rows("Jobs", "all three are there", |rows| rows.len() == 3);
    person.complains_of_nothing(&["/api/jobs", "/api/schedules/preview"]);
}
