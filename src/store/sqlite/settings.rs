//! Owns the tables of what steers who is told: channels, with how they fared, policies of tags and of the server, silences.
//! It must not know what follows from them.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;

use super::look::Finding;
use super::rows::{self, bad};
use super::secrets::{self, Found};
use crate::channel::{Channel, ChannelDefinition};
use crate::core::{PolicyScope, Setting, Silence, SilenceId, Silenced};
use crate::job::{AlertDefinition, AlertPolicy, JobId, channel_name};
use crate::store::ChannelHealth;
use crate::time::{Instant, WallUs};
use crate::vault::Vault;

/// Puts a setting in the place of the one before, or takes it out.
pub(super) fn write(connection: &Connection, vault: Option<&Vault>, setting: &Setting) -> rusqlite::Result<()> {
    match setting {
        Setting::Channel(name, channel) => write_channel(connection, vault, name, channel.as_deref()),
        Setting::Policy(scope, Some(policy)) => {
            let definition = serde_json::to_string(&policy.define()).expect("its keys are names");
            let sql = "INSERT OR REPLACE INTO policies (scope, definition) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute(params![scope_text(scope), definition]).map(drop)
        }
        Setting::Policy(scope, None) => {
            connection.prepare_cached("DELETE FROM policies WHERE scope = ?1")?.execute([scope_text(scope)]).map(drop)
        }
        Setting::Silence(id, Some(silence)) => write_silence(connection, *id, silence),
        Setting::Silence(id, None) => {
            let mut remove = connection.prepare_cached("DELETE FROM silences WHERE id = ?1")?;
            remove.execute([rows::integer(id.0)]).map(drop)
        }
    }
}

/// A channel that is replaced keeps how it fared until it fares anew.
fn write_channel(
    connection: &Connection,
    vault: Option<&Vault>,
    name: &str,
    channel: Option<&Channel>,
) -> rusqlite::Result<()> {
    secrets::put_of_channel(connection, vault, name, channel)?;
    let Some(channel) = channel else {
        return connection.prepare_cached("DELETE FROM channels WHERE name = ?1")?.execute([name]).map(drop);
    };
    let definition = serde_json::to_string(&channel.define()).expect("its keys are names");
    let mut put = connection.prepare_cached(
        "INSERT INTO channels (name, definition) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET definition = ?2",
    )?;
    put.execute(params![name, definition]).map(drop)
}

/// Notes how a channel fared. One that is gone is passed over.
pub(super) fn note_health(connection: &Connection, name: &str, health: &ChannelHealth) -> rusqlite::Result<()> {
    let ChannelHealth { delivered_at, failed_at, error } = health;
    let sql = "UPDATE channels SET delivered_at = ?2, failed_at = ?3, error = ?4 WHERE name = ?1";
    let (delivered_at, failed_at) = (delivered_at.map(|at| at.0), failed_at.map(|at| at.0));
    connection.prepare_cached(sql)?.execute(params![name, delivered_at, failed_at, error]).map(drop)
}

