//! Owns who is let in, on the real binary: tokens, scopes, sessions, guesses, and what is written down of it.
//! It must not know a route: the description says what each one needs.

use std::process::Output;

use serde_json::{Value, json};

use super::support::api::{Answer, Api, job};
use super::support::server::{Server, command};
use super::support::until;
use super::{Setup, error_of};

/// Runs `punctual token ...` on the database of a test.
fn token_command(test: &Setup, arguments: &[&str]) -> Output {
    let mut command = command(&[&["token"], arguments].concat());
    command.arg("--db").arg(test.db()).output().expect("the binary is there")
}

/// A token of this scope, made on the command line beside the running server.
pub(super) fn made(test: &Setup, scope: &str) -> String {
    let made = token_command(test, &["create", "--scope", scope, "--name", "a test"]);
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).expect("it prints text").trim().to_owned()
}

fn ask(api: &Api, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    api.send_with(method, path, &headers, body)
}

fn status(api: &Api, method: &str, path: &str, token: Option<&str>) -> u16 {
    ask(api, method, path, token, None).status
}

#[test]
fn every_operation_needs_what_it_says_and_no_less() {
    let test = Setup::new(&[]);
    let description = test.api().get("/api/openapi.json");
    assert_eq!(status(test.api(), "GET", "/api/audit", None), 200, "without a token everybody may do everything");
    let tokens: Vec<String> = ["read", "write", "admin"].iter().map(|scope| made(&test, scope)).collect();
    let mut seen = [0; 4];
    for (path, operations) in description["paths"].as_object().expect("an object") {
        let real = path.replace("/api/tokens/{id}", "/api/tokens/0123456789ab").replace("{name}", "nobody");
        let real = real.replace("{tag}", "nobody");
        let real = real.replace("{id}", "00000000-0000-8000-8000-000000000000");
        for (method, operation) in operations.as_object().expect("an object") {
            let needed = match operation["security"][0]["token"][0].as_str() {
                None => 0,
                Some("read") => 1,
                Some("write") => 2,
                Some("admin") => 3,
                Some(other) => panic!("{other}"),
            };
            seen[needed] += 1;
            let method = method.to_ascii_uppercase();
            // Events have no end: HEAD tells as much.
            let method = if path == "/api/events" { "HEAD" } else { &method };
            let refused = |token: Option<&str>| status(test.api(), method, &real, token);
            for (has, token) in [None].into_iter().chain(tokens.iter().map(Some)).enumerate() {
                let found = refused(token.map(String::as_str));
                let is_let_in = !matches!(found, 401 | 403);
                assert_eq!(is_let_in, has >= needed, "{method} {path} with {has} of {needed}: {found}");
                if !is_let_in {
                    assert_eq!(found, if token.is_some() { 403 } else { 401 }, "{method} {path}");
                }
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 0) && seen.iter().sum::<usize>() > 30, "{seen:?}");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(status(test.api(), "GET", probe, None), 200, "{probe}");
    }
    assert_eq!(status(test.api(), "GET", "/", None), 401);
    let refused = ask(test.api(), "GET", "/api/jobs", None, None);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert!(error_of(&refused.json()).contains("scope read"), "{}", refused.text);
}

