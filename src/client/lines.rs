//! Owns lines as they come, from whoever may be gone without a word: a machine that sleeps or a line that is cut says nothing.
//! It must not know what stands in them.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How many lines may wait to be taken.
const WAITING_MAX: usize = 64;

/// The lines of what is read. If nothing comes for long, that is an error, and the end.
pub(crate) struct Lines {
    lines: Receiver<io::Result<String>>,
    silence_max: Duration,
    is_over: bool,
}

impl Lines {
    /// Reads on a thread of its own, which lasts until something comes, or the process ends.
    pub(crate) fn of(reader: impl Read + Send + 'static, silence_max: Duration) -> Lines {
        let (say, lines) = sync_channel(WAITING_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                let is_last = line.is_err();
                if say.send(line).is_err() || is_last {
                    return;
                }
            }
        });
        Lines { lines, silence_max, is_over: false }
    }
}

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        if self.is_over {
            return None;
        }
        let line = match self.lines.recv_timeout(self.silence_max) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let why = format!("nothing came for {} s", self.silence_max.as_secs());
                Some(Err(io::Error::new(ErrorKind::TimedOut, why)))
            }
        };
        self.is_over = !matches!(line, Some(Ok(_)));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_to_the_end_or_to_a_silence() {
        let whole = Lines::of(&b"one\ntwo\r\n\nthree"[..], Duration::from_secs(60));
        let read: Vec<String> = whole.map(|line| line.expect("it is a text")).collect();
        assert_eq!(read, ["one", "two", "", "three"]);

        let (reader, mut writer) = io::pipe().expect("there is one");
        io::Write::write_all(&mut writer, b"one\ntw").expect("there is room");
        let mut lines = Lines::of(reader, Duration::from_millis(200));
        assert_eq!(lines.next().expect("it came").expect("it is a text"), "one");
        assert_eq!(lines.next().expect("it is told").expect_err("nothing comes").kind(), ErrorKind::TimedOut);
        assert!(lines.next().is_none());
        drop(writer);

        let mut broken = Lines::of(&b"\xff\nmore\n"[..], Duration::from_secs(60));
        assert_eq!(broken.next().expect("it is told").expect_err("it is no text").kind(), ErrorKind::InvalidData);
        assert!(broken.next().is_none());
    }
}
