//! Owns the way to a server: which one is meant, how one gets in, and what its answers mean for a command.
//! It must not know what is asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::contexts;
use super::failure::{Failure, Kind};
use super::lines::Lines;
use super::typed::Typed;

/// How long a request may take: longer than the server lets anybody wait for a run.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(90);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a server may take to say that it is there.
const HEALTH_TIME_MAX: Duration = Duration::from_secs(5);
const URL_DEFAULT: &str = "http://127.0.0.1:3000";

/// Which server, as typed.
#[derive(Clone, Debug)]
pub struct ServerArguments {
    given: Given,
    /// Whether the server is from the command line: then no context of the environment counts.
    is_server_typed: bool,
    is_context_typed: bool,
}

impl Args for ServerArguments {
    fn augment_args(command: Command) -> Command {
        Given::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Given::augment_args_for_update(command)
    }
}

impl FromArgMatches for ServerArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ServerArguments, clap::Error> {
        let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        Ok(ServerArguments {
            given: Given::from_arg_matches(matches)?,
            is_server_typed: is_typed("server"),
            is_context_typed: is_typed("context"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = ServerArguments::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What is said of it, in the command line or the environment.
#[derive(Args, Clone, Debug)]
struct Given {
    /// The URL of the server; unless given, that of the context, or http://127.0.0.1:3000
    #[arg(long, env = "PUNCTUAL_URL", value_name = "URL", help_heading = "Server", global = true)]
    server: Option<String>,
    /// The token to show; better in the environment or a context than in a command line that others can see
    #[arg(
        long,
        env = "PUNCTUAL_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        help_heading = "Server",
        global = true
    )]
    token: Option<String>,
    /// The context to use, as `punctual context ls` lists them
    #[arg(long, env = "PUNCTUAL_CONTEXT", value_name = "NAME", help_heading = "Server", global = true)]
    context: Option<String>,
    /// Certificates (PEM) to trust beside those of this machine
    #[arg(long, env = "PUNCTUAL_API_CA_FILE", value_name = "FILE", help_heading = "Server", global = true)]
    api_ca_file: Option<PathBuf>,
}

/// A server, and how one gets in.
#[derive(Debug)]
pub(crate) struct Server {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// An answer that says yes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    /// What it says.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_str(&self.text)
            .map_err(|_| Failure::failed("the answer is not JSON: is this a Punctual server?"))
    }
}

/// An answer that says no (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    errors: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    pointer: Option<String>,
    #[serde(default)]
    detail: String,
}

/// A request in the making.
pub(crate) struct Ask<'a> {
    method: Method,
    path: String,
    body: Option<(&'a str, String)>,
    headers: Vec<(&'a str, String)>,
    typed: Option<&'a Typed>,
    time_max: Duration,
}

impl<'a> Ask<'a> {
    /// Whether the server answers at all.
    pub(crate) fn health() -> Ask<'a> {
        Ask { time_max: HEALTH_TIME_MAX, ..Ask::get("/livez") }
    }

    pub(crate) fn get(path: impl Into<String>) -> Ask<'a> {
        Ask::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Ask<'a> {
        Ask::new(Method::POST, path).json(body.to_string())
    }

    pub(crate) fn delete(path: impl Into<String>) -> Ask<'a> {
        Ask::new(Method::DELETE, path)
    }

    pub(crate) fn new(method: Method, path: impl Into<String>) -> Ask<'a> {
        let path = path.into();
        Ask { method, path, body: None, headers: Vec::new(), typed: None, time_max: REQUEST_TIME_MAX }
    }

    pub(crate) fn json(self, body: String) -> Ask<'a> {
        Ask { body: Some(("application/json", body)), ..self }
    }

    pub(crate) fn lines(self, body: String) -> Ask<'a> {
        Ask { body: Some(("application/x-ndjson", body)), ..self }
    }

    pub(crate) fn header(mut self, name: &'a str, value: Option<&str>) -> Ask<'a> {
        self.headers.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    /// What the body was made of: what the server does not like is shown there.
    pub(crate) fn typed(self, typed: &'a Typed) -> Ask<'a> {
        Ask { typed: Some(typed), ..self }
    }
}

impl Server {
    /// The server that is meant: what is typed counts before the environment, and that before the context.
    pub(crate) fn find(typed: &ServerArguments) -> Result<Server, Failure> {
        let ServerArguments { given: typed, is_server_typed, is_context_typed } = typed;
        if *is_server_typed && *is_context_typed {
            return Err(Failure::usage("--server, --context: each says which server; expected one of them"));
        }
        let named = typed.context.as_deref().filter(|_| !is_server_typed);
        let server = typed.server.clone().filter(|_| named.is_none());
        let context = if server.is_some() { None } else { contexts::find(named)? };
        let url = server.or_else(|| context.as_ref().map(|context| context.url.clone()));
        let url = url.unwrap_or_else(|| URL_DEFAULT.to_owned());
        let url = url_of(&url)?;
        let token = typed.token.clone().filter(|token| !token.is_empty()).or_else(|| context.as_ref()?.token.clone());
        let ca_file = typed.api_ca_file.clone().or_else(|| context.as_ref()?.ca_file.clone());
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .user_agent(concat!("punctual/", env!("CARGO_PKG_VERSION")));
        if url.starts_with("https://") {
            config = config.tls_config(TlsConfig::builder().root_certs(roots(ca_file)?).build());
        }
        Ok(Server { agent: Agent::new_with_config(config.build()), url, token })
    }

    /// Asks, and takes yes for an answer.
    ///
    /// # Errors
    /// The server does not answer, or says no.
    pub(crate) fn ask(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let (typed, time_max) = (ask.typed, ask.time_max);
        let mut response = self.send(ask, Some(time_max))?;
        let status = response.status();
        let etag = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = response.body_mut().with_config().limit(u64::MAX).read_to_string();
        let text = text.map_err(|why| Failure::failed(format!("{}: the answer broke off: {why}", self.url)))?;
        if status.is_success() {
            return Ok(Answer { status: status.as_u16(), etag, text });
        }
        Err(refused(status, &text, typed))
    }

    /// Asks for something long: lines as they come, each of them and the next not further apart than this.
    pub(crate) fn stream(&self, ask: Ask<'_>, silence_max: Duration) -> Result<Lines, Failure> {
        let mut response = self.send(ask, None)?;
        let status = response.status();
        if !status.is_success() {
            let text = response.body_mut().read_to_string().unwrap_or_default();
            return Err(refused(status, &text, None));
        }
        Ok(Lines::of(response.into_body().into_with_config().limit(u64::MAX).reader(), silence_max))
    }

    fn send(&self, ask: Ask<'_>, time_max: Option<Duration>) -> Result<Response<ureq::Body>, Failure> {
        let mut request = Request::builder().method(ask.method).uri(format!("{}{}", self.url, ask.path));
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let sent = match ask.body {
            Some((media_type, body)) => {
                let request = request.header(header::CONTENT_TYPE, media_type).body(body).map_err(unsendable)?;
                let request = self.agent.configure_request(request).timeout_global(time_max).build();
                self.agent.run(request)
            }
            None => {
                let request = request.body(()).map_err(unsendable)?;
                let request = self
                    .agent
                    .configure_request(request)
                    .timeout_global(time_max)
                    .allow_non_standard_methods(true)
                    .build();
                self.agent.run(request)
            }
        };
        sent.map_err(|why| {
            let why = why.to_string();
            match why.split_once("invalid peer certificate: ") {
                // What stands behind it may go on for pages.
                Some((_, what)) => {
                    let what: String = what.chars().take_while(|char| char.is_alphanumeric()).collect();
                    Failure::failed(format!(
                        "the certificate of {} is not trusted ({what}); --api-ca-file FILE (PUNCTUAL_API_CA_FILE) says whom to trust",
                        self.url
                    ))
                }
                None => Failure::failed(format!("{} does not answer: {why}", self.url)),
            }
        })
    }
}

/// The URL of a server, as requests begin.
pub(crate) fn url_of(typed: &str) -> Result<String, Failure> {
    let url = typed.trim_end_matches('/').trim_end_matches("/api");
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Failure::usage(format!("--server: expected a URL such as {URL_DEFAULT}, got {typed:?}")));
    }
    Ok(url.to_owned())
}

