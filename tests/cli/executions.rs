//! Owns the commands about executions: listed, shown, followed over a restart, done again.
//! It must not test what is written down of an execution: the server's tests do.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use super::support::receiver::{Receiver, Script};
use super::support::server::{Server, command};
use super::support::{second_of, until};
use super::{Setup, bare, run};

#[test]
fn executions_are_listed_shown_and_done_again() {
    let test = Setup::new(&[]);
    test.receiver.script("/bad", Script::Say(500, "no \u{1b}[31mway"));
    let (good, bad) = (test.job("good", "/good"), test.job("bad", "/bad"));
    for _ in 0..3 {
        test.run(&["job", "run", "--wait", "good"]).ends(0);
    }
    test.run(&["job", "run", "--wait", "bad"]).ends(3);

    for (words, query) in [
        (&[][..], "limit=100".to_owned()),
        (&["--job", "good", "--status", "success"], format!("jobId={good}&status=SUCCESS&limit=100")),
        (&["--kind", "manual", "--limit", "2"], "kind=manual&limit=2".to_owned()),
        (&["--from", "2090-01-01T00:00:00Z"], "from=2090-01-01T00:00:00Z&limit=100".to_owned()),
    ] {
        let said = test.api().send("GET", &format!("/api/executions?{query}"), None).text;
        let shown = test.says(&[&["execution", "ls", "-o", "json"], words].concat());
        assert_eq!(shown.trim_end(), said.trim_end(), "{words:?}");
    }
    let all = test.api().executions(&good);
    let ids: Vec<&str> = all.iter().map(|one| one["executionId"].as_str().expect("a text")).collect();
    assert_eq!(test.says(&["execution", "ls", "--job", "good", "-o", "name"]), format!("{}\n", ids.join("\n")));
    let table = test.says(&["executions", "list", "-o", "wide"]);
    assert!(table.starts_with("SCHEDULED") && table.lines().count() == 5, "{table}");
    assert!(table.contains("FAILED") && table.contains("WHY"), "{table}");

    let failed = test.api().executions(&bad)[0].clone();
    let id = failed["executionId"].as_str().expect("a text");
    let said = test.api().send("GET", &format!("/api/executions/{id}"), None).text;
    assert_eq!(test.says(&["execution", "get", id, "-o", "json"]).trim_end(), said.trim_end());
    let shown = test.says(&["execution", "get", id]);
    assert!(shown.contains("FAILED") && shown.contains("500") && shown.contains("way"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "what others say is no command of a terminal: {shown}");

    // The last ones, oldest first, so that those that come stand below.
    let tail = test.says(&["execution", "tail", "-n", "2", "--job", "good", "-o", "name"]);
    assert_eq!(tail, format!("{}\n{}\n", ids[1], ids[0]));
    assert_eq!(test.says(&["execution", "tail", "-n", "0"]), "");
    let lines = test.says(&["execution", "tail", "-o", "json", "--status", "failed"]);
    assert_eq!(serde_json::from_str::<Value>(&lines).expect("a line")["executionId"], id);
    assert_eq!(test.says(&["execution", "tail"]).lines().count(), 5);

    test.run(&["execution", "replay", id, "--wait"]).ends(3).prints(&["replay", id]).errs(&["FAILED"]);
    test.receiver.script("/bad", Script::Status(200));
    test.run(&["execution", "replay", id, "--wait"]).ends(0).prints(&["SUCCESS"]);
    let again = test.says(&["execution", "replay", id]);
    until("it is done again", || {
        let there = test.api().executions(&bad);
        there.iter().any(|one| one["executionId"] == again.trim() && one["replayOf"] == id).then_some(())
    });
    for words in
        [&["execution", "get", "00000000-0000-8000-8000-000000000000"][..], &["execution", "ls", "--job", "nobody"]]
    {
        assert!(test.run(words).ends(5).out.is_empty());
    }
    test.run(&["execution", "ls", "--status", "lost"]).ends(2).errs(&["status"]);
}

#[test]
fn who_follows_executions_sees_each_that_ends_once_also_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    receiver.script("/slow", Script::SlowMs(300));
    // The same port again, so that who follows finds it.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let listen = format!("http://127.0.0.1:{port}");
    let start = || {
        let mut command = command(&["--max-in-flight", "16", "--retries", "0", "--log", "error", "--listen", &listen]);
        command.arg("--db").arg(folder.path().join("p.db"));
        Server::spawn(command)
    };
    let server = start();
    let ids = [
        server.api.create("* * * * * *", &receiver.url("/fast")),
        server.api.create("* * * * * *", &receiver.url("/slow")),
    ];
    server.api.create("* * * * * *", &receiver.url("/another"));

    let follow = |words: &[&str]| {
        let mut command =
            bare(folder.path(), &[&["execution", "tail", "-f", "-o", "json", "--server", &listen], words].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let seen = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<String>>());
        (child, seen)
    };
    let followers: Vec<_> = ids.iter().map(|id| follow(&["-n", "5", "--job", id])).collect();
    let enough = |server: &Server, from: i64| {
        until("every job ended four times", || {
            let ended = |id: &String| {
                let all = server.api.executions(id);
                all.iter().filter(|one| one["status"] == "SUCCESS" && second(one) > from).count() >= 4
            };
            ids.iter().all(ended).then_some(())
        });
    };
    enough(&server, 0);
    let down = server.api.executions(&ids[0]).iter().map(second).max().expect("there are some");
    server.stop();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let server = start();
    enough(&server, down + 3);
    for id in &ids {
        let paused = server.api.send("POST", &format!("/api/jobs/{id}/pause"), Some("{}"));
        assert_eq!(paused.status, 200, "{}", paused.text);
    }
    until("nothing runs", || {
        ids.iter().all(|id| server.api.executions(id).iter().all(|one| one["status"] != "PENDING")).then_some(())
    });
    // What has ended is told at once.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    for ((mut child, seen), id) in followers.into_iter().zip(&ids) {
        child.kill().expect("it is our child");
        let output = child.wait_with_output().expect("it is our child");
        let said = String::from_utf8(output.stderr).expect("it prints text");
        assert!(said.contains("the connection was cut off; trying again"), "{said}");
        let mut counts = HashMap::<String, usize>::new();
        let lines = seen.join().expect("it does not panic");
        for line in &lines {
            let told: Value = serde_json::from_str(line).expect("a line is JSON");
            assert_eq!((&told["jobId"], told["status"] != "PENDING"), (&json!(id), true), "{line}");
            *counts.entry(told["executionId"].as_str().expect("a text").to_owned()).or_default() += 1;
        }
        for execution in server.api.executions(id) {
            let count = counts.remove(execution["executionId"].as_str().expect("a text"));
            assert_eq!(count, Some(1), "{execution}\n{said}\n{}", lines.join("\n"));
        }
        assert!(counts.is_empty(), "{counts:?}");
    }

    // Where nobody listens from the start there is nothing to wait for.
    server.stop();
    run(bare(folder.path(), &["execution", "tail", "-f", "--server", &listen]), "").ends(1).errs(&["does not answer"]);
}

fn second(execution: &Value) -> i64 {
    second_of(execution["scheduledTime"].as_str().expect("a text"))
}
