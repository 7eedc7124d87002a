//! Who is told of what goes wrong, as a person decides and sees it: channels, policies, silences, incidents.
//! It must not test when an incident is opened.

use serde_json::{Value, json};

use super::{NEVER, Person, Setup};
use crate::support::receiver::Script;

const SECRET: &str = "whsec_cGxhbnRlZHBsYW50ZWRwbGFudGVkcGxhbnRlZA==";

impl Person {
    /// Presses a button in the first row of a table that says this.
    fn presses_in(&self, caption: &str, row: &str, words: &str) {
        let script = "const row = [...table(arguments[0])?.tBodies[0].rows ?? []].find(one => one.innerText.includes(arguments[1]));
            return [...row?.querySelectorAll('button') ?? []].find(one => wordsOf(one) === arguments[2])";
        let what = format!("{words} in {caption}, {row}");
        self.clicks(&what, script, &[json!(caption), json!(row), json!(words)]);
    }

    fn has_no_question(&self) {
        self.waits("the question is gone", "return document.querySelector('dialog') === null", &[]);
    }
}

#[test]
fn a_channel_is_made_tried_changed_and_deleted() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let stored = || test.api().get("/api/channels/ops");
    person.opens("/alerts");
    person.reads_under("Open incidents", "Nothing is wrong.");
    person.reads_under("Channels", "nobody is told");
    person.marks();
    person.presses("New channel…");
    person.fills("Name", "ops");
    person.chooses("Kind", "webhook");
    person.presses("Go on");
    person.reads("Channel ops");
    // What the API refuses is said beside its field, and what was written stays.
    person.fills("URL", "ftp://127.0.0.1/hook");
    person.fills("Signing secret", SECRET);
    person.presses("Save");
    person.is_told("URL", "http");
    assert_eq!((person.focus(), person.written("Signing secret")), ("URL *".to_owned(), SECRET.to_owned()));
    person.fills("URL", &test.receiver.url("/hook"));
    person.presses("Save");
    person.reads("ops is set.");
    person.has_no_question();
    let told = |rows: &[String]| rows.len() == 1 && rows[0].starts_with("ops webhook, http://127.0.0.1:");
    person.reads_rows("Channels", "it is there", told);
    assert!(!person.shown().contains("/hook"), "the path of such a URL is as good as a secret");
    assert_eq!((&stored()["kind"], &stored()["signingSecret"]), (&json!("webhook"), &json!({ "set": true })));

    person.presses_in("Channels", "ops", "Test");
    person.reads("ops: delivered within");
    assert_eq!(test.receiver.posts_to("/hook").len(), 1);
    test.receiver.script("/hook", Script::Say(500, "<b>no</b>"));
    person.presses_in("Channels", "ops", "Test");
    person.reads("ops: not delivered: ");

    // A secret comes back as that there is one, and stays unless it is taken away.
    person.presses_in("Channels", "ops", "Change…");
    person.reads("Channel ops");
    assert_eq!(person.written("Signing secret"), "(set)");
    person.fills("URL", &test.receiver.url("/other"));
    person.presses("Save");
    person.has_no_question();
    assert_eq!(
        (&stored()["url"], &stored()["signingSecret"]),
        (&json!(test.receiver.url("/other")), &json!({ "set": true }))
    );
    person.presses_in("Channels", "ops", "Change…");
    person.fills("Signing secret", "");
    person.presses("Save");
    person.has_no_question();
    assert_eq!(stored()["signingSecret"], Value::Null);

    // Each kind has fields of its own.
    person.presses("New channel…");
    person.fills("Name", "ops");
    person.presses("Go on");
    person.reads("there is a channel ops already");
    person.fills("Name", "mail");
    person.chooses("Kind", "email");
    person.presses("Go on");
    person.fills("URL", "smtps://127.0.0.1:9");
    person.fills("User", "me");
    person.fills("Password", "hidden");
    person.fills("From", "cron@example.com");
    person.fills("To", "a@example.com, b@example.com");
    person.presses("Save");
    person.has_no_question();
    let mail = test.api().get("/api/channels/mail");
    assert_eq!((&mail["to"], &mail["password"]), (&json!(["a@example.com", "b@example.com"]), &json!({ "set": true })));

    person.presses_in("Channels", "ops", "Delete");
    person.reads("Delete ops?");
    person.presses("Cancel");
    person.presses_in("Channels", "ops", "Delete");
    person.reads("Delete ops?");
    person.presses("Delete");
    person.reads("ops is deleted.");
    person.reads_rows("Channels", "it is gone", |rows| rows.len() == 1 && rows[0].starts_with("mail"));
    assert!(person.is_marked(), "all of this without a load");
    person.complains_of_nothing(&["/api/channels/ops"]);
}

