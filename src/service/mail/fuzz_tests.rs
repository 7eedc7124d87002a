//! Owns the seeded random test of conversations: whatever a server says in whatever pieces, each comes to its end.
//! It must not depend on time or on a source of chance outside the seed, so that a failure is the same on every run.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};

use super::session::Session;
use crate::channel::{Channel, Way};
use crate::limits::{ERROR_LEN_MAX, MAIL_ADDRESSES_MAX};
use crate::mix::mix;

/// How many seeds are tried; enough for about two seconds in a debug build.
const SEEDS: u64 = 4_000;

/// A server that says this, whatever it hears, in pieces; then it hangs up.
struct Scripted {
    says: Vec<u8>,
    at: usize,
    random: u64,
    heard: Vec<u8>,
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.random = mix(self.random);
        let left = &self.says[self.at..];
        let len = left.len().min(buffer.len()).min(1 + (self.random % 60) as usize);
        buffer[..len].copy_from_slice(&left[..len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replies to a whole conversation, with up to four mutations.
fn said(seed: u64) -> Vec<u8> {
    let mut random = seed;
    let mut below = |end: usize| {
        random = mix(random);
        (random % end as u64) as usize
    };
    let mut bytes = b"220 mail.test\r\n250-mail.test\r\n250-SIZE 1000\r\n250-AUTH LOGIN PLAIN\r\n250 STARTTLS\r\n\
                      235 welcome\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go on\r\n250 queued\r\n"
        .to_vec();
    let tokens: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"-",
        b" ",
        b"\0",
        b"\xff",
        b"250",
        b"999",
        b"354 \r\n",
        b"250-AUTH=\r\n",
        b"421 bye\r\n",
    ];
    for _ in 0..below(5) {
        let at = below(bytes.len() + 1);
        match below(4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..(at + below(12)).min(bytes.len()))),
            2 => {
                let token = tokens[below(tokens.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            _ => {
                let times = below(4_000);
                bytes.splice(at..at, std::iter::repeat_n(b'2', times));
            }
        }
    }
    bytes
}

#[test]
fn whatever_a_server_says_a_conversation_comes_to_its_end() {
    let text = r#"{"kind":"email","url":"smtp://localhost","from":"p@a.test","to":["a@b.test","c@d.test"],"username":"me","password":"planted"}"#;
    let channel = Channel::compile(&serde_json::from_str(text).expect(text), None, true).expect("a channel");
    let Way::Email(mailbox) = channel.way() else { panic!("{channel:?}") };
    let us = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut wire = Scripted { says: said(seed), at: 0, random: seed, heard: Vec::new() };
        let ended =
            Session::greet(&mut wire).and_then(|session| session.hand_over(us, mailbox, "a: b\r\n\r\ntext\r\n"));
        match ended {
            Ok(Some(note)) => {
                assert!(note.starts_with("delivered, but not to "), "seed {seed}: {note}");
                taken += 1;
            }
            Ok(None) => taken += 1,
            Err(why) => {
                let len_max = (MAIL_ADDRESSES_MAX + 1) * (ERROR_LEN_MAX + 300);
                assert!(!why.contains("planted") && why.len() < len_max, "seed {seed}: {why}");
                assert!(!why.contains(['\r', '\n', '\0']), "seed {seed}: {why}");
                refused += 1;
            }
        }
    }
    // Mutations that only ever break conversations, or never do, would test one side alone.
    assert!(taken > SEEDS / 4 && refused > SEEDS / 4, "{taken} taken, {refused} refused");
}
