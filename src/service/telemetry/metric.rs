//! Owns what figures are called where each has a name, a unit and labels, as in the texts that Prometheus reads.
//! It must not know a value, or how any of this is written.

/// How a figure is shown there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// As a metric of this name, whose help is the figure's.
    Alone(&'static str, Unit),
    /// As one of a metric: that with these values of its labels.
    Among(&'static Metric, &'static [&'static str]),
    /// Not at all: the metrics of this name say the same.
    By(&'static str),
}

/// Several figures that labels tell apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name, without what its unit and its kind add to it.
    pub name: &'static str,
    /// What it means: one sentence.
    pub help: &'static str,
    /// What its labels are called.
    pub labels: &'static [&'static str],
}

/// What a value is measured in. It ends the name of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// Executions that ended.
pub const EXECUTIONS: Metric = Metric {
    name: "punctual_executions",
    help: "Executions that ended, by status and by what they were there for.",
    labels: &["status", "kind"],
};
/// Attempts that ended.
pub const ATTEMPTS: Metric = Metric {
    name: "punctual_attempts",
    help: "Attempts of executions that ended, by what they came to; success is what the job says it is.",
    labels: &["outcome"],
};
/// Jobs.
pub const JOBS: Metric = Metric {
    name: "punctual_jobs",
    help: "Jobs by state: paused ones rest until somebody resumes them, active are all others.",
    labels: &["state"],
};
/// What waits.
pub const QUEUED: Metric =
    Metric { name: "punctual_queued", help: "How many wait, by what they wait for.", labels: &["queue"] };
/// Alerts that are told, or will not be.
pub const ALERTS: Metric = Metric {
    name: "punctual_alerts",
    help: "Alerts by channel and by what became of them; without a channel they are only logged.",
    labels: &["channel", "outcome"],
};
/// Attempts to tell alerts.
pub const ALERT_RETRIES: Metric = Metric {
    name: "punctual_alert_retries",
    help: "Attempts to deliver an alert that failed and are followed by another one, by channel.",
    labels: &["channel"],
};
/// What was not done.
pub const REFUSED: Metric =
    Metric { name: "punctual_refused", help: "What was refused or dropped, by what it was.", labels: &["what"] };