#[test]
fn policies_and_silences_are_steered_and_a_job_shows_what_counts() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let hook = json!({ "kind": "webhook", "url": test.receiver.url("/hook") });
    test.change("PUT", "/api/channels/ops", &hook);
    let id = test.job(NEVER, "/", &json!({ "name": "backup", "tags": ["nightly"] }));
    person.opens("/alerts");
    person.reads_under("Policies", "each failure opens an incident");
    person.presses_in("Policies", "the server", "Change…");
    person.fills("Failures in a row", "0");
    person.presses("Save");
    person.is_told("Failures in a row", "expected");
    person.fills("Failures in a row", "3");
    person.fills("Tell again every", "4h");
    person.chooses("Tell that it is over", "no");
    person.presses("Save");
    person.reads("The policy is set.");
    person.has_no_question();
    person.presses("Policy of a tag…");
    person.fills("Tag", "nightly");
    person.presses("Go on");
    person.reads("Policy of nightly");
    person.fills("No success for", "26h");
    person.fills("Channels", "ops");
    person.presses("Save");
    person.has_no_question();
    let told = test.api().get("/api/policies");
    assert_eq!(told["server"], json!({ "after": 3, "remindEvery": "4h", "recovery": false }));
    assert_eq!(told["tags"], json!([{ "tag": "nightly", "policy": { "noSuccessFor": "1d2h", "channels": ["ops"] } }]));
    // What was changed is what is changed next.
    person.reads_rows("Policies", "both are there", |rows| rows.len() == 2 && rows[1].contains("1d2h"));
    person.presses_in("Policies", "nightly", "Change…");
    assert_eq!(person.written("Channels"), "ops");
    person.fills("Channels", "(none)");
    person.presses("Save");
    person.has_no_question();
    assert_eq!(test.api().get("/api/policies")["tags"][0]["policy"]["channels"], json!([]));
    person.reads_rows("Policies", "nobody is told", |rows| rows.len() == 2 && rows[1].contains("Channels: none"));

    // The job's own.
    person.opens(&format!("/jobs/{id}/edit"));
    person.presses("Alert policy");
    person.fills("Late by", "soon");
    person.presses("Save");
    person.is_told("Late by", "expected");
    person.fills("Late by", "30s");
    person.presses("Save");
    person.is_at(&format!("/jobs/{id}"));
    assert_eq!(test.stored(&id)["alerts"], json!({ "lateBy": "30s" }));
    person.presses("What is told of it");
    let rows = person.reads_rows("What is told", "what counts", |rows| rows.len() > 5);
    for row in [
        "Failures in a row | 3 | the server",
        "Tell that it is over | no | the server",
        "No success for | 1d2h | nightly",
        "Late by | 30s | this job",
        "Channels | none | nightly",
        "Tell that it paused itself | yes | nobody",
    ] {
        assert!(rows.iter().any(|one| one == row), "{row}: {rows:#?}");
    }
    person.reads_under("Alerts", "No incident is open.");

    // Nothing is told for an hour, then it is again.
    person.presses("Silence…");
    person.fills("Why", "<i>a break</i>");
    person.presses("Silence");
    person.reads_under("Alerts", "<i>a break</i>");
    let silences = test.api().get("/api/silences");
    assert_eq!(silences["silences"][0]["jobId"], json!(id));
    person.presses("all alerts");
    person.is_at("/alerts");
    person.presses("New silence…");
    person.chooses("Of", "jobs with the tag");
    person.fills("Which", "nightly");
    person.fills("Why", "another");
    person.presses("Silence");
    person.reads_rows("Silences", "both are there", |rows| rows.len() == 2);
    person.presses("New silence…");
    person.chooses("Of", "the target with the URL");
    person.fills("Which", "nowhere");
    person.fills("Why", "wrong");
    person.presses("Silence");
    person.waits(
        "it is refused",
        "return (document.querySelector('dialog .error')?.textContent ?? '').includes('target')",
        &[],
    );
    person.presses("Cancel");
    person.presses_in("Silences", "tag", "End");
    person.reads_rows("Silences", "one is over", |rows| rows.len() == 1 && rows[0].contains("<i>a break</i>"));
    person.presses_in("Silences", "job", "End");
    person.reads_under("Silences", "Nothing is silenced.");
    person.presses_in("Policies", "nightly", "Remove");
    person.presses("Remove");
    person.reads_rows("Policies", "one is left", |rows| rows.len() == 1);
    assert_eq!(test.api().get("/api/policies")["tags"], json!([]));
    person.complains_of_nothing(&["/api/policies/server", "/api/silences", &format!("/api/jobs/{id}")]);
}

