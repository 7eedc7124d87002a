//! Owns changing a job: in an editor, and by single members.
//! It must not test which members there are.

use std::process::Command;

use serde_json::json;

use super::{Ran, Setup, run};

/// Edits a job in an editor that does this to its file `$1`.
fn edit(test: &Setup, job: &str, script: &str) -> Ran {
    run(editing(test, job, script), "")
}

fn editing(test: &Setup, job: &str, script: &str) -> Command {
    let path = test.file("editor", &format!("set -e\nshift\ncp \"$1\" opened\n{script}\n"));
    let mut command = test.command(&["job", "edit", job]);
    // An editor may have flags of its own.
    command.env("EDITOR", format!("sh {} --wait", path.display()));
    command.env("PUNCTUAL", env!("CARGO_BIN_EXE_punctual")).env("TMPDIR", test.folder.path());
    command
}

#[test]
fn an_editor_changes_what_was_touched_and_nothing_else() {
    let test = Setup::new(&[]);
    let id = test.job("one", "/ok");
    test.says(&[
        "job",
        "edit",
        "one",
        "--set",
        "owner=me",
        "--set",
        "signingSecret=whsec_plantedAAAAAAAAAAAAAAAAAAAAAAAAA",
    ]);
    let before = test.told(&id);
    let opened = || std::fs::read_to_string(test.folder.path().join("opened")).expect("an editor was opened");

    // It has what the job is, and nothing of what became of it.
    let same = edit(&test, "one", "").ends(0).errs(&["nothing was touched"]);
    assert!(same.out.is_empty());
    let text = opened();
    assert!(text.contains("schedule: ") && text.contains("name: one") && !text.contains("planted"), "{text}");
    assert!(["jobId", "stats", "createdAt", "nextExecution"].iter().all(|name| !text.contains(name)), "{text}");
    assert_eq!(test.told(&id), before);

    let changed = edit(&test, "one", "sed -i 's/^owner: .*/owner: you/' \"$1\"");
    changed.ends(0).prints(&[&id, "changed"]);
    let after = test.told(&id);
    assert_eq!(after["owner"], "you");
    let mut expected = before.clone();
    for member in ["owner", "updatedAt"] {
        expected[member] = after[member].clone();
    }
    assert_eq!(after, expected, "all else is as it was, secrets included");
    // Nothing stays in the folder of files for a while.
    let left = std::fs::read_dir(test.folder.path()).expect("a folder").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().ends_with(".yaml")));

    // What became of the job meanwhile is no change of it.
    let ran =
        "env PUNCTUAL_TOKEN= \"$PUNCTUAL\" job run one --wait >/dev/null; sed -i 's/^owner: .*/owner: them/' \"$1\"";
    edit(&test, "one", ran).ends(0);
    assert_eq!((&test.told(&id)["owner"], &test.told(&id)["stats"]["success"]), (&json!("them"), &json!(1)));
    // What is removed is gone.
    edit(&test, "one", "sed -i '/^owner:/d' \"$1\"").ends(0);
    assert!(test.told(&id)["owner"].is_null());
}

#[test]
fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let test = Setup::new(&[]);
    let id = test.job("one", "/ok");
    test.says(&["job", "edit", "one", "--set", "owner=me"]);
    let other = "\"$PUNCTUAL\" job edit one --set timeoutMs=4321 >/dev/null; sed -i 's/^owner: .*/owner: you/' \"$1\"";
    let refused = edit(&test, "one", other).ends(6).errs(&["somebody else changed the job meanwhile"]);
    assert!(kept(&refused).contains("owner: you"), "{refused:?}");
    assert!(refused.out.is_empty(), "{refused:?}");
    let told = test.told(&id);
    assert_eq!((&told["owner"], &told["timeoutMs"]), (&json!("me"), &json!(4321)));
    test.run(&["job", "edit", "nobody", "--set", "owner=x"]).ends(5);
}

