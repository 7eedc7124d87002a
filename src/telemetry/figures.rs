//! Owns the one list of what is measured: each figure with its path, its kind, what it means, and its value.
//! It must not collect: whoever has the values fills in [`Figures`], and the compiler sees that none is missing.
//!
//! `/api/metrics` nests the paths into JSON, and a text for Prometheus reads the same list: kind, help and value are
//! there, and a path becomes a name. To add a figure, add it here, beside those whose path begins alike, and follow the
//! compiler to where it is collected.

use super::Percentiles;

/// One figure, at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Where it stands, with dots between the names.
    pub path: &'static str,
    /// How its value behaves.
    pub kind: Kind,
    /// What it means: one sentence.
    pub help: &'static str,
    /// What it is now.
    pub value: Value,
}

/// How the value of a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from zero at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Many values since the start, in microseconds.
    Distribution,
    /// Yes or no.
    Flag,
}

/// The value of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A count; None where it is not known.
    Known(Option<u64>),
    /// A decimal; None while there is nothing to tell it from.
    Decimal(Option<f64>),
    /// A distribution.
    Distribution(Percentiles),
    /// Yes or no.
    Flag(bool),
}

/// Makes the list: a member for each figure, and what the figure is.
macro_rules! figures {
    ($($(#[doc = $help:literal])+ $name:ident: $type:ty = $kind:ident $path:literal;)+) => {
        /// Everything that is measured, at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Figures {
            $($(#[doc = $help])+ pub $name: $type,)+
        }

        impl Figures {
            /// The list. Figures whose paths begin alike stand together.
            pub fn list(&self) -> Vec<Figure> {
                vec![$(Figure {
                    path: $path,
                    kind: Kind::$kind,
                    help: concat!($($help),+).trim_ascii(),
                    value: self.$name.into(),
                }),+]
            }
        }

        #[cfg(test)]
        const MEMBERS: &[&str] = &[$(stringify!($name)),+];
    };
}

figures! {
    /// Whether the scheduler fires.
    scheduler_is_running: bool = Flag "scheduler.isRunning";
    /// Jobs that are active.
    scheduler_active_jobs: u64 = Gauge "scheduler.activeJobs";
    /// Executions that are due and not finished: in flight, or waiting for their target or a retry.
    scheduler_active_executions: u64 = Gauge "scheduler.activeExecutions";
    /// Executions that ended SUCCESS or FAILED.
    scheduler_total_executions: u64 = Counter "scheduler.totalExecutions";
    /// The mean drift of on-time executions, in milliseconds.
    scheduler_average_drift: Option<f64> = Gauge "scheduler.averageDrift";
    /// All jobs.
    scheduler_total_jobs: u64 = Gauge "scheduler.totalJobs";
    /// Jobs held by a clock that stepped back.
    scheduler_held_jobs: u64 = Gauge "scheduler.heldJobs";
    /// Steps of the wall clock.
    scheduler_clock_steps: u64 = Counter "scheduler.clockSteps";
    /// Targets that count as failing.
    scheduler_failing_targets: u64 = Gauge "scheduler.failingTargets";

    /// Rows armed.
    executions_armed: u64 = Counter "executions.armed";
    /// Attempts handed to workers.
    executions_attempts: u64 = Counter "executions.attempts";
    /// Attempts after the first of an execution.
    executions_retries: u64 = Counter "executions.retries";
    /// Executions that ended SUCCESS.
    executions_success: u64 = Counter "executions.success";
    /// Executions that ended FAILED.
    executions_failed: u64 = Counter "executions.failed";
    /// Rows that ended SKIPPED.
    executions_skipped: u64 = Counter "executions.skipped";
    /// Missed instants, as far as they were counted.
    executions_missed_instants: u64 = Counter "executions.missedInstants";
    /// Executions in doubt after a crash that were sent again.
    executions_recovered: u64 = Counter "executions.recovered";
    /// Executions that clients asked for.
    executions_asked_for: u64 = Counter "executions.askedFor";
    /// Executions sent for missed instants.
    executions_caught_up: u64 = Counter "executions.caughtUp";
    /// Reports and acknowledgements nobody waited for.
    executions_stale_messages: u64 = Counter "executions.staleMessages";

    /// How long after its instant the first attempt of an on-time execution left.
    drift: Percentiles = Distribution "drift";
    /// The same of recovered, catch-up and manual executions.
    late: Percentiles = Distribution "late";

    /// How long a batch took from being handed over to being on disk, as the loop saw it.
    store_commit: Percentiles = Distribution "store.commit";
    /// The part of it spent waiting for a slice of the fold, of retention, or for a checkpoint.
    store_held_up: Percentiles = Distribution "store.heldUp";
    /// The part of it that the transaction took.
    store_write: Percentiles = Distribution "store.write";
    /// Rows and changes on the way to the disk.
    store_unwritten: u64 = Gauge "store.unwritten";
    /// Jobs whose arming waits for the disk.
    store_arming_stalled: u64 = Gauge "store.armingStalled";
    /// Bytes that the database and its write-ahead log take, seen within some seconds.
    store_disk_bytes: Option<u64> = Gauge "store.diskBytes";
    /// Bytes that are left where the database lies.
    store_disk_free_bytes: Option<u64> = Gauge "store.diskFreeBytes";

    /// Bytes of this process that are in memory, seen within some seconds.
    process_memory_bytes: Option<u64> = Gauge "process.memoryBytes";

    /// Threads that send.
    workers_threads: u64 = Gauge "workers.threads";
    /// Attempts with the workers.
    workers_in_flight: u64 = Gauge "workers.inFlight";
    /// Attempts that may be in flight.
    workers_in_flight_max: u64 = Gauge "workers.inFlightMax";
    /// The share of what may be in flight that is.
    workers_utilization: Option<f64> = Gauge "workers.utilization";
    /// Connections to targets that are open.
    workers_connections: u64 = Gauge "workers.connections";
    /// Connections to targets opened, whatever became of them.
    workers_connections_opened: u64 = Counter "workers.connectionsOpened";
    /// Attempts that a kept-alive connection was there for.
    workers_connections_reused: u64 = Counter "workers.connectionsReused";
    /// Attempts sent a second time because a kept-alive connection was lost.
    workers_repeated: u64 = Counter "workers.repeated";
    /// Faults that made a worker drop what it held.
    workers_faults: u64 = Counter "workers.faults";
    /// Names looked up.
    workers_lookups: u64 = Counter "workers.lookups";

    /// Armed executions that wait for their instant.
    queues_armed: u64 = Gauge "queues.armed";
    /// Due executions that wait for their target.
    queues_targets: u64 = Gauge "queues.targets";
    /// Executions that wait for a retry.
    queues_retries: u64 = Gauge "queues.retries";
    /// Due executions that wait for another one of their job, or for their concurrency key.
    queues_policies: u64 = Gauge "queues.policies";
    /// Attempts that have no connection, not even one that is being opened.
    queues_workers: u64 = Gauge "queues.workers";
    /// Changes and rows the writer has not been given.
    queues_writer: u64 = Gauge "queues.writer";
    /// Reads no reader has taken up.
    queues_readers: u64 = Gauge "queues.readers";
    /// Alerts that wait for the webhook.
    queues_alerts: u64 = Gauge "queues.alerts";

    /// Bytes of answers that clients have not taken.
    queues_answer_bytes: u64 = Gauge "queues.answerBytes";

    /// Clients that listen to events.
    events_listeners: u64 = Gauge "events.listeners";
    /// Events told.
    events_told: u64 = Counter "events.told";
    /// Events left out, as there were too many within a second.
    events_left_out: u64 = Counter "events.leftOut";

    /// Changes refused.
    refused_changes: u64 = Counter "refused.changes";
    /// Reads refused because too many were waiting.
    refused_reads: u64 = Counter "refused.reads";
    /// Requests that named another host, or came from a foreign web page.
    refused_strangers: u64 = Counter "refused.strangers";
    /// Connections of clients whose address had too many.
    refused_connections: u64 = Counter "refused.connections";
    /// Connections of clients that were closed to make room for others: at rest, or with half a request.
    refused_connections_evicted: u64 = Counter "refused.connectionsEvicted";
    /// Connections of clients that were cut off because they read too slowly.
    refused_connections_slow: u64 = Counter "refused.connectionsSlow";
    /// Connections that were to be encrypted and ended before they were: no handshake, none in time, or plain HTTP.
    refused_handshakes: u64 = Counter "refused.handshakes";
    /// Clients that sent a large body when as many did as may.
    refused_large_bodies: u64 = Counter "refused.largeBodies";
    /// Clients that wanted to listen to events when as many did as may.
    refused_listeners: u64 = Counter "refused.listeners";
    /// Log lines dropped.
    refused_log_lines: u64 = Counter "refused.logLines";

    /// Seconds since the server started.
    uptime_seconds: u64 = Gauge "uptimeSeconds";
    /// Connections of clients.
    connections: u64 = Gauge "connections";
}

impl From<u64> for Value {
    fn from(count: u64) -> Value {
        Value::Whole(count)
    }
}

impl From<Option<u64>> for Value {
    fn from(count: Option<u64>) -> Value {
        Value::Known(count)
    }
}

impl From<Option<f64>> for Value {
    fn from(decimal: Option<f64>) -> Value {
        Value::Decimal(decimal)
    }
}

impl From<Percentiles> for Value {
    fn from(percentiles: Percentiles) -> Value {
        Value::Distribution(percentiles)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Flag(flag)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_figure_is_explained_and_has_a_path_and_a_kind_of_its_own() {
        let list = Figures::default().list();
        let mut paths = HashSet::new();
        for (figure, member) in list.iter().zip(MEMBERS) {
            let Figure { path, kind, help, value } = *figure;
            assert!(paths.insert(path), "{path} is there twice");
            assert!(help.len() > 5 && help.ends_with('.') && !help.contains("  "), "{path}: {help:?}");
            let fits = match value {
                Value::Whole(_) => matches!(kind, Kind::Counter | Kind::Gauge),
                Value::Known(_) | Value::Decimal(_) => kind == Kind::Gauge,
                Value::Distribution(_) => kind == Kind::Distribution,
                Value::Flag(_) => kind == Kind::Flag,
            };
            assert!(fits, "{path}: {kind:?} is not {value:?}");
            let words = path
                .chars()
                .map(|c| if c.is_ascii_uppercase() { format!("_{}", c.to_ascii_lowercase()) } else { c.to_string() });
            assert_eq!(words.collect::<String>().replace('.', "_"), *member, "a member is called as its path");
        }
    }

    #[test]
    fn paths_that_begin_alike_stand_together_and_none_is_within_another() {
        let list = Figures::default().list();
        let mut groups: Vec<&str> =
            list.iter().map(|figure| figure.path.split('.').next().unwrap_or_default()).collect();
        groups.dedup();
        let distinct: HashSet<&str> = groups.iter().copied().collect();
        assert_eq!(groups.len(), distinct.len(), "{groups:?}");
        for figure in &list {
            let within = list.iter().find(|other| other.path.starts_with(&format!("{}.", figure.path)));
            assert_eq!(within, None, "{} is a figure and a group", figure.path);
        }
    }
}
