//! Owns the look at a PostgreSQL server that holds the database: whether it is reached, and whether the promises hold on it.
//! It must not change anything there.

use super::Finding;
use super::asking;
use crate::limits::{DISK_SYNC_GOOD, NODE_SESSIONS, SKEW_MAX};
use crate::postgres::Url;
use crate::store::{ServerLook, Usable, look_at};

const DATABASE: &str = "database";
const DURABILITY: &str = "durability";
const SESSIONS: &str = "sessions";
const SKEW: &str = "clock skew";

/// Looks at the server, and tells what was found. Whether a node uses it.
pub(super) fn examine(url: &Url, tell: &mut impl FnMut(Finding)) -> bool {
    let (asked, shown) = (url.clone(), url.to_string());
    let advice = "`psql` with the same URL asks the same; the README says what the server must be (Several nodes)";
    match asking::within(move || look_at(&asked)) {
        None => tell(Finding::fail(DATABASE, format!("{shown}: no answer in time"), advice)),
        Some((Err(why), _)) => tell(Finding::fail(DATABASE, format!("{shown}: {why}"), advice)),
        Some((Ok(look), _)) => {
            judge(&shown, &look).into_iter().for_each(tell);
            return look.nodes > 0;
        }
    }
    false
}

fn judge(shown: &str, look: &ServerLook) -> Vec<Finding> {
    vec![database(shown, look), durability(look), sessions(look), skew(look)]
}

/// What it is, and whether a node can begin there.
fn database(shown: &str, look: &ServerLook) -> Finding {
    let round_trip_ms = look.round_trip.as_secs_f64() * 1_000.0;
    let holds = match look.schema {
        None => "nothing of Punctual's in it yet".to_owned(),
        Some(_) => format!("nodes that share it now: {}", look.nodes),
    };
    let found = format!("{shown}: PostgreSQL {}, answers in {round_trip_ms:.2} ms, {holds}", look.version);
    let is_made = look.schema == Some(Usable::AsItIs);
    let finding = if look.encoding != "UTF8" {
        let advice = "`createdb --encoding=UTF8 --template=template0 NAME` makes one that every text fits into";
        Finding::fail(DATABASE, format!("{found}; its encoding is {}", look.encoding), advice)
    } else if look.schema == Some(Usable::No) {
        Finding::fail(DATABASE, format!("{found}; a newer version made it"), "use the newer build")
    } else if !is_made && !look.may_create {
        let advice = "GRANT CREATE on its schema, or make the user the owner of the database";
        Finding::fail(DATABASE, format!("{found}; its user may not make tables"), advice)
    } else if look.schema == Some(Usable::OnceMigrated) {
        let advice = "back it up first (pg_dump); nodes of the version before go on beside it meanwhile";
        Finding::warn(DATABASE, format!("{found}; a start brings it up to date"), advice)
    } else {
        Finding::ok(DATABASE, found)
    };
    finding.with(&[("roundTripMs", round_trip_ms)])
}

/// Whether what it acknowledges stays, and how long that takes.
fn durability(look: &ServerLook) -> Finding {
    let off = |name: &'static str| (look.setting(name) == "off").then_some(name);
    let commit_ms = look.commit.map(|commit| commit.as_secs_f64() * 1_000.0);
    let took = commit_ms.map_or_else(|| "is not known".to_owned(), |ms| format!("takes {ms:.2} ms (p50)"));
    let standbys = look.setting("synchronous_standby_names");
    let found = format!(
        "a commit {took}; synchronous_commit={}, synchronous standbys: {}",
        look.setting("synchronous_commit"),
        if standbys.is_empty() { "none" } else { standbys }
    );
    let finding = if let Some(name) = off("fsync").or(off("full_page_writes")) {
        Finding::fail(
            DURABILITY,
            format!("{found}; {name}=off"),
            "turn it on: a crash of its machine breaks the database",
        )
    } else if off("synchronous_commit").is_some() {
        let advice = "turn it on for this database: what was answered may be lost in a crash of the server";
        Finding::warn(DURABILITY, found, advice)
    } else if look.hosts > 1 && standbys.is_empty() {
        let advice = "name a synchronous standby: after a failover to another one what was answered last is gone";
        Finding::warn(DURABILITY, format!("{found}, though several hosts are named"), advice)
    } else if look.commit.is_some_and(|commit| commit > DISK_SYNC_GOOD) {
        Finding::warn(DURABILITY, found, "every change waits for it: a faster disk, or a nearer standby")
    } else {
        Finding::ok(DURABILITY, found)
    };
    finding.with(&commit_ms.map(|ms| vec![("commitMs", ms)]).unwrap_or_default())
}

