//! Owns the server under test: a child process on a port of its own.
//! It must not outlive its value.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::api::Api;
use super::postgres::Postgres;

/// A running server.
pub struct Server {
    child: Child,
    pub api: Api,
    /// What it said of itself on standard output, up to the line that says how to stop.
    pub greeting: String,
}

/// How a server ended that did not get to listen.
pub struct Refused {
    pub code: Option<i32>,
    pub stderr: String,
    pub stdout: String,
}

/// The database on PostgreSQL that stands for this file.
fn database_of(db: &Path) -> String {
    static KNOWN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let made = || Postgres::database().expect("PUNCTUAL_TEST_ON_POSTGRES needs a PostgreSQL server");
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(db.to_owned()).or_insert_with(made).clone()
}

/// The command that starts a server with these flags, without listening address and database.
pub fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_punctual"));
    command.args(flags).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PUNCTUAL_")) {
        command.env_remove(name);
    }
    // Of whoever started the test.
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"] {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub fn start(db: &Path, flags: &[&str]) -> Server {
        let mut command = command(flags);
        // For the same tests over another database.
        if std::env::var_os("PUNCTUAL_TEST_ON_POSTGRES").is_some() {
            command.env("PUNCTUAL_STORE", database_of(db));
        }
        // Plain, whatever else it listens on.
        command.arg("--db").arg(db).args(["--listen", "http://127.0.0.1:0", "--log", "error"]);
        Server::spawn(command)
    }

    /// Starts a prepared command, which must lead to a server on a free port.
    pub fn spawn(mut command: Command) -> Server {
        command.stderr(Stdio::inherit());
        Server::spawn_quietly(command)
    }

    /// The same, where what it says of errors goes wherever the command says.
    pub fn spawn_quietly(command: Command) -> Server {
        Server::try_spawn(command).expect("the server ended before it listened")
    }

    /// The same. None: it ended before it listened.
    pub fn try_spawn(mut command: Command) -> Option<Server> {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary is there");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut greeting = String::new();
        let mut address = None;
        while address.is_none() || !greeting.contains("Ctrl-C") {
            let Some(line) = lines.next() else {
                child.wait().expect("it is our child");
                return None;
            };
            let line = line.expect("it prints text");
            address = address.or_else(|| line.split_once("http://").map(|(_, address)| address.trim().to_owned()));
            greeting.push_str(&line);
            greeting.push('\n');
        }
        Some(Server { child, api: Api::new(&address.expect("the loop ends with one")), greeting })
    }

    /// Runs a server that is not expected to listen.
    pub fn refused(mut command: Command) -> Refused {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
        let status = end_of(&mut child, PATIENCE);
        let mut said = (String::new(), String::new());
        child.stdout.take().expect("it is piped").read_to_string(&mut said.0).expect("it prints text");
        child.stderr.take().expect("it is piped").read_to_string(&mut said.1).expect("it prints text");
        Refused { code: status.code(), stdout: said.0, stderr: said.1 }
    }

    /// Where it listens by this scheme, as it says itself.
    pub fn address(&self, scheme: &str) -> &str {
        let addresses = self.greeting.lines().filter_map(|line| line.split_once(scheme));
        addresses.map(|(_, address)| address.trim()).next().expect("it listens there")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.expect("kill is there").success(), "the server is gone");
    }

    /// Kills it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Stops it as an operator would, and expects it to end well.
    pub fn stop(self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a process ends, which is to do so by itself within this time.
pub fn end_of(child: &mut Child, patience: Duration) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        if begin.elapsed() > patience {
            child.kill().expect("it is our child");
            panic!("it was expected to end by itself");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
