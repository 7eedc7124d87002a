//! The clock, limits, names, and how findings are told.

use std::process::Command;

use super::support::server::command;
use super::{Machine, examine};

#[test]
fn on_a_machine_that_is_well_nothing_is_wrong_and_nothing_is_left() {
    let machine = Machine::new();
    let findings = machine.findings(&[]);
    assert_eq!(findings.wrong(), [""; 0], "{findings:?}");
    findings.has("OK", "configuration", "valid").has("OK", "clock", "says timedatectl").has(
        "OK",
        "folder",
        "will be made",
    );
    findings.has("OK", "database", "not there yet").has("OK", "port", "any free one").has("OK", "secret files", "none");
    let disk = findings.0.iter().find(|finding| finding["check"] == "disk").expect("it was tried");
    let figure = |name: &str| disk["figures"][name].as_f64().expect("a number");
    assert!(figure("p50Ms") <= figure("maxMs"), "{disk}");
    for check in ["zone data", "open files", "memory", "free space", "resolver", "roots"] {
        assert_eq!(findings.of(check).len(), 1, "{check}: {findings:?}");
    }
    let left = std::fs::read_dir(machine.path("home")).expect("it is there").count();
    assert_eq!(left, 0, "it leaves nothing behind");
}

#[test]
fn people_get_lines_with_what_to_do_and_a_sum() {
    let machine = Machine::new();
    machine.program("timedatectl", "echo no");
    let mut command = machine.set(command(&["doctor", "--listen", "127.0.0.1:0"]));
    let output = command.output().expect("the binary is there");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{out}{err}");
    let lines: Vec<&str> = out.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("FAIL  clock          not synchronised")).expect("a line");
    assert!(lines[at + 1].starts_with("                     -> everything fires by it"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours in a pipe");
    assert!(err.starts_with("punctual: ") && err.contains(" wrong, ") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_configuration_that_is_wrong_is_a_finding_and_flags_that_are_none_are_an_error() {
    let machine = Machine::new();
    machine.write("home/p.toml", "retries = 'x'\ncolour = 'red'\n");
    let findings = machine.findings(&["--config", "p.toml"]);
    assert_eq!(findings.wrong(), ["configuration"; 2]);
    findings.has("FAIL", "configuration", "p.toml, line 1: retries: expected a whole number");
    findings.has("FAIL", "configuration", "p.toml, line 2: colour: expected the name of a flag");
    machine.write("home/p.toml", "retries = \n");
    machine.findings(&["--config", "p.toml"]).has("FAIL", "configuration", "p.toml, line 1: no TOML");
    machine.findings(&["--retries=101"]).has("FAIL", "configuration", "--retries: expected a number from 0 to 100");
    machine.findings(&["--time-zone=Nowhere"]).has("FAIL", "configuration", "--time-zone: expected an IANA name");
    // What is found elsewhere stands beside it.
    machine.write("home/p.toml", "listen = '127.0.0.1:0'\nca-file = 'none'\n");
    let findings = machine.findings(&["--config", "p.toml"]);
    findings.has("FAIL", "configuration", "--ca-file: failed to read none").has("OK", "clock", "synchronised");
    for words in [&["doctor", "--colour"][..], &["doctor", "-o", "xml"], &["doctor", "now"]] {
        let output = command(words).output().expect("the binary is there");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len(), err.lines().count()), (Some(2), 0, 1), "{err}");
    }
}

#[test]
fn whoever_keeps_the_clock_is_asked_and_not_waited_for() {
    let machine = Machine::new();
    machine.program("timedatectl", "echo no");
    machine.findings(&[]).has("FAIL", "clock", "not synchronised, says timedatectl");
    let tracking = |offset: &str, state: &str| {
        let line = format!("C0A80001,a,3,1764410000.1,{offset},0.0,0.0,1.2,0.0,0.1,0.02,0.001,64.2,{state}");
        machine.program("chronyc", &format!("echo '{line}'"));
    };
    tracking("-0.000120000", "Normal");
    machine.findings(&[]).has("OK", "clock", "0.120 ms off, says chrony");
    tracking("-2.5", "Normal");
    machine.findings(&[]).has("FAIL", "clock", "2500.000 ms off");
    tracking("0.0", "Not synchronised");
    machine.findings(&[]).has("FAIL", "clock", "not synchronised, says chrony");
    // One that cannot answer leaves it to the next one; of those that never do nobody waits for the end.
    machine.program("chronyc", "echo '506 Cannot talk to daemon'; exit 1");
    machine.findings(&[]).has("FAIL", "clock", "says timedatectl");
    machine.program("timedatectl", "exec /bin/sleep 600");
    let findings = machine.findings(&[]);
    let clock = findings.of("clock");
    // Unless what systemd-timesyncd leaves behind is there.
    assert!(
        clock[0].0 == "WARN" && clock[0].1.starts_with("not known") || clock[0].1.contains("timesyncd"),
        "{clock:?}"
    );
}

#[test]
fn few_open_files_are_held_against_what_is_to_be_in_flight() {
    let machine = Machine::new();
    let with = |limit: &str, flags: &[&str]| {
        let asked = machine.command(flags);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
        command.arg(asked.get_program()).args(asked.get_args());
        examine(machine.set(command))
    };
    with("512", &[]).has("FAIL", "open files", "room for 1 of 12000 POSTs in flight (512 open files)");
    with("8192", &[]).has("WARN", "open files", "of 12000 POSTs in flight (8192 open files)");
    with("8192", &["--max-in-flight=1000"]).has("OK", "open files", "room for 1000 of 1000");
}

#[test]
fn names_that_are_not_found_or_not_allowed_are_wrong() {
    let machine = Machine::new();
    // A name that is none, by RFC 6761, whoever is asked.
    let findings = machine.findings(&["--alert-webhook=https://nowhere.invalid/hook"]);
    assert_eq!(findings.wrong(), ["resolver"]);
    findings.has("FAIL", "resolver", "nowhere.invalid").has("OK", "resolver", "localhost is ");
    let findings = machine.findings(&["--alert-webhook=http://127.0.0.1:9/hook", "--targets=public"]);
    findings.has("FAIL", "resolver", "--targets public does not allow it");
    machine.findings(&["--alert-webhook=http://[::1]:9/"]).has("OK", "resolver", "[::1] is ::1");
}

#[test]
fn a_machine_without_roots_is_told() {
    let machine = Machine::new();
    machine.write("home/empty.pem", "");
    let mut command = machine.command(&[]);
    command.env("SSL_CERT_FILE", machine.path("home/empty.pem")).env_remove("SSL_CERT_DIR");
    examine(command).has("WARN", "roots", "this machine has none: those that are built in are trusted");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    machine.write("home/own.pem", &made.cert.pem());
    let mut command = machine.command(&["--ca-file=own.pem"]);
    command.env("SSL_CERT_FILE", machine.path("home/own.pem")).env_remove("SSL_CERT_DIR");
    examine(command).has("OK", "roots", "1 of this machine, and 1 of --ca-file");
}
