//! Owns the list of what is moved: every table that both databases have, with the columns that are kept in both.
//! It must not list what only one of them needs to work: indexes, nodes, shards, partitions.
//!
//! A table that is missing here would stay behind in silence; `tests.rs` holds the list against both schemas.

/// What a column holds, and so what PostgreSQL keeps it as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// 64 bits.
    Big,
    /// 32 bits.
    Int,
    /// 16 bits.
    Small,
    /// Yes or no.
    Flag,
    Text,
    Bytes,
}

use Kind::{Big, Bytes, Flag, Int, Small, Text};

/// A table as it is moved.
#[derive(Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// The first of them are the key, in whose order rows are moved.
    pub(in crate::store) columns: &'static [(&'static str, Kind)],
    pub(in crate::store) key_len: usize,
    /// Which of its rows are moved; empty: all.
    pub(in crate::store) only: &'static str,
}

impl Table {
    /// Its columns, as statements list them.
    pub(in crate::store) fn column_list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// Its key, as statements list it.
    pub(in crate::store) fn key_list(&self) -> String {
        let names: Vec<&str> = self.columns[..self.key_len].iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// Where a column stands.
    pub(in crate::store) fn place_of(&self, column: &str) -> usize {
        self.columns.iter().position(|(name, _)| *name == column).expect("whoever asks knows the table")
    }

    /// Whether it is history, which each database keeps in its own way.
    pub(in crate::store) fn is_history(&self) -> bool {
        self.name == HISTORY
    }
}

/// The name of history.
const HISTORY: &str = "executions";

const fn table(name: &'static str, key_len: usize, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns, key_len, only: "" }
}

/// The mark of a database into which something is being moved.
pub(in crate::store) const MARK: &str = "migrating";

/// What keeps a server from a database with that mark.
pub(in crate::store) const IN_PART: &str =
    "a migration into this database was begun and has not ended; run it again or drop it";

/// Everything but history, in the order in which it is moved.
pub(in crate::store) const TABLES: &[Table] = &[
    table("calendars", 1, &[("name", Text), ("dates", Text)]),
    table(
        "jobs",
        1,
        &[
            ("id", Big),
            ("public_id", Bytes),
            ("revision", Big),
            ("definition", Text),
            ("anchor", Big),
            ("since", Big),
            ("created_at", Big),
            ("updated_at", Big),
            ("deleted_at", Big),
            ("era", Big),
            ("pause", Text),
        ],
    ),
    table("job_tags", 2, &[("job_id", Big), ("tag", Text)]),
    table("secrets", 2, &[("job_id", Big), ("name", Text), ("sealed", Bytes)]),
    table(
        "channels",
        1,
        &[("name", Text), ("definition", Text), ("delivered_at", Big), ("failed_at", Big), ("error", Text)],
    ),
    table("channel_secrets", 2, &[("channel", Text), ("name", Text), ("sealed", Bytes)]),
    table("policies", 1, &[("scope", Text), ("definition", Text)]),
    table(
        "silences",
        1,
        &[
            ("id", Big),
            ("job", Bytes),
            ("tag", Text),
            ("target", Text),
            ("note", Text),
            ("ends_at", Big),
            ("created_at", Big),
            ("created_by", Text),
        ],
    ),
    table(
        "tokens",
        1,
        &[
            ("id", Big),
            ("digest", Bytes),
            ("scope", Text),
            ("name", Text),
            ("parent", Big),
            ("created_at", Big),
            ("expires_at", Big),
            ("last_used_at", Big),
            ("revoked_at", Big),
        ],
    ),
    table(
        "idempotency_keys",
        1,
        &[("key", Text), ("digest", Bytes), ("created_at", Big), ("status", Big), ("headers", Text), ("body", Bytes)],
    ),
    table(
        "audit",
        1,
        &[
            ("id", Big),
            ("at", Big),
            ("token", Big),
            ("client", Text),
            ("operation", Text),
            ("subject", Text),
            ("difference", Text),
            ("status", Big),
        ],
    ),
    table(
        "incidents",
        1,
        &[
            ("id", Big),
            ("cause", Text),
            ("job_id", Big),
            ("public_id", Bytes),
            ("target", Text),
            ("name", Text),
            ("api", Text),
            ("schedule", Text),
            ("summary", Text),
            ("execution", Text),
            ("opened_at", Big),
            ("closed_at", Big),
            ("closed_why", Text),
            ("acknowledged_at", Big),
            ("acknowledged_by", Text),
            ("acknowledged_note", Text),
            ("messages", Big),
            ("told", Big),
            ("told_at", Big),
        ],
    ),
    table(
        "messages",
        3,
        &[
            ("incident", Big),
            ("number", Big),
            ("channel", Text),
            ("event", Text),
            ("created_at", Big),
            ("delivery", Text),
            ("delivered_at", Big),
            ("attempts", Big),
            ("error", Text),
        ],
    ),
    table(
        "alerts",
        1,
        &[
            ("seq", Big),
            ("job_id", Big),
            ("execution", Text),
            ("api", Text),
            ("schedule", Text),
            ("error_message", Text),
            ("created_at", Big),
            ("delivery", Text),
            ("delivered_at", Big),
            ("attempts", Big),
            ("delivery_error", Text),
        ],
    ),
    table(
        "job_totals",
        1,
        &[
            ("job_id", Big),
            ("finished_through", Big),
            ("finished_era", Big),
            ("success", Big),
            ("failed", Big),
            ("skipped", Big),
            ("duration", Big),
            ("timed", Big),
            ("runs", Big),
            ("failures_in_row", Big),
            ("last_success", Big),
            ("kept", Big),
            ("last_scheduled_time", Big),
            ("last_status", Big),
            ("last_http_status", Big),
        ],
    ),
    table("series_hours", 2, &[("start", Big), ("job_id", Big), ("rollup", Bytes)]),
    table("series_days", 2, &[("start", Big), ("job_id", Big), ("rollup", Bytes)]),
    Table {
        name: "marks",
        columns: &[("name", Text), ("value", Big)],
        key_len: 1,
        // How far the numbers of the ledger are each database knows in its own way.
        only: "name NOT IN ('seq', 'migrating')",
    },
    table(
        "ledger",
        1,
        &[
            ("seq", Big),
            ("job_id", Big),
            ("scheduled_time", Big),
            ("number", Big),
            ("kind", Small),
            ("status", Small),
            ("class", Small),
            ("attempt", Int),
            ("recoveries", Int),
            ("due_time", Big),
            ("executed_time", Big),
            ("http_status", Int),
            ("duration", Big),
            ("error_message", Text),
            ("covers_from", Big),
            ("covers_count", Big),
            ("covers_more", Flag),
            ("details", Text),
        ],
    ),
];

macro_rules! history {
    ($first:literal, $second:literal) => {
        Table {
            name: HISTORY,
            columns: &[
                ($first, Big),
                ($second, Big),
                ("kind", Small),
                ("number", Big),
                ("status", Small),
                ("class", Small),
                ("attempt", Int),
                ("recoveries", Int),
                ("executed_after", Big),
                ("http_status", Int),
                ("duration", Big),
                ("error_message", Text),
                ("covers_from", Big),
                ("covers_count", Big),
                ("covers_more", Flag),
                ("details", Text),
            ],
            key_len: 4,
            only: "",
        }
    };
}

/// History in the order in which SQLite keeps it.
pub(in crate::store) const HISTORY_BY_JOB: &Table = &history!("job_id", "scheduled_time");

/// History in the order of time, in which PostgreSQL's tables of it follow one another.
pub(in crate::store) const HISTORY_BY_TIME: &Table = &history!("scheduled_time", "job_id");
