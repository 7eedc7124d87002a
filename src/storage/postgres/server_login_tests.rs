//! Owns the tests of finding, and losing, a real PostgreSQL: logins, several hosts, the ends of servers, deadlines.
//! It must not reach another machine, and is left out where there is no PostgreSQL.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use super::server_tests::{connected, number, soon};
use super::support::{Options, PASSWORD, Postgres, USER};
use super::*;
use crate::clock;

fn refused(url: &str) -> Error {
    Connection::connect(&Url::parse(url).expect(url), soon()).expect_err(url)
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let Some(server) = Postgres::shared() else { return };
    let url = server.url().replace(PASSWORD, "guessed");
    let why = refused(&url);
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
        // More than fits into all buffers, both ways.
        let text = "x".repeat(10_000);
        let mut pipeline = connection.pipeline();
        for _ in 0..2_000 {
            pipeline.run("SELECT $1", &[&text]);
        }
        let done = pipeline.finish(soon()).expect("it is right");
        assert!(done.iter().all(|done| done.rows.first().and_then(|row| row.text(0)) == Ok(&text)), "{query}");
    }
    let url = format!("{}?sslmode=verify-full", server.url());
    let why = refused(&url);
    assert!(why.to_string().contains("TLS: invalid peer certificate"), "{why}");
}

#[test]
fn a_server_may_want_the_password_hashed_or_in_clear() {
    let Some(server) = Postgres::start(&Options { auth: "md5", ..Options::default() }) else { return };
    number(&mut connected(&server.url()), "SELECT 1::int8");
    let why = refused(&server.url().replace(PASSWORD, "guessed"));
    assert_eq!(why.sqlstate(), Some("28P01"));
    drop(server);

    let options = Options { auth: "password", tls: true, ..Options::default() };
    let Some(server) = Postgres::start(&options) else { return };
    number(&mut connected(&server.socket_url()), "SELECT 1::int8");
    number(&mut connected(&format!("{}?sslmode=require", server.url())), "SELECT 1::int8");
    let why = refused(&server.url());
    assert!(why.to_string().ends_with("the server wants the password in clear, over an open connection"), "{why}");
    let why = refused(&format!("{}?sslmode=require&channel_binding=require", server.url()));
    assert!(why.to_string().ends_with("the server offers no channel binding, which is required"), "{why}");
}

#[test]
fn a_server_that_lets_everybody_in_is_none_that_channel_binding_is_required_of() {
    let options = Options { auth: "trust", tls: true, ..Options::default() };
    let Some(server) = Postgres::start(&options) else { return };
    number(&mut connected(&format!("{}?sslmode=require", server.url())), "SELECT 1::int8");
    let why = refused(&format!("{}?sslmode=require&channel_binding=require", server.url()));
    assert!(why.to_string().contains("let us in without channel binding"), "{why}");
}

