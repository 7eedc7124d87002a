//! Owns the messages of incidents on disk: a row for each channel that one goes over, and what became of it there.
//! It must not send anything, nor lose what was heard of a message before its row came.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::look::Finding;
use super::rows::{self, bad};
use super::{Store, incidents};
use crate::core::{Event, Incident, IncidentId, Message};
use crate::limits::INCIDENT_MESSAGES_SHOWN_MAX;
use crate::store::{AlertState, Delivery, SentMessage, UndeliveredMessage};
use crate::time::WallUs;

/// Puts a message, once for each of its channels. What is there already stays as it is: it may have been delivered.
pub(super) fn insert(connection: &Connection, message: &Message) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO messages (incident, number, channel, event, created_at, delivery, attempts) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'PENDING', 0) ON CONFLICT (incident, number, channel) \
         DO UPDATE SET event = excluded.event, created_at = excluded.created_at WHERE event IS NULL",
    )?;
    let Message { incident, number, event, at, channels } = message;
    for channel in channels {
        insert.execute(params![rows::integer(incident.id.0), number, channel, event.name(), at.0])?;
    }
    Ok(())
}

/// Notes what became of a message. While the store failed it was sent before it could be written: then this is kept, and
/// `insert` adds the rest. What was delivered stays delivered.
pub(super) fn note(connection: &Connection, delivery: &Delivery) -> rusqlite::Result<()> {
    let mut note = connection.prepare_cached(
        "INSERT INTO messages (incident, number, channel, delivery, delivered_at, attempts, error) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (incident, number, channel) \
         DO UPDATE SET delivery = ?4, delivered_at = ?5, attempts = ?6, error = ?7 WHERE delivery <> 'DELIVERED'",
    )?;
    let Delivery { incident, number, channel, state, delivered_at, attempts, error } = delivery;
    let (incident, delivered_at) = (rows::integer(incident.0), delivered_at.map(|at| at.0));
    note.execute(params![incident, number, channel, state.name(), delivered_at, attempts, error])?;
    Ok(())
}

impl Store {
    /// Forgets what was heard of messages whose rows never came, as the process before ended in between: nobody knows of
    /// them any more, and another message may have their name.
    pub(super) fn forget_unwritten(&self) -> rusqlite::Result<()> {
        self.connection.execute(FORGET_UNWRITTEN, []).map(drop)
    }
}

pub(super) const FORGET_UNWRITTEN: &str = "DELETE FROM messages WHERE event IS NULL";

pub(super) const UNDELIVERED: &str = "FROM messages m LEFT JOIN incidents i ON i.id = m.incident \
     WHERE m.delivery = 'PENDING' AND m.event IS NOT NULL ORDER BY m.created_at, m.incident, m.number, m.channel";

/// Every message that is still to be delivered, over one channel each, in the order in which they were made.
pub(super) fn undelivered(connection: &Connection) -> rusqlite::Result<Vec<UndeliveredMessage>> {
    let mut incidents: HashMap<IncidentId, Arc<Incident>> = HashMap::new();
    let sql = format!("SELECT {COLUMNS}, {} {UNDELIVERED}", incidents::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let SentMessage { event, at, delivery } = read(row)?;
        if row.get::<_, Option<i64>>(COLUMNS_LEN)?.is_none() {
            return Err(bad(0, "a message of an incident that is not there"));
        }
        let incident = match incidents.get(&delivery.incident) {
            Some(incident) => Arc::clone(incident),
            None => {
                let incident = Arc::new(incidents::read(row, COLUMNS_LEN)?);
                incidents.insert(delivery.incident, Arc::clone(&incident));
                incident
            }
        };
        let channels = Box::new([Box::from(&*delivery.channel)]);
        let message = Message { incident, number: delivery.number, event, at, channels };
        all.push(UndeliveredMessage { message, channel: delivery.channel, attempts: delivery.attempts });
    }
    Ok(all)
}

pub(super) const OF_INCIDENT: &str = "FROM messages m WHERE incident = ?1 AND event IS NOT NULL \
     ORDER BY number DESC, channel DESC LIMIT ?2";

/// The newest messages of an incident, oldest first.
pub(super) fn of_incident(connection: &Connection, incident: IncidentId) -> rusqlite::Result<Vec<SentMessage>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} {OF_INCIDENT}"))?;
    let most = rows::integer(INCIDENT_MESSAGES_SHOWN_MAX as u64);
    let found = statement.query_map(params![rows::integer(incident.0), most], read)?;
    let mut messages = found.collect::<rusqlite::Result<Vec<SentMessage>>>()?;
    messages.reverse();
    Ok(messages)
}

/// The columns that `read` reads, of the table under the name `m`.
const COLUMNS: &str =
    "m.incident, m.number, m.channel, m.event, m.created_at, m.delivery, m.delivered_at, m.attempts, m.error";
/// How many they are.
const COLUMNS_LEN: usize = 9;

fn read(row: &Row<'_>) -> rusqlite::Result<SentMessage> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(|why| bad(column, &why.to_string()));
    let (event, state) = (text(3)?, text(5)?);
    let unknown = |column: usize, name: &str| bad(column, &format!("unknown name {name:?}"));
    let state = AlertState::from_name(state).filter(|state| *state != AlertState::Logged);
    Ok(SentMessage {
        event: Event::from_name(event).ok_or_else(|| unknown(3, event))?,
        at: WallUs(row.get(4)?),
        delivery: Delivery {
            incident: IncidentId(rows::unsigned(row, 0)?),
            number: row.get(1)?,
            channel: row.get(2)?,
            state: state.ok_or_else(|| bad(5, "unknown delivery state"))?,
            delivered_at: row.get::<_, Option<i64>>(6)?.map(WallUs),
            attempts: row.get(7)?,
            error: row.get(8)?,
        },
    })
}

/// Deletes up to so many messages older than this that are not still to be delivered, of whatever incident: one that is
/// open for long may have been told often. How many there were.
pub(super) fn delete_before(connection: &Connection, oldest_us: i64, most: u32) -> rusqlite::Result<u32> {
    let mut delete = connection.prepare_cached(DELETE_BEFORE)?;
    delete.execute(params![oldest_us, most]).map(|gone| rows::small(gone as u64))
}

pub(super) const DELETE_BEFORE: &str = "DELETE FROM messages WHERE (incident, number, channel) IN (SELECT incident, number, channel \
     FROM messages INDEXED BY idx_messages_done WHERE created_at < ?1 AND delivery <> 'PENDING' \
     ORDER BY created_at LIMIT ?2)";

/// Messages that no version writes.
pub(super) fn unread(connection: &Connection) -> rusqlite::Result<Option<Finding>> {
    let mut finding = Finding::new("messages that cannot be read");
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM messages m WHERE event IS NOT NULL"))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if let Err(why) = read(row) {
            let (incident, number, channel): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            finding.note(|| format!("message {incident}.{number}.{channel}: {why}"));
        }
    }
    Ok(finding.if_any())
}
