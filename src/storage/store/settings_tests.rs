//! Owns what a store must do with channels, policies and silences: keep them as they are to be, with the secrets of channels
//! sealed, and with how channels fared.
//! It must not know how they are kept.

use std::path::Path;
use std::sync::Arc;

use super::ChannelHealth;
use super::subject::{Subject, also_on_postgres};
use crate::channel::Channel;
use crate::core::{Persist, PolicyScope, Setting, Silence, SilenceId, Silenced};
use crate::job::{AlertPolicy, JobId, JobKey};
use crate::time::{Instant, WallUs};

const KEY: [u8; 32] = [7; 32];
const SECRET: &str = "whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC14MQ==";
const PLANTED: [&str; 4] = ["cGxhbnRlZC1zaWduaW5n", "planted-signing-secret", "planted-token", "planted-password"];

fn open(folder: &Path) -> Subject {
    let mut store = Subject::open(folder);
    store.key = Some(KEY);
    store.reopen();
    store
}

fn channel(members: &str) -> Arc<Channel> {
    compiled(&format!(r#"{{"kind":"webhook","url":"https://localhost/hook"{members}}}"#))
}

/// One of each other kind, with what is secret of it.
fn others() -> [(&'static str, Arc<Channel>); 3] {
    [
        ("slack", compiled(r#"{"kind":"slack","url":"https://localhost/services/planted-path"}"#)),
        ("topic", compiled(r#"{"kind":"ntfy","url":"https://localhost/topic","token":"planted-token"}"#)),
        (
            "mail",
            compiled(
                r#"{"kind":"email","url":"smtps://mail.example:465","username":"u","password":"planted-password","from":"p@example.com","to":["ann@example.com"]}"#,
            ),
        ),
    ]
}

fn compiled(text: &str) -> Arc<Channel> {
    Arc::new(Channel::compile(&serde_json::from_str(text).expect(text), None, true).expect(text))
}

fn signed() -> Arc<Channel> {
    channel(&format!(r#","signingSecret":"{SECRET}""#))
}

fn put(name: &str, channel: &Arc<Channel>) -> Persist {
    Persist::Setting(Setting::Channel(name.into(), Some(Arc::clone(channel))))
}

fn policy(text: &str) -> Arc<AlertPolicy> {
    let definition = serde_json::from_str(text).expect(text);
    Arc::new(AlertPolicy::compile_of_server(&definition).expect(text))
}

fn silence(of: Silenced) -> Arc<Silence> {
    let (note, by) = ("moving house".into(), Some("ann".into()));
    Arc::new(Silence { of, note, ends_at: Instant::from_secs(1_000), created_at: WallUs(5), by })
}

/// Each setting as a text, but for what it has of secrets.
fn texts(store: &mut Subject) -> Vec<String> {
    let text = |setting: &Setting| match setting {
        Setting::Channel(name, channel) => {
            let channel = channel.as_ref().map(|channel| (channel.define().url, channel.secrets().len()));
            format!("{name}: {channel:?}")
        }
        Setting::Policy(scope, policy) => {
            format!(
                "{scope:?}: {}",
                serde_json::to_string(&policy.as_ref().map(|policy| policy.define())).expect("JSON")
            )
        }
        Setting::Silence(id, silence) => format!("{id}: {:?}", silence.as_ref().map(|silence| &silence.of)),
    };
    store.load().2.settings.iter().map(text).collect()
}

#[test]
fn settings_come_back_as_they_are_to_be_however_often_they_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let of_job = silence(Silenced::Job(JobId::new(JobKey(3), [7; 10])));
    let items: Vec<Persist> = [
        Setting::Silence(SilenceId(12), Some(silence(Silenced::Target("http://a:80".into())))),
        Setting::Silence(SilenceId(11), Some(silence(Silenced::Tag("a tag: b".into())))),
        Setting::Silence(SilenceId(10), Some(Arc::clone(&of_job))),
        Setting::Policy(PolicyScope::Tag("server".into()), Some(policy(r#"{"after":3,"channels":["ops"]}"#))),
        Setting::Policy(PolicyScope::Server, Some(policy(r#"{"remindEvery":"4h","onServerTrouble":false}"#))),
        Setting::Channel("ops".into(), Some(channel(""))),
        Setting::Channel("audit.log".into(), Some(signed())),
    ]
    .map(Persist::Setting)
    .into();
    store.write(items.clone());
    let expected = [
        r#"audit.log: Some(("https://localhost/hook", 1))"#,
        r#"ops: Some(("https://localhost/hook", 0))"#,
        r#"Server: {"remindEvery":"4h","onServerTrouble":false}"#,
        r#"Tag("server"): {"after":3,"channels":["ops"]}"#,
        "10: Some(Job(",
        r#"11: Some(Tag("a tag: b"))"#,
        r#"12: Some(Target("http://a:80"))"#,
    ];
    for _ in 0..2 {
        let found = texts(&mut store);
        let all = found.len() == expected.len();
        let fit = found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
        assert!(all && fit, "channels, policies, silences: {found:#?}");
        store.write(items.clone());
        store.reopen();
    }
    let found = store.load().2.settings;
    let is_signed = |setting: &Setting| matches!(setting, Setting::Channel(_, Some(channel)) if *channel == signed());
    assert!(found.iter().any(is_signed), "with its secret");
    let is_job = |setting: &Setting| matches!(setting, Setting::Silence(_, Some(silence)) if *silence == of_job);
    assert!(found.iter().any(is_job));

    let gone = [
        Setting::Silence(SilenceId(11), None),
        Setting::Policy(PolicyScope::Tag("server".into()), None),
        Setting::Channel("audit.log".into(), None),
        Setting::Channel("never.was".into(), None),
        Setting::Policy(PolicyScope::Server, Some(policy("{}"))),
    ];
    for _ in 0..2 {
        store.write(gone.clone().map(Persist::Setting));
        store.reopen();
        assert_eq!(texts(&mut store).len(), 4);
        assert_eq!(texts(&mut store)[1], "Server: {}");
        assert_eq!(store.secrets_kept(), 0);
    }
}

#[test]
fn how_a_channel_fared_outlives_its_change_and_not_its_deletion() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let health = |error: Option<&str>| ChannelHealth {
        delivered_at: Some(WallUs(5)),
        failed_at: Some(WallUs(9)),
        error: error.map(str::to_owned),
    };
    let found = |store: &mut Subject| -> Vec<(String, ChannelHealth)> {
        store.load().2.channels.into_iter().map(|(name, health)| (name.to_string(), health)).collect()
    };
    store.write([put("ops", &channel("")), put("mail", &channel(""))]);
    let fresh = ChannelHealth::default();
    assert_eq!(found(&mut store), [("mail".to_owned(), fresh.clone()), ("ops".to_owned(), fresh.clone())]);
    store.note([], [("ops".into(), health(Some("refused"))), ("gone".into(), health(None))]);
    store.write([put("ops", &signed())]);
    store.reopen();
    assert_eq!(found(&mut store)[1], ("ops".to_owned(), health(Some("refused"))));
    assert_eq!(found(&mut store).len(), 2, "one that is gone is passed over");
    store.note([], [("ops".into(), health(None))]);
    assert_eq!(found(&mut store)[1].1, health(None));
    store.write([Persist::Setting(Setting::Channel("ops".into(), None)), put("ops", &channel(""))]);
    assert_eq!(found(&mut store)[1].1, fresh, "it is another one");
}

#[test]
fn secrets_of_channels_stand_nowhere_in_clear_and_need_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.write([put("ops", &signed())]);
    store.write(others().iter().map(|(name, channel)| put(name, channel)));
    for _ in 0..2 {
        // First they are in the log, then in the file.
        let files = std::fs::read_dir(folder.path()).expect("it is there").map(|entry| entry.expect("listed").path());
        let bytes: Vec<u8> = files.flat_map(|file| std::fs::read(file).expect("it can be read")).collect();
        let is_there = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(is_there("https://localhost/hook"), "this is where to look");
        PLANTED.iter().for_each(|planted| assert!(!is_there(planted), "{planted}"));
        store.reopen();
        let settings = store.load().2.settings;
        for (name, channel) in &others() {
            let is_same = |setting: &Setting| matches!(setting, Setting::Channel(found, Some(kept)) if **found == **name && kept == channel);
            assert!(settings.iter().any(is_same), "{name}");
        }
    }
    store.key = None;
    let why = store.try_reopen().expect_err("they cannot be opened");
    assert!(why.contains("it holds secrets, and no key was given; --secrets-key"), "{why}");
    store.key = Some([8; 32]);
    let why = store.try_reopen().expect_err("they cannot be opened");
    assert!(why.contains("sealed with another key than that of --secrets-key"), "{why}");
}

#[test]
fn another_key_seals_secrets_of_channels_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.write([put("ops", &signed()), put("audit", &signed())]);
    // Of no channel: nobody can open it, and it does not stand in the way.
    store.meddle("INSERT INTO channel_secrets SELECT 'gone', name, sealed FROM channel_secrets WHERE channel = 'ops'");
    let other = [8; 32];
    let why = store.reseal([9; 32], other).expect_err("it is not the key");
    assert!(why.contains("sealed with another key"), "{why}");
    let swap = "UPDATE channel_secrets SET sealed = (SELECT sealed FROM channel_secrets WHERE channel = 'audit') \
        WHERE channel = 'ops'";
    store.meddle(&format!("CREATE TABLE kept AS SELECT * FROM channel_secrets; {swap}"));
    let why = store.reseal(KEY, other).expect_err("it is that of another channel");
    assert!(why.contains("it is damaged: signingSecret of channel ops cannot be opened"), "{why}");
    store.meddle("INSERT OR REPLACE INTO channel_secrets SELECT * FROM kept; DROP TABLE kept");
    let done = store.reseal(KEY, other).expect("all can be opened");
    assert_eq!((done.resealed, done.unchanged, store.secrets_kept()), (2, 0, 2));
    let done = store.reseal(KEY, other).expect("it is done already");
    assert_eq!((done.resealed, done.unchanged), (0, 2));
    assert!(store.try_reopen().expect_err("it is not the key").contains("sealed with another key"));
    store.key = Some(other);
    store.reopen();
    let settings = store.load().2.settings;
    let is_signed = |setting: &Setting| matches!(setting, Setting::Channel(_, Some(channel)) if *channel == signed());
    assert_eq!(settings.iter().filter(|setting| is_signed(setting)).count(), 2);
}

#[test]
fn a_damaged_setting_is_refused_at_a_start() {
    for (sql, why) in [
        ("UPDATE channels SET definition = '{'", ""),
        ("UPDATE channels SET name = 'A B'", "expected a name"),
        ("DELETE FROM channel_secrets", "signingSecret"),
        ("UPDATE channel_secrets SET name = 'other'", "other of channel ops cannot be opened"),
        ("UPDATE policies SET scope = 'everybody'", "has no policy"),
        ("UPDATE policies SET definition = '{\"after\":0}'", "alerts.after: expected a number"),
        ("UPDATE policies SET scope = 'tag:a'", "only the policy of the server has it"),
        ("UPDATE silences SET tag = 'a'", "not one job, tag or target"),
        ("UPDATE silences SET target = NULL", "not one job, tag or target"),
        ("UPDATE silences SET id = -1", "not the id of a silence"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        store.write([
            put("ops", &signed()),
            Persist::Setting(Setting::Policy(PolicyScope::Server, Some(policy(r#"{"onServerTrouble":true}"#)))),
            Persist::Setting(Setting::Silence(SilenceId(3), Some(silence(Silenced::Target("http://a:80".into()))))),
        ]);
        store.try_reopen().expect("it is as it was written");
        store.meddle(sql);
        let said = store.try_reopen().expect_err(sql);
        // The secret's name is part of what it is sealed for.
        assert!(said.starts_with("failed to open ") && said.contains(why), "{sql}: {said}");
    }
}

also_on_postgres!(
    settings_come_back_as_they_are_to_be_however_often_they_are_written,
    how_a_channel_fared_outlives_its_change_and_not_its_deletion,
);
