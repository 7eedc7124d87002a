//! Owns the canonical line of an output: what makes two runs the same, whatever the types are called.
//! It must not name a type or print a public id: the hash over these lines outlives a change of either.

use punctual::core::{
    AlertRecord, Attempt, Change, Incident, IncidentChange, JobChange, JobView, LedgerRow, Message, Notice, Output,
    Persist, Reply, RowNews, Setting,
};

/// One output as text: numbers and status names only.
pub(crate) fn of(output: &Output) -> String {
    match output {
        Output::Persist(number, Persist::Row(row, news)) => {
            let (alert, incidents) = match news.as_deref() {
                Some(RowNews { alert, incidents }) => (alert.as_ref(), &incidents[..]),
                None => (None, &[][..]),
            };
            let incidents: String = incidents.iter().map(incident_text).collect();
            format!("{number} row {}{}{incidents}", row_text(row), alert.map(alert_text).unwrap_or_default())
        }
        Output::Persist(number, Persist::Incident(change)) => format!("{number}{}", incident_text(change)),
        Output::Persist(number, Persist::Setting(setting)) => format!("{number} setting {}", setting_text(setting)),
        Output::Persist(number, Persist::Remove(seq)) => format!("{number} remove {}", seq.0),
        Output::Persist(number, Persist::Release { shards, to, except }) => {
            format!("{number} release {shards:?} to {} except {except:?}", to.0)
        }
        Output::Persist(number, Persist::HandOver(row)) => format!("{number} hand over {}", row_text(row)),
        Output::Persist(number, Persist::Calendar(change)) => {
            format!(
                "{number} calendar {} {:?}",
                change.name,
                change.dates.as_deref().map(punctual::schedule::Dates::len)
            )
        }
        Output::Persist(number, Persist::Runs(rows)) => {
            format!("{number} runs {:?}", rows.iter().map(row_text).collect::<Vec<_>>())
        }
        Output::Persist(number, Persist::Change(change)) => format!("{number} {}", change_text(change)),
        Output::Planned(number, request, reply) => format!("{number} planned {} {}", request.0, reply_text(reply)),
        Output::Reply(request, reply) => format!("reply {} {}", request.0, reply_text(reply)),
        Output::Gathered(request, _) => format!("gathered {}", request.0),
        Output::Together(request, numbers) => format!("together {} {numbers:?}", request.0),
        Output::Fire(attempt) => fire_text(attempt),
        Output::Dispatched(class, drift_us) => format!("dispatched {} {drift_us}", class.code()),
        Output::Hurry => "hurry".to_owned(),
        Output::Alert(alert) => alert_text(alert),
        Output::Tell(message) => format!("tell{}", message_text(message)),
        Output::Notice(notice) => notice_text(notice),
    }
}

fn row_text(row: &LedgerRow) -> String {
    let covers = row.record.covers.map(|covers| (covers.from.as_secs(), covers.count, covers.more));
    format!(
        "seq {} job {} {} kind {} number {} attempt {} recoveries {} {} class {} due {} executed {:?} http {:?} \
         took {:?} error {:?} covers {covers:?}",
        row.seq.0,
        row.key.job.0,
        row.key.instant.as_secs(),
        row.key.kind.code(),
        row.key.number,
        row.record.attempt,
        row.record.recoveries,
        row.record.status.name(),
        row.record.class.code(),
        row.due.0,
        row.record.executed.map(|at| at.0),
        row.record.http_status,
        row.record.duration_us,
        row.record.error,
    )
}

fn incident_text(change: &IncidentChange) -> String {
    let Incident { id, cause, summary, messages, told, closed, acknowledged, .. } = &*change.incident;
    let closed = closed.as_ref().map(|closed| (closed.at.0, &closed.why));
    let message = change.message.as_ref().map(message_text).unwrap_or_default();
    let known = acknowledged.is_some();
    format!(" incident {id} {} {summary} {messages} {told} {closed:?} {known}{message}", cause.name())
}

fn message_text(message: &Message) -> String {
    let Message { incident, number, event, at, channels } = message;
    format!(" message {} {number} {} at {} over {channels:?}", incident.id, event.name(), at.0)
}

fn setting_text(setting: &Setting) -> String {
    match setting {
        Setting::Channel(name, put) => format!("channel {name} {}", put.is_some()),
        Setting::Policy(scope, put) => format!("policy {scope:?} {:?}", put.as_ref().map(|policy| policy.define())),
        Setting::Silence(id, put) => format!("silence {id} {:?}", put.as_ref().map(|silence| silence.ends_at)),
    }
}

