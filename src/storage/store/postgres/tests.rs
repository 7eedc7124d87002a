//! Owns what only this backend promises: nothing of a node that was declared dead is written, a batch counts once however its
//! answer was lost, history's tables come and go.
//! It must not test what any backend does: `store/tests.rs` does.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::open::{Store, connect, soon};
use super::session::Session;
use super::taking::Claim;
use super::writer::{Unwritten, Writing};
use super::{ServerSide, counts, keeper, partitions, retention, schema};
use crate::clock;
use crate::core::{Class, ExecutionKey, JobChange, Known, LedgerRow, NodeId, Persist, Seq, Shard, Shards, Status};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::postgres::support::{Options, Postgres};
use crate::postgres::{Connection, Url};
use crate::store::sql::Sql;
use crate::store::{Batch, Keep};
use crate::time::{Instant, WallUs};

const PATIENCE: Duration = Duration::from_secs(60);
const EVERYTHING: Keep = Keep {
    age: Duration::from_secs(u32::MAX as u64),
    rows_per_job: u64::MAX,
    bytes: u64::MAX,
    audit_age: Duration::from_secs(u32::MAX as u64),
};

pub(super) fn database() -> Option<Url> {
    Postgres::database().map(|url| Url::parse(&url).expect("it is the URL of a database"))
}

/// A node that has just come, and has all that others had, who are taken for dead.
pub(super) fn node(url: &Url, name: &str) -> Writing {
    let mut store = Store::open(url, name).expect("it can be opened");
    let others = format!("UPDATE nodes SET dead = true WHERE id <> {}", store.node);
    store.connection.batch(&others, soon()).expect("nobody holds them up");
    keeper::bury_nodes(&mut store.connection).expect("they can be counted");
    let mut writing = Writing::new(store, Arc::default());
    let claim = writing.take(256, &Shards::NONE).expect("it lives");
    assert_eq!(claim.new, Shards::ALL);
    writing
}

/// A node that has just come, and has nothing.
pub(super) fn newcomer(url: &Url) -> Writing {
    Writing::new(Store::open(url, "newcomer").expect("it can be opened"), Arc::default())
}

pub(super) fn put(key: u64, members: &str) -> Persist {
    let text = format!(r#"{{"schedule":"* * * * * *","api":"http://localhost/","type":"ATLEAST_ONCE"{members}}}"#);
    let definition: Definition = serde_json::from_str(&text).expect("it is a definition");
    let spec = JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).expect("it is valid");
    let revision = Revision::first(JobId::new(JobKey(key), [7; 10]), spec, WallUs(1));
    let job = JobChange::Put(Arc::new(revision));
    Persist::Change(Box::new(crate::core::Change { job, remove: Vec::new(), rows: Vec::new() }))
}

pub(super) fn row(seq: u64, key: u64, second: i64, status: Status) -> LedgerRow {
    let key = ExecutionKey::scheduled(JobKey(key), Instant::from_secs(second));
    let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
    row.record.status = status;
    if status != Status::Pending {
        row.record.executed = Some(WallUs::of(key.instant).plus_us(250));
        (row.record.http_status, row.record.duration_us) = (Some(200), Some(1_500));
    }
    row
}

pub(super) fn batch(items: impl IntoIterator<Item = Persist>) -> Batch {
    Batch { items: (1..).zip(items).collect(), ..Batch::default() }
}

pub(super) fn rows(rows: impl IntoIterator<Item = LedgerRow>) -> Batch {
    batch(rows.into_iter().map(|row| Persist::Row(row, None)))
}

pub(super) fn count(writing: &mut Writing, text: &str) -> i64 {
    // As the keeper does.
    partitions::show(&mut writing.store().connection, soon()).expect("nobody looks at it");
    let session = Session::new(&mut writing.store().connection, soon());
    session.first(text, &[], |row| row.get(0)).expect("it can be counted").expect("a count is one row")
}