fn write_silence(connection: &Connection, id: SilenceId, silence: &Silence) -> rusqlite::Result<()> {
    let Silence { of, note, ends_at, created_at, by } = silence;
    let (job, tag, target) = match of {
        Silenced::Job(job) => (Some(job.as_bytes()), None, None),
        Silenced::Tag(tag) => (None, Some(tag), None),
        Silenced::Target(target) => (None, None, Some(target)),
    };
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO silences (id, job, tag, target, note, ends_at, created_at, created_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let (id, ends_at) = (rows::integer(id.0), ends_at.as_secs());
    put.execute(params![id, job, tag, target, note, ends_at, created_at.0, by]).map(drop)
}

const CHANNELS: &str = "SELECT name, definition FROM channels ORDER BY name";
const POLICIES: &str = "SELECT scope, definition FROM policies ORDER BY scope";
const SILENCES: &str =
    "SELECT CAST(id AS TEXT), job, tag, target, note, ends_at, created_at, created_by FROM silences ORDER BY id";

/// Every setting: channels, which policies name, then policies, then silences, oldest first.
pub(super) fn read_all(connection: &Connection, secrets: &Found) -> rusqlite::Result<Vec<Setting>> {
    let mut all = Vec::new();
    all.extend(connection.prepare(CHANNELS)?.query_map([], |row| read_channel(row, secrets))?.collect::<Settings>()?);
    all.extend(connection.prepare(POLICIES)?.query_map([], read_policy)?.collect::<Settings>()?);
    all.extend(connection.prepare(SILENCES)?.query_map([], read_silence)?.collect::<Settings>()?);
    Ok(all)
}

type Settings = rusqlite::Result<Vec<Setting>>;

fn read_channel(row: &Row<'_>, secrets: &Found) -> rusqlite::Result<Setting> {
    let name: Arc<str> = row.get(0)?;
    channel_name("name", &name).map_err(|why| bad(0, &why.to_string()))?;
    let definition: ChannelDefinition = json(row, 1)?;
    let channel = Channel::restore(&definition, secrets.of_channel(&name)).map_err(|why| bad(1, &why.to_string()))?;
    Ok(Setting::Channel(name, Some(Arc::new(channel))))
}

fn read_policy(row: &Row<'_>) -> rusqlite::Result<Setting> {
    let text: String = row.get(0)?;
    let scope = if text == SERVER {
        PolicyScope::Server
    } else {
        let tag = text.strip_prefix(TAG).ok_or_else(|| bad(0, &format!("{text:?} has no policy")))?;
        PolicyScope::Tag(tag.into())
    };
    let definition: AlertDefinition = json(row, 1)?;
    let policy = match scope {
        PolicyScope::Server => AlertPolicy::compile_of_server(&definition),
        PolicyScope::Tag(_) => AlertPolicy::compile(&definition),
    };
    Ok(Setting::Policy(scope, Some(Arc::new(policy.map_err(|why| bad(1, &why.to_string()))?))))
}

const SERVER: &str = "server";
const TAG: &str = "tag:";

fn scope_text(scope: &PolicyScope) -> String {
    match scope {
        PolicyScope::Server => SERVER.to_owned(),
        PolicyScope::Tag(tag) => format!("{TAG}{tag}"),
    }
}

fn read_silence(row: &Row<'_>) -> rusqlite::Result<Setting> {
    let id: String = row.get(0)?;
    let id: SilenceId = id.parse().map_err(|_| bad(0, "not the id of a silence"))?;
    let job = row.get::<_, Option<[u8; 16]>>(1)?.map(JobId::from_bytes);
    let of = match (job, row.get::<_, Option<Box<str>>>(2)?, row.get::<_, Option<Box<str>>>(3)?) {
        (Some(job), None, None) => Silenced::Job(job),
        (None, Some(tag), None) => Silenced::Tag(tag),
        (None, None, Some(target)) => Silenced::Target(target),
        (Some(_) | None, Some(_) | None, Some(_) | None) => return Err(bad(1, "not one job, tag or target")),
    };
    let silence = Silence {
        of,
        note: row.get(4)?,
        ends_at: Instant::from_secs(row.get(5)?),
        created_at: WallUs(row.get(6)?),
        by: row.get(7)?,
    };
    Ok(Setting::Silence(id, Some(Arc::new(silence))))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|why| bad(column, &why.to_string()))?;
    serde_json::from_str(text).map_err(|why| bad(column, &why.to_string()))
}

/// How every channel fared.
pub(super) fn read_health(connection: &Connection) -> rusqlite::Result<Vec<(Arc<str>, ChannelHealth)>> {
    let mut statement =
        connection.prepare("SELECT name, delivered_at, failed_at, error FROM channels ORDER BY name")?;
    let found = statement.query_map([], |row| {
        let time = |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(WallUs));
        Ok((row.get(0)?, ChannelHealth { delivered_at: time(1)?, failed_at: time(2)?, error: row.get(3)? }))
    })?;
    found.collect()
}

/// Settings that a start would refuse. None: their secrets are not at hand, and then channels are not looked at.
pub(super) fn unread(connection: &Connection, secrets: Option<&Found>) -> rusqlite::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Some(secrets) = secrets {
        let read = |row: &Row<'_>| read_channel(row, secrets);
        findings.extend(refused(connection, "channels that cannot be read", CHANNELS, read)?);
    }
    findings.extend(refused(connection, "policies that cannot be read", POLICIES, read_policy)?);
    findings.extend(refused(connection, "silences that cannot be read", SILENCES, read_silence)?);
    Ok(findings)
}

fn refused(
    connection: &Connection,
    what: &str,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Setting>,
) -> rusqlite::Result<Option<Finding>> {
    let mut finding = Finding::new(what);
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if let Err(why) = read(row) {
            let name: String = row.get(0)?;
            finding.note(|| format!("{name}: {why}"));
        }
    }
    Ok(finding.if_any())
}
