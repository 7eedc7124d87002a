//! Owns how a batch becomes statements: one pipeline, which the server carries out as a whole or not at all.
//! It must not send them.

use std::collections::{BTreeMap, HashMap};

use super::columns::{FinishedRows, HAND_OVER, LedgerRows, PUT_LEDGER, WrittenAs, put_history};
use super::homes::Homes;
use super::partitions;
use super::session::Session;
use crate::core::{ExecutionKey, IncidentChange, JobChange, LedgerRow, Persist, RowNews, Seq, Shard, Status, Subject};
use crate::job::JobKey;
use crate::postgres::{Error, Param};
use crate::store::Batch;
use crate::store::sql::{Sql, integer, values};
use crate::store::tables::{
    alerts, audit, calendars, deliveries, found, incidents, keys, rows, secrets, settings, tokens,
};
use crate::time::Instant;
use crate::vault::Vault;

/// Takes this number for a batch of this node, if it lives and that is the next one.
pub(super) const FENCE: &str = "SELECT fence($1, $2)";

/// What becomes of a row of the ledger in a batch: what its last item says.
enum Fate<'a> {
    Put(&'a LedgerRow),
    Finish(&'a LedgerRow),
    Remove,
}

/// Whose batch it is, and where what is finished goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) written: WrittenAs,
    pub(super) partition: i64,
    /// The instants that the partition is known to have.
    pub(super) span: Option<(Instant, Instant)>,
}

/// Sends a batch with its fence. What it adds to history, in the order in which it was given.
pub(super) fn write<'b>(
    session: &Session<'_>,
    vault: Option<&Vault>,
    homes: (&Homes, &[(JobKey, Shard)]),
    batch: &'b Batch,
    place: &Place,
) -> Result<Written<'b>, Error> {
    let WrittenAs { node, batch: number, at: _ } = place.written;
    let fates = fates(batch);
    let finished = finished_of(&fates);
    let mut ledger = LedgerRows::default();
    let mut gone: Vec<i64> = Vec::new();
    for (seq, fate) in &fates {
        match fate {
            Fate::Put(row) => ledger.push(row, homes.0.of(row.key.job)),
            Fate::Finish(_) | Fate::Remove => gone.push(integer(seq.0)),
        }
    }
    batch.items.iter().try_for_each(|(_, item)| say(session, vault, homes.0, node, item))?;
    if batch.items.iter().any(|(_, item)| matches!(item, Persist::Calendar(_) | Persist::Setting(_))) {
        session.run("UPDATE config_version SET value = value + 1", &[])?;
    }
    batch.answers.iter().try_for_each(|(_, answer)| keys::put(session, answer))?;
    batch.alerts.iter().try_for_each(|update| alerts::update(session, update))?;
    batch.deliveries.iter().try_for_each(|delivery| deliveries::note(session, delivery))?;
    batch.channels.iter().try_for_each(|(name, health)| settings::note_health(session, name, health))?;
    batch.tokens.iter().try_for_each(|change| tokens::write(session, change))?;
    batch.audits.iter().try_for_each(|(_, row)| audit::insert(session, row))?;
    let moved: Vec<(i64, i16)> = homes.1.iter().map(|(job, _)| (integer(job.0), homes.0.of(*job).0.into())).collect();
    let given: Vec<Given> = batch.items.iter().filter_map(|(_, item)| Given::of(item)).collect();
    let mut handed = LedgerRows::default();
    for (_, item) in &batch.items {
        if let Persist::HandOver(row) = item {
            handed.push(row, homes.0.of(row.key.job));
        }
    }
    let mut history = FinishedRows::default();
    finished.iter().for_each(|row| history.push(row));
    let mut span = place.span;
    if let Some(new) = history.span.filter(|new| !span.is_some_and(|known| known.0 <= new.0 && new.1 <= known.1)) {
        let wide = widened(span, new);
        partitions::widen(session, place.partition, wide)?;
        span = Some(wide);
    }
    session.flush_with(|pipeline| {
        if !gone.is_empty() {
            pipeline.run("DELETE FROM ledger WHERE seq = ANY ($1)", &[&gone]);
        }
        for (job, shard) in &moved {
            pipeline.run("UPDATE ledger SET shard = $2 WHERE job_id = $1", &[job, shard]);
        }
        if !ledger.is_empty() {
            pipeline.run(PUT_LEDGER, &ledger.params(&node));
        }
        // Behind all rows of these shards, and before those that are handed over.
        for Given { shards, to, except } in &given {
            pipeline.run("UPDATE shards SET owner = $2 WHERE shard = ANY ($1) AND owner = $3", &[shards, to, &node]);
            pipeline.run(
                "UPDATE ledger SET node = $2, known = true WHERE shard = ANY ($1) AND node = $3 AND seq <> ALL ($4)",
                &[shards, to, &node, except],
            );
            // It need not find out by looking.
            pipeline.run("SELECT pg_notify('punctual', $1::int8::text)", &[to]);
        }
        if !handed.is_empty() {
            pipeline.run(HAND_OVER, &handed.params(&node));
        }
        if history.len() > 0 {
            pipeline.run(&put_history(place.partition), &history.params(&place.written));
        }
        // Last: whoever revokes this node does not wait for a batch that was sent in part.
        let fence: [&dyn Param; 2] = [&node, &number];
        pipeline.run(FENCE, &fence);
    })?;
    Ok(Written { finished, span })
}

