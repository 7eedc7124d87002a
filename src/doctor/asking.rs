//! Owns patience: programs and lookups that have to answer within a time.
//! It must not wait for anybody longer.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::DOCTOR_WAIT_MAX;

/// How often it is looked whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What comes of something on a thread of its own; None if it takes too long, and then it is left alone.
pub(super) fn within<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Option<(T, Duration)> {
    let (say, said) = mpsc::channel();
    let began = Instant::now();
    // Nobody listens to what comes too late.
    let started = thread::Builder::new().spawn(move || drop(say.send(ask())));
    started.ok()?;
    let answer = said.recv_timeout(DOCTOR_WAIT_MAX).ok()?;
    Some((answer, began.elapsed()))
}

/// What a program prints; None if there is no such program, it does not say yes, or takes too long.
pub(super) fn program(name: &str, words: &[&str]) -> Option<String> {
    let mut command = Command::new(name);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).env("LC_ALL", "C");
    let mut child = command.spawn().ok()?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if began.elapsed() < DOCTOR_WAIT_MAX => thread::sleep(LOOK_EVERY),
            None => {
                // If it cannot be ended it ends by itself.
                drop(child.kill());
                drop(child.wait());
                return None;
            }
        }
    };
    let mut text = String::new();
    // It says a line or two, which a pipe holds.
    child.stdout.take()?.take(64 << 10).read_to_string(&mut text).ok()?;
    status.success().then_some(text)
}
