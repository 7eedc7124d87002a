//! Owns the tests of connections against servers that follow a script: what a real one does seldom, or never.
//! It must not wait for a time to pass.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::bounds::{LOGIN_MESSAGE_LEN_MAX, MESSAGE_LEN_MAX, TEXT_LEN_MAX};
use super::*;
use crate::clock;
use crate::mix::mix;
use crate::time::MonoUs;

const PASSWORD: &str = "planted-in-a-test";

/// What a server says next, from all that it heard.
type Turn = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

/// A server that takes turns: it says the next thing when it was told something since it said the last one.
struct Scripted {
    turns: VecDeque<Turn>,
    saying: VecDeque<u8>,
    heard: Arc<Mutex<Vec<u8>>>,
    /// How much is said at once.
    piece: usize,
    /// How much it takes before it hears no more, and what happens then.
    takes: usize,
    deaf: ErrorKind,
    was_told: bool,
}

impl Scripted {
    fn fill(&mut self) -> bool {
        if self.saying.is_empty() && self.was_told && !self.turns.is_empty() {
            self.was_told = false;
            let heard = self.heard.lock().expect("no panic");
            let said = self.turns.pop_front().map(|mut turn| turn(&heard)).unwrap_or_default();
            self.saying.extend(said);
        }
        !self.saying.is_empty()
    }

