//! Owns the commands that steer alerts: channels, policies, silences, incidents.
//! It must not test what is told when: the server's tests do.

use serde_json::{Value, json};

use super::support::receiver::Script;
use super::support::until;
use super::terminal::on_terminal;
use super::{Setup, run};

const SECRET: &str = "whsec_cGxhbnRlZHBsYW50ZWRwbGFudGVkcGxhbnRlZA==";

impl Setup {
    fn text(&self, path: &str) -> String {
        self.api().send("GET", path, None).text.trim_end().to_owned()
    }

    /// Makes a channel that is a webhook of the receiver.
    fn channel(&self, name: &str, path: &str) {
        let url = format!("url={}", self.receiver.url(path));
        self.says(&["channel", "set", name, "--set", "kind=webhook", "--set", &url]);
    }
}

#[test]
fn a_channel_is_made_changed_tested_and_deleted() {
    let test = Setup::new(&[]);
    test.run(&["channel", "ls"]).ends(0).errs(&["there is no channel"]);
    let url = test.receiver.url("/hook");
    let mut made = test.command(&["channel", "set", "ops", "--set", "kind=webhook"]);
    made.args(["--set", &format!("url={url}"), "--set", "signingSecret=${HOOK_SECRET}"]).env("HOOK_SECRET", SECRET);
    run(made, "").ends(0).prints(&["ops is set"]);

    let said = test.text("/api/channels");
    assert_eq!(test.says(&["channel", "ls", "-o", "json"]).trim_end(), said);
    assert_eq!(test.says(&["channels", "list", "-o", "name"]), "ops\n");
    let table = test.says(&["channel", "ls", "-o", "wide"]);
    assert!(table.starts_with("NAME") && table.contains("webhook") && table.contains("LAST FAILED"), "{table}");
    let shown = test.says(&["channel", "get", "ops"]);
    assert!(shown.contains(&url) && shown.contains("(set)") && !shown.contains(SECRET), "{shown}");
    let json = test.says(&["channel", "get", "ops", "-o", "json"]);
    assert_eq!(json.trim_end(), test.text("/api/channels/ops"));

    test.run(&["channel", "test", "ops"]).ends(0).prints(&["delivered within"]);
    let posts = test.receiver.posts_to("/hook");
    assert!(posts.len() == 1 && posts[0].headers.contains_key("webhook-signature"), "{posts:?}");
    test.receiver.script("/hook", Script::Say(500, "no \u{1b}[31mway"));
    let failed = test.run(&["channel", "test", "ops"]).ends(3).errs(&["it was not delivered: ", "500"]);
    assert!(failed.out.is_empty() && !failed.err.contains('\u{1b}'), "{failed:?}");
    let told = test.run(&["channel", "test", "ops", "-o", "json"]).ends(3);
    assert_eq!(serde_json::from_str::<Value>(&told.out).expect("JSON")["delivered"], false);

    // Single members change, the others stay; a file says all of it, but secrets that it leaves out stay as well.
    let other = test.receiver.url("/other");
    test.says(&["channel", "set", "ops", "--set", &format!("url={other}")]);
    let told = || test.api().get("/api/channels/ops");
    assert_eq!((&told()["url"], &told()["signingSecret"]), (&json!(other), &json!({ "set": true })));
    let yaml = test.file("ops.yaml", &test.says(&["channel", "get", "ops", "-o", "yaml"]));
    let before = test.says(&["channel", "get", "ops", "-o", "json"]);
    test.says(&["channel", "set", "ops", "-f", yaml.to_str().expect("a text")]);
    assert_eq!(test.says(&["channel", "get", "ops", "-o", "json"]), before);
    let whole = test.file("whole.json", &json!({ "kind": "webhook", "url": url }).to_string());
    test.says(&["channel", "set", "ops", "-f", whole.to_str().expect("a text")]);
    assert_eq!((&told()["url"], &told()["signingSecret"]), (&json!(url), &json!({ "set": true })));
    test.says(&["channel", "set", "ops", "--unset", "signingSecret"]);
    assert_eq!(told()["signingSecret"], Value::Null, "it is gone, not only left out");

    // What is wrong is shown where it was typed.
    let wrong =
        test.run(&["channel", "set", "ops", "--set", "kind=pigeon"]).ends(2).errs(&["kind", "kind=pigeon\n", "^"]);
    assert!(wrong.out.is_empty(), "{wrong:?}");
    assert_eq!(told()["kind"], "webhook");
    test.run(&["channel", "set", "ops"]).ends(2);
    test.run(&["channel", "set", "ops", "--set", "token=${PUNCTUAL_NO_SUCH_VARIABLE}"]).ends(2).errs(&["is not set"]);
    test.run(&["channel", "set", "Ops!", "-f", whole.to_str().expect("a text")]).ends(2);
    for words in [&["channel", "get", "nobody"][..], &["channel", "test", "nobody"], &["channel", "rm", "-y", "nobody"]]
    {
        assert!(test.run(words).ends(5).out.is_empty(), "{words:?}");
    }

    test.run(&["channel", "rm", "ops"]).ends(2).errs(&["--yes"]);
    on_terminal(test.command(&["channel", "rm", "ops"]), "n\n").ends(3).prints(&["Delete ops? [y/N]"]);
    test.run(&["channel", "rm", "--yes", "ops"]).ends(0).prints(&["ops deleted"]);
    test.run(&["channel", "get", "ops"]).ends(5);
}

