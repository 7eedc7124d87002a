//! What stands in `contrib/` for those who install the server: units that systemd takes, and names that the server knows.
//! It must not need a systemd that runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const UNITS: [&str; 2] = ["punctual.service", "punctual.socket"];

/// What makes the service a node, and where that goes.
const NODE: (&str, &str) = ("systemd/node.conf", "punctual.service.d");

fn contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(contrib(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// `systemd-analyze` with these words, about the units as they are after the installation; what it says. None: left out.
fn analyzed(words: &[&str], units: &[&str], is_node: bool) -> Option<(bool, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("systemd-analyze");
    command.args(words);
    for name in UNITS {
        // The binary is not installed here; there is one all the same.
        let unit = text(&format!("systemd/{name}")).replace("/usr/bin/punctual", env!("CARGO_BIN_EXE_punctual"));
        fs::write(folder.path().join(name), unit).expect("it can be written");
    }
    let (drop_in, place) = NODE;
    let place = folder.path().join(place);
    if is_node {
        fs::create_dir(&place).expect("there is room");
        fs::write(place.join("node.conf"), text(drop_in)).expect("it can be written");
    }
    command.args(units.iter().map(|name| folder.path().join(name)));
    let output = match command.stdin(Stdio::null()).output() {
        Err(why) if why.kind() == ErrorKind::NotFound => {
            let require = std::env::var_os("PUNCTUAL_REQUIRE_SYSTEMD").is_some();
            assert!(!require, "PUNCTUAL_REQUIRE_SYSTEMD is set, and there is no systemd-analyze");
            eprintln!("LEFT OUT: there is no systemd-analyze");
            return None;
        }
        output => output.expect("it can be started"),
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some((output.status.success(), said))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    for is_node in [false, true] {
        let Some((is_well, said)) = analyzed(&["verify"], &UNITS, is_node) else { return };
        assert!(is_well && said.is_empty(), "{said}");
    }
}

#[test]
fn the_service_may_do_little_beside_its_work() {
    // Of 10 for a service that may do all that root may, in tenths (systemd.exec(5)).
    let words = ["security", "--offline=true", "--no-pager", "--threshold=20"];
    let Some((is_well, said)) = analyzed(&words, &UNITS[..1], false) else { return };
    assert!(is_well && said.contains("Overall exposure level"), "{said}");
}

/// What the binary tells of itself.
fn help(words: &[&str]) -> String {
    let told = Command::new(env!("CARGO_BIN_EXE_punctual")).args(words).output().expect("it is built");
    assert!(told.status.success(), "{told:?}");
    String::from_utf8(told.stdout).expect("it prints text")
}

#[test]
fn every_variable_that_is_set_there_is_one_of_a_flag() {
    let help = help(&["serve", "--help"]) + &help(&["health", "--help"]);
    for (path, one) in [
        ("systemd/punctual.service", "PUNCTUAL_DB"),
        ("docker/Dockerfile", "PUNCTUAL_DB"),
        (NODE.0, "PUNCTUAL_STORE"),
        ("docker/compose.yaml", "PUNCTUAL_STORE"),
    ] {
        let text = text(path);
        let names: Vec<&str> = text
            .split(|char: char| !char.is_ascii_uppercase() && char != '_')
            .filter(|word| word.starts_with("PUNCTUAL_"))
            .collect();
        assert!(names.contains(&one), "{path}: {names:?}");
        for name in names {
            assert!(help.contains(&format!("[env: {name}=")), "{path} names {name}, which is no variable of a flag");
        }
    }
}

#[test]
fn the_image_asks_its_server_by_a_command_that_there_is() {
    let dockerfile = text("docker/Dockerfile");
    let line = dockerfile.lines().find_map(|line| line.trim().strip_prefix("CMD [\"/punctual\", \"health\""));
    let words = line.expect("there is a health check").trim_end_matches(']');
    let words: Vec<&str> = words.split(',').map(|word| word.trim().trim_matches('"')).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    // What is typed there the environment could not change.
    assert!(words.is_empty(), "{words:?}");
    let help = help(&["health", "--help"]);
    assert!(help.contains("http://127.0.0.1:3000") && help.contains("[env: PUNCTUAL_URL="), "{help}");
    assert!(dockerfile.contains("PUNCTUAL_LISTEN=0.0.0.0:3000"), "that is asked unless it is said");
    // As few rights as it needs: none.
    assert!(dockerfile.contains("\nFROM scratch\n") && dockerfile.contains("\nUSER 65532:65532\n"));
}