#[test]
fn a_node_that_was_declared_dead_writes_nothing_and_what_it_did_not_count_is_counted() {
    let Some(url) = database() else { return };
    let mut first = node(&url, "first");
    first.write(&batch([put(1, "")])).expect("it lives");
    first.write(&rows((1..=5).map(|seq| row(seq, 1, seq as i64, Status::Success)))).expect("it lives");
    first.write(&rows([row(6, 1, 6, Status::Pending)])).expect("it lives");
    // Another one sees nothing of it for a while.
    let mut second = node(&url, "second");
    let refused = first.write(&rows([row(7, 1, 7, Status::Success)]));
    assert!(matches!(refused, Err(Unwritten::Fenced)), "{refused:?}");
    let refused = first.write(&Batch::default());
    assert!(matches!(refused, Err(Unwritten::Fenced)), "not even a beat: {refused:?}");
    assert_eq!(count(&mut second, "SELECT count(*) FROM job_executions"), 5);
    assert_eq!(count(&mut second, "SELECT success FROM job_totals WHERE job_id = 1"), 5);
    assert_eq!(count(&mut second, "SELECT count(*) FROM ledger l JOIN nodes n ON n.id = l.node WHERE NOT n.dead"), 1);
    let session = Session::new(&mut second.store().connection, soon());
    assert!(counts::uncounted(&session, None).expect("it can be read").is_empty(), "each is counted once");
    drop(session);
    second.write(&rows([row(6, 1, 6, Status::Success)])).expect("it lives");
    assert_eq!(count(&mut second, "SELECT count(*) FROM ledger"), 0);
    assert_eq!(count(&mut second, "SELECT count(*) FROM execution_history"), 6);
}

