//! What becomes of a POST that fails: retries, the failure, the alert, its delivery.
//! It must not test what succeeds at once.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::support::api::Api;
use super::support::receiver::{Receiver, Script};
use super::support::server::Server;
use super::support::until;
use super::{Setup, is_time, members, once_at, this_second, with_few_workers};

/// The only execution of a job, once it has this status.
fn execution(test: &Setup, job: &str, status: &str) -> Value {
    until(status, || test.api().executions(job).into_iter().find(|execution| execution["status"] == status))
}

/// The address of a port on which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    format!("http://{}/gone", listener.local_addr().expect("it is bound"))
}

#[test]
fn a_receiver_that_fails_three_times_gets_a_fourth_attempt() {
    let test = Setup::new(&["--retry-delay-ms", "100"]);
    test.receiver.script("/a", Script::FailTimes(3));
    let job = test.api().create(&once_at(this_second() + 3), &test.receiver.url("/a"));
    let execution = execution(&test, &job, "SUCCESS");
    assert_eq!((&execution["retryCount"], &execution["httpStatus"]), (&json!(3), &json!(200)));
    assert_eq!(execution["errorMessage"], Value::Null);
    let posts = test.receiver.posts_to("/a");
    assert!(posts.iter().all(|post| json!(post.key) == execution["executionId"] && !post.late), "{posts:?}");
    assert_eq!(posts.iter().map(|post| post.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    // 100, 200 and 400 ms, each within 10 %; a slow machine can only add to that.
    let waits: Vec<i64> = posts.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).collect();
    assert!(waits.iter().zip([90_000, 180_000, 360_000]).all(|(&wait, least)| wait >= least), "{waits:?}");
    assert_eq!(test.api().get("/api/alerts")["alerts"], json!([]), "nothing failed in the end");
    assert_eq!(test.api().get(&format!("/api/jobs/{job}"))["stats"]["success"], 1);
}

#[test]
fn a_receiver_that_is_down_is_a_failure_that_is_told() {
    // The webhook fails twice, too.
    let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start());
    receiver.script("/hook", Script::FailFirst(2));
    let hook = receiver.url("/hook");
    let flags = ["--retries", "1", "--retry-delay-ms", "50", "--alert-webhook", &hook];
    let server = Server::start(&folder.path().join("p.db"), &with_few_workers(&flags));
    let test = Setup { server, receiver, folder };
    let (schedule, url) = (once_at(this_second() + 3), nobody());
    let job = test.api().create(&schedule, &url);

    let execution = execution(&test, &job, "FAILED");
    assert_eq!((&execution["retryCount"], &execution["httpStatus"]), (&json!(1), &Value::Null));
    let why = execution["errorMessage"].as_str().expect("it says why");
    assert!(!why.is_empty() && !why.contains('\n'), "{why}");
    let alert = until("the alert is delivered", || {
        let alert = test.api().get("/api/alerts")["alerts"][0].clone();
        (alert["delivery"]["status"] == "DELIVERED").then_some(alert)
    });
    let expected = ["alertId", "api", "delivery", "errorMessage", "executionId", "jobId", "schedule", "timestamp"];
    assert_eq!(members(&alert), [&expected[..], &["type"]].concat());
    assert_eq!(members(&alert["delivery"]), ["attempts", "deliveredAt", "error", "status"]);
    assert_eq!(alert["delivery"]["attempts"], 3);
    assert!(is_time(&alert["delivery"]["deliveredAt"]) && is_time(&alert["timestamp"]), "{alert}");

    let told = test.receiver.posts_to("/hook");
    assert_eq!(told.iter().map(|post| post.status).collect::<Vec<_>>(), [Some(500), Some(500), Some(200)]);
    assert!(told.iter().all(|post| post.body == told[0].body), "the same each time");
    let payload: Value = serde_json::from_str(&told[0].body).expect("it is JSON");
    assert_eq!(members(&payload), ["api", "errorMessage", "executionId", "jobId", "schedule", "timestamp", "type"]);
    assert_eq!(payload["type"], "JOB_FAILURE");
    assert_eq!(
        (&payload["jobId"], &payload["api"], &payload["schedule"]),
        (&json!(job), &json!(url), &json!(schedule))
    );
    assert_eq!((&payload["executionId"], &payload["errorMessage"]), (&execution["executionId"], &json!(why)));
    for member in members(&payload) {
        assert_eq!(payload[member], alert[member], "{member}");
    }
    let job = test.api().get(&format!("/api/jobs/{job}"));
    assert_eq!((&job["stats"]["failed"], &job["lastOutcome"]["status"]), (&json!(1), &json!("FAILED")));
}

