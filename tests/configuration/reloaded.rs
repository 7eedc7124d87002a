//! What a signal changes in a server that runs: what can be, as a whole, or nothing.
//! It must not test what is wrong with a file beyond that nothing comes of it.

use std::fs::{self, File};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};

use super::Home;
use super::support::receiver::{Receiver, Script};
use super::support::server::{Server, command};
use super::support::until;

/// A server with a configuration file, and what it logs.
struct Configured {
    server: Server,
    home: Home,
}

impl Configured {
    fn new(text: &str) -> Configured {
        Configured::with(&["--listen", "http://127.0.0.1:0"], text)
    }

    fn with(flags: &[&str], text: &str) -> Configured {
        let home = Home::new();
        home.write("p.toml", text);
        let mut command = command(&["--config", "p.toml", "--db", "p.db", "--max-in-flight", "16"]);
        command.args(flags).current_dir(home.path(""));
        command.stderr(File::create(home.path("log")).expect("it can be made"));
        Configured { server: Server::spawn_quietly(command), home }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path("log")).expect("it is there")
    }

    /// The lines that a signal leads to, up to one that has this in it.
    fn signal(&self, text: &str, until_logged: &str) -> Vec<String> {
        let before = self.log().lines().count();
        self.home.write("p.toml", text);
        self.server.signal("HUP");
        let lines = || self.log().lines().skip(before).map(str::to_owned).collect::<Vec<_>>();
        until(until_logged, || Some(lines()).filter(|lines| lines.iter().any(|line| line.contains(until_logged))))
    }

    /// The status of a request by this name.
    fn status_as(&self, host: &str) -> u16 {
        self.server.api.send_with("GET", "/api/jobs", &[("host", host)], None).status
    }
}

const READ: &str = "the configuration was read again";
const REFUSED: &str = "the configuration was not taken over";

