//! Owns a terminal as somebody sits at it: what he reads, and what he types; and what is different there.
//! It must not test what commands do: the other rooms do.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;

use super::support::PATIENCE;
use super::support::server::end_of;
use super::{Ran, Setup};

/// Runs a command on a terminal of its own, with this typed. What is read there is in `out`, whichever way it came.
pub(super) fn on_terminal(mut command: Command, typed: &str) -> Ran {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("this machine has terminals");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let open = || {
        let other = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty());
        Stdio::from(other.expect("it is ours"))
    };
    command.stdin(open()).stdout(open()).stderr(open());
    let mut master = File::from(master);
    master.write_all(typed.as_bytes()).expect("it takes a line");
    let mut child = command.spawn().expect("the binary is there");
    // The command holds the other end, which is to be closed when the child ends.
    drop(command);
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    // It ends with an error when nobody has the other end.
    while let Ok(length @ 1..) = master.read(&mut part) {
        seen.extend_from_slice(&part[..length]);
    }
    let status = end_of(&mut child, PATIENCE);
    let out = String::from_utf8(seen).expect("it prints text").replace("\r\n", "\n");
    Ran { code: status.code().expect("it ends by itself"), out, err: String::new() }
}

#[test]
fn whoever_sits_at_a_terminal_is_asked_before_something_is_deleted() {
    let test = Setup::new(&[]);
    let ids = ["a", "b", "c"].map(|name| test.job(name, "/ok"));
    // In a pipe there is nobody to ask, whatever comes out of it.
    let piped = test.feed(&["job", "rm", "a"], "y\n").ends(2);
    assert!(piped.out.is_empty() && piped.err.contains("--yes"), "{piped:?}");
    for (typed, code) in [("n\n", 3), ("\n", 3), ("\u{4}", 3), ("yes please\n", 3)] {
        let asked = on_terminal(test.command(&["job", "rm", "a"]), typed).ends(code);
        assert!(asked.out.contains("Delete a? [y/N]"), "{asked:?}");
        assert_eq!(test.told(&ids[0])["name"], "a", "{typed:?}");
    }
    on_terminal(test.command(&["job", "rm", "a", "b"]), "y\n").ends(0).prints(&["Delete 2 jobs?", "b deleted"]);
    assert_eq!(test.says(&["job", "ls", "-o", "name"]), "c\n");
    let asked = on_terminal(test.command(&["job", "rm", "--yes", "c"]), "").ends(0);
    assert_eq!(asked.out, "c deleted\n");

    // The same where files decide what is deleted.
    let job =
        |name: &str| json!({ "name": name, "schedule": "@yearly", "api": "http://a.example/", "type": "ATLEAST_ONCE" });
    let both = test.file("both.json", &json!([job("x"), job("y")]).to_string());
    let one = test.file("one.json", &job("x").to_string());
    let apply = |file: &std::path::Path| {
        test.command(&["apply", "--owner", "me", "--prune", "-f", file.to_str().expect("a text")])
    };
    on_terminal(apply(&both), "").ends(0).prints(&["created 2"]);
    let asked = on_terminal(apply(&one), "n\n").ends(3);
    assert!(asked.out.contains("Delete 1 that are not in the files (y)? [y/N]"), "{asked:?}");
    assert_eq!(test.says(&["job", "ls", "-o", "name", "--sort", "name"]), "x\ny\n");
    on_terminal(apply(&one), "y\n").ends(0).prints(&["deleted 1"]);
    assert_eq!(test.says(&["job", "ls", "-o", "name"]), "x\n");
}

#[test]
fn there_are_colours_and_progress_on_a_terminal_and_nowhere_else() {
    let test = Setup::new(&[]);
    test.job("a", "/ok");
    test.says(&["job", "run", "--wait", "a"]);
    let file = test.file("b.yaml", "name: b\nschedule: '@yearly'\napi: http://a.example/\ntype: ATLEAST_ONCE\n");
    let file = file.to_str().expect("it is a text");
    let commands: &[&[&str]] = &[
        &["job", "ls"],
        &["job", "get", "a"],
        &["execution", "ls"],
        &["execution", "tail"],
        &["apply", "--dry-run", "-f", file],
    ];
    for words in commands {
        let code = if words[0] == "apply" { 3 } else { 0 };
        let shown = on_terminal(test.command(words), "").ends(code);
        assert!(shown.out.contains("\u{1b}[32m") && shown.out.contains("\u{1b}[0m"), "{words:?}: {shown:?}");
        let piped = test.run(words).ends(code);
        assert!(!format!("{}{}", piped.out, piped.err).contains(['\u{1b}', '\r']), "{words:?}: {piped:?}");
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let mut command = test.command(words);
            command.env(name, value);
            let plain = on_terminal(command, "").ends(code);
            let coloured = ["\u{1b}[3", "\u{1b}[2m", "\u{1b}[0m"].iter().any(|colour| plain.out.contains(colour));
            assert!(!coloured, "{words:?}: {plain:?}");
        }
        let mut empty = test.command(words);
        empty.env("NO_COLOR", "");
        assert!(on_terminal(empty, "").out.contains("\u{1b}[32m"), "{words:?}");
    }
    // Without colours it says the same.
    let shown = on_terminal(test.command(&["job", "ls"]), "").out;
    let plain: String = ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m", "\r\u{1b}[K"]
        .iter()
        .fold(shown, |text, colour| text.replace(colour, ""));
    assert_eq!(plain, test.says(&["job", "ls"]));
    // Data for programs has none there either.
    for format in ["json", "yaml", "name"] {
        let shown = on_terminal(test.command(&["job", "ls", "-o", format]), "").ends(0);
        assert!(!shown.out.replace("\r\u{1b}[K", "").contains('\u{1b}'), "{shown:?}");
    }
    let applied = on_terminal(test.command(&["apply", "-f", file]), "").ends(0);
    assert!(
        applied.out.contains("\rcompared 1 of 1\u{1b}[K") && applied.out.contains("\rapplied 1 of 1"),
        "{applied:?}"
    );
}
