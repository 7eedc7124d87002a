//! The measuring instrument: a receiver that notes down what arrives and when, a load, and a report.
//! It must not be part of the server: nothing outside this folder knows it but the command line.
//!
//! In reading order:
//!
//! - `options`: what is to be measured;
//! - `run`: the order of a measurement, from the receiver's start to the last straggler; `watch`: its window;
//! - `subject`: who is measured, our own server (`child`, with `history` beforehand), several of them that are `nodes` of one
//!   database, or another;
//! - `receiver`, `spread`, `connection`, `stream`, `identity`: arrivals;
//! - `tally`: what arrivals mean; `takeover`: what they mean once a node was killed; `overload`: what is due beside them for
//!   a while, and what it did to them;
//! - `client`, `load`: the event-loop client, and what it asks of an API;
//! - `ceiling`, `procfs`: what the machine can do (in a `folder` that goes again), and what processes use of it;
//! - `progress`: what is said meanwhile; `measured`: everything that was found out;
//! - `report`, `table`, `plot`: the result as JSON, as text, as a drawing.

mod ceiling;
mod child;
mod client;
mod connection;
mod folder;
mod history;
mod identity;
mod load;
mod measured;
mod nodes;
mod options;
mod overload;
mod plot;
mod procfs;
mod progress;
mod receiver;
mod report;
mod run;
mod spread;
mod stream;
mod subject;
mod table;
mod takeover;
mod tally;
mod watch;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};

pub use options::{ChildOptions, Mode, Options, OverloadOptions, SharedOptions, Spread, Subject};

use progress::Progress;

/// Whether the promises were kept in the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They were.
    Kept,
    /// They were not, and how.
    Broken(String),
}

/// Measures, prints the result, and writes the files that were asked for. `command_line` goes into the report.
///
/// # Errors
/// Says what could not be measured or written, in one line.
pub fn run(options: &Options, command_line: &[String]) -> Result<Verdict, BenchError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|why| BenchError::Io("hear signals", why))?;
    }
    let mut progress = Progress::new();
    let measured = run::measure(options, &mut progress, &stop);
    progress.end();
    let measured = measured?;
    let verdict = measured.verdict(options.allow_missed);
    print!("{}", table::print(options, &measured));
    if let Some(path) = &options.json {
        let text = report::json(options, &measured, &verdict, command_line);
        std::fs::write(path, text).map_err(|why| BenchError::File(path.clone(), why))?;
    }
    if let Some(path) = &options.plot {
        let drawing = plot::draw(options, &measured).map_err(BenchError::Plot)?;
        std::fs::write(path, drawing).map_err(|why| BenchError::File(path.clone(), why))?;
    }
    Ok(verdict)
}

/// Why nothing was measured.
#[derive(Debug)]
pub enum BenchError {
    /// The receiver, the client or the system failed at something.
    Io(&'static str, io::Error),
    /// A file or folder cannot be made or written.
    File(PathBuf, io::Error),
    /// The server that is measured cannot be started, or ended by itself.
    Server(String),
    /// The API did not do what was asked.
    Api(String),
    /// Nothing would be due, or nothing ever came.
    Nothing(String),
    /// The drawing failed.
    Plot(String),
    /// Somebody stopped it.
    Interrupted,
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Io(what, why) => write!(f, "failed to {what}: {why}"),
            BenchError::File(path, why) => write!(f, "failed to write {}: {why}", path.display()),
            BenchError::Server(what) | BenchError::Api(what) | BenchError::Nothing(what) => f.write_str(what),
            BenchError::Plot(what) => write!(f, "failed to draw the plot: {what}"),
            BenchError::Interrupted => f.write_str("stopped before the measurement was complete"),
        }
    }
}

impl std::error::Error for BenchError {}
