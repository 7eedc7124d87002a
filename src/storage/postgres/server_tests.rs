//! Owns the tests of connections to a real PostgreSQL: what only it can say is right.
//! It must not reach another machine, and is left out where there is no PostgreSQL.

use std::thread;
use std::time::Duration;

use super::support::Postgres;
use super::values::Odd;
use super::*;
use crate::clock;
use crate::time::MonoUs;

/// Later than anything takes.
pub(super) fn soon() -> MonoUs {
    clock::mono().plus(Duration::from_secs(60))
}

pub(super) fn connected(url: &str) -> Connection {
    Connection::connect(&Url::parse(url).expect(url), soon()).unwrap_or_else(|why| panic!("{why}"))
}

/// The number that a statement gives.
pub(super) fn number(connection: &mut Connection, sql: &str) -> i64 {
    let rows = connection.query(sql, &[], soon()).unwrap_or_else(|why| panic!("{sql}: {why}"));
    rows.first().and_then(|row| row.i64(0)).unwrap_or_else(|why| panic!("{sql}: {why}"))
}

#[test]
fn statements_take_values_and_give_them_back() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    let sql = "SELECT $1, $2, $3, $4, $5, $6, $7, $8::text, $9::int4";
    let bytes = [0_u8, 255, 7];
    let text = "grüße\n";
    for _ in 0..2 {
        let rows = connection
            .query(sql, &[&true, &-2_i16, &3_i32, &i64::MIN, &1.5, &text, &bytes, &None::<&str>, &None::<i32>], soon())
            .expect("it is right");
        assert_eq!(rows.len(), 1);
        let row = rows.first().expect("one");
        assert_eq!((row.bool(0), row.i16(1), row.i32(2), row.i64(3)), (Ok(true), Ok(-2), Ok(3), Ok(i64::MIN)));
        assert_eq!((row.f64(4), row.text(5), row.bytes(6)), (Ok(1.5), Ok(text), Ok(&bytes[..])));
        assert_eq!((row.opt_text(7), row.opt_i32(8), row.is_null(8)), (Ok(None), Ok(None), Ok(true)));
        // A wrong type, a null, no column: an error each.
        assert!(row.i64(2).is_err() && row.i32(8).is_err() && row.i32(9).is_err() && row.text(0).is_err());
    }
    let ids = vec![1_i64, 2, 3];
    let names = vec![Some("a"), None, Some("c")];
    connection.batch("CREATE TABLE t (id int8 PRIMARY KEY, name text); CREATE INDEX ON t (name)", soon()).expect("DDL");
    let sql = "INSERT INTO t SELECT * FROM unnest($1, $2)";
    assert_eq!(connection.execute(sql, &[&ids, &names], soon()), Ok(3));
    let why = connection.execute(sql, &[&ids, &names], soon()).expect_err("they are there");
    let told = why.server().expect("the server says so");
    assert_eq!((why.sqlstate(), told.table.as_deref()), (Some("23505"), Some("t")));
    assert_eq!((told.constraint.as_deref(), told.statement, why.is_lost()), (Some("t_pkey"), Some(0), false));
    let rows = connection.query("SELECT array_agg(id), array_agg(name) FROM t", &[], soon()).expect("it is right");
    let row = rows.first().expect("one");
    assert_eq!(row.i64s(0), Ok(vec![Some(1), Some(2), Some(3)]));
    assert_eq!(row.texts(1), Ok(vec![Some("a"), None, Some("c")]));
}

#[test]
fn a_pipeline_is_one_transaction_and_says_what_failed() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    connection.batch("CREATE TABLE t (id int8 PRIMARY KEY)", soon()).expect("DDL");
    let insert = "INSERT INTO t VALUES ($1)";
    let mut pipeline = connection.pipeline();
    pipeline.run(insert, &[&1_i64]);
    pipeline.run(insert, &[&2_i64]);
    pipeline.run("SELECT count(*) FROM t", &[]);
    let done = pipeline.finish(soon()).expect("it is right");
    assert_eq!(done.iter().map(|done| done.affected).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(done[2].rows.first().and_then(|row| row.i64(0)), Ok(2));

    let mut pipeline = connection.pipeline();
    pipeline.run(insert, &[&3_i64]);
    pipeline.run(insert, &[&1_i64]);
    pipeline.run("SELECT never_there FROM t", &[]);
    let why = pipeline.finish(soon()).expect_err("1 is there");
    assert_eq!((why.sqlstate(), why.server().and_then(|error| error.statement)), (Some("23505"), Some(1)));
    assert_eq!(connection.transaction(), Transaction::None);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t"), 2, "3 was taken back");
    // What cannot be composed is not sent, and the connection goes on.
    let mut pipeline = connection.pipeline();
    pipeline.run(insert, &[&4_i64]);
    pipeline.run("SELECT $1", &[&Odd]);
    assert!(matches!(pipeline.finish(soon()), Err(Error::Value(why)) if why.contains("statement 1")));
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t"), 2);
}

