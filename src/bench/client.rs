//! Owns the event-loop HTTP client: many kept-alive connections, on each the next request after each answer.
//! It must not know what the requests are for: a [`Source`] writes them and hears the answers.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

/// How long the loop sleeps at most, so that it notices a stop.
const NAP_MAX: Duration = Duration::from_millis(50);
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest answer, head and body.
const ANSWER_LEN_MAX: usize = 4 * 1024 * 1024;

/// What a connection is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send what was appended; `tag` comes back with the answer.
    Send { tag: u64 },
    /// Ask again at this time.
    Wait(Instant),
    /// There is nothing more to send, unless an answer changes that.
    Done,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) tag: u64,
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    /// When its request was written.
    pub(super) sent: Instant,
    /// When it had been read.
    pub(super) at: Instant,
}

/// Writes requests and hears answers.
pub(super) trait Source {
    /// Appends the next request to `out`, or says why there is none.
    fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next;
    /// Hears an answer.
    fn answered(&mut self, answer: &Answer<'_>);
}

/// Drives a source until it is done and every answer is there, or until the time limit, or until told to stop.
/// Requests without an answer at the time limit are forgotten. The connections are spread over the addresses.
///
/// # Errors
/// When a connection cannot be made or fails in the middle of an exchange.
pub(super) fn drive(
    addresses: &[SocketAddr],
    connections: usize,
    source: &mut dyn Source,
    until: Instant,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut lines = Vec::new();
    for (number, address) in addresses.iter().cycle().take(connections).enumerate() {
        lines.push(Line::open(*address, poll.registry(), Token(number))?);
    }
    let mut idle: Vec<usize> = (0..connections).collect();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let now = Instant::now();
        if now >= until || stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut wait = until.duration_since(now).min(NAP_MAX);
        while let Some(&number) = idle.last() {
            let line = &mut lines[number];
            match source.next(now, &mut line.output) {
                Next::Send { tag } => {
                    idle.pop();
                    line.begin(tag, now)?;
                }
                Next::Wait(at) => {
                    wait = wait.min(at.saturating_duration_since(now));
                    break;
                }
                Next::Done if idle.len() == connections => return Ok(()),
                Next::Done => break,
            }
        }
        match poll.poll(&mut events, Some(wait)) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(why) => return Err(why),
        }
        for event in &events {
            let Token(number) = event.token();
            let line = &mut lines[number];
            line.send()?;
            while line.receive(&mut buffer, source)? {
                // The next request at once, on the connection that is warm.
                let now = Instant::now();
                if now >= until {
                    return Ok(());
                }
                match source.next(now, &mut line.output) {
                    Next::Send { tag } => line.begin(tag, now)?,
                    Next::Wait(_) | Next::Done => {
                        idle.push(number);
                        break;
                    }
                }
            }
        }
        // Answers that never come must not hold the run up for ever.
        let now = Instant::now();
        if lines.iter().any(|line| line.pending.is_some_and(|(_, sent)| now - sent > ANSWER_TIME_MAX)) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "an answer did not come within 30 s"));
        }
    }
}

/// One connection.
struct Line {
    stream: TcpStream,
    output: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    pending: Option<(u64, Instant)>,
}

impl Line {
    fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Line> {
        // Blocking, so that a refused connection is an error here and nowhere else.
        let stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Line { stream, output: Vec::new(), sent: 0, input: Vec::new(), pending: None })
    }

    fn begin(&mut self, tag: u64, now: Instant) -> io::Result<()> {
        self.pending = Some((tag, now));
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads; true when an answer was whole and has been heard.
    fn receive(&mut self, buffer: &mut [u8], source: &mut dyn Source) -> io::Result<bool> {
        let Some((tag, sent)) = self.pending else { return Ok(false) };
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
                Ok(length) => length,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) => return Err(why),
            };
            self.input.extend_from_slice(&buffer[..length]);
            if let Some((status, head_length, body_length)) = answer_in(&self.input)? {
                let body = &self.input[head_length..head_length + body_length];
                source.answered(&Answer { tag, status, body, sent, at: Instant::now() });
                self.input.drain(..head_length + body_length);
                self.pending = None;
                return Ok(true);
            }
            if self.input.len() > ANSWER_LEN_MAX {
                return Err(io::Error::other("an answer is longer than 4 MiB"));
            }
        }
    }
}

/// Status, length of the head and length of the body of the answer in front, once it is whole.
pub(super) fn answer_in(bytes: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "an answer is not HTTP");
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head_length = match response.parse(bytes).map_err(|_| malformed())? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.ok_or_else(malformed)?;
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body_length = match length {
        None if status == 204 || status == 304 => 0,
        None => return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer does not state its length")),
        Some(header) => {
            let text = std::str::from_utf8(header.value).map_err(|_| malformed())?;
            text.parse::<usize>().ok().filter(|length| *length <= ANSWER_LEN_MAX).ok_or_else(malformed)?
        }
    };
    Ok((bytes.len() >= head_length + body_length).then_some((status, head_length, body_length)))
}

/// One GET, blocking; the answer's status and body.
///
/// # Errors
/// When there is no whole answer within some seconds.
pub(super) fn get(address: SocketAddr, host: &str, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let wait = Duration::from_secs(10);
    let mut stream = std::net::TcpStream::connect_timeout(&address, wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_LEN_MAX as u64).read_to_end(&mut bytes)?;
    let whole = answer_in(&bytes)?;
    let (status, head, body) = whole.ok_or_else(|| io::Error::other("the connection was closed too early"))?;
    Ok((status, bytes[head..head + body].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_where_their_length_says() {
        let bytes = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabcHTTP";
        let head = bytes.len() - 7;
        assert_eq!(answer_in(bytes).expect("well-formed"), Some((201, head, 3)));
        assert_eq!(answer_in(&bytes[..head + 2]).expect("well-formed"), None);
        assert_eq!(answer_in(b"HTTP/1.1 204 No Content\r\n\r\n").expect("well-formed").map(|it| it.0), Some(204));
        assert!(answer_in(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(answer_in(b"nonsense\r\n\r\n").is_err());
    }
}
