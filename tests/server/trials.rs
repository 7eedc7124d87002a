//! Owns trials on the real binary: what is not saved is sent once, and all that came back is said.
//! It must not test how requests are made: the tests of sending do.

use serde_json::{Value, json};

use super::support::receiver::Script;
use super::{Setup, error_of};

fn attempt(test: &Setup, body: &Value) -> (u16, Value) {
    let answer = test.api().send("POST", "/api/try", Some(&body.to_string()));
    (answer.status, answer.json())
}

#[test]
fn a_job_is_tried_out_without_being_saved() {
    let test = Setup::new(&[]);
    test.receiver.script("/say", Script::Say(418, "short and stout"));
    let body = json!({"api": test.receiver.url("/ok"), "type": "ATLEAST_ONCE", "json": {"n": "{{attempt}}"}, "headers": {"X-A": "b"}});
    let (status, tried) = attempt(&test, &body);
    assert_eq!((status, &tried["success"], &tried["httpStatus"]), (200, &json!(true), &json!(200)), "{tried}");
    assert_eq!(tried["method"], "POST");
    let names: Vec<&str> =
        tried["headers"].as_array().expect("a list").iter().filter_map(|header| header["name"].as_str()).collect();
    assert!(names.contains(&"content-length"), "{tried}");
    let post = &test.receiver.posts_to("/ok")[0];
    assert_eq!((post.body.as_str(), post.headers["x-a"].as_str()), (r#"{"n":"1"}"#, "b"));

    let (_, tried) = attempt(&test, &json!({"api": test.receiver.url("/say"), "type": "ATMOST_ONCE", "method": "PUT"}));
    assert_eq!(
        (&tried["success"], &tried["httpStatus"], &tried["body"]),
        (&json!(false), &json!(418), &json!("short and stout"))
    );
    assert_eq!(tried["errorMessage"], "the target answered 418");
    assert_eq!(test.receiver.posts_to("/say").len(), 1, "once");
    let (_, tried) = attempt(&test, &json!({"api": "http://127.0.0.1:1/", "type": "ATLEAST_ONCE"}));
    assert_eq!((&tried["success"], &tried["httpStatus"]), (&json!(false), &Value::Null));
    assert!(tried["errorMessage"].as_str().is_some_and(|why| why.contains("connection refused")), "{tried}");
    // What must not be reached is not reached this way either.
    let (_, tried) = attempt(&test, &json!({"api": "http://169.254.169.254/", "type": "ATLEAST_ONCE"}));
    assert!(tried["success"] == false && tried["httpStatus"].is_null(), "{tried}");
    assert!(test.api().get("/api/jobs")["jobs"].as_array().expect("a list").is_empty());
    assert!(test.api().get("/api/executions")["executions"].as_array().expect("a list").is_empty());
    for (body, why) in [
        (json!({"api": "x", "type": "ATLEAST_ONCE"}), "api: expected"),
        (json!({"api": "http://a/", "type": "ATLEAST_ONCE", "timeoutMs": 60_001}), "timeoutMs: expected at most 60000"),
        (json!({"api": "http://a/"}), "body: missing field `type`"),
    ] {
        let (status, problem) = attempt(&test, &body);
        assert_eq!(status, 400);
        assert!(error_of(&problem).starts_with(why), "{problem}");
    }
}

#[test]
fn so_many_trials_at_once_and_no_more() {
    let test = Setup::new(&[]);
    test.receiver.script("/slow", Script::SlowMs(1_500));
    let body = json!({"api": test.receiver.url("/slow"), "type": "ATLEAST_ONCE"});
    std::thread::scope(|scope| {
        let tries: Vec<_> = (0..20).map(|_| scope.spawn(|| attempt(&test, &body).0)).collect();
        let mut statuses: Vec<u16> = tries.into_iter().map(|tried| tried.join().expect("it is answered")).collect();
        statuses.sort_unstable();
        assert_eq!((statuses[..16].to_vec(), statuses[16..].to_vec()), (vec![200; 16], vec![429; 4]));
    });
    assert_eq!(attempt(&test, &body).0, 200, "there is room again");
}
