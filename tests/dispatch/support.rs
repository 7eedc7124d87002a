//! Owns what the tests share: attempts, a pool that is waited for, and targets that follow a script.
//! It must not assert anything about the pool.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use punctual::core::{AlertAttempt, Attempt, Class, ErrandReport, ExecutionId, Handle, Kind, Outcome, Report, Seq};
use punctual::dispatch::{Allowlist, DispatchSettings, Pool};
use punctual::job::{Context, Definition, JobId, JobKey, JobSpec, Post, TargetUrl};
use punctual::time::Instant;

/// A bound on every wait, so that a fault is a failed test rather than a test that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(super) fn settings() -> DispatchSettings {
    DispatchSettings {
        workers: 2,
        in_flight_max: 10_000,
        idle_max: 10_000,
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
        user_agent: "punctual-test/1".to_owned(),
        targets: Allowlist::default(),
        extra_roots: Vec::new(),
    }
}

/// An attempt whose slot and `seq` are `number`.
pub(super) fn attempt(url: &str, number: u32) -> Attempt {
    let id = JobId::new(JobKey(7), [1; 10]);
    let instant = Instant::from_secs(1_767_229_831);
    let post = Arc::new(Post::to(TargetUrl::parse(url).unwrap()));
    let handle = Handle { slot: number, seq: Seq(u64::from(number)) };
    let id = ExecutionId { job: id, instant, kind: Kind::Manual, number };
    Attempt { handle, number: 1, id, class: Class::OnTime, epoch: 0, post: post.into() }
}

/// The same, of a job with these members beside its schedule and its URL.
pub(super) fn attempt_of(url: &str, members: &str, number: u32) -> Attempt {
    let members = if members.is_empty() { String::new() } else { format!(",{members}") };
    let kind = if members.contains("\"type\"") { "" } else { r#","type":"ATLEAST_ONCE""# };
    let definition = format!(r#"{{"schedule":"@daily","api":"{url}"{kind}{members}}}"#);
    let definition: Definition = serde_json::from_str(&definition).unwrap();
    let spec = JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).unwrap();
    Attempt { post: Arc::new(spec.post).into(), ..attempt(url, number) }
}

/// An attempt of an alert whose `seq` is `number`, with a body and a time limit of its own.
pub(super) fn alert(url: &str, number: u32, body: &str, timeout: Duration) -> AlertAttempt {
    let post = Post::to(TargetUrl::parse(url).unwrap()).with(body.into(), timeout);
    AlertAttempt { seq: Seq(u64::from(number)), number: 1, post: Arc::new(post) }
}

/// The report of an execution's attempt.
pub(super) fn of_execution(report: ErrandReport) -> Report {
    match report {
        ErrandReport::Execution(report) | ErrandReport::Trial(report) => report,
        ErrandReport::Alert(report) => panic!("this is an alert's: {report:?}"),
        ErrandReport::Message(report) => panic!("this is a message's: {report:?}"),
    }
}

/// A pool, and the bell it rings.
pub(super) struct Sending {
    pub(super) pool: Pool,
    bell: Receiver<()>,
}

impl Sending {
    pub(super) fn new(settings: DispatchSettings) -> Sending {
        let (ring, bell) = unbounded();
        let pool = Pool::start(settings, Arc::new(move || ring.send(()).unwrap())).unwrap();
        Sending { pool, bell }
    }

    /// Waits for so many reports of executions, and no more.
    pub(super) fn reports(&mut self, count: usize) -> Vec<Report> {
        self.any_reports(count).into_iter().map(of_execution).collect()
    }

    /// Waits for so many reports of any kind, and no more.
    pub(super) fn any_reports(&mut self, count: usize) -> Vec<ErrandReport> {
        let mut reports = Vec::new();
        loop {
            self.pool.receive(count - reports.len(), &mut reports);
            if reports.len() == count {
                return reports;
            }
            let rung = self.bell.recv_timeout(PATIENCE);
            assert!(rung.is_ok(), "only {} of {count} reports came: {reports:?}", reports.len());
        }
    }

    /// Sends one attempt and waits for its report.
    pub(super) fn post(&mut self, url: &str) -> Report {
        self.pool.send(vec![attempt(url, 1)]);
        self.reports(1).remove(0)
    }

    /// Sends one attempt of a job with these members and waits for its report.
    pub(super) fn send_of(&mut self, url: &str, members: &str) -> Report {
        self.pool.send(vec![attempt_of(url, members, 1)]);
        self.reports(1).remove(0)
    }

    pub(super) fn outcome(&mut self, url: &str) -> Outcome {
        self.post(url).outcome
    }

    /// The text of a connection failure.
    pub(super) fn failure(&mut self, url: &str) -> String {
        match self.outcome(url) {
            Outcome::ConnectionFailed(why) => why,
            other => panic!("expected a connection failure, got {other:?}"),
        }
    }

    /// The sum of a figure over the workers.
    pub(super) fn sum(&self, figure: impl Fn(&punctual::dispatch::WorkerStats) -> u64) -> u64 {
        self.pool.stats().workers.iter().map(figure).sum()
    }
}

/// A target that follows a script, each connection on a thread of its own.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// Every request that was read, whole.
    pub(super) requests: Receiver<String>,
}

impl Target {
    /// The script gets the number of the connection, from 0.
    pub(super) fn new(script: impl Fn(usize, &mut Connection) + Send + Sync + 'static) -> Target {
        Target::at("127.0.0.1:0", script)
    }

    pub(super) fn at(address: &str, script: impl Fn(usize, &mut Connection) + Send + Sync + 'static) -> Target {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, requests) = unbounded();
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let (script, seen) = (Arc::clone(&script), seen.clone());
                let mut connection = Connection { socket: socket.unwrap(), seen };
                std::thread::spawn(move || script(number, &mut connection));
            }
        });
        Target { address, requests }
    }

    /// A target that answers every request on every connection with these bytes.
    pub(super) fn answering(answer: &'static [u8]) -> Target {
        Target::new(move |_, connection| connection.answer_all(answer))
    }

    /// A target that answers once on each connection, and then closes it.
    pub(super) fn closing_after(answer: &'static [u8]) -> Target {
        Target::new(move |_, connection| {
            connection.request();
            connection.write(answer);
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }
}

/// A connection as the target sees it.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    seen: Sender<String>,
}

impl Connection {
    /// Reads one request with its body; false: the other side closed.
    pub(super) fn request(&mut self) -> bool {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            match self.socket.read(&mut byte) {
                Ok(1) => bytes.push(byte[0]),
                Ok(_) | Err(_) => return false,
            }
        }
        let mut body = vec![0; content_length(&bytes)];
        if self.socket.read_exact(&mut body).is_err() {
            return false;
        }
        bytes.append(&mut body);
        // Nobody may be left who counts requests.
        drop(self.seen.send(String::from_utf8(bytes).unwrap()));
        true
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        // The other side may close at any time, and often should.
        drop(self.socket.write_all(bytes));
    }

    pub(super) fn answer_all(&mut self, answer: &[u8]) {
        while self.request() {
            self.write(answer);
        }
    }

    /// Waits until the other side closes.
    pub(super) fn wait_for_end(&mut self) {
        let mut buffer = [0; 1024];
        while matches!(self.socket.read(&mut buffer), Ok(len) if len > 0) {}
    }

    pub(super) fn end_writing(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = str::from_utf8(head).unwrap();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    assert!(value.is_some() || !head.starts_with("POST"), "every POST says how long it is");
    value.map_or(0, |value| value.parse().unwrap())
}
