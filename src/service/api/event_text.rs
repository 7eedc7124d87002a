//! Owns how an event looks: its data as JSON, and its lines in a stream.
//! It must not choose what is told.

use schemars::JsonSchema;
use serde::Serialize;

use super::events::EventId;
use super::executions::{ExecutionBody, execution};
use super::incidents::IncidentBody;
use super::json::{Millis, Moment, append};
use super::news::{IncidentTurn, JobTurn, News};
use crate::core::Record;
use crate::job::JobId;
use crate::store::ExecutionRecord;

/// What a client is told that cannot be told everything it asked for. None: nobody knows how many there were.
pub fn gap_text(id: EventId, missed: Option<u64>) -> Vec<u8> {
    event_text(id, &EventBody::Gap(GapBody { missed }))
}

/// The text of an event.
pub(super) fn event_text(id: EventId, body: &EventBody) -> Vec<u8> {
    let mut out = format!("id: {id}\nevent: {}\ndata: ", body.name()).into_bytes();
    append(&mut out, body);
    out.extend_from_slice(b"\n\n");
    out
}

/// The data of an event.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase")]
#[schemars(rename = "Event")]
pub(super) enum EventBody {
    /// An execution was sent (`PENDING`), or has ended and is on disk.
    Execution(Box<ExecutionBody>),
    /// A job is another one, and that is on disk.
    Job(JobNewsBody),
    /// A target began to fail, or answers again.
    Target(TargetBody),
    /// An incident is open, or the silence is over that had kept it from being told; that is on disk.
    #[serde(rename = "incident.opened")]
    IncidentOpened(Box<IncidentBody>),
    /// Somebody knows of an incident.
    #[serde(rename = "incident.acknowledged")]
    IncidentAcknowledged(Box<IncidentBody>),
    /// An incident is over.
    #[serde(rename = "incident.closed")]
    IncidentClosed(Box<IncidentBody>),
    /// More is due than the targets take.
    Overload(OverloadBody),
    /// The wall clock stepped.
    ClockStep(ClockStepBody),
    /// Too much happened within a second: some events were left out.
    Sampled(SampledBody),
    /// This client missed some events.
    Gap(GapBody),
}

