//! Owns the tests of letters against mail servers on this machine: ones that take them, refuse, hang, dribble, encrypt.
//! It must not reach another machine, or wait for a time to pass but the limit that is under test.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use crossbeam_channel::unbounded;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::channel::{Channel, ChannelDefinition, Way};
use crate::core::{Letter, ParcelId};

/// What a mail server does beside what all of them do.
#[derive(Clone, Default)]
struct Script {
    /// What it offers.
    offers: Vec<&'static str>,
    /// Replies to lines that begin like this, in place of the usual ones.
    replies: Vec<(&'static str, &'static str)>,
    tls: Option<Arc<ServerConfig>>,
    /// Whether it is encrypted from the first byte on.
    is_tls: bool,
}

/// A mail server on this machine.
struct Server {
    port: u16,
    /// All that clients said, line by line; `TLS` where the connection was encrypted.
    heard: Receiver<String>,
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

impl Server {
    fn new(script: Script) -> Server {
        Server::speaking(move |socket, heard| {
            let mut wire: Box<dyn Wire> = Box::new(socket.try_clone().expect("a socket"));
            if script.is_tls {
                wire = encrypted(&script, socket.try_clone().expect("a socket"));
            }
            // Whoever hangs up in the middle has its reasons.
            converse(&script, wire, &socket, heard).unwrap_or_default();
        })
    }

    fn speaking(speak: impl Fn(TcpStream, &Sender<String>) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let (hear, heard) = unbounded();
        let speak = Arc::new(speak);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (speak, hear) = (Arc::clone(&speak), hear.clone());
                thread::spawn(move || speak(socket.expect("a connection"), &hear));
            }
        });
        Server { port, heard }
    }
}

fn encrypted(script: &Script, socket: TcpStream) -> Box<dyn Wire> {
    let config = script.tls.clone().expect("a certificate");
    Box::new(StreamOwned::new(ServerConnection::new(config).expect("a configuration"), socket))
}

fn converse(script: &Script, wire: Box<dyn Wire>, socket: &TcpStream, heard: &Sender<String>) -> std::io::Result<()> {
    let mut wire = BufReader::new(wire);
    wire.get_mut().write_all(b"220 mail.test ESMTP\r\n")?;
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end_matches("\r\n").to_owned();
        heard.send(line.clone()).map_err(|_| ErrorKind::Other)?;
        let own = script.replies.iter().find(|(begin, _)| line.starts_with(begin)).map(|(_, reply)| *reply);
        let word = line.split(' ').next().unwrap_or_default();
        let reply = match (own, word) {
            (Some(own), _) => own.to_owned(),
            (None, "EHLO") => {
                let offers = script.offers.iter().map(|offer| format!("250-{offer}\r\n")).collect::<String>();
                format!("250-mail.test\r\n{offers}250 8BITMIME")
            }
            (None, "AUTH") => "235 2.7.0 welcome".to_owned(),
            (None, "STARTTLS") => "220 go ahead".to_owned(),
            (None, "DATA") => "354 go on".to_owned(),
            (None, "QUIT") => return Ok(()),
            (None, _) => "250 2.0.0 ok".to_owned(),
        };
        wire.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        wire.get_mut().flush()?;
        if word == "STARTTLS" && reply.starts_with("220") {
            wire = BufReader::new(encrypted(script, socket.try_clone()?));
            heard.send("TLS".to_owned()).map_err(|_| ErrorKind::Other)?;
        }
        if word == "DATA" && reply.starts_with("354") {
            loop {
                let mut line = String::new();
                if wire.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                heard.send(line.trim_end_matches("\r\n").to_owned()).map_err(|_| ErrorKind::Other)?;
                if line == ".\r\n" {
                    break;
                }
            }
            let own = script.replies.iter().find(|(begin, _)| *begin == ".").map(|(_, reply)| *reply);
            wire.get_mut().write_all(format!("{}\r\n", own.unwrap_or("250 2.0.0 queued")).as_bytes())?;
            wire.get_mut().flush()?;
        }
    }
}

