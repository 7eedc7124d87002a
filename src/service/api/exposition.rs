//! Owns the metrics as text: the list of figures as Prometheus and whoever understands OpenMetrics read it, and some jobs
//! if they are asked for.
//! It must not measure, or know any one figure.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit as Suffix};

use super::call::{Call, Read};
use super::channels::ChannelFigures;
use super::errors::ApiError;
use super::matching::Matched;
use super::parameters::METRIC_JOBS;
use crate::core::{JobView, Status as Ended};
use crate::http::{Method, Response, Status};
use crate::telemetry::{BUCKETS_US, Figure, Figures, Kind, Metric, Percentiles, Shown, Unit, Value};

/// What plain text is called without its version.
pub(super) const PLAIN: &str = "text/plain";
/// The same of OpenMetrics.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text";

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Plain,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Format::Plain => prometheus_text::CONTENT_TYPE,
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Metrics as text.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let jobs = matched.parameters()?.jobs(&METRIC_JOBS)?.unwrap_or_default();
    let is_open = matched.request.accepts.likes_open_metrics();
    let format = if is_open { Format::OpenMetrics } else { Format::Plain };
    if matched.request.method == Method::Head {
        return Ok(Call::Ready(shown(Response::unmade(Status::OK), format)));
    }
    Ok(Call::Read(Read::Exposition { jobs, format }))
}

/// Metrics as they are now, with those of all channels and of these jobs.
pub fn exposition(
    figures: &Figures,
    channels: Vec<(Arc<str>, ChannelFigures)>,
    jobs: Vec<JobView>,
    format: Format,
) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { figures: figures.list(), channels, jobs }));
    let mut written = String::new();
    let done = match format {
        Format::Plain => prometheus_text::encode(&mut written, &registry),
        Format::OpenMetrics => text::encode(&mut written, &registry),
    };
    done.expect("memory takes whatever is written");
    shown(Response::new(Status::OK, written.into_bytes()), format)
}

fn shown(response: Response, format: Format) -> Response {
    Response { content_type: format.content_type(), ..response }.with_header("Vary", "Accept")
}

/// What is written down.
#[derive(Debug)]
struct Exposition {
    figures: Vec<Figure>,
    channels: Vec<(Arc<str>, ChannelFigures)>,
    jobs: Vec<JobView>,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        build.encode(encoder.encode_descriptor("punctual_build", BUILD, None, build.metric_type())?)?;
        for (place, figure) in self.figures.iter().enumerate() {
            match figure.shown {
                Shown::By(_) => {}
                Shown::Alone(name, unit) if is_known(&figure.value) => {
                    let (unit, kind) = (suffix(unit), type_of(figure.kind));
                    write(&mut encoder.encode_descriptor(name, figure.help, unit, kind)?, figure)?;
                }
                Shown::Alone(..) => {}
                // All of one stand together, where the first of them does.
                Shown::Among(metric, _)
                    if self.figures[..place].iter().any(|other| values_in(metric, other).is_some()) => {}
                Shown::Among(metric, _) => {
                    let mut family = encoder.encode_descriptor(metric.name, metric.help, None, type_of(figure.kind))?;
                    for figure in &self.figures[place..] {
                        if let Some(values) = values_in(metric, figure) {
                            let labels: Vec<_> = metric.labels.iter().copied().zip(values.iter().copied()).collect();
                            write(&mut family.encode_family(&labels)?, figure)?;
                        }
                    }
                }
            }
        }
        encode_channels(&mut encoder, &self.channels)?;
        encode_jobs(&mut encoder, &self.jobs)
    }
}

const BUILD: &str = "Which server this is.";

/// With which labels a figure is one of a metric, if it is.
fn values_in(metric: &Metric, figure: &Figure) -> Option<&'static [&'static str]> {
    match figure.shown {
        Shown::Among(its, values) if its.name == metric.name => Some(values),
        Shown::Among(..) | Shown::Alone(..) | Shown::By(_) => None,
    }
}

fn is_known(value: &Value) -> bool {
    !matches!(value, Value::Known(None) | Value::Decimal(None))
}

fn type_of(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge | Kind::Flag => MetricType::Gauge,
        Kind::Distribution => MetricType::Histogram,
    }
}

