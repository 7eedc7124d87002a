//! Owns the API client of the tests: one request, its status and its JSON.
//! It must not retry: what the server says is what the test sees.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// A client of one server.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    /// What every request shows.
    token: Option<String>,
    pub address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON; null if it is empty.
    pub fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{why}: {}", self.text))
    }

    /// A header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Api {
    pub fn new(address: &str) -> Api {
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Api { agent: Agent::new_with_config(config), token: None, address: address.to_owned() }
    }

    /// The same client with a token.
    pub fn with_token(&self, token: &str) -> Api {
        Api { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Sends a request; an error is a connection that failed.
    pub fn try_send(&self, method: &str, path: &str, body: Option<&str>) -> Result<Answer, ureq::Error> {
        self.try_send_with(method, path, &[], body)
    }

    /// The same with these headers.
    pub fn try_send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = match body {
            Some(body) => self.agent.run(request.body(body.to_owned()).expect("it is a request"))?,
            None => self.agent.run(request.body(()).expect("it is a request"))?,
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.body_mut().read_to_string()?;
        Ok(Answer { status, headers, text })
    }

    pub fn send(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.try_send(method, path, body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    /// The same with these headers.
    pub fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let answer = self.try_send_with(method, path, headers, body);
        answer.unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, None);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json()
    }

    /// Registers a job; its id.
    pub fn create(&self, schedule: &str, url: &str) -> String {
        let answer = self.send("POST", "/api/jobs", Some(&job(schedule, url).to_string()));
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["jobId"].as_str().expect("it is a text").to_owned()
    }

    /// Every execution of a job, newest first, through all pages.
    pub fn executions(&self, id: &str) -> Vec<Value> {
        self.pages(&format!("/api/jobs/{id}/executions?limit=500"), "executions")
    }

    /// All items of a paged list.
    pub fn pages(&self, path: &str, member: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let page = match &cursor {
                None => self.get(path),
                Some(cursor) => self.get(&format!("{path}&cursor={cursor}")),
            };
            items.extend(page[member].as_array().expect("it is a list").iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }
}

/// The body that registers a job.
pub fn job(schedule: &str, url: &str) -> Value {
    json!({ "schedule": schedule, "api": url, "type": "ATLEAST_ONCE" })
}