/// Whether it takes what a node needs, and leaves it alone.
fn sessions(look: &ServerLook) -> Finding {
    let limits =
        ["statement_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"];
    let limits = limits.map(|name| (name, look.setting(name)));
    let limit = limits.iter().find(|(_, value)| !value.is_empty() && *value != "0");
    let left = look.sessions_left;
    let found = format!("{left} more, and a node has up to {NODE_SESSIONS}");
    let advice = "raise max_connections, or end what else uses the server";
    let finding = if left < NODE_SESSIONS as i64 && look.nodes > 0 {
        // Those that run have theirs already.
        Finding::warn(SESSIONS, format!("{found}: no other one can come"), advice)
    } else if left < NODE_SESSIONS as i64 {
        Finding::fail(SESSIONS, found, advice)
    } else if let Some((name, value)) = limit {
        let advice = format!(
            "ALTER ROLE ... SET {name} = 0 for the user of Punctual: its sessions stay, and have their own limits"
        );
        Finding::warn(SESSIONS, format!("{found}; {name}={value} ms ends what takes longer"), advice)
    } else {
        Finding::ok(SESSIONS, found)
    };
    finding.with(&[("left", left.max(0) as f64)])
}

/// Whether nodes agree about when a second begins.
fn skew(look: &ServerLook) -> Finding {
    let skew_ms = look.skew_us as f64 / 1_000.0;
    let found = format!("{skew_ms:.1} ms between this machine and the server, at least");
    let most_us = i64::try_from(SKEW_MAX.as_micros()).unwrap_or(i64::MAX);
    let advice = "each fires by its own clock: run chrony or systemd-timesyncd on both";
    let finding = match look.skew_us.abs() {
        skew if skew > most_us => Finding::fail(SKEW, found, advice),
        skew if skew > most_us / 2 => Finding::warn(SKEW, found, advice),
        _ => Finding::ok(SKEW, found),
    };
    finding.with(&[("skewMs", skew_ms)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Level;
    use super::*;

    /// A server with which all is well.
    fn good() -> ServerLook {
        let settings =
            [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on"), ("statement_timeout", "0")];
        ServerLook {
            version: "15.1".to_owned(),
            round_trip: Duration::from_micros(300),
            commit: Some(Duration::from_millis(2)),
            skew_us: 0,
            encoding: "UTF8".to_owned(),
            schema: None,
            may_create: true,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            sessions_left: 90,
            hosts: 1,
            nodes: 0,
        }
    }

    fn with(name: &str, value: &str) -> ServerLook {
        let mut look = good();
        look.settings.retain(|(known, _)| known != name);
        look.settings.push((name.to_owned(), value.to_owned()));
        look
    }

    #[test]
    fn what_breaks_a_promise_is_told_apart_from_what_is_only_worse() {
        assert!(judge("x", &good()).iter().all(|finding| finding.level == Level::Ok));
        let cases = [
            (ServerLook { encoding: "LATIN1".to_owned(), ..good() }, DATABASE, Level::Fail, "LATIN1"),
            (ServerLook { schema: Some(Usable::No), ..good() }, DATABASE, Level::Fail, "a newer version"),
            (ServerLook { may_create: false, ..good() }, DATABASE, Level::Fail, "may not make tables"),
            (
                ServerLook { schema: Some(Usable::OnceMigrated), ..good() },
                DATABASE,
                Level::Warn,
                "brings it up to date",
            ),
            (with("fsync", "off"), DURABILITY, Level::Fail, "fsync=off"),
            (with("full_page_writes", "off"), DURABILITY, Level::Fail, "full_page_writes=off"),
            (with("synchronous_commit", "off"), DURABILITY, Level::Warn, "synchronous_commit=off"),
            (ServerLook { hosts: 2, ..good() }, DURABILITY, Level::Warn, "several hosts"),
            (ServerLook { commit: Some(Duration::from_millis(400)), ..good() }, DURABILITY, Level::Warn, "400.00 ms"),
            (ServerLook { sessions_left: 3, ..good() }, SESSIONS, Level::Fail, "3 more"),
            (ServerLook { sessions_left: 3, nodes: 1, ..good() }, SESSIONS, Level::Warn, "no other one can come"),
            (with("idle_session_timeout", "5000"), SESSIONS, Level::Warn, "idle_session_timeout=5000 ms"),
            (ServerLook { skew_us: -260_000, ..good() }, SKEW, Level::Warn, "-260.0 ms"),
            (ServerLook { skew_us: 600_000, ..good() }, SKEW, Level::Fail, "600.0 ms"),
        ];
        for (look, check, level, part) in cases {
            let findings = judge("x", &look);
            let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
            let [finding] = bad[..] else { panic!("{part}: {findings:?}") };
            assert_eq!((finding.check, finding.level), (check, level), "{part}");
            assert!(finding.found.contains(part) && finding.advice.is_some(), "{finding:?}");
        }
        // What is made already needs no right to make it, and two hosts are well with a synchronous standby.
        let made = ServerLook { schema: Some(Usable::AsItIs), may_create: false, ..good() };
        let standby = ServerLook { hosts: 2, ..with("synchronous_standby_names", "*") };
        assert!(judge("x", &made).iter().chain(&judge("x", &standby)).all(|finding| finding.level == Level::Ok));
    }
}