fn suffix(unit: Unit) -> Option<&'static Suffix> {
    match unit {
        Unit::Count => None,
        Unit::Bytes => Some(&Suffix::Bytes),
        Unit::Seconds => Some(&Suffix::Seconds),
    }
}

fn write(encoder: &mut MetricEncoder<'_>, figure: &Figure) -> fmt::Result {
    let is_counter = figure.kind == Kind::Counter;
    match figure.value {
        Value::Whole(count) | Value::Known(Some(count)) if is_counter => write_counter(encoder, count),
        Value::Whole(count) | Value::Known(Some(count)) => encoder.encode_gauge(&count),
        Value::Decimal(Some(decimal)) if is_counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&decimal, None),
        Value::Decimal(Some(decimal)) => encoder.encode_gauge(&decimal),
        Value::Known(None) | Value::Decimal(None) => Ok(()),
        Value::Flag(flag) => encoder.encode_gauge(&u64::from(flag)),
        Value::Distribution(found) => write_histogram(encoder, &found),
    }
}

fn write_counter(encoder: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, f64>(&count, None)
}

fn write_histogram(encoder: &mut MetricEncoder<'_>, found: &Percentiles) -> fmt::Result {
    let beyond = found.count - found.buckets.iter().sum::<u64>();
    let bounds = BUCKETS_US.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(found.buckets.into_iter().chain([beyond])).collect();
    encoder.encode_histogram::<NoLabelSet>(seconds(found.sum), found.count, &buckets, None)
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Writes down what is known of channels, under a metric for each thing that is. There may be one that is called like the
/// plain webhook, so that these are not among its metrics.
fn encode_channels(encoder: &mut DescriptorEncoder<'_>, channels: &[(Arc<str>, ChannelFigures)]) -> fmt::Result {
    for metric in CHANNEL_METRICS.iter().filter(|_| !channels.is_empty()) {
        let kind = if metric.is_counter { MetricType::Counter } else { MetricType::Gauge };
        let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
        for (name, figures) in channels {
            for (outcome, value) in (metric.values)(figures) {
                let outcome = (!outcome.is_empty()).then_some(("outcome", outcome));
                let labels: Vec<_> = [("channel", name.as_ref())].into_iter().chain(outcome).collect();
                let mut one = family.encode_family(&labels)?;
                if metric.is_counter {
                    write_counter(&mut one, value)?;
                } else {
                    one.encode_gauge(&value)?;
                }
            }
        }
    }
    Ok(())
}

/// What is told of a channel.
#[derive(Debug)]
struct ChannelMetric {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    /// What it is now, by the outcome of messages where that tells values apart.
    values: fn(&ChannelFigures) -> Vec<(&'static str, u64)>,
}

/// All that is told of channels.
const CHANNEL_METRICS: [ChannelMetric; 4] = [
    ChannelMetric {
        name: "punctual_channel_messages",
        help: "Messages of incidents that a channel took, or that were given up, by channel and outcome.",
        is_counter: true,
        values: |figures| vec![("delivered", figures.delivered), ("failed", figures.failed)],
    },
    ChannelMetric {
        name: "punctual_channel_retries",
        help: "Tries to deliver messages that failed and are followed by another one, by channel.",
        is_counter: true,
        values: |figures| vec![("", figures.retries)],
    },
    ChannelMetric {
        name: "punctual_channel_queued",
        help: "Messages that wait for a channel.",
        is_counter: false,
        values: |figures| vec![("", figures.waiting as u64)],
    },
    ChannelMetric {
        name: "punctual_channel_failing",
        help: "Whether the last try to deliver something over a channel failed.",
        is_counter: false,
        values: |figures| vec![("", u64::from(figures.health.error.is_some()))],
    },
];

/// Writes down what is known of jobs, under a metric for each thing that is.
fn encode_jobs(encoder: &mut DescriptorEncoder<'_>, jobs: &[JobView]) -> fmt::Result {
    for metric in JOB_METRICS.iter().filter(|_| !jobs.is_empty()) {
        let kind = if metric.is_counter { MetricType::Counter } else { MetricType::Gauge };
        let mut family = encoder.encode_descriptor(metric.name, metric.help, suffix(metric.unit), kind)?;
        for view in jobs {
            let (id, name) = (view.revision.id.to_string(), view.revision.spec.name().unwrap_or_default());
            for (status, value) in (metric.values)(view) {
                let status = status.map(|status| ("status", status.name()));
                let labels: Vec<_> = [("job_id", id.as_str()), ("name", name)].into_iter().chain(status).collect();
                let mut one = family.encode_family(&labels)?;
                if metric.is_counter {
                    one.encode_counter::<NoLabelSet, f64, f64>(&value, None)?;
                } else {
                    one.encode_gauge(&value)?;
                }
            }
        }
    }
    Ok(())
}

/// What is told of a job.
#[derive(Debug)]
pub(super) struct JobMetric {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    help: &'static str,
    is_counter: bool,
    /// What it is now, by the status of executions where that tells values apart.
    values: fn(&JobView) -> Values,
}

/// Values of a job, each with the status that tells it from others, if there are any.
type Values = Vec<(Option<Ended>, f64)>;

/// All that is told of jobs.
pub(super) const JOB_METRICS: [JobMetric; 6] = [
    JobMetric {
        name: "punctual_job_executions",
        unit: Unit::Count,
        help: "Executions of a job that ended, by status, over restarts too.",
        is_counter: true,
        values: |view| {
            let counters = &view.tally.counters;
            let counts = [
                (Ended::Success, counters.success),
                (Ended::Failed, counters.failed),
                (Ended::Skipped, counters.skipped),
            ];
            counts.map(|(status, count)| (Some(status), count as f64)).to_vec()
        },
    },
    JobMetric {
        name: "punctual_job_duration",
        unit: Unit::Seconds,
        help: "How long the deciding attempts of a job took, all together.",
        is_counter: true,
        values: |view| vec![(None, seconds(view.tally.counters.duration_us))],
    },
    JobMetric {
        name: "punctual_job_failures_in_a_row",
        unit: Unit::Count,
        help: "Executions of a job that ended FAILED since the last that ended SUCCESS.",
        is_counter: false,
        values: |view| vec![(None, f64::from(view.tally.failures_in_row))],
    },
    JobMetric {
        name: "punctual_job_paused",
        unit: Unit::Count,
        help: "Whether a job rests, until some moment or until somebody resumes it.",
        is_counter: false,
        values: |view| vec![(None, f64::from(u8::from(view.paused)))],
    },
    JobMetric {
        name: "punctual_job_last_execution_timestamp",
        unit: Unit::Seconds,
        help: "The scheduled time of a job's last execution that ended.",
        is_counter: false,
        values: |view| view.tally.last.iter().map(|last| (None, last.instant.as_secs() as f64)).collect(),
    },
    JobMetric {
        name: "punctual_job_next_execution_timestamp",
        unit: Unit::Seconds,
        help: "When a job is due next, if it is.",
        is_counter: false,
        values: |view| view.next.iter().map(|next| (None, next.as_secs() as f64)).collect(),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::core::{Counters, LastOutcome, Tally};
    use crate::http::Body;
    use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
    use crate::store::ChannelHealth;
    use crate::time::{Instant, WallUs};

    fn written(figures: &Figures, jobs: Vec<JobView>, format: Format) -> String {
        let Body::Whole(bytes) = exposition(figures, channels(), jobs, format).body else {
            panic!("metrics are no stream")
        };
        String::from_utf8(bytes).expect("it is text")
    }

    fn channels() -> Vec<(Arc<str>, ChannelFigures)> {
        let failing = ChannelHealth { error: Some("refused".to_owned()), ..ChannelHealth::default() };
        let ops = ChannelFigures { health: failing, waiting: 3, delivered: 5, failed: 1, retries: 2 };
        vec![("mail".into(), ChannelFigures::default()), ("ops".into(), ops)]
    }

    fn figures() -> Figures {
        let mut drift = Percentiles { count: 4, negative: 1, sum: 70_000_600, ..Percentiles::default() };
        (drift.buckets[0], drift.buckets[2]) = (2, 1);
        Figures {
            scheduler_is_running: true,
            executions_manual_failed: 3,
            drift,
            process_memory_bytes: Some(4096),
            process_cpu_seconds: Some(1.5),
            uptime_seconds: 60,
            ..Figures::default()
        }
    }

    /// The lines that concern a metric.
    fn of<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        let concerns = |line: &&str| {
            let line = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").trim_start_matches("# UNIT ");
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{', '_']))
        };
        text.lines().filter(concerns).collect()
    }

    #[test]
    fn prometheus_has_names_kinds_and_labels() {
        let text = written(&figures(), Vec::new(), Format::Plain);
        assert_eq!(
            of(&text, "punctual_scheduler_running"),
            [
                "# HELP punctual_scheduler_running Whether the scheduler fires.",
                "# TYPE punctual_scheduler_running gauge",
                "punctual_scheduler_running 1",
            ]
        );
        let executions = of(&text, "punctual_executions_total");
        assert_eq!(executions[1], "# TYPE punctual_executions_total counter");
        assert_eq!(executions.len(), 2 + 12);
        assert!(
            executions.contains(&"punctual_executions_total{status=\"FAILED\",kind=\"manual\"} 3"),
            "{executions:?}"
        );
        assert!(text.contains("\nprocess_resident_memory_bytes 4096\n"), "{text}");
        assert!(text.contains("\nprocess_cpu_seconds_total 1.5\n"), "{text}");
        assert!(text.contains("\npunctual_uptime_seconds 60\n"), "{text}");
        let version = env!("CARGO_PKG_VERSION");
        assert!(text.contains(&format!("\npunctual_build_info{{version=\"{version}\"}} 1\n")), "{text}");
        assert_eq!(of(&text, "process_open_fds"), [""; 0], "what is not known is left out");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }

    #[test]
    fn open_metrics_say_the_same_and_the_unit_and_the_end() {
        let text = written(&figures(), Vec::new(), Format::OpenMetrics);
        assert!(text.ends_with("# EOF\n"), "{text}");
        assert!(text.contains("# TYPE punctual_executions counter\n"), "{text}");
        assert!(text.contains("# TYPE punctual_build info\n"), "{text}");
        assert!(text.contains("# UNIT punctual_drift_seconds seconds\n"), "{text}");
        assert!(text.contains("# TYPE punctual_drift_seconds histogram\n"), "{text}");
        let samples = |text: &str| {
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            let plain = samples.map(|line| line.replace(".0\"} ", "\"} ").trim_end_matches(".0").to_owned());
            // Each has its own order for the parts of a distribution.
            plain.collect::<BTreeSet<String>>()
        };
        assert_eq!(samples(&text), samples(&written(&figures(), Vec::new(), Format::Plain)));
    }

    #[test]
    fn channels_have_metrics_of_their_own() {
        let text = written(&figures(), Vec::new(), Format::Plain);
        for line in [
            "punctual_channel_messages_total{channel=\"ops\",outcome=\"delivered\"} 5",
            "punctual_channel_messages_total{channel=\"ops\",outcome=\"failed\"} 1",
            "punctual_channel_messages_total{channel=\"mail\",outcome=\"failed\"} 0",
            "punctual_channel_retries_total{channel=\"ops\"} 2",
            "punctual_channel_queued{channel=\"ops\"} 3",
            "punctual_channel_failing{channel=\"ops\"} 1",
            "punctual_channel_failing{channel=\"mail\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        for metric in CHANNEL_METRICS {
            assert!(metric.help.ends_with('.'), "{metric:?}");
        }
    }

    #[test]
    fn a_distribution_adds_its_buckets_up_and_counts_what_is_beyond() {
        let text = written(&figures(), Vec::new(), Format::Plain);
        let lines = of(&text, "punctual_drift_seconds");
        let buckets: Vec<&str> = lines.iter().copied().filter(|line| line.contains("_bucket")).collect();
        assert_eq!(buckets.len(), BUCKETS_US.len() + 1);
        assert_eq!(buckets[0], "punctual_drift_seconds_bucket{le=\"0.0001\"} 2");
        assert_eq!(buckets[1], "punctual_drift_seconds_bucket{le=\"0.00025\"} 2");
        assert_eq!(buckets[2], "punctual_drift_seconds_bucket{le=\"0.0005\"} 3");
        assert_eq!(buckets[17], "punctual_drift_seconds_bucket{le=\"60\"} 3");
        assert_eq!(buckets[18], "punctual_drift_seconds_bucket{le=\"+Inf\"} 4");
        assert!(lines.contains(&"punctual_drift_seconds_sum 70.0006"), "{lines:?}");
        assert!(lines.contains(&"punctual_drift_seconds_count 4"), "{lines:?}");
    }

    #[test]
    fn jobs_that_are_asked_for_have_metrics_of_their_own() {
        let plain = written(&figures(), Vec::new(), Format::Plain);
        assert!(!plain.contains("punctual_job_"), "{plain}");
        let spec = |name: Option<&str>| {
            let definition = Definition { name: name.map(Into::into), ..Definition::plain("@hourly", "http://a/") };
            JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).expect("it is valid")
        };
        let view = |key: u64, name: Option<&str>, tally: Tally| JobView {
            revision: Arc::new(Revision::first(JobId::new(JobKey(key), [0; 10]), spec(name), WallUs(0))),
            tally,
            next: (key == 1).then_some(Instant::from_secs(3600)),
            paused: key == 2,
            held: false,
        };
        let counters = Counters { success: 5, failed: 2, duration_us: 1_500_000, ..Counters::default() };
        let last = LastOutcome { instant: Instant::from_secs(60), status: Ended::Failed, http_status: None };
        let tally = Tally { counters, last: Some(last), failures_in_row: 2, last_success: None };
        let jobs = vec![view(1, Some("a \"b\"\\c"), tally), view(2, None, Tally::default())];
        let ids: Vec<String> = jobs.iter().map(|view| view.revision.id.to_string()).collect();
        let text = written(&figures(), jobs, Format::OpenMetrics);
        let labels = format!("job_id=\"{}\",name=\"a \\\"b\\\"\\\\c\"", ids[0]);
        for line in [
            format!("punctual_job_executions_total{{{labels},status=\"SUCCESS\"}} 5.0"),
            format!("punctual_job_executions_total{{{labels},status=\"FAILED\"}} 2.0"),
            format!("punctual_job_duration_seconds_total{{{labels}}} 1.5"),
            format!("punctual_job_failures_in_a_row{{{labels}}} 2.0"),
            format!("punctual_job_last_execution_timestamp_seconds{{{labels}}} 60.0"),
            format!("punctual_job_next_execution_timestamp_seconds{{{labels}}} 3600.0"),
            format!("punctual_job_paused{{{labels}}} 0.0"),
            format!("punctual_job_paused{{job_id=\"{}\",name=\"\"}} 1.0", ids[1]),
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        assert_eq!(of(&text, "punctual_job_next_execution_timestamp_seconds").len(), 3 + 1, "one of them has none");
        for metric in JOB_METRICS {
            assert!(metric.help.ends_with('.'), "{metric:?}");
        }
    }

    /// The README's list of metrics: the names at the beginning of its rows.
    #[test]
    fn the_readme_has_every_metric_and_no_other() {
        let readme: &'static str = include_str!("../../../README.md");
        let table =
            readme.lines().skip_while(|line| !line.starts_with("| metric |")).take_while(|line| !line.is_empty());
        let names_in = |line: &'static str| -> Vec<String> {
            let cell = line.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
            let names = cell.split('`').skip(1).step_by(2);
            names.map(|name| name.split('{').next().unwrap_or_default().to_owned()).collect()
        };
        let mut told: Vec<String> = table.skip(2).flat_map(names_in).collect();
        let spec = JobSpec::compile(&Definition::plain("@hourly", "http://a/"), &Context::at(Instant::from_secs(0)));
        let revision = Revision::first(JobId::new(JobKey(1), [0; 10]), spec.expect("it is valid"), WallUs(0));
        let (tally, paused, held) = (Tally::default(), false, false);
        let job = JobView { revision: Arc::new(revision), tally, next: None, paused, held };
        let known = Figures {
            store_disk_bytes: Some(0),
            store_disk_free_bytes: Some(0),
            process_memory_bytes: Some(0),
            process_cpu_seconds: Some(0.0),
            process_open_files: Some(0),
            process_open_files_max: Some(0),
            nodes_lease_seconds: Some(0.0),
            nodes_clock_ahead_seconds: Some(0.0),
            ..Figures::default()
        };
        let text = written(&known, vec![job], Format::Plain);
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut known: Vec<String> = types.filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known);
    }
}
