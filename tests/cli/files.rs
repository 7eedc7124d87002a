//! Owns what files of jobs may be: of which kinds, with which secrets, and how a mistake in one is shown.
//! It must not test what applying changes: `applied` does.

use serde_json::{Value, json};

use super::{Setup, run};

/// A job that is due once in a year, as YAML.
fn yaml(name: &str, more: &str) -> String {
    format!("name: {name}\nschedule: '@yearly'\napi: http://a.example/\ntype: ATLEAST_ONCE\n{more}")
}

fn json_of(name: &str) -> Value {
    json!({ "name": name, "schedule": "@yearly", "api": "http://a.example/", "type": "ATLEAST_ONCE" })
}

#[test]
fn files_are_of_one_job_or_of_many_in_yaml_or_json() {
    let test = Setup::new(&[]);
    std::fs::create_dir(test.folder.path().join("jobs")).expect("a folder");
    let many = format!("# jobs\n---\n{}---\n# the second\n{}---\n", yaml("y1", ""), yaml("y2", "tags: [a]\n"));
    test.file("jobs/1.yaml", &many);
    test.file("jobs/2.yml", &format!("- {}", yaml("y3", "").replace('\n', "\n  ")));
    test.file("jobs/3.json", &json!([json_of("j1"), json_of("j2")]).to_string());
    test.file("jobs/4.ndjson", &format!("{}\n\n{}\n", json_of("j3"), json_of("j4")));
    test.file("jobs/README.md", "no job");
    test.run(&["apply", "-f", "jobs"]).ends(0).errs(&["created 7,"]);
    assert_eq!(test.says(&["job", "ls", "-o", "name", "--sort", "name"]), "j1\nj2\nj3\nj4\ny1\ny2\ny3\n");
    // Single files, several of them, and standard input.
    for file in ["jobs/1.yaml", "jobs/2.yml", "jobs/3.json", "jobs/4.ndjson"] {
        test.run(&["apply", "-f", file]).ends(0).errs(&["created 0, changed 0", "unchanged "]);
    }
    test.feed(&["apply", "-f", "-", "-f", "jobs/3.json"], &many).ends(0).errs(&["unchanged 4"]);
    test.feed(&["apply", "-f", "-"], "").ends(0).errs(&["created 0"]);
    // What is no such thing is said, and nothing is done.
    std::fs::create_dir(test.folder.path().join("empty")).expect("a folder");
    test.run(&["apply", "-f", "empty"]).ends(2).errs(&["empty: there is no file"]);
    test.run(&["apply", "-f", "nowhere.yaml"]).ends(1).errs(&["nowhere.yaml"]);
    test.feed(&["apply", "-f", "-"], "[1]").ends(2).errs(&["standard input:1", "expected a job"]);
    test.file("bad.yaml", &format!("{}---\n{}  x: [\n", yaml("z1", ""), yaml("z2", "")));
    test.run(&["apply", "-f", "bad.yaml"]).ends(2).errs(&["bad.yaml", "line 10"]);
    test.file("bad.ndjson", &format!("{}\n{{\"name\"\n", json_of("z3")));
    test.run(&["apply", "-f", "bad.ndjson"]).ends(2).errs(&["bad.ndjson:2"]);
    assert_eq!(test.says(&["job", "ls", "-o", "name"]).lines().count(), 7);
}

#[test]
fn secrets_come_from_elsewhere_and_are_never_printed() {
    let test = Setup::new(&[]);
    let file = test.file("password", "planted1\n");
    let secrets = format!(
        "auth: {{ basic: {{ username: me, password: 'file:{}' }} }}\nsecretHeaders:\n  X-Key: ${{KEY}}\nsigningSecret: ${{SIGNING}}\n\
         body: '${{KEY}} file:{0}'\n",
        file.display()
    );
    test.file("job.yaml", &yaml("a", &secrets));
    test.file("bearer.yaml", &yaml("b", "auth: { bearer: '${KEY}' }\n"));
    let apply = |words: &[&str], key: &str| {
        let mut command = test.command(&[&["apply", "-f", "job.yaml", "-f", "bearer.yaml"], words].concat());
        command.env("KEY", key).env("SIGNING", "whsec_plantedAAAAAAAAAAAAAAAAAAAAAAAAA");
        let ran = run(command, "");
        assert!(!format!("{}{}", ran.out, ran.err).contains("planted"), "{ran:?}");
        ran
    };
    apply(&["-o", "json"], "planted2").ends(0);
    for format in ["table", "wide", "json", "yaml", "name"] {
        apply(&["-o", format], "planted2").ends(0).errs(&["unchanged 2"]);
    }
    // They are compared all the same.
    let other = apply(&["--dry-run"], "planted3").ends(3).errs(&["change 2"]);
    assert!(other.out.contains("secretHeaders") && other.out.contains("auth"), "{other:?}");
    apply(&[], "planted3").ends(0).errs(&["changed 2"]);
    // Only where secrets stand means something else than it says.
    let told: Value = serde_json::from_str(&test.says(&["job", "get", "a", "-o", "json"])).expect("it is JSON");
    assert_eq!(told["body"], format!("${{KEY}} file:{}", file.display()));
    // They are sent as they are.
    let target = format!("b: {}", test.receiver.url("/in"));
    test.feed(
        &["apply", "-f", "-"],
        &yaml("c", "auth: { bearer: planted4 }\n").replace("http://a.example/", target.trim_start_matches("b: ")),
    )
    .ends(0);
    test.run(&["job", "run", "--wait", "c"]).ends(0);
    assert_eq!(test.receiver.posts_to("/in")[0].headers["authorization"], "Bearer planted4");
    for words in [&["export"][..], &["export", "-o", "yaml"], &["job", "get", "a"], &["job", "get", "b", "-o", "yaml"]]
    {
        assert!(!test.says(words).contains("planted"), "{words:?}");
    }
    // What is not there is said, before anything is changed.
    test.run(&["apply", "-f", "bearer.yaml"]).ends(2).errs(&["bearer.yaml:1: ${KEY} is not set"]);
    std::fs::remove_file(&file).expect("it is there");
    apply(&[], "planted2").ends(1).errs(&["password"]);
    // A secret that the server refuses is not shown with its mistake.
    let wrong = yaml("d", "signingSecret: '${SIGNING}'\nsecretHeaders: { 'no name': '${KEY}' }\n");
    test.file("wrong.yaml", &wrong);
    let mut command = test.command(&["apply", "-f", "wrong.yaml"]);
    command.env("KEY", "planted5").env("SIGNING", "planted6");
    let ran = run(command, "");
    assert!(ran.code != 0 && !format!("{}{}", ran.out, ran.err).contains("planted"), "{ran:?}");
}

