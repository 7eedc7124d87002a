//! Owns tests of channels on the real binary: whether something arrived, or why not.
//! It must not test how each kind looks on the wire.

use serde_json::{Value, json};

use super::Setup;
use super::channels::set;
use super::support::receiver::Script;
use super::support::until;

fn tested(test: &Setup, name: &str) -> Value {
    let answer = test.api().send("POST", &format!("/api/channels/{name}/test"), None);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[test]
fn a_test_says_whether_it_arrived_or_why_not() {
    let test = Setup::new(&[]);
    test.receiver.script("/refuses", Script::Status(410));
    test.receiver.script("/vanishes", Script::Vanish);
    for (name, path) in [("works", "/works"), ("refuses", "/refuses"), ("vanishes", "/vanishes")] {
        set(&test, name, &test.receiver.url(path));
    }
    let found = tested(&test, "works");
    assert!(found["delivered"] == true && found["durationMs"].as_f64().is_some_and(|took| took > 0.0), "{found}");
    assert_eq!(test.receiver.posts_to("/works").len(), 1);
    let found = tested(&test, "refuses");
    assert!(found["delivered"] == false && found["error"].as_str().is_some_and(|why| why.contains("410")), "{found}");
    assert_eq!(test.receiver.posts_to("/refuses").len(), 1, "it is tried once");
    let found = tested(&test, "vanishes");
    assert!(found["delivered"] == false && found["error"].is_string(), "{found}");
    let row = until("it is written down", || {
        let rows = test.api().get("/api/audit?subject=works")["audit"].clone();
        (rows[0]["operation"] == "testChannel").then(|| rows[0].clone())
    });
    assert_eq!(row["status"], 200, "{row}");
    assert_eq!(test.api().get("/api/incidents"), json!({ "incidents": [], "nextCursor": null }), "it is no incident");
}

#[test]
fn so_many_tests_at_once_and_no_more() {
    let test = Setup::new(&[]);
    test.receiver.script("/slow", Script::SlowMs(1_500));
    set(&test, "slow", &test.receiver.url("/slow"));
    let most = punctual::limits::CHANNEL_TESTS_MAX;
    std::thread::scope(|scope| {
        let ask = || test.api().send("POST", "/api/channels/slow/test", None).status;
        let tests: Vec<_> = (0..most + 2).map(|_| scope.spawn(ask)).collect();
        let mut statuses: Vec<u16> = tests.into_iter().map(|test| test.join().expect("it is answered")).collect();
        statuses.sort_unstable();
        assert_eq!((statuses[..most].to_vec(), statuses[most..].to_vec()), (vec![200; most], vec![429; 2]));
    });
    assert_eq!(tested(&test, "slow")["delivered"], true, "there is room again");
}
