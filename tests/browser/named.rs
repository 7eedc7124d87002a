//! Pages that may: the server's own, those of `--cors-origin`, and what `*` opens to all.
//! It must not repeat what strangers try: only that they gain nothing by others' rights.

use serde_json::{Value, json};

use super::Setup;
use super::site::Site;
use super::support::browser::Browser;

/// Statuses of reading, creating, patching and deleting, and of events; null where the browser does not say.
const ALL: &str = "const [server, id] = arguments;
    const ask = async (method, path, body, type = 'application/json') => {
        const headers = body ? { 'Content-Type': type } : {};
        try { return (await fetch(server + path, { method, headers, body })).status } catch { return null }
    };
    const job = JSON.stringify({ schedule: '@yearly', api: 'http://127.0.0.1:9/made', type: 'ATLEAST_ONCE' });
    const hears = new Promise(resolve => {
        const events = new EventSource(server + '/api/events');
        events.onopen = () => { events.close(); resolve(true) };
        events.onerror = () => { events.close(); resolve(null) };
    });
    return [
        await ask('GET', '/api/jobs'),
        await ask('POST', '/api/jobs', job, 'text/plain'),
        await ask('POST', '/api/jobs', job),
        await ask('PATCH', '/api/jobs/' + id, '{\"owner\":\"somebody\"}', 'application/merge-patch+json'),
        await ask('DELETE', '/api/jobs/' + id),
        await hears,
    ]";

/// What the page that is open can do to the server.
fn may(test: &Setup) -> Value {
    let server = format!("http://{}", test.api().address);
    test.browser.run_async(ALL, &[json!(server), json!(test.job())])
}

#[test]
fn the_page_that_is_named_may_and_others_may_not() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::hostile();
    let named = format!("http://ui.example:{}", site.port);
    let test = Setup::with(browser, site, &["--cors-origin", &named]);
    test.open("ui.example");
    assert_eq!(may(&test), json!([200, 415, 201, 200, 204, true]));

    let before = test.state();
    for other in ["evil.example", "other.ui.example", "127.0.0.1"] {
        test.open(other);
        assert_eq!(may(&test), json!([null, null, null, null, null, null]), "{other}");
    }
    assert_eq!(test.changed_since(&before).len(), 3, "what the test itself made");
}

#[test]
fn any_page_may_read_and_no_more_where_all_are_named() {
    let Some(test) = Setup::new(&["--cors-origin", "*"]) else { return };
    test.open("evil.example");
    // Of a refusal it sees which one it is. Other methods are not even sent.
    assert_eq!(may(&test), json!([200, 403, 403, null, null, true]));
    let state = test.state();
    assert!(
        state.len() == 1 && !state.iter().any(|line| line.contains("made")),
        "what the test itself made: {state:?}"
    );
}

#[test]
fn its_own_page_may() {
    let Some(test) = Setup::new(&[]) else { return };
    let address = test.api().address.clone();
    let localhost = address.replace("127.0.0.1", "localhost");
    for own in [&address, &localhost, &localhost.replace("localhost", "punctual.localhost")] {
        test.browser.open(&format!("http://{own}/api/info"));
        let done = test.browser.run_async(ALL, &[json!(""), json!(test.job())]);
        assert_eq!(done, json!([200, 415, 201, 200, 204, true]), "{own}");
    }
}
