//! The database and its folder.

use std::fs;
use std::os::unix::process::CommandExt;

use rusqlite::Connection;

use super::support::server::Server;
use super::{Machine, chmod, examine};

/// Somebody with few rights (nobody).
const NOBODY: u32 = 65_534;

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let machine = Machine::new();
    machine.write("home/file", "in the way");
    let findings = machine.findings(&["--db=file/data/p.db"]);
    assert!(findings.wrong().contains(&"folder"), "{findings:?}");
    findings.has("FAIL", "folder", "home/file cannot be written: ");
    assert_eq!(fs::read(machine.path("home/file")).expect("it is still there"), b"in the way");

    fs::create_dir(machine.path("home/closed")).expect("it is made");
    chmod(&machine.path("home/closed"), 0o555);
    let mut command = machine.command(&["--db=closed/p.db"]);
    if rustix::process::geteuid().is_root() {
        // Nothing is closed for root. Somebody else reaches the folder, and the binary, only where he is let in.
        chmod(machine.0.path(), 0o755);
        let copy = machine.path("bin/punctual");
        if fs::hard_link(command.get_program(), &copy).is_err() {
            fs::copy(command.get_program(), &copy).expect("there is room");
        }
        let mut other = std::process::Command::new(copy);
        other.args(command.get_args()).uid(NOBODY).gid(NOBODY);
        command = machine.set(other);
    }
    let findings = examine(command);
    assert!(findings.wrong().contains(&"folder"), "{findings:?}");
    findings.has("FAIL", "folder", "home/closed cannot be written: Permission denied");
    assert!(findings.of("disk").is_empty(), "nothing was tried there");
}

#[test]
fn what_is_no_database_of_ours_is_told_and_left_alone() {
    let machine = Machine::new();
    let db = machine.path("home/p.db");
    machine.findings(&["--db=p.db"]).has("OK", "database", "not there yet").has("OK", "folder", "home can be written");
    assert!(!db.exists());
    machine.write("home/p.db", "a text, and no database");
    chmod(&db, 0o600);
    machine.findings(&["--db=p.db"]).has("FAIL", "database", "not a SQLite database");
    assert_eq!(fs::read(&db).expect("it is there"), b"a text, and no database");
    fs::remove_file(&db).expect("it is there");
    Connection::open(&db).and_then(|db| db.execute_batch("CREATE TABLE theirs (a)")).expect("it can be made");
    machine.findings(&["--db=p.db"]).has("FAIL", "database", "another program");
    machine.findings(&["--db=../home"]).has("FAIL", "configuration", "it is a folder");

    fs::remove_file(&db).expect("it is there");
    Server::start(&db, &["--max-in-flight", "1"]).stop();
    let before = fs::read(&db).expect("it is there");
    let listed = || fs::read_dir(machine.path("home")).expect("it is there").count();
    let count = listed();
    let findings = machine.findings(&["--db=p.db"]);
    assert_eq!(findings.wrong(), [""; 0], "{findings:?}");
    findings.has("OK", "database", "and nobody has it");
    assert_eq!(listed(), count, "nothing is left beside it");
    chmod(&db, 0o644);
    machine.findings(&["--db=p.db"]).has("WARN", "database", "can be read by others");
    assert!(fs::read(&db).expect("it is there") == before, "it was only looked at");
}

#[test]
fn room_is_held_against_what_may_be_kept() {
    let machine = Machine::new();
    // As many as there may be: no test machine has a terabyte to spare beside its own.
    let findings = machine.findings(&["--keep-mib=1000000"]);
    let free = findings.0.iter().find(|finding| finding["check"] == "free space").expect("it was looked at");
    let bytes = free["figures"]["freeBytes"].as_f64().expect("a number");
    let is_less = bytes < 1e6 * f64::from(1 << 20);
    assert_eq!(free["level"] != "OK", is_less, "{free}");
    assert!(free["found"].as_str().expect("a text").contains("of --keep-mib 1000000"), "{free}");
}