#[test]
fn a_commit_that_fails_is_told_as_what_comes_behind_the_last_statement() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    let sql = "CREATE TABLE t (id int8 PRIMARY KEY, up int8 REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
    connection.batch(sql, soon()).expect("DDL");
    let mut pipeline = connection.pipeline();
    pipeline.run("INSERT INTO t VALUES ($1, $2)", &[&1_i64, &7_i64]);
    pipeline.run("SELECT 1", &[]);
    let why = pipeline.finish(soon()).expect_err("there is no 7");
    assert_eq!((why.sqlstate(), why.server().and_then(|error| error.statement)), (Some("23503"), Some(2)));
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t"), 0);
}

#[test]
fn a_transaction_may_be_begun_and_ended_by_statements() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    connection.batch("CREATE TABLE t (id int8 PRIMARY KEY); INSERT INTO t VALUES (1)", soon()).expect("DDL");
    let mut pipeline = connection.pipeline();
    pipeline.run("BEGIN", &[]);
    pipeline.run("INSERT INTO t VALUES ($1)", &[&2_i64]);
    pipeline.finish(soon()).expect("it is right");
    assert_eq!(connection.transaction(), Transaction::Open);
    connection.execute("INSERT INTO t VALUES ($1)", &[&1_i64], soon()).expect_err("it is there");
    assert_eq!(connection.transaction(), Transaction::Failed);
    let why = connection.execute("INSERT INTO t VALUES ($1)", &[&3_i64], soon()).expect_err("it failed");
    assert_eq!(why.sqlstate(), Some("25P02"));
    connection.execute("ROLLBACK", &[], soon()).expect("it is right");
    assert_eq!(connection.transaction(), Transaction::None);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t"), 1);
    connection.batch("SELECT 1; SELECT no_such", soon()).expect_err("there is none");
    connection.batch("", soon()).expect("nothing is no error");
    assert_eq!(connection.query("", &[], soon()).map(|rows| rows.len()), Ok(0));
}

#[test]
fn a_pipeline_larger_than_all_buffers_does_not_lock_up() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    let text = "x".repeat(1_000);
    let mut pipeline = connection.pipeline();
    for number in 0..20_000_i64 {
        pipeline.run("SELECT $1, $2 || $2", &[&number, &text]);
    }
    let done = pipeline.finish(soon()).expect("it is right");
    for (number, done) in (0..).zip(&done) {
        let row = done.rows.first().expect("one");
        assert_eq!((row.i64(0), row.text(1).map(str::len)), (Ok(number), Ok(2_000)));
    }
    assert_eq!(done.len(), 20_000);
    // A hundred thousand rows in one statement, there and back.
    connection.batch("CREATE TABLE t (id int8, name text)", soon()).expect("DDL");
    let ids: Vec<i64> = (0..100_000).collect();
    let names: Vec<String> = ids.iter().map(|id| format!("name {id}")).collect();
    let sql = "INSERT INTO t SELECT * FROM unnest($1, $2) RETURNING id, name";
    let rows = connection.query(sql, &[&ids, &names], soon()).expect("it is right");
    assert!(rows.iter().zip(&names).all(|(row, name)| row.text(1) == Ok(name)));
    assert_eq!(rows.len(), 100_000);
}

