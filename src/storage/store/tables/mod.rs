//! Owns the tables that every backend has alike: how what the core says is put into them, and read back.
//! It must not know which database it speaks to: `sql` does.
//!
//! In reading order: `rows` (jobs with their totals, executions), `calendars`, `secrets`, `settings` (who hears of what),
//! `incidents` with the `deliveries` of their messages, `alerts`, idempotency `keys`, `tokens`, the `audit` log, how jobs are
//! `found`, and their `views`.

pub(super) mod alerts;
pub(super) mod audit;
pub(super) mod calendars;
pub(super) mod deliveries;
pub(super) mod found;
pub(super) mod incidents;
pub(super) mod keys;
pub(super) mod rows;
pub(super) mod secrets;
pub(super) mod settings;
pub(super) mod tokens;
pub(super) mod views;
