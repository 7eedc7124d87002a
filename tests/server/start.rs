//! A start that must not happen: an exit code, one line that names what is in the way, and nothing touched.
//! It must not test a server that runs.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;

use super::support::api::Api;
use super::support::server::{Refused, Server, command, end_of};
use super::support::until;

pub fn refused(flags: &[&str], code: i32) -> String {
    let Refused { code: found, stderr, stdout } = Server::refused(command(flags));
    assert_eq!((found, stdout.as_str()), (Some(code), ""), "{stderr}");
    assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "one line: {stderr:?}");
    assert!(stderr.starts_with("punctual: "), "{stderr}");
    stderr
}

/// The server does not open this file, says so by name, and leaves it as it was.
fn does_not_open(path: &Path, why: &str) {
    let before = fs::read(path).expect("it is there");
    let text = path.to_str().expect("it is text");
    let line = refused(&["--listen", "127.0.0.1:0", "--db", text], 1);
    assert!(line.contains(text) && line.contains(why), "{line}");
    assert!(fs::read(path).expect("it is still there") == before, "the file was touched");
    // SQLite may make an empty one to read; with content, it would change what the next reader finds.
    let log = path.with_file_name("p.db-wal");
    assert!(fs::metadata(log).map_or(0, |log| log.len()) == 0, "something was written beside the file");
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let db = folder.path().join("p.db");
    let line = refused(&["--listen", &address, "--db", db.to_str().expect("it is text")], 1);
    assert!(line.contains(&address), "{line}");
    assert!(!db.exists(), "nothing is made before the port is ours");
}

#[cfg(target_os = "linux")]
#[test]
fn a_greeting_that_nobody_can_read_keeps_no_server_from_serving() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("there is a free port");
    let mut command = command(&["--listen", &address.to_string(), "--log", "error"]);
    command.arg("--db").arg(folder.path().join("p.db"));
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there"));
    let mut child = command.spawn().expect("the binary is there");
    let api = Api::new(&address.to_string());
    until("it serves", || api.try_send("GET", "/livez", None).ok().map(drop));
    let signal = Command::new("kill").arg(child.id().to_string()).status();
    assert!(signal.expect("kill is there").success());
    assert!(end_of(&mut child, Duration::from_secs(60)).success(), "it stops as ever");
}

#[test]
fn files_that_are_not_ours_or_not_whole_are_not_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    fs::write(&db, "a text, and no database").expect("it can be written");
    does_not_open(&db, "not a SQLite database");

    fs::remove_file(&db).expect("it is there");
    Connection::open(&db).and_then(|db| db.execute_batch("CREATE TABLE theirs (a)")).expect("it can be made");
    does_not_open(&db, "another program");

    fs::remove_file(&db).expect("it is there");
    Server::start(&db, &["--max-in-flight", "1"]).stop();
    let whole = fs::read(&db).expect("it is there");
    fs::write(&db, &whole[..8_192]).expect("it can be written");
    does_not_open(&db, "");

    let mut scrambled = whole.clone();
    scrambled[100..4_096].fill(0xaa);
    fs::write(&db, &scrambled).expect("it can be written");
    does_not_open(&db, "");

    fs::write(&db, &whole).expect("it can be written");
    let connection = Connection::open(&db).expect("it is whole");
    connection.pragma_update(None, "user_version", 99).expect("it can be set");
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).expect("it can be set");
    connection.close().expect("it can be closed");
    does_not_open(&db, "version 99");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("it can be written");
    for db in [file.join("p.db"), file.join("sub/p.db")] {
        let line = refused(&["--listen", "127.0.0.1:0", "--db", db.to_str().expect("it is text")], 1);
        assert!(line.contains(file.to_str().expect("it is text")), "{line}");
    }
    assert_eq!(fs::read(&file).expect("it is still there"), b"x");
    // A folder is no file.
    let text = folder.path().to_str().expect("it is text");
    assert!(refused(&["--listen", "127.0.0.1:0", "--db", text], 1).contains(text));
}

#[test]
fn a_second_server_on_the_same_file_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let server = Server::start(&db, &["--max-in-flight", "1"]);
    server.api.create("@daily", "http://a/");
    let before = fs::read(&db).expect("it is there");
    let text = db.to_str().expect("it is text");
    let line = refused(&["--listen", "127.0.0.1:0", "--db", text], 1);
    assert!(line.contains(text) && line.contains("another process is using it"), "{line}");
    assert!(fs::read(&db).expect("it is still there") == before, "the file was touched");
    assert_eq!(server.api.get("/api/jobs")["jobs"].as_array().map(Vec::len), Some(1));
    server.stop();
    // The lock goes with the process.
    let again = Server::start(&db, &["--max-in-flight", "1"]);
    assert!(again.greeting.contains("(1 job loaded)"), "{}", again.greeting);
}