impl EventBody {
    /// What the event is called in the stream: the same as in the data.
    fn name(&self) -> &'static str {
        match self {
            EventBody::Execution(_) => "execution",
            EventBody::Job(_) => "job",
            EventBody::Target(_) => "target",
            EventBody::IncidentOpened(_) => "incident.opened",
            EventBody::IncidentAcknowledged(_) => "incident.acknowledged",
            EventBody::IncidentClosed(_) => "incident.closed",
            EventBody::Overload(_) => "overload",
            EventBody::ClockStep(_) => "clockStep",
            EventBody::Sampled(_) => "sampled",
            EventBody::Gap(_) => "gap",
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "JobEvent")]
pub(super) struct JobNewsBody {
    #[schemars(with = "JobId")]
    job_id: String,
    change: JobTurn,
    /// None: it is gone.
    revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    paused: bool,
    /// Why its own policy paused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    #[schemars(with = "Moment")]
    at: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TargetEvent")]
pub(super) struct TargetBody {
    target: String,
    failing: bool,
    #[schemars(with = "Moment")]
    at: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OverloadEvent")]
pub(super) struct OverloadBody {
    /// Looks at a job that could not be armed.
    jobs: u64,
    /// Instants that were passed over.
    instants: u64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClockStepEvent")]
pub(super) struct ClockStepBody {
    /// Negative is back.
    by_ms: Millis,
    held_jobs: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SampledEvent")]
pub(super) struct SampledBody {
    /// Events that nobody was told: first of what was sent, then of what ended well, then of what failed.
    left_out: u64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "GapEvent")]
pub(super) struct GapBody {
    /// How many, of whatever type; null: it is not known, as the server was started or did not keep events meanwhile.
    missed: Option<u64>,
}

impl From<News> for EventBody {
    fn from(news: News) -> EventBody {
        match news {
            News::Fired { id, class, attempt } => {
                let record = Record { attempt, ..Record::pending(class) };
                EventBody::Execution(Box::new(execution(ExecutionRecord { id, record }, true)))
            }
            News::Ended(ended) => EventBody::Execution(Box::new(execution(*ended, true))),
            News::Job { id, change, now, at } => {
                let revision = now.as_ref().map(|now| now.revision);
                let paused = now.as_ref().is_some_and(|now| now.paused);
                let (name, reason) = now.map_or((None, None), |now| (now.name, now.reason));
                let (job_id, at) = (id.to_string(), at.to_string());
                EventBody::Job(JobNewsBody { job_id, change, revision, name, paused, reason, at })
            }
            News::Target { name, failing, at } => {
                EventBody::Target(TargetBody { target: name, failing, at: at.to_string() })
            }
            News::Incident { turn, incident, silenced_by } => {
                let body = Box::new(IncidentBody::of(&incident, silenced_by));
                match turn {
                    IncidentTurn::Opened => EventBody::IncidentOpened(body),
                    IncidentTurn::Acknowledged => EventBody::IncidentAcknowledged(body),
                    IncidentTurn::Closed => EventBody::IncidentClosed(body),
                }
            }
            News::Overload { jobs, instants } => EventBody::Overload(OverloadBody { jobs, instants }),
            News::ClockStep { by_us, held_jobs } => {
                EventBody::ClockStep(ClockStepBody { by_ms: Millis::from_us(by_us), held_jobs })
            }
            News::Sampled { left_out } => EventBody::Sampled(SampledBody { left_out }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Class, Details, ExecutionKey, LedgerRow, Persist, Seq, Status};
    use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
    use crate::time::{Instant, WallUs};

    const ID: EventId = EventId { process: 7, number: 8 };

    fn text(news: News) -> String {
        String::from_utf8(news.text(ID)).expect("it is text")
    }

    #[test]
    fn an_event_is_called_in_its_data_as_in_the_stream_and_is_one_line() {
        let at = WallUs(0);
        let all = [
            News::Target { name: "http://a\n\n".to_owned(), failing: true, at },
            News::Overload { jobs: 1, instants: 2 },
            News::ClockStep { by_us: -1_500, held_jobs: 3 },
            News::Sampled { left_out: 4 },
            News::Job { id: JobId::new(JobKey(1), [0; 10]), change: JobTurn::Deleted, now: None, at },
        ];
        let all = all.into_iter().map(text).chain([String::from_utf8(gap_text(ID, None)).expect("it is text")]);
        let mut names = Vec::new();
        for text in all {
            let lines: Vec<&str> = text.split('\n').collect();
            let [id, name, data, "", ""] = lines[..] else { panic!("{text:?}") };
            let name = name.strip_prefix("event: ").expect("a name");
            let data: serde_json::Value =
                serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("it is JSON");
            assert_eq!((id, &data["event"]), ("id: 7-8", &serde_json::json!(name)));
            names.push(name.to_owned());
        }
        assert_eq!(names, ["target", "overload", "clockStep", "sampled", "job", "gap"]);
    }

    #[test]
    fn what_the_target_said_and_what_it_was_sent_is_not_told() {
        let spec = JobSpec::compile(&Definition::plain("@daily", "http://a/"), &Context::at(Instant::FIRST));
        let job = Revision::first(JobId::new(JobKey(1), [0; 10]), spec.expect("it is valid"), WallUs(0));
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(5));
        let mut row = LedgerRow::pending(Seq(1), key, Class::OnTime);
        row.record.status = Status::Failed;
        row.record.error = Some("the target answered 500".into());
        let origin = Some(key.of(job.id));
        row.record.details = Some(Box::new(Details { response: Some("secret".into()), origin, ..Details::default() }));
        let news = News::of_item(&Persist::Row(row, None), &job, WallUs(0)).expect("it has ended");
        let text = text(news);
        assert!(!text.contains("secret") && text.contains("\"errorMessage\":\"the target answered 500\""), "{text}");
        assert!(text.contains(&format!("\"replayOf\":\"{}\"", key.of(job.id))), "{text}");
    }
}