#[test]
fn what_can_be_changed_is_and_what_cannot_is_named_each_time() {
    let test = Configured::new("log = 'error'\n");
    assert_eq!((test.status_as("cron.example"), test.log().as_str()), (421, ""));
    // The level is one of the things that change: before that the line would not have been logged.
    let lines = test.signal("log = 'info'\nallowed-host = 'cron.example'\nkeep-days = 5\nkeep-mib = 64\n", READ);
    let line = lines.last().expect("there is one");
    assert!(line.contains(r#"changed="keep-days, keep-mib, allowed-host, log""#), "{line}");
    assert_eq!(test.status_as("cron.example"), 200);

    let last = "counts after a restart only";
    for _ in 0..2 {
        let lines =
            test.signal("db = 'other.db'\nworkers = 3\nlog-format = 'json'\ntimeout-ms = 5\nlog = 'info'\n", last);
        // What a flag says counts before the file: the database is the same.
        assert!(lines.iter().any(|line| line.contains(r#"settings="workers, timeout-ms, log-format""#)), "{lines:?}");
    }
    assert_eq!(test.status_as("cron.example"), 421, "what is not there any more is as it is without");
    let lines = test.signal("log = 'info'\n", READ);
    assert!(lines.iter().any(|line| line.contains(r#"changed="nothing""#)), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(last)), "{lines:?}");
    test.server.stop();
}

#[test]
fn of_a_configuration_that_is_not_valid_nothing_is_taken() {
    let test = Configured::new("allowed-host = 'cron.example'\n");
    for (text, told) in [
        ("allowed-host = 'other.example'\nretries = 'x'\n", "p.toml, line 2: retries: expected a whole number"),
        ("allowed-host = 'other.example'\nretries = 101\n", "p.toml, line 2: retries: expected a number from 0"),
        ("allowed-host = 'other.example'\nca-file = 'none'\n", "--ca-file: failed to read none"),
        ("allowed-host = 'other.example'\ntime-zone = 'Nowhere'\n", "--time-zone: expected an IANA name"),
        ("allowed-host = \n", "p.toml, line 1: no TOML"),
    ] {
        let lines = test.signal(text, REFUSED);
        assert!(lines.iter().any(|line| line.contains(told) && line.contains("ERROR")), "{lines:?}");
        assert_eq!((test.status_as("cron.example"), test.status_as("other.example")), (200, 421));
    }
    fs::remove_file(test.home.path("p.toml")).expect("it is there");
    test.server.signal("HUP");
    until("it is missed", || test.log().contains("failed to read p.toml").then_some(()));
    test.signal("allowed-host = 'other.example'\n", READ);
    assert_eq!((test.status_as("cron.example"), test.status_as("other.example")), (421, 200));
    test.server.stop();
}

#[test]
fn the_file_of_a_first_token_that_is_done_with_keeps_nothing_from_being_taken() {
    let text = "bootstrap-token-file = 'made/token'\nallow-anonymous-read = true\n";
    let home = Home::new();
    fs::create_dir(home.path("made")).expect("it can be made");
    home.write("p.toml", text);
    let mut command = command(&["--config", "p.toml", "--db", "p.db", "--listen", "127.0.0.1:0"]);
    command.current_dir(home.path("")).stderr(File::create(home.path("log")).expect("it can be made"));
    let test = Configured { server: Server::spawn_quietly(command), home };
    fs::write(test.home.path("made/token"), "what is no token").expect("it can be written");
    test.signal(&format!("{text}allowed-host = 'cron.example'\n"), READ);
    assert_eq!(test.status_as("cron.example"), 200);
    fs::remove_dir_all(test.home.path("made")).expect("it can be removed");
    test.signal(&format!("{text}allowed-host = 'other.example'\n"), READ);
    assert_eq!((test.status_as("cron.example"), test.status_as("other.example")), (421, 200));
    test.server.stop();
}

#[test]
fn the_next_decision_goes_by_what_was_read() {
    let (old, new) = (Receiver::start(), Receiver::start());
    for receiver in [&old, &new] {
        receiver.script("/job", Script::Status(500));
    }
    let of = |receiver: &Receiver, retries: u32| {
        let url = receiver.url("/alert");
        format!("alert-webhook = '{url}'\nretries = {retries}\nretry-delay-ms = 0\ntime-zone = 'Asia/Tokyo'\n")
    };
    let test = Configured::new(&of(&old, 0).replace("Asia/Tokyo", "UTC"));
    let post = |path: &str, body: &Value| {
        let answer = test.server.api.send("POST", path, Some(&body.to_string()));
        assert!((200..300).contains(&answer.status), "{}", answer.text);
        answer.json()
    };
    let made = |name: &str| {
        let job = json!({ "name": name, "schedule": "@yearly", "api": old.url("/job"), "type": "ATLEAST_ONCE" });
        let made = post("/api/jobs", &job);
        (made["jobId"].as_str().expect("an id").to_owned(), made["job"]["timeZone"].clone())
    };
    let run = |id: &str| {
        let answer = post(&format!("/api/jobs/{id}/run"), &json!({ "wait": true }));
        answer["retryCount"].as_u64().expect("a number")
    };
    let (first, zone) = made("before");
    assert_eq!((run(&first), zone), (0, json!(null)));
    until("an alert", || (old.posts_to("/alert").len() == 1).then_some(()));
    test.signal(&of(&new, 2), READ);
    let (second, zone) = made("after");
    assert_eq!((run(&first), run(&second), zone), (2, 2, json!("Asia/Tokyo")));
    until("two alerts", || (new.posts_to("/alert").len() == 2).then_some(()));
    assert_eq!(old.posts_to("/alert").len(), 1);
    test.server.stop();
}

#[test]
fn another_certificate_may_be_named() {
    let flags = ["--listen", "127.0.0.1:0,http://127.0.0.1:0"];
    let test = Configured::with(&flags, "tls-cert = 'cert.pem'\ntls-key = 'key.pem'\n");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    test.home.write("other.pem", &other.cert.pem());
    test.home.write("other.key", &other.signing_key.serialize_pem());
    let shows = |name: &str| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(test.home.path(name)).expect("PEM")).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("there are some");
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(config, name).expect("it can begin");
        let mut stream = std::net::TcpStream::connect(test.server.address("https://")).expect("it listens");
        while session.is_handshaking() {
            if session.complete_io(&mut stream).is_err() {
                return false;
            }
        }
        true
    };
    assert!(shows("cert.pem") && !shows("other.pem"));
    let lines = test.signal("tls-cert = 'other.pem'\ntls-key = 'key.pem'\n", REFUSED);
    assert!(lines.iter().any(|line| line.contains("key.pem is not the key of the certificate")), "{lines:?}");
    assert!(shows("cert.pem"));
    let lines = test.signal("tls-cert = 'other.pem'\ntls-key = 'other.key'\n", READ);
    assert!(lines.iter().any(|line| line.contains(r#"changed="tls-cert, tls-key""#)), "{lines:?}");
    until("the other one is shown", || shows("other.pem").then_some(()));
    let lines = test.signal("", "counts after a restart only");
    assert!(lines.iter().any(|line| line.contains(r#"settings="listen, tls-cert, tls-key""#)), "{lines:?}");
    assert!(shows("other.pem"), "without files there is none to show instead");
}
