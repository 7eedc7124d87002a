//! The API over TLS: what clients get through it is what they get without, whoever else is silent, slow or speaks something else.
//! It must not test what the API answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use tempfile::TempDir;

use super::Setup;
use super::raw::{Raw, post};
use super::start::refused;
use super::support::api::job;
use super::support::process::rss_kib;
use super::support::server::Server;
use super::support::until;

type Secure = Raw<StreamOwned<ClientConnection, TcpStream>>;

/// The files of a certificate and its key.
pub struct Files {
    folder: TempDir,
}

impl Files {
    pub fn new() -> Files {
        Files { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("it is text").to_owned()
    }

    /// Writes a new certificate for `localhost`, and its key.
    pub fn certify(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("it can be made");
        fs::write(self.path("cert.pem"), made.cert.pem()).expect("it can be written");
        fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).expect("it can be written");
        made.cert.der().clone()
    }

    fn flags(&self) -> Vec<String> {
        ["--listen", "127.0.0.1:0", "--tls-cert", &self.text("cert.pem"), "--tls-key", &self.text("key.pem")]
            .map(str::to_owned)
            .to_vec()
    }
}

/// A server with TLS and a plain address, and what its clients trust.
struct Encrypted {
    test: Setup,
    files: Files,
    trust: Arc<ClientConfig>,
}

impl Encrypted {
    fn new() -> Encrypted {
        let files = Files::new();
        let cert = files.certify();
        let flags = files.flags();
        let test = Setup::new(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        Encrypted { test, files, trust: trusting(cert) }
    }

    fn address(&self) -> &str {
        self.test.server.address("https://")
    }

    fn connect(&self) -> Secure {
        self.try_connect(&self.trust).expect("it is trusted")
    }

    /// A connection whose handshake is done.
    fn try_connect(&self, trust: &Arc<ClientConfig>) -> std::io::Result<Secure> {
        let stream = TcpStream::connect(self.address()).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(25))).expect("it is a socket");
        shake_hands(stream, trust).map(Raw::over)
    }

    fn failed(&self) -> u64 {
        self.test.api().get("/api/metrics")["refused"]["handshakes"].as_u64().expect("a number")
    }
}

