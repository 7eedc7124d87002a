//! Owns the messages of incidents on disk: a row for each channel that one goes over, and what became of it there.
//! It must not send anything, nor lose what was heard of a message before its row came.

use std::collections::HashMap;
use std::sync::Arc;

use super::incidents;
use crate::core::{Event, Incident, IncidentId, Message};
use crate::limits::INCIDENT_MESSAGES_SHOWN_MAX;
use crate::store::sql::{Bad, Row, Sql, bad, small, values};
use crate::store::{AlertState, Delivery, Finding, SentMessage, UndeliveredMessage};
use crate::time::WallUs;

/// Puts a message, once for each of its channels. What is there already stays as it is: it may have been delivered.
pub(in crate::store) fn insert<S: Sql>(sql: &S, message: &Message) -> Result<(), S::Error> {
    let insert = "INSERT INTO messages (incident, number, channel, event, created_at, delivery, attempts) \
                  VALUES (?1, ?2, ?3, ?4, ?5, 'PENDING', 0) ON CONFLICT (incident, number, channel) \
                  DO UPDATE SET event = excluded.event, created_at = excluded.created_at WHERE messages.event IS NULL";
    let Message { incident, number, event, at, channels } = message;
    channels
        .iter()
        .try_for_each(|channel| sql.run(insert, values![incident.id.0, number, &**channel, event.name(), at.0]))
}

/// Notes what became of a message. While the store failed it was sent before it could be written: then this is kept, and
/// `insert` adds the rest. What was delivered stays delivered.
pub(in crate::store) fn note<S: Sql>(sql: &S, delivery: &Delivery) -> Result<(), S::Error> {
    let Delivery { incident, number, channel, state, delivered_at, attempts, error } = delivery;
    let delivered_at = delivered_at.map(|at| at.0);
    sql.run(
        "INSERT INTO messages (incident, number, channel, delivery, delivered_at, attempts, error) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (incident, number, channel) DO UPDATE SET delivery = ?4, \
         delivered_at = ?5, attempts = ?6, error = ?7 WHERE messages.delivery <> 'DELIVERED'",
        values![incident.0, number, &**channel, state.name(), delivered_at, attempts, error.as_deref()],
    )
}

/// Forgets what was heard of messages whose rows never came, as the process before ended in between: nobody knows of them
/// any more, and another message may have their name.
pub(in crate::store) fn forget_unwritten<S: Sql>(sql: &S) -> Result<(), S::Error> {
    sql.run(FORGET_UNWRITTEN, &[])
}

pub(in crate::store) const FORGET_UNWRITTEN: &str = "DELETE FROM messages WHERE event IS NULL";

pub(in crate::store) const UNDELIVERED: &str = "FROM messages m LEFT JOIN incidents i ON i.id = m.incident \
     WHERE m.delivery = 'PENDING' AND m.event IS NOT NULL ORDER BY m.created_at, m.incident, m.number, m.channel";

/// Every message that is still to be delivered, over one channel each, in the order in which they were made.
pub(in crate::store) fn undelivered<S: Sql>(sql: &S) -> Result<Vec<UndeliveredMessage>, S::Error> {
    let mut incidents: HashMap<IncidentId, Arc<Incident>> = HashMap::new();
    sql.all(&format!("SELECT {COLUMNS}, {} {UNDELIVERED}", incidents::COLUMNS), &[], |row| {
        let SentMessage { event, at, delivery } = read(row)?;
        if row.get::<Option<i64>>(COLUMNS_LEN)?.is_none() {
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
        Ok(UndeliveredMessage { message, channel: delivery.channel, attempts: delivery.attempts })
    })
}

pub(in crate::store) const OF_INCIDENT: &str = "FROM messages m WHERE incident = ?1 AND event IS NOT NULL \
     ORDER BY number DESC, channel DESC LIMIT ?2";

/// The newest messages of an incident, oldest first.
pub(in crate::store) fn of_incident<S: Sql>(sql: &S, incident: IncidentId) -> Result<Vec<SentMessage>, S::Error> {
    let find = format!("SELECT {COLUMNS} {OF_INCIDENT}");
    let mut messages = sql.all(&find, values![incident.0, INCIDENT_MESSAGES_SHOWN_MAX as u64], read)?;
    messages.reverse();
    Ok(messages)
}

/// The columns that `read` reads, of the table under the name `m`.
const COLUMNS: &str =
    "m.incident, m.number, m.channel, m.event, m.created_at, m.delivery, m.delivered_at, m.attempts, m.error";
/// How many they are.
const COLUMNS_LEN: usize = 9;

fn read(row: &Row<'_>) -> Result<SentMessage, Bad> {
    let (event, state) = (row.text(3)?, row.text(5)?);
    let unknown = |column: usize, name: &str| bad(column, &format!("unknown name {name:?}"));
    let state = AlertState::from_name(state).filter(|state| *state != AlertState::Logged);
    Ok(SentMessage {
        event: Event::from_name(event).ok_or_else(|| unknown(3, event))?,
        at: WallUs(row.get(4)?),
        delivery: Delivery {
            incident: IncidentId(row.get(0)?),
            number: row.get(1)?,
            channel: row.get(2)?,
            state: state.ok_or_else(|| bad(5, "unknown delivery state"))?,
            delivered_at: row.get::<Option<i64>>(6)?.map(WallUs),
            attempts: row.get(7)?,
            error: row.get(8)?,
        },
    })
}

/// Deletes up to so many messages older than this that are not still to be delivered, of whatever incident: one that is
/// open for long may have been told often. How many there were.
pub(in crate::store) fn delete_before<S: Sql>(sql: &S, oldest_us: i64, most: u32) -> Result<u32, S::Error> {
    sql.count(&delete_before_sql(sql), values![oldest_us, most]).map(small)
}

pub(in crate::store) fn delete_before_sql(sql: &impl Sql) -> String {
    format!(
        "DELETE FROM messages WHERE (incident, number, channel) IN (SELECT incident, number, channel FROM messages {} \
         WHERE created_at < ?1 AND delivery <> 'PENDING' ORDER BY created_at LIMIT ?2)",
        sql.index("idx_messages_done")
    )
}

/// Messages that no version writes.
pub(in crate::store) fn unread<S: Sql>(sql: &S) -> Result<Option<Finding>, S::Error> {
    let mut finding = Finding::new("messages that cannot be read");
    sql.walk(&format!("SELECT {COLUMNS} FROM messages m WHERE event IS NOT NULL"), &[], &mut |row| {
        if let Err(why) = read(row) {
            let (incident, number, channel): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            finding.note(|| format!("message {incident}.{number}.{channel}: {why}"));
        }
        Ok(true)
    })?;
    Ok(finding.if_any())
}