fn unsendable(why: ureq::http::Error) -> Failure {
    Failure::usage(format!("this cannot be sent: {why}"))
}

fn roots(ca_file: Option<PathBuf>) -> Result<RootCerts, Failure> {
    let native = rustls_native_certs::load_native_certs().certs;
    let mut certificates: Vec<Certificate<'static>> =
        native.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if let Some(file) = ca_file {
        let failed = |why: String| Failure::failed(format!("{}: {why}", file.display()));
        let pem = std::fs::read(&file).map_err(|why| failed(why.to_string()))?;
        let found = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        });
        let before = certificates.len();
        certificates.extend(found);
        if certificates.len() == before {
            return Err(failed("expected certificates in PEM".to_owned()));
        }
    }
    if certificates.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// What a refusal says, as a sentence, with the members that it is about shown where they were typed.
fn refused(status: StatusCode, text: &str, typed: Option<&Typed>) -> Failure {
    let Problem { title, detail, errors } = serde_json::from_str(text).unwrap_or_default();
    let said = detail.or(title).unwrap_or_else(|| format!("the server answered {status}"));
    let mut message = said;
    if let Some(typed) = typed {
        for fault in &errors {
            let path = fault.pointer.as_deref().map(member);
            if let Some(place) = path.and_then(|path| typed.show(&path)) {
                message.push('\n');
                message.push_str(&place);
            }
        }
        drop(errors);
    } else if let [first, _, ..] = &errors[..] {
        // Beyond the first, which is what the detail says.
        let first = &first.detail;
        let others: Vec<&str> =
            errors.iter().map(|fault| fault.detail.as_str()).filter(|other| other != first).collect();
        for other in others {
            message.push_str("\n  ");
            message.push_str(other);
        }
    }
    if status == StatusCode::UNAUTHORIZED {
        message.push_str(" (PUNCTUAL_TOKEN, --token or a context has the token)");
    }
    Failure::new(Kind::of_status(status.as_u16()), message)
}

/// `#/retry/maxAttempts` is `retry.maxAttempts`.
fn member(pointer: &str) -> String {
    let names = pointer.trim_start_matches('#').trim_start_matches('/').split('/');
    names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect::<Vec<_>>().join(".")
}

/// A query, without what is not given.
pub(crate) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let mut text = String::new();
    for (name, value) in given {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        text.push_str(&encoded(value));
    }
    text
}

/// A text as part of a path or a query: what RFC 3986 leaves unreserved stays.
pub(crate) fn encoded(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}
