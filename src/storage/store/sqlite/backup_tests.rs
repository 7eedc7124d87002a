//! Owns what must hold of backups, in one process: which are refused, what is found, and what is left of what was there.
//! It must not start a server: tests/backup.rs does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::commit::commit;
use super::fold::Fold;
use super::seal::LINE_LEN;
use super::{BackupSource, CopyError, Look, OpenError, Prepared, SecretsState, Store, migrations};
use crate::channel::Channel;
use crate::core::{
    Cause, Change, Class, Closed, Event, ExecutionKey, Incident, IncidentChange, IncidentId, JobChange, LedgerRow,
    Message, Persist, PolicyScope, Seq, Setting, Silence, SilenceId, Silenced, Status, Subject,
};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::mix::mix;
use crate::store::{Batch, Housekeeping};
use crate::time::{Instant as Second, WallUs};
use crate::vault::Vault;

const JOBS: u64 = 20;
const SECONDS: i64 = 40;
const DAY: i64 = 86_400;

fn vault() -> Option<Vault> {
    Some(Vault::new(&[7; 32]))
}

fn put(key: u64) -> Persist {
    let text = format!(
        r#"{{"schedule":"@daily","api":"http://localhost/","type":"ATLEAST_ONCE","name":"job {key}","tags":["a","b"],
        "auth":{{"bearer":"planted"}}}}"#
    );
    let definition: Definition = serde_json::from_str(&text).expect("it is a definition");
    let mut spec = JobSpec::compile(&definition, &Context::sealing(Second::from_secs(0))).expect("valid");
    spec.inherit_secrets(None).expect("it has its own");
    let revision = Revision::first(JobId::new(JobKey(key), [7; 10]), spec, WallUs(1));
    let job = JobChange::Put(Arc::new(revision));
    Persist::Change(Box::new(Change { job, remove: Vec::new(), rows: Vec::new() }))
}

fn row(job: u64, second: i64, status: Status) -> Persist {
    let seq = Seq(u64::try_from(second).expect("positive") * JOBS + job);
    let mut row =
        LedgerRow::pending(seq, ExecutionKey::scheduled(JobKey(job), Second::from_secs(second)), Class::OnTime);
    row.record.status = status;
    Persist::Row(row, None)
}

/// A channel with a secret, a policy, a silence, and incidents with messages: one is open, one is over.
fn told() -> Vec<Persist> {
    let text =
        r#"{"kind":"webhook","url":"https://localhost/","signingSecret":"whsec_cGxhbnRlZC1zaWduaW5nLXNlY3JldC14MQ=="}"#;
    let channel =
        Channel::compile(&serde_json::from_str(text).expect("it is a definition"), None, true).expect("valid");
    let silence = Silence {
        of: Silenced::Tag("a".into()),
        note: "known".into(),
        ends_at: Second::from_secs(4 * DAY),
        created_at: WallUs(1),
        by: None,
    };
    let incident = |id: i64, closed: Option<Closed>| {
        let incident = Arc::new(Incident {
            id: IncidentId(id.unsigned_abs()),
            cause: Cause::Failing,
            subject: Subject::Job(JobId::new(JobKey(1), [7; 10])),
            label: None,
            summary: "an execution failed".into(),
            execution: None,
            opened_at: WallUs(id),
            closed,
            acknowledged: None,
            messages: 1,
            told: true,
            told_at: Some(WallUs(id)),
        });
        let (at, channels) = (WallUs(id), Box::new(["ops".into()]));
        let message = Message { incident: Arc::clone(&incident), number: 1, event: Event::Opened, at, channels };
        Persist::Incident(Box::new(IncidentChange { incident, message: Some(message) }))
    };
    vec![
        Persist::Setting(Setting::Channel("ops".into(), Some(Arc::new(channel)))),
        Persist::Setting(Setting::Policy(PolicyScope::Server, Some(Arc::default()))),
        Persist::Setting(Setting::Silence(SilenceId(1), Some(Arc::new(silence)))),
        incident(10, Some(Closed { at: WallUs(20), why: "an execution succeeded".into() })),
        incident(11, None),
    ]
}