    /// Whether it has hung up.
    fn has_ended(&self) -> bool {
        self.turns.is_empty() && self.was_told
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.fill() && !self.has_ended() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = self.piece.min(buffer.len()).min(self.saying.len());
        for (place, byte) in buffer.iter_mut().zip(self.saying.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.takes);
        if len == 0 {
            return Err(self.deaf.into());
        }
        self.takes -= len;
        self.was_told = true;
        self.heard.lock().expect("no panic").extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Scripted {
    fn wait(&mut self, _: bool, _: MonoUs) -> io::Result<()> {
        if self.fill() || self.has_ended() { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }
}

/// A server and all that it hears.
struct Server {
    stream: Scripted,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    fn new(turns: Vec<Vec<u8>>) -> Server {
        let turns = turns.into_iter().map(|said| Box::new(move |_: &[u8]| said.clone()) as Turn).collect();
        Server::answering(turns)
    }

    fn answering(turns: Vec<Turn>) -> Server {
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let stream = Scripted {
            turns: turns.into(),
            saying: VecDeque::new(),
            heard: Arc::clone(&heard),
            piece: usize::MAX,
            takes: usize::MAX,
            deaf: ErrorKind::WouldBlock,
            was_told: false,
        };
        Server { stream, heard }
    }

    fn connect(self, query: &str, privacy: &Privacy) -> (Result<Connection, Error>, Arc<Mutex<Vec<u8>>>) {
        let url = Url::parse(&format!("postgres://me:{PASSWORD}@db.test/base?{query}")).expect("a URL");
        (Connection::over(Box::new(self.stream), &url, privacy, soon()), self.heard)
    }

    /// Why it is not usable.
    fn refused(self, query: &str, privacy: &Privacy) -> String {
        let (connected, heard) = self.connect(query, privacy);
        let heard = heard.lock().expect("no panic");
        let is_told = heard.windows(PASSWORD.len()).any(|piece| piece == PASSWORD.as_bytes());
        assert!(!is_told, "it was told the password");
        connected.expect_err("it is not usable").to_string()
    }
}

fn soon() -> MonoUs {
    clock::mono().plus(Duration::from_secs(60))
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).expect("it is short").to_be_bytes();
    [&[tag], &len[..], body].concat()
}

fn authentication(kind: u32, body: &[u8]) -> Vec<u8> {
    message(b'R', &[&kind.to_be_bytes()[..], body].concat())
}

fn parameter(name: &str, value: &str) -> Vec<u8> {
    message(b'S', format!("{name}\0{value}\0").as_bytes())
}

fn error(severity: &str, code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("S{severity}\0C{code}\0M{text}\0\0").as_bytes())
}

fn row(fields: &[&[u8]]) -> Vec<u8> {
    let mut body = u16::try_from(fields.len()).expect("it is narrow").to_be_bytes().to_vec();
    for field in fields {
        body.extend(u32::try_from(field.len()).expect("it is short").to_be_bytes());
        body.extend(*field);
    }
    message(b'D', &body)
}

/// What a statement is answered with that gives one row of these types.
fn answer(types: &[u32], fields: &[&[u8]]) -> Vec<u8> {
    let mut columns = u16::try_from(types.len()).expect("it is narrow").to_be_bytes().to_vec();
    for oid in types {
        columns.extend([b"c\0\0\0\0\0\0\0".as_slice(), &oid.to_be_bytes(), &[0; 8]].concat());
    }
    [
        message(b'1', b""),
        message(b't', &[0, 0]),
        message(b'T', &columns),
        message(b'2', b""),
        row(fields),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// What comes behind the login.
fn greeting(version: &str) -> Vec<u8> {
    let key = message(b'K', &[0, 0, 0, 7, 0, 0, 0, 9]);
    [parameter("server_version", version), key, message(b'Z', b"I")].concat()
}

/// Who carries out statements: this process, which is in recovery or not, and read-only or not.
fn who(pid: u8, is_standby: bool, read_only: &str) -> Vec<u8> {
    answer(&[23, 16, 25], &[&[0, 0, 0, pid], &[u8::from(is_standby)], read_only.as_bytes()])
}

/// Which server that is: always the same.
fn whence() -> Vec<u8> {
    answer(&[20, 20], &[&7_i64.to_be_bytes(), &1_i64.to_be_bytes()])
}

/// A server that lets everybody in, and then says this, one after the other.
fn open(turns: &[Vec<u8>]) -> Server {
    let login = [authentication(0, b""), greeting("15.18 (Debian)")].concat();
    Server::new([&[login, who(7, false, "off"), whence()], turns].concat())
}

#[test]
fn a_conversation_may_come_byte_by_byte() {
    let mut server = open(&[answer(&[20], &[&[0, 0, 0, 0, 0, 0, 0, 5]])]);
    server.stream.piece = 1;
    let (connection, heard) = server.connect("", &Privacy::Clear);
    let mut connection = connection.expect("it is usable");
    assert_eq!((connection.pid(), connection.version()), (7, "15.18 (Debian)"));
    let rows = connection.query("SELECT 5", &[], soon()).expect("it is right");
    assert_eq!(rows.first().and_then(|row| row.i64(0)), Ok(5));
    // It hung up since.
    let why = connection.query("SELECT 5", &[], soon()).expect_err("it is gone");
    assert!(why.to_string().ends_with("the server closed it"), "{why}");
    let heard = heard.lock().expect("no panic");
    assert!(heard[4..].starts_with(b"\0\x03\0\0user\0me\0database\0base\0client_encoding\0UTF8\0"), "{heard:?}");
}

#[test]
fn servers_that_will_not_do_are_told_apart() {
    let login = |version: &str| [authentication(0, b""), greeting(version)].concat();
    let standby = [authentication(0, b""), parameter("in_hot_standby", "on"), greeting("14.1")].concat();
    let read_only =
        [authentication(0, b""), parameter("default_transaction_read_only", "on"), greeting("14.1")].concat();
    let pooled = error("FATAL", "08P01", "unsupported startup parameter: options");
    for (turns, expected) in [
        (vec![login("12.22")], "PostgreSQL 13 or later is needed, this is \"12.22\""),
        (vec![login("x")], "PostgreSQL 13 or later is needed, this is \"x\""),
        (vec![standby], "it is a standby"),
        (vec![read_only], "it is read-only"),
        (vec![login("13.1"), who(7, true, "on")], "it is a standby or read-only"),
        (vec![login("13.1"), who(7, false, "on")], "it is a standby or read-only"),
        (vec![login("16.0"), who(8, false, "off")], "a connection pooler stands before the database"),
        (vec![pooled], "a connection pooler stands before the database"),
        (vec![error("FATAL", "28P01", "no\nway\u{7}")], "FATAL 28P01: no way "),
        (vec![], "the connection to the database is lost: the server closed it"),
        (vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()], "the database said something unexpected: a message of"),
    ] {
        let why = Server::new(turns).refused("", &Privacy::Clear);
        assert!(why.starts_with(expected), "{why}");
    }
    let any = Server::new(vec![login("13.1"), who(7, true, "on"), whence()]);
    any.connect("target_session_attrs=any", &Privacy::Clear).0.expect("it may be read-only");
}

#[test]
fn a_password_is_told_in_clear_to_nobody_who_could_be_overheard() {
    let asks = || Server::new(vec![authentication(3, b"")]);
    let why = asks().refused("", &Privacy::Clear);
    assert_eq!(why, "the server wants the password in clear, over an open connection");
    for privacy in [Privacy::Local, Privacy::Encrypted { end_point: None }] {
        let (_, heard) = asks().connect("", &privacy);
        assert!(heard.lock().expect("no panic").ends_with(format!("{PASSWORD}\0").as_bytes()), "{privacy:?}");
        let why = asks().refused("channel_binding=require", &privacy);
        assert_eq!(why, "the server offers no channel binding, which is required");
    }
    // Twice, or after a hash of it: nobody asks for that.
    for first in [authentication(5, b"salt"), authentication(10, b"SCRAM-SHA-256\0\0")] {
        let why = Server::new(vec![first, authentication(3, b"")]).refused("", &Privacy::Clear);
        assert!(why.ends_with("a message that does not belong to a login"), "{why}");
    }
    let why = Server::new(vec![authentication(7, b"")]).refused("", &Privacy::Clear);
    assert!(why.starts_with("the server wants a login other than by a password"), "{why}");
}

#[test]
fn a_login_is_bound_to_its_connection_where_it_can_be() {
    let encrypted = || Privacy::Encrypted { end_point: Some(vec![1, 2, 3]) };
    let both = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0".as_slice();
    let plain = b"SCRAM-SHA-256\0\0".as_slice();
    for (offered, query, privacy, expected) in [
        (both, "", encrypted(), Some(("SCRAM-SHA-256-PLUS\0", "p=tls-server-end-point,,"))),
        (both, "channel_binding=require", encrypted(), Some(("SCRAM-SHA-256-PLUS\0", "p=tls-server-end-point,,"))),
        // It could do it, and thinks that the server could not: if somebody took its offer out, it hears of that.
        (plain, "", encrypted(), Some(("SCRAM-SHA-256\0", "y,,"))),
        (both, "channel_binding=disable", encrypted(), Some(("SCRAM-SHA-256\0", "n,,"))),
        (both, "", Privacy::Encrypted { end_point: None }, Some(("SCRAM-SHA-256\0", "n,,"))),
        (both, "", Privacy::Clear, Some(("SCRAM-SHA-256\0", "n,,"))),
        (plain, "channel_binding=require", encrypted(), None),
        (both, "channel_binding=require", Privacy::Encrypted { end_point: None }, None),
        (b"SCRAM-SHA-512\0\0", "", encrypted(), None),
        (b"SCRAM-SHA-256", "", encrypted(), None),
    ] {
        let (connected, heard) = Server::new(vec![authentication(10, offered)]).connect(query, &privacy);
        let why = connected.expect_err("it says no more");
        let heard = String::from_utf8_lossy(&heard.lock().expect("no panic")).into_owned();
        match expected {
            Some((mechanism, begin)) => {
                assert!(heard.contains(mechanism) && heard.contains(&format!("{begin}n=,r=")), "{heard:?}");
            }
            None => assert!(!heard.contains("r=") && !why.is_lost() | why.to_string().contains("malformed"), "{why}"),
        }
    }
}

#[test]
fn a_server_must_prove_that_it_knows_the_password() {
    let nonce = |heard: &[u8]| {
        let text = String::from_utf8_lossy(heard).into_owned();
        text.rsplit_once("r=").map(|(_, nonce)| nonce.to_owned()).unwrap_or_default()
    };
    let offer = || Box::new(|_: &[u8]| authentication(10, b"SCRAM-SHA-256\0\0")) as Turn;
    let first = |count: u32| {
        let first = move |heard: &[u8]| {
            let said = format!("r={}more,s=c2FsdA==,i={count}", nonce(heard));
            authentication(11, said.as_bytes())
        };
        Box::new(first) as Turn
    };
    let says = |said: Vec<u8>| Box::new(move |_: &[u8]| said.clone()) as Turn;
    let let_in = || [authentication(0, b""), greeting("15.1")].concat();
    let final_of = |text: &[u8]| says([authentication(12, text), let_in()].concat());
    for (turns, expected) in [
        (vec![offer(), first(4_096), final_of(b"v=AAAA")], "the login failed: SCRAM verification error"),
        (vec![offer(), first(4_096), final_of(b"e=no\x07pe")], "the login failed: "),
        (
            vec![offer(), first(4_096), says(let_in())],
            "the database said something unexpected: a login that ends before",
        ),
        (vec![offer(), says(let_in())], "the database said something unexpected: a login that ends before"),
        (vec![offer(), first(1 << 30)], "the login failed: SCRAM iteration count exceeds"),
        (vec![offer(), says(authentication(11, b"r=x,s=c2FsdA==,i=1"))], "the login failed: invalid nonce"),
        (vec![offer(), final_of(b"v=AAAA")], "the login failed: invalid SCRAM state"),
    ] {
        let why = Server::answering(turns).refused("", &Privacy::Clear);
        assert!(why.starts_with(expected) && !why.contains(char::is_control), "{why}");
    }
}

#[test]
fn what_no_server_says_costs_the_connection_and_nothing_else() {
    let int8 = [0_u8; 8];
    let columns = answer(&[20], &[&int8]);
    let without = |tag: u8| -> Vec<u8> {
        let (mut rest, mut kept) = (columns.as_slice(), Vec::new());
        while let [found, _, _, high, low, ..] = rest {
            let (message, others) = rest.split_at(1 + usize::from(u16::from_be_bytes([*high, *low])));
            if *found != tag {
                kept.extend(message);
            }
            rest = others;
        }
        kept
    };
    let begun = [message(b'1', b""), message(b't', &[0, 0])].concat();
    let too_long = u32::try_from(MESSAGE_LEN_MAX).expect("it is short").to_be_bytes();
    for (case, said) in [
        ("no length", b"D\0\0\0\x03".to_vec()),
        ("too long", [&b"D"[..], &too_long].concat()),
        ("longer than there can be", b"D\xff\xff\xff\xff".to_vec()),
        ("unknown", message(b'?', b"")),
        ("more than there should be", message(b'1', b"x")),
        ("not prepared", without(b'1')),
        ("no columns", without(b'T')),
        ("not bound", without(b'2')),
        ("no end", without(b'C')),
        ("a state that is none", [without(b'Z'), message(b'Z', b"?")].concat()),
        ("too many fields", answer(&[20], &[&int8, &int8])),
        ("too few fields", answer(&[20, 20], &[&int8])),
        ("a row that is cut off", [without(b'C'), message(b'D', &[0, 1, 0, 0, 0, 8, 0])].concat()),
        ("columns that are cut off", [begun.clone(), message(b'T', &[0, 1, b'c', 0])].concat()),
        ("a copy", [begun, message(b'n', b""), message(b'2', b""), message(b'G', &[1, 0, 0])].concat()),
        ("a notification that is no text", message(b'A', b"\0\0\0\x01\xff\0\0")),
    ] {
        let (connection, _) = open(&[said]).connect("", &Privacy::Clear);
        let mut connection = connection.expect(case);
        let why = connection.query("SELECT 1", &[], soon()).expect_err(case);
        assert!(matches!(why, Error::Protocol { sent: Sent::Whole, .. }), "{case}: {why}");
        let again = connection.execute("SELECT 1", &[], soon()).expect_err(case);
        assert!(
            matches!(&again, Error::Lost { sent: Sent::Nothing, why, .. } if why.starts_with("lost before: ")),
            "{case}"
        );
    }
    let long = message(b'R', &vec![0; LOGIN_MESSAGE_LEN_MAX]);
    assert!(Server::new(vec![long]).refused("", &Privacy::Clear).contains("a message of 32773 bytes"));
}

#[test]
fn texts_of_a_server_are_bounded_and_stay_on_their_line() {
    let text = format!("a\r\nb\x1b[31m{}\u{fffd}", "x".repeat(2 * TEXT_LEN_MAX));
    let refusal = [error("ERROR", "P0001", &text), message(b'Z', b"I")].concat();
    let (connection, _) = open(&[refusal]).connect("", &Privacy::Clear);
    let why = connection.expect("it is usable").query("SELECT 1", &[], soon()).expect_err("it is refused");
    assert_eq!(why.server().map(|error| error.message.len()), Some(TEXT_LEN_MAX));
    assert!(why.to_string().starts_with("ERROR P0001: a  b [31mxxx"), "{why}");
}

#[test]
fn how_much_had_left_is_told_with_the_loss() {
    // It takes the login and the first question, then so many bytes, and no more: its buffers are full, or it is gone.
    let taken = {
        let (connection, heard) = open(&[]).connect("", &Privacy::Clear);
        std::mem::forget(connection.expect("it is usable"));
        let heard = heard.lock().expect("no panic");
        heard.len()
    };
    for (more, deaf, sent) in [
        (0, ErrorKind::WouldBlock, Sent::Nothing),
        (10, ErrorKind::WouldBlock, Sent::Part),
        (10, ErrorKind::BrokenPipe, Sent::Part),
    ] {
        let last = [error("FATAL", "57P01", "going down")].concat();
        let mut server = open(&[if deaf == ErrorKind::BrokenPipe { last } else { vec![] }, vec![]]);
        server.stream.takes = taken + more;
        server.stream.deaf = deaf;
        let (connection, _) = server.connect("", &Privacy::Clear);
        let mut connection = connection.expect("it is usable");
        let why = connection.query("SELECT 1", &[], soon()).expect_err("it is deaf");
        assert_eq!((why.is_lost(), why.sent()), (true, Some(sent)), "{why}");
        // Its last words are heard although nothing can be said any more.
        assert_eq!(why.sqlstate(), (deaf == ErrorKind::BrokenPipe).then_some("57P01"), "{why}");
    }
}

/// A server on loopback that says this to a question for TLS.
fn answering_tls(said: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut question = [0; 8];
        socket.read_exact(&mut question).expect("a question");
        assert_eq!(question, [0, 0, 0, 8, 4, 210, 22, 47]);
        // A client that hangs up has its reasons.
        socket.write_all(said).and_then(|()| socket.read_to_end(&mut Vec::new())).unwrap_or_default();
    });
    port
}

