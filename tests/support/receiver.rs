//! Owns what is POSTed to: a real HTTP server with scripted answers that remembers every POST.
//! It must not be what limits a test: one thread a connection, small requests.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::asked::Asked;
use super::second_of;

/// What a path answers.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// This status, at once.
    Status(u16),
    /// 500 so many times for each execution, then 200.
    FailTimes(u32),
    /// 503 with `Retry-After` in seconds, once for each execution, then 200.
    Busy(u32),
    /// 200 after so many milliseconds.
    SlowMs(u64),
    /// Nothing, ever.
    Hang,
    /// 200, and then the connection is closed.
    Close,
    /// 500 for so many POSTs altogether, then 200.
    FailFirst(usize),
    /// This status and this text.
    Say(u16, &'static str),
    /// This status and the headers of the request, one a line; its `Authorization` as a header, too.
    Echo(u16),
    /// 302, to this place.
    Redirect(&'static str),
    /// Nothing: the connection is closed.
    Vanish,
}

/// A POST that came.
#[derive(Clone, Debug)]
pub struct Post {
    pub method: String,
    pub path: String,
    /// When its head had been read, in microseconds since 1970.
    pub at_us: i64,
    /// `Idempotency-Key`.
    pub key: String,
    pub attempt: u32,
    pub late: bool,
    /// The Unix second it belongs to.
    pub second: i64,
    pub headers: HashMap<String, String>,
    pub body: String,
    /// The status it was answered with; None if it was not.
    pub status: Option<u16>,
}

#[derive(Default)]
struct Shared {
    posts: Vec<Post>,
    scripts: HashMap<String, Script>,
}

/// A running receiver. Its threads end with the process.
#[derive(Clone)]
pub struct Receiver {
    shared: Arc<Mutex<Shared>>,
    pub address: String,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let receiver = Receiver { shared: Arc::default(), address };
        let accepting = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let receiver = accepting.clone();
                std::thread::Builder::new()
                    .stack_size(128 * 1024)
                    .spawn(move || receiver.serve(stream))
                    .expect("a thread");
            }
        });
        receiver
    }

    /// Sets what a path answers; 200 unless set.
    pub fn script(&self, path: &str, script: Script) {
        self.lock().scripts.insert(path.to_owned(), script);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every POST so far.
    pub fn posts(&self) -> Vec<Post> {
        self.lock().posts.clone()
    }

    /// Every POST since the last call, which it forgets: a long test keeps what it needs of them.
    pub fn take_posts(&self) -> Vec<Post> {
        std::mem::take(&mut self.lock().posts)
    }

    /// The POSTs to a path so far.
    pub fn posts_to(&self, path: &str) -> Vec<Post> {
        self.lock().posts.iter().filter(|post| post.path == path).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("no thread panics with it")
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).expect("it is a socket");
        let mut writer = stream.try_clone().expect("it can be cloned");
        let mut reader = BufReader::new(stream);
        while let Some(post) = read_post(&mut reader) {
            let path = post.path.clone();
            let script = self.lock().scripts.get(&path).copied().unwrap_or(Script::Status(200));
            let (status, wait) = self.decide(script, &post);
            let body = match script {
                Script::Say(_, text) => text.to_owned(),
                Script::Echo(_) => post.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect(),
                _ => "{}".to_owned(),
            };
            let asks = match script {
                Script::Busy(seconds) => format!("Retry-After: {seconds}\r\n"),
                Script::Echo(_) => {
                    let auth = post.headers.get("authorization");
                    auth.map(|auth| format!("X-Echo: {auth}\r\n")).unwrap_or_default()
                }
                Script::Redirect(place) => format!("Location: {place}\r\n"),
                _ => String::new(),
            };
            // What is answered is remembered before the answer leaves: the test may ask as soon as it has left.
            self.lock().posts.push(Post { status, ..post });
            let Some(status) = status else {
                if matches!(script, Script::Vanish) {
                    return;
                }
                continue;
            };
            std::thread::sleep(wait);
            let close = matches!(script, Script::Close);
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} Scripted\r\n{asks}Content-Length: {length}\r\n\r\n{body}");
            if writer.write_all(answer.as_bytes()).is_err() || close {
                return;
            }
        }
    }

    fn decide(&self, script: Script, post: &Post) -> (Option<u16>, Duration) {
        let before = |same: &dyn Fn(&Post) -> bool| self.lock().posts.iter().filter(|other| same(other)).count();
        match script {
            Script::Status(status) => (Some(status), Duration::ZERO),
            Script::FailTimes(times) => {
                let failed = before(&|other| other.key == post.key);
                (Some(if failed < times as usize { 500 } else { 200 }), Duration::ZERO)
            }
            Script::FailFirst(times) => {
                let failed = before(&|other| other.path == post.path);
                (Some(if failed < times { 500 } else { 200 }), Duration::ZERO)
            }
            Script::Busy(_) => {
                let refused = before(&|other| other.key == post.key) > 0;
                (Some(if refused { 200 } else { 503 }), Duration::ZERO)
            }
            Script::SlowMs(ms) => (Some(200), Duration::from_millis(ms)),
            Script::Hang | Script::Vanish => (None, Duration::ZERO),
            Script::Say(status, _) | Script::Echo(status) => (Some(status), Duration::ZERO),
            Script::Close => (Some(200), Duration::ZERO),
            Script::Redirect(_) => (Some(302), Duration::ZERO),
        }
    }
}

fn read_post(reader: &mut BufReader<TcpStream>) -> Option<Post> {
    let asked = Asked::read(reader)?;
    Some(Post {
        at_us: asked.at_us,
        key: asked.header("idempotency-key").to_owned(),
        attempt: asked.header("punctual-attempt").parse().unwrap_or(0),
        late: asked.header("punctual-late") == "true",
        second: asked.headers.get("punctual-scheduled-time").map_or(0, |time| second_of(time)),
        status: None,
        method: asked.method,
        path: asked.target,
        headers: asked.headers,
        body: asked.body,
    })
}

/// Which of these came while another execution of their job was not answered yet, that takes its target so long: by path,
/// when they came and of which execution they are. What is sent again is the same execution.
pub fn overlaps(alone: &HashMap<String, Vec<(i64, String)>>, takes: Duration) -> Vec<String> {
    let takes_us = i64::try_from(takes.as_micros()).expect("it is short");
    let mut found = Vec::new();
    for (path, posts) in alone {
        let mut posts = posts.clone();
        posts.sort_unstable();
        for pair in posts.windows(2) {
            let apart_us = pair[1].0 - pair[0].0;
            if pair[0].1 != pair[1].1 && apart_us < takes_us {
                found.push(format!("{path}: {} came {apart_us} us after {}", pair[1].1, pair[0].1));
            }
        }
    }
    found
}
