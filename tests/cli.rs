//! The command line against a real server: what it asks for, what it prints where, how it ends; in a pipe and on a terminal.
//! It must not know the inside of either: what somebody types, reads and finds in the API is all there is.
#![cfg(unix)]

mod support;

#[path = "cli/alerts.rs"]
mod alerts;
#[path = "cli/applied.rs"]
mod applied;
#[path = "cli/contexts.rs"]
mod contexts;
#[path = "cli/crontabs.rs"]
mod crontabs;
#[path = "cli/editing.rs"]
mod editing;
#[path = "cli/executions.rs"]
mod executions;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/jobs.rs"]
mod jobs;
#[path = "cli/pages.rs"]
mod pages;
#[path = "cli/printed.rs"]
mod printed;
#[path = "cli/terminal.rs"]
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::api::Api;
use support::receiver::Receiver;
use support::server::{Server, command};
use tempfile::TempDir;

/// A server that takes secrets, a receiver, and a home of somebody who types.
struct Setup {
    server: Server,
    receiver: Receiver,
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Setup {
    fn new(flags: &[&str]) -> Setup {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        let made = command(&["secrets", "init"]).arg(&key).output().expect("the binary is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let own = ["--max-in-flight", "16", "--retries", "0", "--secrets-key", key.to_str().expect("it is a text")];
        let server = Server::start(&folder.path().join("p.db"), &[&own, flags].concat());
        Setup { server, receiver: Receiver::start(), folder }
    }

    fn api(&self) -> &Api {
        &self.server.api
    }

    fn url(&self) -> String {
        format!("http://{}", self.api().address)
    }

    /// A file in the folder of this test.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        path
    }

    /// The command for this server, typed by somebody whose home is the folder of this test.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = bare(self.folder.path(), words);
        command.env("PUNCTUAL_URL", self.url());
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        run(self.command(words), "")
    }

    /// The same with this on standard input.
    fn feed(&self, words: &[&str], input: &str) -> Ran {
        run(self.command(words), input)
    }

    /// What it prints, where it does what it is asked for.
    #[track_caller]
    fn says(&self, words: &[&str]) -> String {
        self.run(words).ends(0).out
    }

    /// A job that is due once in a year; its id.
    fn job(&self, name: &str, path: &str) -> String {
        self.says(&["job", "create", "@yearly", &self.receiver.url(path), "--name", name]).trim().to_owned()
    }

    /// The job as the API says it.
    fn told(&self, id: &str) -> Value {
        self.api().get(&format!("/api/jobs/{id}"))
    }
}

/// The command of somebody with this home, without a server.
fn bare(home: &Path, words: &[&str]) -> Command {
    let mut command = command(words);
    for name in ["XDG_CONFIG_HOME", "NO_COLOR", "EDITOR", "VISUAL", "COLUMNS"] {
        command.env_remove(name);
    }
    command.env("HOME", home).env("TERM", "xterm-256color").env("TZ", "UTC").current_dir(home);
    command
}

/// Runs a command in pipes.
fn run(mut command: Command, input: &str) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // Who reads nothing may have ended before all is written.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("it is our child");
    feeding.join().expect("it does not panic");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).expect("it prints text"),
        err: String::from_utf8(output.stderr).expect("it prints text"),
    }
}

impl Ran {
    /// Expects this exit code.
    #[track_caller]
    fn ends(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}\n--\n{}", self.out, self.err);
        self
    }

    /// Expects an error that contains each of these.
    #[track_caller]
    fn errs(self, parts: &[&str]) -> Ran {
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {:?}", self.err);
        }
        self
    }

    #[track_caller]
    fn prints(self, parts: &[&str]) -> Ran {
        for part in parts {
            assert!(self.out.contains(part), "{part:?} is not in {:?}", self.out);
        }
        self
    }
}
