//! Owns the incidents of the API: how they are asked for and acknowledged, and how one looks, alone or with its messages.
//! It must not decide whether something is one, or whether it is over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::Call;
use super::errors::ApiError;
use super::json::{Moment, ok};
use super::links::to_next;
use super::matching::Matched;
use super::parameters::{CAUSES, INCIDENT_JOB, INCIDENT_STATE, INCIDENT_STATES, PAGE_DEFAULT};
use crate::core::{Acknowledged, Action, ExecutionId, Incident, IncidentId, SilenceId, Subject};
use crate::http::Response;
use crate::job::JobId;
use crate::limits::NOTE_LEN_MAX;
use crate::store::{Delivery, IncidentPage, IncidentQuery, Query, SentMessage};

/// A page of incidents, newest first.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    Ok(Call::Query(Query::Incidents(IncidentQuery {
        limit: parameters.limit(PAGE_DEFAULT)?,
        before: parameters.cursor(|text| text.parse().ok())?,
        open: parameters.name(&INCIDENT_STATE)?.map(|place| INCIDENT_STATES[place] == "open"),
        job: parameters.job(&INCIDENT_JOB)?.map(|job| job.key()),
        cause: parameters.cause()?,
    })))
}

/// One incident.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Query(Query::Incident(id_in(matched)?)))
}

/// That somebody knows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default, expecting = "a JSON object such as {\"note\":\"...\"}")]
pub(super) struct AcknowledgeAsked {
    /// What is known, or done about it.
    #[schemars(length(max = NOTE_LEN_MAX))]
    note: Option<String>,
}

/// Somebody knows of an incident. Who that is is not known here.
pub(super) fn acknowledge(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let id = id_in(matched)?;
    let AcknowledgeAsked { note } =
        body::read_if_any(matched.request, "a JSON object such as {\"note\":\"...\"}, or nothing")?;
    if note.as_deref().is_some_and(|note| note.chars().count() > NOTE_LEN_MAX) {
        return Err(ApiError::member("note", format!("expected at most {NOTE_LEN_MAX} characters")));
    }
    let note = note.filter(|note| !note.trim().is_empty()).map(String::into_boxed_str);
    Ok(Call::Change(Action::Acknowledge { id, by: None, note }))
}

/// A malformed id names none.
fn id_in(matched: &Matched<'_>) -> Result<IncidentId, ApiError> {
    matched.text().parse().map_err(|_| ApiError::no_such_incident())
}

