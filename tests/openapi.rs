//! The description of the API against the real binary: its examples, a fuzz driven by it, and a client made from it.
//! It must not know what the API is: all that is asked stands in the description.
//!
//! The fuzz and the client need tools in Python, `tests/openapi/requirements.txt`. They are looked for in the folder
//! that `PUNCTUAL_OPENAPI_TOOLS` names, a virtual environment's `bin`, then in `PATH`. Without them these tests are left
//! out, unless `PUNCTUAL_REQUIRE_OPENAPI=1` says that this is a failure.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use punctual::limits::CHANNELS_MAX;
use serde_json::{Value, json};
use support::server::{Server, command, end_of};
use support::wall_us;

/// The same cases each time.
const SEED: &str = "20261125";
/// How many cases there are at most for an operation and a way to find some.
const CASES: &str = "60";
/// How long the fuzz and the generator may take on a slow machine; usually it is about a minute.
const PATIENCE: Duration = Duration::from_secs(600);

/// A server that takes secrets, with a calendar and channels that cannot be deleted.
fn server(folder: &Path, channels: usize) -> Server {
    let key = folder.join("key");
    let made = command(&["secrets", "init"]).arg(&key).output().expect("the binary is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = key.to_str().expect("it is a text");
    // What fails is not sent again: nobody listens where jobs POST to.
    let flags = ["--max-in-flight", "16", "--retries", "0", "--secrets-key", key, "--trusted-proxy", "127.0.0.1"];
    let server = Server::start(&folder.join("p.db"), &flags);
    let names: Vec<String> = (0..channels).map(|number| format!("kept-{number}")).collect();
    let dates = json!({ "dates": ["2026-12-25"] });
    assert_eq!(server.api.send("PUT", "/api/calendars/kept", Some(&dates.to_string())).status, 200);
    let job = json!({
        "schedule": "@yearly", "api": "http://127.0.0.1:9/", "type": "ATLEAST_ONCE", "excludeCalendars": ["kept"],
        "alerts": { "channels": names },
    });
    let channel = json!({ "kind": "webhook", "url": "http://127.0.0.1:9/" });
    for name in &names {
        assert_eq!(server.api.send("PUT", &format!("/api/channels/{name}"), Some(&channel.to_string())).status, 200);
    }
    assert_eq!(server.api.send("POST", "/api/jobs", Some(&job.to_string())).status, 201);
    server
}

/// A tool, if it is there.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::var_os("PUNCTUAL_OPENAPI_TOOLS").map(PathBuf::from);
    let found =
        own.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|at| at.is_file());
    if found.is_none() {
        let is_required = std::env::var("PUNCTUAL_REQUIRE_OPENAPI").is_ok_and(|required| required == "1");
        assert!(!is_required, "{name} is neither in PUNCTUAL_OPENAPI_TOOLS nor in PATH");
        eprintln!("LEFT OUT: {name} is not installed; see tests/openapi/requirements.txt");
    }
    found
}

/// Runs a tool to its end.
fn run(command: &mut Command, folder: &Path) -> Output {
    let file = |name: &str| std::fs::File::create(folder.join(name)).expect("the folder is there");
    let (stdout, stderr) = (file("said"), file("complained"));
    let mut child =
        command.current_dir(folder).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().expect("it starts");
    let status = end_of(&mut child, PATIENCE);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("it was made");
    Output { status, stdout: read("said"), stderr: read("complained") }
}

fn expect_success(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(name)
}

#[test]
fn every_example_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path(), 1);
    let description = server.api.get("/api/openapi.json");
    let plain = json!({ "schedule": "@yearly", "api": "http://127.0.0.1:9/", "type": "ATLEAST_ONCE" }).to_string();
    let tomorrow = time_at(wall_us() / 1_000_000 + 86_400);
    let mut sent = 0;
    for (path, methods) in description["paths"].as_object().expect("it has paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let content = operation["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
            let examples = content.and_then(|(_, content)| content["examples"].as_object());
            assert_eq!(examples.is_none(), operation["requestBody"].is_null(), "{method} {path} has no example");
            // Once there is a token everybody needs one; those have tests of their own.
            let examples = examples.filter(|_| !["/api/tokens", "/api/session"].contains(&path.as_str()));
            for (name, example) in examples.into_iter().flatten() {
                let mut example = example["value"].clone();
                if path == "/api/silences" {
                    example["endsAt"] = tomorrow.as_str().into();
                }
                let body = example.to_string().replace("https://example.com/", "http://127.0.0.1:9/");
                let kind = [("Content-Type", content.map_or("", |(kind, _)| kind))];
                let job = server.api.send("POST", "/api/jobs", Some(&plain)).json()["jobId"].clone();
                let job = job.as_str().expect("it is a text");
                let execution = if path.starts_with("/api/executions/") { ended(&server, job) } else { String::new() };
                let id = if execution.is_empty() { job } else { &execution };
                let incident =
                    if path.starts_with("/api/incidents/") { opened(&server, &plain) } else { String::new() };
                let id = if incident.is_empty() { id } else { &incident };
                let path = path.replace("{id}", id).replace("{name}", "holidays").replace("{tag}", "billing");
                let answer = server.api.send_with(&method.to_uppercase(), &path, &kind, Some(&body));
                let is_accepted = (200..300).contains(&answer.status) && answer.json()["refused"].as_u64() != Some(1);
                assert!(is_accepted, "{method} {path} {name}: {}", answer.text);
                // The name of a job is its own.
                if let Some(id) = answer.json()["jobId"].as_str() {
                    server.api.send("DELETE", &format!("/api/jobs/{id}"), None);
                }
                sent += 1;
            }
        }
    }
    assert!(sent > 10, "{sent} examples");
}

