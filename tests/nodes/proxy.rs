//! Owns the line between a node and its database: doors on loopback behind which bytes go on, wait, or are lost.
//! It must not know what the bytes mean.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The ports of the servers that doors lead to, which change as servers do.
pub type Ports = [AtomicU16; 2];

/// How often somebody who waits looks whether the line is another one.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Up is towards the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// Which directions something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Only(Direction),
    Both,
}

impl Which {
    fn has(self, direction: Direction) -> bool {
        self == Which::Both || self == Which::Only(direction)
    }
}

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Open,
    /// Connections are broken off, and none comes about.
    Cut,
    /// What goes there waits, and arrives once the line is open.
    Held(Which),
    /// What goes there is thrown away. Connections that lost something are broken off once the line is open.
    Lost(Which),
    /// Each piece waits for so many milliseconds.
    Slow(u64),
    /// So many bytes go up, and then the line is cut, or nothing goes any more.
    Part {
        left: usize,
        is_cut: bool,
    },
}

/// The doors of one node. Threads end with the process.
pub struct Proxy {
    line: Arc<Mutex<Line>>,
    doors: [u16; 2],
}

impl Proxy {
    pub fn start(ports: &Arc<Ports>) -> Proxy {
        let line = Arc::new(Mutex::new(Line::Open));
        let doors = [0, 1].map(|place: usize| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let port = listener.local_addr().expect("it is bound").port();
            let (line, ports) = (Arc::clone(&line), Arc::clone(ports));
            std::thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let to = ports[place].load(Ordering::SeqCst);
                    // Nobody behind the door: whoever came is turned away.
                    if look(&line) != Line::Cut
                        && to > 0
                        && let Ok(server) = TcpStream::connect(("127.0.0.1", to))
                    {
                        connect(&line, client, server);
                    }
                }
            });
            port
        });
        Proxy { line, doors }
    }

    /// Where the doors are, as a URL lists hosts.
    pub fn hosts(&self) -> String {
        self.doors.map(|port| format!("127.0.0.1:{port}")).join(",")
    }

    pub fn set(&self, line: Line) {
        *self.line.lock().expect("no thread panics with it") = line;
    }
}

fn look(line: &Mutex<Line>) -> Line {
    *line.lock().expect("no thread panics with it")
}

fn connect(line: &Arc<Mutex<Line>>, client: TcpStream, server: TcpStream) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("it is a socket");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("it is a socket");
    }
    let twin = |stream: &TcpStream| stream.try_clone().expect("it can be cloned");
    for (from, to, direction) in
        [(twin(&client), twin(&server), Direction::Up), (twin(&server), twin(&client), Direction::Down)]
    {
        let line = Arc::clone(line);
        std::thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || {
                carry(&line, &from, &to, direction);
                // The other direction ends by this.
                for stream in [&from, &to] {
                    stream.shutdown(Shutdown::Both).unwrap_or_default();
                }
            })
            .expect("a thread");
    }
}

/// Carries bytes until the connection ends, or is to end.
fn carry(line: &Mutex<Line>, mut from: &TcpStream, to: &TcpStream, direction: Direction) {
    let mut bytes = [0; 16 * 1024];
    let mut has_lost = false;
    loop {
        match look(line) {
            Line::Cut => return,
            Line::Open if has_lost => return,
            _ => {}
        }
        match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => match pass(line, &bytes[..length], to, direction) {
                Some(whole) => has_lost |= !whole,
                None => return,
            },
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// Passes some bytes on, whenever the line lets them. Whether they were; None: the connection is to end.
fn pass(line: &Mutex<Line>, mut bytes: &[u8], mut to: &TcpStream, direction: Direction) -> Option<bool> {
    while !bytes.is_empty() {
        match look(line) {
            Line::Cut => return None,
            Line::Held(which) if which.has(direction) => {
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            Line::Lost(which) if which.has(direction) => return Some(false),
            Line::Slow(ms) => std::thread::sleep(Duration::from_millis(ms)),
            Line::Part { .. } if direction == Direction::Up => {
                let length = take_part(line, bytes.len());
                to.write_all(&bytes[..length]).ok()?;
                bytes = &bytes[length..];
                continue;
            }
            Line::Open | Line::Held(_) | Line::Lost(_) | Line::Part { .. } => {}
        }
        to.write_all(bytes).ok()?;
        return Some(true);
    }
    Some(true)
}

/// How many of so many bytes may go; with the last of them the line becomes another one.
fn take_part(line: &Mutex<Line>, wanted: usize) -> usize {
    let mut line = line.lock().expect("no thread panics with it");
    let Line::Part { left, is_cut } = *line else { return 0 };
    let length = left.min(wanted);
    *line = match (left - length, is_cut) {
        (0, true) => Line::Cut,
        (0, false) => Line::Held(Which::Both),
        (left, is_cut) => Line::Part { left, is_cut },
    };
    length
}
