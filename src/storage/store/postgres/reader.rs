//! Owns the readers' connections: each answers queries within a time limit, and is made anew when it is lost.
//! It must not hold a snapshot beyond one query.

use super::history;
use super::open::{connect, soon};
use super::session::Session;
use crate::clock;
use crate::limits::READ_TIME_MAX;
use crate::postgres::{Connection, Error, Url};
use crate::schedule::Zones;
use crate::store::reading::Answering;
use crate::store::sql::Sql;
use crate::store::{Answer, Query, ReadError};

/// The SQLSTATE of a statement that took too long (`query_canceled`).
const TOO_LONG: &str = "57014";

/// So many readers of a database, who know these zones.
pub(in crate::store) fn readers(url: &Url, count: usize, zones: &Zones) -> Vec<Answering> {
    let reader = |_| {
        let (url, zones) = (url.clone(), zones.clone());
        let mut connection: Option<Connection> = None;
        let answering: Answering = Box::new(move |query| answer(&mut connection, &url, &zones, query));
        answering
    };
    (0..count).map(reader).collect()
}

fn answer(kept: &mut Option<Connection>, url: &Url, zones: &Zones, query: &Query) -> Result<Answer, ReadError> {
    // A connection that was lost while it rested is noticed by the first statement: then another one tries.
    for _ in 0..2 {
        if kept.as_ref().is_none_or(Connection::is_lost) {
            *kept = open(url).ok();
        }
        // What brings a query to a stop takes its connection with it, and what that was in the middle of.
        let Some(mut connection) = kept.take() else { return Err(ReadError::Unreadable) };
        let answered = answer_with(&mut connection, zones, query);
        let is_lost = connection.is_lost();
        *kept = Some(connection);
        match answered {
            Ok(answer) => return Ok(answer),
            Err(_) if is_lost => {}
            Err(why) => {
                let is_late = why.sqlstate() == Some(TOO_LONG);
                return Err(if is_late { ReadError::TooLong } else { ReadError::Unreadable });
            }
        }
    }
    Err(ReadError::Unreadable)
}

fn open(url: &Url) -> Result<Connection, Error> {
    let mut connection = connect(url)?;
    let limit = format!("SET statement_timeout TO {}", READ_TIME_MAX.as_millis());
    connection.batch(&limit, soon())?;
    Ok(connection)
}

fn answer_with(connection: &mut Connection, zones: &Zones, query: &Query) -> Result<Answer, Error> {
    let session = Session::new(connection, clock::mono().plus(READ_TIME_MAX * 2));
    session.run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", &[])?;
    let answer = history::answer(&session, Some(zones), query);
    // Whatever came of it, the connection is to be used again.
    let ended = session.end();
    answer.and_then(|answer| ended.map(|()| answer))
}
