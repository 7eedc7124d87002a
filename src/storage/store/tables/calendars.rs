//! Owns the table of calendars: how one is written, and how all are read at a start.
//! It must not know who follows them.

use std::sync::Arc;

use crate::core::CalendarChange;
use crate::limits::CALENDAR_DATES_MAX;
use crate::schedule::Dates;
use crate::store::sql::{Sql, bad, values};

/// Puts a calendar in the place of the one before, or takes it out.
pub(in crate::store) fn write<S: Sql>(sql: &S, change: &CalendarChange) -> Result<(), S::Error> {
    let CalendarChange { name, dates } = change;
    match dates {
        Some(dates) => {
            let dates: Vec<String> = dates.iter().map(|date| date.to_string()).collect();
            let dates = serde_json::to_string(&dates).expect("a list of texts is JSON");
            let put = "INSERT INTO calendars (name, dates) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET dates = ?2";
            sql.run(put, values![&**name, dates.as_str()])
        }
        None => sql.run("DELETE FROM calendars WHERE name = ?1", values![&**name]),
    }
}

/// Every calendar.
pub(in crate::store) fn read_all<S: Sql>(sql: &S) -> Result<Vec<CalendarChange>, S::Error> {
    sql.all("SELECT name, dates FROM calendars ORDER BY name", &[], |row| {
        let name: String = row.get(0)?;
        let dates: Vec<&str> = serde_json::from_str(row.text(1)?).map_err(|why| bad(1, &why.to_string()))?;
        let dates = Dates::parse(dates.into_iter(), CALENDAR_DATES_MAX).map_err(|why| bad(1, &why))?;
        Ok(CalendarChange { name: name.into(), dates: Some(Arc::new(dates)) })
    })
}
