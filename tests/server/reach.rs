//! Where requests may go (`--targets`), on the real binary: jobs, trials and alerts obey, by address and by name.
//! It must not test which address is of which kind: the tests of the list do.

use serde_json::{Value, json};

use super::support::receiver::{Receiver, Script};
use super::support::server::Server;
use super::support::until;
use super::{Setup, once_at, this_second, with_few_workers};

/// A server whose requests may go only there, and whose alerts go to `hook` of the receiver, which has this host.
fn reaching(targets: &str, host: &str) -> Setup {
    let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start());
    let hook = by(host, &receiver.url("/hook"));
    let flags = ["--retries", "1", "--retry-delay-ms", "20", "--targets", targets, "--alert-webhook", &hook];
    let server = Server::start(&folder.path().join("p.db"), &with_few_workers(&flags));
    Setup { server, receiver, folder }
}

/// The same URL with another host.
fn by(host: &str, url: &str) -> String {
    url.replace("127.0.0.1", host)
}

/// How a job's only execution ended.
fn ended(test: &Setup, url: &str) -> Value {
    let job = test.api().create(&once_at(this_second() + 3), url);
    until("the end of an execution", || {
        test.api().executions(&job).into_iter().find(|execution| execution["status"] != "PENDING")
    })
}

fn tried(test: &Setup, url: &str) -> Value {
    let body = json!({"api": url, "type": "ATLEAST_ONCE"});
    let answer = test.api().send("POST", "/api/try", Some(&body.to_string()));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[test]
fn what_is_not_public_is_refused_to_jobs_trials_and_alerts() {
    let test = reaching("public", "127.0.0.1");
    let why = "the address 127.0.0.1 is refused: --targets public does not allow it";
    let execution = ended(&test, &test.receiver.url("/job"));
    assert_eq!((&execution["status"], &execution["errorMessage"]), (&json!("FAILED"), &json!(why)));
    assert_eq!((&execution["retryCount"], &execution["httpStatus"]), (&json!(1), &Value::Null));
    let tried = tried(&test, &test.receiver.url("/try"));
    assert_eq!((&tried["success"], &tried["errorMessage"]), (&json!(false), &json!(why)));
    let alert = until("the alert is tried", || {
        let alert = test.api().get("/api/alerts")["alerts"][0].clone();
        alert["delivery"]["error"].is_string().then_some(alert)
    });
    assert_eq!(alert["errorMessage"], why);
    assert_eq!(alert["delivery"]["error"], format!("the webhook could not be reached: {why}"));
    assert!(test.receiver.posts().is_empty(), "{:?}", test.receiver.posts());
}

#[test]
fn a_name_is_judged_by_where_it_leads() {
    let test = reaching("public,10.0.0.0/8", "localhost");
    // Those of the last two lead to this machine in notations that only the system knows.
    for host in ["localhost", "LOCALHOST", "[::ffff:127.0.0.1]", "127.1", "0x7f000001"] {
        let tried = tried(&test, &by(host, &test.receiver.url("/try")));
        let why = tried["errorMessage"].as_str().expect("it is refused");
        assert!(why.ends_with(" is refused: --targets public,10.0.0.0/8 does not allow it"), "{host}: {why}");
    }
    let execution = ended(&test, &by("localhost", &test.receiver.url("/job")));
    let why = execution["errorMessage"].as_str().expect("it is refused");
    assert!(why.starts_with("localhost leads nowhere: the address "), "{why}");
    let error = until("the alert is tried", || {
        test.api().get("/api/alerts")["alerts"][0]["delivery"]["error"].as_str().map(str::to_owned)
    });
    assert!(error.starts_with("the webhook could not be reached: localhost leads nowhere: the address "), "{error}");
    assert!(test.receiver.posts().is_empty(), "{:?}", test.receiver.posts());
}

#[test]
fn what_is_nearby_is_reached_and_nothing_else() {
    let test = reaching("lan", "localhost");
    assert_eq!(tried(&test, &by("localhost", &test.receiver.url("/try")))["success"], true);
    test.receiver.script("/down", Script::Status(500));
    assert_eq!(ended(&test, &test.receiver.url("/down"))["httpStatus"], 500);
    until("the webhook is told", || test.receiver.posts_to("/hook").into_iter().next());
    // The second is of the documentation: nobody has it.
    for (url, why) in [
        ("http://8.8.8.8/", "the address 8.8.8.8 is refused: --targets lan does not allow it"),
        ("http://192.0.2.1/", "the address 192.0.2.1 is refused: --targets lan does not allow it"),
        ("http://169.254.169.254/", "the address 169.254.169.254 is refused: a cloud keeps its credentials there"),
    ] {
        assert_eq!(tried(&test, url)["errorMessage"], why);
    }
}

#[test]
fn a_redirect_leads_nowhere() {
    let test = reaching("127.0.0.1", "127.0.0.1");
    test.receiver.script("/moved", Script::Redirect("/elsewhere"));
    let tried = tried(&test, &test.receiver.url("/moved"));
    assert_eq!((&tried["success"], &tried["httpStatus"]), (&json!(false), &json!(302)));
    let execution = ended(&test, &test.receiver.url("/moved"));
    assert_eq!((&execution["status"], &execution["httpStatus"]), (&json!("FAILED"), &json!(302)));
    test.receiver.script("/hook", Script::Redirect("/elsewhere"));
    until("the webhook is told", || test.receiver.posts_to("/hook").into_iter().next());
    assert!(test.receiver.posts_to("/elsewhere").is_empty());
}
