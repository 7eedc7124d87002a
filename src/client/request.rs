//! Owns a request in the making, as a command line says it, and what members of a job it comes to.
//! It must not know how a program names its options.

use serde_json::{Map, Value, json};

/// What a command sends.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sent {
    /// Members of a job.
    pub(crate) job: Map<String, Value>,
    /// What of the command is not taken over.
    pub(crate) remarks: Vec<String>,
}

impl Sent {
    /// How whoever is asked knows who asks.
    pub(crate) fn basic(&mut self, username: &str, password: &str) {
        self.job.insert("auth".to_owned(), json!({ "basic": { "username": username, "password": password } }));
    }

    /// How long it may take, in seconds.
    pub(crate) fn time_max(&mut self, option: &str, seconds: &str) -> Result<(), String> {
        let seconds: f64 = seconds.parse().map_err(|_| format!("{option} is no number"))?;
        self.job.insert("timeoutMs".to_owned(), ((seconds * 1000.0).round() as u64).into());
        Ok(())
    }

    pub(crate) fn left_out(&mut self, what: &str) {
        self.remarks.push(format!("not taken over: {what}"));
    }
}

/// A request in the making.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) url: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) headers: Map<String, Value>,
    pub(crate) data: Vec<String>,
    pub(crate) is_query: bool,
    pub(crate) is_json: bool,
    /// Brackets and braces in its URL are themselves.
    pub(crate) is_globless: bool,
}

impl Request {
    /// A word that is no option.
    pub(crate) fn url(&mut self, word: &str) -> Result<(), String> {
        if self.url.is_some() {
            return Err("it has more than one URL".to_owned());
        }
        self.url = Some(word.to_owned());
        Ok(())
    }

    pub(crate) fn header(&mut self, line: &str, sent: &mut Sent) {
        let (name, value) = line.split_once(':').unwrap_or((line.trim_end_matches(';'), ""));
        let (name, value) = (name.trim(), value.trim());
        if !name.eq_ignore_ascii_case("authorization") {
            self.headers.insert(name.to_owned(), value.into());
            return;
        }
        match value.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer")) {
            Some((_, token)) => drop(sent.job.insert("auth".to_owned(), json!({ "bearer": token.trim() }))),
            None => drop(sent.job.insert("secretHeaders".to_owned(), json!({ "Authorization": value }))),
        }
    }

    /// What it comes to.
    ///
    /// # Errors
    /// Why it comes to nothing.
    pub(crate) fn finish(mut self, sent: &mut Sent) -> Result<(), String> {
        let url = self.url.take().ok_or_else(|| "the command has no URL".to_owned())?;
        let mut url = self.target(&url, sent)?;
        let body = self.data.join("&");
        if !self.data.is_empty() && self.is_query {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&body);
        } else if !self.data.is_empty() {
            self.method.get_or_insert_with(|| "POST".to_owned());
            let has_type = self.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
            if !has_type && !self.is_json {
                self.headers.insert("Content-Type".to_owned(), "application/x-www-form-urlencoded".into());
            }
            sent.job.insert("body".to_owned(), body.into());
        }
        // Such programs ask by GET, a job by POST, unless it says otherwise.
        let method = self.method.unwrap_or_else(|| "GET".to_owned());
        if method != "POST" {
            sent.job.insert("method".to_owned(), method.into());
        }
        if !self.headers.is_empty() {
            sent.job.insert("headers".to_owned(), self.headers.into());
        }
        sent.job.insert("api".to_owned(), url.into());
        Ok(())
    }

    /// The one URL that is meant. Who asks may stand in it, which a job keeps apart.
    fn target(&self, url: &str, sent: &mut Sent) -> Result<String, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(format!("{url} is not of http or https"));
        }
        // An address of IP version 6 stands in brackets.
        let is_many = rest.contains('{') || rest.char_indices().any(|(place, char)| char == '[' && place > 0);
        if is_many && !self.is_globless {
            return Err("its brackets stand for several URLs".to_owned());
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some((user, _)) = rest[..end].rsplit_once('@') else { return Ok(format!("{scheme}://{rest}")) };
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        sent.basic(&plain(name), &plain(password));
        Ok(format!("{scheme}://{}", &rest[user.len() + 1..]))
    }
}
