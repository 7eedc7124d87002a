//! Owns the properties of a conversation with a database: each call comes to its end, nothing is said that was not to be said,
//! and no password in clear to a server that could be overheard with it.
//! It must not open a connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

use punctual::postgres::bounds::{NOTIFICATIONS_MAX, TEXT_LEN_MAX};
use punctual::postgres::{Connection, Error, Privacy, Row, Stream, Url};
use punctual::time::MonoUs;

use super::support::{Chance, LEN_MAX};

const PASSWORD: &str = "planted-in-a-test";

/// What is said to a server after the login, and never before.
const STATEMENT: &str = "SELECT what, was, said FROM calls";

/// The first byte says who else could hear (two bits), whether channel binding is required, and whether the server begins
/// by letting us in as it should. Then come the turns of the server, with `|>` between them: it says the next one when it
/// was told something since it said the last one.
pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LEN_MAX)];
    let (flags, says) = data.split_first().map_or((0, data), |(flags, says)| (*flags, says));
    let privacy = match flags & 3 {
        0 => Privacy::Clear,
        1 => Privacy::Local,
        2 => Privacy::Encrypted { end_point: None },
        _ => Privacy::Encrypted { end_point: Some(vec![7; 32]) },
    };
    let query = if flags & 4 == 0 { "" } else { "?channel_binding=require" };
    let url = Url::parse(&format!("postgres://me:{PASSWORD}@db.test/base{query}")).expect("it is a URL");
    let mut turns: Vec<Vec<u8>> = Vec::new();
    if flags & 8 != 0 {
        turns.push(LET_IN.to_vec());
        turns.push(WHO.to_vec());
    }
    turns.extend(split(says));

    let mut chance = Chance::of(data);
    let whole = told(&turns, 2_000, &url, &privacy, &mut chance);
    for len_max in [1, 50] {
        let cut = told(&turns, len_max, &url, &privacy, &mut chance);
        assert_eq!(cut.0, whole.0, "{}", says.escape_ascii());
    }
    let (said, heard) = whole;
    for said in &said {
        // Each text of a server is bounded, and there are few in an error.
        assert!(said.len() < 100 + 8 * 4 * TEXT_LEN_MAX, "{said}");
        assert!(!said.contains(char::is_control), "{said:?}");
        // Who does not know it cannot keep a server from saying it.
        assert!(contains(data, PASSWORD) || !said.contains(PASSWORD), "{said}");
    }
    check_heard(&heard, &privacy, said.len() > 1);
}

/// What was said is messages as a client says them, in an order that makes sense.
fn check_heard(mut heard: &[u8], privacy: &Privacy, is_in: bool) {
    assert!(*privacy != Privacy::Clear || !contains(heard, PASSWORD), "{}", heard.escape_ascii());
    assert!(is_in || !contains(heard, STATEMENT), "{}", heard.escape_ascii());
    let mut tags = Vec::new();
    while let Some((tag, rest)) = heard.split_first() {
        // The first one has no tag.
        let (tag, rest) = if tags.is_empty() { (b' ', heard) } else { (*tag, rest) };
        let len = rest.first_chunk().map(|len| u32::from_be_bytes(*len) as usize).expect("messages have a length");
        assert!((4..=rest.len()).contains(&len), "messages are whole: {}", rest.escape_ascii());
        tags.push(tag);
        heard = &rest[len..];
    }
    assert!(tags.iter().all(|tag| b" pPDBECSQdcfX".contains(tag)), "{}", tags.escape_ascii());
    let logged_in = tags.iter().skip(1).take_while(|tag| **tag == b'p').count();
    assert!(logged_in <= 2, "a password is told once, or proven in two steps: {}", tags.escape_ascii());
    assert!(!tags[(logged_in + 1).min(tags.len())..].contains(&b'p'), "{}", tags.escape_ascii());
}

/// What became of the login and of each call, as texts, and what the server heard.
fn told(
    turns: &[Vec<u8>],
    len_max: usize,
    url: &Url,
    privacy: &Privacy,
    chance: &mut Chance,
) -> (Vec<String>, Vec<u8>) {
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let turns = turns.iter().map(|turn| chance.cut(turn, len_max).into_iter().map(<[u8]>::to_vec).collect());
    let stream =
        Scripted { turns: turns.collect(), saying: VecDeque::new(), heard: Arc::clone(&heard), was_told: false };
    let known = || heard.lock().expect("no panic").clone();
    let mut connection = match Connection::over(Box::new(stream), url, privacy, MonoUs(u64::MAX)) {
        Ok(connection) => connection,
        Err(why) => return (vec![why.to_string()], known()),
    };
    let mut said = vec!["in".to_owned()];
    for round in 0..CALLS {
        let (was_lost, before) = (connection.is_lost(), known().len());
        let result = call(&mut connection, round);
        let is_lost = result.as_ref().is_err_and(Error::is_lost);
        assert_eq!(connection.is_lost(), is_lost, "{result:?}");
        assert!(!was_lost || (is_lost && known().len() == before), "a lost connection is silent: {result:?}");
        said.push(result.map_or_else(|why| why.to_string(), |count| count.to_string()));
    }
    drop(connection);
    (said, known())
}

