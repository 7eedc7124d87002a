//! The page where the API wants a token: it asks for one, shows no more than that may, and forgets it.
//! It must not test what tokens are good for, which the API decides.

use punctual::time::Instant;
use serde_json::{Value, json};

use super::{NEVER, Setup};
use crate::support::receiver::Script;
use crate::support::wall_us;

/// The buttons and links by which something could be changed, that can be pressed.
const WAYS: &str = "const changes = /^(New job|Run now|Pause|Resume|Backfill|Edit|Copy$|Delete|Replay|New token|Revoke|Try it now|Create$|Save|Acknowledge|Silence…|New silence|New channel|Policy of|Change|End$|Test|Remove)/;
    return all('main button, main a[href], main input[type=checkbox]')
        .filter(one => !one.disabled && (one.type === 'checkbox' || changes.test(wordsOf(one))))
        .map(one => wordsOf(one) || one.type)";

#[test]
fn whoever_may_only_read_sees_everything_and_changes_nothing() {
    let Some(test) = Setup::new() else { return };
    // Of everything that could be changed there is some.
    test.change("PUT", "/api/channels/ops", &json!({ "kind": "webhook", "url": test.receiver.url("/hook") }));
    test.change("PUT", "/api/policies/tags/nightly", &json!({ "after": 3 }));
    let tomorrow = Instant::from_secs(wall_us() / 1_000_000 + 86_400).to_string();
    let silence = json!({ "tag": "nightly", "note": "a break", "endsAt": tomorrow });
    test.change("POST", "/api/silences", &silence);
    test.receiver.script("/secret", Script::Status(500));
    let id = test.job(NEVER, "/secret", &json!({ "name": "shown" }));
    let run = test.change("POST", &format!("/api/jobs/{id}/run"), &json!({ "wait": true }));
    let make = |api: &super::Api, scope: &str| -> (String, String) {
        let made = api.send("POST", "/api/tokens", Some(&json!({ "name": scope, "scope": scope }).to_string()));
        assert_eq!(made.status, 201, "{}", made.text);
        let member = |name: &str| made.json()[name].as_str().expect("it is a text").to_owned();
        (member("token"), member("tokenId"))
    };
    let (admin, _) = make(test.api(), "admin");
    let api = test.api().with_token(&admin);
    let (reader, _) = make(&api, "read");
    let (writer, writer_id) = make(&api, "write");
    let person = &test.person;

    person.opens("/jobs");
    person.reads("It begins with pun_r_");
    assert!(!person.shown().contains("shown"));
    person.fills("Token", "pun_r_wrong");
    person.presses("Sign in");
    person.reads("This token does not count: it is unknown, revoked or expired.");
    assert_eq!(person.focus(), "Token");
    person.fills("Token", &reader);
    person.browser.press("Enter");
    person.is_at("/jobs");
    person.reads_rows("Jobs", "it is shown", |rows| rows.len() == 1);
    let execution = run["executionId"].as_str().expect("it is a text");
    let addresses = [
        "/".to_owned(),
        "/jobs".to_owned(),
        format!("/jobs/{id}"),
        format!("/jobs/{id}/edit"),
        "/jobs/new".to_owned(),
        "/executions".to_owned(),
        format!("/executions/{execution}"),
        "/timeline".to_owned(),
        "/alerts".to_owned(),
        "/alerts/log".to_owned(),
        "/system".to_owned(),
    ];
    let ways = || -> Vec<Value> { person.run(WAYS, &[]).as_array().expect("it is a list").clone() };
    for address in &addresses {
        person.opens(address);
        assert_eq!(ways(), Vec::<Value>::new(), "{address}");
    }
    person.reads("Tokens and the audit log need the scope admin.");
    person.presses("Sign out");
    person.reads("It begins with pun_r_");
    person.opens(&format!("/jobs/{id}"));
    person.reads("It begins with pun_r_");

    // One that may change, until it is revoked.
    person.fills("Token", &writer);
    person.presses("Sign in");
    person.is_at(&format!("/jobs/{id}"));
    person.reads_in(".head", "shown");
    assert!(ways().len() > 4, "{:?}", ways());
    // Of alerts he steers what is told, but not where to.
    person.opens("/alerts");
    let steered =
        ["Acknowledge…", "Silence…", "End", "New silence…", "Change…", "Change…", "Remove", "Policy of a tag…"];
    assert_eq!(ways(), steered.map(Value::from));
    person.opens(&format!("/jobs/{id}"));
    person.reads_in(".head", "shown");
    person.presses("Run now");
    person.reads("Its run has begun:");
    assert_eq!(api.send("DELETE", &format!("/api/tokens/{writer_id}"), None).status, 204);
    person.reads("It begins with pun_r_");
    assert!(!person.shown().contains("Run now"));

    // One that may everything makes the next one, by the page.
    person.fills("Token", &admin);
    person.presses("Sign in");
    person.reads_in(".head", "shown");
    person.presses("System");
    person.reads_under("Audit log", "revokeToken");
    person.presses("New token…");
    person.fills("Name", "by page");
    person.chooses("Scope", "write");
    person.presses("Make it");
    person.reads("The token, shown this once");
    person.reads("pun_w_");
    person.presses("I have it");
    person.reads_rows("Tokens", "it is there", |rows| rows.iter().any(|row| row.starts_with("by page | write")));
    let of_row = "return table('Tokens').querySelectorAll('tr').values().find(row => row.textContent.startsWith('by page')).querySelector('button')";
    person.clicks("it can be revoked", of_row, &[]);
    person.reads("Revoke by page?");
    person.presses("Revoke");
    person.reads("by page is revoked.");
    person.reads_rows("Tokens", "it counts no more", |rows| {
        rows.iter().any(|row| row.starts_with("by page | write | – revoked"))
    });
    person.complains_of_nothing(&["/api/session", "/api/jobs", "/api/events", "/api/"]);
}