/// A webhook behind a certificate of its own, by its URL, its certificate in PEM format, and what it is told.
fn secure_webhook() -> (String, String, mpsc::Receiver<String>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key))
        .expect("the certificate and its key fit");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("https://localhost:{}/hook", listener.local_addr().expect("it is bound").port());
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let session = ServerConnection::new(Arc::clone(&config)).expect("the configuration is whole");
            let mut stream = StreamOwned::new(session, socket);
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\"}") && matches!(stream.read(&mut byte), Ok(1)) {
                request.push(byte[0]);
            }
            let answered = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            // One that does not trust the certificate has nothing to tell.
            if answered.is_ok() && !request.is_empty() {
                told.send(String::from_utf8(request).expect("it is text")).unwrap_or_default();
            }
        }
    });
    (url, made.cert.pem(), heard)
}

/// The newest alert, once its delivery is as wanted.
fn alert(api: &Api, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, || Some(api.get("/api/alerts")["alerts"][0].clone()).filter(|alert| wanted(&alert["delivery"])))
}

fn was_tried(delivery: &Value) -> bool {
    delivery["attempts"].as_u64() > Some(0)
}

#[test]
fn a_webhook_is_trusted_like_a_target_and_an_alert_is_delivered_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hook, pem, heard) = secure_webhook();
    let (db, ca_file) = (folder.path().join("p.db"), folder.path().join("ca.pem"));
    std::fs::write(&ca_file, pem).expect("it can be written");
    let flags = with_few_workers(&["--retries", "0", "--alert-webhook", &hook]);

    // This machine does not vouch for the webhook.
    let server = Server::start(&db, &flags);
    let job = server.api.create(&once_at(this_second() + 3), &nobody());
    let refused = alert(&server.api, "the alert is refused", was_tried);
    assert_eq!(refused["delivery"]["status"], "PENDING");
    let why = refused["delivery"]["error"].as_str().expect("it says why");
    assert!(why.starts_with("the webhook could not be reached: TLS: invalid peer certificate"), "{why}");
    server.stop();
    assert!(heard.try_recv().is_err(), "nobody was told");

    let ca_file = ca_file.to_str().expect("it is text");
    let server = Server::start(&db, &[&flags[..], &["--ca-file", ca_file]].concat());
    alert(&server.api, "the alert is delivered", |delivery| delivery["status"] == "DELIVERED");
    let request = heard.recv().expect("the webhook lives");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
    let expected = format!(
        "POST /hook HTTP/1.1\r\nhost: {}\r\nuser-agent: Punctual/{}\r\ncontent-type: application/json\r\n\
         content-length: {}",
        &hook["https://".len()..hook.len() - "/hook".len()],
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    assert_eq!(head, expected);
    let body: Value = serde_json::from_str(body).expect("it is JSON");
    assert_eq!((&body["type"], &body["jobId"]), (&json!("JOB_FAILURE"), &json!(job)));
}

#[test]
fn a_webhook_that_hangs_delays_no_job_and_is_tried_again() {
    let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start());
    receiver.script("/hook", Script::Hang);
    receiver.script("/fails", Script::Status(404));
    let hook = receiver.url("/hook");
    // Even where one POST may be in flight.
    let flags = ["--max-in-flight", "1", "--retries", "0", "--alert-webhook", &hook];
    let server = Server::start(&folder.path().join("p.db"), &flags);
    let test = Setup { server, receiver, folder };
    test.api().create("* * * * * *", &test.receiver.url("/well"));
    test.api().create(&once_at(this_second() + 3), &test.receiver.url("/fails"));

    let refused = alert(test.api(), "the first delivery fails", was_tried);
    assert_eq!(refused["delivery"]["status"], "PENDING");
    assert_eq!(refused["delivery"]["error"], "the webhook could not be reached: no whole answer within 5000 ms");
    test.receiver.script("/hook", Script::Status(200));
    alert(test.api(), "the alert is delivered", |delivery| delivery["status"] == "DELIVERED");
    let told = test.receiver.posts_to("/hook");
    let (last, before) = told.split_last().expect("it was told");
    assert!(last.status == Some(200) && !before.is_empty() && before.iter().all(|post| post.status.is_none()));
    assert!(told[1].at_us - told[0].at_us >= 5_900_000, "the time limit, and the wait after it");

    let meanwhile: Vec<_> = test.receiver.posts_to("/well");
    let meanwhile = meanwhile.iter().filter(|post| (told[0].at_us..told[1].at_us).contains(&post.at_us));
    let seconds: Vec<i64> = meanwhile.clone().map(|post| post.second).collect();
    assert!(seconds.len() >= 5 && seconds.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seconds:?}");
    let latest = meanwhile.map(|post| post.at_us - post.second * 1_000_000).max();
    assert!(latest < Some(1_000_000), "{latest:?}");
}