#[test]
fn tokens_are_made_listed_and_revoked_through_the_api_and_outlive_a_crash() {
    let test = Setup::new(&[]);
    let admin = made(&test, "admin");
    let create = |body: &Value| ask(test.api(), "POST", "/api/tokens", Some(&admin), Some(&body.to_string()));
    let answer = create(&json!({ "name": "reader", "scope": "read", "expiresAt": "2090-01-01T00:00:00Z" }));
    assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"), "{}", answer.text);
    let reader = answer.json();
    let (id, text) = (reader["tokenId"].as_str().expect("an id"), reader["token"].as_str().expect("a token"));
    assert!(text.starts_with("pun_r_") && text.len() == 55, "{text}");
    assert_eq!(status(test.api(), "GET", "/api/jobs", Some(text)), 200);
    for (body, member) in [
        (json!({ "name": "", "scope": "read" }), "name"),
        (json!({ "name": "a", "scope": "all" }), "scope"),
        (json!({ "name": "a", "scope": "read", "expiresAt": "2020-01-01T00:00:00Z" }), "expiresAt"),
        (json!({ "name": "a" }), "scope"),
    ] {
        let refused = create(&body);
        assert_eq!(refused.status, 400);
        assert!(refused.text.contains(member), "{}", refused.text);
    }
    let listed = ask(test.api(), "GET", "/api/tokens", Some(&admin), None);
    assert_eq!(listed.json()["tokens"].as_array().map(Vec::len), Some(2), "{}", listed.text);
    assert!(!listed.text.contains(&text[6..]), "a token is shown once");
    // On the disk there is no token either, but what tells that one is it.
    for file in ["p.db", "p.db-wal"] {
        let bytes = std::fs::read(test.folder.path().join(file)).expect("the server runs");
        for token in [text, &admin] {
            assert!(!bytes.windows(20).any(|part| part == &token.as_bytes()[6..26]), "{file} holds a token");
        }
    }
    // It counts after a crash, and does not once it is revoked, crash or not.
    let text = text.to_owned();
    let path = format!("/api/tokens/{id}");
    let test = test.killed_and_started();
    assert_eq!(status(test.api(), "GET", "/api/jobs", Some(&text)), 200);
    assert_eq!(status(test.api(), "DELETE", &path, Some(&text)), 403);
    assert_eq!(status(test.api(), "DELETE", &path, Some(&admin)), 204);
    assert_eq!(status(test.api(), "GET", "/api/jobs", Some(&text)), 401);
    let test = test.killed_and_started();
    assert_eq!(status(test.api(), "GET", "/api/jobs", Some(&text)), 401);
    // The last one goes by the command line, and nobody is let in any more: not even as before the first.
    let ls = token_command(&test, &["ls", "--json"]);
    let all: Value = serde_json::from_slice(&ls.stdout).expect("JSON");
    let of_admin = all["tokens"].as_array().expect("a list").iter().find(|token| token["scope"] == "admin");
    let revoked =
        token_command(&test, &["revoke", of_admin.expect("it is there")["tokenId"].as_str().expect("a text")]);
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(status(test.api(), "GET", "/api/jobs", Some(&admin)), 401);
    assert_eq!(status(test.api(), "GET", "/api/jobs", None), 401);
}