#[test]
fn rows_can_be_taken_as_they_come() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    let sql = "SELECT n, repeat('x', 500) FROM generate_series(1::int8, $1) AS n";
    let mut sum = 0;
    let taken = connection.each(sql, &[&50_000_i64], soon(), |row| {
        sum += row.i64(0)?;
        Ok(())
    });
    assert_eq!((taken, sum), (Ok(50_000), 50_000 * 50_001 / 2));
    let mut count = 0;
    let stopped = connection.each(sql, &[&50_000_i64], soon(), |_| {
        count += 1;
        if count == 3 { Err(Error::Value("enough".to_owned())) } else { Ok(()) }
    });
    assert_eq!((stopped, count), (Err(Error::Value("enough".to_owned())), 3));
    let failing = "SELECT 10 / (5 - n) FROM generate_series(1::int8, $1) AS n";
    let why = connection.each(failing, &[&9_i64], soon(), |_| Ok(())).expect_err("a division by zero");
    assert_eq!(why.sqlstate(), Some("22012"));
    assert_eq!(number(&mut connection, "SELECT 1::int8"), 1);
}

#[test]
fn a_copy_goes_in_with_a_pipeline_and_comes_out() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    connection.batch("CREATE TABLE t (id int8 PRIMARY KEY, name text, body bytea)", soon()).expect("DDL");
    let into = "COPY t (id, name, body) FROM STDIN (FORMAT binary)";
    let fill = |rows: &mut CopyRows<'_>, ids: std::ops::Range<i64>| {
        for id in ids {
            let name = (id & 1 == 0).then(|| format!("name {id}"));
            rows.row(&[&id, &name, &[7_u8; 40]])?;
        }
        Ok(())
    };
    let mut pipeline = connection.pipeline();
    pipeline.run("INSERT INTO t VALUES ($1)", &[&-1_i64]);
    pipeline.copy_in(into, |rows| fill(rows, 0..50_000));
    pipeline.copy_in(into, |_| Ok(()));
    pipeline.run("SELECT count(*) FROM t", &[]);
    let done = pipeline.finish(soon()).expect("it is right");
    assert_eq!(done.iter().map(|done| done.affected).collect::<Vec<_>>(), [1, 50_000, 0, 1]);
    assert_eq!(done[3].rows.first().and_then(|row| row.i64(0)), Ok(50_001));

    // A row that is there already, a wrong type, no table, an error of who fills it: nothing of the pipeline counts.
    let bad: [(&str, std::ops::Range<i64>, &str); 3] = [
        (into, 49_999..60_000, "23505"),
        ("COPY t (name, id, body) FROM STDIN (FORMAT binary)", 70_000..70_001, "22021"),
        ("COPY no_such FROM STDIN (FORMAT binary)", 70_000..99_000, "42P01"),
    ];
    for (sql, ids, code) in bad {
        let mut pipeline = connection.pipeline();
        pipeline.run("INSERT INTO t VALUES ($1)", &[&-2_i64]);
        pipeline.copy_in(sql, |rows| fill(rows, ids));
        pipeline.run("INSERT INTO t VALUES ($1)", &[&-3_i64]);
        let why = pipeline.finish(soon()).expect_err(sql);
        assert_eq!((why.sqlstate(), why.server().and_then(|error| error.statement)), (Some(code), Some(1)), "{why}");
    }
    let mut pipeline = connection.pipeline();
    pipeline.copy_in(into, |rows| fill(rows, 80_000..80_010).and(Err(Error::Value("the source is gone".to_owned()))));
    pipeline.run("INSERT INTO t VALUES ($1)", &[&-3_i64]);
    let why = pipeline.finish(soon()).expect_err("it failed");
    assert_eq!(why.sqlstate(), Some("57014"));
    assert!(why.to_string().contains("the source is gone"), "{why}");
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t"), 50_001);

    let (mut count, mut len) = (0, 0);
    let out = "COPY (SELECT id, name, body FROM t WHERE id >= 0 ORDER BY id) TO STDOUT (FORMAT binary)";
    let copied = connection.copy_out(out, soon(), |row| {
        assert_eq!(row.i64(0)?, count);
        count += 1;
        len += row.opt_text(1)?.unwrap_or_default().len() + row.bytes(2)?.len();
        Ok(())
    });
    let names: usize = (0..50_000).step_by(2).map(|id: i64| format!("name {id}").len()).sum();
    assert_eq!((copied, count, len), (Ok(50_000), 50_000, 50_000 * 40 + names));
    let stopped = connection.copy_out(out, soon(), |row| row.i32(0).map(drop));
    assert!(matches!(stopped, Err(Error::Value(why)) if why.contains("no int4")));
    let why = connection.copy_out("COPY no_such TO STDOUT (FORMAT binary)", soon(), |_| Ok(())).expect_err("none");
    assert_eq!(why.sqlstate(), Some("42P01"));
    assert_eq!(number(&mut connection, "SELECT count(*) FROM t"), 50_001);
}