#[test]
fn a_mistake_in_a_file_is_underlined_where_it_stands() {
    let test = Setup::new(&[]);
    let good = yaml("good", "");
    let text = format!(
        "{good}---\n# the second one\n{}---\n{}",
        yaml("bad", "retry:\n  maxAttempts: -1\n"),
        yaml("worse", "tagz: [a]\n")
    );
    test.file("jobs.yaml", &text);
    let line_of = |part: &str| text.lines().position(|line| line.contains(part)).expect("it is there") + 1;
    let refused = test.run(&["apply", "-f", "jobs.yaml"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    let expected = format!("  jobs.yaml:{}\n    maxAttempts: -1\n    ^^^^^^^^^^^^^^^\n", line_of("maxAttempts"));
    let refused = refused.errs(&[&expected, "refused 2"]);
    assert!(
        refused.err.contains(&format!("jobs.yaml:{}", line_of("tagz"))) && refused.err.contains("did you mean `tags`?"),
        "{refused:?}"
    );
    // Beside what is refused, the others are done.
    assert_eq!(test.says(&["job", "ls", "-o", "name"]), "good\n");
    let job = test.file("job.yaml", &yaml("one", "schedule: '61 * * * *'\n").replacen("schedule: '@yearly'\n", "", 1));
    let refused = test.run(&["job", "create", "-f", job.to_str().expect("a text")]).ends(2);
    refused.errs(&["job.yaml:4\n  schedule: '61 * * * *'\n  ^^^^^^^^^^^^^^^^^^^^^^"]);
    let array = "[\n {\"name\": \"a\", \"schedule\": \"@yearly\", \"api\": \"http://a.example/\", \"type\": \"ATLEAST_ONCE\"},\n \
                 {\"name\": \"b\", \"schedule\": \"@never\", \"api\": \"http://a.example/\", \"type\": \"ATLEAST_ONCE\"}\n]\n";
    let refused = test.feed(&["apply", "-f", "-", "--dry-run"], array).ends(2);
    refused.errs(&["standard input:3\n", "\"@never\"", "^^^"]);
}

#[test]
fn what_is_shown_of_a_job_can_be_applied_again() {
    let test = Setup::new(&[]);
    test.job("one", "/ok");
    test.run(&["job", "pause", "one"]).ends(0);
    for format in ["yaml", "json"] {
        let shown = test.says(&["job", "get", "one", "-o", format]);
        test.feed(&["apply", "-f", "-", "--dry-run"], &shown).ends(0).errs(&["unchanged 1, refused 0"]);
    }
    // With another name it is the same job, and by itself another one.
    let renamed = test.says(&["job", "get", "one", "-o", "yaml"]).replace("name: one", "name: two");
    test.feed(&["apply", "-f", "-"], &renamed).ends(0).prints(&["name: one -> two"]);
    test.feed(&["job", "create", "-f", "-"], &renamed.replace("name: two", "name: three")).ends(0);
    assert_eq!(test.says(&["job", "ls", "-o", "name", "--sort", "name"]), "three\ntwo\n");
}

#[test]
fn a_folder_is_read_with_all_below_it_and_no_job_is_declared_twice() {
    let test = Setup::new(&[]);
    for folder in ["all", "all/deep", "all/.git"] {
        std::fs::create_dir(test.folder.path().join(folder)).expect("a folder");
    }
    // What is usual need not be said.
    test.file("all/a.yaml", "name: a\nschedule: '@yearly'\napi: http://a.example/\n");
    test.file("all/deep/b.yaml", &yaml("b", ""));
    test.file("all/.git/c.yaml", &yaml("c", ""));
    test.run(&["apply", "-f", "all"]).ends(0).errs(&["created 2, "]);
    test.file("all/deep/d.yaml", &format!("{}---\n{}", yaml("d", ""), yaml("a", "")));
    let twice = test.run(&["apply", "-f", "all"]).ends(2);
    let twice = twice.errs(&["d.yaml:6: the name \"a\" is declared before, at all/a.yaml:1"]);
    assert!(twice.out.is_empty(), "{twice:?}");
}