#[test]
fn without_a_webhook_alerts_are_listed_newest_first() {
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::Status(404));
    let job = test.api().create("* * * * * *", &test.receiver.url("/a"));
    until("three alerts", || (test.api().pages("/api/alerts?limit=2", "alerts").len() >= 3).then_some(()));
    assert_eq!(test.api().send("DELETE", &format!("/api/jobs/{job}"), None).status, 204);
    let settled = until("all are logged", || {
        let alerts = test.api().pages("/api/alerts?limit=2", "alerts");
        alerts.iter().all(|alert| alert["delivery"]["status"] == "LOGGED").then_some(alerts)
    });
    let numbers: Vec<u64> = settled
        .iter()
        .map(|alert| alert["alertId"].as_str().and_then(|id| id.parse().ok()).expect("a number"))
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] > pair[1]), "{numbers:?}");
    assert!(settled.iter().all(|alert| alert["delivery"]["attempts"] == 0), "{settled:?}");
}

#[test]
fn an_address_that_is_never_posted_to_is_a_failure_that_says_which_and_why() {
    let test = Setup::new(&["--retries", "0"]);
    let here = test.receiver.url("/a").replace("127.0.0.1", "0.0.0.0");
    let at = once_at(this_second() + 3);
    let jobs = [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("http://2852039166/", "169.254.169.254"),
        (&here, "0.0.0.0"),
    ]
    .map(|(url, address)| (test.api().create(&at, url), address));
    for (job, address) in jobs {
        let refused = execution(&test, &job, "FAILED");
        let why = refused["errorMessage"].as_str().expect("it says why");
        assert!(why.contains(&format!("the address {address} is refused: ")), "{why}");
        assert_eq!(refused["httpStatus"], Value::Null);
    }
    assert_eq!(test.receiver.posts_to("/a").len(), 0);
}

#[test]
fn an_answer_whose_body_never_ends_is_a_success_and_is_sent_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            told.send(()).unwrap_or_default();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let begun = socket.read(&mut request).and_then(|_| {
                    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
                });
                // The last chunk never comes.
                while begun.is_ok() && matches!(socket.read(&mut request), Ok(len) if len > 0) {}
            });
        }
    });
    let test = Setup::new(&["--retries", "2", "--retry-delay-ms", "50", "--timeout-ms", "3000"]);
    let job = test.api().create(&once_at(this_second() + 3), &url);
    let answered = execution(&test, &job, "SUCCESS");
    assert_eq!((&answered["httpStatus"], &answered["retryCount"]), (&json!(200), &json!(0)));
    assert!(answered["duration"].as_f64().is_some_and(|ms| ms < 1_000.0), "{answered}");
    assert_eq!(heard.try_iter().count(), 1);
}

#[test]
fn a_redirect_and_a_timeout_are_failures() {
    let test = Setup::new(&["--retries", "0", "--timeout-ms", "300"]);
    test.receiver.script("/moved", Script::Status(302));
    test.receiver.script("/hang", Script::Hang);
    let at = this_second() + 3;
    let moved = test.api().create(&once_at(at), &test.receiver.url("/moved"));
    let hanging = test.api().create(&once_at(at), &test.receiver.url("/hang"));
    assert_eq!(execution(&test, &moved, "FAILED")["httpStatus"], 302);
    let timed_out = execution(&test, &hanging, "FAILED");
    assert_eq!(timed_out["httpStatus"], Value::Null);
    assert!(timed_out["duration"].as_f64().is_some_and(|ms| ms >= 290.0), "{timed_out}");
    assert_eq!(test.receiver.posts_to("/moved").len(), 1, "redirects are not followed");
}