/// An incident as clients see it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Incident")]
pub(super) struct IncidentBody {
    incident_id: String,
    /// What is wrong.
    #[schemars(extend("enum" = CAUSES))]
    cause: &'static str,
    #[schemars(extend("enum" = ["OPEN", "CLOSED"]))]
    state: &'static str,
    /// What is wrong, in a sentence, as it was when it was opened.
    summary: Box<str>,
    /// Of which job, if of one; it may be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<String>,
    /// What the job was called then.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<Box<str>>,
    /// Of which target, if of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Box<str>>,
    /// The execution that it was opened by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ExecutionId")]
    execution_id: Option<String>,
    #[schemars(with = "Moment")]
    opened_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    closed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_because: Option<Box<str>>,
    /// Who knows of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<AcknowledgedBody>,
    /// Whether it was told that it is open.
    told: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    last_told_at: Option<String>,
    /// How many messages there were of it, each over one or several channels.
    message_count: u32,
    /// The silence that covers it now, if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    silenced_by: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Acknowledged")]
struct AcknowledgedBody {
    #[schemars(with = "Moment")]
    at: String,
    /// The name of the token, if one was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Box<str>>,
}

impl From<&Acknowledged> for AcknowledgedBody {
    fn from(acknowledged: &Acknowledged) -> AcknowledgedBody {
        let Acknowledged { at, by, note } = acknowledged;
        AcknowledgedBody { at: at.to_string(), by: by.clone(), note: note.clone() }
    }
}

impl IncidentBody {
    /// An incident, with the silence that covers it.
    pub(super) fn of(incident: &Incident, silenced_by: Option<SilenceId>) -> IncidentBody {
        let (job_id, target) = match &incident.subject {
            Subject::Job(id) => (Some(id.to_string()), None),
            Subject::Target(name) => (None, Some(name.as_ref().into())),
            Subject::Server => (None, None),
        };
        let label = incident.label.as_deref();
        let closed = incident.closed.as_ref();
        IncidentBody {
            incident_id: incident.id.to_string(),
            cause: incident.cause.name(),
            state: if closed.is_none() { "OPEN" } else { "CLOSED" },
            summary: incident.summary.clone(),
            job_id,
            job_name: label.and_then(|label| label.name.clone()),
            api: label.map(|label| label.api.clone()),
            schedule: label.map(|label| label.schedule.clone()),
            target,
            execution_id: incident.execution.map(|id| id.to_string()),
            opened_at: incident.opened_at.to_string(),
            closed_at: closed.map(|closed| closed.at.to_string()),
            closed_because: closed.map(|closed| closed.why.clone()),
            acknowledged: incident.acknowledged.as_deref().map(AcknowledgedBody::from),
            told: incident.told,
            last_told_at: incident.told_at.map(|at| at.to_string()),
            message_count: incident.messages,
            silenced_by: silenced_by.filter(|_| closed.is_none()).map(|id| id.to_string()),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Incidents")]
pub(super) struct IncidentsBody {
    incidents: Vec<IncidentBody>,
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "IncidentWithMessages")]
pub(super) struct WithMessagesBody {
    #[serde(flatten)]
    incident: IncidentBody,
    /// What was told of it, oldest first: one for each channel.
    messages: Vec<MessageBody>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Message")]
struct MessageBody {
    /// What identifies it at the channel, whenever it is sent.
    message_id: String,
    #[schemars(extend("enum" = ["OPENED", "REMINDED", "CLOSED"]))]
    event: &'static str,
    channel: Box<str>,
    /// When it was made.
    #[schemars(with = "Moment")]
    at: String,
    #[schemars(extend("enum" = ["PENDING", "DELIVERED", "FAILED"]))]
    delivery: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    delivered_at: Option<String>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A page as a reader found it. Which silence covers an incident only memory knows.
pub fn incidents(page: &IncidentPage, silence_of: impl Fn(&Incident) -> Option<SilenceId>) -> Response {
    let next_cursor = page.incidents.last().filter(|_| page.more).map(|last| last.id.to_string());
    let incidents = page.incidents.iter().map(|incident| IncidentBody::of(incident, silence_of(incident))).collect();
    let body = IncidentsBody { incidents, next_cursor: next_cursor.clone() };
    to_next(ok(&body), next_cursor.as_deref())
}

/// One incident with its messages, if there is one.
pub fn incident(
    found: Option<&(Incident, Vec<SentMessage>)>,
    silence_of: impl Fn(&Incident) -> Option<SilenceId>,
) -> Response {
    let Some((incident, messages)) = found else { return ApiError::no_such_incident().response() };
    ok(&WithMessagesBody {
        incident: IncidentBody::of(incident, silence_of(incident)),
        messages: messages.iter().map(message).collect(),
    })
}

/// One that somebody knows of now.
pub(super) fn acknowledged(incident: &Incident, silenced_by: Option<SilenceId>) -> Response {
    ok(&IncidentBody::of(incident, silenced_by))
}

fn message(sent: &SentMessage) -> MessageBody {
    let SentMessage { event, at, delivery } = sent;
    let Delivery { incident, number, channel, state, delivered_at, attempts, error } = delivery;
    MessageBody {
        message_id: format!("{incident}.{number}.{channel}"),
        event: event.name(),
        channel: channel.as_ref().into(),
        at: at.to_string(),
        delivery: state.name(),
        delivered_at: delivered_at.map(|at| at.to_string()),
        attempts: *attempts,
        error: error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::core::{Cause, Closed, Event, JobLabel};
    use crate::http::Body;
    use crate::job::JobKey;
    use crate::store::AlertState;
    use crate::time::WallUs;

    const AT: WallUs = WallUs(1_764_421_200_123_456);
    const SILENCE: SilenceId = SilenceId(7);

    fn value(response: &Response) -> Value {
        let Body::Whole(body) = &response.body else { panic!("it is no stream") };
        serde_json::from_slice(body).expect("it is JSON")
    }

    fn of_job() -> Incident {
        let label = JobLabel { name: None, api: "http://a/".into(), schedule: "@daily".into() };
        Incident {
            id: IncidentId(1_764_421_200_123_456),
            cause: Cause::Failing,
            subject: Subject::Job(JobId::new(JobKey(1), [0; 10])),
            label: Some(Box::new(label)),
            summary: "3 executions in a row failed".into(),
            execution: None,
            opened_at: AT,
            closed: None,
            acknowledged: None,
            messages: 1,
            told: true,
            told_at: Some(AT),
        }
    }

    #[test]
    fn one_that_is_open_says_which_silence_covers_it_and_leaves_out_what_it_has_not() {
        let shown = value(&incident(Some(&(of_job(), Vec::new())), |_| Some(SILENCE)));
        let expected = json!({
            "incidentId": "1764421200123456", "cause": "FAILING", "state": "OPEN",
            "summary": "3 executions in a row failed", "jobId": JobId::new(JobKey(1), [0; 10]).to_string(),
            "api": "http://a/", "schedule": "@daily", "openedAt": "2025-11-29T13:00:00.123Z", "told": true,
            "lastToldAt": "2025-11-29T13:00:00.123Z", "messageCount": 1, "silencedBy": "7", "messages": [],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_that_is_closed_says_why_and_its_messages_what_became_of_them() {
        let closed = Some(Closed { at: AT, why: "an execution succeeded".into() });
        let acknowledged = Some(Box::new(Acknowledged { at: AT, by: Some("ops".into()), note: None }));
        let subject = Subject::Target("https://example.com:443".into());
        let over = Incident { closed, acknowledged, subject, label: None, cause: Cause::TargetFailing, ..of_job() };
        let delivery = Delivery {
            incident: over.id,
            number: 2,
            channel: Arc::from("ops.mail"),
            state: AlertState::Failed,
            delivered_at: None,
            attempts: 4,
            error: Some("refused".to_owned()),
        };
        let sent = SentMessage { event: Event::Closed, at: AT, delivery };
        let shown = value(&incident(Some(&(over, vec![sent])), |_| Some(SILENCE)));
        assert_eq!((&shown["state"], &shown["closedBecause"]), (&json!("CLOSED"), &json!("an execution succeeded")));
        assert_eq!(shown["acknowledged"], json!({ "at": "2025-11-29T13:00:00.123Z", "by": "ops" }));
        assert_eq!(
            (&shown["target"], shown.get("jobId"), shown.get("silencedBy")),
            (&json!("https://example.com:443"), None, None)
        );
        let message = json!([{
            "messageId": "1764421200123456.2.ops.mail", "event": "CLOSED", "channel": "ops.mail",
            "at": "2025-11-29T13:00:00.123Z", "delivery": "FAILED", "attempts": 4, "error": "refused",
        }]);
        assert_eq!(shown["messages"], message);
    }

    #[test]
    fn a_page_leads_to_the_next_if_there_is_more() {
        let page = |more| IncidentPage { incidents: vec![of_job()], more };
        let last = incidents(&page(false), |_| None);
        assert_eq!((&value(&last)["nextCursor"], last.headers.len()), (&Value::Null, 0));
        let shown = incidents(&page(true), |_| None);
        assert_eq!(value(&shown)["nextCursor"], "1764421200123456");
        assert_eq!(shown.headers[0].0, "Link");
        assert_eq!(incident(None, |_| None).status.code(), 404);
    }
}