#[test]
fn the_command_line_says_what_is_wrong() {
    let test = Setup::new(&[]);
    for (arguments, code, expected) in [
        (&["create", "--scope", "all", "--name", "a"][..], 2, "--scope"),
        (&["create", "--scope", "read", "--name", " "], 2, "--name"),
        (&["create", "--scope", "read", "--name", "a", "--expires-in-days", "0"], 2, "--expires-in-days"),
        (&["revoke", "x"], 2, "the id of a token"),
        (&["revoke", "0123456789ab"], 1, "there is no token"),
    ] {
        let refused = token_command(&test, arguments);
        let said = String::from_utf8(refused.stderr).expect("text");
        assert_eq!(refused.status.code(), Some(code), "{said}");
        assert!(said.starts_with("punctual: ") && said.contains(expected) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn who_listens_to_others_needs_a_token_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = |flags: &[&str]| {
        let mut command = command(flags);
        command.arg("--db").arg(folder.path().join("p.db")).args(["--listen", "0.0.0.0:0", "--log", "error"]);
        command
    };
    let refused = Server::refused(serve(&[]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("punctual token create") && refused.stderr.lines().count() == 1,
        "{}",
        refused.stderr
    );
    // Reading only.
    let server = Server::spawn(serve(&["--allow-anonymous-read"]));
    assert_eq!(status(&server.api, "GET", "/api/jobs", None), 200);
    let body = job("@daily", "http://a/").to_string();
    assert_eq!(ask(&server.api, "POST", "/api/jobs", None, Some(&body)).status, 401);
    assert_eq!(status(&server.api, "GET", "/api/tokens", None), 401);
    server.stop();
    // The first token comes from a file, or goes to one.
    let file = folder.path().join("token");
    let flag = ["--bootstrap-token-file", file.to_str().expect("text")];
    let server = Server::spawn(serve(&flag));
    assert!(server.greeting.contains("Authorization: Bearer"), "{}", server.greeting);
    let token = std::fs::read_to_string(&file).expect("it was written");
    let token = token.trim();
    assert!(token.starts_with("pun_a_"));
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("it is there").permissions()) & 0o777,
        0o600
    );
    assert_eq!(ask(&server.api, "POST", "/api/jobs", Some(token), Some(&body)).status, 201);
    assert_eq!(status(&server.api, "GET", "/api/jobs", None), 401);
    server.stop();
    let again = Server::spawn(serve(&flag));
    assert_eq!(status(&again.api, "GET", "/api/tokens", Some(token)), 200);
    again.stop();
    // Once all are over others find nobody at home, but jobs run.
    let database = rusqlite::Connection::open(folder.path().join("p.db")).expect("it is there");
    assert_eq!(database.execute("UPDATE tokens SET expires_at = 1000000", []).expect("it can be written"), 1);
    drop(database);
    let shut = Server::spawn(serve(&[]));
    assert_eq!(status(&shut.api, "GET", "/api/jobs", Some(token)), 401);
    assert_eq!(status(&shut.api, "GET", "/api/jobs", None), 401);
    assert_eq!(status(&shut.api, "GET", "/livez", None), 200);
    shut.stop();
    let other = tempfile::tempdir().expect("a folder");
    let mut elsewhere = command(&flag);
    elsewhere.arg("--db").arg(other.path().join("p.db")).args(["--listen", "0.0.0.0:0", "--log", "error"]);
    let server = Server::spawn(elsewhere);
    assert_eq!(status(&server.api, "GET", "/api/tokens", Some(token)), 200, "a file that is there is taken");
    drop(server);
    // One that a start was cut short as it wrote it holds nothing yet.
    std::fs::write(&file, "").expect("it can be written");
    let other = tempfile::tempdir().expect("a folder");
    let mut elsewhere = command(&flag);
    elsewhere.arg("--db").arg(other.path().join("p.db")).args(["--listen", "0.0.0.0:0", "--log", "error"]);
    let server = Server::spawn(elsewhere);
    let token = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(status(&server.api, "GET", "/api/tokens", Some(token.trim())), 200);
}

#[test]
fn guesses_let_nobody_in_and_are_limited() {
    let test = Setup::new(&[]);
    let token = made(&test, "read");
    let wrong: Vec<u16> = (0..200)
        .map(|number: u32| {
            let guess = format!("{}{:03}", &token[..52], number);
            ask(test.api(), "GET", "/api/jobs", Some(&guess), None).status
        })
        .collect();
    let count = |status: u16| wrong.iter().filter(|&&found| found == status).count();
    assert!(count(401) >= 60 && count(401) < 150 && count(401) + count(429) == 200, "{wrong:?}");
    // Whoever stands behind the same address comes in all the same.
    assert_eq!(status(test.api(), "GET", "/api/jobs", Some(&token)), 200);
    let admin = made(&test, "admin");
    let audit = ask(test.api(), "GET", "/api/audit?limit=1000", Some(&admin), None).json();
    let rows = audit["audit"].as_array().expect("a list");
    let told = rows.iter().filter(|row| row["operation"] == "authenticate" && row["status"] == 401).count();
    assert_eq!(told, count(401), "those that were answered so are written down, and no more");
}

/// What a browser sends from the server's own page.
fn browse(api: &Api, method: &str, path: &str, cookie: &str, body: Option<&str>) -> Answer {
    let origin = format!("http://{}", api.address);
    api.send_with(method, path, &[("Cookie", cookie), ("Origin", &origin)], body)
}

#[test]
fn a_browser_signs_in_and_out() {
    let test = Setup::new(&[]);
    let token = made(&test, "write");
    let api = test.api();
    assert_eq!(api.get("/api/session")["scope"], Value::Null);
    let signed_in = browse(api, "POST", "/api/session", "a=b", Some(&json!({ "token": token }).to_string()));
    assert_eq!((signed_in.status, &signed_in.json()["scope"]), (200, &json!("write")), "{}", signed_in.text);
    let cookie = signed_in.header("set-cookie").to_owned();
    for part in ["punctual_session=pun_s_", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it came in clear");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let body = job("@daily", &test.receiver.url("/a")).to_string();
    assert_eq!(browse(api, "POST", "/api/jobs", &cookie, Some(&body)).status, 201);
    assert_eq!(browse(api, "GET", "/api/tokens", &cookie, None).status, 403);
    assert_eq!(browse(api, "GET", "/api/session", &cookie, None).json()["token"]["kind"], "session");
    // A cookie comes along whoever made the page.
    for headers in [
        &[("Cookie", cookie.as_str())][..],
        &[("Cookie", &cookie), ("Origin", "http://evil.example")],
        &[("Cookie", &cookie), ("Sec-Fetch-Site", "cross-site")],
        &[("Cookie", &cookie), ("Sec-Fetch-Site", "same-site")],
    ] {
        assert_eq!(api.send_with("POST", "/api/jobs", headers, Some(&body)).status, 403, "{headers:?}");
    }
    let in_header = cookie.split_once('=').expect("a pair").1;
    assert_eq!(status(api, "GET", "/api/jobs", Some(in_header)), 401, "a session is no token");
    let as_cookie = format!("punctual_session={token}");
    assert_eq!(browse(api, "GET", "/api/jobs", &as_cookie, None).status, 401, "and a token no session");
    // It outlives a restart, and not its end.
    let test = test.killed_and_started();
    let api = test.api();
    assert_eq!(browse(api, "GET", "/api/jobs", &cookie, None).status, 200);
    let signed_out = browse(api, "DELETE", "/api/session", &cookie, None);
    assert_eq!(signed_out.status, 204);
    assert!(signed_out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browse(api, "GET", "/api/jobs", &cookie, None).status, 401);
    // One that began with a token ends with it.
    let again = browse(api, "POST", "/api/session", &cookie, Some(&json!({ "token": token }).to_string()));
    assert_eq!(again.status, 200, "an old cookie keeps nobody from signing in");
    let cookie = again.header("set-cookie").split(';').next().expect("a pair").to_owned();
    let parent = again.json()["token"]["parentId"].as_str().expect("a text").to_owned();
    assert!(token_command(&test, &["revoke", &parent]).status.success());
    assert_eq!(browse(test.api(), "GET", "/api/jobs", &cookie, None).status, 401);
    let refused = browse(test.api(), "POST", "/api/session", "a=b", Some(&json!({ "token": token }).to_string()));
    assert_eq!(refused.status, 401);
}

#[test]
fn who_listens_does_so_for_as_long_as_he_may() {
    let test = Setup::new(&[]);
    let listen = |token: Option<&str>| {
        let mut stream = std::net::TcpStream::connect(&test.api().address).expect("it listens");
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let asked = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\r\n");
        std::io::Write::write_all(&mut stream, asked.as_bytes()).expect("it listens");
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("it is no zero");
        stream
    };
    let listeners = |api: &Api, token: Option<&str>| {
        ask(api, "GET", "/api/metrics", token, None).json()["events"]["listeners"].as_u64().unwrap_or_default()
    };
    let early = listen(None);
    until("it listens", || (listeners(test.api(), None) == 1).then_some(()));
    let (reader, admin) = (made(&test, "read"), made(&test, "admin"));
    let late = listen(Some(&reader));
    let change = |name: &str| {
        let body =
            json!({ "name": name, "schedule": "@daily", "api": test.receiver.url("/a"), "type": "ATLEAST_ONCE" });
        assert_eq!(ask(test.api(), "POST", "/api/jobs", Some(&admin), Some(&body.to_string())).status, 201);
    };
    // Who came while nobody was asked hears no more of what happens from the first token on.
    change("one");
    let heard = read_to_end(early);
    assert!(!heard.contains("\"one\""), "{heard}");
    let tokens = ask(test.api(), "GET", "/api/tokens", Some(&admin), None).json();
    let of_reader = tokens["tokens"].as_array().expect("a list").iter().find(|token| token["scope"] == "read");
    let path = format!("/api/tokens/{}", of_reader.expect("it is there")["tokenId"].as_str().expect("a text"));
    until("the other one listens", || (listeners(test.api(), Some(&admin)) == 1).then_some(()));
    assert_eq!(status(test.api(), "DELETE", &path, Some(&admin)), 204);
    change("two");
    let heard = read_to_end(late);
    assert!(!heard.contains("\"two\""), "{heard}");
}

fn read_to_end(mut stream: std::net::TcpStream) -> String {
    let mut heard = String::new();
    std::io::Read::read_to_string(&mut stream, &mut heard).expect("the stream ends");
    heard
}

#[test]
fn a_token_in_a_header_needs_no_known_host() {
    let test = Setup::new(&[]);
    let token = format!("Bearer {}", made(&test, "read"));
    let host = ("Host", "punctual.internal");
    assert_eq!(test.api().send_with("GET", "/api/jobs", &[host], None).status, 421);
    assert_eq!(test.api().send_with("GET", "/api/jobs", &[host, ("Authorization", &token)], None).status, 200);
    assert_eq!(test.api().send_with("GET", "/livez", &[host], None).status, 200);
}

#[test]
fn what_was_done_is_written_down_with_who_and_what() {
    let test = Setup::new(&[]);
    let (admin, writer) = (made(&test, "admin"), made(&test, "write"));
    let send = |method: &str, path: &str, body: Option<Value>| {
        ask(test.api(), method, path, Some(&writer), body.map(|body| body.to_string()).as_deref())
    };
    let url = test.receiver.url("/a");
    let made = send("POST", "/api/jobs", Some(job("@daily", &url))).json();
    let id = made["jobId"].as_str().expect("an id").to_owned();
    let path = format!("/api/jobs/{id}");
    assert_eq!(send("PATCH", &path, Some(json!({ "timeoutMs": 5000, "name": "n" }))).status, 200);
    assert_eq!(send("POST", &format!("{path}/pause"), None).status, 200);
    assert_eq!(send("POST", &format!("{path}/run"), None).status, 202);
    assert_eq!(send("PUT", "/api/calendars/c", Some(json!({ "dates": [] }))).status, 200);
    let lines = format!("{}\n", json!({ "create": job("@yearly", &url) }));
    assert_eq!(ask(test.api(), "POST", "/api/jobs/batch", Some(&writer), Some(&lines)).status, 200);
    assert_eq!(send("DELETE", &path, None).status, 204);
    assert_eq!(send("DELETE", &path, None).status, 404);
    assert_eq!(send("POST", "/api/jobs", Some(json!({}))).status, 400, "what asks for nothing is not written down");
    let test = test.killed_and_started();
    let audit = |query: &str| {
        let answer = ask(test.api(), "GET", &format!("/api/audit{query}"), Some(&admin), None);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["audit"].as_array().expect("a list").clone()
    };
    let done = until("all of it is written down", || {
        let rows = audit("");
        let done: Vec<(String, u64)> = rows
            .iter()
            .rev()
            .filter(|row| row["operation"] != "createToken")
            .map(|row| {
                (row["operation"].as_str().expect("a text").to_owned(), row["status"].as_u64().expect("a number"))
            })
            .collect();
        (done.len() >= 7).then_some(done)
    });
    let expected = [
        ("createJob", 201),
        ("changeJob", 200),
        ("pauseJob", 200),
        ("runJob", 202),
        ("putCalendar", 200),
        ("changeJobs", 200),
        ("deleteJob", 204),
    ];
    for (operation, status) in expected {
        assert!(done.contains(&(operation.to_owned(), status)), "{operation} {status}: {done:?}");
    }
    let of_job = audit(&format!("?subject={id}"));
    assert!(of_job.len() >= 5 && of_job.iter().all(|row| row["subject"] == json!(id)), "{of_job:?}");
    let changed = of_job.iter().find(|row| row["operation"] == "changeJob").expect("it is there");
    assert_eq!(changed["difference"], json!({ "name": [null, "n"], "timeoutMs": [null, 5000] }));
    assert_eq!((&changed["tokenName"], &changed["client"]), (&json!("a test"), &json!("127.0.0.1")));
    let created = of_job.iter().find(|row| row["operation"] == "createJob").expect("it is there");
    assert_eq!(created["difference"]["schedule"], json!([null, "@daily"]));
    let deleted = of_job.iter().find(|row| row["operation"] == "deleteJob").expect("it is there");
    assert_eq!(deleted["difference"]["name"], json!(["n", null]));
    let batch = audit("").into_iter().find(|row| row["operation"] == "changeJobs").expect("it is there");
    assert_eq!(batch["difference"]["created"]["count"], 1, "{batch}");
    let token = changed["tokenId"].as_str().expect("an id");
    assert!(audit(&format!("?tokenId={token}")).iter().all(|row| row["tokenId"] == json!(token)));
    assert!(audit("?from=2090-01-01T00:00:00Z").is_empty() && audit("?limit=2").len() == 2);
    assert_eq!(ask(test.api(), "GET", "/api/audit", Some(&writer), None).status, 403);
}