/// What encrypts for `mail.test`, and what trusts it.
fn certified() -> (Arc<ServerConfig>, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["mail.test".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    (Arc::new(config), made.cert.pem().into_bytes())
}

struct Sending {
    office: Office,
    woken: Receiver<()>,
}

impl Sending {
    fn new(trusted: &[u8]) -> Sending {
        Sending::with(trusted, "any", Duration::from_secs(60))
    }

    /// Names ending in `.test` lead to this machine.
    fn with(trusted: &[u8], targets: &str, timeout: Duration) -> Sending {
        let trust = Arc::new(Trust::new(trusted).expect("certificates"));
        let settings = MailSettings::new(targets.parse().expect("a list"), trust);
        let system: System = Arc::new(|host| match host {
            "elsewhere.test" => Ok(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]),
            "lost.test" => loop {
                thread::park();
            },
            "unknown.test" => Err(ErrorKind::NotFound.into()),
            host => host.parse().map(|address| vec![address]).or(Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])),
        });
        let (wake, woken) = unbounded();
        // Nobody may be left who waits.
        let notify: Notify = Arc::new(move || wake.send(()).unwrap_or_default());
        Sending { office: Office::new(MailSettings { system, timeout, ..settings }, notify), woken }
    }

    fn send(&mut self, number: u64, definition: &str) {
        let definition: ChannelDefinition = serde_json::from_str(definition).expect(definition);
        let channel = Channel::compile(&definition, None, true).expect("a channel");
        let Way::Email(mailbox) = channel.way() else { panic!("{channel:?}") };
        let letter = Letter {
            key: "1764421200123456.1.mail".into(),
            follows: None,
            subject: "FAILING: evil\r\nBcc: x@y.test".to_owned(),
            text: "It failed.\n.\nRSET".to_owned(),
        };
        self.office.send(MailAttempt { id: ParcelId::Queued(number), mailbox: Arc::clone(mailbox), letter });
    }

    fn reports(&mut self, count: usize) -> Vec<MailReport> {
        let mut reports = Vec::new();
        while reports.len() < count {
            self.woken.recv_timeout(Duration::from_secs(60)).expect("a report");
            reports.extend(self.office.receive());
        }
        reports
    }

    /// What becomes of a letter.
    fn taken(&mut self, definition: &str) -> Result<Option<String>, String> {
        self.send(1, definition);
        let report = self.reports(1).remove(0);
        assert_eq!(report.id, ParcelId::Queued(1));
        report.taken
    }
}

