//! Owns what there is to read about the commands: help, man pages, completions.
//! It must not know which commands there are: it finds them by their help.

use std::fs;

use super::{Setup, bare, run};

/// The commands below one, by its help.
fn below(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let entries = list.lines().take_while(|line| !line.is_empty());
    let names = entries.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The long flags that a help lists.
fn flags(help: &str) -> Vec<String> {
    let lines = help.lines().filter(|line| line.starts_with("  ") && line.trim_start().starts_with('-'));
    let flags = lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    flags.map(|flag| flag.trim_end_matches(',').to_owned()).collect()
}

/// The help of every command, by its words.
fn helps(home: &std::path::Path) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(words) = open.pop() {
        let typed: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = run(bare(home, &typed), "").ends(0);
        assert!(help.err.is_empty() && help.out.contains("Usage: punctual"), "{words:?}: {help:?}");
        open.extend(below(&help.out).into_iter().map(|name| [&words[..], &[name]].concat()));
        found.push((words, help.out));
    }
    found
}

#[test]
fn every_command_has_its_help_and_its_man_page() {
    let home = tempfile::tempdir().expect("a folder");
    let helps = helps(home.path());
    let known: Vec<String> = helps.iter().map(|(words, _)| words.join(" ")).collect();
    for expected in [
        "",
        "serve",
        "job ls",
        "job create",
        "execution tail",
        "schedule preview",
        "incident ack",
        "silence create",
        "channel test",
        "policy of",
        "apply",
        "export",
        "import crontab",
        "context set",
        "man",
    ] {
        assert!(known.iter().any(|words| words == expected), "{expected} is not in {known:?}");
    }
    let (_, top) = helps.iter().find(|(words, _)| words.is_empty()).expect("it is there");
    let text = top.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("Exit codes: 0 done; 1 failed; 2 "), "{top}");
    for (code, meaning) in [(3, "no"), (4, "not allowed"), (5, "not found"), (6, "changed meanwhile")] {
        assert!(text.contains(&format!(" {code} ")) && text.contains(meaning), "{text}");
    }

    run(bare(home.path(), &["man", "--dir", "pages/man1"]), "").ends(0);
    let folder = home.path().join("pages/man1");
    for (words, help) in &helps {
        let name = ["punctual".to_owned()].into_iter().chain(words.iter().cloned()).collect::<Vec<_>>().join("-");
        let page = fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(page.contains(".TH") && page.contains(".SH NAME"), "{name}: {page}");
        let page = page.replace("\\-", "-");
        assert!(page.contains(&name), "{name} names itself");
        let flags = flags(help);
        assert!(!flags.is_empty(), "{name}: {help}");
        for flag in flags {
            assert!(page.contains(&flag), "{name}: {flag} is not in {page}");
        }
    }
    assert_eq!(fs::read_dir(&folder).expect("it is there").count(), helps.len());
    let one = run(bare(home.path(), &["man"]), "").ends(0);
    assert!(one.out.contains(".SH NAME") && one.out.contains("Exit codes"), "{one:?}");
    run(bare(home.path(), &["man", "--dir", "/dev/null/x"]), "").ends(1).errs(&["/dev/null/x"]);
}

#[test]
fn shells_complete_every_command() {
    let test = Setup::new(&[]);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = test.says(&["completions", shell]);
        for word in ["job", "execution", "backfill", "crontab", "no such"] {
            assert_eq!(text.contains(word), word != "no such", "{shell}: {word}");
        }
        // Those that are on this machine take it.
        if let Some(parsed) = parse(&test, shell, &text) {
            parsed.unwrap_or_else(|why| panic!("{shell}: {why}"));
        }
    }
    test.run(&["completions", "csh"]).ends(2).errs(&["expected bash, elvish, fish, powershell or zsh, got \"csh\""]);
}

/// What a shell says of a script that it reads without running it. None: it is not here.
fn parse(test: &Setup, shell: &str, text: &str) -> Option<Result<(), String>> {
    let file = test.file("completions", text);
    let mut command = std::process::Command::new(shell);
    let read = command.arg("-n").arg(file).output().ok()?;
    Some(if read.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&read.stderr).into_owned()) })
}
