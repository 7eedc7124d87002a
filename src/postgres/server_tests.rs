//! Owns the tests of connections to a real PostgreSQL: what only it can say is right.
//! It must not reach another machine, and is left out where there is no PostgreSQL.

use std::time::Duration;

use super::support::{Options, PASSWORD, Postgres};
use super::*;
use crate::clock;
use crate::time::MonoUs;

fn soon() -> MonoUs {
    clock::mono().plus(Duration::from_secs(60))
}

fn connected(url: &str) -> Connection {
    Connection::connect(&Url::parse(url).expect(url), soon()).unwrap_or_else(|why| panic!("{why}"))
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
    let count = |connection: &mut Connection| {
        connection.query("SELECT count(*) FROM t", &[], soon()).and_then(|rows| rows.first()?.i64(0))
    };
    assert_eq!(count(&mut connection), Ok(2), "3 was taken back");
    // What cannot be composed is not sent, and the connection goes on.
    let mut pipeline = connection.pipeline();
    pipeline.run(insert, &[&4_i64]);
    pipeline.run("SELECT $1", &[&"\0"]);
    assert!(matches!(pipeline.finish(soon()), Err(Error::Value(why)) if why.contains("statement 1")));
    assert_eq!(count(&mut connection), Ok(2));
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url().replace(PASSWORD, "guessed");
    let why = Connection::connect(&Url::parse(&url).expect(&url), soon()).expect_err("it is wrong");
    assert_eq!(why.sqlstate(), Some("28P01"));
    assert!(!why.to_string().contains("guessed"), "{why}");
}

#[test]
fn tls_and_channel_binding_are_what_the_url_says() {
    let Some(server) = Postgres::start(&Options { tls: true, ..Options::default() }) else { return };
    let root = server.folder().join("server.crt");
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    for (query, is_encrypted) in [
        ("sslmode=disable".to_owned(), false),
        ("sslmode=require&channel_binding=require".to_owned(), true),
        ("sslmode=require&channel_binding=disable".to_owned(), true),
        (format!("sslmode=verify-full&sslrootcert={}&channel_binding=require", root.display()), true),
    ] {
        let mut connection = connected(&format!("{}?{query}", server.url()));
        let rows = connection.query(sql, &[], soon()).expect("it is right");
        assert_eq!(rows.first().and_then(|row| row.bool(0)), Ok(is_encrypted), "{query}");
        connection.canceller().cancel(soon()).expect("it can be asked the same way");
    }
    let url = format!("{}?sslmode=verify-full", server.url());
    let why = Connection::connect(&Url::parse(&url).expect(&url), soon()).expect_err("nobody trusts it");
    assert!(why.to_string().contains("TLS: invalid peer certificate"), "{why}");
}
