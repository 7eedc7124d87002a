//! What foreign pages send that would change something: by scripts, by forms, by beacons, from sites near and far.
//! It must not ask what a page sees of it: whether something has changed is for the server to say.

use serde_json::{Value, json};

use super::site::Site;
use super::support::asked::Asked;
use super::support::until;
use super::{NOT_A_LINE, Setup};

/// What pages send without asking first, of the table in the page; these reach the server and are refused there.
const UNASKED_AT_LEAST: u64 = 15;

#[test]
fn a_page_of_another_site_changes_nothing() {
    changes_nothing("evil.example");
}

#[test]
fn a_page_of_another_port_of_this_machine_changes_nothing() {
    // The same site to a browser, with other rules for what it sends along.
    changes_nothing("127.0.0.1");
}

fn changes_nothing(host: &str) {
    let Some(test) = Setup::new(&[]) else { return };
    let unguarded = Site::unguarded();
    test.open(host);
    let attacks = test.attacks("CHANGES");
    assert!(attacks.len() > 20, "{attacks:?}");
    let mut meant = 0;
    for attack in &attacks {
        let id = test.job();
        let before = test.state();
        attempt(&test, attack, &test.api().address, &id);
        assert_eq!(test.changed_since(&before), NOT_A_LINE, "{host}, {attack}");

        // The same page on a server that asks nobody where he comes from.
        attempt(&test, attack, &unguarded.address(), &id);
        let came = unguarded.take_changes();
        let [asked] = &came[..] else { panic!("{host}, {attack}: expected one change, got {came:?}") };
        // And what came there would be a change here, but for where it came from.
        if asked.body.is_empty() || serde_json::from_str::<Value>(&asked.body).is_ok() {
            meant += usize::from(replay(&test, attack, asked));
        }
    }
    assert!(meant > 20, "{meant} of {attacks:?} would have changed something");
    let strangers = test.strangers();
    assert!(strangers >= UNASKED_AT_LEAST, "only {strangers} came to be refused");
}

/// Has the page do it, to the end.
pub(super) fn attempt(test: &Setup, attack: &str, address: &str, id: &str) {
    let server = format!("http://{address}");
    test.browser.run_async("await change(...arguments)", &[json!(attack), json!(server), json!(id)]);
}

/// Sends it as one who is no browser; whether it did something.
fn replay(test: &Setup, attack: &str, asked: &Asked) -> bool {
    // An empty form is of a type all the same, and there is no method in a query.
    if asked.target.contains("_method") {
        return false;
    }
    let before = test.state();
    let body = Some(&*asked.body).filter(|body| !body.is_empty() || asked.method != "DELETE");
    let answer = test.api().send(&asked.method, &asked.target, body);
    assert!((200..300).contains(&answer.status), "{attack}: {asked:?} is no attack: {answer:?}");
    assert_ne!(test.changed_since(&before), NOT_A_LINE, "{attack}: {asked:?}");
    true
}

#[test]
fn a_form_that_a_person_sends_changes_nothing() {
    let Some(test) = Setup::new(&[]) else { return };
    test.job();
    let unguarded = Site::unguarded();
    let before = test.state();
    for (address, strangers) in [(test.api().address.clone(), 1), (unguarded.address(), 1)] {
        test.open("evil.example");
        let script = "document.body.innerHTML = `<form method=post enctype=text/plain action='${arguments[0]}'>
            <input type=hidden name='${Object.keys(AS_TEXT)[0]}'><button>Win a prize</button></form>`;
            document.querySelector('input').value = Object.values(AS_TEXT)[0]";
        test.browser.run(script, &[json!(format!("http://{address}/api/jobs"))]);
        test.browser.click(&test.browser.find("button"));
        // The answer stands where the page was.
        until("the form was sent", || test.browser.url().contains("/api/jobs").then_some(()));
        assert_eq!(test.strangers(), strangers);
        assert_eq!(test.changed_since(&before), NOT_A_LINE);
    }
    let came = unguarded.take_changes();
    let [asked] = &came[..] else { panic!("expected one form, got {came:?}") };
    assert!(replay(&test, "a button", asked));
}
