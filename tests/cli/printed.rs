//! Owns what goes where: data to standard output, all else to standard error; how errors look; and what a schedule means.
//! It must not need a terminal: `terminal` has what is different there.

use std::process::Stdio;

use serde_json::Value;

use super::{Ran, Setup, run};

/// Expects one error with this line of the command underlined.
#[track_caller]
fn underlined(ran: &Ran, argument: &str) {
    assert!(ran.out.is_empty() && ran.err.starts_with("punctual: "), "{ran:?}");
    let lines: Vec<&str> = ran.err.lines().collect();
    let place = lines.iter().position(|line| line.trim_start().starts_with('^')).unwrap_or_else(|| panic!("{ran:?}"));
    let letters = |line: &str, from: usize, to: usize| line.chars().skip(from).take(to - from).collect::<String>();
    let start = lines[place].chars().take_while(|char| *char == ' ').count();
    let end = lines[place].chars().count();
    assert_eq!(letters(lines[place - 1], start, end), argument, "{ran:?}");
    assert!(lines[place - 1].trim_start().starts_with("punctual "), "{ran:?}");
}

#[test]
fn an_error_underlines_the_argument_that_is_wrong() {
    let test = Setup::new(&[]);
    let url = test.receiver.url("/ok");
    for (words, argument) in [
        (&["job", "create", "61 * * * *", &url][..], "'61 * * * *'"),
        (&["job", "create", "@yearly", "gopher://a.example", "--name", "gopher"], "gopher://a.example"),
        (&["job", "create", "@yearly", &url, "--tz", "Europe/Berlinn"], "Europe/Berlinn"),
        (&["job", "create", "@yearly", &url, "--tz=Europe/Berlinn"], "--tz=Europe/Berlinn"),
        (
            &["job", "create", "@yearly", &url, "--name", "ä\u{fc}", "--set", "retry.maxAttempts=-1"],
            "retry.maxAttempts=-1",
        ),
        (&["job", "create", "--at", "yesterday", &url], "yesterday"),
        (&["schedule", "preview", "0 0 30 2"], "'0 0 30 2'"),
        (&["schedule", "preview", "@daily", "--tz", "Mars/Olympus"], "Mars/Olympus"),
    ] {
        underlined(&test.run(words).ends(2), argument);
    }
    // A mistake in the words themselves is said in one line.
    for words in [
        &["job", "fly"][..],
        &["job", "ls", "--lmit", "3"],
        &["job", "ls", "--limit", "many"],
        &["job", "get"],
        &["apply"],
    ] {
        let ran = test.run(words).ends(2);
        assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1), "{ran:?}");
        assert!(ran.err.starts_with("punctual: ") && ran.err.contains("--help"), "{ran:?}");
    }
}

#[test]
fn data_is_on_standard_output_and_all_else_on_standard_error() {
    let test = Setup::new(&[]);
    let url = test.receiver.url("/ok");
    let made = test.run(&["job", "create", "0 0 1,15 * 1", &url, "--name", "a"]).ends(0);
    assert_eq!(made.out.lines().count(), 1, "{made:?}");
    assert!(made.err.lines().count() > 1, "{made:?}");
    let json = test.run(&["job", "create", "@yearly", &url, "-o", "json"]).ends(0);
    serde_json::from_str::<Value>(&json.out).expect("it is JSON");
    for words in [
        &["job", "ls", "--limit", "1"][..],
        &["execution", "ls"],
        &["job", "get", "a"],
        &["schedule", "preview", "@daily"],
    ] {
        let ran = test.run(&[words, &["-o", "json"]].concat()).ends(0);
        serde_json::from_str::<Value>(&ran.out).unwrap_or_else(|why| panic!("{why}: {ran:?}"));
    }
    // A failure leaves nothing there.
    for words in [&["job", "get", "nobody"][..], &["execution", "get", "x"], &["job", "run", "nobody", "-o", "json"]] {
        let ran = test.run(words);
        assert!(ran.code != 0 && ran.out.is_empty() && ran.err.starts_with("punctual: "), "{ran:?}");
    }
    // A reader that has had enough, as `head` has, gets no complaint.
    for number in 0..300 {
        test.api().create("@yearly", &format!("{url}/{number}/{}", "x".repeat(500)));
    }
    let mut command = test.command(&["job", "ls", "--all", "-o", "json"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("it is our child");
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    // A disk that is full is one to say.
    if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
        let mut command = test.command(&["job", "ls", "-o", "json"]);
        let ended = command.stdout(full).stderr(Stdio::piped()).output().expect("the binary is there");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), said.contains("could not be written")), (Some(1), true), "{said}");
    }
}

