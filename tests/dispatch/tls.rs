//! TLS: trusted and untrusted targets, and ones that speak something else.

use std::io::{Read, Write};
use std::sync::Arc;

use crossbeam_channel::unbounded;
use punctual::core::Outcome;
use punctual::dispatch::{DispatchSettings, Pool};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::support::{OK, Sending, Target, attempt, settings};

/// The configuration of a target with a certificate for these names, and that certificate in PEM format.
fn certified(names: &[&str]) -> (ServerConfig, Vec<u8>) {
    let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (config, made.cert.pem().into_bytes())
}

/// A target with a certificate of its own, and that certificate in PEM format.
fn target(names: &[&str], requests: usize) -> (Target, Vec<u8>, crossbeam_channel::Receiver<bool>) {
    let (config, pem) = certified(names);
    let config = Arc::new(config);
    let (resumed, was_resumed) = unbounded();
    let target = Target::new(move |_, connection| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, connection.socket.try_clone().unwrap());
        for _ in 0..requests {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n{}") {
                match stream.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    Ok(_) | Err(_) => return,
                }
            }
            let kind = stream.conn.handshake_kind();
            // Nobody may be left who asks.
            resumed.send(kind == Some(rustls::HandshakeKind::Resumed)).unwrap_or_default();
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    });
    (target, pem, was_resumed)
}

fn trusting(pem: Vec<u8>) -> Sending {
    Sending::new(DispatchSettings { extra_roots: pem, ..settings() })
}

#[test]
fn a_trusted_target_is_answered_over_one_connection() {
    let (target, pem, _) = target(&["localhost"], usize::MAX);
    let mut sending = trusting(pem);
    let url = format!("https://localhost:{}/", target.address.port());
    for _ in 0..5 {
        assert_eq!(sending.outcome(&url), Outcome::Answered(200));
    }
    assert_eq!(sending.sum(|worker| worker.reused), 4);
}

#[test]
fn the_largest_request_that_a_job_can_have_is_sent_whole() {
    let (target, pem, _) = target(&["localhost"], usize::MAX);
    let mut sending = trusting(pem);
    let url = format!("https://localhost:{}/", target.address.port());
    let headers: Vec<String> = (10..60).map(|number| format!(r#""x{number}":"{}""#, "x".repeat(150))).collect();
    // It ends as the target expects it.
    let end = r"\r\n\r\n{}";
    let body = format!("{}{end}", "y".repeat(65_536 - end.len()));
    let members = format!(r#""headers":{{{}}},"body":"{body}""#, headers.join(","));
    for _ in 0..3 {
        assert_eq!(sending.send_of(&url, &members).outcome, Outcome::Answered(200));
        assert_eq!(sending.outcome(&url), Outcome::Answered(200));
    }
    assert_eq!(sending.sum(|worker| worker.opened), 1, "the connection stays");
}

#[test]
fn addresses_can_be_in_certificates_and_sessions_are_resumed() {
    let (target, pem, was_resumed) = target(&["127.0.0.1"], 1);
    let mut sending = trusting(pem);
    let url = format!("https://{}/", target.address);
    for _ in 0..3 {
        assert_eq!(sending.outcome(&url), Outcome::Answered(200));
    }
    assert!(!was_resumed.recv().unwrap());
    assert!(was_resumed.recv().unwrap());
}

#[test]
fn what_follows_an_answer_in_a_record_of_its_own_is_no_answer_to_the_next_request() {
    let (config, pem) = certified(&["localhost"]);
    let config = Arc::new(config);
    // With what encryption adds, 22 bytes, the answer fills just what is read at once.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n";
    let answer: &'static [u8] =
        format!("{}{}", head.replace("OK", &"o".repeat(4074 - 4000 - head.len() + 2)), "x".repeat(4000))
            .leak()
            .as_bytes();
    let target = Target::new(move |_, connection| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, connection.socket.try_clone().unwrap());
        loop {
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n{}") {
                match stream.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    Ok(_) | Err(_) => return,
                }
            }
            for part in [answer, b"HTTP/1.1 500 Injected\r\nContent-Length: 0\r\n\r\n"] {
                stream.conn.writer().write_all(part).unwrap();
            }
            let mut all = Vec::new();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut all).unwrap();
            }
            connection.write(&all);
        }
    });
    let mut sending = Sending::new(DispatchSettings { workers: 1, extra_roots: pem, ..settings() });
    let url = format!("https://localhost:{}/", target.address.port());
    // More than get a connection at once, so that some follow an answer directly.
    sending.pool.send((0..200).map(|number| attempt(&url, number)).collect::<Vec<_>>());
    for report in sending.reports(200) {
        assert_eq!(report.outcome, Outcome::Answered(200));
    }
}

#[test]
fn many_attempts_share_a_few_sessions() {
    let (target, pem, _) = target(&["127.0.0.1"], usize::MAX);
    let mut sending = trusting(pem);
    let url = format!("https://{}/", target.address);
    sending.pool.send((0..300).map(|number| attempt(&url, number)).collect::<Vec<_>>());
    for report in sending.reports(300) {
        assert_eq!(report.outcome, Outcome::Answered(200));
    }
}

#[test]
fn a_target_nobody_vouches_for_is_a_failure_that_says_so() {
    let (target, ..) = target(&["localhost"], 1);
    let mut sending = Sending::new(settings());
    let failure = sending.failure(&format!("https://localhost:{}/", target.address.port()));
    assert!(failure.starts_with("TLS: invalid peer certificate"), "{failure}");
}

#[test]
fn a_certificate_for_another_name_is_a_failure_that_says_so() {
    let (target, pem, _) = target(&["elsewhere.test"], 1);
    let mut sending = trusting(pem);
    let failure = sending.failure(&format!("https://localhost:{}/", target.address.port()));
    assert!(failure.starts_with("TLS: invalid peer certificate") && failure.contains("localhost"), "{failure}");
}

#[test]
fn targets_that_speak_no_tls_are_failures() {
    let mut sending = Sending::new(settings());
    let plain = Target::new(|_, connection| {
        connection.write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        connection.wait_for_end();
    });
    let failure = sending.failure(&format!("https://{}/", plain.address));
    assert!(failure.starts_with("TLS: "), "{failure}");
    let closing = Target::new(|_, _| {});
    let failure = sending.failure(&format!("https://{}/", closing.address));
    assert!(failure.starts_with("TLS: "), "{failure}");
}

#[test]
fn roots_that_are_none_are_refused_at_the_start() {
    for pem in ["nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let settings = DispatchSettings { extra_roots: pem.into(), ..settings() };
        let error = Pool::start(settings, Arc::new(|| ())).unwrap_err().to_string();
        assert!(error.starts_with("malformed root certificates: "), "{error}");
    }
}
