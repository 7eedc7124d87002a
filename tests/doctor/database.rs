//! A database on PostgreSQL: what only a real one can say of itself.

use super::Machine;
use super::support::postgres::{Options, PASSWORD, Postgres, USER};

#[test]
fn a_postgresql_is_looked_at_and_left_as_it_was() {
    let Some(server) = Postgres::shared() else { return };
    let machine = Machine::new();
    let url = server.new_database();
    let findings = machine.findings(&["--store", &url]);
    findings.has("OK", "database", "nothing of Punctual's in it yet").has("OK", "database", ": PostgreSQL ");
    // This one is quick, as nobody pulls its plug.
    findings.has("FAIL", "durability", "fsync=off").has("OK", "sessions", "more").has("OK", "clock skew", "ms between");
    assert!(!format!("{findings:?}").contains(PASSWORD), "{findings:?}");
    let name = url.rsplit('/').next().expect("its database");
    assert_eq!(server.ask_of(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");

    server.ask_of(name, "CREATE ROLE reader LOGIN PASSWORD 'another'; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let as_reader = url.replace(&format!("{USER}:{PASSWORD}"), "reader:another");
    machine.findings(&["--store", &as_reader]).has("FAIL", "database", "its user may not make tables");
    let wrong = url.replace(PASSWORD, "wrong");
    machine.findings(&["--store", &wrong]).has("FAIL", "database", "28P01");
}

#[test]
fn what_a_server_is_set_to_is_told_where_a_promise_depends_on_it() {
    let settings = vec![("synchronous_commit", "off"), ("idle_session_timeout", "30min"), ("max_connections", "8")];
    let Some(server) = Postgres::start(&Options { settings, ..Options::default() }) else { return };
    let findings = Machine::new().findings(&["--store", &server.url()]);
    findings.has("WARN", "durability", "synchronous_commit=off").has("FAIL", "sessions", "and a node has up to 7");
    assert_eq!(findings.wrong(), ["sessions"]);
}
