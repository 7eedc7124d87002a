//! Owns the log: level, format, and the thread that writes it to standard error.
//! It must not block a caller: lines beyond the bound are dropped and counted.

use std::io;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

use crate::limits::LOG_LINES_PENDING_MAX;

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs somebody to act.
    Error,
    /// What may need somebody to act.
    Warn,
    /// What an operator wants to find later.
    Info,
    /// What a developer wants to see.
    Debug,
}

impl LogLevel {
    /// Every level by its name.
    pub const NAMES: [(&'static str, LogLevel); 4] =
        [("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Every format by its name.
    pub const NAMES: [(&'static str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// The running log. Dropping it writes what waits.
#[derive(Debug)]
pub struct Logs {
    dropped: ErrorCounter,
    level: reload::Handle<LevelFilter, Registry>,
    _thread: WorkerGuard,
}

impl Logs {
    /// Starts the log of this process. Only the first start counts, as in tests that share a process.
    pub fn start(level: LogLevel, format: LogFormat) -> Logs {
        let (writer, thread) =
            NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES_PENDING_MAX).lossy(true).finish(io::stderr());
        let dropped = writer.error_counter();
        let (filter, level) = reload::Layer::new(level.filter());
        let registry = Registry::default().with(filter);
        let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
        let installed = match format {
            LogFormat::Text => tracing::subscriber::set_global_default(registry.with(lines.with_ansi(false))),
            LogFormat::Json => tracing::subscriber::set_global_default(registry.with(lines.json().flatten_event(true))),
        };
        drop(installed);
        Logs { dropped, level, _thread: thread }
    }

    /// From now on lines of this level and more severe ones are logged. Whether that is so: not where another log was
    /// started before.
    pub fn set_level(&self, level: LogLevel) -> bool {
        self.level.reload(level.filter()).is_ok()
    }

    /// Lines dropped because too many waited.
    pub fn dropped(&self) -> usize {
        self.dropped.dropped_lines()
    }
}