#[test]
fn what_a_dead_node_had_is_taken_over_by_those_that_live_each_some() {
    let Some(url) = database() else { return };
    let mut first = node(&url, "first");
    let (one, two) = (first.store().node, "SELECT count(*) FROM shards WHERE owner = ");
    first.write(&batch([put(1, ""), put(2, "")])).expect("it lives");
    first.write(&rows([row(1, 1, 1, Status::Pending), row(2, 2, 1, Status::Pending)])).expect("it lives");
    let (mut second, mut third) = (newcomer(&url), newcomer(&url));
    let claim = second.take(100, &Shards::NONE).expect("it lives");
    assert!(claim.new.is_empty() && claim.rows.is_empty(), "who has them lives: {claim:?}");
    second
        .store()
        .connection
        .batch(&format!("UPDATE nodes SET dead = true WHERE id = {one}"), soon())
        .expect("it can be");
    let claim = second.take(2, &Shards::NONE).expect("it lives");
    assert_eq!(claim.new.iter().map(|shard| shard.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(claim.epochs, [(Shard(0), 2), (Shard(1), 2)], "once more than before");
    let seqs = |claim: &Claim| claim.rows.iter().map(|(row, known)| (row.seq.0, *known)).collect::<Vec<_>>();
    assert_eq!(seqs(&claim), [(1, Known::Nothing)], "it may have been sent");
    let rest = third.take(256, &Shards::NONE).expect("it lives");
    assert_eq!((rest.new.len(), seqs(&rest)), (254, vec![(2, Known::Nothing)]));
    assert_eq!(count(&mut third, &format!("{two}{one}")), 0);
    assert_eq!(count(&mut third, &format!("SELECT count(*) FROM nodes WHERE settled AND id = {one}")), 1);
    let again = second.take(0, &claim.new).expect("it lives");
    assert!(again.new.is_empty() && again.rows.is_empty(), "it has them: {again:?}");
}

#[test]
fn two_that_take_over_at_the_same_moment_take_nothing_twice() {
    const TIMES: usize = 200;
    let Some(url) = database() else { return };
    let mut other = connect(&url).expect("it listens");
    let (mut nodes, gate) = ([newcomer(&url), newcomer(&url)], Barrier::new(2));
    for time in 0..TIMES {
        // Of a node that is long forgotten.
        other.batch("UPDATE shards SET owner = 0", soon()).expect("it can be");
        let take = |node: &mut Writing| {
            gate.wait();
            node.take(128, &Shards::NONE).expect("it lives").new
        };
        let [one, two] = std::thread::scope(|scope| {
            let taking = nodes.each_mut().map(|node| scope.spawn(|| take(node)));
            taking.map(|thread| thread.join().expect("it takes"))
        });
        assert!(one.intersection(&two).is_empty(), "at attempt {time} both have {:?}", one.intersection(&two));
    }
}

#[test]
fn of_what_a_node_that_lives_gives_it_is_known_that_it_was_not_sent_but_for_what_is_in_flight() {
    let Some(url) = database() else { return };
    let (mut giver, mut taker) = (node(&url, "giver"), newcomer(&url));
    giver.write(&batch([put(1, "")])).expect("it lives");
    giver.write(&rows((1..=3).map(|seq| row(seq, 1, seq as i64, Status::Pending)))).expect("it lives");
    let (shards, to) = (std::iter::once(Shard(1)).collect::<Shards>(), NodeId(taker.store().node.unsigned_abs()));
    giver.write(&batch([Persist::Release { shards, to, except: vec![Seq(2)] }])).expect("it lives");
    let claim = taker.take(0, &Shards::NONE).expect("it lives");
    assert_eq!((claim.new, claim.epochs), (shards, vec![(Shard(1), 1)]), "it changes hands by agreement");
    let known: Vec<_> = claim.rows.iter().map(|(row, known)| (row.seq.0, *known)).collect();
    assert_eq!(known, [(1, Known::Unsent), (2, Known::InFlight), (3, Known::Unsent)]);
    // What it was given it may have sent since, whoever asks.
    let unsent = "SELECT count(*) FROM ledger WHERE known";
    assert_eq!(count(&mut taker, unsent), 0);
    giver.write(&batch([Persist::HandOver(row(2, 1, 2, Status::Success))])).expect("it lives");
    let claim = taker.take(0, &shards).expect("it lives");
    let known: Vec<_> = claim.rows.iter().map(|(row, known)| (row.seq.0, row.record.status, *known)).collect();
    assert_eq!(known, [(2, Status::Success, Known::Unsent)]);
}

#[test]
fn who_joins_anew_is_another_node_and_the_one_before_is_dead() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    let before = node.store().node;
    node.write(&batch([put(1, "")])).expect("it lives");
    node.join().expect("it can");
    assert!(node.store().node > before);
    assert_eq!(count(&mut node, &format!("SELECT count(*) FROM nodes WHERE dead AND id = {before}")), 1);
    assert_eq!(count(&mut node, "SELECT sum(fenced)::int8 FROM nodes"), 1);
    let claim = node.take(256, &Shards::NONE).expect("it lives");
    assert_eq!(claim.new, Shards::ALL);
    node.write(&rows([row(1, 1, 1, Status::Success)])).expect("its batches are counted anew");
}

#[test]
fn what_no_standby_has_is_not_acknowledged_though_it_is_found() {
    let Some(server) = Postgres::start(&Options::default()) else { return };
    let url = Url::parse(&server.new_database()).expect("it is the URL of a database");
    let mut node = node(&url, "only");
    node.write(&batch([put(1, "")])).expect("it lives");
    let mut other = connect(&url).expect("it listens");
    let set = |other: &mut Connection, names: &str| {
        let text = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        for text in [&*text, "SELECT pg_reload_conf()"] {
            other.batch(text, soon()).expect("it can be");
        }
    };
    // A standby that never comes. All processes of the server hear of it in their time.
    set(&mut other, "nobody");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let begin = std::time::Instant::now();
    loop {
        let mut probe = connect(&url).expect("it listens");
        let soon = clock::mono().plus(Duration::from_millis(200));
        drop(probe.batch("CREATE TABLE probe (); DROP TABLE probe", soon));
        if !other.query(end, &[], super::open::soon()).expect("it can be").is_empty() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "nobody waits for a standby");
    }
    let changed = rows([row(1, 1, 1, Status::Success)]);
    std::thread::scope(|scope| {
        let (url, changed) = (&url, &changed);
        // Who waits for it is ended twice: first who wrote, then who looks what became of that.
        let ender = scope.spawn(move || {
            let mut ender = connect(url).expect("it listens");
            let mut ended = 0;
            // If it is not so, the test is to end all the same.
            while ended < 2 && begin.elapsed() < PATIENCE {
                ended += ender.query(end, &[], soon()).expect("it can be").len();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let written = node.write(changed);
        assert!(matches!(written, Err(Unwritten::Unknown(_))), "{written:?}");
        // By then it is in the database, and nowhere else.
        let written = node.write(changed);
        assert!(written.is_err(), "this server alone has it");
        ender.join().expect("it ends");
    });
    set(&mut other, "");
    node.write(&changed).expect("nothing is waited for");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 1);
}

#[test]
fn a_batch_whose_answer_was_lost_counts_once() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    node.write(&batch([put(1, "")])).expect("it can be written");
    let lost = rows((1..=3).map(|seq| row(seq, 1, seq as i64, Status::Success)));
    // It gets there, and nobody hears: the node believes that it did not.
    node.write_unheard(&lost);
    node.write(&lost).expect("it is there");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 3);
    let (recent, through) = node.take_recent().expect("it is history");
    assert_eq!((recent.rows, count(&mut node, "SELECT max(batch) FROM nodes")), (3, through));
    // The next one has the next number.
    node.write(&rows([row(4, 1, 4, Status::Success)])).expect("it can be written");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 4);
}