fn write(store: &mut Store, items: Vec<Persist>) {
    let items: Vec<(u64, Persist)> = (1..).zip(items).collect();
    items.iter().for_each(|(_, item)| store.index.expect(item));
    commit(&mut store.connection, store.vault.as_ref(), &Batch { items, ..Batch::default() }).expect("writing works");
}

/// A folder with a database: jobs with names, tags and secrets, history over three days, and a ledger.
struct Kept {
    folder: TempDir,
}

impl Kept {
    fn new() -> Kept {
        let kept = Kept { folder: tempfile::tempdir().expect("a folder") };
        let mut store = Store::open(&kept.db()).expect("it opens").with_vault(vault());
        write(&mut store, (1..=JOBS).map(put).collect());
        let seconds = (0..3).flat_map(|day| (0..SECONDS).map(move |second| day * DAY + second));
        for second in seconds {
            let status = if second % 7 == 0 { Status::Failed } else { Status::Success };
            write(&mut store, (1..=JOBS).map(|job| row(job, second, status)).collect());
        }
        let mut fold = Fold::new(0, &Housekeeping::default());
        let mut now = fold.due();
        loop {
            fold.slice(&mut store.connection, &mut store.index, now).expect("it can be moved");
            if fold.is_done() {
                break;
            }
            now += std::time::Duration::from_secs(60);
        }
        write(&mut store, (1..=JOBS).map(|job| row(job, 3 * DAY, Status::Success)).collect());
        write(&mut store, (1..=JOBS).map(|job| row(job, 3 * DAY + 1, Status::Pending)).collect());
        write(&mut store, told());
        kept
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn db(&self) -> PathBuf {
        self.path("p.db")
    }

    fn back_up(&self, name: &str) -> PathBuf {
        let source = BackupSource::beside(&self.db()).expect("it is there");
        source.back_up(&self.path(name), false, &mut |_| true).expect("nothing is in the way").file
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("listed").file_name().into_string().expect("a text")).collect();
        names.sort();
        names
    }
}

fn prepare(from: &Path, to: &Path) -> Result<Prepared, CopyError> {
    Prepared::new(from, to, vault(), &mut |_| true)
}

/// What is wrong with a file.
fn wrong_with(path: &Path) -> Vec<String> {
    let look = Look::open(path, vault(), &mut |_| true).expect("it can be looked at");
    let examined = look.examine(&mut |_| {}).expect("it can be read");
    assert_eq!(examined.secrets, Some(SecretsState::Open));
    examined.findings.into_iter().map(|finding| finding.what).collect()
}

fn all_rows(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).expect("it opens");
    let mut rows = Vec::new();
    let tables = ["jobs", "ledger", "job_executions", "job_totals", "job_tags", "secrets", "series_hours", "marks"];
    let told = ["incidents", "messages", "channels", "channel_secrets", "policies", "silences"];
    for table in tables.into_iter().chain(told) {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("it is a table");
        let columns = statement.column_count();
        let mut found = statement.query([]).expect("it can be read");
        while let Some(row) = found.next().expect("it can be read") {
            let values: Vec<String> =
                (0..columns).map(|at| format!("{:?}", row.get_ref(at).expect("a column"))).collect();
            rows.push(format!("{table}: {}", values.join(", ")));
        }
    }
    rows
}

#[test]
fn a_backup_holds_all_rows_and_stands_alone() {
    let kept = Kept::new();
    let backup = kept.back_up("b.db");
    let rows = all_rows(&kept.db());
    assert!(rows.len() > 2_000, "{}", rows.len());
    assert_eq!(wrong_with(&backup), Vec::<String>::new());
    assert_eq!(all_rows(&backup), rows, "any shell can read it");
    let restored = kept.path("new/q.db");
    let prepared = prepare(&backup, &restored).expect("it is whole");
    assert!(prepared.look().examine(&mut |_| {}).expect("it can be read").findings.is_empty());
    assert!(!restored.exists(), "nothing is in place yet");
    assert_eq!(prepared.replace(true).expect("nothing is there").kept, None);
    assert_eq!(all_rows(&restored), rows);
    let mut store = Store::open(&restored).expect("a server can open it").with_vault(vault());
    let loaded = store.load(&Context::at(Second::FIRST), drop, drop).expect("it can be read");
    assert_eq!(loaded.jobs, 20);
    let why = Store::open(&backup).expect_err("nobody serves a backup").to_string();
    assert!(why.contains("`punctual restore`"), "{why}");
}

