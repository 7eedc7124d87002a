//! Owns the properties of a conversation with a mail server: it comes to its end, says nothing that it was not asked for,
//! and the letter is told as it was written.
//! It must not open a connection.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use punctual::channel::{Channel, Mailbox, Way};
use punctual::core::Letter;
use punctual::limits::{ERROR_LEN_MAX, MAIL_ADDRESSES_MAX};
use punctual::mail::hand_over;

use super::support::{Chance, LEN_MAX, NOW};

const PASSWORD: &str = "planted-in-a-test";

/// Up to a zero what the server says, up to another one the subject, then the text. A server whose first byte is `*` is one
/// that we log in to.
pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LEN_MAX)];
    let (says, logs_in) = data.strip_prefix(b"*").map_or((data, false), |says| (says, true));
    let mut parts = says.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (says, subject, text) = (part(), part(), part());
    let [subject, text] = [subject, text].map(|text| String::from_utf8_lossy(text).into_owned());
    let letter = Letter { key: "1.2.ops".into(), follows: Some("1.1\r\nops".into()), subject, text };

    let mut chance = Chance::of(data);
    let whole = told(says, 2_000, logs_in, &letter, &mut chance);
    for len_max in [1, 50] {
        assert_eq!(told(says, len_max, logs_in, &letter, &mut chance), whole, "{}", says.escape_ascii());
    }
    let (ended, heard) = whole;
    match &ended {
        Ok(Some(note)) => assert!(note.starts_with("delivered, but not to "), "{note}"),
        Ok(None) => {}
        Err(why) => assert!(!why.is_empty()),
    }
    let said = ended.as_ref().map_or_else(|why| why.as_str(), |note| note.as_deref().unwrap_or_default());
    assert!(said.len() < (MAIL_ADDRESSES_MAX + 1) * (ERROR_LEN_MAX + 300), "{said}");
    // Who does not know it cannot keep a server from saying it.
    let is_told = said.contains(PASSWORD) || said.contains(&STANDARD.encode(PASSWORD));
    assert!(!logs_in || !is_told, "{said}");
    assert!(!said.contains(char::is_control), "{said:?}");

    let lines: Vec<&str> = heard.split_terminator("\r\n").collect();
    assert!(heard.is_empty() || heard.ends_with("\r\n"), "{heard}");
    assert!(!lines.iter().any(|line| line.contains(['\r', '\n', '\0'])), "{}", heard.escape_debug());
    assert!(heard.is_ascii() && lines.iter().all(|line| line.len() <= 998), "{}", heard.escape_debug());
    let place = |what: &str| lines.iter().position(|line| line.starts_with(what));
    let data_at = place("DATA");
    // What the letter says is its own affair.
    assert!(logs_in || place("AUTH").is_none_or(|auth| data_at.is_some_and(|data| data < auth)), "{heard}");
    assert!(ended.is_err() || data_at.is_some(), "nothing is delivered that was not said: {heard}");
    if let Some(place) = data_at
        && lines.len() > place + 1
    {
        check_letter(&lines[place + 1..], &letter);
    }
}

/// What was said behind DATA is the letter, and nothing in it that is not ours ends it or adds to its headers.
fn check_letter(lines: &[&str], letter: &Letter) {
    let end = lines.iter().position(|line| *line == ".").expect("a letter has an end");
    assert!(lines[end + 1..].iter().all(|line| *line == "QUIT"), "{lines:?}");
    let lines: Vec<&str> = lines[..end].iter().map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
    let blank = lines.iter().position(|line| line.is_empty()).expect("headers have an end");
    let names: Vec<&str> = lines[..blank]
        .iter()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    let expected = [
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    assert_eq!(names, expected);
    let body = &lines[blank + 1..];
    let is_base64 = lines[..blank].contains(&"Content-Transfer-Encoding: base64");
    let read = if is_base64 {
        let text = STANDARD.decode(body.concat()).expect("base64");
        String::from_utf8(text).expect("it was a text").replace("\r\n", "\n")
    } else {
        body.join("\n")
    };
    let written = letter.text.replace("\r\n", "\n");
    let same = |text: &str| text.trim_end_matches('\n').to_owned();
    assert_eq!(same(&read), same(&written));
}

/// How it ended, and what the server heard.
fn told(
    says: &[u8],
    len_max: usize,
    logs_in: bool,
    letter: &Letter,
    chance: &mut Chance,
) -> (Result<Option<String>, String>, String) {
    let mut pieces = chance.cut(says, len_max);
    pieces.reverse();
    let mut wire = Scripted { pieces, heard: Vec::new() };
    let us = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let ended = hand_over(&mut wire, us, &mailbox(logs_in), letter, NOW);
    (ended, String::from_utf8(wire.heard).expect("we say text"))
}

fn mailbox(logs_in: bool) -> Arc<Mailbox> {
    static KNOWN: OnceLock<[Arc<Mailbox>; 2]> = OnceLock::new();
    let made = |login: &str| {
        let text = format!(
            r#"{{"kind":"email","url":"smtp://localhost","from":"p@a.test","to":["a@b.test","c@d.test"]{login}}}"#
        );
        let definition = serde_json::from_str(&text).expect("a definition");
        let channel = Channel::compile(&definition, None, true).expect("a channel");
        let Way::Email(mailbox) = channel.way() else { panic!("{channel:?}") };
        Arc::clone(mailbox)
    };
    let known = KNOWN.get_or_init(|| [made(""), made(&format!(r#","username":"somebody","password":"{PASSWORD}""#))]);
    Arc::clone(&known[usize::from(logs_in)])
}

/// A server that says this, whatever it hears; then it hangs up.
struct Scripted<'a> {
    /// The last one is said first.
    pieces: Vec<&'a [u8]>,
    heard: Vec<u8>,
}

impl Read for Scripted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.pop() else { return Ok(0) };
        let (now, later) = piece.split_at(piece.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        if !later.is_empty() {
            self.pieces.push(later);
        }
        Ok(now.len())
    }
}

impl Write for Scripted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