#[test]
fn policies_are_set_and_what_counts_for_a_job_is_told_with_who_says_so() {
    let test = Setup::new(&[]);
    test.channel("ops", "/hook");
    assert_eq!(test.says(&["policy", "ls"]), "SCOPE   POLICY\nserver  -\n");
    test.run(&["policy", "set", "server", "--set", "after=3", "--set", "remindEvery=4h"])
        .ends(0)
        .prints(&["server is set"]);
    test.says(&["policy", "set", "tag:night ly", "--set", "noSuccessFor=26h", "--set", "channels=[\"ops\"]"]);
    test.says(&["policy", "set", "server", "--set", "lateBy=30s", "--unset", "after"]);
    let told = test.api().get("/api/policies");
    assert_eq!(told["server"], json!({ "remindEvery": "4h", "lateBy": "30s" }));
    assert_eq!(told["tags"], json!([{ "tag": "night ly", "policy": { "noSuccessFor": "1d2h", "channels": ["ops"] } }]));
    assert_eq!(test.says(&["policy", "ls", "-o", "json"]).trim_end(), test.text("/api/policies"));
    assert_eq!(test.says(&["policy", "ls", "-o", "name"]), "server\ntag:night ly\n");
    let table = test.says(&["policies", "list"]);
    assert!(table.contains("remindEvery 4h") && table.contains("channels ops"), "{table}");
    let one: Value = serde_json::from_str(&test.says(&["policy", "get", "tag:night ly", "-o", "json"])).expect("JSON");
    assert_eq!(one, told["tags"][0]["policy"]);
    assert!(test.says(&["policy", "get", "server"]).contains("lateBy:"));

    // The job's own counts first, then its tags', then the server's.
    let id = test.job("backup", "/ok");
    test.says(&["job", "edit", "backup", "--set", "tags=[\"night ly\"]", "--set", "alerts.after=2"]);
    let shown = test.says(&["job", "get", "backup"]);
    assert!(shown.lines().any(|line| line.starts_with("alerts:") && line.contains("\"after\":2")), "{shown}");
    let json = test.says(&["policy", "of", "backup", "-o", "json"]);
    assert_eq!(json.trim_end(), test.text(&format!("/api/jobs/{id}/policy")));
    let shown = test.says(&["policy", "of", "backup"]);
    let from = |member: &str| {
        let line = shown.lines().find(|line| line.starts_with(member)).unwrap_or_else(|| panic!("{member}: {shown}"));
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(from("after"), "2 job");
    assert_eq!(from("noSuccessFor"), "1d2h tag:night ly");
    assert_eq!(from("channels"), "ops tag:night ly");
    assert_eq!(from("remindEvery"), "4h server");
    assert_eq!(from("recovery"), "yes default");

    let often = test.run(&["policy", "set", "server", "--set", "remindEvery=often"]).ends(2);
    assert!(often.err.contains("remindEvery") && often.err.contains('^'), "{often:?}");
    test.run(&["policy", "set", "server", "--set", "channels=[\"nobody\"]"]).ends(2).errs(&["channels"]);
    test.run(&["policy", "set", "tags", "--set", "after=3"]).ends(2).errs(&["expected server or tag:NAME"]);
    test.run(&["channel", "rm", "-y", "ops"]).ends(1);
    test.run(&["policy", "get", "tag:other"]).ends(5);
    test.run(&["policy", "of", "nobody"]).ends(5);
    test.run(&["policy", "rm", "tag:night ly", "server"]).ends(0);
    assert_eq!(test.api().get("/api/policies"), json!({ "server": {}, "tags": [] }));
    test.run(&["policy", "rm", "tag:night ly"]).ends(5);
}

#[test]
fn silences_begin_are_listed_and_end() {
    let test = Setup::new(&[]);
    let id = test.job("backup", "/ok");
    test.run(&["silence", "ls"]).ends(0).errs(&["nothing is silenced"]);
    let mut silences = Vec::new();
    for (of, member) in [
        (["--job", "backup"], json!({ "jobId": id })),
        (["--tag", "nightly"], json!({ "tag": "nightly" })),
        (["--target", "https://example.com/x"], json!({ "target": "https://example.com:443" })),
    ] {
        let made =
            test.run(&[&["silence", "create", "--until", "+2h", "--note", "a \u{7}break"], &of[..]].concat()).ends(0);
        let silence = made.out.trim().to_owned();
        assert!(made.err.starts_with("until 20"), "{made:?}");
        let told = test.api().get("/api/silences");
        let all = told["silences"].as_array().expect("a list");
        let found = all.iter().find(|one| one["silenceId"] == *silence).expect("it is there");
        let name = member.as_object().expect("one").keys().next().expect("one");
        assert_eq!((&found[name], &found["note"]), (&member[name], &json!("a \u{7}break")));
        silences.push(silence);
    }
    assert_eq!(test.says(&["silence", "ls", "-o", "json"]).trim_end(), test.text("/api/silences"));
    let table = test.says(&["silences", "list"]);
    for part in ["backup", "tag nightly", "https://example.com:443", "a  break"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let mut names: Vec<String> = test.says(&["silence", "ls", "-o", "name"]).lines().map(str::to_owned).collect();
    names.sort_unstable();
    let mut expected = silences.clone();
    expected.sort_unstable();
    assert_eq!(names, expected);

    let create = |words: &[&str]| test.run(&[&["silence", "create"], words].concat());
    create(&["--tag", "a", "--until", "-1h", "--note", "b"]).ends(2).errs(&["endsAt", "--until -1h", "^"]);
    create(&["--tag", "a", "--until", "soon", "--note", "b"]).ends(2).errs(&["--until"]);
    create(&["--tag", "a", "--until", "+1h"]).ends(2).errs(&["--note"]);
    create(&["--tag", "a", "--job", "backup", "--until", "+1h", "--note", "b"]).ends(2);
    create(&["--until", "+1h", "--note", "b"]).ends(2);
    create(&["--job", "nobody", "--until", "+1h", "--note", "b"]).ends(5);
    create(&["--target", "example", "--until", "+1h", "--note", "b"]).ends(2).errs(&["target"]);

    test.run(&["silence", "rm", &silences[0], &silences[1]]).ends(0).prints(&[&silences[0], &silences[1], "ended"]);
    assert_eq!(test.says(&["silence", "ls", "-o", "name"]).trim(), silences[2]);
    test.run(&["silence", "rm", &silences[0], &silences[2]]).ends(5).prints(&[&silences[2]]).errs(&[&silences[0]]);
    assert_eq!(test.api().get("/api/silences"), json!({ "silences": [] }));
}

#[test]
fn incidents_are_listed_shown_and_acknowledged() {
    let test = Setup::new(&[]);
    test.run(&["incident", "ls"]).ends(0).errs(&["no incident is like this"]);
    test.channel("ops", "/hook");
    test.receiver.script("/bad", Script::Say(500, "no"));
    let id = test.job("bad", "/bad");
    test.job("good", "/good");
    test.run(&["job", "run", "--wait", "bad"]).ends(3);
    test.run(&["job", "run", "--wait", "good"]).ends(0);
    let list = |words: &[&str]| test.says(&[&["incident", "ls", "-o", "name"], words].concat());
    let incident = until("it is opened", || Some(list(&["--open"])).filter(|names| !names.is_empty()));
    let incident = incident.trim();
    for (words, query) in [
        (&[][..], "limit=100".to_owned()),
        (&["--open", "--job", "bad"], format!("state=open&job={id}&limit=100")),
        (&["--closed", "--limit", "2"], "state=closed&limit=2".to_owned()),
        (&["--cause", "failing"], "cause=FAILING&limit=100".to_owned()),
    ] {
        let said = test.text(&format!("/api/incidents?{query}"));
        assert_eq!(test.says(&[&["incident", "ls", "-o", "json"], words].concat()).trim_end(), said, "{words:?}");
    }
    assert_eq!((list(&["--closed"]), list(&["--cause", "LATE"]), list(&["--job", "good"])), Default::default());
    let table = test.says(&["incidents", "list", "-o", "wide"]);
    for part in ["OPENED", "BECAUSE", "OPEN", "FAILING", "bad", incident] {
        assert!(table.contains(part), "{part}: {table}");
    }

    // Who is told, and whether that went well.
    let path = format!("/api/incidents/{incident}");
    until("it is told", || (test.api().get(&path)["messages"][0]["delivery"] == "DELIVERED").then_some(()));
    let shown = test.says(&["incident", "get", incident]);
    for part in ["OPENED", "ops", "DELIVERED", "Execution:", &id] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json = test.says(&["incident", "get", incident, "-o", "json"]);
    assert_eq!(json.trim_end(), test.text(&path));

    test.run(&["incident", "ack", incident, "--note", "on \u{1b}it"]).ends(0).prints(&["acknowledged"]);
    let shown = test.says(&["incident", "get", incident]);
    assert!(shown.contains("OPEN, acknowledged") && shown.contains(": on  it"), "{shown}");
    // A silence is told with what it covers.
    test.says(&["silence", "create", "--job", "bad", "--until", "+1h", "--note", "known"]);
    assert!(test.says(&["incident", "get", incident]).contains("Silenced by:"));

    test.receiver.script("/bad", Script::Status(200));
    test.run(&["job", "run", "--wait", "bad"]).ends(0);
    until("it is over", || (list(&["--closed"]).trim() == incident).then_some(()));
    let table = test.says(&["incident", "ls"]);
    assert!(table.contains("CLOSED"), "{table}");
    test.run(&["incident", "ack", incident]).ends(5);
    for words in [&["incident", "get", "17"][..], &["incident", "ack", "17"], &["incident", "ls", "--job", "nobody"]] {
        assert!(test.run(words).ends(5).out.is_empty(), "{words:?}");
    }
    test.run(&["incident", "ls", "--cause", "boredom"]).ends(2).errs(&["cause"]);
    test.run(&["incident", "ls", "--open", "--closed"]).ends(2);
}
