//! Owns what a curl or wget command sends, as members of a job, with remarks about what is not taken over.
//! It must not send it.

use serde_json::{Map, Value, json};

use super::shell;

/// What a command sends.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sent {
    /// Members of a job.
    pub(crate) job: Map<String, Value>,
    /// What of the command is not taken over.
    pub(crate) remarks: Vec<String>,
}

/// Flags of curl that say nothing of what is sent.
const QUIET: [&str; 20] = [
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-f",
    "--fail",
    "--fail-with-body",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "-g",
    "--globoff",
    "-N",
    "--no-buffer",
    "--compressed",
    "--http1.1",
    "-#",
    "--no-progress-meter",
    "-4",
];
/// The same with a value.
const QUIET_WITH_VALUE: [&str; 12] = [
    "-o",
    "--output",
    "-w",
    "--write-out",
    "-c",
    "--cookie-jar",
    "--connect-timeout",
    "--retry-delay",
    "--retry-max-time",
    "-D",
    "--dump-header",
    "--stderr",
];
/// Those that a job has nothing for.
const OTHERS_WITH_VALUE: &[&str] = &[
    "-F",
    "--form",
    "--form-string",
    "-x",
    "--proxy",
    "-T",
    "--upload-file",
    "--connect-to",
    "--resolve",
    "-E",
    "--cert",
    "--key",
    "--cacert",
    "--capath",
    "--pass",
    "-r",
    "--range",
    "-K",
    "--config",
    "-z",
    "--time-cond",
    "--interface",
    "--limit-rate",
    "-Q",
    "--quote",
    "-U",
    "--proxy-user",
    "--dns-servers",
    "--max-redirs",
    "--ciphers",
    "--tls-max",
    "--unix-socket",
    "--proto",
    "--noproxy",
    "-Y",
    "--speed-limit",
    "-y",
    "--speed-time",
    "--max-filesize",
    "--local-port",
    "--oauth2-bearer",
    "--aws-sigv4",
    "--rate",
];
/// Short names of what means the same.
const SAME: [(&str, &str); 12] = [
    ("--request", "-X"),
    ("--header", "-H"),
    ("--data", "-d"),
    ("--data-raw", "-d"),
    ("--data-binary", "-d"),
    ("--data-ascii", "-d"),
    ("--user", "-u"),
    ("--user-agent", "-A"),
    ("--referer", "-e"),
    ("--cookie", "-b"),
    ("--max-time", "-m"),
    ("--head", "-I"),
];

/// What a line of shell sends, if one of its commands is curl or wget.
///
/// # Errors
/// Why nothing can be made of it.
pub(crate) fn read(line: &str) -> Result<Sent, String> {
    let commands = shell::commands(line);
    let is_sending = |word: &String| matches!(word.rsplit('/').next(), Some("curl" | "wget"));
    let mut sending = commands.iter().filter(|words| words.iter().any(is_sending));
    let Some(command) = sending.next() else { return Err("no command of it is curl or wget".to_owned()) };
    if sending.next().is_some() {
        return Err("it sends more than one request".to_owned());
    }
    let mut sent = Sent::default();
    let start = command.iter().position(is_sending).expect("it was found");
    for words in &commands {
        let left = if words == command { &words[..start] } else { &words[..] };
        if !left.is_empty() {
            sent.remarks.push(format!("not taken over: {}", left.join(" ")));
        }
    }
    if let Some(unknown) = shell::unknown(line) {
        return Err(format!("what the shell makes of {unknown} is not known"));
    }
    let rest = &command[start + 1..];
    let mut request = Request::default();
    if command[start].ends_with("wget") {
        request.wget(rest, &mut sent)?
    } else {
        request.curl(rest, &mut sent)?
    }
    request.finish(&mut sent)?;
    Ok(sent)
}

#[derive(Default)]
struct Request {
    url: Option<String>,
    method: Option<String>,
    headers: Map<String, Value>,
    data: Vec<String>,
    is_query: bool,
    is_json: bool,
}

impl Request {
    fn curl(&mut self, words: &[String], sent: &mut Sent) -> Result<(), String> {
        let mut left: Vec<String> = words.iter().rev().cloned().collect();
        while let Some(mut word) = left.pop() {
            let mut value = None;
            if word.starts_with("--")
                && let Some((name, given)) = word.clone().split_once('=')
            {
                (word, value) = (name.to_owned(), Some(given.to_owned()));
            } else if word.starts_with('-') && !word.starts_with("--") && word.chars().count() > 2 {
                // -fsSd x is -f -s -S -d x, and -XPUT is -X PUT.
                let rest = word.split_off(2);
                if "XHduAebmowcDFxTErKzQUYy".contains(&word[1..]) {
                    value = Some(rest)
                } else {
                    left.push(format!("-{rest}"))
                }
            }
            let name = SAME.iter().find(|(long, _)| *long == word).map_or(word.as_str(), |(_, short)| short).to_owned();
            let mut take = || value.take().or_else(|| left.pop()).ok_or_else(|| format!("{name} has no value"));
            match name.as_str() {
                "-X" => self.method = Some(take()?.to_uppercase()),
                "-H" => self.header(&take()?, sent),
                "-d" | "--data-urlencode" => self.data.push(take()?),
                "--json" => {
                    self.data.push(take()?);
                    self.is_json = true;
                }
                "--url" => self.url = Some(take()?),
                "-u" => {
                    let user = take()?;
                    let (name, password) = user.split_once(':').unwrap_or((&user, ""));
                    sent.job.insert("auth".to_owned(), json!({ "basic": { "username": name, "password": password } }));
                }
                "-A" => drop(self.headers.insert("User-Agent".to_owned(), take()?.into())),
                "-e" => drop(self.headers.insert("Referer".to_owned(), take()?.into())),
                "-b" => drop(self.headers.insert("Cookie".to_owned(), take()?.into())),
                "-m" => {
                    let seconds: f64 = take()?.parse().map_err(|_| "-m is no number".to_owned())?;
                    sent.job.insert("timeoutMs".to_owned(), ((seconds * 1000.0).round() as u64).into());
                }
                "--retry" => {
                    let retries: u64 = take()?.parse().map_err(|_| "--retry is no number".to_owned())?;
                    sent.job.insert("retry".to_owned(), json!({ "maxAttempts": retries + 1 }));
                }
                "-G" | "--get" => self.is_query = true,
                "-I" => self.method = Some("HEAD".to_owned()),
                "-L" | "--location" => sent.remarks.push("-L is not taken over: redirects are not followed".to_owned()),
                "-k" | "--insecure" => {
                    sent.remarks.push("-k is not taken over: certificates are always checked".to_owned())
                }
                name if QUIET_WITH_VALUE.contains(&name) => drop(take()?),
                name if OTHERS_WITH_VALUE.contains(&name) => {
                    let value = take()?;
                    sent.remarks.push(format!("not taken over: {name} {value}"));
                }
                name if QUIET.contains(&name) => {}
                name if name.starts_with('-') => sent.remarks.push(format!("not taken over: {name}")),
                _ if self.url.is_some() => return Err("it has more than one URL".to_owned()),
                _ => self.url = Some(word),
            }
        }
        Ok(())
    }