/// An incident: of a job that nobody answers.
fn opened(server: &Server, job: &str) -> String {
    let job = server.api.send("POST", "/api/jobs", Some(job)).json()["jobId"].clone();
    ended(server, job.as_str().expect("it is a text"));
    let path = format!("/api/incidents?state=open&job={}", job.as_str().expect("it is a text"));
    server.api.get(&path)["incidents"][0]["incidentId"].as_str().expect("it is a text").to_owned()
}

/// A Unix second as clients write it.
fn time_at(second: i64) -> String {
    let time = chrono::DateTime::from_timestamp(second, 0).expect("it is a time");
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An execution of a job that has ended.
fn ended(server: &Server, job: &str) -> String {
    let answer = server.api.send("POST", &format!("/api/jobs/{job}/run"), Some("{\"wait\":true}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["executionId"].as_str().expect("it is a text").to_owned()
}

#[test]
fn a_fuzz_driven_by_the_description_finds_nothing() {
    let Some(schemathesis) = tool("schemathesis") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // As many as there may be, as a policy may name as many.
    let server = server(folder.path(), CHANNELS_MAX);
    let made = server.api.send("POST", "/api/tokens", Some(r#"{"name":"fuzz","scope":"admin"}"#));
    let token = made.json()["token"].as_str().expect("it is a text").to_owned();
    let api = server.api.with_token(&token);
    let url = format!("http://{}/api/openapi.json", server.api.address);
    let mut fuzz = Command::new(schemathesis);
    fuzz.arg("--config-file").arg(file("schemathesis.toml")).args(["run", &url, "--seed", SEED, "-n", CASES]);
    fuzz.arg("--header").arg(format!("Authorization: Bearer {token}"));
    fuzz.env("SCHEMATHESIS_HOOKS", file("hooks.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    let said = expect_success(&run(&mut fuzz, folder.path()));
    eprintln!("{}", said.split("== SUMMARY ==").last().unwrap_or_default());
    assert_eq!(api.get("/api/health")["status"], "healthy");
    for job in api.pages("/api/jobs?limit=1000", "jobs") {
        let is_here = |host: &&str| job["api"].as_str().is_some_and(|api| api.to_lowercase().starts_with(*host));
        let here = ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/"];
        assert!(here.iter().any(is_here), "the fuzz sends to others: {}", job["api"]);
    }
}

#[test]
fn a_client_made_from_the_description_creates_reads_changes_and_deletes_a_job() {
    let (Some(generator), Some(python)) = (tool("openapi-python-client"), tool("python3")) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(folder.path(), 1);
    let description: Value = server.api.get("/api/openapi.json");
    std::fs::write(folder.path().join("openapi.json"), description.to_string()).expect("the folder is there");
    let mut generate = Command::new(&generator);
    generate.args(["generate", "--path", "openapi.json", "--output-path", "punctual_client", "--meta", "none"]);
    // It calls others of its environment.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = generator.parent().map(Path::to_owned).into_iter();
    let path = std::env::join_paths(beside.chain(std::env::split_paths(&path))).expect("they were in one");
    expect_success(&run(generate.env("PATH", path), folder.path()));
    let mut client = Command::new(python);
    client.arg(file("client.py")).arg(format!("http://{}", server.api.address));
    client.env("PYTHONPATH", folder.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let id = expect_success(&run(&mut client, folder.path()));
    assert_eq!(server.api.send("GET", &format!("/api/jobs/{}", id.trim()), None).status, 404);
}