/// What a tampered backup is refused for; nothing may be left of it.
fn refusal(kept: &Kept, bytes: &[u8]) -> String {
    let (tampered, to) = (kept.path("t.db"), kept.path("to/q.db"));
    fs::write(&tampered, bytes).expect("it can be written");
    let why = prepare(&tampered, &to).expect_err("it must be refused");
    assert!(why.is_verdict(), "{why}");
    let left = fs::read_dir(kept.path("to")).expect("it was made").count();
    assert_eq!(left, 0, "{why}");
    assert!(!why.to_string().contains('\n'), "{why}");
    let looked = Look::open(&tampered, vault(), &mut |_| true).expect_err("check says the same").to_string();
    assert_eq!(
        looked.replace(&*fs::canonicalize(&tampered).expect("there").to_string_lossy(), ""),
        why.to_string().replace(&*tampered.to_string_lossy(), "")
    );
    why.to_string()
}

#[test]
fn a_backup_with_any_bit_changed_is_refused() {
    let kept = Kept::new();
    let bytes = fs::read(kept.back_up("b.db")).expect("it is there");
    let drawn = (0..250).map(|turn| usize::try_from(mix(turn) % bytes.len() as u64).expect("small"));
    for at in (0..110).chain(bytes.len() - LINE_LEN - 10..bytes.len()).chain(drawn) {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        refusal(&kept, &other);
    }
}

#[test]
fn a_backup_that_is_cut_or_longer_is_refused() {
    let kept = Kept::new();
    let bytes = fs::read(kept.back_up("b.db")).expect("it is there");
    let whole = bytes.len();
    let drawn = (0..100).map(|turn| usize::try_from(mix(turn) % whole as u64).expect("small"));
    let edges = [0, 1, 15, 16, 99, 100, 4_095, 4_096, 8_192, whole - 1, whole - LINE_LEN, whole - LINE_LEN - 4_096];
    for length in edges.into_iter().chain(drawn) {
        let why = refusal(&kept, &bytes[..length]);
        assert!(length < 16 || why.contains("it is cut short"), "{length}: {why}");
    }
    assert!(refusal(&kept, &[&bytes[..], b"x"].concat()).contains("something was added"));
    assert!(refusal(&kept, &[&bytes[..], &[0; 4_096]].concat()).contains("something was added"));
}

#[test]
fn other_files_are_refused() {
    let kept = Kept::new();
    let other = kept.path("other.db");
    let connection = Connection::open(&other).expect("it opens");
    connection.execute_batch("CREATE TABLE t (a)").expect("it is new");
    connection.close().expect("nobody uses it");
    assert!(prepare(&other, &kept.path("to.db")).expect_err("not ours").to_string().contains("another program"));
    // Nor is one of another program replaced.
    let backup = kept.back_up("b.db");
    let before = fs::read(&other).expect("it is there");
    assert!(prepare(&backup, &other).expect_err("not ours").to_string().contains("another program"));
    assert_eq!(fs::read(&other).expect("it is there"), before);
    assert!(matches!(prepare(&backup, &backup), Err(CopyError::Itself(_))));
    assert!(matches!(prepare(&kept.path("no.db"), &kept.db()), Err(CopyError::Read(..))));
    // A database that was killed is in two files.
    let connection = Connection::open(kept.db()).expect("it opens");
    connection.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO marks VALUES ('x', 1)").expect("it is a table");
    let why = prepare(&kept.db(), &kept.path("to.db")).expect_err("half of it").to_string();
    assert!(why.contains("p.db-wal") && why.contains("punctual backup --db"), "{why}");
    drop(connection);
    // At rest it is one: as good as a backup, but for the digest.
    drop(Store::open(&kept.db()).expect("it opens"));
    prepare(&kept.db(), &kept.path("to.db")).expect("it is whole");
}

