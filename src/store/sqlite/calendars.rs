//! Owns the table of calendars: how one is written, and how all are read at a start.
//! It must not know who follows them.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::rows::bad;
use crate::core::CalendarChange;
use crate::limits::CALENDAR_DATES_MAX;
use crate::schedule::Dates;

/// Puts a calendar in the place of the one before, or takes it out.
pub(super) fn write(connection: &Connection, change: &CalendarChange) -> rusqlite::Result<()> {
    let CalendarChange { name, dates } = change;
    match dates {
        Some(dates) => {
            let dates: Vec<String> = dates.iter().map(|date| date.to_string()).collect();
            let dates = serde_json::to_string(&dates).expect("a list of texts is JSON");
            let mut put =
                connection.prepare_cached("INSERT OR REPLACE INTO calendars (name, dates) VALUES (?1, ?2)")?;
            put.execute(params![&**name, dates]).map(drop)
        }
        None => {
            let mut remove = connection.prepare_cached("DELETE FROM calendars WHERE name = ?1")?;
            remove.execute([&**name]).map(drop)
        }
    }
}

/// Every calendar.
pub(super) fn read_all(connection: &Connection) -> rusqlite::Result<Vec<CalendarChange>> {
    let mut statement = connection.prepare("SELECT name, dates FROM calendars ORDER BY name")?;
    let found = statement.query_map([], |row| {
        let name: String = row.get(0)?;
        let text = row.get_ref(1)?.as_str().map_err(|why| bad(1, &why.to_string()))?;
        let dates: Vec<&str> = serde_json::from_str(text).map_err(|why| bad(1, &why.to_string()))?;
        let dates = Dates::parse(dates.into_iter(), CALENDAR_DATES_MAX).map_err(|why| bad(1, &why))?;
        Ok(CalendarChange { name: name.into(), dates: Some(Arc::new(dates)) })
    })?;
    found.collect()
}
