//! Owns the change of the key that secrets are sealed with, on the real binary: all or nothing, and nothing of the old
//! one stays; and where the key comes from.
//! It must not know how a secret is sealed, but that what is sealed names its key in the first nine bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::api::{Api, job};
use super::support::receiver::Receiver;
use super::support::server::{Refused, Server, command};
use super::support::until;
use super::with_few_workers;

/// A folder with a database and keys.
struct Kept {
    folder: TempDir,
}

impl Kept {
    /// One with a key that is called `old`.
    fn new() -> Kept {
        let kept = Kept { folder: tempfile::tempdir().expect("a folder") };
        assert_eq!(Server::refused(command(&["secrets", "init", &kept.path("old")])).code, Some(0));
        kept
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a text").to_owned()
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("p.db")
    }

    fn start(&self, key: &str) -> Server {
        Server::start(&self.db(), &with_few_workers(&["--secrets-key", &self.path(key)]))
    }

    /// Why a server does not start with this key.
    fn start_refused(&self, key: &str) -> String {
        let (db, key) = (self.path("p.db"), self.path(key));
        let refused = Server::refused(command(&["--listen", "127.0.0.1:0", "--db", &db, "--secrets-key", &key]));
        assert_eq!((refused.code, refused.stderr.lines().count()), (Some(1), 1), "{}", refused.stderr);
        refused.stderr
    }

    /// The command that changes the key.
    fn rotation(&self, from: &str, to: &str) -> Command {
        let (from, to) = (self.path(from), self.path(to));
        let mut command = command(&["secrets", "rotate", "--secrets-key", &from, "--to", &to]);
        command.arg("--db").arg(self.db());
        command
    }

    /// Changes the key; how many secrets were sealed anew, and how many had the new key already.
    fn rotate(&self, from: &str, to: &str) -> (u64, u64) {
        let mut command = self.rotation(from, to);
        let Refused { code, stdout, stderr } = Server::refused({
            command.arg("--json");
            command
        });
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let told: Value = serde_json::from_str(&stdout).expect("JSON");
        let number = |name: &str| told[name].as_u64().expect("a number");
        (number("resealed"), number("unchanged"))
    }

    /// Why the key is not changed.
    fn refused(&self, from: &str, to: &str) -> String {
        let Refused { code, stdout, stderr } = Server::refused(self.rotation(from, to));
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
        stderr
    }

    /// Every sealed secret.
    fn sealed(&self) -> Vec<Vec<u8>> {
        let connection = Connection::open(self.db()).expect("it is there");
        let mut statement = connection.prepare("SELECT sealed FROM secrets").expect("it is the schema");
        statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("it can be read")
    }

    /// What is kept of the only request under an idempotency key.
    fn digest(&self) -> Vec<u8> {
        let connection = Connection::open(self.db()).expect("it is there");
        connection.query_row("SELECT digest FROM idempotency_keys", [], |row| row.get(0)).expect("it can be read")
    }

    /// How often these bytes stand in the database and what belongs to it.
    fn count(&self, bytes: &[u8]) -> usize {
        let files = ["p.db", "p.db-wal", "p.db-shm"].map(|name| fs::read(self.folder.path().join(name)));
        files.iter().flatten().map(|file| file.windows(bytes.len()).filter(|window| *window == bytes).count()).sum()
    }
}

/// A job that rests, with three secrets.
fn resting(url: &str, secret: &str) -> Value {
    let mut job = job("@yearly", url);
    job["active"] = json!(false);
    job["auth"] = json!({ "bearer": secret });
    job["secretHeaders"] = json!({ "X-Key": secret, "X-Other": secret });
    job
}

fn send(api: &Api, method: &str, path: &str, body: &Value) -> Value {
    let answer = api.send(method, path, Some(&body.to_string()));
    assert!(matches!(answer.status, 200..=202), "{}", answer.text);
    answer.json()
}

/// Creates so many jobs with three secrets each.
fn create_many(api: &Api, count: usize) {
    for _ in 0..count.div_ceil(1_000) {
        let lines: Vec<String> = (0..count.min(1_000))
            .map(|number| {
                json!({ "create": resting("http://localhost/", &format!("planted-{number}-{:0>64}", "")) }).to_string()
            })
            .collect();
        let headers = [("content-type", "application/x-ndjson")];
        let answer = api.send_with("POST", "/api/jobs/batch", &headers, Some(&lines.join("\n")));
        assert_eq!((answer.status, &answer.json()["refused"]), (200, &json!(0)), "{}", answer.text);
    }
}