#[test]
fn a_wrong_value_is_named_with_what_was_expected() {
    for (flag, value, expected) in [
        ("--listen", "localhost", "an address and a port"),
        ("--listen", "unix:here.sock", "the whole path of a socket"),
        ("--listen", "https://127.0.0.1:0", "--tls-cert and --tls-key with https"),
        ("--listen-mode", "u=rw", "an octal mode"),
        ("--tls-cert", "c.pem", "--tls-key beside it"),
        ("--tls-key", "k.pem", "--tls-cert beside it"),
        ("--db", "", "the path of a file"),
        ("--max-in-flight", "0", "a number from 1 to 100000"),
        ("--workers", "65", "a number from 1 to 64"),
        ("--timeout-ms", "1s", "a number from 1 to 3600000"),
        ("--retries", "-1", "a number from 0 to 100"),
        ("--retry-delay-ms", "3600001", "a number from 0 to 3600000"),
        ("--misfire", "never", "once, all or skip"),
        ("--max-lateness-ms", "999", "a number from 1000 to 604800000"),
        ("--drain-ms", "x", "a number from 0 to 3600000"),
        ("--keep-days", "0", "a number from 1 to 3650"),
        ("--keep-per-job", "0", "a number from 1 to 100000000"),
        ("--keep-mib", "15", "a number from 16 to 1000000"),
        ("--alert-webhook", "example.com", "an absolute"),
        ("--targets", "public;lan", "any, public, lan or networks"),
        ("--cors-origin", "https://example.com/", "no path"),
        ("--allowed-host", "http://a", "no scheme, no port"),
        ("--trusted-proxy", "10.0.0.0/33", "an address or a network"),
        ("--log", "loud", "one of error, warn, info, debug"),
        ("--log-format", "xml", "one of text, json"),
    ] {
        let line = refused(&[&format!("{flag}={value}")], 2);
        assert!(line.contains(flag) && line.contains(&format!("{value:?}")) && line.contains(expected), "{line}");
        // The same through the environment.
        let variable = format!("PUNCTUAL_{}", flag[2..].replace('-', "_").to_ascii_uppercase());
        let mut command = command(&[]);
        command.env(&variable, value);
        let refused = Server::refused(command);
        assert_eq!(refused.code, Some(2), "{variable}");
        assert!(refused.stderr.contains(&variable) && refused.stderr.lines().count() == 1, "{}", refused.stderr);
    }
}

#[test]
fn an_unknown_flag_or_command_is_a_usage_error() {
    assert!(refused(&["--colour", "red"], 2).contains("--colour"));
    assert!(refused(&["paint"], 2).contains("paint"));
    assert!(refused(&["--retries"], 2).contains("--retries"));
    assert!(refused(&["--retries", "1", "--retries", "2"], 2).contains("--retries"));
}

#[test]
fn help_names_every_flag_with_its_variable_and_version_the_version() {
    let help = Server::refused(command(&["--help"]));
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    // Lines are wrapped to the width of the terminal.
    let text = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for flag in [
        "listen",
        "listen-mode",
        "tls-cert",
        "tls-key",
        "db",
        "max-in-flight",
        "timeout-ms",
        "retries",
        "retry-delay-ms",
        "misfire",
        "max-lateness-ms",
        "drain-ms",
        "keep-days",
        "keep-per-job",
        "keep-mib",
        "alert-webhook",
        "targets",
        "cors-origin",
        "allowed-host",
        "trusted-proxy",
        "log",
        "log-format",
    ] {
        let variable = format!("PUNCTUAL_{}", flag.replace('-', "_").to_ascii_uppercase());
        assert!(text.contains(&format!("--{flag} <")), "--{flag}: {text}");
        assert!(text.contains(&format!("[env: {variable}=")), "{variable}: {text}");
    }
    assert_eq!(Server::refused(command(&["serve", "--help"])).code, Some(0));
    let version = Server::refused(command(&["--version"]));
    assert_eq!((version.code, version.stdout), (Some(0), format!("punctual {}\n", env!("CARGO_PKG_VERSION"))));
}
