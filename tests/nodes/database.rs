//! Owns the database of a test: a primary and a standby that each commit waits for, which takes its place.
//! It must not know who uses it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::proxy::Ports;
use crate::support::postgres::{Options, PASSWORD, Postgres, USER};
use crate::support::until;

/// Two servers, one of which is written to.
pub struct Database {
    servers: [Option<Postgres>; 2],
    /// Which of them is the primary.
    primary: usize,
    /// Where they are.
    pub ports: Arc<Ports>,
    name: String,
    /// The process by which the standby follows, while it stands still.
    receiver: Option<u32>,
}

fn options() -> Options {
    let settings = vec![
        // Processes are killed here, and machines are not.
        ("fsync", "off"),
        ("max_connections", "100"),
        ("wal_retrieve_retry_interval", "100ms"),
        ("log_min_messages", "warning"),
        ("log_lock_waits", "on"),
    ];
    Options { settings, ..Options::default() }
}

impl Database {
    /// None: there is no PostgreSQL here, which was said.
    pub fn start() -> Option<Database> {
        let first = Postgres::start(&options())?;
        let url = first.new_database();
        let name = url.rsplit_once('/').expect("it ends with its name").1.to_owned();
        let ports = Arc::new([AtomicU16::new(first.port()), AtomicU16::new(0)]);
        let mut database = Database { servers: [Some(first), None], primary: 0, ports, name, receiver: None };
        database.follow();
        Some(database)
    }

    /// For a node that reaches it at these hosts.
    pub fn url(&self, hosts: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@{hosts}/{}?connect_timeout=4", self.name)
    }

    /// What the primary says.
    pub fn ask(&self, sql: &str) -> String {
        self.primary().ask_of(&self.name, sql)
    }

    /// Kills the primary.
    pub fn kill(&mut self) {
        self.primary().kill();
    }

    /// Starts the primary that was killed.
    pub fn start_again(&mut self) {
        let server = self.servers[self.primary].as_mut().expect("there is a primary");
        server.start_again();
        self.ports[self.primary].store(server.port(), Ordering::SeqCst);
    }

    /// The standby becomes the primary, as that was killed. Nothing follows it yet.
    pub fn replace(&mut self) {
        let standby = 1 - self.primary;
        // It must not come back.
        self.ports[self.primary].store(0, Ordering::SeqCst);
        self.servers[self.primary] = None;
        self.servers[standby].as_ref().expect("there is a standby").promote();
        self.primary = standby;
    }

    /// Makes a standby that follows the primary, and has each commit wait for it.
    pub fn follow(&mut self) {
        let standby = self.primary().standby(&options());
        let place = 1 - self.primary;
        self.ports[place].store(standby.port(), Ordering::SeqCst);
        self.servers[place] = Some(standby);
        let primary = self.primary();
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.ask("SELECT pg_reload_conf()");
        until("the standby follows", || {
            (primary.ask("SELECT sync_state FROM pg_stat_replication") == "sync").then_some(())
        });
    }

    /// Whether the primary takes nothing that changes something.
    pub fn set_read_only(&self, is_read_only: bool) {
        let state = if is_read_only { "on" } else { "off" };
        self.primary().ask(&format!("ALTER SYSTEM SET default_transaction_read_only = {state}"));
        self.primary().ask("SELECT pg_reload_conf()");
    }

    /// Ends every session but that of the standby.
    pub fn end_sessions(&self) {
        self.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    }

    /// Signals the process of the standby that takes in what the primary writes.
    pub fn signal_standby(&mut self, name: &str) {
        let standby = self.servers[1 - self.primary].as_ref().expect("there is a standby");
        if name == "STOP" {
            self.receiver =
                Some(until("the standby follows", || standby.ask("SELECT pid FROM pg_stat_wal_receiver").parse().ok()));
        }
        let id: u32 = self.receiver.expect("it was stopped before");
        let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
        assert!(sent.expect("kill is there").success(), "the standby's receiver is gone");
    }

    fn primary(&self) -> &Postgres {
        self.servers[self.primary].as_ref().expect("there is a primary")
    }
}

/// A rest.
pub fn rest_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
