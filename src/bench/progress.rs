//! Owns what is shown on standard error while a measurement runs.
//! It must not write to standard output: that is the result's.

use std::io::{IsTerminal, Write, stderr};

/// Shows lines; on a terminal, passing ones overwrite each other.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    /// A passing line stands there, without an end.
    open: bool,
}

impl Progress {
    /// Nothing shown yet.
    pub(super) fn new() -> Progress {
        Progress { terminal: stderr().is_terminal(), open: false }
    }

    /// A line that stays.
    pub(super) fn say(&mut self, text: &str) {
        self.end();
        eprintln!("{text}");
    }

    /// A line that the next one replaces. Off a terminal every one stays, so ask [`Progress::is_terminal`] first.
    pub(super) fn pass(&mut self, text: &str) {
        if self.terminal {
            self.open = true;
            eprint!("\r\x1b[K{text}");
            // Nobody can be told if standard error is closed.
            drop(stderr().flush());
        } else {
            eprintln!("{text}");
        }
    }

    /// Whether passing lines overwrite each other.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Ends a passing line.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            eprintln!();
        }
    }
}
