//! Owns executions as columns: many rows go to the server as one array for each column.
//! It must not decide where they go.

use crate::core::{ExecutionKey, LedgerRow, Record, Shard};
use crate::postgres::Param;
use crate::store::sql::integer;
use crate::time::{Instant, WallUs};

/// The columns of a key and a record, in the order of `Executions::params`.
macro_rules! execution {
    () => {
        "job_id, scheduled_time, number, kind, class, attempt, recoveries, http_status, duration, covers_more, \
         covers_from, covers_count, error_message, details"
    };
}

/// Keys and records.
#[derive(Debug, Default)]
pub(super) struct Executions<'a> {
    job: Vec<i64>,
    scheduled: Vec<i64>,
    number: Vec<i64>,
    kind: Vec<i16>,
    class: Vec<i16>,
    attempt: Vec<i32>,
    recoveries: Vec<i32>,
    http_status: Vec<Option<i32>>,
    duration: Vec<Option<i64>>,
    covers_more: Vec<Option<bool>>,
    covers_from: Vec<Option<i64>>,
    covers_count: Vec<Option<i64>>,
    error: Vec<Option<&'a str>>,
    details: Vec<Option<String>>,
}

impl<'a> Executions<'a> {
    fn push(&mut self, key: &ExecutionKey, record: &'a Record) {
        let ExecutionKey { instant, job, kind, number } = *key;
        let Record {
            status: _,
            class,
            attempt,
            recoveries,
            executed: _,
            http_status,
            duration_us,
            error,
            covers,
            details,
        } = record;
        self.job.push(integer(job.0));
        self.scheduled.push(instant.as_secs());
        self.number.push(number.into());
        self.kind.push(kind.code().into());
        self.class.push(class.code().into());
        self.attempt.push(signed(*attempt));
        self.recoveries.push(signed(*recoveries));
        self.http_status.push(http_status.map(i32::from));
        self.duration.push(duration_us.map(integer));
        self.covers_more.push(covers.map(|covers| covers.more));
        self.covers_from.push(covers.map(|covers| covers.from.as_secs()));
        self.covers_count.push(covers.map(|covers| covers.count.into()));
        self.error.push(error.as_deref());
        let details = details.as_deref();
        self.details.push(details.map(|details| serde_json::to_string(details).expect("its keys are names")));
    }

    fn params(&self) -> [&dyn Param; 14] {
        [
            &self.job,
            &self.scheduled,
            &self.number,
            &self.kind,
            &self.class,
            &self.attempt,
            &self.recoveries,
            &self.http_status,
            &self.duration,
            &self.covers_more,
            &self.covers_from,
            &self.covers_count,
            &self.error,
            &self.details,
        ]
    }
}

/// Attempts are counted far below what this holds.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Rows of the ledger.
#[derive(Debug, Default)]
pub(super) struct LedgerRows<'a> {
    executions: Executions<'a>,
    seq: Vec<i64>,
    shard: Vec<i16>,
    due: Vec<i64>,
    executed: Vec<Option<i64>>,
    status: Vec<i16>,
}

