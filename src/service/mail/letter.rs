//! Owns the form of a letter on its way (RFC 5322, MIME): headers that nothing in a text can add to, and a body in ASCII.
//! It must not send it, or read a clock.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;

use crate::channel::{MailAddress, Mailbox, encoded};
use crate::core::Letter;
use crate::time::WallUs;

/// The longest line that is sent as it is; SMTP takes 998 characters.
const LINE_LEN_MAX: usize = 900;
/// How long the lines of a body in base64 are.
const BASE64_LINE_LEN: usize = 76;

/// The letter as a mail server takes it, in lines that end with CR LF.
pub(super) fn compose(letter: &Letter, mailbox: &Mailbox, now: WallUs) -> String {
    let Letter { key, follows, subject, text } = letter;
    let domain = mailbox.from.domain();
    let to: Vec<String> = mailbox.to.iter().map(MailAddress::to_string).collect();
    let date = DateTime::from_timestamp_micros(now.0).unwrap_or_default().to_rfc2822();
    let mut message = String::new();
    let mut add = |name: &str, value: &str| {
        write!(message, "{name}: {value}\r\n").expect("a string takes any text");
    };
    add("Date", &date);
    add("From", &format!("Punctual <{}>", mailbox.from));
    add("To", &to.join(",\r\n "));
    add("Subject", &encoded(subject, "\r\n "));
    add("Message-ID", &message_id(key, domain));
    if let Some(follows) = follows {
        add("In-Reply-To", &message_id(follows, domain));
        add("References", &message_id(follows, domain));
    }
    // So that nobody answers that they are on holiday (RFC 3834).
    add("Auto-Submitted", "auto-generated");
    add("MIME-Version", "1.0");
    add("Content-Type", "text/plain; charset=utf-8");
    let is_plain = text.lines().all(|line| line.len() <= LINE_LEN_MAX)
        && text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic());
    add("Content-Transfer-Encoding", if is_plain { "7bit" } else { "base64" });
    message.push_str("\r\n");
    if is_plain {
        text.lines().for_each(|line| push_line(&mut message, line));
        return message;
    }
    // Whoever wrote the text may have ended its lines so already.
    let body = STANDARD.encode(text.replace("\r\n", "\n").replace('\n', "\r\n"));
    for line in body.as_bytes().chunks(BASE64_LINE_LEN) {
        push_line(&mut message, str::from_utf8(line).expect("base64 is ASCII"));
    }
    message
}

fn push_line(message: &mut String, line: &str) {
    message.push_str(line);
    message.push_str("\r\n");
}

fn message_id(key: &str, domain: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let key: String = key.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    format!("<{key}@{domain}>")
}

/// A message as it stands behind DATA: a dot that begins a line is doubled, and one alone ends it (RFC 5321, section 4.5.2).
pub(super) fn stuffed(message: &str) -> String {
    let mut data = String::with_capacity(message.len() + 5);
    for line in message.split_terminator("\r\n") {
        if line.starts_with('.') {
            data.push('.');
        }
        push_line(&mut data, line);
    }
    data.push_str(".\r\n");
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Channel, Way};

    fn mailbox() -> std::sync::Arc<Mailbox> {
        let text = r#"{"kind":"email","url":"smtp://localhost","from":"punctual@a.test","to":["a@b.test","c@d.test"]}"#;
        let definition = serde_json::from_str(text).expect("a definition");
        let channel = Channel::compile(&definition, None, false).expect("a channel");
        let Way::Email(mailbox) = channel.way() else { panic!("{channel:?}") };
        std::sync::Arc::clone(mailbox)
    }

    fn letter(subject: &str, text: &str) -> Letter {
        Letter { key: "1.2.ops".into(), follows: Some("1.1.ops".into()), subject: subject.into(), text: text.into() }
    }

    const AT: WallUs = WallUs(1_767_229_831_000_000);

    #[test]
    fn a_letter_is_what_servers_and_people_read() {
        let message = compose(&letter("FAILING: a-job", "It failed.\n.hidden\n\nIncident: 1"), &mailbox(), AT);
        let expected = "Date: Thu, 1 Jan 2026 01:10:31 +0000\r\nFrom: Punctual <punctual@a.test>\r\n\
                        To: a@b.test,\r\n c@d.test\r\nSubject: FAILING: a-job\r\nMessage-ID: <1.2.ops@a.test>\r\n\
                        In-Reply-To: <1.1.ops@a.test>\r\nReferences: <1.1.ops@a.test>\r\nAuto-Submitted: auto-generated\r\n\
                        MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                        Content-Transfer-Encoding: 7bit\r\n\r\nIt failed.\r\n.hidden\r\n\r\nIncident: 1\r\n";
        assert_eq!(message, expected);
        assert!(stuffed(&message).ends_with("\r\n..hidden\r\n\r\nIncident: 1\r\n.\r\n"));
    }

    #[test]
    fn no_text_adds_a_header_or_ends_the_letter() {
        for evil in [
            "a\r\nBcc: x@y.test",
            "a\nBcc: x@y.test",
            "\u{fc}\r\nBcc: x@y.test",
            "a\r\n.\r\nMAIL FROM:<x@y>",
            "a\rb\0c",
        ] {
            let message = compose(&letter(evil, evil), &mailbox(), AT);
            let (head, _) = message.split_once("\r\n\r\n").expect("a body");
            assert!(head.lines().all(|line| !line.starts_with("Bcc") && !line.starts_with('.')), "{head}");
            assert!(message.is_ascii() && !message.replace("\r\n", "").contains(['\r', '\n', '\0']), "{message:?}");
            let data = stuffed(&message);
            assert_eq!(data.match_indices("\r\n.\r\n").map(|(at, _)| at).collect::<Vec<_>>(), [data.len() - 5]);
        }
    }

    #[test]
    fn what_is_not_ascii_or_too_long_comes_in_base64_lines() {
        for text in ["F\u{fc}r alle\n\u{1f600}".to_owned(), "\u{fc}\r\nb\n".to_owned(), "x".repeat(5_000)] {
            let message = compose(&letter("s", &text), &mailbox(), AT);
            assert!(message.lines().all(|line| line.len() <= 78), "{message}");
            let (_, body) = message.split_once("\r\n\r\n").expect("a body");
            let back = STANDARD.decode(body.replace("\r\n", "")).expect("base64");
            let lines = text.replace("\r\n", "\n").replace('\n', "\r\n");
            assert_eq!(String::from_utf8(back).expect("UTF-8"), lines);
        }
    }
}
