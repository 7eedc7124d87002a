//! Owns how a command finds its server: contexts and their file, the environment, flags; and how it ends where there is none.
//! It must not test what a token lets somebody do: the server's tests do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::support::receiver::Script;
use super::support::server::command;
use super::{Ran, Setup, bare, run};

#[test]
fn contexts_are_kept_where_nobody_else_reads_them() {
    let test = Setup::new(&[]);
    test.job("a", "/ok");
    let home = test.folder.path();
    let typed = |words: &[&str]| run(bare(home, words), "");
    let file = home.join(".config/punctual/contexts.json");
    typed(&["context", "ls"]).ends(0).errs(&["punctual context set"]);
    assert!(!file.exists(), "who only looks makes nothing");
    typed(&["context", "use", "here"]).ends(2).errs(&["there is no context \"here\"", "punctual context set"]);

    // The first one is used from then on.
    typed(&["context", "set", "here", "--server", &format!("{}/", test.url())]).ends(0);
    assert_eq!(typed(&["job", "ls", "-o", "name"]).ends(0).out, "a\n");
    let nobody = bare(home, &["context", "set", "there", "--server", "http://127.0.0.1:1", "--token-file", "-"]);
    run(nobody, "planted\n").ends(0);
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    let listed = typed(&["context", "ls"]).ends(0);
    assert!(listed.out.lines().any(|line| line.starts_with('*') && line.contains("here")), "{listed:?}");
    assert!(listed.out.lines().any(|line| !line.starts_with('*') && line.contains("there") && line.contains("set")));
    for format in ["table", "wide", "json", "yaml", "name"] {
        assert!(!typed(&["context", "ls", "-o", format]).ends(0).prints(&["there"]).out.contains("planted"));
    }
    let json: Value = serde_json::from_str(&typed(&["context", "ls", "-o", "json"]).out).expect("it is JSON");
    assert_eq!(json["current"], "here");

    typed(&["context", "use", "there"]).ends(0);
    typed(&["job", "ls"]).ends(1).errs(&["http://127.0.0.1:1 does not answer"]);
    assert_eq!(typed(&["job", "ls", "--context", "here", "-o", "name"]).ends(0).out, "a\n");
    let mut named = bare(home, &["job", "ls", "-o", "name"]);
    named.env("PUNCTUAL_CONTEXT", "here");
    assert_eq!(run(named, "").ends(0).out, "a\n");
    typed(&["job", "ls", "--context", "nowhere"]).ends(2).errs(&["here, there"]);
    typed(&["context", "rm", "there"]).ends(0);
    typed(&["context", "rm", "there"]).ends(2);
    assert!(!fs::read_to_string(&file).expect("it is there").contains("planted"));
    let unused = typed(&["context", "ls"]).ends(0);
    assert!(!unused.out.contains('*'), "{unused:?}");

    // A file that others can read is not trusted, nor one that is none.
    for allowed in [0o644, 0o640, 0o604] {
        fs::set_permissions(&file, fs::Permissions::from_mode(allowed)).expect("it is ours");
        for words in [&["context", "ls"][..], &["context", "use", "here"], &["job", "ls", "--context", "here"]] {
            let refused = typed(words).ends(1).errs(&["others can read it", "chmod 600"]);
            assert!(refused.out.is_empty());
        }
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs::write(&file, "{").expect("it is written");
    typed(&["context", "ls"]).ends(1).errs(&["contexts.json"]);
    assert_eq!(test.says(&["job", "ls", "-o", "name"]), "a\n", "who names a server needs no file");
    let mut elsewhere = bare(home, &["context", "set", "x", "--server", "http://a.example"]);
    elsewhere.env("PUNCTUAL_CONTEXTS", home.join("other/c.json"));
    run(elsewhere, "").ends(0);
    assert_eq!(mode(&home.join("other/c.json")), 0o600);
}

/// A token of this scope.
fn token(test: &Setup, scope: &str) -> String {
    let mut making = command(&["token", "create", "--scope", scope, "--name", "a test"]);
    let made = run(
        {
            making.arg("--db").arg(test.folder.path().join("p.db"));
            making
        },
        "",
    );
    made.ends(0).out.trim().to_owned()
}

#[test]
fn what_is_typed_counts_before_the_environment_and_that_before_the_context() {
    let (test, other) = (Setup::new(&[]), Setup::new(&[]));
    test.job("here", "/ok");
    other.job("there", "/ok");
    let home = test.folder.path();
    let writing = token(&test, "write");
    let reading = token(&test, "read");
    let set = ["context", "set", "c", "--server", &test.url()];
    let mut setting = bare(home, &set);
    setting.env("PUNCTUAL_TOKEN", &writing);
    run(setting, "").ends(0);
    let url = other.url();
    let ls = |words: &[&str], variables: &[(&str, &str)]| -> Ran {
        let mut command = bare(home, &[&["job", "ls", "-o", "name"], words].concat());
        command.envs(variables.iter().copied());
        run(command, "")
    };
    assert_eq!(ls(&[], &[]).ends(0).out, "here\n");
    assert_eq!(ls(&[], &[("PUNCTUAL_URL", &url)]).ends(0).out, "there\n");
    assert_eq!(ls(&["--server", &url], &[("PUNCTUAL_URL", "http://127.0.0.1:1")]).ends(0).out, "there\n");
    assert_eq!(ls(&["--server", &format!("{url}/api")], &[]).ends(0).out, "there\n");
    // A context that is named counts before a server of the environment.
    assert_eq!(ls(&["--context", "c"], &[("PUNCTUAL_URL", &url)]).ends(0).out, "here\n");
    // But not before one that is typed, which may be that of the environment, and two that are typed are one too many.
    let context = ("PUNCTUAL_CONTEXT", "c");
    assert_eq!(ls(&[], &[context, ("PUNCTUAL_URL", &url)]).ends(0).out, "here\n");
    assert_eq!(ls(&["--server", &url], &[context]).ends(0).out, "there\n");
    assert_eq!(ls(&["--server", &url], &[context, ("PUNCTUAL_URL", &url)]).ends(0).out, "there\n");
    let refused = ls(&["--server", &url, "--context", "c"], &[]).ends(2);
    assert!(refused.err.contains("expected one of them"), "{refused:?}");

    // Tokens likewise. One of a context goes to no other server.
    ls(&[], &[("PUNCTUAL_TOKEN", "wrong")]).ends(4).errs(&["PUNCTUAL_TOKEN"]);
    assert_eq!(ls(&["--token", &reading], &[("PUNCTUAL_TOKEN", "wrong")]).ends(0).out, "here\n");
    let refused = ls(&["--server", &test.url()], &[]).ends(4);
    assert!(refused.out.is_empty() && refused.err.starts_with("punctual: "), "{refused:?}");
    let making = ["job", "create", "@yearly", "http://a.example/", "--server", &test.url(), "--token", &reading];
    run(bare(home, &making), "").ends(4).errs(&["write"]);
    run(bare(home, &["job", "get", "nobody"]), "").ends(5);
    ls(&["--server", "http://127.0.0.1:1"], &[]).ends(1).errs(&["http://127.0.0.1:1 does not answer"]);
    ls(&["--server", "127.0.0.1:3000"], &[]).ends(2).errs(&["--server: expected a URL"]);
    // What is not a server of ours is said to be none.
    test.receiver.script("/api/jobs?limit=100", Script::Say(200, "<html>"));
    ls(&["--server", &test.receiver.url("")], &[]).ends(1).errs(&["is this a Punctual server?"]);
    let help = run(bare(home, &["job", "ls", "--help"]), "").ends(0);
    let mut secret = bare(home, &["job", "ls", "--help"]);
    secret.env("PUNCTUAL_TOKEN", "planted");
    assert!(help.out.contains("PUNCTUAL_TOKEN") && !run(secret, "").out.contains("planted"));
}

#[test]
fn a_certificate_is_checked_and_may_be_one_of_ones_own() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("it can be made");
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).expect("it is written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    let [cert, key] = [&cert, &key].map(|path| path.to_str().expect("a text").to_owned());
    let test = Setup::new(&["--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key]);
    test.job("a", "/ok");
    let (_, port) = test.server.address("https://").rsplit_once(':').expect("a port");
    let url = format!("https://localhost:{port}");
    let home = test.folder.path();
    let unknown = run(bare(home, &["job", "ls", "--server", &url]), "").ends(1);
    assert!(unknown.out.is_empty() && unknown.err.contains("is not trusted"), "{unknown:?}");
    unknown.errs(&["--api-ca-file FILE"]);
    let trusting = ["job", "ls", "-o", "name", "--server", &url, "--api-ca-file", &cert];
    assert_eq!(run(bare(home, &trusting), "").ends(0).out, "a\n");
    // A context knows it, too.
    run(bare(home, &["context", "set", "safe", "--server", &url, "--ca-file", &cert]), "").ends(0);
    assert_eq!(run(bare(home, &["job", "ls", "-o", "name"]), "").ends(0).out, "a\n");
    run(bare(home, &["job", "ls", "--server", &url, "--api-ca-file", &key]), "").ends(1).errs(&["certificates in PEM"]);
}
