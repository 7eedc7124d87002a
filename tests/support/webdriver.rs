//! Owns the protocol by which a browser is driven (W3C WebDriver): chromedriver as a child, a session, its commands.
//! It must not know a page, nor with which flags a browser starts.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// How long a command may take on a slow machine; pages and scripts have less, so that it is them who are named.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(90);
const PAGE_TIME_MAX_MS: u64 = 60_000;
/// The member under which the protocol names an element (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running chromedriver with one session, that is: one browser. Both end with it.
pub struct Session {
    driver: Child,
    /// Held open: chromedriver would end with the first line that it cannot print.
    _said: BufReader<ChildStdout>,
    agent: Agent,
    address: String,
    id: Option<String>,
}

/// What the browser did not do, in the protocol's words.
#[derive(Debug)]
pub struct Refused {
    /// Such as `no such element`.
    pub error: String,
    pub message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error, self.message)
    }
}

/// A part of a page, as long as that page is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element(String);

impl Element {
    /// As an argument of a script.
    pub fn to_json(&self) -> Value {
        json!({ ELEMENT: self.0 })
    }

    pub fn from_json(value: &Value) -> Element {
        let id = value[ELEMENT].as_str().unwrap_or_else(|| panic!("expected an element, got {value}"));
        Element(id.to_owned())
    }

    /// Where its commands are.
    pub fn path(&self, command: &str) -> String {
        format!("/element/{}/{command}", self.0)
    }
}

impl Session {
    /// Starts chromedriver on a free port, and by it a browser with these capabilities. What both keep is in `home`.
    pub fn start(chromedriver: &Path, home: &Path, capabilities: &Value) -> Session {
        let log = home.join("chromedriver.log");
        let (driver, said, port) = listening(chromedriver, home, &log);
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(COMMAND_TIME_MAX))
            .build();
        let agent = Agent::new_with_config(config);
        let mut session =
            Session { driver, _said: said, agent, address: format!("http://127.0.0.1:{port}/session"), id: None };
        let asked = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let told = session.send("POST", "", Some(&asked)).unwrap_or_else(|refused| {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(20).collect();
            panic!("no browser: {refused}\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"))
        });
        session.id = Some(told["sessionId"].as_str().expect("a session has an id").to_owned());
        let timeouts = json!({ "implicit": 0, "pageLoad": PAGE_TIME_MAX_MS, "script": PAGE_TIME_MAX_MS });
        session.post("/timeouts", &timeouts);
        session
    }

    /// A command that reads.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.must("GET", path, None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.must("POST", path, Some(body))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Value {
        self.must("DELETE", path, None)
    }

    /// A command that may fail.
    pub fn try_post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        self.send("POST", path, Some(body))
    }

    #[track_caller]
    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        match self.send(method, path, body) {
            Ok(value) => value,
            Err(refused) => {
                let body = body.map(Value::to_string).unwrap_or_default();
                panic!("the browser does not {method} {path} {body:.300}: {refused}")
            }
        }
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let id = self.id.as_deref().map(|id| format!("/{id}")).unwrap_or_default();
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{id}{path}", self.address));
        let answered = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                self.agent.run(request.expect("it is a request"))
            }
            None => self.agent.run(request.body(()).expect("it is a request")),
        };
        let broken = |why: ureq::Error| Refused { error: "chromedriver".to_owned(), message: why.to_string() };
        let mut answer = answered.map_err(broken)?;
        // A screenshot is longer than what is read without a limit of one's own.
        let text = answer.body_mut().with_config().limit(100_000_000).read_to_string().map_err(broken)?;
        let mut told: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text:.300}"));
        let value = told["value"].take();
        if answer.status().is_success() {
            return Ok(value);
        }
        let word = |member: &str| value[member].as_str().unwrap_or_default().trim().to_owned();
        Err(Refused { error: word("error"), message: word("message") })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The browser ends with its session, and otherwise when chromedriver's end of its pipe is closed.
        if self.id.is_some() {
            drop(self.send("DELETE", "", None));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// Starts chromedriver: it, what it says, and its port. The one that it finds free for one family of addresses may be taken
/// in the other, and then it gives up.
fn listening(chromedriver: &Path, home: &Path, log: &Path) -> (Child, BufReader<ChildStdout>, u16) {
    let mut tries = 0;
    loop {
        let mut command = Command::new(chromedriver);
        command.env("HOME", home).env("TMPDIR", home).arg("--port=0").arg(format!("--log-path={}", log.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().expect("chromedriver can be started");
        let mut said = BufReader::new(driver.stdout.take().expect("it is piped"));
        match port_in(&mut said) {
            Ok(port) => return (driver, said, port),
            Err(why) => {
                driver.wait().expect("it has ended");
                tries += 1;
                assert!(
                    tries < 10 && why.contains("port not available"),
                    "chromedriver ended before it listened: {why}"
                );
            }
        }
    }
}

/// The port that chromedriver found, or what it said instead.
fn port_in(said: &mut BufReader<ChildStdout>) -> Result<u16, String> {
    let mut all = String::new();
    loop {
        let begin = all.len();
        let length = said.read_line(&mut all).expect("chromedriver prints text");
        if length == 0 {
            return Err(all);
        }
        let line = all[begin..].trim().trim_end_matches('.');
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return Ok(port.parse().unwrap_or_else(|why| panic!("{why}: {line}")));
        }
    }
}
