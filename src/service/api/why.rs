//! Owns the answer to why something was sent for a second of a job, or was not: also for one that was never due.
//! It must not look anything up: it is told what there is.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::errors::ApiError;
use super::executions::{ExecutionBody, execution};
use super::json::{Moment, ok, time_of};
use super::matching::Matched;
use super::parameters::AT;
use crate::core::{Covers, JobView, Kind, Record, Status, Wait};
use crate::http::Response;
use crate::job::JobId;
use crate::schedule::{Absence, LeftOut};
use crate::store::{ExecutionRecord, Query};
use crate::time::{Instant, WallUs};

/// Why.
pub(super) fn ask(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let job = matched.job_id()?;
    let at = matched.parameters()?.time(&AT)?.expect("it is required");
    Ok(Call::Query(Query::Why { job, at, now: matched.context.now }))
}

/// What became of a second of a job.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Why")]
pub(super) struct WhyBody {
    #[schemars(with = "JobId")]
    job_id: String,
    #[schemars(with = "Moment")]
    at: String,
    /// In one word.
    verdict: Verdict,
    /// In one sentence.
    reason: String,
    /// When the schedule, as it is now, is due before and after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    previous_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    next_time: Option<String>,
    /// What there is of that second, also what clients asked for, and the row that covers it.
    executions: Vec<ExecutionBody>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// It was sent, and succeeded.
    Success,
    /// It was sent, and failed.
    Failed,
    /// It is under way.
    Pending,
    /// Its policies said no.
    Skipped,
    /// Nobody could send it.
    Missed,
    /// It is due then.
    Ahead,
    /// The schedule does not say this time.
    NotDue,
    /// The schedule says it, but leaves it out.
    LeftOut,
    /// The job was paused, or is.
    Paused,
    /// The job was not what it is now, or not there.
    Changed,
    /// The job had no runs left.
    Exhausted,
    /// The clock stepped back behind what the job had fired.
    Held,
    /// History of that time is not kept any more.
    NotKept,
}

/// How far a look back for the time before goes, in seconds.
const LOOK_BACK_S: i64 = 400 * 86_400;

/// What became of a second of a job. `view`: the job as it is; None: it is deleted.
pub fn why(job: JobId, at: Instant, view: Option<&JobView>, found: Vec<ExecutionRecord>, now: WallUs) -> Response {
    let scheduled = found.iter().filter(|found| found.id.kind == Kind::Scheduled).max_by_key(|found| found.id.number);
    let (verdict, reason) = match (scheduled, view) {
        (Some(row), _) => of_row(row, at),
        (None, Some(view)) => of_job(view, at, now),
        (None, None) => (Verdict::NotKept, "the job is deleted, and nothing is known of that time".to_owned()),
    };
    let schedule = view.map(|view| &view.revision.spec.schedule);
    let before = Instant::from_secs(at.as_secs().saturating_sub(1));
    let far = Instant::from_secs(at.as_secs().saturating_sub(LOOK_BACK_S));
    ok(&WhyBody {
        job_id: job.to_string(),
        at: time_of(at),
        verdict,
        reason,
        previous_time: schedule.and_then(|schedule| schedule.latest_in(far, before)).map(time_of),
        next_time: schedule.and_then(|schedule| schedule.next_after(at)).map(time_of),
        executions: found.into_iter().map(|found| execution(found, false)).collect(),
    })
}