fn by(url: &str, members: &str) -> String {
    format!(r#"{{"kind":"email","url":"{url}","from":"p@a.test","to":["a@b.test","c@d.test"]{members}}}"#)
}

fn local(server: &Server) -> String {
    by(&format!("smtp://127.0.0.1:{}", server.port), "")
}

const LOGIN: &str = r#","username":"me","password":"planted""#;

#[test]
fn a_letter_is_handed_over_to_a_server_on_this_machine() {
    let server = Server::new(Script::default());
    assert_eq!(Sending::new(&[]).taken(&local(&server)), Ok(None));
    let heard: Vec<String> = server.heard.iter().take_while(|line| line != "QUIT").collect();
    let begin = ["EHLO [127.0.0.1]", "MAIL FROM:<p@a.test>", "RCPT TO:<a@b.test>", "RCPT TO:<c@d.test>", "DATA"];
    assert_eq!(heard[..begin.len()], begin);
    for line in ["Subject: FAILING: evil  Bcc: x@y.test", "Message-ID: <1764421200123456.1.mail@a.test>", "..", "RSET"]
    {
        assert_eq!(heard.iter().filter(|heard| *heard == line).count(), 1, "{line}: {heard:?}");
    }
    assert!(!heard.iter().any(|line| line.starts_with("Bcc")), "{heard:?}");
    assert_eq!(heard.last().map(String::as_str), Some("."));
}

#[test]
fn what_is_not_on_this_machine_hears_nothing_in_clear() {
    let (tls, pem) = certified();
    let script = Script { offers: vec!["STARTTLS", "AUTH LOGIN PLAIN"], tls: Some(tls), ..Script::default() };
    let server = Server::new(script.clone());
    let url = format!("smtp://mail.test:{}", server.port);
    assert_eq!(Sending::new(&pem).taken(&by(&url, LOGIN)), Ok(None));
    let heard: Vec<String> = server.heard.iter().take_while(|line| line != "QUIT").collect();
    // base64 of "\0me\0planted".
    let begin = ["EHLO [127.0.0.1]", "STARTTLS", "TLS", "EHLO [127.0.0.1]", "AUTH PLAIN AG1lAHBsYW50ZWQ="];
    assert_eq!(heard[..begin.len()], begin);

    // Somebody else's certificate, or that of another name.
    let why = Sending::new(&[]).taken(&by(&url, LOGIN)).expect_err("nobody trusts it");
    assert!(why.contains("TLS: "), "{why}");
    let other = format!("smtp://other.test:{}", server.port);
    let why = Sending::new(&pem).taken(&by(&other, LOGIN)).expect_err("it is another name's");
    assert!(why.contains("TLS: "), "{why}");

    // Somebody on the way who takes the offer out, or puts words in.
    let bare = Server::new(Script { offers: vec!["AUTH PLAIN"], ..Script::default() });
    let why = Sending::new(&pem).taken(&by(&format!("smtp://mail.test:{}", bare.port), LOGIN)).expect_err("in clear");
    assert!(why.ends_with("offers no STARTTLS, and nothing is sent in clear"), "{why}");
    let replies = vec![("STARTTLS", "220 go ahead\r\n250-mail.test\r\n250 AUTH PLAIN")];
    let talkative = Server::new(Script { replies, ..script });
    let url = format!("smtp://mail.test:{}", talkative.port);
    let why = Sending::new(&pem).taken(&by(&url, LOGIN)).expect_err("it was said in clear");
    assert_eq!(why, "the mail server said more than it was asked before the connection was encrypted");
    for server in [&server, &bare, &talkative] {
        assert!(server.heard.try_iter().all(|line| !line.contains("AUTH") && !line.contains("MAIL")));
    }
}

#[test]
fn a_server_may_be_encrypted_from_the_start_and_may_know_only_the_old_way_to_log_in() {
    let (tls, pem) = certified();
    let offers = vec!["AUTH LOGIN"];
    let replies =
        vec![("AUTH LOGIN", "334 VXNlcm5hbWU6"), ("bWU=", "334 UGFzc3dvcmQ6"), ("cGxhbnRlZA==", "235 welcome")];
    let server = Server::new(Script { offers, replies, tls: Some(tls), is_tls: true });
    let url = format!("smtps://mail.test:{}", server.port);
    assert_eq!(Sending::new(&pem).taken(&by(&url, LOGIN)), Ok(None));
    let heard: Vec<String> = server.heard.iter().take(4).collect();
    assert_eq!(heard, ["EHLO [127.0.0.1]", "AUTH LOGIN", "bWU=", "cGxhbnRlZA=="]);
}

#[test]
fn what_a_server_refuses_is_told_with_its_words_and_without_the_password() {
    let auth = || vec!["AUTH PLAIN LOGIN"];
    for (offers, replies, members, why) in [
        (vec![], vec![("EHLO", "554 5.7.1 not you")], "", "the mail server answered 554 to EHLO: 5.7.1 not you"),
        (vec![], vec![("MAIL", "451 later")], "", "the mail server answered 451 to MAIL: later"),
        (vec![], vec![("DATA", "503")], "", "the mail server answered 503 to DATA"),
        (vec![], vec![(".", "552 too large")], "", "the mail server answered 552 to the letter: too large"),
        (vec![], vec![], LOGIN, "the mail server offers neither AUTH PLAIN nor AUTH LOGIN"),
        // Also long after it was told.
        (
            auth(),
            vec![("AUTH", "235 in"), ("MAIL", "550 planted may not")],
            LOGIN,
            "the mail server answered 550 to MAIL: *** may not",
        ),
        (
            auth(),
            vec![("AUTH", "535 planted AG1lAHBsYW50ZWQ= is wrong")],
            LOGIN,
            "the mail server answered 535 to AUTH PLAIN: *** *** is wrong",
        ),
        (
            vec![],
            vec![("RCPT", "550 no such user")],
            "",
            "a@b.test: the mail server answered 550 to RCPT: no such user; \
             c@d.test: the mail server answered 550 to RCPT: no such user",
        ),
    ] {
        let server = Server::new(Script { offers, replies, ..Script::default() });
        let definition = by(&format!("smtp://127.0.0.1:{}", server.port), members);
        assert_eq!(Sending::new(&[]).taken(&definition), Err(why.to_owned()));
    }
    // One of two is refused: the other has it, and it is told who has not.
    let replies = vec![("RCPT TO:<c@d.test>", "550 no such user")];
    let server = Server::new(Script { replies, ..Script::default() });
    let told = "delivered, but not to c@d.test: the mail server answered 550 to RCPT: no such user";
    assert_eq!(Sending::new(&[]).taken(&local(&server)), Ok(Some(told.to_owned())));
}

/// Takes connections, and says nothing.
fn hanging() -> Server {
    Server::speaking(|socket, _| socket.peek(&mut [0]).map(drop).unwrap_or_default())
}

/// Says a byte now and then, which would keep a time limit for each read from ever passing.
fn dribbling() -> Server {
    Server::speaking(|mut socket, _| {
        while socket.write_all(b"2").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    })
}

#[test]
fn a_server_that_hangs_or_talks_without_end_costs_its_own_letter_a_bounded_time() {
    let endless = Server::speaking(|mut socket, _| while socket.write_all(&[b'2'; 512]).is_ok() {});
    let web = Server::speaking(|mut socket, _| {
        // It is not asked what it says next.
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .and_then(|()| socket.peek(&mut [0]))
            .map(drop)
            .unwrap_or_default();
    });
    let (hanging, dribbling) = (hanging(), dribbling());
    let mut sending = Sending::with(&[], "any", Duration::from_millis(700));
    for (number, server) in (1..).zip([&hanging, &dribbling, &endless, &web]) {
        sending.send(number, &local(server));
    }
    sending.send(5, &by(&format!("smtp://lost.test:{}", hanging.port), ""));
    let mut reports = sending.reports(5);
    reports.sort_by_key(|report| report.id);
    for (report, why) in reports.iter().zip([
        "there was no more time",
        "there was no more time",
        "the mail server said something that is no reply: 2222",
        "the mail server said something that is no reply: HTTP/1.1 400",
        "its name could not be looked up in time",
    ]) {
        let told = report.taken.as_ref().expect_err(why);
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_server_that_hangs_delays_no_other() {
    let (hanging, good) = (hanging(), Server::new(Script::default()));
    let mut sending = Sending::new(&[]);
    for number in 1..MAIL_THREADS_MAX as u64 {
        sending.send(number, &local(&hanging));
    }
    sending.send(99, &local(&good));
    let report = sending.reports(1).remove(0);
    assert_eq!((report.id, report.taken), (ParcelId::Queued(99), Ok(None)));
}

#[test]
fn letters_go_where_requests_may_go_and_nowhere_else() {
    let server = Server::new(Script::default());
    let why = Sending::with(&[], "public", Duration::from_secs(60)).taken(&local(&server)).expect_err("it is nearby");
    assert!(why.contains("the address 127.0.0.1 is refused: --targets public does not allow it"), "{why}");
    let mut sending = Sending::with(&[], "lan", Duration::from_secs(60));
    let why = sending.taken(&by("smtp://elsewhere.test:25", "")).expect_err("it is far away");
    assert!(why.contains("--targets lan does not allow it"), "{why}");
    let why = sending.taken(&by("smtp://169.254.169.254:25", "")).expect_err("a cloud's");
    assert!(why.contains("a cloud keeps its credentials there"), "{why}");
    let why = sending.taken(&by("smtp://unknown.test:25", "")).expect_err("nobody knows it");
    assert!(why.contains("name not found: unknown.test"), "{why}");
    assert!(server.heard.is_empty());
}

#[test]
fn a_name_of_this_machine_that_leads_elsewhere_is_told_nothing() {
    let trust = Arc::new(Trust::new(&[]).expect("none"));
    let system: System = Arc::new(|_| Ok(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]));
    let (wake, woken) = unbounded();
    let notify: Notify = Arc::new(move || wake.send(()).unwrap_or_default());
    let settings = MailSettings { system, ..MailSettings::new(Allowlist::default(), trust) };
    let mut sending = Sending { office: Office::new(settings, notify), woken };
    let why = sending.taken(&by("smtp://localhost:25", "")).expect_err("it is elsewhere");
    assert!(why.ends_with("localhost leads to 192.0.2.1, which is not this machine"), "{why}");
}

#[test]
fn more_letters_than_threads_wait_for_each_other_and_all_are_reported() {
    let server = Server::new(Script::default());
    let mut sending = Sending::new(&[]);
    let count = 5 * MAIL_THREADS_MAX;
    for number in 0..count {
        sending.send(number as u64, &local(&server));
        assert!(sending.office.threads <= MAIL_THREADS_MAX);
    }
    let mut reports = sending.reports(count);
    reports.sort_by_key(|report| report.id);
    for (number, report) in reports.iter().enumerate() {
        assert_eq!((report.id, &report.taken), (ParcelId::Queued(number as u64), &Ok(None)));
    }
    assert_eq!((sending.office.threads, sending.office.waiting.len()), (0, 0));
}