#[test]
fn a_mistake_comes_back_with_a_remark_until_it_is_none() {
    let test = Setup::new(&[]);
    let id = test.job("one", "/ok");
    let times = r#"
        echo x >> times
        cp "$1" "round$(wc -l < times | tr -d ' ')"
        case $(wc -l < times | tr -d ' ') in
            1) sed -i "s/^schedule: .*/schedule: '61 * * * *'/" "$1" ;;
            2) echo ': {' >> "$1" ;;
            3) sed -i "/^: {/d; s/^schedule: .*/schedule: '@monthly'/" "$1" ;;
        esac"#;
    edit(&test, "one", times).ends(0);
    assert_eq!(test.told(&id)["schedule"], "@monthly");
    let round =
        |number: u32| std::fs::read_to_string(test.folder.path().join(format!("round{number}"))).expect("it came back");
    assert!(round(1).starts_with("# Change what") && !round(1).contains("# punctual"), "{}", round(1));
    let second = round(2);
    assert!(second.starts_with("# punctual: ") && second.contains("schedule") && second.contains("^^^"), "{second}");
    let third = round(3);
    assert!(third.starts_with("# punctual: it is not YAML") && !third.contains("^^^ "), "{third}");
    assert!(third.contains("schedule: '61 * * * *'"), "what was written is still there: {third}");

    // Whoever leaves without writing, or with nothing, has changed nothing.
    let before = test.told(&id);
    edit(&test, "one", "exit 1").ends(3).errs(&["nothing is changed"]);
    edit(&test, "one", ": > \"$1\"").ends(3).errs(&["nothing is changed"]);
    assert_eq!(test.told(&id), before);
}

#[test]
fn members_are_set_and_removed_without_an_editor() {
    let test = Setup::new(&[]);
    let id = test.job("one", "/ok");
    test.says(&["job", "edit", "one", "--set", "retry.maxAttempts=5", "--set", "headers.X-A=b", "--set", "owner=me"]);
    let told = test.told(&id);
    assert_eq!(
        (&told["retry"]["maxAttempts"], &told["headers"], &told["owner"]),
        (&json!(5), &json!({ "X-A": "b" }), &json!("me"))
    );
    test.says(&["job", "edit", &id, "--unset", "owner", "--set", "headers.X-B=c"]);
    let told = test.told(&id);
    assert_eq!((&told["owner"], &told["headers"]), (&json!(null), &json!({ "X-A": "b", "X-B": "c" })));
    let before = test.told(&id);
    let wrong = test.run(&["job", "edit", "one", "--set", "owner=you", "--set", "retry.maxAttempts=-1"]).ends(2);
    let lines: Vec<&str> = wrong.err.lines().collect();
    let (typed, marks) = (lines[lines.len() - 2], lines[lines.len() - 1]);
    let start = marks.find('^').unwrap_or_else(|| panic!("{wrong:?}"));
    assert_eq!(&typed[start..marks.len()], "retry.maxAttempts=-1", "{wrong:?}");
    test.run(&["job", "edit", "one", "--set", "no.such.member=1"]).ends(2).errs(&["no"]);
    assert_eq!(test.told(&id), before);
}

#[test]
fn whoever_leaves_a_mistake_as_it_is_gets_out() {
    let test = Setup::new(&[]);
    test.job("one", "/ok");
    // The first time it makes a mistake, and then it does nothing.
    let script = "grep -q nosuch \"$1\" || echo 'nosuch: 1' >> \"$1\"";
    let left = edit(&test, "one", script).ends(3).errs(&["the mistake was left as it is, so nothing is changed"]);
    assert!(kept(&left).contains("nosuch: 1"), "{left:?}");
}

/// What was written, in the file that the error names.
fn kept(ran: &Ran) -> String {
    let (_, path) = ran.err.trim_end().rsplit_once(" is in ").unwrap_or_else(|| panic!("{ran:?}"));
    std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

#[test]
fn without_a_terminal_there_is_no_editor_unless_it_is_named() {
    let test = Setup::new(&[]);
    test.job("one", "/ok");
    let mut command = test.command(&["job", "edit", "one"]);
    command.env_remove("EDITOR").env_remove("VISUAL").env_remove("PUNCTUAL_EDITOR");
    run(command, "").ends(2).errs(&["there is no terminal for an editor", "--set"]);
}