/// Shards that are given to another node.
struct Given {
    shards: Vec<i16>,
    to: i64,
    except: Vec<i64>,
}

impl Given {
    fn of(item: &Persist) -> Option<Given> {
        let Persist::Release { shards, to, except } = item else { return None };
        Some(Given {
            shards: shards.iter().map(|shard| shard.0.into()).collect(),
            to: integer(to.0),
            except: except.iter().map(|seq| integer(seq.0)).collect(),
        })
    }
}

/// What came of a batch.
pub(super) struct Written<'b> {
    /// What is history now.
    pub(super) finished: Vec<&'b LedgerRow>,
    /// The instants that the partition has now.
    pub(super) span: Option<(Instant, Instant)>,
}

/// A little more than is needed, so that it is seldom written.
fn widened(known: Option<(Instant, Instant)>, new: (Instant, Instant)) -> (Instant, Instant) {
    const STEP_S: i64 = 600;
    let (from, to) = known.map_or(new, |known| (known.0.min(new.0), known.1.max(new.1)));
    let down = |at: Instant| Instant::from_secs(at.as_secs().div_euclid(STEP_S) * STEP_S);
    (down(from), down(Instant::from_secs(to.as_secs() + STEP_S)))
}

/// What becomes of each row: the last item about it counts.
fn fates<'a>(batch: &'a Batch) -> BTreeMap<Seq, Fate<'a>> {
    let mut fates = BTreeMap::new();
    let put = |row: &'a LedgerRow| (row.seq, Fate::Put(row));
    for (_, item) in &batch.items {
        match item {
            Persist::Row(row, _) if row.record.status == Status::Pending => fates.extend([put(row)]),
            Persist::Row(row, _) => fates.extend([(row.seq, Fate::Finish(row))]),
            Persist::Remove(seq) => fates.extend([(*seq, Fate::Remove)]),
            Persist::Runs(rows) => fates.extend(rows.iter().map(put)),
            Persist::Change(change) => {
                fates.extend(change.remove.iter().map(|&seq| (seq, Fate::Remove)));
                fates.extend(change.rows.iter().map(put));
            }
            Persist::Calendar(_) | Persist::Setting(_) | Persist::Incident(_) => {}
            Persist::Release { .. } | Persist::HandOver(_) => {}
        }
    }
    fates
}

/// What a batch adds to history.
pub(super) fn finished(batch: &Batch) -> Vec<&LedgerRow> {
    finished_of(&fates(batch))
}

/// What is finished, each execution once, in the order of the ledger.
fn finished_of<'b>(fates: &BTreeMap<Seq, Fate<'b>>) -> Vec<&'b LedgerRow> {
    let mut by_key: HashMap<ExecutionKey, &'b LedgerRow> = HashMap::new();
    for fate in fates.values() {
        if let Fate::Finish(row) = fate {
            let last = by_key.entry(row.key).or_insert(row);
            *last = if last.seq < row.seq { row } else { last };
        }
    }
    let mut finished: Vec<&LedgerRow> = by_key.into_values().collect();
    finished.sort_unstable_by_key(|row| row.seq);
    finished
}

/// Everything about an item but rows of executions.
fn say(session: &Session<'_>, vault: Option<&Vault>, homes: &Homes, node: i64, item: &Persist) -> Result<(), Error> {
    match item {
        Persist::Row(row, Some(news)) => {
            let RowNews { alert, incidents } = &**news;
            alert.as_ref().map_or(Ok(()), |alert| alerts::insert(session, row.key.job, alert))?;
            incidents.iter().try_for_each(|change| say_incident(session, node, change))
        }
        Persist::Row(_, None) | Persist::Remove(_) | Persist::Runs(_) => Ok(()),
        Persist::Release { .. } | Persist::HandOver(_) => Ok(()),
        Persist::Calendar(change) => calendars::write(session, change),
        Persist::Setting(setting) => settings::write(session, vault, setting),
        Persist::Incident(change) => say_incident(session, node, change),
        Persist::Change(change) => say_job(session, vault, homes, &change.job),
    }
}

fn say_incident(session: &Session<'_>, node: i64, change: &IncidentChange) -> Result<(), Error> {
    incidents::put(session, &change.incident)?;
    if !matches!(change.incident.subject, Subject::Job(_)) {
        session.run("UPDATE incidents SET node = ?2 WHERE id = ?1", values![change.incident.id.0, node])?;
    }
    change.message.as_ref().map_or(Ok(()), |message| deliveries::insert(session, message))
}

fn say_job(session: &Session<'_>, vault: Option<&Vault>, homes: &Homes, change: &JobChange) -> Result<(), Error> {
    match change {
        JobChange::Put(revision) => {
            secrets::put(session, vault, revision)?;
            let key = revision.id.key();
            let tags = revision.spec.labels().map_or(&[][..], |labels| &labels.tags);
            found::put_tags(session, key, tags, revision.number > 1)?;
            rows::put_job(session, revision)?;
            session.run("UPDATE jobs SET shard = ?2 WHERE id = ?1 AND shard <> ?2", values![key.0, homes.of(key).0])
        }
        JobChange::Delete(key, at) => {
            secrets::delete(session, *key)?;
            found::put_tags(session, *key, &[], true)?;
            rows::bury_job(session, *key, *at)
        }
    }
}