#[test]
fn an_older_one_is_brought_up_to_date_and_a_newer_one_is_refused() {
    let kept = Kept::new();
    for version in 1..migrations::MIGRATIONS.len() {
        let old = kept.path(&format!("old-{version}.db"));
        let connection = Connection::open(&old).expect("it can be made");
        let sql = migrations::MIGRATIONS[..version].join("\n");
        let mark = format!("PRAGMA application_id = 0x506e6374; PRAGMA user_version = {version}");
        connection.execute_batch(&format!("{sql};{mark};INSERT INTO marks VALUES ('job', 9)")).expect("the schema");
        connection.close().expect("nobody uses it");
        let backup = kept.path(&format!("backup-{version}.db"));
        let source = BackupSource::beside(&old).expect("it is there");
        let made = source.back_up(&backup, false, &mut |_| true).expect("it need not be new");
        assert_eq!(made.schema_version, i64::try_from(version).expect("small"));
        let to = kept.path(&format!("to-{version}.db"));
        let prepared = prepare(&backup, &to).expect("it is whole");
        let examined = prepared.look().examine(&mut |_| {}).expect("it can be read");
        assert_eq!((examined.schema_version, examined.findings.len()), (made.schema_version, 0));
        assert!(examined.counts.len() > 5, "it was looked at as it will be");
        prepared.replace(true).expect("nothing is there");
        let of = |path: &Path| migrations::version_of(&Connection::open(path).expect("it opens")).expect("it has one");
        assert_eq!(of(&to), made.schema_version, "a start does it, not the restore");
        drop(Store::open(&to).expect("a start works"));
        assert_eq!(of(&to), migrations::current_version());
        // What is only looked at stays as old as it is.
        let look = Look::open(&old, None, &mut |_| true).expect("it can be looked at");
        assert!(!look.is_current());
        assert_eq!(of(&old), made.schema_version);
    }
    Connection::open(kept.db()).expect("it opens").pragma_update(None, "user_version", 99).expect("it can be set");
    let source = BackupSource::beside(&kept.db()).expect("it is there");
    let why = source.back_up(&kept.path("b.db"), false, &mut |_| true).expect_err("it is too new").to_string();
    assert!(why.contains("version 99"), "{why}");
    let why = prepare(&kept.db(), &kept.path("to.db")).expect_err("it is too new");
    assert!(why.is_verdict() && why.to_string().contains("version 99"), "{why}");
}