#[test]
fn passwords_come_from_a_file_and_sockets_from_a_folder() {
    let Some(server) = Postgres::shared() else { return };
    number(&mut connected(&server.socket_url()), "SELECT 1::int8");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pass");
    std::fs::write(&file, format!("127.0.0.1:{}:*:*:{PASSWORD}\n", server.port())).expect("it can be written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let bare = server.url().replace(&format!(":{PASSWORD}"), "");
    number(&mut connected(&format!("{bare}?passfile={}", file.display())), "SELECT 1::int8");
    let why = refused(&bare);
    assert!(why.to_string().contains("the server wants a password of \"punctual\", and there is none"), "{why}");
    let none = refused(&server.url().replace("/postgres?", "/none?").replace("/postgres", "/none"));
    assert_eq!(none.sqlstate(), Some("3D000"));
    let named = Url::parse(&format!("{}?options=-c%20work_mem%3D123kB", server.url())).expect("a URL");
    let mut connection = Connection::connect(&named.with_application_name("node 7"), soon()).expect("it is there");
    let sql = "SELECT current_setting('application_name') || current_setting('work_mem')";
    let rows = connection.query(sql, &[], soon()).expect("it is right");
    assert_eq!(rows.first().and_then(|row| row.text(0).map(str::to_owned)), Ok("node 7123kB".to_owned()));
}

#[test]
fn hosts_that_are_down_or_read_only_are_passed_over() {
    let Some(server) = Postgres::shared() else { return };
    let standby = Options { standby: true, ..Options::default() };
    let Some(standby) = Postgres::start(&standby) else { return };
    let read_only = [("default_transaction_read_only", "on")];
    let read_only = Options { settings: read_only.to_vec(), ..Options::default() };
    let Some(read_only) = Postgres::start(&read_only) else { return };
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback").port();
    let hosts = format!("127.0.0.1:{closed},127.0.0.1:{},127.0.0.1:{}", standby.port(), read_only.port());
    let url = format!("postgres://punctual:{PASSWORD}@{hosts},127.0.0.1:{}/postgres", server.port());
    let port = "SELECT current_setting('port')::int8";
    assert_eq!(number(&mut connected(&url), port), i64::from(server.port()));
    let url = format!("postgres://punctual:{PASSWORD}@{hosts}/postgres");
    let why = refused(&url).to_string();
    for part in ["Connection refused", "it is a standby", "it is read-only"] {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(number(&mut connected(&format!("{url}?target_session_attrs=any")), port), i64::from(standby.port()));
}

#[test]
fn a_server_that_ends_says_so_and_one_that_is_killed_does_not() {
    let Some(mut server) = Postgres::start(&Options::default()) else { return };
    let sleep = |url: &str| {
        let mut connection = connected(url);
        let pid = connection.pid();
        let waiting = thread::spawn(move || {
            let slept = connection.query("SELECT pg_sleep(600)", &[], soon());
            (connection, slept.expect_err("it never ends"))
        });
        let mut other = connected(url);
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
        while other.query(sleeps, &[&pid], soon()).and_then(|rows| rows.first()?.i64(0)) == Ok(0) {
            thread::yield_now();
        }
        waiting
    };
    let mut idle = connected(&server.url());
    let waiting = sleep(&server.url());
    server.restart();
    let (mut connection, why) = waiting.join().expect("no panic");
    assert_eq!((why.sqlstate(), why.is_lost(), why.sent()), (Some("57P01"), true, Some(Sent::Whole)), "{why}");
    let again = connection.query("SELECT 1", &[], soon()).expect_err("it is lost");
    assert_eq!((again.is_lost(), again.sent(), connection.is_lost()), (true, Some(Sent::Nothing), true));
    // One that was idle meanwhile hears of it before anything is sent.
    let why = idle.execute("SELECT 1", &[], soon()).expect_err("it is lost");
    assert_eq!((why.sqlstate(), why.sent()), (Some("57P01"), Some(Sent::Nothing)), "{why}");

    let waiting = sleep(&server.url());
    server.kill();
    let (_, why) = waiting.join().expect("no panic");
    assert_eq!((why.sqlstate(), why.is_lost(), why.sent()), (None, true, Some(Sent::Whole)), "{why}");
    let why = refused(&server.url());
    assert!(why.to_string().contains("Connection refused"), "{why}");
    server.start_again();
    number(&mut connected(&server.url()), "SELECT 1::int8");
}

#[test]
fn a_backend_that_is_ended_by_another_session_costs_its_connection() {
    let Some(url) = Postgres::database() else { return };
    let (mut connection, mut other) = (connected(&url), connected(&url));
    let sql = "SELECT pg_terminate_backend($1)::text";
    other.query(sql, &[&connection.pid()], soon()).expect("it may");
    let why = loop {
        if let Err(why) = connection.notifications(soon()) {
            break why;
        }
    };
    assert_eq!((why.sqlstate(), why.is_lost()), (Some("57P01"), true), "{why}");
}

#[test]
fn a_server_that_is_silent_costs_no_more_than_the_deadline() {
    // One that takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let hosts = format!("127.0.0.1:{port},127.0.0.1:{port}");
    for mode in ["disable", "require"] {
        let url = Url::parse(&format!("postgres://me:pw@{hosts}/base?sslmode={mode}")).expect("a URL");
        let begin = Instant::now();
        let why = Connection::connect(&url, clock::mono().plus(Duration::from_millis(300))).expect_err("it is silent");
        assert!(why.to_string().matches("did not answer in time").count() == 2, "{why}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
    let Some(url) = Postgres::database() else { return };
    let mut connection = connected(&url);
    let why = connection.query("SELECT pg_sleep(600)", &[], clock::mono().plus(Duration::from_millis(200)));
    assert_eq!(why.map(|rows| rows.len()), Err(Error::Timeout { sent: Sent::Whole }));
    assert!(connection.query("SELECT 1", &[], soon()).expect_err("it is lost").is_lost());
}

#[test]
fn a_name_that_leads_nowhere_is_told_with_its_host() {
    let url = Url::parse("postgres://me:pw@no-such-host.invalid/base?sslmode=disable").expect("a URL");
    let why = Connection::connect(&url, clock::mono().plus(Duration::from_secs(20))).expect_err("it is nowhere");
    assert!(matches!(&why, Error::Connect(hosts) if hosts[0].0 == "no-such-host.invalid:5432"), "{why}");
}

#[test]
fn after_a_failover_neither_what_was_left_behind_is_used_nor_another_server() {
    let Some(mut first) = Postgres::start(&Options::default()) else { return };
    let mut second = first.standby(&Options::default());
    // Made anew, where the others are copies of one.
    let other = Options { auth: "md5", ..Options::default() };
    let mut other = Postgres::start(&other).expect("there is one already");
    other.stop();
    let hosts = [first.port(), second.port(), other.port()].map(|port| format!("127.0.0.1:{port}")).join(",");
    let url = Url::parse(&format!("postgres://{USER}:{PASSWORD}@{hosts}/postgres")).expect("it is right");
    let used = |url: &Url| number(&mut Connection::connect(url, soon()).expect("one is usable"), PORT);
    assert_eq!(used(&url), i64::from(first.port()));
    first.stop();
    second.promote();
    assert_eq!(used(&url), i64::from(second.port()));
    first.start_again();
    assert_eq!(used(&url), i64::from(second.port()), "the first one has not what was written since");
    second.stop();
    other.start_again();
    let why = Connection::connect(&url, soon()).expect_err("none is the one that is meant").to_string();
    for expected in ["it was left behind by a failover: it is on timeline 1", "it is another PostgreSQL"] {
        assert!(why.contains(expected), "{why}");
    }
    // Whoever starts again decides anew.
    assert_eq!(used(&Url::parse(&first.url()).expect("it is right")), i64::from(first.port()));
}

const PORT: &str = "SELECT current_setting('port')::int8";