#[test]
fn without_tls_nothing_is_said() {
    for (said, expected) in [
        (&b"N"[..], "the server offers no TLS, and nothing is sent in clear (sslmode)"),
        (b"E", "the database said something unexpected: no answer to whether it speaks TLS"),
        (b"", ""),
        // Somebody in between puts words in, in clear.
        (b"SR\0\0\0\x08\0\0\0\0", "the connection to the database is lost: TLS: "),
    ] {
        let port = answering_tls(said);
        let url = Url::parse(&format!("postgres://me:{PASSWORD}@127.0.0.1:{port}/base?sslmode=verify-full"));
        let until = clock::mono().plus(Duration::from_millis(if said.is_empty() { 100 } else { 60_000 }));
        let why = Connection::connect(&url.expect("a URL"), until).expect_err("it is not usable").to_string();
        assert!(why.contains(expected), "{why}");
    }
}

/// How many seeds are tried.
const SEEDS: u64 = 3_000;

#[test]
fn whatever_a_server_says_a_call_comes_to_its_end() {
    let (mut done, mut refused, mut lost) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut random = seed;
        let mut below = |end: usize| {
            random = mix(random);
            (random % end as u64) as usize
        };
        let login = [authentication(0, b""), greeting("15.18")].concat();
        let refusal = [error("ERROR", "P0001", "no"), message(b'Z', b"I")].concat();
        let int8 = answer(&[20, 25], &[&[0; 8], b"text"]);
        let mut turns = vec![login, who(7, false, "off"), whence(), int8.clone(), refusal, int8];
        for _ in 0..below(4) {
            let turn = below(turns.len());
            let turn = &mut turns[turn];
            let at = below(turn.len() + 1);
            match below(4) {
                0 => turn.truncate(at),
                1 => drop(turn.drain(at..(at + below(12)).min(turn.len()))),
                2 => turn.splice(at..at, (0..below(6)).map(|_| below(256) as u8).collect::<Vec<_>>()).for_each(drop),
                _ => turn.iter_mut().skip(at).take(1).for_each(|byte| *byte = below(256) as u8),
            }
        }
        let mut server = Server::new(turns);
        server.stream.piece = 1 + below(50);
        let (connection, _) = server.connect("", &Privacy::Clear);
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(why) => {
                assert!(!why.to_string().contains(char::is_control), "seed {seed}: {why}");
                lost += 1;
                continue;
            }
        };
        for _ in 0..3 {
            match connection.query("SELECT 0, 'text'", &[&1_i64], soon()) {
                Ok(rows) => {
                    done += 1;
                    for row in rows.iter() {
                        // Whether it is one of these nobody knows.
                        let read = (row.i64(0).is_ok(), row.text(1).is_ok());
                        assert!(row.len() == 2 || !read.1, "seed {seed}");
                    }
                }
                Err(why) if why.is_lost() => {
                    assert!(connection.is_lost(), "seed {seed}: {why}");
                    lost += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(done > 1_000 && refused > 500 && lost > 500, "{done} done, {refused} refused, {lost} lost");
}
