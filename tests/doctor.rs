//! `punctual doctor` of the real binary on machines that lack something: what it says is wrong, and what is not.
//! It must not assert what only this machine has: how fast its disk is, or who keeps its clock right.
#![cfg(unix)]

mod support;

#[path = "doctor/database.rs"]
mod database;
#[path = "doctor/disk.rs"]
mod disk;
#[path = "doctor/machine.rs"]
mod machine;
#[path = "doctor/ports.rs"]
mod ports;
#[path = "doctor/secrets.rs"]
mod secrets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::server::command;
use tempfile::TempDir;

/// A folder on a machine that says its clock is right.
struct Machine(TempDir);

/// What was found.
#[derive(Debug)]
struct Findings(Vec<Value>);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().expect("a folder"));
        fs::create_dir(machine.path("bin")).expect("it is made");
        fs::create_dir(machine.path("home")).expect("it is made");
        machine.program("timedatectl", "echo yes");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a text").to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it is written");
    }

    /// A program of this machine, which has few.
    fn program(&self, name: &str, does: &str) {
        let path = self.path("bin").join(name);
        // Renamed into place, so that nobody has it open for writing when it is run.
        let made = self.path("bin").join("made");
        fs::write(&made, format!("#!/bin/sh\n{does}\n")).expect("it is written");
        chmod(&made, 0o755);
        fs::rename(&made, &path).expect("it is ours");
    }

    /// The command in the home of this machine.
    fn command(&self, flags: &[&str]) -> Command {
        let mut command = command(&["doctor", "-o", "json"]);
        command.args(flags);
        // A free port, unless somebody says otherwise.
        if !flags.iter().any(|flag| flag.starts_with("--listen") || flag.starts_with("--config")) {
            command.arg("--listen=127.0.0.1:0");
        }
        self.set(command)
    }

    fn set(&self, mut command: Command) -> Command {
        command.current_dir(self.path("home")).env("PATH", self.path("bin")).env("HOME", self.path("home"));
        command.env("PUNCTUAL_CONTEXTS", self.path("home").join("contexts.json"));
        command
    }

    fn findings(&self, flags: &[&str]) -> Findings {
        examine(self.command(flags))
    }
}

/// Runs it; that it ends as it says.
#[track_caller]
fn examine(mut command: Command) -> Findings {
    let output = command.output().expect("the binary is there");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}\n{err}"));
    assert_eq!(err, "", "JSON alone");
    let findings = Findings(told["findings"].as_array().expect("a list").clone());
    let count = |level: &str| findings.0.iter().filter(|finding| finding["level"] == level).count();
    assert_eq!(
        (told["fail"].as_u64(), told["warn"].as_u64()),
        (Some(count("FAIL") as u64), Some(count("WARN") as u64))
    );
    assert_eq!(told["ok"], count("FAIL") == 0);
    assert_eq!(output.status.code(), Some(if count("FAIL") == 0 { 0 } else { 3 }), "{findings:?}");
    for finding in &findings.0 {
        assert_eq!(finding["advice"].is_null(), finding["level"] == "OK", "what is not well has an advice: {finding}");
    }
    findings
}

impl Findings {
    /// Those about one thing: level and text.
    fn of(&self, check: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let of = self.0.iter().filter(|finding| finding["check"] == check);
        of.map(|finding| (text(&finding["level"]), text(&finding["found"]))).collect()
    }

    /// Something about this was found that has this level and says this.
    #[track_caller]
    fn has(&self, level: &str, check: &str, part: &str) -> &Findings {
        let of = self.of(check);
        let has = of.iter().any(|(found, text)| found == level && text.contains(part));
        assert!(has, "{level} {check} {part:?} is not in {of:?}");
        self
    }

    /// What is wrong. A disk may be, on a machine that does other things as well.
    fn wrong(&self) -> Vec<&str> {
        let wrong = self.0.iter().filter(|finding| finding["level"] == "FAIL");
        wrong.map(|finding| finding["check"].as_str().expect("a text")).filter(|check| *check != "disk").collect()
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
}