    fn wget(&mut self, words: &[String], sent: &mut Sent) -> Result<(), String> {
        let mut left = words.iter();
        while let Some(word) = left.next() {
            let (name, given) = word
                .split_once('=')
                .filter(|(name, _)| name.starts_with("--"))
                .map_or((word.as_str(), None), |(name, given)| (name, Some(given)));
            let mut take = || {
                given.map(str::to_owned).or_else(|| left.next().cloned()).ok_or_else(|| format!("{name} has no value"))
            };
            match name {
                "--header" => self.header(&take()?, sent),
                "--post-data" | "--body-data" => self.data.push(take()?),
                "--method" => self.method = Some(take()?.to_uppercase()),
                "--timeout" | "-T" => {
                    let seconds: u64 = take()?.parse().map_err(|_| format!("{name} is no number"))?;
                    sent.job.insert("timeoutMs".to_owned(), (seconds * 1000).into());
                }
                "-O" | "-qO" | "-t" | "-o" | "--tries" | "--output-document" => drop(take()?),
                "-q" | "--quiet" | "-nv" | "--no-verbose" | "--spider" => {}
                name if name.starts_with("-O") || name.starts_with("-qO") => {}
                name if name.starts_with('-') => sent.remarks.push(format!("not taken over: {name}")),
                _ if self.url.is_some() => return Err("it has more than one URL".to_owned()),
                _ => self.url = Some(word.clone()),
            }
        }
        Ok(())
    }

    fn header(&mut self, line: &str, sent: &mut Sent) {
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

    fn finish(mut self, sent: &mut Sent) -> Result<(), String> {
        let mut url = self.url.ok_or_else(|| "the command has no URL".to_owned())?;
        if !url.contains("://") {
            url = format!("http://{url}");
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("{url} is not of http or https"));
        }
        if self.data.iter().any(|part| part.starts_with('@')) {
            return Err("its body comes from a file".to_owned());
        }
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
        // curl asks by GET, a job by POST, unless it says otherwise.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_members() {
        let cases = [
            ("curl -fsS https://a/x", json!({ "api": "https://a/x", "method": "GET" })),
            (
                "/usr/bin/wget -q -O /dev/null \"https://a/b?c=1&d=2\"",
                json!({ "api": "https://a/b?c=1&d=2", "method": "GET" }),
            ),
            (
                "wget -qO- --post-data='a=1' --timeout=9 a.example/x",
                json!({ "api": "http://a.example/x", "body": "a=1", "timeoutMs": 9000, "headers": { "Content-Type": "application/x-www-form-urlencoded" } }),
            ),
            (
                "curl -XPUT --json '{\"a\":1}' -m 1.5 --retry 3 https://a",
                json!({ "api": "https://a", "method": "PUT", "body": "{\"a\":1}", "timeoutMs": 1500, "retry": { "maxAttempts": 4 } }),
            ),
            ("curl -d a=1 -d b=2 -G https://a/?z=3", json!({ "api": "https://a/?z=3&a=1&b=2", "method": "GET" })),
            (
                "curl -u me:p:w -H 'X-A: 1' -I https://a >/dev/null 2>&1",
                json!({ "api": "https://a", "method": "HEAD", "headers": { "X-A": "1" }, "auth": { "basic": { "username": "me", "password": "p:w" } } }),
            ),
            (
                "curl -H 'Authorization: Bearer t' -H 'authorization: Basic x' https://a",
                json!({ "api": "https://a", "method": "GET", "auth": { "bearer": "t" }, "secretHeaders": { "Authorization": "Basic x" } }),
            ),
        ];
        for (line, expected) in cases {
            let sent = read(line).unwrap_or_else(|why| panic!("{line}: {why}"));
            assert_eq!((Value::from(sent.job), sent.remarks), (expected, vec![]), "{line}");
        }
        let sent = read("cd /app && curl -kL https://a | logger").expect("it is curl");
        assert_eq!(sent.remarks.len(), 4, "{:?}", sent.remarks);
    }

    #[test]
    fn what_cannot_be_known_is_refused() {
        for line in [
            "/bin/backup.sh",
            "curl https://a https://b",
            "curl -d @file https://a",
            "curl",
            "curl $URL",
            "curl https://a/$(date)",
            "curl ftp://a",
            "curl a; curl b",
            "curl -X",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