#[test]
fn another_key_opens_all_that_is_there_and_the_old_one_nothing() {
    let (kept, receiver) = (Kept::new(), Receiver::start());
    let server = kept.start("old");
    create_many(&server.api, 200);
    // What is replaced and deleted leaves traces where it stood.
    let url = receiver.url("/job");
    let id = send(&server.api, "POST", "/api/jobs", &resting(&url, "planted-first"))["jobId"].clone();
    let path = format!("/api/jobs/{}", id.as_str().expect("a text"));
    send(&server.api, "PUT", &path, &resting(&url, "planted-last"));
    for job in server.api.pages("/api/jobs?limit=500", "jobs").iter().filter(|job| job["jobId"] != id).take(100) {
        let path = format!("/api/jobs/{}", job["jobId"].as_str().expect("a text"));
        assert_eq!(server.api.send("DELETE", &path, None).status, 204);
    }
    let why = kept.refused("old", "new");
    assert!(why.contains("another process is using it; stop the server first"), "{why}");
    assert!(!Path::new(&kept.path("new")).exists(), "nothing is made that is not used");
    server.kill();
    let old = kept.sealed();
    let names_old_key = &old[0][..9];
    assert_eq!(old.len(), 303);
    assert!(kept.count(names_old_key) > old.len(), "there are traces of what was replaced and deleted");

    let Refused { code, stdout, stderr } = Server::refused(kept.rotation("old", "new"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let says = [
        "Resealed: 303 secrets; 0 had the new key already".to_owned(),
        format!("Key: {} (new; only its owner can read it)", kept.path("new")),
        format!("--secrets-key {}", kept.path("new")),
    ];
    assert!(says.iter().all(|line| stdout.contains(line)), "{stdout}");
    assert_eq!(kept.count(names_old_key), 0, "nothing is left that the old key opens");
    assert!(old.iter().all(|sealed| kept.count(&sealed[9..]) == 0), "nor what it sealed, by any name");
    assert_eq!(fs::metadata(kept.path("new")).expect("it is there").permissions().mode() & 0o777, 0o600);
    let new = kept.sealed();
    // Pages that were split on the way may hold some twice.
    assert!(new.len() == 303 && kept.count(&new[0][..9]) >= 303);

    // What was done may be done again; then nothing is left to do.
    assert_eq!(kept.rotate("old", "new"), (0, 303));
    assert!(kept.start_refused("old").contains("sealed with another key than that of --secrets-key"));
    let server = kept.start("new");
    send(&server.api, "POST", &format!("{path}/run"), &json!({}));
    let post = until("a request", || receiver.posts_to("/job").into_iter().next());
    assert_eq!((&*post.headers["authorization"], &*post.headers["x-other"]), ("Bearer planted-last", "planted-last"));
    server.stop();
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_touched() {
    let kept = Kept::new();
    let why = kept.refused("old", "new");
    assert!(why.contains("failed to read") && why.contains("p.db"), "{why}");
    assert!(!kept.db().exists() && !Path::new(&kept.path("new")).exists(), "nothing is made");
    let server = kept.start("old");
    create_many(&server.api, 1);
    server.stop();
    assert_eq!(Server::refused(command(&["secrets", "init", &kept.path("other")])).code, Some(0));
    fs::write(kept.path("text"), "planted").expect("it can be written");
    fs::set_permissions(kept.path("text"), PermissionsExt::from_mode(0o600)).expect("it is ours");
    let before = kept.sealed();
    for (from, to, why) in [
        ("none", "new", "failed to read the key"),
        ("other", "new", "the secrets in it were sealed with another key than that of --secrets-key"),
        ("old", "old", "is that of --secrets-key"),
        ("old", "text", "it is no key that `punctual secrets init` made"),
        ("old", "none/new", "failed to make the key"),
    ] {
        let refused = kept.refused(from, to);
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(fs::read(kept.path("text")).expect("it is there"), b"planted", "no file is overwritten");
    assert_eq!(kept.sealed(), before);
    let mut without = command(&["secrets", "rotate", "--to", &kept.path("new")]);
    without.arg("--db").arg(kept.db()).env_remove("CREDENTIALS_DIRECTORY");
    let refused = Server::refused(without);
    assert!(refused.code == Some(1) && refused.stderr.contains("--secrets-key FILE must name"), "{}", refused.stderr);
    assert_eq!(Server::refused(command(&["secrets", "rotate"])).code, Some(2), "without --to");
    // A key that is there is used.
    assert_eq!(kept.rotate("old", "other"), (3, 0));
    // Somebody who reads the file holds up that it is written anew.
    let names_old_key = kept.sealed()[0][..9].to_vec();
    let reader = Connection::open(kept.db()).expect("it is there");
    reader.execute_batch("BEGIN; SELECT count(*) FROM secrets").expect("it can be read");
    let why = kept.refused("other", "third");
    assert!(why.contains("sealed with the new key, but what the old one opens may still stand in the file"), "{why}");
    drop(reader);
    assert_eq!(kept.rotate("other", "third"), (0, 3));
    assert_eq!(kept.count(&names_old_key), 0);
    kept.start("third").stop();
}

#[test]
fn killed_at_any_moment_all_are_sealed_with_one_of_the_keys() {
    let kept = Kept::new();
    let server = kept.start("old");
    create_many(&server.api, 2_000);
    server.kill();
    let whole = fs::read(kept.db()).expect("it is there");
    let log = fs::read(kept.path("p.db-wal")).expect("it was killed");
    let names_old_key = kept.sealed()[0][..9].to_vec();
    let restore = || {
        fs::write(kept.db(), &whole).expect("it can be written");
        fs::write(kept.path("p.db-wal"), &log).expect("it can be written");
        drop(fs::remove_file(kept.path("p.db-shm")));
    };
    let begin = Instant::now();
    assert_eq!(kept.rotate("old", "new"), (6_000, 0));
    let time = begin.elapsed();
    let (mut before, mut after) = (0, 0);
    for part in 0..12 {
        restore();
        let mut child = kept.rotation("old", "new").stdout(std::process::Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(time * part / 12);
        drop(child.kill());
        child.wait().expect("it is our child");
        // The fitting key, and only that one, opens it.
        if part % 4 == 3 {
            let (key, other) =
                if kept.sealed()[0].starts_with(&names_old_key) { ("old", "new") } else { ("new", "old") };
            assert!(kept.start_refused(other).contains("sealed with another key"));
            kept.start(key).kill();
        }
        match kept.rotate("old", "new") {
            (6_000, 0) => before += 1,
            (0, 6_000) => after += 1,
            other => panic!("some are sealed with one key and some with the other: {other:?}"),
        }
        assert_eq!(kept.count(&names_old_key), 0, "nothing is left that the old key opens");
    }
    assert!(before > 0, "some are killed before anything is done ({before}, {after})");
}

#[test]
fn a_systemd_credential_is_the_key_unless_another_is_named() {
    let kept = Kept::new();
    // As systemd mounts it: nobody may write it, and a group is that of an access list.
    fs::create_dir(kept.path("credentials")).expect("a folder");
    let credential = kept.path("credentials/punctual.secrets-key");
    fs::copy(kept.path("old"), &credential).expect("it can be copied");
    let start = |mode: u32, flags: &[&str]| {
        fs::set_permissions(&credential, PermissionsExt::from_mode(mode)).expect("it is ours");
        let mut command = command(&with_few_workers(flags));
        command.arg("--db").arg(kept.db()).args(["--listen", "127.0.0.1:0", "--log", "error"]);
        command.env("CREDENTIALS_DIRECTORY", kept.path("credentials"));
        command
    };
    let server = Server::spawn(start(0o400, &[]));
    create_many(&server.api, 1);
    server.stop();
    Server::spawn(start(0o440, &[])).stop();
    let refused = Server::refused(start(0o444, &[]));
    assert!(refused.code == Some(1) && refused.stderr.contains("(mode 0444)"), "{}", refused.stderr);
    // It is the key in force for a change, too; then it is the wrong one, and a flag names the right one.
    let mut rotation = command(&["secrets", "rotate", "--to", &kept.path("new"), "--json"]);
    rotation.arg("--db").arg(kept.db()).env("CREDENTIALS_DIRECTORY", kept.path("credentials"));
    fs::set_permissions(&credential, PermissionsExt::from_mode(0o400)).expect("it is ours");
    let rotated = Server::refused(rotation);
    assert_eq!(rotated.stdout, "{\"resealed\":3,\"unchanged\":0,\"keyMade\":true}\n", "{}", rotated.stderr);
    assert!(Server::refused(start(0o400, &[])).stderr.contains("sealed with another key"));
    Server::spawn(start(0o400, &["--secrets-key", &kept.path("new")])).stop();
    // A folder without it is as none.
    fs::remove_file(&credential).expect("it is ours");
    let mut without = command(&with_few_workers(&[]));
    without.arg("--db").arg(kept.db()).args(["--listen", "127.0.0.1:0"]);
    without.env("CREDENTIALS_DIRECTORY", kept.path("credentials"));
    assert!(Server::refused(without).stderr.contains("it holds secrets, and no key was given"));
}

#[test]
fn what_is_kept_of_a_request_under_a_key_is_of_no_use_without_the_key_of_secrets() {
    let both = [Kept::new(), Kept::new()];
    let body = resting("http://localhost/", "planted").to_string();
    let create = |server: &Server| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "same")];
        let answer = server.api.send_with("POST", "/api/jobs", &headers, Some(&body));
        (answer.status, answer.header("idempotency-replayed") == "true")
    };
    let digests = both.each_ref().map(|kept| {
        let server = kept.start("old");
        assert_eq!(create(&server), (201, false));
        server.stop();
        kept.digest()
    });
    assert!(digests[0] != digests[1], "the same request under another key of secrets is another one");
    let [kept, _] = both;
    let server = kept.start("old");
    assert_eq!(create(&server), (201, true), "over a restart it is the same");
    server.stop();
    assert_eq!(kept.rotate("old", "new"), (3, 0));
    assert_eq!((kept.digest(), kept.count(&digests[0])), (vec![0; 32], 0));
    let server = kept.start("new");
    assert_eq!(create(&server), (422, false), "nothing is done twice");
    server.stop();
}
