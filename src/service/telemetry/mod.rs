//! Owns what is measured and what is logged.
//! It must not slow down what it looks at: constant memory, and no log write on the caller's thread.
//!
//! `figures` is the list of what is measured, `metric` what they are called outside, `recorder` a distribution in it; `minutes` is the last hour; `logs` is the
//! log.

mod figures;
mod logs;
mod metric;
mod minutes;
mod recorder;

pub use figures::{Figure, Figures, Kind, Value};
pub use logs::{LogFormat, LogLevel, Logs};
pub use metric::{Metric, Shown, Unit};
pub use minutes::{Ended, Minute, Minutes};
pub use recorder::{BUCKETS_US, Percentiles, Recorder, StoreLatency};
