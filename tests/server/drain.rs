//! Stops: what is in flight finishes, what does not is sent again, and nothing new is taken up.
//! It must not crash the server: that is another test's.

use serde_json::json;

use super::support::api::{Answer, job};
use super::support::receiver::{Post, Script};
use super::support::server::Server;
use super::support::until;
use super::{Setup, error_of, once_at, this_second, with_few_workers};

/// One POST is in flight, and its receiver takes its time.
fn with_one_in_flight(flags: &[&str], script: Script) -> (Setup, String, Post) {
    let test = Setup::new(flags);
    test.receiver.script("/slow", script);
    let id = test.api().create(&once_at(this_second() + 3), &test.receiver.url("/slow"));
    let post = until("a POST", || test.receiver.posts_to("/slow").pop());
    (test, id, post)
}

/// Health, once it is no longer well.
fn draining(test: &Setup) -> Answer {
    until("health says that it stops", || {
        Some(test.api().send("GET", "/api/health", None)).filter(|health| health.status == 503)
    })
}

#[test]
fn a_stop_lets_what_is_in_flight_finish_and_takes_no_changes() {
    let (test, id, post) = with_one_in_flight(&[], Script::SlowMs(1_500));
    test.server.signal("TERM");
    let health = draining(&test).json();
    assert_eq!((&health["status"], &health["reason"]), (&json!("unhealthy"), &json!("the server is stopping")));
    let body = job("@daily", "http://a/").to_string();
    let path = format!("/api/jobs/{id}");
    for (method, path, body) in
        [("POST", "/api/jobs", Some(body.as_str())), ("PUT", &path, Some(&body)), ("DELETE", &path, None)]
    {
        let answer = test.api().send(method, path, body);
        assert_eq!(answer.status, 503, "{method}: {}", answer.text);
        assert!(error_of(&answer.json()).contains("stopping") && answer.header("retry-after") == "1", "{answer:?}");
    }
    assert_eq!(test.api().get(&path)["jobId"], json!(id));
    assert_eq!(test.api().get(&format!("{path}/executions"))["executions"][0]["status"], "PENDING");
    assert_eq!(test.api().get("/api/metrics")["scheduler"]["isRunning"], false);

    let db = test.db();
    let Setup { server, receiver, folder } = test;
    let status = server.wait();
    assert_eq!(status.code(), Some(0));
    let again = Server::start(&db, &with_few_workers(&[]));
    let executions = again.api.executions(&id);
    assert_eq!(executions.len(), 1, "{executions:?}");
    assert_eq!((&executions[0]["status"], &executions[0]["executionId"]), (&json!("SUCCESS"), &json!(post.key)));
    assert_eq!(receiver.posts_to("/slow").len(), 1, "it is not sent again");
    drop(folder);
}

#[test]
fn a_second_signal_stops_at_once() {
    let (test, _, _) = with_one_in_flight(&["--drain-ms", "60000"], Script::Hang);
    test.server.signal("TERM");
    draining(&test);
    test.server.signal("INT");
    assert_eq!(test.server.wait().code(), Some(1));
}

#[test]
fn what_a_stop_did_not_wait_for_is_sent_again_as_the_same_execution() {
    let (test, id, post) = with_one_in_flight(&["--drain-ms", "200"], Script::Hang);
    assert!(!post.late && post.attempt == 1, "{post:?}");
    let db = test.db();
    let Setup { server, receiver, folder } = test;
    server.stop();
    receiver.script("/slow", Script::Status(200));
    let again = Server::start(&db, &with_few_workers(&[]));
    let success = until("it succeeds", || {
        again.api.executions(&id).into_iter().find(|execution| execution["status"] == "SUCCESS")
    });
    assert_eq!((&success["executionId"], &success["late"]), (&json!(post.key), &json!("recovered")));
    let posts = receiver.posts_to("/slow");
    assert_eq!(posts.len(), 2, "{posts:?}");
    assert!(posts[1].key == post.key && posts[1].late && posts[1].second == post.second, "{:?}", posts[1]);
    assert_eq!(again.api.executions(&id).len(), 1);
    drop(folder);
}

#[test]
fn a_server_with_nothing_to_do_stops_at_either_signal() {
    for signal in ["TERM", "INT"] {
        let test = Setup::new(&[]);
        test.api().create("@daily", "http://a/");
        test.server.signal(signal);
        assert_eq!(test.server.wait().code(), Some(0), "{signal}");
    }
}