#[test]
fn a_batch_behind_a_beat_whose_answer_was_lost_is_written() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    node.write(&batch([put(1, "")])).expect("it can be written");
    // It has the number that the next batch would have.
    node.write_unheard(&Batch::default());
    node.write(&rows([row(1, 1, 1, Status::Success)])).expect("it can be written");
    assert_eq!(count(&mut node, "SELECT count(*) FROM execution_history"), 1);
    node.beat().expect("it lives");
}

#[test]
fn a_beat_stays_in_doubt_whatever_is_refused_behind_it() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    node.write(&batch([put(1, "")])).expect("it can be written");
    // It got there, and nobody heard. Then the connection breaks, and there is no other one for a while.
    node.write_unheard(&Batch::default());
    let finished = rows([row(1, 1, 1, Status::Success)]);
    let pid = count(&mut node, "SELECT pg_backend_pid()::int8");
    connect(&url).expect("it is there").batch(&format!("SELECT pg_terminate_backend({pid})"), soon()).expect("it ends");
    let nowhere = Url::parse("postgres://nobody@127.0.0.1:1/nothing").expect("it is one");
    let somewhere = std::mem::replace(&mut node.store().url, nowhere);
    for _ in 0..2 {
        let refused = node.write(&finished);
        assert!(matches!(refused, Err(Unwritten::Refused(_))), "{refused:?}");
    }
    node.store().url = somewhere;
    node.write(&finished).expect("it can be written");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 1, "the beat was not taken for it");
}

