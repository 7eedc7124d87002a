//! Owns what a store must do with secrets: keep them sealed, with their job, and give them to nobody else.
//! It must not know how they are sealed.

use std::path::Path;
use std::sync::Arc;

use super::subject::{Subject, also_on_postgres};
use crate::core::{Change, JobChange, Persist};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::time::{Instant, WallUs};

const KEY: [u8; 32] = [7; 32];
const MEMBERS: &str = r#","auth":{"bearer":"planted-token"},"secretHeaders":{"X-Key":"planted-key"},"signingSecret":"whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC14MQ==""#;
const PLANTED: [&str; 4] = ["planted-token", "planted-key", "cGxhbnRlZC1zaWduaW5n", "planted-signing-secret"];

fn job(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

fn spec(members: &str, old: Option<&JobSpec>) -> JobSpec {
    let text = format!(r#"{{"schedule":"@daily","api":"http://localhost/","type":"ATLEAST_ONCE"{members}}}"#);
    let definition: Definition = serde_json::from_str(&text).expect(&text);
    let mut spec = JobSpec::compile(&definition, &Context::sealing(Instant::from_secs(0))).expect(&text);
    spec.inherit_secrets(old).expect(&text);
    spec
}

fn put(key: u64, spec: &JobSpec) -> Persist {
    change(JobChange::Put(Arc::new(Revision::first(job(key), spec.clone(), WallUs(1)))))
}

fn change(job: JobChange) -> Persist {
    Persist::Change(Box::new(Change { job, remove: Vec::new(), rows: Vec::new() }))
}

fn open(folder: &Path) -> Subject {
    let mut store = Subject::open(folder);
    store.key = Some(KEY);
    store.reopen();
    store
}

/// Whether a text stands anywhere in the files of the store.
fn is_on_disk(folder: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is there").path());
    let mut found = files.map(|file| std::fs::read(file).expect("it can be read"));
    found.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[test]
fn secrets_come_back_with_their_job_and_stand_nowhere_in_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let (first, second) = (spec(MEMBERS, None), spec(r#","auth":{"bearer":"planted-other"}"#, None));
    store.write([put(1, &first), put(2, &second), put(3, &spec("", None))]);
    for _ in 0..2 {
        // First they are in the log, then in the file.
        assert!(is_on_disk(folder.path(), "http://localhost/"), "this is where to look");
        for planted in PLANTED {
            assert!(!is_on_disk(folder.path(), planted), "{planted}");
        }
        store.reopen();
        let (jobs, ..) = store.load();
        assert_eq!(jobs.iter().map(|job| &job.revision.spec).collect::<Vec<_>>(), [&first, &second, &spec("", None)]);
    }
    // A change replaces them, and what it keeps is there.
    let changed = spec(r#","auth":null,"signingSecret":{"set":true}"#, Some(&first));
    store.write([put(1, &changed)]);
    store.reopen();
    let (jobs, ..) = store.load();
    assert_eq!(jobs[0].revision.spec, changed);
    assert_eq!(jobs[0].revision.spec.secrets().count(), 2);
    assert_eq!(store.secrets_kept(), 3);
}

#[test]
fn they_go_with_the_deletion_of_their_job_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.write([put(1, &spec(MEMBERS, None)), put(2, &spec(MEMBERS, None))]);
    assert_eq!(store.secrets_kept(), 6);
    store.write([change(JobChange::Delete(JobKey(1), WallUs(2)))]);
    assert_eq!(store.secrets_kept(), 3);
    store.write([change(JobChange::Delete(JobKey(2), WallUs(2)))]);
    store.key = None;
    store.try_reopen().expect("there are none any more");
}

#[test]
fn without_the_key_a_store_with_secrets_does_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.write([put(1, &spec(MEMBERS, None))]);
    store.key = None;
    let why = store.try_reopen().expect_err("they cannot be opened");
    assert!(why.contains("it holds secrets, and no key was given; --secrets-key"), "{why}");
    store.key = Some([8; 32]);
    let why = store.try_reopen().expect_err("they cannot be opened");
    assert!(why.contains("sealed with another key than that of --secrets-key"), "{why}");
    store.key = Some(KEY);
    store.try_reopen().expect("they can be opened");
}

#[test]
fn a_secret_that_was_moved_to_another_job_or_name_does_not_open() {
    for sql in [
        "UPDATE secrets SET job_id = 2",
        "UPDATE secrets SET name = 'auth.basic.password' WHERE name = 'auth.bearer'",
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'signingSecret')",
        "DELETE FROM secrets WHERE name = 'auth.bearer'",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        store.write([put(1, &spec(MEMBERS, None)), put(2, &spec("", None))]);
        store.meddle(sql);
        let why = store.try_reopen().expect_err(sql);
        assert!(why.starts_with("failed to open ") && !why.contains('\n'), "{sql}: {why}");
    }
}

#[test]
fn another_key_seals_all_or_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let first = spec(MEMBERS, None);
    store.write([put(1, &first), put(2, &spec(r#","auth":{"bearer":"planted-other"}"#, None))]);
    let other = [8; 32];
    // Of no job: nobody can open it, and it does not stand in the way.
    store.meddle("INSERT INTO secrets SELECT 99, name, sealed FROM secrets WHERE job_id = 2");
    let why = store.reseal([9; 32], other).expect_err("it is not the key");
    assert!(why.contains("sealed with another key than that of --secrets-key"), "{why}");
    store.meddle("UPDATE secrets SET name = 'auth.basic.password' WHERE job_id = 2");
    let why = store.reseal(KEY, other).expect_err("one cannot be opened");
    assert!(why.contains("it is damaged: auth.basic.password of job "), "{why}");
    store.meddle("UPDATE secrets SET name = 'auth.bearer' WHERE job_id = 2");
    store.reopen();

    let done = store.reseal(KEY, other).expect("all can be opened");
    assert_eq!((done.resealed, done.unchanged, store.secrets_kept()), (4, 0, 4));
    let done = store.reseal(KEY, other).expect("it is done already");
    assert_eq!((done.resealed, done.unchanged), (0, 4));
    assert!(store.try_reopen().expect_err("it is not the key").contains("sealed with another key"));
    store.key = Some(other);
    store.reopen();
    assert_eq!(store.load().0[0].revision.spec, first);
    // Back again, where some are sealed with one key and some with the other.
    store.write([put(3, &first)]);
    let mut copy = open(&folder.path().join("copy"));
    copy.write([put(3, &first)]);
    drop(copy);
    let path = folder.path().join("copy/p.db").display().to_string();
    store.meddle(&format!(
        "ATTACH '{path}' AS copy; UPDATE secrets SET sealed = (SELECT sealed FROM copy.secrets o \
         WHERE o.job_id = secrets.job_id AND o.name = secrets.name) WHERE job_id = 3; DETACH copy"
    ));
    let done = store.reseal(KEY, other).expect("each has one of the keys");
    assert_eq!((done.resealed, done.unchanged), (3, 4));
}

also_on_postgres!(they_go_with_the_deletion_of_their_job_at_once, without_the_key_a_store_with_secrets_does_not_open,);
