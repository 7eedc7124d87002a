//! Owns the tables of what steers who is told: channels, with how they fared, policies of tags and of the server, silences.
//! It must not know what follows from them.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::secrets::{self, Found};
use crate::channel::{Channel, ChannelDefinition};
use crate::core::{PolicyScope, Setting, Silence, SilenceId, Silenced};
use crate::job::{AlertDefinition, AlertPolicy, JobId, channel_name};
use crate::store::sql::{Bad, Row, Sql, bad, values};
use crate::store::{ChannelHealth, Finding};
use crate::time::{Instant, WallUs};
use crate::vault::Vault;

/// Puts a setting in the place of the one before, or takes it out.
pub(in crate::store) fn write<S: Sql>(sql: &S, vault: Option<&Vault>, setting: &Setting) -> Result<(), S::Error> {
    match setting {
        Setting::Channel(name, channel) => write_channel(sql, vault, name, channel.as_deref()),
        Setting::Policy(scope, Some(policy)) => {
            let definition = serde_json::to_string(&policy.define()).expect("its keys are names");
            let put = "INSERT INTO policies (scope, definition) VALUES (?1, ?2) \
                       ON CONFLICT (scope) DO UPDATE SET definition = ?2";
            sql.run(put, values![scope_text(scope).as_str(), definition.as_str()])
        }
        Setting::Policy(scope, None) => {
            sql.run("DELETE FROM policies WHERE scope = ?1", values![scope_text(scope).as_str()])
        }
        Setting::Silence(id, Some(silence)) => write_silence(sql, *id, silence),
        Setting::Silence(id, None) => sql.run("DELETE FROM silences WHERE id = ?1", values![id.0]),
    }
}

/// A channel that is replaced keeps how it fared until it fares anew.
fn write_channel<S: Sql>(
    sql: &S,
    vault: Option<&Vault>,
    name: &str,
    channel: Option<&Channel>,
) -> Result<(), S::Error> {
    secrets::put_of_channel(sql, vault, name, channel)?;
    let Some(channel) = channel else {
        return sql.run("DELETE FROM channels WHERE name = ?1", values![name]);
    };
    let definition = serde_json::to_string(&channel.define()).expect("its keys are names");
    let put =
        "INSERT INTO channels (name, definition) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET definition = ?2";
    sql.run(put, values![name, definition.as_str()])
}

/// Notes how a channel fared. One that is gone is passed over.
pub(in crate::store) fn note_health<S: Sql>(sql: &S, name: &str, health: &ChannelHealth) -> Result<(), S::Error> {
    let ChannelHealth { delivered_at, failed_at, error } = health;
    let note = "UPDATE channels SET delivered_at = ?2, failed_at = ?3, error = ?4 WHERE name = ?1";
    let (delivered_at, failed_at) = (delivered_at.map(|at| at.0), failed_at.map(|at| at.0));
    sql.run(note, values![name, delivered_at, failed_at, error.as_deref()])
}

fn write_silence<S: Sql>(sql: &S, id: SilenceId, silence: &Silence) -> Result<(), S::Error> {
    let Silence { of, note, ends_at, created_at, by } = silence;
    let (job, tag, target) = match of {
        Silenced::Job(job) => (Some(job.as_bytes()), None, None),
        Silenced::Tag(tag) => (None, Some(&**tag), None),
        Silenced::Target(target) => (None, None, Some(&**target)),
    };
    sql.run(
        "INSERT INTO silences (id, job, tag, target, note, ends_at, created_at, created_by) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET job = ?2, tag = ?3, target = ?4, \
         note = ?5, ends_at = ?6, created_at = ?7, created_by = ?8",
        values![id.0, job, tag, target, &**note, ends_at.as_secs(), created_at.0, by.as_deref()],
    )
}

const CHANNELS: &str = "SELECT name, definition FROM channels ORDER BY name";
const POLICIES: &str = "SELECT scope, definition FROM policies ORDER BY scope";
const SILENCES: &str =
    "SELECT CAST(id AS TEXT), job, tag, target, note, ends_at, created_at, created_by FROM silences ORDER BY id";

/// Every setting: channels, which policies name, then policies, then silences, oldest first.
pub(in crate::store) fn read_all<S: Sql>(sql: &S, secrets: &Found) -> Result<Vec<Setting>, S::Error> {
    let mut all = sql.all(CHANNELS, &[], |row| read_channel(row, secrets))?;
    all.extend(sql.all(POLICIES, &[], read_policy)?);
    all.extend(sql.all(SILENCES, &[], read_silence)?);
    Ok(all)
}

fn read_channel(row: &Row<'_>, secrets: &Found) -> Result<Setting, Bad> {
    let name: Arc<str> = row.get(0)?;
    channel_name("name", &name).map_err(|why| bad(0, &why.to_string()))?;
    let definition: ChannelDefinition = json(row, 1)?;
    let channel = Channel::restore(&definition, secrets.of_channel(&name)).map_err(|why| bad(1, &why.to_string()))?;
    Ok(Setting::Channel(name, Some(Arc::new(channel))))
}

fn read_policy(row: &Row<'_>) -> Result<Setting, Bad> {
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

fn read_silence(row: &Row<'_>) -> Result<Setting, Bad> {
    let id: String = row.get(0)?;
    let id: SilenceId = id.parse().map_err(|_| bad(0, "not the id of a silence"))?;
    let job = row.get::<Option<[u8; 16]>>(1)?.map(JobId::from_bytes);
    let of = match (job, row.get::<Option<Box<str>>>(2)?, row.get::<Option<Box<str>>>(3)?) {
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

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Bad> {
    serde_json::from_str(row.text(column)?).map_err(|why| bad(column, &why.to_string()))
}

/// How every channel fared.
pub(in crate::store) fn read_health<S: Sql>(sql: &S) -> Result<Vec<(Arc<str>, ChannelHealth)>, S::Error> {
    sql.all("SELECT name, delivered_at, failed_at, error FROM channels ORDER BY name", &[], |row| {
        let time = |column: usize| Ok::<_, Bad>(row.get::<Option<i64>>(column)?.map(WallUs));
        Ok((row.get(0)?, ChannelHealth { delivered_at: time(1)?, failed_at: time(2)?, error: row.get(3)? }))
    })
}

/// Settings that a start would refuse. None: their secrets are not at hand, and then channels are not looked at.
pub(in crate::store) fn unread<S: Sql>(sql: &S, secrets: Option<&Found>) -> Result<Vec<Finding>, S::Error> {
    let mut findings = Vec::new();
    if let Some(secrets) = secrets {
        let read = |row: &Row<'_>| read_channel(row, secrets);
        findings.extend(refused(sql, "channels that cannot be read", CHANNELS, read)?);
    }
    findings.extend(refused(sql, "policies that cannot be read", POLICIES, read_policy)?);
    findings.extend(refused(sql, "silences that cannot be read", SILENCES, read_silence)?);
    Ok(findings)
}

fn refused<S: Sql>(
    sql: &S,
    what: &str,
    all: &str,
    read: impl Fn(&Row<'_>) -> Result<Setting, Bad>,
) -> Result<Option<Finding>, S::Error> {
    let mut finding = Finding::new(what);
    sql.walk(all, &[], &mut |row| {
        if let Err(why) = read(row) {
            let name: String = row.get(0)?;
            finding.note(|| format!("{name}: {why}"));
        }
        Ok(true)
    })?;
    Ok(finding.if_any())
}
