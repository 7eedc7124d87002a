//! Owns asking whoever sits at the terminal, and telling him how far something long is.
//! It must not ask or tell where there is no terminal.

use std::io::{self, IsTerminal, Write};

use super::failure::Failure;

/// Asks whether something is to be done that cannot be undone. `--yes` answers beforehand.
///
/// # Errors
/// The answer is no, or there is nobody to ask.
pub(crate) fn sure(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{question} there is nobody to ask; say --yes")));
    }
    eprint!("{question} [y/N] ");
    drop(io::stderr().flush());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|why| Failure::failed(why.to_string()))?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::no("nothing was done"))
}

/// How far something long is, on one line of the terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Progress {
        Progress { what, is_shown: io::stderr().is_terminal() }
    }

    /// So many are done, of so many if that is known.
    pub(crate) fn tell(&self, done: usize, all: Option<usize>) {
        if self.is_shown {
            let of = all.map(|all| format!(" of {all}")).unwrap_or_default();
            eprint!("\r{} {done}{of}\u{1b}[K", self.what);
            drop(io::stderr().flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            eprint!("\r\u{1b}[K");
        }
    }
}