#[test]
fn a_batch_that_may_be_there_and_is_refused_is_known_not_to_be_there() {
    let Some(url) = database() else { return };
    let (mut first, mut second) = (node(&url, "first"), newcomer(&url));
    second.lose_sight();
    first.write(&batch([put(1, r#","name":"one""#)])).expect("nobody has the name");
    let refused = second.write(&batch_of_another(r#","name":"one""#));
    assert!(matches!(refused, Err(Unwritten::Refused(_))), "{refused:?}");
    assert!(!second.is_batch_in_doubt(), "its number is another's");
    second.write(&batch_of_another(r#","name":"two""#)).expect("nobody has the name");
    assert!(second.is_refused_again(&batch_of_another(r#","name":"three""#)), "what comes late is refused");
    // If it is there, that is seen whatever refuses it now.
    second.write_unheard(&batch_of_another(r#","name":"four""#));
    first.write(&batch([put(4, r#","name":"five""#)])).expect("nobody has the name");
    second.write(&batch_of_another(r#","name":"five""#)).expect("something has its number");
}

#[test]
fn that_a_batch_was_superseded_is_seen_though_nobody_heard() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    node.write(&batch([put(1, "")])).expect("it can be written");
    node.supersede_unheard();
    let finished = rows([row(1, 1, 1, Status::Success)]);
    let refused = node.write(&finished);
    assert!(matches!(refused, Err(Unwritten::Refused(_))), "{refused:?}");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 0);
    node.write(&finished).expect("it can be written");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 1);
    node.beat().expect("it lives");
}

#[test]
fn a_beat_that_is_found_says_nothing_of_now_and_another_one_goes_out() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    node.write_unheard(&Batch::default());
    let before = count(&mut node, "SELECT beat FROM nodes");
    node.beat().expect("it lives");
    assert_eq!(count(&mut node, "SELECT beat FROM nodes"), before + 1);
}

#[test]
fn a_takeover_that_is_fenced_is_given_up_and_the_server_joins_anew() {
    let Some(url) = database() else { return };
    let mut first = node(&url, "first");
    let mut second = node(&url, "second");
    assert!(first.is_dead() && !second.is_dead());
    let refused = first.take(8, &Shards::ALL);
    assert!(matches!(refused, Err(Unwritten::Fenced)), "{refused:?}");
    first.join().expect("nothing is open");
    first.beat().expect("it lives");
    // What something else left open is not gone on with either.
    first.store().connection.batch("BEGIN; UPDATE nodes SET name = 'nobody'", soon()).expect("it is a statement");
    first.beat().expect("it lives");
    assert_eq!(count(&mut second, "SELECT count(*) FROM nodes WHERE name = 'nobody'"), 0);
    assert_eq!(count(&mut second, "SELECT count(*) FROM nodes WHERE NOT dead"), 2);
}

#[test]
fn what_is_locked_by_somebody_who_is_gone_costs_no_node_its_life() {
    let Some(url) = database() else { return };
    let mut first = node(&url, "first");
    first.write(&batch([put(1, "")])).expect("it lives");
    first.write(&rows([row(1, 1, 1, Status::Pending)])).expect("it lives");
    let mut gone = connect(&url).expect("it is there");
    gone.batch("BEGIN; DELETE FROM ledger", soon()).expect("nobody has it");
    let mut second = newcomer(&url);
    count(
        &mut first,
        "WITH gone AS (UPDATE nodes SET dead = true WHERE name = 'first' RETURNING 1) SELECT count(*) FROM gone",
    );
    let refused = second.take(256, &Shards::NONE);
    assert!(matches!(refused, Err(Unwritten::Refused(_))), "{refused:?}");
    second.beat().expect("it lives");
    drop(gone);
    let claim = (0..100).find_map(|_| second.take(256, &Shards::NONE).ok()).expect("it is free");
    assert_eq!((claim.new, claim.rows.len()), (Shards::ALL, 1));
}

fn batch_of_another(members: &str) -> Batch {
    batch([put(2, members)])
}

#[test]
fn who_reads_for_long_holds_up_no_batch() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    node.partition_rows = 1;
    node.write(&rows([row(1, 1, 1, Status::Success)])).expect("it can be written");
    // As a dump does it.
    let mut reader = connect(&url).expect("it listens");
    let read = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM execution_history; SELECT count(*) FROM partitions; \
                LOCK TABLE executions_1 IN ACCESS SHARE MODE";
    reader.batch(read, soon()).expect("it can be read");
    node.write(&rows([row(2, 1, 2, Status::Success)])).expect("the next table is made beside it");
    let why = partitions::drop_one(&mut node.store().connection, 1, soon()).expect_err("somebody reads it");
    assert_eq!(why.sqlstate(), Some("55P03"), "{why}");
    Session::new(&mut node.store().connection, soon()).end().expect("it is given up");
    reader.batch("COMMIT", soon()).expect("it is over");
    partitions::drop_one(&mut node.store().connection, 1, soon()).expect("nobody reads it");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 1);
}

#[test]
fn shards_are_given_with_all_that_is_not_in_flight() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "giver");
    let shared = r#","concurrencyKey":{"name":"billing","limit":1}"#;
    node.write(&batch([put(1, ""), put(2, ""), put(3, shared)])).expect("it can be written");
    let home = Shard::of_name("billing");
    assert_eq!(count(&mut node, "SELECT shard FROM jobs WHERE id = 3"), i64::from(home.0));
    node.write(&rows((1..=4).map(|seq| row(seq, (seq - 1) % 3 + 1, 9, Status::Pending)))).expect("it can be written");
    let shards: Shards = [Shard(1), home].into_iter().collect();
    // The fourth is in flight, and ends with a retry.
    let release = Persist::Release { shards, to: NodeId(77), except: vec![Seq(4)] };
    let armed = Persist::Row(row(5, 1, 10, Status::Pending), None);
    node.write(&batch([armed, release])).expect("it can be written");
    let given = "SELECT count(*) FROM ledger WHERE node = 77 AND known AND seq IN (1, 3, 5)";
    assert_eq!(count(&mut node, given), 3, "all that was armed before, and nothing else");
    assert_eq!(count(&mut node, "SELECT count(*) FROM ledger WHERE node <> 77 AND NOT known AND seq IN (2, 4)"), 2);
    assert_eq!(count(&mut node, "SELECT count(*) FROM shards WHERE owner = 77"), 2);
    let mut ended = row(4, 1, 9, Status::Pending);
    ended.record.attempt = 2;
    node.write(&batch([Persist::HandOver(ended)])).expect("it can be written");
    let handed = "SELECT count(*) FROM ledger WHERE seq = 4 AND node = 77 AND known AND attempt = 2";
    assert_eq!(count(&mut node, handed), 1);
    // There its job came to be in another shard, whose owner is meant.
    let moved = "WITH job AS (UPDATE jobs SET shard = 9 WHERE id = 1 RETURNING 1), \
                 shard AS (UPDATE shards SET owner = 78 WHERE shard = 9 RETURNING 1) SELECT count(*) FROM job, shard";
    assert_eq!(count(&mut node, moved), 1);
    node.write(&batch([Persist::HandOver(row(4, 1, 9, Status::Pending))])).expect("it can be written");
    assert_eq!(count(&mut node, "SELECT count(*) FROM ledger WHERE seq = 4 AND node = 78 AND known"), 1);
}

#[test]
fn history_begins_a_new_table_when_one_is_full_and_drops_what_is_too_old_as_a_whole() {
    let Some(url) = database() else { return };
    let mut node = node(&url, "only");
    node.partition_rows = 100;
    node.write(&batch([put(1, "")])).expect("it can be written");
    let now = clock::wall().floor().as_secs();
    let mut seq = 0;
    for day in (0..5).rev() {
        for _ in 0..2 {
            let second = now - day * 86_400 - 20_000;
            node.write(&rows((seq + 1..=seq + 50).map(|seq| row(seq, 1, second + seq as i64 % 100, Status::Success))))
                .expect("it can be written");
            seq += 50;
        }
    }
    let (recent, through) = node.take_recent().expect("it is history");
    let id = node.store().node;
    let session = Session::new(&mut node.store().connection, soon());
    recent.flush(&session, id, through, clock::wall()).expect("it can be counted");
    let all = partitions::all(&session).expect("they can be read");
    drop(session);
    assert_eq!(all.len(), 5, "{all:?}");
    assert!(all.iter().all(|partition| partition.rows == 100), "{all:?}");
    let before = count(&mut node, "SELECT count(*) FROM job_executions");
    let keep = Keep { age: Duration::from_secs(3 * 86_400 - 3_600), ..EVERYTHING };
    while retention::slice(&mut node.store().connection, &keep, clock::wall()).expect("it can be swept") {}
    let left = count(&mut node, "SELECT count(*) FROM partitions");
    assert!(left == 3 || left == 4, "{left} tables of three days");
    let kept = count(&mut node, "SELECT count(*) FROM job_executions");
    assert!(kept < before && kept == count(&mut node, "SELECT kept FROM job_totals"), "{kept} of {before}");
    assert_eq!(count(&mut node, "SELECT success FROM job_totals"), before, "what happened stays counted");
    // However little may be kept, what comes next has a place.
    while retention::slice(&mut node.store().connection, &Keep { bytes: 1, ..EVERYTHING }, clock::wall())
        .expect("it can be swept")
    {}
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 0);
    node.write(&rows([row(9_000, 1, now, Status::Success)])).expect("its table was dropped, and there is another");
    assert_eq!(count(&mut node, "SELECT count(*) FROM job_executions"), 1);
}

#[test]
fn a_database_that_does_not_have_every_text_is_refused() {
    let Some(server) = Postgres::shared() else { return };
    let parse = |url: String| Url::parse(&url).expect("it is the URL of a database");
    let mut connection = connect(&parse(server.url())).expect("it listens");
    let make = "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    connection.batch(make, soon()).expect("it can be made");
    let why = Store::open(&parse(server.url_of("ascii")), "a").map(drop).expect_err("it is refused").to_string();
    assert!(why.contains("expected a database with the encoding UTF8, got SQL_ASCII"), "{why}");
}

#[test]
fn a_node_joins_newer_ones_as_long_as_they_left_what_it_needs() {
    let Some(url) = database() else { return };
    drop(node(&url, "first"));
    let mut connection = connect(&url).expect("it listens");
    let mut newer = |version: i64, min_compatible: i64| {
        let note = "INSERT INTO punctual_schema (version, min_compatible) VALUES ($1, $2)";
        connection.execute(note, &[&version, &min_compatible], soon()).expect("it is ours");
    };
    newer(98, schema::current_version());
    let joined = Store::open(&url, "older").expect("it can work with that");
    drop(joined);
    // What it knows nothing of it would leave behind.
    let expected = "its schema has version 98, and this build knows up to 1; use the newer build";
    let why = ServerSide::open(&url, true).map(drop).expect_err("it does not know all of it");
    assert!(why.contains(expected), "{why}");
    newer(99, schema::current_version() + 1);
    let why = Store::open(&url, "older").map(drop).expect_err("it is too old for that").to_string();
    assert_eq!(why, format!("--store: {}", expected.replace("98", "99")));
}

#[test]
fn rows_that_are_walked_may_have_other_columns_than_those_before() {
    let Some(url) = database() else { return };
    let mut connection = connect(&url).expect("it listens");
    let session = Session::new(&mut connection, soon());
    session.run("BEGIN", &[]).expect("it waits");
    for (text, expected) in
        [("SELECT 1::int8", 1), ("SELECT 1::int8, 2::int8", 3), ("SELECT 7::int8", 7), ("SELECT 1::int8", 1)]
    {
        let mut sum = 0;
        let walked = session.walk(text, &[], &mut |row| {
            sum = row.get::<i64>(0)? + row.get::<i64>(1).unwrap_or(0);
            Ok(true)
        });
        walked.expect("it can be read");
        assert_eq!(sum, expected, "{text}");
    }
}

#[test]
fn no_two_jobs_have_one_name_whichever_nodes_write_them_and_names_may_be_swapped() {
    let Some(url) = database() else { return };
    let (mut first, mut second) = (node(&url, "first"), newcomer(&url));
    let (one, two) = (r#","name":"one""#, r#","name":"two""#);
    first.write(&batch([put(1, one)])).expect("nobody has it");
    let refused = second.write(&batch([put(2, two), put(3, one)]));
    assert!(matches!(refused, Err(Unwritten::Refused(_))), "{refused:?}");
    let named = "SELECT count(*) FROM jobs WHERE name = ";
    assert_eq!(count(&mut first, &format!("{named}'two'")), 0, "a batch is written as a whole, or not");
    first.write(&batch([put(2, two)])).expect("nobody has it");
    first.write(&batch([put(1, two), put(2, one)])).expect("at the end each has its own");
    assert_eq!(count(&mut first, &format!("{named}'two' AND id = 1")), 1);
}