#[test]
fn a_schedule_is_explained() {
    let test = Setup::new(&[]);
    let from = ["--from", "2026-03-28T00:00:00Z", "--count", "3"];
    let words = [&["schedule", "preview", "30 2 * * *", "--tz", "Europe/Berlin"], &from[..]].concat();
    let shown = test.run(&[&words[..], &["--utc"]].concat()).ends(0);
    assert!(shown.out.contains("Europe/Berlin") && shown.out.contains("2026-03-28T01:30:00Z"), "{shown:?}");
    assert!(shown.out.contains("2026-03-29"), "the hour that is missing there has its remark: {shown:?}");
    let said: Value = serde_json::from_str(&test.says(&[&words[..], &["-o", "json"]].concat())).expect("it is JSON");
    assert_eq!(said["instants"].as_array().map(Vec::len), Some(3));
    let mut berlin = test.command(&words);
    berlin.env("TZ", "Asia/Tokyo");
    assert!(
        run(berlin, "").ends(0).out.contains("2026-03-28T10:30:00+09:00"),
        "times are in the zone of whoever reads them"
    );
    let never = test.run(&["schedule", "preview", "0 0 31 2 *"]);
    assert!(never.code == 2 || never.err.contains("it is never due"), "{never:?}");
}

#[test]
fn times_are_typed_as_people_type_them() {
    let test = Setup::new(&[]);
    let id = test.job("one", "/ok");
    let mut command = test.command(&["job", "pause", "one", "--until", "2099-12-31 09:00"]);
    command.env("TZ", "Asia/Tokyo");
    run(command, "").ends(0);
    assert_eq!(test.told(&id)["paused"]["until"], "2099-12-31T00:00:00.000Z");
    // What is shown can be typed again.
    let mut shown = test.command(&["job", "get", "one"]);
    shown.env("TZ", "Asia/Tokyo");
    run(shown, "").ends(0).prints(&["until 2099-12-31T09:00:00+09:00"]);
    test.run(&["job", "pause", "one", "--until", "2099-12-31T09:00:00+09:00"]).ends(0);
    assert_eq!(test.told(&id)["paused"]["until"], "2099-12-31T00:00:00.000Z");
    test.run(&["job", "resume", "one"]).ends(0);
    test.run(&["job", "run", "one", "--wait"]).ends(0);
    for (words, count) in [(&["--from", "-1h", "--to", "now"][..], 2), (&["--to", "-1h"], 0), (&["--from", "+1d"], 0)] {
        let ran = test.run(&[&["execution", "ls"], words].concat()).ends(0);
        assert_eq!(ran.out.lines().count(), count, "{words:?}: {ran:?}");
    }
    test.run(&["job", "why", "one", "--at", "-1m"]).ends(0).prints(&["Verdict:"]);
    test.run(&["job", "create", "--at", "+1h", "http://a.example/", "--name", "later"]).ends(0);
    for wrong in ["tomorrow", "9:00", "2h"] {
        let ran = test.run(&["execution", "ls", "--from", wrong]).ends(2);
        assert!(ran.err.starts_with("punctual: --from: expected a time such as "), "{ran:?}");
    }
}

#[test]
fn lists_name_jobs_and_say_below_that_there_is_more() {
    let test = Setup::new(&[]);
    let id = test.job("called so", "/ok");
    for _ in 0..3 {
        test.run(&["job", "run", "called so", "--wait"]).ends(0);
    }
    let table = test.run(&["execution", "ls", "--limit", "2"]).ends(0).prints(&["JOB", "called so"]);
    assert!(table.err.starts_with("there is more: --cursor "), "{table:?}");
    for format in ["json", "yaml"] {
        assert_eq!(test.run(&["execution", "ls", "--limit", "2", "-o", format]).ends(0).err, "");
    }
    test.run(&["execution", "tail"]).ends(0).prints(&["called so"]);
    // A job that is gone has its id left.
    test.run(&["job", "rm", "called so", "--yes"]).ends(0);
    assert!(test.says(&["execution", "ls"]).contains(&id));
}

#[test]
fn a_mistake_names_the_page_that_helps() {
    let test = Setup::new(&[]);
    test.run(&["job", "ls", "--lmit", "3"]).ends(2).errs(&["(see punctual job ls --help)"]);
    test.run(&["exection"]).ends(2).errs(&["(see punctual --help)"]);
    for words in [&["job"][..], &["execution"], &["context"]] {
        let ran = test.run(words).ends(2);
        assert!(ran.out.is_empty() && ran.err.contains("Commands:") && ran.err.contains("  ls"), "{ran:?}");
    }
    let help = test.says(&["job", "create", "--help"]);
    for told in ["Examples:\n  punctual job create ", "excludeCalendars", "PUNCTUAL_TOKEN", "Exit codes:"] {
        assert!(help.contains(told), "{told} is not in {help}");
    }
}

#[test]
fn health_is_an_exit_code_for_whoever_watches() {
    let test = Setup::new(&[]);
    let ran = test.run(&["health"]).ends(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "nobody reads it");
    // It is there and does not answer.
    test.server.signal("STOP");
    test.run(&["health"]).ends(1).errs(&["does not answer"]);
    test.server.signal("CONT");
    test.run(&["health"]).ends(0);
    // No token is needed, and a wrong one does no harm.
    test.run(&["health", "--token", "pun_r_wrong"]).ends(0);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let nobody = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    test.run(&["health", "--server", &nobody]).ends(1).errs(&["does not answer"]);
}