/// What a row says.
fn of_row(row: &ExecutionRecord, at: Instant) -> (Verdict, String) {
    let Record { status, error, covers, details, executed, .. } = &row.record;
    let error = error.as_deref().unwrap_or_default();
    if let Some(Covers { from, count, more }) = covers.filter(|_| row.id.instant != at) {
        let more = if more { "more than " } else { "" };
        let stretch = format!("{more}{count} times from {} to {}", time_of(from), time_of(row.id.instant));
        return match status {
            Status::Skipped => (Verdict::Missed, format!("{error}; one row stands for {stretch}")),
            Status::Success | Status::Failed | Status::Pending => {
                (Verdict::Missed, format!("nobody could send it then; one run stands for {stretch}"))
            }
        };
    }
    match status {
        Status::Success => (Verdict::Success, format!("it was sent at {}, and succeeded", sent(*executed))),
        Status::Failed => (Verdict::Failed, format!("it failed: {error}")),
        Status::Skipped if error.starts_with("missed") => (Verdict::Missed, error.to_owned()),
        Status::Skipped => (Verdict::Skipped, error.to_owned()),
        Status::Pending => {
            let waits = match details.as_ref().and_then(|details| details.waits_for) {
                Some(Wait::Overlap) => "it waits for another execution of the job",
                Some(Wait::ConcurrencyKey) => "it waits for its concurrency key",
                Some(Wait::Retry) => "it waits for its next attempt",
                Some(Wait::Start) => "it waits for the next start of the server",
                None => "it is under way, or waits for its target or its next attempt",
            };
            (Verdict::Pending, waits.to_owned())
        }
    }
}

fn sent(executed: Option<WallUs>) -> String {
    executed.map_or_else(|| "some time".to_owned(), |at| at.to_string())
}

/// What the job says of a second that has no row.
fn of_job(view: &JobView, at: Instant, now: WallUs) -> (Verdict, String) {
    let revision = &view.revision;
    if at <= revision.created_at.floor() {
        return (Verdict::Changed, format!("the job was created later, at {}", revision.created_at));
    }
    match revision.spec.schedule.absence_at(at) {
        Absence::None => {}
        Absence::NotSaid => return (Verdict::NotDue, "the schedule does not say this time".to_owned()),
        Absence::BeforeStart(start) => {
            return (Verdict::LeftOut, format!("it lies before startsAt, {}", time_of(start)));
        }
        Absence::AfterEnd(end) => return (Verdict::LeftOut, format!("it lies behind endsAt, {}", time_of(end))),
        Absence::ClockChange => {
            let why = "the clock was changed, and its dst policy passes over this side of the change";
            return (Verdict::LeftOut, why.to_owned());
        }
        Absence::LeftOut(LeftOut { date, own, calendars }) => {
            let own = own.then(|| "excludeDates".to_owned());
            let by: Vec<String> = own.into_iter().chain(calendars).collect();
            return (Verdict::LeftOut, format!("{date} is left out by {}", by.join(", ")));
        }
    }
    if let Some(pause) = revision.pause.as_deref().filter(|pause| {
        let ends = pause.until.unwrap_or(Instant::LAST);
        at > pause.since && at <= ends
    }) {
        let why = pause.reason.as_deref().or(pause.note.as_deref()).map(|why| format!(": {why}")).unwrap_or_default();
        let until = pause.until.map(|until| format!(" until {}", time_of(until))).unwrap_or_default();
        return (Verdict::Paused, format!("the job is paused since {}{until}{why}", time_of(pause.since)));
    }
    if at <= revision.since {
        let when = revision.updated_at;
        return (
            Verdict::Changed,
            format!("the job was changed, resumed or released at {when}, and owes what comes after"),
        );
    }
    let lies_ahead = WallUs::of(at) > now;
    match view.next {
        Some(next) if at >= next => {
            let as_long_as = revision.spec.max_runs().map(|_| ", if the job has runs left by then").unwrap_or_default();
            (Verdict::Ahead, format!("it is due then{as_long_as}"))
        }
        Some(_) if view.held && lies_ahead => (
            Verdict::Held,
            "the clock stepped back behind what the job had sent; it waits, or can be released".to_owned(),
        ),
        Some(_) if lies_ahead => (Verdict::Ahead, "it is due then".to_owned()),
        None if view.tally.last.is_none_or(|last| at > last.instant) => {
            (Verdict::Exhausted, "the job has no runs left".to_owned())
        }
        Some(_) | None => {
            let held = if view.held { ", or the clock stepped back and the job waited" } else { "" };
            (Verdict::NotKept, format!("it was due{held}, but history of that time is not kept any more"))
        }
    }
}
