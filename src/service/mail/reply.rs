//! Owns the replies of mail servers as bytes come in: a code, and lines of text (RFC 5321, section 4.2).
//! It must not keep more of one than a reply may have, or trust a word of it.

use crate::limits::{ERROR_LEN_MAX, MAIL_LINE_LEN_MAX, MAIL_REPLY_LINES_MAX};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// What stands behind the code in each line, without control characters.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// What it says, in a line.
    pub(super) fn text(&self) -> String {
        let mut text = self.lines.join(" ").trim().to_owned();
        text.truncate(text.floor_char_boundary(ERROR_LEN_MAX));
        text
    }
}

/// Bytes of replies that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct Replies {
    unread: Vec<u8>,
    begun: Option<Reply>,
}

impl Replies {
    /// Bytes came.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Whether there is nothing behind the last reply.
    pub(super) fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.begun.is_none()
    }

    /// The next reply, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Reply>, String> {
        while let Some(end) = self.unread.iter().take(MAIL_LINE_LEN_MAX).position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let (code, is_last, text) = split(line.trim_ascii_end()).ok_or_else(|| malformed(&line))?;
            let reply = self.begun.get_or_insert_with(|| Reply { code, lines: Vec::new() });
            if reply.code != code || reply.lines.len() >= MAIL_REPLY_LINES_MAX {
                return Err(malformed(&line));
            }
            reply.lines.push(text);
            if is_last {
                return Ok(self.begun.take());
            }
        }
        if self.unread.len() >= MAIL_LINE_LEN_MAX {
            return Err(malformed(&self.unread));
        }
        Ok(None)
    }
}

/// The code of a line, whether it is the last one, and its text.
fn split(line: &[u8]) -> Option<(u16, bool, String)> {
    let (code, rest) = line.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = str::from_utf8(code).ok()?.parse().ok().filter(|code| (200..600).contains(code))?;
    let (is_last, text) = match rest {
        [] => (true, rest),
        [b' ', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        [_, ..] => return None,
    };
    let text = String::from_utf8_lossy(text);
    Some((code, is_last, text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()))
}

fn malformed(line: &[u8]) -> String {
    const SHOWN_MAX: usize = 80;
    let shown = line.trim_ascii_end();
    format!("the mail server said something that is no reply: {}", shown[..shown.len().min(SHOWN_MAX)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<(u16, String)>, String> {
        let (mut replies, mut found) = (Replies::default(), Vec::new());
        for piece in pieces {
            replies.hear(piece);
            while let Some(reply) = replies.next()? {
                found.push((reply.code, reply.text()));
            }
        }
        Ok(found)
    }

    #[test]
    fn replies_are_read_however_they_come() {
        let bytes = b"220 mail.test\r\n250-one\r\n250-two\n250 three\r\n354\r\n550 5.1.1 no \x1b[31m\xff\r\n";
        let expected = [(220, "mail.test"), (250, "one two three"), (354, ""), (550, "5.1.1 no  [31m\u{fffd}")];
        let expected = expected.map(|(code, text)| (code, text.to_owned()));
        assert_eq!(read(&[bytes]).expect("replies"), expected);
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&bytewise).expect("replies"), expected);
    }

    #[test]
    fn what_is_no_reply_is_refused_within_bounds() {
        let long = vec![b'2'; MAIL_LINE_LEN_MAX];
        let many = "250-x\r\n".repeat(MAIL_REPLY_LINES_MAX + 1);
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\r\n",
            b"25\r\n",
            b"2500 x\r\n",
            b"199 x\r\n",
            b"600 x\r\n",
            b"+50 x\r\n",
            b"250-x\r\n251 y\r\n",
            b"\x16\x03\x01\n",
            &long,
            many.as_bytes(),
        ] {
            let why = read(&[bytes]).expect_err("no reply");
            assert!(why.starts_with("the mail server said something that is no reply") && why.len() < 500, "{why}");
        }
    }
}
