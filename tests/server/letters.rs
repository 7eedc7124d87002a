//! Owns letters on the real binary: an incident by e-mail, and a mail server that comes back after a crash.
//! It must not test how a letter is composed, or mail servers that are not on this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Setup;
use super::incidents::{create, id_of, open, run};
use super::support::receiver::Script;
use super::support::until;

/// A mail server that keeps all it takes, or refuses.
#[derive(Clone)]
struct MailServer {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    letters: Vec<String>,
    refuses: bool,
    refused: usize,
}

impl MailServer {
    fn start() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let server = MailServer { port, state: Arc::default() };
        let accepting = server.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let server = accepting.clone();
                // Whoever hangs up in the middle has its reasons.
                std::thread::spawn(move || server.serve(socket).unwrap_or_default());
            }
        });
        server
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }

    fn serve(&self, socket: TcpStream) -> std::io::Result<()> {
        let mut writer = socket.try_clone()?;
        let mut reader = BufReader::new(socket);
        writer.write_all(b"220 mail.test\r\n")?;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let reply = match line.split_whitespace().next() {
                Some("MAIL") if self.lock().refuses => {
                    self.lock().refused += 1;
                    "451 later"
                }
                Some("DATA") => "354 go on",
                Some(_) | None => "250 ok",
            };
            writer.write_all(format!("{reply}\r\n").as_bytes())?;
            if reply.starts_with("354") {
                let mut letter = String::new();
                while !letter.ends_with("\r\n.\r\n") {
                    if reader.read_line(&mut letter)? == 0 {
                        return Ok(());
                    }
                }
                self.lock().letters.push(letter);
                writer.write_all(b"250 queued\r\n")?;
            }
        }
    }

    fn channel(&self) -> String {
        let url = format!("smtp://127.0.0.1:{}", self.port);
        json!({ "kind": "email", "url": url, "from": "punctual@a.test", "to": ["ops@b.test"] }).to_string()
    }
}

#[test]
fn an_incident_is_told_by_letter_and_after_a_crash_by_the_same_letter() {
    let mail = MailServer::start();
    let test = Setup::new(&["--retries", "0"]);
    test.receiver.script("/a", Script::FailFirst(1));
    let set = test.api().send("PUT", "/api/channels/post", Some(&mail.channel()));
    assert_eq!(set.status, 200, "{}", set.text);
    let tested = test.api().send("POST", "/api/channels/post/test", None).json();
    assert_eq!(tested["delivered"], true, "{tested}");
    assert!(mail.lock().letters[0].contains("\r\nSubject: Test of the channel post\r\n"));

    mail.lock().refuses = true;
    let job = create(&test, "/a", &json!({}));
    run(&test, &job);
    let id = id_of(&open(&test)).to_owned();
    until("it is refused", || (mail.lock().refused > 0).then_some(()));
    until("that is told", || {
        let shown = test.api().get("/api/channels/post");
        let why = "the mail server answered 451 to MAIL: later";
        (shown["lastError"] == why && shown["waiting"] == 1).then_some(())
    });
    let test = test.killed_and_started();
    mail.lock().refuses = false;
    let letter = until("the letter comes", || mail.lock().letters.get(1).cloned());
    assert!(letter.contains(&format!("\r\nMessage-ID: <{id}.1.post@a.test>\r\n")), "{letter}");
    assert!(letter.contains("\r\nSubject: FAILING: "), "{letter}");

    run(&test, &job);
    let letter = until("it is over", || mail.lock().letters.get(2).cloned());
    assert!(letter.contains("\r\nSubject: Over: FAILING: "), "{letter}");
    assert!(letter.contains(&format!("\r\nIn-Reply-To: <{id}.1.post@a.test>\r\n")), "{letter}");
    let messages = until("both are delivered", || {
        let found = test.api().get(&format!("/api/incidents/{id}"))["messages"].clone();
        let all = found.as_array().expect("a list").iter().all(|of: &Value| of["delivery"] == "DELIVERED");
        all.then_some(found)
    });
    assert_eq!(messages.as_array().map(Vec::len), Some(2), "{messages}");
}