const CALLS: usize = 8;

/// One call of each kind: how much came of it.
fn call(connection: &mut Connection, round: usize) -> Result<u64, Error> {
    let until = MonoUs(u64::MAX);
    match round {
        0 | 7 => {
            let rows = connection.query(STATEMENT, &[&7_i64, &"text", &vec![Some(1_i32), None]], until)?;
            Ok(rows.iter().map(read).sum())
        }
        1 => connection.execute(STATEMENT, &[], until),
        2 => connection.each(
            STATEMENT,
            &[&true],
            until,
            |row| if read(row) == 3 { row.bool(9).map(drop) } else { Ok(()) },
        ),
        3 => {
            let mut pipeline = connection.pipeline();
            pipeline.run(STATEMENT, &[]);
            pipeline.copy_in("COPY t FROM STDIN (FORMAT binary)", |rows| rows.row(&[&1_i64, &None::<&str>]));
            pipeline.run(STATEMENT, &[&[1_u8, 2]]);
            Ok(pipeline
                .finish(until)?
                .iter()
                .map(|done| done.affected + done.rows.len() as u64)
                .fold(0, u64::wrapping_add))
        }
        4 => connection.batch(STATEMENT, until).map(|()| 0),
        5 => connection.copy_out("COPY t TO STDOUT (FORMAT binary)", until, |row| {
            read(row);
            Ok(())
        }),
        6 => {
            let heard = connection.notifications(until)?;
            assert!(heard.len() <= NOTIFICATIONS_MAX);
            Ok(heard.len() as u64)
        }
        _ => unreachable!("there are {CALLS}"),
    }
}

/// Reads a row as everything that it could be: how much of it was something.
fn read(row: Row<'_>) -> u64 {
    let mut known = 0;
    for column in 0..row.len() + 1 {
        let read = [
            row.opt_bool(column).is_ok(),
            row.opt_i16(column).is_ok(),
            row.opt_i32(column).is_ok(),
            row.opt_i64(column).is_ok(),
            row.opt_u32(column).is_ok(),
            row.opt_f64(column).is_ok(),
            row.opt_text(column).is_ok(),
            row.opt_jsonb(column).is_ok(),
            row.opt_bytes(column).is_ok(),
            row.i64s(column).is_ok(),
            row.texts(column).is_ok(),
        ];
        let count = read.iter().filter(|read| **read).count() as u64;
        assert!(column < row.len() || count == 0, "there is no such column");
        known += count;
    }
    known
}

/// A server that says the next thing when it was told something since it said the last one; then it hangs up.
struct Scripted {
    turns: VecDeque<VecDeque<Vec<u8>>>,
    saying: VecDeque<Vec<u8>>,
    heard: Arc<Mutex<Vec<u8>>>,
    was_told: bool,
}

impl Scripted {
    /// Whether there is something to read, if only the end.
    fn fill(&mut self) -> bool {
        if self.saying.is_empty() && self.was_told && !self.turns.is_empty() {
            self.was_told = false;
            self.saying = self.turns.pop_front().unwrap_or_default();
        }
        !self.saying.is_empty() || (self.was_told && self.turns.is_empty())
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.fill() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let Some(piece) = self.saying.pop_front() else { return Ok(0) };
        let (now, later) = piece.split_at(piece.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        if !later.is_empty() {
            self.saying.push_front(later.to_vec());
        }
        Ok(now.len())
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.was_told |= !bytes.is_empty();
        self.heard.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Scripted {
    fn wait(&mut self, _: bool, _: MonoUs) -> io::Result<()> {
        if self.fill() { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut turns = vec![Vec::new()];
    let mut rest = bytes;
    while let Some((byte, others)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(b"|>") {
            turns.push(Vec::new());
            rest = behind;
        } else {
            turns.last_mut().expect("there is one from the start").push(*byte);
            rest = others;
        }
    }
    turns
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|piece| piece == text.as_bytes())
}

/// AuthenticationOk, the version, the process 7, and that it is ready.
const LET_IN: &[u8] =
    b"R\0\0\0\x08\0\0\0\0S\0\0\0\x19server_version\x0015.18\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x09Z\0\0\0\x05I";

/// That it is process 7 that answers, not in recovery and not read-only.
const WHO: &[u8] = b"1\0\0\0\x04t\0\0\0\x06\0\0T\0\0\0\x42\0\x03\
    p\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0\
    r\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0\
    t\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0\
    2\0\0\0\x04D\0\0\0\x1a\0\x03\0\0\0\x04\0\0\0\x07\0\0\0\x01\0\0\0\0\x03offC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