#[test]
fn an_incident_is_seen_known_silenced_and_over_without_a_load() {
    let Some(test) = Setup::new() else { return };
    let person = &test.person;
    let hook = json!({ "kind": "webhook", "url": test.receiver.url("/hook") });
    test.change("PUT", "/api/channels/ops", &hook);
    test.receiver.script("/bad", Script::Say(500, "<b>no</b>"));
    let ids = ["bad", "worse"].map(|name| test.job(NEVER, "/bad", &json!({ "name": name })));
    let run = |id: &str| test.change("POST", &format!("/api/jobs/{id}/run"), &json!({ "wait": true }));

    person.opens("/");
    person.marks();
    ids.iter().for_each(|id| drop(run(id)));
    person.reads_under("Needs attention", "worse: an execution failed");
    let tile = "return [...document.querySelectorAll('a.tile')].find(one => one.textContent === '2open incidents')";
    person.clicks("both are counted", tile, &[]);
    person.is_at("/alerts");
    let both = person.reads_rows("Open incidents", "both are open", |rows| rows.len() == 2);
    assert!(both[0].contains("worse") && both[1].contains("bad"), "the newest first: {both:?}");
    person.reads_rows("Channels", "it is told", |rows| {
        rows[0].matches(" | ").count() >= 3 && !rows[0].contains("– |  | 0")
    });

    person.presses_in("Open incidents", "bad", "Acknowledge…");
    person.fills("Note", "<i>on it</i>");
    person.presses("Acknowledge");
    person.reads("It is acknowledged.");
    person.reads_rows("Open incidents", "somebody knows", |rows| rows.iter().any(|row| row.contains("◉ acknowledged")));
    person.clicks("it leads to what is known", "return [...table('Open incidents').querySelectorAll('tr')].find(row => row.textContent.includes('◉')).querySelector('th a')", &[]);
    person.is_at("/alerts/");
    person.reads_under("What is wrong", "<i>on it</i>");
    person.reads_rows("Messages", "it was told", |rows| {
        rows.len() == 1 && rows[0].contains("ops") && rows[0].contains("✓ delivered")
    });

    // From the job's own page, where it is seen to be over as well.
    person.presses("bad");
    person.is_at(&format!("/jobs/{}", ids[0]));
    person.reads_rows("Open incidents", "it is shown with its job", |rows| rows.len() == 1);
    test.receiver.script("/bad", Script::Status(200));
    run(&ids[0]);
    person.reads_under("Alerts", "No incident is open.");
    person.presses("all alerts");
    person.reads_rows("Incidents that are over", "one is over", |rows| rows.len() == 1 && rows[0].contains("bad"));
    person.reads_rows("Open incidents", "one is left", |rows| rows.len() == 1 && rows[0].contains("worse"));
    person.presses("Silence…");
    person.fills("Why", "known");
    person.presses("Silence");
    person.reads_rows("Open incidents", "it is silenced", |rows| rows[0].contains("‖ silenced"));
    run(&ids[1]);
    person.reads_under("Open incidents", "Nothing is wrong.");
    assert!(person.is_marked(), "all of this without a load");
    person.complains_of_nothing(&[]);
}
