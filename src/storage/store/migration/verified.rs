//! Owns the comparison of what is there with what was to be moved: rows of every table, what is in them, and what they add
//! up to.
//! It must not change anything.

use super::cells::Digest;
use super::side::{Side, number, numbers, read};
use super::tables::{HISTORY_BY_JOB, TABLES, Table};
use super::{Moving, MovingWatch};
use crate::core::Status;

/// What a figure of totals adds up to, and its name.
const SUMS: [(&str, &str); 3] =
    [("counted SUCCESS", "success"), ("counted FAILED", "failed"), ("counted SKIPPED", "skipped")];

/// Something that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What: a table, executions of a status, or a sum.
    pub what: String,
    /// How much there was.
    pub from: u64,
    /// How much there is.
    pub to: u64,
    /// Whether the rows say the same, too.
    pub is_alike: bool,
}

impl Compared {
    /// Whether there is no difference.
    pub fn is_same(&self) -> bool {
        self.from == self.to && self.is_alike
    }
}

/// Compares everything. Of the rows of history, which there may be many of, what they add up to stands for what is in them.
pub(super) fn compare(from: &mut dyn Side, to: &mut dyn Side, watch: MovingWatch<'_>) -> Result<Vec<Compared>, String> {
    let mut compared = Vec::new();
    for table in TABLES {
        let mut come_to = |side: &mut dyn Side| come_to(side, table, watch);
        let (one, other) = (come_to(from)?, come_to(to)?);
        compared.push(Compared { what: table.name.to_owned(), from: one.0, to: other.0, is_alike: one.1 == other.1 });
    }
    watch(Moving { stage: "comparing", what: "executions", done: 0, of: 0 });
    let (one, other) = (by_status(from)?, by_status(to)?);
    for status in [Status::Success, Status::Failed, Status::Skipped, Status::Pending] {
        let of = |found: &[Vec<i64>]| found.iter().find(|row| row[0] == i64::from(status.code())).cloned();
        let (one, other) = (of(&one), of(&other));
        let rows = |found: &Option<Vec<i64>>| found.as_ref().map_or(0, |row| row[1].unsigned_abs());
        let what = format!("executions {}", status.name());
        // None ends so.
        if status != Status::Pending || one != other {
            compared.push(Compared { what, from: rows(&one), to: rows(&other), is_alike: one == other });
        }
    }
    for (what, column) in SUMS {
        let text = format!("SELECT CAST(sum({column}) AS BIGINT) FROM job_totals");
        let sum = |side: &mut dyn Side| Ok::<_, String>(number(side, &text)?.unwrap_or(0).unsigned_abs());
        compared.push(Compared { what: what.to_owned(), from: sum(from)?, to: sum(to)?, is_alike: true });
    }
    Ok(compared)
}

/// How many rows a table has, and what they come to.
fn come_to(side: &mut dyn Side, table: &'static Table, watch: MovingWatch<'_>) -> Result<(u64, Digest), String> {
    let (mut rows, mut digest, mut behind) = (0, Digest::NONE, None);
    loop {
        let slice = read(side, table, behind.as_deref())?;
        let Some(last) = slice.last() else { return Ok((rows, digest)) };
        slice.iter().for_each(|row| digest.add(row));
        behind = Some(last[..table.key_len].to_vec());
        rows += slice.len() as u64;
        watch(Moving { stage: "comparing", what: table.name, done: rows, of: 0 });
    }
}

/// Of executions of each status: how many there are, and what their columns add up to.
fn by_status(side: &mut dyn Side) -> Result<Vec<Vec<i64>>, String> {
    let source = side.source_of(HISTORY_BY_JOB)?;
    // Seconds since 2020, so that no sum is too large.
    let summed = [
        "job_id % 1000003",
        "scheduled_time - 1577836800",
        "kind",
        "number",
        "class",
        "attempt",
        "recoveries",
        "coalesce(executed_after / 1000, -1)",
        "coalesce(http_status, -1)",
        "coalesce(duration, -1)",
        "coalesce(length(error_message), -1)",
        "coalesce(covers_count, -1)",
        "coalesce(length(details), -1)",
    ];
    let sums: Vec<String> = summed.iter().map(|column| format!("CAST(sum({column}) AS BIGINT)")).collect();
    let text = format!(
        "SELECT status, CAST(count(*) AS BIGINT), {} FROM {source} GROUP BY status ORDER BY status",
        sums.join(", ")
    );
    let found = numbers(side, &text, summed.len() + 2);
    found.map_err(|why| format!("failed to read the executions of {}: {why}", side.place()))
}

/// How many executions history has, as the totals of jobs say.
pub(super) fn history_rows(side: &mut dyn Side) -> Result<u64, String> {
    let kept = number(side, "SELECT CAST(coalesce(sum(kept), 0) AS BIGINT) FROM job_totals")?;
    Ok(kept.unwrap_or(0).unsigned_abs())
}