#[test]
fn notifications_are_heard_while_waiting_and_during_other_calls() {
    let Some(url) = Postgres::database() else { return };
    let (mut listener, mut teller) = (connected(&url), connected(&url));
    listener.execute("LISTEN ears", &[], soon()).expect("it is right");
    assert_eq!(listener.notifications(clock::mono().plus(Duration::from_millis(20))), Ok(vec![]));
    let tell = |connection: &mut Connection, payload: &str| {
        connection.query("SELECT pg_notify('ears', $1)", &[&payload], soon()).expect("it is right");
    };
    let told = |pid: i32, payload: &str| Notification { pid, channel: "ears".into(), payload: payload.into() };
    tell(&mut teller, "first");
    assert_eq!(listener.notifications(soon()), Ok(vec![told(teller.pid(), "first")]));
    tell(&mut teller, "second");
    tell(&mut listener, "mine");
    number(&mut listener, "SELECT 1::int8");
    let heard = listener.notifications(soon()).expect("it is there");
    assert_eq!(heard, [told(teller.pid(), "second"), told(listener.pid(), "mine")]);
    // From another thread, to one that waits already.
    let waiting = thread::spawn(move || listener.notifications(soon()));
    tell(&mut teller, "third");
    assert_eq!(waiting.join().expect("no panic"), Ok(vec![told(teller.pid(), "third")]));
}

#[test]
fn notifications_that_nobody_reads_are_counted() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    connection.execute("LISTEN ears", &[], soon()).expect("it is right");
    let sql = "SELECT pg_notify('ears', n::text) FROM generate_series(1, 1500) AS n";
    connection.query(sql, &[], soon()).expect("it is right");
    let heard = connection.notifications(soon()).expect("they are there");
    assert_eq!((heard.len(), heard[0].payload.as_str()), (super::bounds::NOTIFICATIONS_MAX, "1"));
    assert_eq!(connection.take_notifications_lost(), 1_500 - heard.len() as u64);
    assert_eq!(connection.take_notifications_lost(), 0);
}

#[test]
fn another_thread_cancels_what_takes_too_long() {
    let Some(url) = Postgres::database() else { return };
    let (mut connection, mut other) = (connected(&url), connected(&url));
    let (canceller, pid) = (connection.canceller(), connection.pid());
    let waiting = thread::spawn(move || {
        let slept = connection.query("SELECT pg_sleep(600)", &[], soon());
        (connection, slept)
    });
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
    while other.query(sleeps, &[&pid], soon()).and_then(|rows| rows.first()?.i64(0)) == Ok(0) {
        thread::yield_now();
    }
    canceller.cancel(soon()).expect("it can be asked");
    let (mut connection, slept) = waiting.join().expect("no panic");
    let why = slept.expect_err("it was cancelled");
    assert_eq!((why.sqlstate(), why.is_lost()), (Some("57014"), false));
    assert_eq!(number(&mut connection, "SELECT 1::int8"), 1);
}

#[test]
fn a_statement_whose_table_has_changed_works_again() {
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    connection.batch("CREATE TABLE t (id int8); INSERT INTO t VALUES (1)", soon()).expect("DDL");
    let sql = "SELECT * FROM t";
    assert_eq!(number(&mut connection, sql), 1);
    connection.batch("ALTER TABLE t ADD COLUMN name text", soon()).expect("DDL");
    let why = connection.query(sql, &[], soon()).expect_err("its plan is for one column");
    assert_eq!(why.sqlstate(), Some("0A000"));
    assert_eq!(connection.query(sql, &[], soon()).map(|rows| rows.first().map(|row| row.len())), Ok(Ok(2)));
    connection.batch("DEALLOCATE ALL", soon()).expect("it is right");
    assert_eq!(connection.query(sql, &[], soon()).expect_err("it is forgotten").sqlstate(), Some("26000"));
    assert_eq!(number(&mut connection, sql), 1);
    // More texts than are kept: those that make room are forgotten by the server, too.
    for n in 0..2 * super::bounds::STATEMENTS_MAX {
        assert_eq!(number(&mut connection, &format!("SELECT {n}::int8")), n as i64);
    }
    let kept = number(&mut connection, "SELECT count(*) FROM pg_prepared_statements");
    assert!(kept <= super::bounds::STATEMENTS_MAX as i64 + 1, "{kept}");
}