impl<'a> LedgerRows<'a> {
    pub(super) fn push(&mut self, row: &'a LedgerRow, shard: Shard) {
        self.executions.push(&row.key, &row.record);
        self.seq.push(integer(row.seq.0));
        self.shard.push(shard.0.into());
        self.due.push(row.due.0);
        self.executed.push(row.record.executed.map(|at| at.0));
        self.status.push(row.record.status.code().into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seq.is_empty()
    }

    /// The values of [`PUT_LEDGER`] and [`HAND_OVER`].
    pub(super) fn params<'p>(&'p self, node: &'p i64) -> Vec<&'p dyn Param> {
        let mut params: Vec<&dyn Param> = self.executions.params().to_vec();
        params.extend([&self.seq as &dyn Param, &self.shard, &self.due, &self.executed, &self.status, node]);
        params
    }
}

macro_rules! put_ledger {
    ($node:literal, $known:literal, $join:literal) => {
        concat!(
            "INSERT INTO ledger (",
            execution!(),
            ", seq, shard, due_time, executed_time, status, node, known) SELECT u.*, ",
            $node,
            ", ",
            $known,
            " FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int2[], $5::int2[], $6::int4[], $7::int4[], $8::int4[], \
             $9::int8[], $10::bool[], $11::int8[], $12::int8[], $13::text[], $14::text[], $15::int8[], $16::int2[], \
             $17::int8[], $18::int8[], $19::int2[]) AS u (",
            execution!(),
            ", seq, shard, due_time, executed_time, status)",
            $join,
            " ON CONFLICT (seq) DO UPDATE SET class = excluded.class, attempt = excluded.attempt, \
             recoveries = excluded.recoveries, http_status = excluded.http_status, duration = excluded.duration, \
             covers_more = excluded.covers_more, covers_from = excluded.covers_from, \
             covers_count = excluded.covers_count, error_message = excluded.error_message, details = excluded.details, \
             due_time = excluded.due_time, executed_time = excluded.executed_time, status = excluded.status, \
             node = excluded.node, known = excluded.known"
        )
    };
}

/// Puts whole rows; what was there before under their numbers goes.
pub(super) const PUT_LEDGER: &str = put_ledger!("$20::int8", "false", "");

/// Puts whole rows as those of whoever has the shards of their jobs by now; a job may have come to be in another one since. The
/// last value is who they are of if nobody has.
pub(super) const HAND_OVER: &str = put_ledger!(
    "coalesce(s.owner, $20::int8)",
    "true",
    " LEFT JOIN jobs j ON j.id = u.job_id LEFT JOIN shards s ON s.shard = coalesce(j.shard, u.shard)"
);

/// Finished executions.
#[derive(Debug, Default)]
pub(super) struct FinishedRows<'a> {
    executions: Executions<'a>,
    status: Vec<i16>,
    executed_after: Vec<Option<i64>>,
    /// The earliest and the latest instant.
    pub(super) span: Option<(Instant, Instant)>,
}

impl<'a> FinishedRows<'a> {
    pub(super) fn push(&mut self, row: &'a LedgerRow) {
        let at = row.key.instant;
        self.executions.push(&row.key, &row.record);
        self.status.push(row.record.status.code().into());
        self.executed_after.push(row.record.executed.map(|executed| executed.since_us(WallUs::of(at))));
        self.span = Some(self.span.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
    }

    pub(super) fn len(&self) -> usize {
        self.status.len()
    }

    /// The values of [`put_history`].
    pub(super) fn params<'p>(&'p self, written: &'p WrittenAs) -> Vec<&'p dyn Param> {
        let mut params: Vec<&dyn Param> = self.executions.params().to_vec();
        params.extend([&self.status as &dyn Param, &self.executed_after, &written.at, &written.node, &written.batch]);
        params
    }
}

/// When rows are written, and in which batch of which node.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenAs {
    pub(super) at: i64,
    pub(super) node: i64,
    pub(super) batch: i64,
}

/// Puts finished executions into this partition.
pub(super) fn put_history(partition: i64) -> String {
    format!(
        concat!(
            "INSERT INTO executions_{} (",
            execution!(),
            ", status, executed_after, written_at, node, batch) SELECT *, $17::int8, $18::int8, $19::int8 \
             FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int2[], $5::int2[], $6::int4[], $7::int4[], $8::int4[], \
             $9::int8[], $10::bool[], $11::int8[], $12::int8[], $13::text[], $14::text[], $15::int2[], $16::int8[]) \
             ON CONFLICT (job_id, scheduled_time, kind, number) DO UPDATE SET status = excluded.status, \
             class = excluded.class, attempt = excluded.attempt, recoveries = excluded.recoveries, \
             http_status = excluded.http_status, duration = excluded.duration, error_message = excluded.error_message, \
             details = excluded.details, executed_after = excluded.executed_after"
        ),
        partition
    )
}