fn shake_hands(
    mut stream: TcpStream,
    trust: &Arc<ClientConfig>,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut session = ClientConnection::new(Arc::clone(trust), name).expect("it can begin");
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// Trusts one certificate; offers two protocols, as curl does.
fn trusting(cert: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(cert).expect("it is a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn a_connection_is_kept_and_its_requests_may_come_together() {
    let server = Encrypted::new();
    let mut client = server.connect();
    assert_eq!(client.stream().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..3 {
        client.send(get("/api/health"));
        assert_eq!(client.answer().json()["status"], "healthy");
    }
    client.send(format!("{}{}{}", get("/api/jobs"), get("/api/info"), get("/api/nowhere")));
    assert_eq!([client.answer().status, client.answer().status, client.answer().status], [200, 200, 404]);
    // Both ends say that it is over.
    client.send("GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.stream().read(&mut [0]).expect("the end is announced"), 0);

    // A page of this server is one by https.
    let body = job("@daily", "http://a/").to_string();
    for (origin, status) in [("https://localhost", 201), ("http://localhost", 403)] {
        let mut client = server.connect();
        client.send(post(&body, &format!("Origin: {origin}\r\nContent-Type: application/json\r\n")));
        assert_eq!(client.answer().status, status, "{origin}");
    }
    assert_eq!(server.failed(), 0);
}

#[test]
fn large_bodies_and_long_answers_go_through() {
    let server = Encrypted::new();
    let mut batch = String::new();
    let note = "x".repeat(60_000);
    while batch.len() < 8 * 1024 * 1024 - 61_000 {
        let create = json!({ "schedule": "@daily", "api": "http://a/", "type": "ATLEAST_ONCE", "body": note });
        batch += &format!("{}\n", json!({ "create": create }));
    }
    let count = batch.lines().count();
    let mut client = server.connect();
    let length = batch.len();
    client.send(format!(
        "POST /api/jobs/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {length}\r\n\r\n{batch}"
    ));
    let answer = client.answer();
    assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(count)), "{length} bytes");

    // The same connection carries all of them back, in pieces.
    client.send(get("/api/export"));
    let export = client.answer();
    assert_eq!(export.status, 200);
    assert!(export.body.len() > 8_000_000, "{} bytes", export.body.len());
    client.send(get("/api/health"));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn events_come_as_they_happen_and_a_stop_sends_the_rest() {
    let server = Encrypted::new();
    let mut client = server.connect();
    client.send(get("/api/events"));
    assert_eq!(client.try_answer(false).expect("the connection holds").expect("an answer").status, 200);
    let id = server.test.api().create("@daily", "http://a/");
    let mut text = String::new();
    while !text.contains(&id) {
        let chunk = client.chunk().expect("it goes on").expect("it has no end");
        text += std::str::from_utf8(&chunk).expect("it is text");
    }
    let Encrypted { test, .. } = server;
    test.server.signal("TERM");
    while client.chunk().expect("it ends in order").is_some() {}
    // An end without a word would be an error.
    let mut rest = Vec::new();
    client.stream().read_to_end(&mut rest).expect("the end is announced");
    assert!(test.server.wait().success());
}

#[test]
fn who_sends_no_more_still_gets_its_answers() {
    let server = Encrypted::new();
    let mut client = server.connect();
    client.send(get("/api/jobs").repeat(3));
    let stream = client.stream();
    stream.conn.send_close_notify();
    stream.conn.complete_io(&mut stream.sock).expect("the server reads");
    stream.sock.shutdown(Shutdown::Write).expect("it is open");
    for _ in 0..3 {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(client.stream().read(&mut [0]).expect("the end is announced"), 0);
}

#[test]
fn who_does_not_read_keeps_nobody_waiting_and_makes_nothing_grow() {
    let server = Encrypted::new();
    let memory = || rss_kib(server.test.server.id()).expect("it runs");
    let mut client = server.connect();
    client.send(get("/api/openapi.json"));
    let whole = client.answer().body;
    let count = 64 * 1024 * 1024 / whole.len();
    let before = memory();
    // More than all systems between them take. Requests are small, so that they are all sent.
    client.send(get("/api/openapi.json").repeat(count));
    for _ in 0..50 {
        let mut other = server.connect();
        other.send(get("/api/health"));
        assert_eq!(other.answer().status, 200);
    }
    let after = memory();
    assert!(after < before + 8 * 1024, "{before} KiB before, {after} after");
    for number in 0..count {
        assert!(client.answer().body == whole, "answer {number} of {count}");
    }
}

#[test]
fn silent_clients_keep_nobody_out() {
    let server = Encrypted::new();
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(server.address()).expect("it listens")).collect();
    // Some begin, and go no further.
    for mut stream in &silent[..50] {
        stream.write_all(&[22, 3, 1, 1, 0]).expect("there is room");
    }
    let mut client = server.connect();
    client.send(get("/api/health"));
    assert_eq!(client.answer().status, 200);
    assert_eq!(server.failed(), 0, "they have time");
    // With more than there may be, those that are silent for longest make room.
    let more = punctual::limits::TLS_HANDSHAKES_MAX;
    let crowd: Vec<TcpStream> = (0..more).map(|_| TcpStream::connect(server.address()).expect("it listens")).collect();
    let mut client = server.connect();
    client.send(get("/api/health"));
    assert_eq!(client.answer().status, 200);
    assert!(server.failed() >= 100, "{}", server.failed());
    drop((silent, crowd));
    until("nobody is left", || {
        (server.test.api().get("/api/metrics")["connections"].as_u64() <= Some(3)).then_some(())
    });
}

#[test]
fn a_handshake_that_does_not_go_on_is_given_up() {
    let server = Encrypted::new();
    for begun in [&[][..], &[22, 3, 1, 1, 0]] {
        let mut raw = Raw::connect(server.address());
        raw.send(begun);
        // The client waits longer than the server does.
        raw.ends();
    }
    assert_eq!(server.failed(), 2);
    server.test.is_well();
}

#[test]
fn plain_http_and_nonsense_are_told_what_is_spoken_here() {
    let server = Encrypted::new();
    for request in [get("/api/health"), "hello\r\n".to_owned(), post(&"x".repeat(50_000), "")] {
        let mut raw = Raw::connect(server.address());
        raw.send(&request);
        let answer = raw.answer();
        assert_eq!((answer.status, answer.header("content-type")), (400, "text/plain; charset=utf-8"));
        assert!(String::from_utf8(answer.body).expect("it is text").contains("https"));
    }
    // What only looks like TLS ends, too.
    let mut raw = Raw::connect(server.address());
    raw.send([&[22, 3, 1, 0, 5][..], b"hello"].concat());
    let mut rest = Vec::new();
    drop(raw.stream().read_to_end(&mut rest));
    until("all are counted", || (server.failed() == 4).then_some(()));
    server.test.is_well();
}

#[test]
fn a_signal_reads_the_certificate_again_and_a_broken_one_changes_nothing() {
    let server = Encrypted::new();
    let mut before = server.connect();
    let renewed = trusting(server.files.certify());
    assert!(server.try_connect(&renewed).is_err(), "nobody has said so");
    server.test.server.signal("HUP");
    let mut client = until("the new one is shown", || server.try_connect(&renewed).ok());
    client.send(get("/api/health"));
    assert_eq!(client.answer().status, 200);
    assert!(server.try_connect(&server.trust).is_err(), "the one before is gone");
    before.send(get("/api/health"));
    assert_eq!(before.answer().status, 200, "what was open stays");

    // A file that is not whole, and a key that belongs to another one.
    for (name, text) in [("cert.pem", "-----BEGIN CERTIFICATE-----\n"), ("key.pem", "nothing")] {
        fs::write(server.files.path(name), text).expect("it can be written");
        server.test.server.signal("HUP");
        for _ in 0..5 {
            let mut client = server.try_connect(&renewed).expect("the old one stays");
            client.send(get("/api/health"));
            assert_eq!(client.answer().status, 200);
        }
    }
    let again = trusting(server.files.certify());
    server.test.server.signal("HUP");
    until("it recovers", || server.try_connect(&again).ok());
    let Encrypted { test, .. } = server;
    test.server.stop();
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let files = Files::new();
    files.certify();
    let other = Files::new();
    other.certify();
    fs::write(files.path("text"), "a text").expect("it can be written");
    let (cert, key, nothing) = (files.text("cert.pem"), files.text("key.pem"), files.text("nothing"));
    for (cert, key, flag, path, why) in [
        (nothing.as_str(), key.as_str(), "--tls-cert", nothing.as_str(), "failed to read"),
        (&cert, &nothing, "--tls-key", &nothing, "failed to read"),
        (&files.text("text"), &key, "--tls-cert", &files.text("text"), "no certificate"),
        (&cert, &cert, "--tls-key", &cert, "no private key"),
        (&cert, &other.text("key.pem"), "--tls-key", &other.text("key.pem"), "is not the key of the certificate"),
    ] {
        let db = files.text("p.db");
        let flags = ["--listen", "127.0.0.1:0", "--db", &db, "--tls-cert", cert, "--tls-key", key];
        let line = refused(&flags, 1);
        assert!(line.contains(flag) && line.contains(path) && line.contains(why), "{line}");
        assert!(!files.path("p.db").exists(), "nothing is made without them");
    }
    let line = refused(&["--listen", "http://127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key], 2);
    assert!(line.contains("a --listen that speaks TLS"), "{line}");
}

#[test]
fn without_a_certificate_a_terminal_that_closes_still_ends_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    // Whoever runs the tests may have chosen to ignore the signal, which children inherit.
    let mut command = std::process::Command::new("env");
    command.arg("--default-signal=HUP").arg(env!("CARGO_BIN_EXE_punctual")).stdin(std::process::Stdio::null());
    command.arg("--db").arg(folder.path().join("p.db")).args(["--listen", "127.0.0.1:0", "--log", "error"]);
    let server = Server::spawn(command);
    server.signal("HUP");
    assert!(!server.wait().success());
}
