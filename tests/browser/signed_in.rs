//! A browser that is signed in: what its own page may, and that no other page gains by its cookie.
//! It must not repeat what strangers try without one.

use serde_json::{Value, json};

use super::changes::attempt;
use super::{NOT_A_LINE, Setup};

/// Signs in from the server's own page; the answer's scope, and what a script sees of the cookie.
const SIGN_IN: &str = "const answer = await fetch('/api/session', {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token: arguments[0] }),
    });
    return [answer.status, (await answer.json()).scope, document.cookie]";

/// Statuses of reading, creating and administering.
const MAY: &str = "const ask = async (method, path, body) => {
        const headers = body ? { 'Content-Type': 'application/json' } : {};
        return (await fetch(path, { method, headers, body })).status;
    };
    const job = JSON.stringify({ schedule: '@yearly', api: 'http://127.0.0.1:9/own', type: 'ATLEAST_ONCE' });
    return [await ask('GET', '/api/jobs'), await ask('POST', '/api/jobs', job), await ask('GET', '/api/tokens')]";

#[test]
fn the_cookie_of_a_session_serves_its_own_page_and_no_other() {
    let Some(mut test) = Setup::new(&[]) else { return };
    let make = |api: &super::Api, scope: &str| -> String {
        let body = json!({ "name": scope, "scope": scope }).to_string();
        let made = api.send("POST", "/api/tokens", Some(&body));
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["token"].as_str().expect("it is a text").to_owned()
    };
    let admin = make(test.api(), "admin");
    test.api = test.api.with_token(&admin);
    let writer = make(test.api(), "write");
    let own = format!("http://{}/livez", test.api().address);
    test.browser.open(&own);
    assert_eq!(test.browser.run_async(MAY, &[]), json!([401, 401, 401]));
    assert_eq!(test.browser.run_async(SIGN_IN, &[json!("pun_w_wrong")]), json!([401, null, ""]));
    assert_eq!(test.browser.run_async(SIGN_IN, &[json!(writer)]), json!([200, "write", ""]), "no script sees it");
    let cookies = test.browser.cookies();
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Strict")), "{cookie}");
    assert_eq!(test.browser.run_async(MAY, &[]), json!([200, 201, 403]));

    // Another site, and the same one at another port, where the cookie goes along.
    for host in ["evil.example", "127.0.0.1"] {
        test.open(host);
        for attack in test.attacks("CHANGES") {
            let id = test.job();
            let before = test.state();
            attempt(&test, &attack, &test.api().address, &id);
            assert_eq!(test.changed_since(&before), NOT_A_LINE, "{host}, {attack}");
        }
        for attack in test.attacks("READS") {
            let learnt = test.read(&attack, &format!("http://{}/api/jobs", test.api().address));
            assert_eq!(learnt, "nothing", "{host}, {attack}");
        }
    }
    // It still serves its own, until it is over.
    test.browser.open(&own);
    assert_eq!(test.browser.run_async(MAY, &[]), json!([200, 201, 403]));
    let out = "return (await fetch('/api/session', { method: 'DELETE' })).status";
    assert_eq!(test.browser.run_async(out, &[]), json!(204));
    assert_eq!(test.browser.cookies(), Vec::<Value>::new());
    assert_eq!(test.browser.run_async(MAY, &[]), json!([401, 401, 401]));
}
