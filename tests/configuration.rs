//! The configuration file of the real binary: every flag, as a flag, in the environment and in the file; what counts before
//! what; what is refused; what a signal changes in a server that runs.
//! It must not have a list of flags that nothing holds against theirs.
#![cfg(unix)]

mod support;

#[path = "configuration/reloaded.rs"]
mod reloaded;
#[path = "configuration/settings.rs"]
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::server::command;
use tempfile::TempDir;

/// A folder with a configuration and files that it may name.
struct Home(TempDir);

/// How a command ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Home {
    fn new() -> Home {
        let home = Home(tempfile::tempdir().expect("a folder"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        home.write("cert.pem", &made.cert.pem());
        home.write("key.pem", &made.signing_key.serialize_pem());
        assert_eq!(run(command(&["secrets", "init", &home.text("secrets.key")])).code, Some(0));
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a text").to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("it is written");
    }

    /// The command that checks a configuration, in this folder.
    fn check(&self, flags: &[&str]) -> Command {
        let mut command = command(&["serve", "--check"]);
        command.args(flags).current_dir(self.0.path());
        // Whom a URL of a database means that names nobody.
        command.env("PGUSER", "punctual");
        command
    }

    /// What counts where all is well: values and sources by their keys.
    #[track_caller]
    fn settings(&self, command: Command) -> BTreeMap<String, (String, String)> {
        let Ran { code, out, err } = run(command);
        assert_eq!((code, err.contains("all is well")), (Some(0), true), "{out}\n{err}");
        assert!(!Path::new(&self.path("data")).exists(), "nothing is made");
        let line = |line: &str| {
            if let Some(key) = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set")) {
                return (key.to_owned(), (String::new(), "nothing".to_owned()));
            }
            let (key, rest) = line.split_once(" = ").expect("a key and a value");
            let (value, source) = rest.split_once("  # ").expect("a value and a source");
            (key.to_owned(), (value.to_owned(), source.to_owned()))
        };
        out.lines().map(line).collect()
    }

    /// What is said of a configuration that is not well, a line each.
    #[track_caller]
    fn faults(&self, command: Command) -> Vec<String> {
        let Ran { code, out, err } = run(command);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        let lines = err.lines().map(|line| line.strip_prefix("punctual: ").expect("it says who speaks"));
        lines.map(|line| line.replace(&format!("{}/", self.0.path().display()), "")).collect()
    }
}

fn run(mut command: Command) -> Ran {
    let output = command.output().expect("the binary is there");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}