#[test]
fn what_is_replaced_is_kept_with_all_that_was_in_its_log() {
    let kept = Kept::new();
    let backup = kept.back_up("b.db");
    // As a server that is killed leaves it: what came last is in the log.
    let last = "INSERT INTO marks VALUES ('last', 1)";
    let copy = kept.path("killed/p.db");
    fs::create_dir(kept.path("killed")).expect("it can be made");
    let store = Store::open(&kept.db()).expect("it opens");
    store.connection.execute_batch(last).expect("it is a table");
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(kept.path(&format!("p.db{suffix}")), kept.path(&format!("killed/p.db{suffix}"))).expect("it is there");
    }
    let why = prepare(&backup, &kept.db()).expect_err("somebody has it open");
    assert!(matches!(why, CopyError::Open(OpenError::InUse(_))), "{why}");
    drop(store);
    let replaced = prepare(&backup, &copy).expect("it is whole").replace(true).expect("it can be replaced");
    let has_last = |path: &Path| all_rows(path).iter().any(|row| row.starts_with("marks") && row.contains("108, 97"));
    let old = replaced.kept.expect("it was there");
    assert!(has_last(&old) && !has_last(&copy));
    let name = old.file_name().expect("it has one").to_string_lossy().into_owned();
    assert!(name.starts_with("p.db.before-restore-2") && name.ends_with('Z'), "{name}");
    assert!(!kept.path("killed/p.db-wal").exists(), "the new one meets no log of the old one");
    // It is as good as a backup.
    prepare(&old, &copy).expect("it is whole").replace(false).expect("it can be replaced");
    assert!(has_last(&copy));
    let names: Vec<_> =
        fs::read_dir(kept.path("killed")).expect("there").map(|entry| entry.expect("listed").file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[cfg(unix)]
#[test]
fn what_is_restored_is_whose_the_old_database_was() {
    use std::os::unix::fs::{MetadataExt, chown};
    let kept = Kept::new();
    let backup = kept.back_up("b.db");
    let owner = |path: &Path| fs::metadata(path).map(|of| (of.uid(), of.gid())).expect("it is there");
    let mine = owner(&backup);
    let old = kept.path("q.db");
    prepare(&backup, &old).expect("it is whole").replace(false).expect("it can be replaced");
    assert_eq!(owner(&old), mine);
    // Only root may give a file away.
    if let Err(why) = chown(&old, Some(4_321), Some(1_234)) {
        assert_eq!(why.kind(), std::io::ErrorKind::PermissionDenied);
        return;
    }
    prepare(&backup, &old).expect("it is whole").replace(true).expect("it can be replaced");
    assert_eq!(owner(&old), (4_321, 1_234));
}

#[test]
fn a_damaged_database_is_replaced_and_kept_with_its_log() {
    let kept = Kept::new();
    let backup = kept.back_up("b.db");
    let whole = fs::read(kept.db()).expect("it is there");
    for damaged in [&b"not a database at all"[..], &[], &whole[..50], &[&[0xaa; 4_096], &whole[4_096..]].concat()] {
        fs::write(kept.db(), damaged).expect("it can be written");
        fs::write(kept.path("p.db-wal"), "a log of it").expect("it can be written");
        let replaced = prepare(&backup, &kept.db()).expect("it is whole").replace(true).expect("it can be replaced");
        let old = replaced.kept.expect("it was there");
        assert_eq!(fs::read(&old).expect("it is there"), damaged);
        assert!(!kept.path("p.db-wal").exists(), "the new one meets no log of the old one");
        assert_eq!(all_rows(&kept.db()), all_rows(&backup));
    }
}

#[test]
fn nothing_but_a_backup_is_written() {
    let kept = Kept::new();
    let source = BackupSource::beside(&kept.db()).expect("it is there");
    let back_up = |name: &str, is_replacing| source.back_up(&kept.path(name), is_replacing, &mut |_| true).map(drop);
    std::os::unix::fs::symlink(kept.db(), kept.path("link.db")).expect("it can be made");
    fs::hard_link(kept.db(), kept.path("hard.db")).expect("it can be made");
    for name in ["p.db", "p.db-wal", "p.db-shm", "link.db", "hard.db"] {
        assert!(matches!(back_up(name, true), Err(CopyError::Itself(_))), "{name}");
    }
    fs::write(kept.path("there.db"), "precious").expect("it can be written");
    assert!(matches!(back_up("there.db", false), Err(CopyError::Exists(_))));
    assert_eq!(fs::read(kept.path("there.db")).expect("it is there"), b"precious");
    back_up("there.db", true).expect("it was asked for");
    assert_eq!(wrong_with(&kept.path("there.db")), Vec::<String>::new());
    let other = Store::open(&kept.path("other.db")).expect("it opens");
    assert!(matches!(back_up("other.db", true), Err(CopyError::Busy(_))), "another server's");
    drop(other);
    assert!(matches!(back_up("no/b.db", false), Err(CopyError::Write(..))));
    let cancelled = source.back_up(&kept.path("c.db"), false, &mut |progress| progress.stage == "copying");
    assert!(matches!(cancelled, Err(CopyError::Cancelled)));
    assert!(!kept.names().iter().any(|name| name.starts_with("c.db") || name.contains(".part")), "{:?}", kept.names());
}

#[test]
fn whatever_does_not_fit_together_is_found() {
    let kept = Kept::new();
    let whole = kept.back_up("b.db");
    for (sql, what) in [
        ("DELETE FROM jobs WHERE id = 3", "executions of jobs that are not there"),
        (
            "INSERT INTO job_totals SELECT 999, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, NULL",
            "totals of jobs that are not there",
        ),
        (
            "INSERT INTO ledger (seq, job_id, scheduled_time, kind, number, status, class, attempt, recoveries, due_time) \
             SELECT 1, job_id, scheduled_time, kind, number, status, class, attempt, recoveries, 0 FROM job_executions LIMIT 1",
            "executions that are in the ledger and in history",
        ),
        (
            "INSERT INTO ledger (seq, job_id, scheduled_time, kind, number, status, class, attempt, recoveries, due_time) \
             SELECT 1, job_id, scheduled_time, kind, number, status, class, attempt, recoveries, 0 FROM ledger LIMIT 1",
            "executions that are in the ledger twice",
        ),
        ("UPDATE job_executions SET status = 1 WHERE job_id = 2", "jobs with rows of history that no version writes"),
        (
            "UPDATE job_executions SET details = '{' WHERE job_id = 2",
            "jobs with rows of history that no version writes",
        ),
        (
            "DELETE FROM job_executions WHERE job_id = 5 AND scheduled_time = 1",
            "jobs whose history has another number of rows than their totals say",
        ),
        (
            "DELETE FROM job_totals WHERE job_id = 5",
            "jobs whose history has another number of rows than their totals say",
        ),
        (
            "UPDATE job_totals SET success = 0, failed = 0 WHERE job_id = 5",
            "jobs of which more executions are kept than ended",
        ),
        ("UPDATE job_totals SET finished_through = 5 WHERE job_id = 5", "jobs that would fire again what they fired"),
        (
            "UPDATE job_totals SET finished_through = NULL WHERE job_id = 5",
            "jobs that would fire again what they fired",
        ),
        ("UPDATE jobs SET public_id = zeroblob(16) WHERE id = 1", "jobs whose public id is not theirs"),
        (
            "UPDATE jobs SET definition = replace(definition, 'job 2', 'job 3') WHERE id = 2",
            "names that several jobs have",
        ),
        ("INSERT INTO job_tags VALUES (1, 'x')", "tags of jobs that do not have them"),
        ("DELETE FROM job_tags WHERE job_id = 1 AND tag = 'a'", "tags that jobs are not found by"),
        ("INSERT INTO secrets VALUES (999, 'x', x'00')", "secrets of jobs that are not there"),
        (
            "INSERT INTO alerts VALUES (1, 1, 'x', 'x', 'x', 'x', 0, 'LOST', NULL, 0, NULL)",
            "alerts that cannot be read",
        ),
        ("UPDATE incidents SET cause = 'TIRED' WHERE id = 10", "incidents that cannot be read"),
        ("UPDATE incidents SET closed_why = NULL WHERE id = 10", "incidents that cannot be read"),
        ("UPDATE incidents SET closed_at = 9 WHERE id = 10", "incidents that were closed before they were opened"),
        (
            "UPDATE incidents SET closed_at = NULL, closed_why = NULL WHERE id = 10",
            "incidents of which another is open already",
        ),
        ("DELETE FROM incidents WHERE id = 10", "messages of incidents that are not there"),
        ("UPDATE messages SET number = 2 WHERE incident = 10", "messages that their incidents do not count"),
        ("UPDATE messages SET event = 'SHOUTED'", "messages that cannot be read"),
        ("UPDATE messages SET delivery = 'LOGGED'", "messages that cannot be read"),
        ("UPDATE messages SET created_at = NULL", "messages that cannot be read"),
        ("UPDATE channels SET definition = '{}'", "channels that cannot be read"),
        ("DELETE FROM channel_secrets", "channels that cannot be read"),
        ("DELETE FROM channels", "secrets of channels that are not there"),
        ("UPDATE channel_secrets SET sealed = zeroblob(80)", ""),
        ("UPDATE policies SET definition = '{\"after\":0}'", "policies that cannot be read"),
        ("UPDATE silences SET tag = NULL", "silences that cannot be read"),
        (
            "INSERT INTO idempotency_keys VALUES ('k', x'00', 0, 200, '[]', x'')",
            "answers under idempotency keys that cannot be read",
        ),
        (
            "INSERT INTO audit VALUES (1, 0, NULL, 'x', 'x', NULL, '{', 200)",
            "rows of the audit log that cannot be read",
        ),
        ("DELETE FROM marks WHERE name = 'tokens'", "marks that are missing"),
        ("UPDATE series_hours SET rollup = x'00' WHERE job_id = 4", "rollups that cannot be read"),
        ("DELETE FROM series_hours WHERE job_id = 4 AND start >= 172800", "days whose rollups do not add up"),
        ("UPDATE secrets SET sealed = zeroblob(80) WHERE job_id = 1", ""),
    ] {
        let broken = kept.path("broken.db");
        prepare(&whole, &broken).expect("it is whole").replace(false).expect("it can be replaced");
        let connection = Connection::open(&broken).expect("it opens");
        assert!(connection.execute(sql, []).expect(sql) > 0, "{sql}");
        connection.close().expect("nobody uses it");
        let look = Look::open(&broken, vault(), &mut |_| true).expect("it can be looked at");
        let examined = look.examine(&mut |_| {}).expect("it can be read");
        let found: Vec<&str> = examined.findings.iter().map(|finding| finding.what.as_str()).collect();
        let is_found =
            if what.is_empty() { examined.secrets != Some(SecretsState::Open) } else { found.contains(&what) };
        assert!(is_found, "{sql}: {found:?}");
    }
    // What belongs to an index only.
    let broken = kept.path("broken.db");
    let connection = Connection::open(&broken).expect("it opens");
    connection
        .execute_batch("PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, '(scheduled_time)', '(number)') WHERE name = 'idx_job_executions_scheduled_time'")
        .expect("it can be written");
    connection.close().expect("nobody uses it");
    assert!(wrong_with_any(&broken).contains(&"faults of pages and indexes".to_owned()));
}

fn wrong_with_any(path: &Path) -> Vec<String> {
    let look = Look::open(path, vault(), &mut |_| true).expect("it can be looked at");
    look.examine(&mut |_| {}).expect("it can be read").findings.into_iter().map(|finding| finding.what).collect()
}

#[test]
fn it_is_said_whether_the_key_opens_the_secrets() {
    let kept = Kept::new();
    let backup = kept.back_up("b.db");
    let bytes = fs::read(&backup).expect("it is there");
    assert!(!bytes.windows(7).any(|window| window == b"planted"), "they are sealed");
    for (vault, state) in [
        (vault(), SecretsState::Open),
        (None, SecretsState::NoKey),
        (Some(Vault::new(&[8; 32])), SecretsState::OtherKey),
    ] {
        let look = Look::open(&backup, vault, &mut |_| true).expect("it can be looked at");
        let examined = look.examine(&mut |_| {}).expect("it can be read");
        assert_eq!((examined.secrets, examined.findings.len()), (Some(state), 0));
    }
}

/// Closing any descriptor of the file would drop the locks that SQLite has for the whole process: another process that
/// ends would then take the log away (https://sqlite.org/howtocorrupt.html, section 2.2).
#[cfg(target_os = "linux")]
#[test]
fn a_backup_by_the_server_itself_leaves_the_locks_of_its_process() {
    use std::os::unix::fs::MetadataExt;
    let kept = Kept::new();
    let store = Store::open(&kept.db()).expect("it opens");
    let inode = fs::metadata(kept.db()).expect("it is there").ino();
    let locks = || {
        let all = fs::read_to_string("/proc/locks").expect("it is Linux");
        let own = format!(" {} ", std::process::id());
        let is_own =
            |line: &&str| line.contains("POSIX") && line.contains(&own) && line.contains(&format!(":{inode} "));
        all.lines().filter(is_own).count()
    };
    let before = locks();
    assert!(before > 0, "SQLite has one while a database with a log is open");
    for is_replacing in [false, true] {
        store.backup_source().back_up(&kept.path("b.db"), is_replacing, &mut |_| true).expect("nothing is in the way");
        assert_eq!(locks(), before);
    }
    assert!(matches!(store.backup_source().back_up(&kept.db(), true, &mut |_| true), Err(CopyError::Itself(_))));
    assert_eq!(locks(), before);
}