fn alert_text(alert: &AlertRecord) -> String {
    let id = alert.execution;
    let (job, instant) = (id.job.key().0, id.instant.as_secs());
    format!(" alert {} job {job} {instant} {} {} at {}", alert.seq.0, alert.api, alert.error, alert.at.0)
}

fn change_text(change: &Change) -> String {
    let job = match &change.job {
        JobChange::Put(revision) => format!(
            "put job {} revision {} {} anchor {} {} active {} created {} updated {} since {} pause {:?}",
            revision.id.key().0,
            revision.number,
            revision.spec.schedule.text(),
            revision.anchor.as_secs(),
            revision.spec.post.url,
            revision.spec.active,
            revision.created_at.0,
            revision.updated_at.0,
            revision.since.as_secs(),
            revision.pause.as_deref().map(|pause| (pause.since.as_secs(), pause.until.map(|until| until.as_secs()))),
        ),
        JobChange::Delete(key, at) => format!("delete job {} at {}", key.0, at.0),
    };
    let remove: Vec<u64> = change.remove.iter().map(|seq| seq.0).collect();
    let rows: Vec<String> = change.rows.iter().map(row_text).collect();
    format!("{job} remove {remove:?} rows {rows:?}")
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Created(view) => format!("created {}", view_text(view)),
        Reply::Updated(view) => format!("updated {}", view_text(view)),
        Reply::Unchanged(id) => format!("unchanged {}", id.key().0),
        Reply::Nameless => "nameless".to_owned(),
        Reply::Deleted => "deleted".to_owned(),
        Reply::NotFound => "not found".to_owned(),
        Reply::CalendarPut { name, dates, jobs } => format!("calendar {name} {} {jobs}", dates.len()),
        Reply::CalendarDeleted => "calendar deleted".to_owned(),
        Reply::NoSuchCalendar => "no such calendar".to_owned(),
        Reply::Set(setting) => format!("set {}", setting_text(setting)),
        Reply::NoSuchSetting => "no such setting".to_owned(),
        Reply::Acknowledged(incident) => format!("acknowledged {}", incident.id),
        Reply::NoSuchIncident => "no such incident".to_owned(),
        Reply::Started(ids) => {
            let keys = ids.iter().map(|id| (id.job.key().0, id.instant.as_secs(), id.kind.code(), id.number));
            format!("started {:?}", keys.collect::<Vec<_>>())
        }
        Reply::StartedAll(ids, passed_over) => format!("started {} passed over {passed_over}", ids.len()),
        Reply::Ended(id, record) => format!("ended job {} {}", id.job.key().0, record.status.name()),
        Reply::NameTaken(name) => format!("name taken {name}"),
        Reply::OwnedElsewhere => "owned elsewhere".to_owned(),
        Reply::Changed(number) => format!("changed {number}"),
        Reply::TooMany(why) => format!("too many {why}"),
        Reply::Conflict(why) => format!("conflict {why}"),
        Reply::Invalid(error) => format!("invalid {error}"),
        Reply::Refused(why) => format!("refused {why:?}"),
    }
}

fn view_text(view: &JobView) -> String {
    let counters = &view.tally.counters;
    format!(
        "job {} revision {} next {:?} held {} counters {} {} {} {} {}",
        view.revision.id.key().0,
        view.revision.number,
        view.next.map(|next| next.as_secs()),
        view.held,
        counters.success,
        counters.failed,
        counters.skipped,
        counters.duration_us,
        counters.timed,
    )
}

fn fire_text(attempt: &Attempt) -> String {
    let id = attempt.id;
    format!(
        "fire seq {} job {} {} kind {} number {} attempt {} class {} {}",
        attempt.handle.seq.0,
        id.job.key().0,
        id.instant.as_secs(),
        id.kind.code(),
        id.number,
        attempt.number,
        attempt.class.code(),
        attempt.post.url,
    )
}

fn notice_text(notice: &Notice) -> String {
    match notice {
        Notice::InDoubt { rows } => format!("in doubt {rows}"),
        Notice::Missed { job, count, more, reason } => format!("missed job {} {count} {more} {reason}", job.key().0),
        Notice::Overload { jobs, instants } => format!("overload {jobs} {instants}"),
        Notice::ClockStep { by_us, held_jobs } => format!("clock step {by_us} {held_jobs}"),
        Notice::Paused { job, reason } => format!("paused job {} {reason}", job.key().0),
        Notice::Target { name, failing } => format!("target {name} {failing}"),
    }
}
